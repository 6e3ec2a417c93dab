//! A response as the events of its making.

use super::write::{Head, Item, ItemKind, Stage, incomplete, part, response, summary};
use crate::answer::{Event, Kind};
use crate::chat::odd;
use crate::fault::Fault;
use crate::node::{Node, obj};
use crate::tokens;
use crate::turn::{Call, Turn};

struct Writer<'a> {
    head: &'a Head,
    events: Vec<Event>,
}

/// All events of a turn; `whole` is the finished response object.
pub(crate) fn events(head: &Head, turn: &Turn, items: &[Item], whole: &str) -> Vec<Event> {
    let mut out = Writer { head, events: Vec::new() };
    let begun = response(head, Stage::InProgress, &[]).text();
    out.push("response.created", obj! {"response": Node::Raw(begun.clone())}, Kind::Frame, 0);
    out.push("response.in_progress", obj! {"response": Node::Raw(begun)}, Kind::Frame, 0);
    if head.fault == Some(Fault::Odd) {
        out.push("response.x_unknown", obj! {"x_unknown": odd()}, Kind::Frame, 0);
    }
    for (index, item) in items.iter().enumerate() {
        out.item(index, item);
    }
    if head.fault == Some(Fault::NoFinishReason) {
        return out.events;
    }
    let last = if incomplete(&turn.finish).is_some() { "response.incomplete" } else { "response.completed" };
    out.push(last, obj! {"response": Node::Raw(whole.to_owned())}, Kind::End, 0);
    out.events
}

impl Writer<'_> {
    fn item(&mut self, index: usize, item: &Item) {
        let added = obj! {"output_index": index, "item": item.added.clone()};
        match &item.kind {
            ItemKind::Reasoning { text } => {
                let hidden = if self.head.shown { 0 } else { tokens::count(text) };
                self.push("response.output_item.added", added, Kind::Frame, hidden);
                if self.head.shown {
                    self.reasoning(index, &item.id, text);
                }
            }
            ItemKind::Message { text, refused } => {
                self.push("response.output_item.added", added, Kind::Frame, 0);
                self.message(index, &item.id, text, *refused);
            }
            ItemKind::Call(call) => {
                self.push("response.output_item.added", added, Kind::Content, tokens::count(&call.name));
                self.call(index, &item.id, call);
            }
        }
        let done = obj! {"output_index": index, "item": item.done.clone()};
        self.push("response.output_item.done", done, Kind::Frame, 0);
    }

    fn reasoning(&mut self, index: usize, id: &str, text: &str) {
        let at = || obj! {"item_id": id, "output_index": index, "summary_index": 0u64};
        self.push("response.reasoning_summary_part.added", at().with("part", summary("")), Kind::Frame, 0);
        for piece in tokens::pieces(text) {
            self.delta("response.reasoning_summary_text.delta", at().with("delta", piece), piece);
        }
        self.push("response.reasoning_summary_text.done", at().with("text", text), Kind::Frame, 0);
        self.push("response.reasoning_summary_part.done", at().with("part", summary(text)), Kind::Frame, 0);
    }

    fn message(&mut self, index: usize, id: &str, text: &str, refused: bool) {
        let at = || obj! {"item_id": id, "output_index": index, "content_index": 0u64};
        self.push("response.content_part.added", at().with("part", part("", refused)), Kind::Frame, 0);
        for piece in tokens::pieces(text) {
            let delta = at().with("delta", piece);
            match refused {
                true => self.delta("response.refusal.delta", delta, piece),
                false => self.delta("response.output_text.delta", delta.with("logprobs", Vec::new()), piece),
            }
        }
        let (name, done) = match refused {
            true => ("response.refusal.done", at().with("refusal", text)),
            false => ("response.output_text.done", at().with("text", text).with("logprobs", Vec::new())),
        };
        self.push(name, done, Kind::Frame, 0);
        self.push("response.content_part.done", at().with("part", part(text, refused)), Kind::Frame, 0);
    }

    fn call(&mut self, index: usize, id: &str, call: &Call) {
        let at = || obj! {"item_id": id, "output_index": index};
        let (delta, done, whole) = match call.custom {
            true => ("response.custom_tool_call_input.delta", "response.custom_tool_call_input.done", "input"),
            false => ("response.function_call_arguments.delta", "response.function_call_arguments.done", "arguments"),
        };
        let in_done = self.head.fault == Some(Fault::ArgumentsInDone);
        for piece in tokens::pieces(&call.arguments).into_iter().filter(|_| !in_done) {
            self.delta(delta, at().with("delta", piece), piece);
        }
        let late = if in_done { tokens::count(&call.arguments) } else { 0 };
        self.push(done, at().with(whole, &call.arguments), Kind::Frame, late);
    }

    fn delta(&mut self, name: &'static str, body: Node, piece: &str) {
        let body = match self.head.obfuscate {
            true => body.with("obfuscation", "a1B2c3D4"[..8 - piece.len() % 8].to_owned()),
            false => body,
        };
        self.push(name, body, Kind::Content, tokens::count(piece));
    }

    /// Adds an event; `body`'s members follow type and number.
    fn push(&mut self, name: &'static str, body: Node, kind: Kind, tokens: u64) {
        let mut data = obj! {"type": name, "sequence_number": self.events.len()};
        if let Node::Map(members) = body {
            for (name, value) in members {
                data = data.with(name, value);
            }
        }
        self.events.push(Event { name: Some(name), data: data.text(), kind, tokens });
    }
}
