//! Errors: a provider's, read from whatever it sent; ours and theirs, written in the caller's dialect.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::Dialect;

/// What a provider's error says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// The status that its type stands for, where no HTTP status is there (an event in a stream).
    pub status: Option<u16>,
    /// `error.type`.
    pub kind: Option<String>,
    /// `error.code`, or Anthropic's `error.details.error_code`.
    pub code: Option<String>,
    /// The words.
    pub message: String,
    /// `error.param`.
    pub param: Option<String>,
    /// Out of credit or spend: never retried.
    pub out_of_credit: bool,
    /// The prompt exceeds the context.
    pub too_long: bool,
    /// The body is an error object of the dialect, fit to be passed on.
    pub is_envelope: bool,
}

impl Fault {
    /// Of a provider of Messages: a thread does not go on like this (`thread_not_found`, `thread_already_continued`, …). It
    /// is its caller's to mend, nobody's to try again.
    #[must_use]
    pub fn is_of_thread(&self) -> bool {
        self.code.as_deref().is_some_and(|code| code.starts_with("thread_"))
    }
}

/// Codes of accounts that cannot pay; the status says nothing (help.openai.com 5955604, platform.claude.com errors).
const OUT_OF_CREDIT: [&str; 8] = [
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_usage_limit_exceeded",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "enforced_spend_limit_reached",
    "billing_hard_limit_reached",
    "billing_error",
];

/// Reads the body of an error answer: JSON of the dialect, other JSON, HTML, nothing.
#[must_use]
pub fn read_error(dialect: Dialect, status: u16, body: &[u8]) -> Fault {
    let value = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let mut fault = of_value(dialect, &value);
    if !fault.is_envelope {
        fault.message = format!("the provider answered with status {status} and no error object");
    }
    fault
}

/// Reads an error object, of an answer or of an event.
pub(crate) fn of_value(dialect: Dialect, value: &Value) -> Fault {
    let error = match (&value["error"], &value["response"]["error"]) {
        (e @ Value::Object(_), _) | (_, e @ Value::Object(_)) => e,
        // A Responses `error` event holds its members itself.
        _ if value["type"] == "error" => value,
        (Value::String(words), _) => return Fault { message: words.clone(), is_envelope: false, ..Fault::default() },
        _ => return Fault::default(),
    };
    let text = |v: &Value| v.as_str().map(str::to_owned);
    let kind = text(&error["type"]).filter(|k| k != "error");
    let code = text(&error["details"]["error_code"]).or_else(|| text(&error["code"])).or_else(|| {
        // Some servers send a number.
        error["code"].as_i64().map(|n| n.to_string())
    });
    let message = text(&error["message"]).unwrap_or_default();
    let is_credit = |s: &Option<String>| s.as_deref().is_some_and(|s| OUT_OF_CREDIT.contains(&s));
    Fault {
        status: status_of(dialect, kind.as_deref(), code.as_deref()),
        out_of_credit: is_credit(&kind) || is_credit(&code) || says_out_of_credit(&message),
        too_long: code.as_deref() == Some("context_length_exceeded") || says_too_long(&message),
        param: text(&error["param"]),
        is_envelope: true,
        kind,
        code,
        message,
    }
}

/// Claude says it only in words, under `invalid_request_error`: no credit left, or the limit that an organisation or a
/// workspace has set itself.
fn says_out_of_credit(message: &str) -> bool {
    message.starts_with("Your credit balance is too low")
        || message.starts_with("You have reached your specified") && message.contains("API usage limits")
}

/// Claude says it only in words ("prompt is too long: 210000 tokens > 200000 maximum").
fn says_too_long(message: &str) -> bool {
    message.starts_with("prompt is too long")
        || message.contains("exceed context limit")
        || message.contains("maximum context length")
}

/// The status that an error type stands for.
fn status_of(dialect: Dialect, kind: Option<&str>, code: Option<&str>) -> Option<u16> {
    let of_code = match code {
        Some("rate_limit_exceeded" | "slow_down") => Some(429),
        Some("server_is_overloaded") => Some(503),
        Some("context_length_exceeded" | "invalid_prompt") => Some(400),
        Some(code) if OUT_OF_CREDIT.contains(&code) => Some(429),
        Some("server_error") => Some(500),
        _ => None,
    };
    of_code.or(match kind.unwrap_or_default() {
        "invalid_request_error" => Some(400),
        "authentication_error" => Some(401),
        "billing_error" => Some(402),
        "permission_error" => Some(403),
        "not_found_error" => Some(404),
        "conflict_error" => Some(409),
        "request_too_large" => Some(413),
        "rate_limit_error" | "insufficient_quota" => Some(429),
        "timeout_error" => Some(504),
        "overloaded_error" if dialect == Dialect::Messages => Some(529),
        "service_unavailable_error" | "overloaded_error" => Some(503),
        "server_error" | "api_error" => Some(500),
        _ => None,
    })
}

