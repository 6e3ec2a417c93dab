//! A Chat Completions answer as chunks.

use super::write::{Head, finish_reason, logprobs, odd, usage};
use crate::answer::Event;
use crate::fault::Fault;
use crate::ids::Ids;
use crate::node::{Node, obj};
use crate::tokens;
use crate::turn::{Call, Finish, Turn};

pub(crate) fn events(head: &Head, turns: &[Turn], ids: &mut Ids) -> Vec<Event> {
    let mut out = Vec::new();
    if head.fault == Some(Fault::EmptyChoices) {
        out.push(Event::frame(None, chunk(head, Vec::new(), None).text()));
    } else {
        for (index, turn) in turns.iter().enumerate() {
            choice(head, index, turn, ids, &mut out);
        }
        if head.fault != Some(Fault::NoFinishReason) {
            finishes(head, turns, ids, &mut out);
        }
    }
    if head.include_usage && head.fault != Some(Fault::UsageWithChoices) && head.fault != Some(Fault::NoUsage) {
        out.push(Event::frame(None, chunk(head, Vec::new(), Some(usage(head, turns))).text()));
    }
    out.push(Event::end(None, "[DONE]".to_owned()));
    out
}

/// The role, the text and the tool calls of one choice.
fn choice(head: &Head, index: usize, turn: &Turn, ids: &mut Ids, out: &mut Vec<Event>) {
    let refused = turn.finish == Finish::Refusal;
    if head.fault != Some(Fault::NoRole) {
        let content = if turn.text.is_empty() && !turn.calls.is_empty() { Node::Null } else { Node::from("") };
        let role = obj! {"role": "assistant", "content": content, "refusal": Node::Null};
        out.push(Event::frame(None, delta(head, index, role, Node::Null, ids)));
    }
    // Reasoning is not shown in this API: its tokens are spent before the first word.
    let mut spent = turn.thinking_tokens;
    for piece in tokens::pieces(&turn.text) {
        spent += tokens::count(piece);
        let mut said = if refused {
            obj! {"refusal": piece}
        } else {
            obj! {"content": piece}
        };
        if head.fault == Some(Fault::EmptyToolCalls) {
            said = said.with("tool_calls", Vec::new());
        }
        let data = delta(head, index, said, logprobs(head, piece), ids);
        out.push(Event::content(None, data, std::mem::take(&mut spent)));
    }
    for (fragment, tokens) in fragments(head, turn) {
        let data = delta(head, index, obj! {"tool_calls": vec![fragment]}, Node::Null, ids);
        out.push(Event::content(None, data, tokens + std::mem::take(&mut spent)));
    }
}

/// The fragments of all calls, with their tokens.
fn fragments(head: &Head, turn: &Turn) -> Vec<(Node, u64)> {
    let mut out: Vec<(usize, usize, Node, u64)> = Vec::new();
    for (nth, call) in turn.calls.iter().enumerate() {
        out.push((0, nth, begun(nth, call), tokens::count(&call.name)));
        for (k, piece) in tokens::pieces(&call.arguments).into_iter().enumerate() {
            let more = obj! {"index": nth, "function": obj! {"arguments": piece}};
            out.push((k + 1, nth, more, tokens::count(piece)));
        }
    }
    if head.fault == Some(Fault::InterleavedTools) {
        out.sort_by_key(|(k, nth, ..)| (*k, *nth));
    }
    out.into_iter().map(|(_, _, fragment, tokens)| (fragment, tokens)).collect()
}

/// The first fragment of a call: the only one with its id and name.
fn begun(nth: usize, call: &Call) -> Node {
    let function = obj! {"name": &call.name, "arguments": ""};
    obj! {"index": nth, "id": &call.id, "type": "function", "function": function}
}

fn finishes(head: &Head, turns: &[Turn], ids: &mut Ids, out: &mut Vec<Event>) {
    for (index, turn) in turns.iter().enumerate() {
        let choice = obj! {
            "index": index,
            "delta": obj! {},
            "logprobs": Node::Null,
            "finish_reason": finish_reason(&turn.finish),
        };
        let last = index + 1 == turns.len() && head.fault == Some(Fault::UsageWithChoices) && head.include_usage;
        let mut node = chunk(head, vec![choice], last.then(|| usage(head, turns)));
        if head.obfuscate {
            node = node.with("obfuscation", ids.alnum("", 4));
        }
        // A turn that produced nothing but hidden reasoning is charged here.
        let tokens = if turn.text.is_empty() && turn.calls.is_empty() { turn.output_tokens } else { 0 };
        out.push(Event { tokens, ..Event::frame(None, node.text()) });
    }
}

fn delta(head: &Head, index: usize, delta: Node, logprobs: Node, ids: &mut Ids) -> String {
    let choice = obj! {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": Node::Null};
    let mut node = chunk(head, vec![choice], None);
    if head.obfuscate {
        node = node.with("obfuscation", ids.alnum("", 8));
    }
    node.text()
}

fn chunk(head: &Head, choices: Vec<Node>, usage: Option<Node>) -> Node {
    let mut out = obj! {
        "id": &head.id,
        "object": "chat.completion.chunk",
        "created": head.created,
        "model": &head.model,
        "service_tier": head.tier,
        "system_fingerprint": "fp_50cad350e4",
        "choices": choices,
    };
    if head.include_usage && head.fault != Some(Fault::NoUsage) {
        out = out.with("usage", usage);
    }
    if head.fault == Some(Fault::Odd) {
        out = out.with("x_unknown", odd());
    }
    out
}
