//! What an event of a stream is, up to the first content: preamble that may be held, content that commits, an end, an
//! error.

use serde_json::Value;

use crate::{
    Dialect,
    fault::{Fault, of_value},
    sse::Frame,
};

/// Kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Says nothing of the answer yet: a role, an empty block, `response.created`.
    Preamble,
    /// Part of the answer, or its regular finish.
    Content,
    /// `ping`, or a comment.
    Ping,
    /// Neither, such as a usage chunk or an event nobody knows.
    Other,
    /// The terminator.
    End,
    /// An error event.
    Error,
    /// Not JSON.
    Malformed,
}

/// An event, classified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classified {
    /// What it is.
    pub kind: Kind,
    /// What an error event says.
    pub error: Option<Box<Fault>>,
}

/// Classifies one event.
#[must_use]
pub fn classify(dialect: Dialect, frame: &Frame) -> Classified {
    let plain = |kind| Classified { kind, error: None };
    if frame.is_comment() {
        return plain(Kind::Ping);
    }
    let data = frame.data();
    if dialect == Dialect::Chat && data.trim_ascii() == b"[DONE]" {
        return plain(Kind::End);
    }
    let Ok(value @ Value::Object(_)) = serde_json::from_slice(data) else { return plain(Kind::Malformed) };
    let kind = match dialect {
        Dialect::Chat => chat(&value),
        Dialect::Messages => messages(&value),
        Dialect::Responses => responses(&value),
    };
    let error = (kind == Kind::Error).then(|| Box::new(of_value(dialect, &value)));
    Classified { kind, error }
}

fn some_text(v: &Value) -> bool {
    v.as_str().is_some_and(|s| !s.is_empty())
}

fn chat(v: &Value) -> Kind {
    if v["error"].is_object() || v["error"].is_string() {
        return Kind::Error;
    }
    let Some(choices) = v["choices"].as_array() else { return Kind::Other };
    if choices.is_empty() {
        return Kind::Other;
    }
    let is_content = choices.iter().any(|c| {
        let d = &c["delta"];
        let called = |t: &Value| {
            some_text(&t["function"]["name"]) || some_text(&t["function"]["arguments"]) || t["custom"].is_object()
        };
        ["content", "refusal", "reasoning_content", "reasoning"].iter().any(|m| some_text(&d[*m]))
            || d["tool_calls"].as_array().is_some_and(|t| t.iter().any(called))
            || some_text(&d["function_call"]["name"])
            || d["audio"].is_object()
            || some_text(&c["finish_reason"])
    });
    if is_content { Kind::Content } else { Kind::Preamble }
}

fn messages(v: &Value) -> Kind {
    match v["type"].as_str().unwrap_or_default() {
        "ping" => Kind::Ping,
        "error" => Kind::Error,
        "message_start" | "content_block_stop" => Kind::Preamble,
        "content_block_start" => {
            let block = &v["content_block"];
            let empty = match block["type"].as_str() {
                Some("text") => !some_text(&block["text"]),
                Some("thinking") => !some_text(&block["thinking"]),
                _ => false,
            };
            if empty { Kind::Preamble } else { Kind::Content }
        }
        "content_block_delta" => {
            let d = &v["delta"];
            let empty = ["text", "thinking", "partial_json"].iter().any(|m| d[*m].as_str() == Some(""));
            if empty { Kind::Preamble } else { Kind::Content }
        }
        // Its stop reason is the regular finish; a count alone is not.
        "message_delta" if some_text(&v["delta"]["stop_reason"]) => Kind::Content,
        "message_delta" => Kind::Preamble,
        "message_stop" => Kind::End,
        _ => Kind::Other,
    }
}

