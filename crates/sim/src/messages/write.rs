//! A Messages answer in one piece.

use serde_json::Value;

use super::blocks;
use crate::answer::Ctx;
use crate::ask::{Ask, Input};
use crate::chat::odd;
use crate::fault::Fault;
use crate::ids::Ids;
use crate::node::{Node, obj};
use crate::turn::{Finish, Turn, UNKNOWN};

/// What belongs to the message as a whole.
pub(crate) struct Head {
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) input: Input,
    pub(crate) fault: Option<Fault>,
    /// Whether the caller may read the thinking.
    pub(crate) shown: bool,
}

impl Head {
    pub(crate) fn new(ask: &Ask, ctx: &Ctx<'_>, ids: &mut Ids) -> Head {
        Head {
            id: ids.alnum("msg_01", 22),
            model: ask.name.clone(),
            input: ask.input,
            fault: ctx.fault,
            shown: ask.thinking.is_none_or(|thinking| thinking.shown),
        }
    }
}

pub(crate) fn message(head: &Head, turn: &Turn) -> String {
    let content = if head.fault == Some(Fault::EmptyChoices) { Vec::new() } else { content(head, turn) };
    envelope(head, content, Some(turn), turn.output_tokens, turn.thinking_tokens).text()
}

fn content(head: &Head, turn: &Turn) -> Vec<Node> {
    let mut out = Vec::new();
    if let Some(text) = &turn.thinking {
        let shown = if head.shown { text.as_str() } else { "" };
        out.push(obj! {"type": "thinking", "thinking": shown, "signature": blocks::signed(text)});
    }
    if !turn.text.is_empty() {
        out.push(obj! {"type": "text", "text": &turn.text});
    }
    for call in &turn.calls {
        // Arguments that were cut off are an empty object here: this API has no half objects.
        let input =
            serde_json::from_str::<Value>(&call.arguments).map_or(obj! {}, |_| Node::Raw(call.arguments.clone()));
        out.push(obj! {"type": "tool_use", "id": &call.id, "name": &call.name, "input": input});
    }
    out
}

/// The message object; without a turn it is not over yet.
pub(crate) fn envelope(head: &Head, content: Vec<Node>, turn: Option<&Turn>, output: u64, thinking: u64) -> Node {
    let mut out = obj! {
        "id": &head.id,
        "type": "message",
        "role": "assistant",
        "model": &head.model,
        "content": content,
        "stop_reason": turn.map(|turn| stop_reason(&turn.finish)),
        "stop_sequence": turn.and_then(|turn| stop_sequence(&turn.finish)),
        "stop_details": turn.and_then(|turn| stop_details(&turn.finish)),
    };
    if head.fault != Some(Fault::NoUsage) {
        out = out.with("usage", usage(head, output, thinking));
    }
    if head.fault == Some(Fault::Odd) {
        out = out.with("x_unknown", odd());
    }
    out
}

pub(crate) fn stop_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::End => "end_turn",
        Finish::Length => "max_tokens",
        Finish::StopSequence(_) => "stop_sequence",
        Finish::Tools => "tool_use",
        Finish::Refusal | Finish::Filtered => "refusal",
        Finish::Paused => "pause_turn",
        Finish::WindowFull => "model_context_window_exceeded",
        Finish::Unknown => UNKNOWN,
    }
}

pub(crate) fn stop_sequence(finish: &Finish) -> Option<&str> {
    match finish {
        Finish::StopSequence(text) => Some(text),
        _ => None,
    }
}

/// More about a refusal.
pub(crate) fn stop_details(finish: &Finish) -> Option<Node> {
    let refused = matches!(finish, Finish::Refusal | Finish::Filtered);
    refused.then(|| obj! {"type": "refusal", "category": Node::Null, "explanation": Node::Null})
}

fn usage(head: &Head, output: u64, thinking: u64) -> Node {
    if head.fault == Some(Fault::ZeroUsage) {
        return obj! {"input_tokens": 0u64, "output_tokens": 0u64};
    }
    let Input { total, cached, write, write_long, .. } = head.input;
    obj! {
        "input_tokens": total - cached - write - write_long,
        "cache_creation_input_tokens": write + write_long,
        "cache_read_input_tokens": cached,
        "cache_creation": obj! {"ephemeral_5m_input_tokens": write, "ephemeral_1h_input_tokens": write_long},
        "output_tokens": output,
        "output_tokens_details": obj! {"thinking_tokens": thinking},
        "service_tier": "standard",
        "inference_geo": "global",
    }
}

/// The usage of `message_delta`, cumulative.
pub(crate) fn delta_usage(head: &Head, turn: &Turn) -> Node {
    match head.fault {
        Some(Fault::ZeroUsage) => return obj! {"output_tokens": 0u64},
        Some(Fault::LeanDelta) => return obj! {"output_tokens": turn.output_tokens},
        _ => {}
    }
    let Input { total, cached, write, write_long, .. } = head.input;
    obj! {
        "input_tokens": total - cached - write - write_long,
        "cache_creation_input_tokens": write + write_long,
        "cache_read_input_tokens": cached,
        "output_tokens": turn.output_tokens,
        "output_tokens_details": obj! {"thinking_tokens": turn.thinking_tokens},
    }
}
