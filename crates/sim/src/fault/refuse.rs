//! Faults that are an error status, in each vendor's words.

use super::{Act, Fault};
use crate::refusal::Refusal;
use crate::vendor::Vendor;

/// An error answer of a fault: status, headers, and what the body is.
pub(crate) enum Refused {
    Json(Refusal),
    Html(u16, &'static str),
}

/// The error that `act` answers with, if its fault is one; and its retry headers.
pub(crate) fn refused(
    act: &Act,
    vendor: Vendor,
    model: &str,
    key: &str,
) -> Option<(Refused, Vec<(&'static str, String)>)> {
    use Vendor::{Anthropic, OpenAi};
    let fault = act.fault?;
    let json = |status, openai: (&'static str, Option<&'static str>), anthropic, message: &str| {
        let (kind, code) = if vendor == OpenAi { openai } else { (anthropic, None) };
        Refused::Json(Refusal { code, ..Refusal::new(status, kind, message) })
    };
    let refused = match fault {
        Fault::RateLimit | Fault::RateLimitMs | Fault::RateLimitBare => rate_limited(vendor, model),
        Fault::SlowDown if vendor == Anthropic => Refused::Json(
            Refusal::new(429, "rate_limit_error", "Your traffic is growing faster than your ramp limit allows.")
                .code("ramp_limit_exceeded"),
        ),
        Fault::SlowDown => Refused::Json(
            Refusal::new(429, "rate_limit_error", "Your request rate grew too quickly. Please slow down.")
                .code("slow_down"),
        ),
        Fault::CreditBalanceExhausted if vendor == Anthropic => Refused::Json(Refusal::invalid(
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or \
             purchase credits.",
        )),
        Fault::InsufficientQuota
        | Fault::CreditBalanceExhausted
        | Fault::OrganizationUsageLimit
        | Fault::OrganizationSpendLimit
        | Fault::ProjectSpendLimit
        | Fault::EnforcedSpendLimit => out_of_money(fault, vendor),
        Fault::BadRequest => {
            json(400, ("invalid_request_error", None), "invalid_request_error", "Simulated bad request.")
        }
        Fault::ContextTooLong if vendor == Anthropic => {
            Refused::Json(Refusal::invalid("prompt is too long: 1000001 tokens > 1000000 maximum"))
        }
        Fault::ContextTooLong => Refused::Json(
            Refusal::invalid(
                "This model's maximum context length is 400000 tokens. However, your messages resulted in 400001 \
                 tokens. Please reduce the length of the messages.",
            )
            .param("messages")
            .code("context_length_exceeded"),
        ),
        Fault::Unauthorized => Refused::Json(crate::refusal::unauthorized(vendor, Some(key))),
        Fault::KeyEcho => json(
            401,
            ("invalid_request_error", Some("invalid_api_key")),
            "authentication_error",
            &format!("Incorrect API key provided: {key}."),
        ),
        Fault::Billing => json(
            402,
            ("billing_error", Some("billing_not_active")),
            "billing_error",
            "Your account is not active, please check your billing details.",
        ),
        Fault::Forbidden => json(
            403,
            ("invalid_request_error", Some("insufficient_permissions")),
            "permission_error",
            "Your API key does not have permission to use the specified resource.",
        ),
        Fault::NotFound => Refused::Json(crate::refusal::no_model(vendor, model)),
        Fault::RequestTimeout => json(408, ("timeout_error", None), "timeout_error", "The request took too long."),
        Fault::Conflict => json(409, ("conflict_error", None), "conflict_error", "The resource is being changed."),
        Fault::TooLarge => Refused::Html(413, "Payload Too Large"),
        Fault::Unprocessable => json(422, ("invalid_request_error", None), "invalid_request_error", "Unprocessable."),
        Fault::ServerError => json(
            500,
            ("server_error", None),
            "api_error",
            if vendor == OpenAi {
                "The server had an error while processing your request. Sorry about that!"
            } else {
                "Internal server error"
            },
        ),
        Fault::BadGateway => Refused::Html(502, "Bad gateway"),
        Fault::Unavailable => json(
            503,
            ("service_unavailable_error", Some("server_is_overloaded")),
            "overloaded_error",
            "The server is currently overloaded. Please try again later.",
        ),
        Fault::GatewayTimeout => json(504, ("timeout_error", None), "timeout_error", "Request timed out"),
        Fault::Overloaded => {
            json(529, ("service_unavailable_error", Some("server_is_overloaded")), "overloaded_error", "Overloaded")
        }
        _ => return None,
    };
    Some((refused, retry(act, fault)))
}

fn retry(act: &Act, fault: Fault) -> Vec<(&'static str, String)> {
    let seconds = match (&act.retry_after, fault) {
        (Some(value), _) => Some(value.clone()),
        (None, Fault::RateLimit | Fault::SlowDown) => Some("2".to_owned()),
        _ => None,
    };
    let mut out: Vec<_> = seconds.map(|value| ("retry-after", value)).into_iter().collect();
    if fault == Fault::RateLimitMs {
        out.push(("retry-after-ms", act.ms.unwrap_or(500).to_string()));
    }
    out
}

fn rate_limited(vendor: Vendor, model: &str) -> Refused {
    Refused::Json(match vendor {
        Vendor::OpenAi => Refusal::new(
            429,
            "requests",
            format!(
                "Rate limit reached for {model} in organization org-sim on requests per min (RPM): Limit 500, Used 500, \
                 Requested 1. Please try again in 120ms. Visit https://platform.openai.com/account/rate-limits to learn \
                 more."
            ),
        )
        .code("rate_limit_exceeded"),
        Vendor::Anthropic => Refusal::new(
            429,
            "rate_limit_error",
            "This request would exceed your organization's rate limit of 50 requests per minute. For details, refer to: \
             https://docs.claude.com/en/api/rate-limits. You can see the response headers for current usage.",
        ),
    })
}

fn out_of_money(fault: Fault, vendor: Vendor) -> Refused {
    let code = match (vendor, fault) {
        (Vendor::Anthropic, _) => {
            return Refused::Json(
                Refusal::new(429, "rate_limit_error", "Your organization has reached its enforced spend limit.")
                    .code("enforced_spend_limit_reached"),
            );
        }
        (_, Fault::EnforcedSpendLimit) => "organization_spend_limit_exceeded",
        (_, fault) => fault.name(),
    };
    Refused::Json(
        Refusal::new(
            429,
            "insufficient_quota",
            "You exceeded your current quota, please check your plan and billing details. For more information on this \
             error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.",
        )
        .code(code),
    )
}