fn responses(v: &Value) -> Kind {
    let kind = v["type"].as_str().unwrap_or_default();
    match kind {
        "error" | "response.failed" => Kind::Error,
        "response.created" | "response.in_progress" | "response.queued" | "response.content_part.added" => {
            Kind::Preamble
        }
        "response.output_item.added" if v["item"]["type"] == "message" || v["item"]["type"] == "reasoning" => {
            Kind::Preamble
        }
        "response.output_item.added" => Kind::Content,
        // Models reason silently before they answer; what is shown of it comes as deltas.
        "response.output_item.done" if v["item"]["type"] == "reasoning" => Kind::Preamble,
        "response.completed" | "response.incomplete" => Kind::Content,
        _ if kind.ends_with(".delta") => {
            if v["delta"].as_str() == Some("") {
                Kind::Preamble
            } else {
                Kind::Content
            }
        }
        _ if kind.ends_with(".done") => Kind::Content,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn kind(d: Dialect, data: &str) -> Kind {
        classify(d, &Frame::parse(Bytes::from(format!("data: {data}\n\n")))).kind
    }

    #[test]
    fn rows() {
        use Dialect::{Chat, Messages, Responses};
        use Kind::*;
        let rows: &[(Dialect, &str, Kind)] = &[
            (Chat, r#"{"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#, Preamble),
            (Chat, r#"{"choices":[{"delta":{"content":"a"}}]}"#, Content),
            (Chat, r#"{"choices":[{"delta":{"refusal":"no"}}]}"#, Content),
            (Chat, r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#, Content),
            (
                Chat,
                r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":""}}]}}]}"#,
                Content,
            ),
            (Chat, r#"{"choices":[{"delta":{"tool_calls":[]}}]}"#, Preamble),
            (Chat, r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#, Content),
            (Chat, r#"{"choices":[],"usage":{}}"#, Other),
            (Chat, r#"{"error":{"message":"m"}}"#, Error),
            (Chat, "[DONE]", End),
            (Chat, "{", Malformed),
            (Chat, "[]", Malformed),
            (Messages, r#"{"type":"message_start","message":{}}"#, Preamble),
            (Messages, r#"{"type":"ping"}"#, Ping),
            (Messages, r#"{"type":"content_block_start","content_block":{"type":"text","text":""}}"#, Preamble),
            (Messages, r#"{"type":"content_block_start","content_block":{"type":"thinking","thinking":""}}"#, Preamble),
            (Messages, r#"{"type":"content_block_start","content_block":{"type":"tool_use","name":"f"}}"#, Content),
            (
                Messages,
                r#"{"type":"content_block_start","content_block":{"type":"redacted_thinking","data":"x"}}"#,
                Content,
            ),
            (Messages, r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}"#, Content),
            (Messages, r#"{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"a"}}"#, Content),
            (Messages, r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#, Content),
            (Messages, r#"{"type":"message_delta","delta":{"stop_reason":null},"usage":{}}"#, Preamble),
            (Messages, r#"{"type":"message_stop"}"#, End),
            (Messages, r#"{"type":"error","error":{}}"#, Error),
            (Messages, r#"{"type":"novelty"}"#, Other),
            (Responses, r#"{"type":"response.created"}"#, Preamble),
            (Responses, r#"{"type":"response.output_item.added","item":{"type":"message"}}"#, Preamble),
            (Responses, r#"{"type":"response.output_item.added","item":{"type":"function_call","name":"f"}}"#, Content),
            (Responses, r#"{"type":"response.content_part.added"}"#, Preamble),
            (Responses, r#"{"type":"response.output_text.delta","delta":"a"}"#, Content),
            (Responses, r#"{"type":"response.reasoning_text.delta","delta":"a"}"#, Content),
            (Responses, r#"{"type":"response.output_item.done","item":{"type":"reasoning","summary":[]}}"#, Preamble),
            (Responses, r#"{"type":"response.output_item.done","item":{"type":"function_call"}}"#, Content),
            (Responses, r#"{"type":"response.output_text.delta","delta":""}"#, Preamble),
            (Responses, r#"{"type":"response.novelty"}"#, Other),
            (Responses, r#"{"type":"response.failed"}"#, Error),
            (Responses, r#"{"type":"response.completed"}"#, Content),
        ];
        for (d, data, want) in rows {
            assert_eq!(kind(*d, data), *want, "{d:?} {data}");
        }
        assert_eq!(classify(Chat, &Frame::parse(Bytes::from_static(b": hi\n\n"))).kind, Ping);
    }
}
