//! Errors, both ways: what a provider says, and what the caller of the other dialect is told.

use dialect::{
    Dialect::{self, Chat, Messages},
    ErrorShape, map_headers, map_status, read_error, write_error,
};
use serde_json::{Value, json};

use crate::other;

/// A provider's error answer as the caller of the other dialect gets it.
fn told(provider: Dialect, status: u16, body: &Value) -> (u16, Value) {
    told_bytes(provider, status, body.to_string().as_bytes())
}

fn told_bytes(provider: Dialect, status: u16, body: &[u8]) -> (u16, Value) {
    let caller = other(provider);
    let fault = read_error(provider, status, body);
    let status = map_status(provider, caller, status);
    let written = write_error(caller, &ErrorShape::of_fault(&fault, status));
    (status, serde_json::from_slice(&written).unwrap())
}

fn anthropic(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})
}

fn openai(kind: &str, code: Option<&str>, message: &str) -> Value {
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}

#[test]
fn t50_t51_anthropic_errors_for_chat_callers() {
    let rows = [
        (400, "invalid_request_error", 400, "invalid_request_error"),
        (401, "authentication_error", 401, "authentication_error"),
        (403, "permission_error", 403, "permission_error"),
        (404, "not_found_error", 404, "invalid_request_error"),
        (409, "conflict_error", 409, "invalid_request_error"),
        (413, "request_too_large", 413, "invalid_request_error"),
        (429, "rate_limit_error", 429, "rate_limit_error"),
        (500, "api_error", 500, "server_error"),
        (504, "timeout_error", 504, "timeout_error"),
        (529, "overloaded_error", 503, "service_unavailable_error"),
    ];
    for (status, kind, want, openai_kind) in rows {
        let got = told(Messages, status, &anthropic(kind, "words"));
        assert_eq!(got, (want, openai(openai_kind, Some(kind), "words")), "{kind}");
    }
}

#[test]
fn t50_t51_openai_errors_for_messages_callers() {
    let rows = [
        (400, "invalid_request_error", None, 400, "invalid_request_error", "invalid_request_error"),
        (401, "invalid_request_error", Some("invalid_api_key"), 401, "authentication_error", "invalid_api_key"),
        (403, "invalid_request_error", Some("unsupported_country"), 403, "permission_error", "unsupported_country"),
        (404, "invalid_request_error", Some("model_not_found"), 404, "not_found_error", "model_not_found"),
        (409, "conflict_error", None, 409, "conflict_error", "conflict_error"),
        (413, "invalid_request_error", None, 413, "request_too_large", "invalid_request_error"),
        (422, "invalid_request_error", None, 422, "invalid_request_error", "invalid_request_error"),
        (429, "requests", Some("rate_limit_exceeded"), 429, "rate_limit_error", "rate_limit_exceeded"),
        (500, "server_error", None, 500, "api_error", "server_error"),
        (502, "server_error", None, 502, "api_error", "server_error"),
        (
            503,
            "service_unavailable_error",
            Some("server_is_overloaded"),
            529,
            "overloaded_error",
            "server_is_overloaded",
        ),
        (504, "timeout_error", None, 504, "timeout_error", "timeout_error"),
    ];
    for (status, kind, code, want, anthropic_kind, told_code) in rows {
        let body = json!({
            "type": "error",
            "error": {"type": anthropic_kind, "message": "words", "details": {"error_code": told_code}},
            "request_id": null,
        });
        assert_eq!(told(Chat, status, &openai(kind, code, "words")), (want, body), "{status} {code:?}");
    }
}

#[test]
fn t51_a_prompt_that_is_too_long_is_told_by_code() {
    let words = "prompt is too long: 210000 tokens > 200000 maximum";
    let (status, body) = told(Messages, 400, &anthropic("invalid_request_error", words));
    assert_eq!((status, body), (400, openai("invalid_request_error", Some("context_length_exceeded"), words)));
    for words in [
        "input length and `max_tokens` exceed context limit: 199000 + 4096 > 200000",
        "This model's maximum context length is 128000 tokens.",
    ] {
        assert!(read_error(Messages, 400, anthropic("invalid_request_error", words).to_string().as_bytes()).too_long);
    }
    let body = openai("invalid_request_error", Some("context_length_exceeded"), "too many");
    assert_eq!(told(Chat, 400, &body).1["error"]["details"]["error_code"], "context_length_exceeded");
}

