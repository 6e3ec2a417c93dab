//! A Chat Completions answer in one piece.

use serde_json::Value;

use crate::answer::Ctx;
use crate::ask::{Ask, Input};
use crate::fault::Fault;
use crate::ids::Ids;
use crate::node::{Node, obj};
use crate::turn::{Call, Finish, Turn, UNKNOWN};

/// What every chunk repeats.
pub(crate) struct Head {
    pub(crate) id: String,
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) tier: &'static str,
    pub(crate) input: Input,
    pub(crate) fault: Option<Fault>,
    pub(crate) include_usage: bool,
    pub(crate) obfuscate: bool,
    pub(crate) logprobs: bool,
}

impl Head {
    pub(crate) fn new(ask: &Ask, body: &Value, ctx: &Ctx<'_>, ids: &mut Ids) -> Head {
        Head {
            id: ids.alnum("chatcmpl-", 29),
            created: ctx.now,
            model: ask.name.clone(),
            tier: ask.tier.openai_name(),
            input: ask.input,
            fault: ctx.fault,
            include_usage: body["stream_options"]["include_usage"] == true,
            obfuscate: body["stream_options"]["include_obfuscation"] != false,
            logprobs: body["logprobs"] == true,
        }
    }
}

pub(crate) fn completion(head: &Head, turns: &[Turn]) -> String {
    let choices: Vec<Node> = match head.fault == Some(Fault::EmptyChoices) {
        true => Vec::new(),
        false => turns.iter().enumerate().map(|(i, turn)| choice(head, i, turn)).collect(),
    };
    let mut out = obj! {
        "id": &head.id,
        "object": "chat.completion",
        "created": head.created,
        "model": &head.model,
        "choices": choices,
    };
    if head.fault != Some(Fault::NoUsage) {
        out = out.with("usage", usage(head, turns));
    }
    out = out.with("service_tier", head.tier).with("system_fingerprint", "fp_50cad350e4");
    if head.fault == Some(Fault::Odd) {
        out = out.with("x_unknown", odd());
    }
    out.text()
}

/// Unknown members in forms that a careless re-encoding would change.
pub(crate) fn odd() -> Node {
    Node::Raw(
        r#"{"a":1.0e2,  "big": 12345678901234567890123,"neg":-0.0,"esc":"\u00e9\/\ud83d\ude00","n":null ,"z":[ 1.50 ]}"#
            .to_owned(),
    )
}

fn choice(head: &Head, index: usize, turn: &Turn) -> Node {
    let refused = turn.finish == Finish::Refusal;
    let silent = refused || turn.text.is_empty() && !turn.calls.is_empty();
    let mut message = obj! {
        "role": "assistant",
        "content": (!silent).then_some(&turn.text),
        "refusal": refused.then_some(&turn.text),
        "annotations": Vec::new(),
    };
    if !turn.calls.is_empty() {
        let calls: Vec<Node> = turn.calls.iter().map(call).collect();
        message = message.with("tool_calls", calls);
    }
    obj! {
        "index": index,
        "message": message,
        "logprobs": logprobs(head, &turn.text),
        "finish_reason": finish_reason(&turn.finish),
    }
}

/// A made-up log probability for a piece of text, if they were asked for.
pub(crate) fn logprobs(head: &Head, piece: &str) -> Node {
    if !head.logprobs || piece.is_empty() {
        return Node::Null;
    }
    let bytes: Vec<Node> = piece.bytes().map(|b| Node::Int(u64::from(b))).collect();
    let token = obj! {"token": piece, "logprob": Node::Raw("-0.25".into()), "bytes": bytes, "top_logprobs": Vec::new()};
    obj! {"content": vec![token], "refusal": Node::Null}
}

fn call(call: &Call) -> Node {
    obj! {
        "id": &call.id,
        "type": "function",
        "function": obj! {"name": &call.name, "arguments": &call.arguments},
    }
}

pub(crate) fn finish_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::End | Finish::StopSequence(_) | Finish::Refusal | Finish::Paused => "stop",
        Finish::Length | Finish::WindowFull => "length",
        Finish::Tools => "tool_calls",
        Finish::Filtered => "content_filter",
        Finish::Unknown => UNKNOWN,
    }
}

pub(crate) fn usage(head: &Head, turns: &[Turn]) -> Node {
    let output: u64 = turns.iter().map(|t| t.output_tokens).sum();
    let reasoning: u64 = turns.iter().map(|t| t.thinking_tokens).sum();
    let Input { total, cached, write, write_long, .. } = head.input;
    if head.fault == Some(Fault::ZeroUsage) {
        return obj! {"prompt_tokens": 0u64, "completion_tokens": 0u64, "total_tokens": 0u64};
    }
    obj! {
        "prompt_tokens": total,
        "completion_tokens": output,
        "total_tokens": total + output,
        "prompt_tokens_details": obj! {
            "cached_tokens": cached,
            "cache_write_tokens": write + write_long,
            "audio_tokens": 0u64,
        },
        "completion_tokens_details": obj! {
            "reasoning_tokens": reasoning,
            "audio_tokens": 0u64,
            "accepted_prediction_tokens": 0u64,
            "rejected_prediction_tokens": 0u64,
        },
    }
}
