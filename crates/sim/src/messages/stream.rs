//! A Messages answer as events.

use super::blocks;
use super::write::{Head, delta_usage, envelope, stop_details, stop_reason, stop_sequence};
use crate::answer::Event;
use crate::chat::odd;
use crate::fault::Fault;
use crate::node::{Node, obj};
use crate::tokens;
use crate::turn::Turn;

pub(crate) fn events(head: &Head, turn: &Turn) -> Vec<Event> {
    let start = obj! {"type": "message_start", "message": envelope(head, Vec::new(), None, 1, 0)};
    let mut out = vec![frame("message_start", start)];
    if head.fault != Some(Fault::EmptyChoices) {
        content(head, turn, &mut out);
    }
    let says_why = head.fault != Some(Fault::NoFinishReason);
    let delta = obj! {
        "stop_reason": says_why.then(|| stop_reason(&turn.finish)),
        "stop_sequence": stop_sequence(&turn.finish),
        "stop_details": stop_details(&turn.finish),
    };
    let mut last = obj! {"type": "message_delta", "delta": delta};
    if head.fault != Some(Fault::NoUsage) {
        last = last.with("usage", delta_usage(head, turn));
    }
    out.push(frame("message_delta", last));
    out.push(Event::end(Some("message_stop"), obj! {"type": "message_stop"}.text()));
    out
}

fn content(head: &Head, turn: &Turn, out: &mut Vec<Event>) {
    let mut index = 0u64;
    let mut pinged = false;
    if let Some(text) = &turn.thinking {
        out.push(start(index, obj! {"type": "thinking", "thinking": "", "signature": ""}));
        ping(head, &mut pinged, out);
        if head.shown {
            for piece in tokens::pieces(text) {
                out.push(delta(index, obj! {"type": "thinking_delta", "thinking": piece}, tokens::count(piece)));
            }
        }
        let hidden = if head.shown { 0 } else { turn.thinking_tokens };
        let signature = obj! {"type": "signature_delta", "signature": blocks::signed(text)};
        out.push(Event { tokens: hidden, ..frame("content_block_delta", delta_node(index, signature)) });
        out.push(stop(index));
        index += 1;
    }
    if !turn.text.is_empty() {
        out.push(start(index, obj! {"type": "text", "text": ""}));
        ping(head, &mut pinged, out);
        for piece in tokens::pieces(&turn.text) {
            out.push(delta(index, obj! {"type": "text_delta", "text": piece}, tokens::count(piece)));
        }
        out.push(stop(index));
        index += 1;
    }
    for call in &turn.calls {
        let block = obj! {"type": "tool_use", "id": &call.id, "name": &call.name, "input": obj! {}};
        let node = obj! {"type": "content_block_start", "index": index, "content_block": block};
        out.push(Event::content(Some("content_block_start"), node.text(), tokens::count(&call.name)));
        ping(head, &mut pinged, out);
        out.push(delta(index, obj! {"type": "input_json_delta", "partial_json": ""}, 0));
        for piece in tokens::pieces(&call.arguments) {
            out.push(delta(index, obj! {"type": "input_json_delta", "partial_json": piece}, tokens::count(piece)));
        }
        out.push(stop(index));
        index += 1;
    }
}

/// The API sends a ping after the first block has begun.
fn ping(head: &Head, pinged: &mut bool, out: &mut Vec<Event>) {
    if std::mem::replace(pinged, true) {
        return;
    }
    out.push(frame("ping", obj! {"type": "ping"}));
    if head.fault == Some(Fault::Odd) {
        out.push(frame("x_unknown", obj! {"type": "x_unknown", "x_unknown": odd()}));
    }
}

fn frame(name: &'static str, node: Node) -> Event {
    Event::frame(Some(name), node.text())
}

fn start(index: u64, block: Node) -> Event {
    frame("content_block_start", obj! {"type": "content_block_start", "index": index, "content_block": block})
}

fn stop(index: u64) -> Event {
    frame("content_block_stop", obj! {"type": "content_block_stop", "index": index})
}

fn delta_node(index: u64, delta: Node) -> Node {
    obj! {"type": "content_block_delta", "index": index, "delta": delta}
}

fn delta(index: u64, delta: Node, tokens: u64) -> Event {
    let text = delta_node(index, delta).text();
    match tokens {
        0 => Event::frame(Some("content_block_delta"), text),
        tokens => Event::content(Some("content_block_delta"), text, tokens),
    }
}
