//! A whole Messages answer, read and written.

use serde_json::{Value, json};

use super::blocks::arguments;
use crate::{
    model::{Answer, Call, Part, Seal, Stop, Text, Thought},
    names, seal,
    translate::Context,
    usage::Usage,
};

/// Reads an answer; `None` if it has no content, or a call without id or name.
pub(crate) fn read_answer(v: &Value) -> Option<Answer> {
    let mut parts = vec![];
    for block in v["content"].as_array()? {
        match block["type"].as_str() {
            Some("text") => {
                parts.push(Part::Text(Text {
                    text: block["text"].as_str().unwrap_or_default().to_owned(),
                    cache: None,
                }));
            }
            Some("tool_use") => parts.push(Part::Call(Call {
                id: block["id"].as_str()?.to_owned(),
                name: block["name"].as_str()?.to_owned(),
                arguments: arguments(Some(block["input"].clone())),
                cache: None,
                at: String::new(),
            })),
            Some("thinking") => {
                let seal = block["signature"].as_str().filter(|s| !s.is_empty());
                let seal = seal.map(|s| Seal::Signature(s.to_owned()));
                parts.push(Part::Thought(thought(block["thinking"].as_str().unwrap_or_default(), seal)));
            }
            Some("redacted_thinking") => {
                let data = block["data"].as_str().unwrap_or_default().to_owned();
                parts.push(Part::Thought(thought("", Some(Seal::Redacted(data)))));
            }
            _ => {}
        }
    }
    Some(Answer {
        id: v["id"].as_str().unwrap_or_default().to_owned(),
        model: v["model"].as_str().unwrap_or_default().to_owned(),
        stop: stop(v["stop_reason"].as_str(), v["stop_sequence"].as_str()),
        parts,
        usage: None,
    })
}

fn thought(text: &str, seal: Option<Seal>) -> Thought {
    Thought { text: text.to_owned(), seal, by: String::new(), at: String::new() }
}

pub(super) fn stop(reason: Option<&str>, sequence: Option<&str>) -> Stop {
    match reason {
        Some("end_turn") => Stop::End,
        Some("stop_sequence") => Stop::Sequence(sequence.map(str::to_owned)),
        Some("tool_use") => Stop::Tools,
        Some("max_tokens" | "model_context_window_exceeded" | "pause_turn") => Stop::Length,
        Some("refusal") => Stop::Refusal,
        _ => Stop::Unknown,
    }
}

/// A stop reason's word. What is not known is told as `max_tokens`: incomplete, never a clean end.
pub(super) fn stop_reason(stop: &Stop) -> (&'static str, Option<&str>) {
    match stop {
        Stop::End => ("end_turn", None),
        Stop::Sequence(s) => ("stop_sequence", s.as_deref()),
        Stop::Tools => ("tool_use", None),
        Stop::Length | Stop::Unknown => ("max_tokens", None),
        Stop::Refusal => ("refusal", None),
    }
}

/// Writes an answer.
pub(crate) fn write_answer(a: &Answer, context: &Context) -> Value {
    let mut content: Vec<Value> = vec![];
    for part in &a.parts {
        match part {
            Part::Text(t) => content.push(json!({"type": "text", "text": t.text})),
            Part::Refusal(text) => content.push(json!({"type": "text", "text": text})),
            Part::Thought(t) if context.thoughts => {
                let seal = seal::close(t.seal.as_ref(), &context.provider_name);
                match (t.text.is_empty(), &t.seal) {
                    (true, None) => {}
                    (true, Some(_)) => content.push(json!({"type": "redacted_thinking", "data": seal})),
                    (false, _) => content.push(json!({"type": "thinking", "thinking": t.text, "signature": seal})),
                }
            }
            Part::Call(c) => {
                content.push(
                    json!({"type": "tool_use", "id": c.id, "name": context.restore(&c.name), "input": c.arguments}),
                );
            }
            _ => {}
        }
    }
    let (reason, sequence) = stop_reason(&a.stop);
    json!({
        "id": message_id(&a.id), "type": "message", "role": "assistant", "model": a.model, "content": content,
        "stop_reason": reason, "stop_sequence": sequence, "usage": usage(a.usage.as_ref()),
    })
}

pub(super) fn message_id(id: &str) -> String {
    format!("msg_{}", names::bare(id))
}

/// The count in Messages' words: what was cached or written is apart from the input. Nothing counted is told as zero,
/// since the members are not optional there.
pub(super) fn usage(u: Option<&Usage>) -> Value {
    let none = Usage::default();
    let u = u.unwrap_or(&none);
    let written = u.cache_write + u.cache_write_long;
    let mut counted = json!({
        "input_tokens": u.input.saturating_sub(u.cached).saturating_sub(written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": u.cached,
        "output_tokens": u.output,
    });
    if u.reasoning > 0 {
        counted["output_tokens_details"] = json!({"thinking_tokens": u.reasoning});
    }
    counted
}
