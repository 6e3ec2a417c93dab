//! A streamed Messages answer, written.

use std::{collections::VecDeque, fmt::Write as _};

use serde_json::{Value, json};

use super::answer::{message_id, stop_reason, usage};
use crate::{
    Dialect, ErrorShape, json,
    model::{Event, Stop},
    translate::{BadStream, Context, MOST_HELD},
    usage::Usage,
    write_error_event,
};

/// Writes events: one block open at a time, indexes from 0 without gaps. Nothing in a Chat stream says that a call is
/// over, so it stays open until its arguments are a whole object and another block wants to begin; what comes for other
/// blocks meanwhile waits in order.
#[derive(Debug)]
pub(crate) struct StreamWriter {
    context: Context,
    /// The first is open if `is_open`, the others wait.
    blocks: VecDeque<Block>,
    is_open: bool,
    /// Index of the first.
    index: u64,
    /// Bytes kept in blocks.
    held: usize,
    stop: Option<Stop>,
    usage: Option<Usage>,
}

#[derive(Debug)]
enum Block {
    /// Text that waits; of an open block nothing does.
    Text(String),
    /// A call with all its arguments so far.
    Call { key: u64, id: String, name: String, arguments: String },
}

impl StreamWriter {
    pub(crate) fn new(context: Context) -> StreamWriter {
        StreamWriter { context, blocks: VecDeque::new(), is_open: false, index: 0, held: 0, stop: None, usage: None }
    }

    pub(crate) fn write(&mut self, event: Event, out: &mut String) -> Result<(), BadStream> {
        match event {
            Event::Start { id, model } => put(
                out,
                "message_start",
                &json!({"message": {
                    "id": message_id(&id), "type": "message", "role": "assistant", "model": model, "content": [],
                    "stop_reason": null, "stop_sequence": null, "usage": usage(None),
                }}),
            ),
            Event::Text(text) | Event::Refusal(text) => self.text(&text, out)?,
            Event::CallStart { key, id, name } => {
                let name = self.context.restore(&name);
                self.blocks.push_back(Block::Call { key, id, name, arguments: String::new() });
                self.advance(out);
            }
            Event::CallArguments { key, text } => self.arguments(key, &text, out)?,
            Event::Stop(stop) => self.stop = Some(stop),
            Event::Usage(u) => self.usage = Some(u),
            Event::Error(fault) => {
                let status = crate::map_status(Dialect::Chat, Dialect::Messages, fault.status.unwrap_or(500));
                let bytes = write_error_event(Dialect::Messages, &ErrorShape::of_fault(&fault, status), 0);
                out.push_str(&String::from_utf8_lossy(&bytes));
            }
            Event::End => {
                let stop = self.stop.take().ok_or(BadStream)?;
                while !self.blocks.is_empty() {
                    self.open(out);
                    self.close(out);
                }
                let (reason, sequence) = stop_reason(&stop);
                let delta = json!({"delta": {"stop_reason": reason, "stop_sequence": sequence}, "usage": usage(self.usage.as_ref())});
                put(out, "message_delta", &delta);
                put(out, "message_stop", &json!({}));
            }
        }
        Ok(())
    }

    fn text(&mut self, text: &str, out: &mut String) -> Result<(), BadStream> {
        if !matches!(self.blocks.back(), Some(Block::Text(_))) {
            self.blocks.push_back(Block::Text(String::new()));
            self.advance(out);
        }
        if self.is_open && self.blocks.len() == 1 {
            self.delta(&json!({"type": "text_delta", "text": text}), out);
            return Ok(());
        }
        self.hold(text.len())?;
        if let Some(Block::Text(waiting)) = self.blocks.back_mut() {
            waiting.push_str(text);
        }
        Ok(())
    }

    fn arguments(&mut self, key: u64, text: &str, out: &mut String) -> Result<(), BadStream> {
        let found = self.blocks.iter().rposition(|b| matches!(b, Block::Call { key: k, .. } if *k == key));
        let Some(place) = found else {
            // A call whose arguments were whole has been closed: only white space can follow.
            return if text.trim().is_empty() { Ok(()) } else { Err(BadStream) };
        };
        self.hold(text.len())?;
        if let Some(Block::Call { arguments, .. }) = self.blocks.get_mut(place) {
            arguments.push_str(text);
        }
        if place == 0 && self.is_open {
            self.delta(&json!({"type": "input_json_delta", "partial_json": text}), out);
        }
        self.advance(out);
        Ok(())
    }

    fn hold(&mut self, more: usize) -> Result<(), BadStream> {
        self.held += more;
        if self.held > MOST_HELD { Err(BadStream) } else { Ok(()) }
    }

    /// Opens the first block, and goes on to the next as long as one waits and the open one is whole.
    fn advance(&mut self, out: &mut String) {
        loop {
            self.open(out);
            if self.blocks.len() < 2 {
                return;
            }
            if let Some(Block::Call { arguments, .. }) = self.blocks.front()
                && !(arguments.trim_end().ends_with('}') && json::check(arguments.as_bytes()).is_ok())
            {
                return;
            }
            self.close(out);
        }
    }

    /// Begins the first block, with what it holds.
    fn open(&mut self, out: &mut String) {
        if std::mem::replace(&mut self.is_open, !self.blocks.is_empty()) {
            return;
        }
        let (block, first) = match self.blocks.front_mut() {
            None => return,
            Some(Block::Text(waiting)) => {
                let text = std::mem::take(waiting);
                self.held -= text.len();
                let first = (!text.is_empty()).then(|| json!({"type": "text_delta", "text": text}));
                (json!({"type": "text", "text": ""}), first)
            }
            Some(Block::Call { id, name, arguments, .. }) => {
                let first =
                    (!arguments.is_empty()).then(|| json!({"type": "input_json_delta", "partial_json": arguments}));
                (json!({"type": "tool_use", "id": id, "name": name, "input": {}}), first)
            }
        };
        put(out, "content_block_start", &json!({"index": self.index, "content_block": block}));
        if let Some(delta) = first {
            self.delta(&delta, out);
        }
    }

    fn delta(&self, delta: &Value, out: &mut String) {
        put(out, "content_block_delta", &json!({"index": self.index, "delta": delta}));
    }

    /// Ends the first block.
    fn close(&mut self, out: &mut String) {
        self.is_open = false;
        if let Some(block) = self.blocks.pop_front() {
            if let Block::Call { arguments, .. } = block {
                self.held -= arguments.len();
            }
            put(out, "content_block_stop", &json!({"index": self.index}));
            self.index += 1;
        }
    }
}

/// One event, its type first in its data.
fn put(out: &mut String, name: &str, members: &Value) {
    let mut data = json!({"type": name});
    if let (Some(data), Some(members)) = (data.as_object_mut(), members.as_object()) {
        data.extend(members.clone());
    }
    let _ = write!(out, "event: {name}\ndata: {data}\n\n");
}
