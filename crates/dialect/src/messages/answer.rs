//! A whole Messages answer, read and written.

use serde_json::{Value, json};

use super::blocks::arguments;
use crate::{
    Dialect,
    edit::quoted,
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

pub(crate) fn stop(reason: Option<&str>, sequence: Option<&str>) -> Stop {
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
pub(crate) fn write_answer(a: &Answer, context: &Context) -> String {
    let mut content: Vec<String> = vec![];
    let text = |text: &str| format!("{{\"type\":\"text\",\"text\":{}}}", quoted(text));
    for part in &a.parts {
        match part {
            Part::Text(t) => content.push(text(&t.text)),
            Part::Refusal(t) => content.push(text(t)),
            Part::Thought(t) if context.thoughts => {
                let seal = seal::close(t.seal.as_ref(), &context.provider_name);
                let block = match (t.text.is_empty(), &t.seal) {
                    (true, None) => continue,
                    (true, Some(_)) => json!({"type": "redacted_thinking", "data": seal}),
                    (false, _) => json!({"type": "thinking", "thinking": t.text, "signature": seal}),
                };
                content.push(block.to_string());
            }
            Part::Call(c) => {
                let name = context.restore(&c.name);
                content.push(json!({"type": "tool_use", "id": c.id, "name": name, "input": c.arguments}).to_string());
            }
            _ => {}
        }
    }
    let (reason, sequence) = stop_reason(&a.stop);
    format!(
        "{{\"id\":{},\"type\":\"message\",\"role\":\"assistant\",\"model\":{},\"content\":[{}],\
         \"stop_reason\":\"{reason}\",\"stop_sequence\":{},\"usage\":{}}}",
        quoted(&message_id(&a.id)),
        quoted(&a.model),
        content.join(","),
        sequence.map_or_else(|| "null".to_owned(), quoted),
        usage(a.usage.as_ref(), context),
    )
}

pub(super) fn message_id(id: &str) -> String {
    format!("msg_{}", names::bare(id))
}

/// The count in Messages' words: what was cached or written is apart from the input. Nothing counted is told as zero,
/// since the members are not optional there.
pub(super) fn usage(u: Option<&Usage>, context: &Context) -> String {
    let none = Usage::default();
    let Usage { input, cached, output, reasoning, cache_write, cache_write_long, .. } = u.unwrap_or(&none);
    let written = cache_write + cache_write_long;
    let thought = match reasoning {
        0 => String::new(),
        n => format!(",\"output_tokens_details\":{{\"thinking_tokens\":{n}}}"),
    };
    let tier = u.and_then(|u| u.tier(context.provider, Dialect::Messages));
    let tier = tier.map_or_else(String::new, |tier| format!(",\"service_tier\":{}", quoted(tier)));
    format!(
        "{{\"input_tokens\":{},\"cache_creation_input_tokens\":{written},\"cache_read_input_tokens\":{cached},\
         \"output_tokens\":{output}{thought}{tier}}}",
        input.saturating_sub(*cached).saturating_sub(written),
    )
}