/// An error as it is written.
#[derive(Clone, Debug)]
pub struct ErrorShape {
    /// HTTP status.
    pub status: u16,
    /// OpenAI's `error.type`.
    pub openai_type: Cow<'static, str>,
    /// Anthropic's `error.type`.
    pub anthropic_type: Cow<'static, str>,
    /// OpenAI's `error.code`; Anthropic's `error.details.error_code`.
    pub code: Option<String>,
    /// The words.
    pub message: String,
    /// OpenAI's `error.param`.
    pub param: Option<String>,
    /// Anthropic's `request_id`.
    pub request_id: Option<String>,
}

impl ErrorShape {
    /// A provider's error in other words: type by status, code kept where the caller knows it.
    #[must_use]
    pub fn of_fault(fault: &Fault, status: u16) -> ErrorShape {
        let (openai, anthropic) = match status {
            _ if fault.out_of_credit || status == 402 => ("insufficient_quota", "billing_error"),
            401 => ("authentication_error", "authentication_error"),
            403 => ("permission_error", "permission_error"),
            404 => ("invalid_request_error", "not_found_error"),
            409 => ("invalid_request_error", "conflict_error"),
            413 => ("invalid_request_error", "request_too_large"),
            429 => ("rate_limit_error", "rate_limit_error"),
            504 => ("timeout_error", "timeout_error"),
            503 | 529 => ("service_unavailable_error", "overloaded_error"),
            400..500 => ("invalid_request_error", "invalid_request_error"),
            _ => ("server_error", "api_error"),
        };
        let code = match &fault.code {
            _ if fault.too_long => Some("context_length_exceeded".to_owned()),
            None if fault.out_of_credit => Some("insufficient_quota".to_owned()),
            None => fault.kind.clone(),
            code => code.clone(),
        };
        ErrorShape {
            status,
            openai_type: openai.into(),
            anthropic_type: anthropic.into(),
            code,
            message: fault.message.clone(),
            param: fault.param.clone(),
            request_id: None,
        }
    }
}

/// An error body in the caller's dialect.
#[must_use]
pub fn write_error(dialect: Dialect, shape: &ErrorShape) -> Bytes {
    value(dialect, shape).to_string().into()
}

fn value(dialect: Dialect, shape: &ErrorShape) -> Value {
    let ErrorShape { status: _, openai_type, anthropic_type, code, message, param, request_id } = shape;
    match dialect {
        Dialect::Messages => {
            let mut error = json!({"type": anthropic_type, "message": message});
            if let Some(code) = code {
                error["details"] = json!({"error_code": code});
            }
            json!({"type": "error", "error": error, "request_id": request_id})
        }
        Dialect::Chat | Dialect::Responses => {
            json!({"error": {"message": message, "type": openai_type, "param": param, "code": code}})
        }
    }
}

/// The event that tells of a failure after the first content. `sequence` continues a Responses stream's count.
#[must_use]
pub fn write_error_event(dialect: Dialect, shape: &ErrorShape, sequence: u64) -> Bytes {
    match dialect {
        Dialect::Chat => format!("data: {}\n\n", value(dialect, shape)),
        Dialect::Messages => format!("event: error\ndata: {}\n\n", value(dialect, shape)),
        Dialect::Responses => {
            let data = json!({
                "type": "error", "code": shape.code, "message": shape.message, "param": shape.param, "sequence_number": sequence,
            });
            format!("event: error\ndata: {data}\n\n")
        }
    }
    .into()
}

/// A status under the name that the other vendor has for it: overloaded is 529 at Anthropic, 503 at OpenAI.
#[must_use]
pub fn map_status(from: Dialect, to: Dialect, status: u16) -> u16 {
    match (from == Dialect::Messages, to == Dialect::Messages, status) {
        (true, false, 529) => 503,
        (false, true, 503) => 529,
        (true, false, 402) => 429,
        _ => status,
    }
}

#[cfg(test)]
mod tests;
