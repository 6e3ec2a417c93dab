//! The response object and its output items.

use serde_json::{Value, json};

use crate::answer::Ctx;
use crate::ask::{Ask, Input};
use crate::chat::odd;
use crate::fault::Fault;
use crate::ids::Ids;
use crate::node::{Node, obj};
use crate::turn::{Call, Finish, Turn, UNKNOWN};

/// What the response object says, whatever the answer is.
pub(crate) struct Head {
    pub(crate) id: String,
    pub(crate) fault: Option<Fault>,
    pub(crate) obfuscate: bool,
    /// Whether reasoning may be read.
    pub(crate) shown: bool,
    /// How it begins where it comes sealed.
    seal: Option<String>,
    created: u64,
    model: String,
    tier: &'static str,
    input: Input,
    request: Value,
}

impl Head {
    pub(crate) fn new(ask: &Ask, body: &Value, ctx: &Ctx<'_>, ids: &mut Ids) -> Head {
        let mut request = body.clone();
        if let Some(map) = request.as_object_mut() {
            map.remove("input");
        }
        let includes = body["include"].as_array();
        Head {
            id: ids.hex("resp_", 48),
            fault: ctx.fault,
            obfuscate: body["stream_options"]["include_obfuscation"] != false,
            shown: ask.thinking.is_some_and(|t| t.shown),
            seal: includes
                .is_some_and(|all| all.iter().any(|i| i == "reasoning.encrypted_content"))
                .then(|| ctx.memory.seal().to_owned()),
            created: ctx.now,
            model: ask.name.clone(),
            tier: ask.tier.openai_name(),
            input: ask.input,
            request,
        }
    }
}

/// One output item, as it is announced and as it is when done.
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) added: Node,
    pub(crate) done: Node,
    pub(crate) kind: ItemKind,
}

pub(crate) enum ItemKind {
    Reasoning { text: String },
    Message { text: String, refused: bool },
    Call(Call),
}

/// How far a response has come.
#[derive(Clone, Copy)]
pub(crate) enum Stage<'a> {
    InProgress,
    Over(&'a Turn),
}

/// The items of a turn, in order.
pub(crate) fn output(head: &Head, turn: &Turn, ids: &mut Ids) -> Vec<Item> {
    if head.fault == Some(Fault::EmptyChoices) {
        return Vec::new();
    }
    let mut out = Vec::new();
    if let Some(text) = &turn.thinking {
        out.push(reasoning(head, text, ids));
    }
    let status = if incomplete(&turn.finish).is_some() { "incomplete" } else { "completed" };
    let thought_only = turn.text.is_empty() && turn.thinking.is_some() && turn.finish == Finish::Length;
    if !turn.text.is_empty() || turn.calls.is_empty() && !thought_only {
        let id = ids.hex("msg_", 48);
        let refused = turn.finish == Finish::Refusal;
        let added = message(&id, "in_progress", Vec::new());
        let done = message(&id, status, vec![part(&turn.text, refused)]);
        out.push(Item { id, added, done, kind: ItemKind::Message { text: turn.text.clone(), refused } });
    }
    for call in &turn.calls {
        let id = ids.hex(if call.custom { "ctc_" } else { "fc_" }, 48);
        let added = call_item(call, &id, "", "in_progress");
        let done = call_item(call, &id, &call.arguments, status);
        out.push(Item { id, added, done, kind: ItemKind::Call(call.clone()) });
    }
    out
}

fn reasoning(head: &Head, text: &str, ids: &mut Ids) -> Item {
    let id = ids.hex("rs_", 48);
    let summary = if head.shown { vec![summary(text)] } else { Vec::new() };
    let mut added = obj! {"id": &id, "type": "reasoning", "summary": Vec::new()};
    let mut done = obj! {"id": &id, "type": "reasoning", "summary": summary};
    if let Some(seal) = &head.seal {
        added = added.with("encrypted_content", "");
        done = done.with("encrypted_content", ids.alnum(seal, 60));
    }
    Item { id, added, done, kind: ItemKind::Reasoning { text: text.to_owned() } }
}

pub(crate) fn summary(text: &str) -> Node {
    obj! {"type": "summary_text", "text": text}
}

/// Why a response is not complete, if it is not.
pub(crate) fn incomplete(finish: &Finish) -> Option<&'static str> {
    match finish {
        Finish::Length | Finish::WindowFull => Some("max_output_tokens"),
        Finish::Filtered => Some("content_filter"),
        Finish::Unknown => Some(UNKNOWN),
        Finish::End | Finish::StopSequence(_) | Finish::Tools | Finish::Refusal | Finish::Paused => None,
    }
}

