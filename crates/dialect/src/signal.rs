//! The `llmroute` member: what a degraded answer says of itself, spliced into the provider's bytes.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use crate::{
    Dialect,
    json::{self, Span},
    sse::Frame,
};

/// What is said.
#[derive(Clone, Debug, Serialize)]
pub struct Signal<'a> {
    /// `degraded`, ...
    pub status: &'a str,
    /// Who answered.
    pub provider: &'a str,
    /// With what.
    pub model: &'a str,
    /// Why not as asked.
    pub reason: Option<&'a str>,
    /// `rt_…`
    pub trace_id: &'a str,
    /// Tries made.
    pub attempts: u32,
    /// What the caller named, where it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_model: Option<&'a str>,
    /// What it cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<&'a str>,
}

/// Puts the member first in the object that opens at `open` of `text`.
fn splice(text: &Bytes, open: usize, signal: &Signal<'_>) -> Vec<Bytes> {
    let Ok(member) = serde_json::to_string(signal) else { return vec![text.clone()] };
    let after = open + 1;
    let empty = text[after..].trim_ascii_start().starts_with(b"}");
    let comma = if empty { "" } else { "," };
    vec![text.slice(..after), format!("\"llmroute\":{member}{comma}").into(), text.slice(after..)]
}

/// A JSON answer with the member, in pieces; anything else unchanged.
#[must_use]
pub fn add_to_answer(body: &Bytes, signal: &Signal<'_>) -> Vec<Bytes> {
    match body.iter().position(|b| !b.is_ascii_whitespace()) {
        Some(open) if body[open] == b'{' => splice(body, open, signal),
        _ => vec![body.clone()],
    }
}

/// An event with the member: inside `message` or `response` where the event wraps one, else at its top.
#[must_use]
pub fn add_to_event(dialect: Dialect, frame: &Frame, signal: &Signal<'_>) -> Bytes {
    let data = frame.data_bytes();
    let wrapper = match dialect {
        Dialect::Chat => None,
        Dialect::Messages => Some("message"),
        Dialect::Responses => Some("response"),
    };
    let mut inner: Option<Span> = None;
    let found = json::members(&data, |m, s| {
        let start = s.at();
        s.skip(&mut ())?;
        if wrapper.is_some_and(|w| m.name.as_ref() == w.as_bytes()) && data[start] == b'{' {
            inner = Some(start..s.at());
        }
        Ok(())
    });
    let Ok(true) = found else { return frame.raw.clone() };
    let open = inner.map_or_else(|| memchr::memchr(b'{', &data).unwrap_or(0), |span| span.start);
    frame.with_data(&splice(&data, open, signal).concat())
}

/// What an event of a degraded stream is to the signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// No data: passes as it is.
    pub is_comment: bool,
    /// Chat: holds the finish reason.
    pub has_finish: bool,
    /// Chat: is the usage chunk.
    pub has_usage: bool,
    /// The cost belongs here.
    pub is_last: bool,
}

/// Finds an event's place; only degraded streams pay for it.
#[must_use]
pub fn place_of(dialect: Dialect, frame: &Frame) -> Place {
    let Ok(value @ Value::Object(_)) = serde_json::from_slice::<Value>(frame.data()) else {
        return Place { is_comment: true, ..Place::default() };
    };
    let kind = value["type"].as_str().unwrap_or_default();
    match dialect {
        Dialect::Chat => {
            let choices = value["choices"].as_array();
            let has_usage = value["usage"].is_object() && choices.is_some_and(Vec::is_empty);
            let has_finish = choices.is_some_and(|c| c.iter().any(|c| c["finish_reason"].is_string()));
            Place { is_comment: false, has_finish, has_usage, is_last: has_usage }
        }
        Dialect::Messages => Place { is_comment: kind == "ping", is_last: kind == "message_stop", ..Place::default() },
        Dialect::Responses => {
            Place { is_last: matches!(kind, "response.completed" | "response.incomplete"), ..Place::default() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNAL: Signal<'static> = Signal {
        status: "degraded",
        provider: "claude",
        model: "m",
        reason: Some("openai_circuit_open"),
        trace_id: "rt_1",
        attempts: 2,
        requested_model: None,
        cost_usd: Some("0.1"),
    };
    const MEMBER: &str = r#""llmroute":{"status":"degraded","provider":"claude","model":"m","reason":"openai_circuit_open","trace_id":"rt_1","attempts":2,"cost_usd":"0.1"}"#;

    #[test]
    fn answers_keep_every_other_byte() {
        let put = |s: &'static str| {
            String::from_utf8(add_to_answer(&Bytes::from_static(s.as_bytes()), &SIGNAL).concat()).unwrap()
        };
        assert_eq!(put(" { \"a\" : 1e2 } "), format!(" {{{MEMBER}, \"a\" : 1e2 }} "));
        assert_eq!(put("{}"), format!("{{{MEMBER}}}"));
        assert_eq!(put("[1]"), "[1]");
    }

    #[test]
    fn events_carry_it_where_the_dialect_wraps() {
        let put = |d, raw: &'static str| {
            String::from_utf8(add_to_event(d, &Frame::parse(Bytes::from_static(raw.as_bytes())), &SIGNAL).to_vec())
                .unwrap()
        };
        assert_eq!(put(Dialect::Chat, "data: {\"id\":1}\n\n"), format!("data: {{{MEMBER},\"id\":1}}\n\n"));
        assert_eq!(
            put(
                Dialect::Messages,
                "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":1}}\n\n"
            ),
            format!("event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{{MEMBER},\"id\":1}}}}\n\n")
        );
        assert_eq!(
            put(Dialect::Responses, "event: response.created\ndata: {\"response\":{}}\n\n"),
            format!("event: response.created\ndata: {{\"response\":{{{MEMBER}}}}}\n\n")
        );
        assert_eq!(
            put(Dialect::Messages, "data: {\"type\":\"message_stop\"}\n\n"),
            format!("data: {{{MEMBER},\"type\":\"message_stop\"}}\n\n")
        );
    }
}