#[test]
fn t51_out_of_credit_is_told_apart_from_a_rate_limit_and_from_a_bad_request() {
    let low = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.";
    let spent = "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.";
    let workspace = "You have reached your specified workspace API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.";
    for words in [low, spent, workspace] {
        let said = anthropic("invalid_request_error", words);
        let fault = read_error(Messages, 400, said.to_string().as_bytes());
        assert!(fault.out_of_credit && !fault.too_long, "{words}");
        assert_eq!(told(Messages, 400, &said), (400, openai("insufficient_quota", Some("insufficient_quota"), words)));
    }
    let (status, body) = told(Messages, 402, &anthropic("billing_error", "pay"));
    assert_eq!((status, body), (429, openai("insufficient_quota", Some("insufficient_quota"), "pay")));
    let capped = json!({"type": "error", "error": {"type": "rate_limit_error", "message": "m", "details": {"error_code": "enforced_spend_limit_reached"}}});
    let (status, body) = told(Messages, 429, &capped);
    assert_eq!((status, body), (429, openai("insufficient_quota", Some("enforced_spend_limit_reached"), "m")));
    for code in ["insufficient_quota", "credit_balance_exhausted", "organization_spend_limit_exceeded"] {
        let (status, body) = told(Chat, 429, &openai("insufficient_quota", Some(code), "m"));
        assert_eq!((status, &body["error"]["type"]), (429, &json!("billing_error")));
        assert_eq!(body["error"]["details"]["error_code"], code);
    }
    for words in ["Your credit card", "You have reached your specified goal", "max_tokens: too low"] {
        assert!(
            !read_error(Messages, 400, anthropic("invalid_request_error", words).to_string().as_bytes()).out_of_credit
        );
    }
}

#[test]
fn t50_the_parameter_at_fault_is_kept_where_there_is_a_place() {
    let body =
        json!({"error": {"message": "m", "type": "invalid_request_error", "param": "messages[0]", "code": "bad"}});
    let fault = read_error(Chat, 400, body.to_string().as_bytes());
    let written = write_error(Chat, &ErrorShape::of_fault(&fault, 400));
    assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), body);
}

#[test]
fn t52_bodies_that_are_no_error_object() {
    for (provider, status, body) in [
        (Messages, 413, "<html><h1>413 Request Entity Too Large</h1></html>"),
        (Messages, 502, ""),
        (Chat, 502, "upstream connect error"),
        (Chat, 500, "[]"),
        (Chat, 503, "\"\""),
        (Messages, 529, "{\"type\":\"error\"}{"),
    ] {
        let (got, body) = told_bytes(provider, status, body.as_bytes());
        let words = format!("the provider answered with status {status} and no error object");
        assert_eq!((got, &body["error"]["message"]), (map_status(provider, other(provider), status), &json!(words)));
    }
}

#[test]
fn t53_headers_go_by_the_other_vendors_names() {
    let rows = [
        ("request-id", "req_1"),
        ("anthropic-ratelimit-requests-limit", "50"),
        ("anthropic-ratelimit-requests-remaining", "49"),
        ("anthropic-ratelimit-requests-reset", "2026-11-25T00:00:00Z"),
        ("anthropic-ratelimit-tokens-limit", "1000"),
        ("anthropic-ratelimit-tokens-remaining", "999"),
        ("retry-after", "2"),
        ("retry-after-ms", "1500"),
        ("cf-ray", "x"),
    ];
    let openai: Vec<_> = map_headers(Messages, Chat, rows.into_iter()).collect();
    let want = [
        ("x-request-id", "req_1"),
        ("x-ratelimit-limit-requests", "50"),
        ("x-ratelimit-remaining-requests", "49"),
        ("x-ratelimit-limit-tokens", "1000"),
        ("x-ratelimit-remaining-tokens", "999"),
        ("retry-after", "2"),
        ("retry-after-ms", "1500"),
    ];
    assert_eq!(openai, want, "a reset is a date there and a duration here: not mapped");
    let back: Vec<_> = map_headers(Chat, Messages, want.into_iter()).collect();
    let kept: Vec<_> = rows.into_iter().filter(|(n, _)| !n.ends_with("-reset") && *n != "cf-ray").collect();
    assert_eq!(back, kept);
    assert_eq!(map_headers(Chat, Dialect::Responses, rows.into_iter()).count(), rows.len(), "one vendor: all stay");
}
