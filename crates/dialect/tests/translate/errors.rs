//! What a provider's error says beside its body: what the breaker must know of it, and its headers.

use dialect::{
    Dialect::{self, Chat, Messages},
    ErrorShape, map_headers, read_error, write_error,
};
use serde_json::{Value, json};

fn anthropic(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})
}

#[test]
fn t51_a_prompt_that_is_too_long_is_known_by_its_words() {
    for words in [
        "prompt is too long: 210000 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 199000 + 4096 > 200000",
        "This model's maximum context length is 128000 tokens.",
    ] {
        assert!(read_error(Messages, 400, anthropic("invalid_request_error", words).to_string().as_bytes()).too_long);
    }
}

#[test]
fn t51_an_account_that_cannot_pay_is_known_by_its_words() {
    let rows = [
        ("Your credit balance is too low to access the Anthropic API.", true),
        ("You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.", true),
        (
            "You have reached your specified workspace API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.",
            true,
        ),
        ("Your credit card", false),
        ("You have reached your specified goal", false),
        ("max_tokens: too low", false),
    ];
    for (words, want) in rows {
        let fault = read_error(Messages, 400, anthropic("invalid_request_error", words).to_string().as_bytes());
        assert_eq!((fault.out_of_credit, fault.too_long), (want, false), "{words}");
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