/// A content part with `text`, or with a refusal.
pub(crate) fn part(text: &str, refused: bool) -> Node {
    if refused {
        return obj! {"type": "refusal", "refusal": text};
    }
    obj! {"type": "output_text", "annotations": Vec::new(), "logprobs": Vec::new(), "text": text}
}

fn message(id: &str, status: &str, content: Vec<Node>) -> Node {
    obj! {"id": id, "type": "message", "status": status, "content": content, "role": "assistant"}
}

fn call_item(call: &Call, id: &str, arguments: &str, status: &str) -> Node {
    let kind = if call.custom { "custom_tool_call" } else { "function_call" };
    let node = obj! {"id": id, "type": kind, "status": status};
    let node = if call.custom { node.with("input", arguments) } else { node.with("arguments", arguments) };
    let node = node.with("call_id", &call.id).with("name", &call.name);
    match &call.namespace {
        Some(namespace) => node.with("namespace", namespace),
        None => node,
    }
}

/// The response object.
pub(crate) fn response(head: &Head, stage: Stage<'_>, items: &[Item]) -> Node {
    let asked = |name: &str, default: Value| match &head.request[name] {
        Value::Null => Node::Value(default),
        value => Node::Value(value.clone()),
    };
    let turn = match stage {
        Stage::InProgress => None,
        Stage::Over(turn) => Some(turn),
    };
    let reason = turn.and_then(|turn| incomplete(&turn.finish));
    let status = match (turn, reason) {
        (None, _) => "in_progress",
        (Some(_), Some(_)) => "incomplete",
        (Some(_), None) => "completed",
    };
    let usage = turn.filter(|_| head.fault != Some(Fault::NoUsage)).map(|turn| usage(head, turn));
    let mut out = obj! {
        "id": &head.id,
        "object": "response",
        "created_at": head.created,
        "status": status,
        "background": asked("background", json!(false)),
        "completed_at": (status == "completed").then_some(head.created),
        "error": Node::Null,
        "incomplete_details": reason.map(|reason| obj! {"reason": reason}),
        "instructions": asked("instructions", Value::Null),
        "max_output_tokens": asked("max_output_tokens", Value::Null),
        "max_tool_calls": asked("max_tool_calls", Value::Null),
        "model": &head.model,
        "output": turn.map_or(Vec::new(), |_| items.iter().map(|item| item.done.clone()).collect()),
        "parallel_tool_calls": asked("parallel_tool_calls", json!(true)),
        "previous_response_id": asked("previous_response_id", Value::Null),
        "prompt_cache_key": asked("prompt_cache_key", Value::Null),
        "prompt_cache_retention": asked("prompt_cache_retention", Value::Null),
        "reasoning": obj! {
            "effort": &head.request["reasoning"]["effort"],
            "summary": &head.request["reasoning"]["summary"],
        },
        "safety_identifier": asked("safety_identifier", Value::Null),
        "service_tier": if turn.is_some() { head.tier } else { "auto" },
        "store": asked("store", json!(true)),
        "temperature": asked("temperature", json!(1.0)),
        "text": asked("text", json!({"format": {"type": "text"}, "verbosity": "medium"})),
        "tool_choice": asked("tool_choice", json!("auto")),
        "tools": asked("tools", json!([])),
        "top_logprobs": asked("top_logprobs", json!(0)),
        "top_p": asked("top_p", json!(1.0)),
        "truncation": asked("truncation", json!("disabled")),
        "usage": usage,
        "user": asked("user", Value::Null),
        "metadata": asked("metadata", json!({})),
    };
    if head.fault == Some(Fault::Odd) {
        out = out.with("x_unknown", odd());
    }
    out
}

fn usage(head: &Head, turn: &Turn) -> Node {
    let Input { total, cached, write, write_long, .. } = head.input;
    if head.fault == Some(Fault::ZeroUsage) {
        let (input, output) = (obj! {"cached_tokens": 0u64}, obj! {"reasoning_tokens": 0u64});
        return obj! {
            "input_tokens": 0u64,
            "input_tokens_details": input,
            "output_tokens": 0u64,
            "output_tokens_details": output,
            "total_tokens": 0u64,
        };
    }
    obj! {
        "input_tokens": total,
        "input_tokens_details": obj! {
            "cached_tokens": cached,
            "cache_write_tokens": write + write_long,
            "cache_write_tokens_details": obj! {"ttl_30m_tokens": write, "ttl_12h_tokens": write_long},
        },
        "output_tokens": turn.output_tokens,
        "output_tokens_details": obj! {"reasoning_tokens": turn.thinking_tokens},
        "total_tokens": total + turn.output_tokens,
    }
}
