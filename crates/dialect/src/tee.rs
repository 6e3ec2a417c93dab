//! Reads usage, end and errors from a committed stream as it passes; parses only the few events that hold them.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    Dialect,
    sse::Frame,
    usage::{Anthropic, Usage, usage_of_answer, usage_of_value},
};

static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"usage\""));
static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"error\""));

/// What an event means for the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It goes on.
    Other,
    /// The terminator.
    End,
    /// The provider's error event: nothing follows.
    Error,
    /// Not an event of the dialect.
    Malformed,
}

/// Watches one stream.
#[derive(Debug)]
pub struct Tee {
    dialect: Dialect,
    usage: Option<Usage>,
    anthropic: Anthropic,
    /// The last event, for the Responses sequence number.
    last: Option<Frame>,
}

impl Tee {
    /// For a stream of `dialect`.
    #[must_use]
    pub fn new(dialect: Dialect) -> Tee {
        Tee { dialect, usage: None, anthropic: Anthropic::default(), last: None }
    }

    /// Looks at one event.
    pub fn frame(&mut self, frame: &Frame) -> Seen {
        if frame.is_comment() {
            return Seen::Other;
        }
        let data = frame.data().trim_ascii();
        if data == b"[DONE]" && self.dialect == Dialect::Chat {
            return Seen::End;
        }
        if !(data.starts_with(b"{") && data.ends_with(b"}")) {
            return Seen::Malformed;
        }
        match self.dialect {
            Dialect::Chat => self.chat(data),
            Dialect::Messages => self.messages(frame, data),
            Dialect::Responses => self.responses(frame, data),
        }
    }

    /// What has been counted so far.
    #[must_use]
    pub fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }

    /// The number of the next event of a Responses stream; 0 for the others.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        let number = |f: &Frame| serde_json::from_slice::<Value>(f.data()).ok()?["sequence_number"].as_u64();
        self.last.as_ref().and_then(number).map_or(0, |n| n.saturating_add(1))
    }

    fn chat(&mut self, data: &[u8]) -> Seen {
        if says_usage(data) {
            self.usage = usage_of_answer(Dialect::Chat, data).or_else(|| self.usage.take());
        }
        if ERROR.find(data).is_some() && is_error(data) {
            return Seen::Error;
        }
        Seen::Other
    }

    fn messages(&mut self, frame: &Frame, data: &[u8]) -> Seen {
        match event_name(frame, data).as_ref() {
            b"message_stop" => return Seen::End,
            b"error" => return Seen::Error,
            b"message_start" | b"message_delta" => {
                let event = serde_json::from_slice::<Value>(data).unwrap_or_default();
                for usage in [&event["message"]["usage"], &event["usage"]] {
                    if let Some(usage) = Anthropic::of_value(usage) {
                        self.anthropic.merge(usage);
                        self.usage = self.anthropic.usage();
                    }
                }
            }
            _ => {}
        }
        Seen::Other
    }

    fn responses(&mut self, frame: &Frame, data: &[u8]) -> Seen {
        self.last = Some(frame.clone());
        match event_name(frame, data).as_ref() {
            end @ (b"response.completed" | b"response.incomplete" | b"response.failed") => {
                let event = serde_json::from_slice::<Value>(data).unwrap_or_default();
                self.usage = usage_of_value(Dialect::Responses, &event["response"]);
                if end == b"response.failed" { Seen::Error } else { Seen::End }
            }
            b"error" => Seen::Error,
            _ => Seen::Other,
        }
    }
}

/// The `event` field, or the `type` member where a server leaves the field out.
fn event_name<'a>(frame: &'a Frame, data: &'a [u8]) -> std::borrow::Cow<'a, [u8]> {
    if let Some(name) = frame.event() {
        return name.into();
    }
    #[derive(Deserialize)]
    struct Typed {
        r#type: String,
    }
    serde_json::from_slice::<Typed>(data).map_or_else(|_| Vec::new().into(), |t| t.r#type.into_bytes().into())
}

/// Whether a chunk may hold a count: the member stands there and is not null, as it is on all chunks but one.
fn says_usage(data: &[u8]) -> bool {
    USAGE.find(data).is_some_and(|i| !is_null(&data[i + 7..]))
}

/// Whether what follows a key is `: null`.
fn is_null(rest: &[u8]) -> bool {
    let rest = rest.trim_ascii_start().strip_prefix(b":").unwrap_or(rest);
    rest.trim_ascii_start().starts_with(b"null")
}

fn is_error(data: &[u8]) -> bool {
    serde_json::from_slice::<Value>(data).is_ok_and(|v| v["error"].is_object() || v["error"].is_string())
}

/// Whether a Chat frame is the usage chunk that `include_usage` adds: no choices, a count.
#[must_use]
pub fn is_usage_chunk(frame: &Frame) -> bool {
    says_usage(frame.data())
        && serde_json::from_slice::<Value>(frame.data())
            .is_ok_and(|v| v["usage"].is_object() && v["choices"].as_array().is_some_and(Vec::is_empty))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn run(dialect: Dialect, frames: &[&str]) -> (Tee, Vec<Seen>) {
        let mut tee = Tee::new(dialect);
        let seen = frames.iter().map(|f| tee.frame(&Frame::parse(Bytes::from((*f).to_owned())))).collect();
        (tee, seen)
    }

    #[test]
    fn chat_counts_on_any_chunk_and_ends_with_done() {
        let (tee, seen) = run(
            Dialect::Chat,
            &[
                "data: {\"choices\":[{\"delta\":{\"content\":\"say \\\"usage\\\" and \\\"error\\\"\"}}],\"usage\":null}\n\n",
                "data: {\"choices\":[{\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":2}}\n\n",
                "data: [DONE]\n\n",
            ],
        );
        assert_eq!(seen, [Seen::Other, Seen::Other, Seen::End]);
        assert_eq!(tee.usage().map(|u| (u.input, u.output)), Some((4, 2)));
        let (_, seen) =
            run(Dialect::Chat, &["data: {\"error\":{\"message\":\"m\"}}\n\n", "data: {\"cut\n\n", ": c\n\n"]);
        assert_eq!(seen, [Seen::Error, Seen::Malformed, Seen::Other]);
    }

    #[test]
    fn messages_counts_are_cumulative_and_not_doubled() {
        let (tee, seen) = run(
            Dialect::Messages,
            &[
                "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":5,\"output_tokens\":1}}}\n\n",
                "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"cache_read_input_tokens\":5,\"output_tokens\":7}}\n\n",
                "data: {\"type\":\"message_stop\"}\n\n",
            ],
        );
        assert_eq!(seen, [Seen::Other, Seen::Other, Seen::End]);
        assert_eq!(tee.usage().map(|u| (u.input, u.cached, u.output)), Some((15, 5, 7)));
    }

    #[test]
    fn responses_end_and_sequence() {
        let (tee, seen) = run(
            Dialect::Responses,
            &[
                "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":4}\n\n",
                "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":5,\"response\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":2}}}\n\n",
            ],
        );
        assert_eq!((seen, tee.next_sequence()), (vec![Seen::Other, Seen::End], 6));
        assert_eq!(tee.usage().map(|u| (u.input, u.output)), Some((3, 2)));
    }
}
