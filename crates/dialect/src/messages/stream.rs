//! A streamed Messages answer, read and written.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::answer::{message_id, stop, stop_reason, usage};
use crate::{
    Dialect, ErrorShape,
    fault::of_value,
    model::{Event, Stop},
    sse::Frame,
    translate::{BadStream, Context},
    usage::{Anthropic, Usage},
    write_error_event,
};

/// Reads events.
#[derive(Debug, Default)]
pub(crate) struct StreamReader {
    counted: Anthropic,
    stopped: bool,
}

impl StreamReader {
    pub(crate) fn read(&mut self, frame: &Frame, out: &mut Vec<Event>) -> Result<(), BadStream> {
        if frame.is_comment() {
            return Ok(());
        }
        let v: Value = serde_json::from_slice(frame.data()).map_err(|_| BadStream)?;
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let key = v["index"].as_u64().unwrap_or(0);
        match v["type"].as_str().unwrap_or_default() {
            "message_start" => {
                let m = &v["message"];
                out.push(Event::Start { id: text(&m["id"]), model: text(&m["model"]) });
                self.count(&m["usage"]);
            }
            "content_block_start" if v["content_block"]["type"] == "tool_use" => {
                let block = &v["content_block"];
                out.push(Event::CallStart { key, id: text(&block["id"]), name: text(&block["name"]) });
            }
            "content_block_start" if v["content_block"]["type"] == "text" => {
                let first = text(&v["content_block"]["text"]);
                if !first.is_empty() {
                    out.push(Event::Text(first));
                }
            }
            "content_block_delta" => match v["delta"]["type"].as_str() {
                Some("text_delta") => out.push(Event::Text(text(&v["delta"]["text"]))),
                Some("input_json_delta") => {
                    let part = text(&v["delta"]["partial_json"]);
                    if !part.is_empty() {
                        out.push(Event::CallArguments { key, text: part });
                    }
                }
                // Thinking and its signature must never become visible text.
                _ => {}
            },
            "message_delta" => {
                self.count(&v["usage"]);
                if let Some(reason) = v["delta"]["stop_reason"].as_str() {
                    self.stopped = true;
                    out.push(Event::Stop(stop(Some(reason), v["delta"]["stop_sequence"].as_str())));
                }
            }
            "message_stop" => {
                if !self.stopped {
                    return Err(BadStream);
                }
                if let Some(u) = self.counted.usage() {
                    out.push(Event::Usage(u));
                }
                out.push(Event::End);
            }
            "error" => out.push(Event::Error(Box::new(of_value(Dialect::Messages, &v)))),
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, usage: &Value) {
        if let Some(u) = Anthropic::read(usage) {
            self.counted.merge(u);
        }
    }
}

/// Writes events: one block open at a time, indexes from 0 without gaps. Once a call is open, what belongs to another
/// block waits in order, since nothing says that the open call is over before the stream stops.
#[derive(Debug)]
pub(crate) struct StreamWriter {
    context: Context,
    next: u64,
    open: Option<Open>,
    waiting: Vec<Waiting>,
    stop: Option<Stop>,
    usage: Option<Usage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Text,
    Call(u64),
}

/// A block that waits.
#[derive(Debug)]
enum Waiting {
    Text(String),
    Call { key: u64, id: String, name: String, arguments: String },
}

impl StreamWriter {
    pub(crate) fn new(context: Context) -> StreamWriter {
        StreamWriter { context, next: 0, open: None, waiting: vec![], stop: None, usage: None }
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
            Event::Text(text) | Event::Refusal(text) => self.text(text, out),
            Event::CallStart { key, id, name } => self.call(key, id, name, out),
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
                self.close(out);
                for block in std::mem::take(&mut self.waiting) {
                    self.whole(block, out);
                }
                let (reason, sequence) = stop_reason(&stop);
                let delta = json!({"delta": {"stop_reason": reason, "stop_sequence": sequence}, "usage": usage(self.usage.as_ref())});
                put(out, "message_delta", &delta);
                put(out, "message_stop", &json!({}));
            }
        }
        Ok(())
    }

    fn text(&mut self, text: String, out: &mut String) {
        if let Some(Open::Call(_)) = self.open {
            match self.waiting.last_mut() {
                Some(Waiting::Text(t)) => t.push_str(&text),
                _ => self.waiting.push(Waiting::Text(text)),
            }
            return;
        }
        if self.open.is_none() {
            self.start(Open::Text, &json!({"type": "text", "text": ""}), out);
        }
        self.delta(&json!({"type": "text_delta", "text": text}), out);
    }

    fn call(&mut self, key: u64, id: String, name: String, out: &mut String) {
        let name = self.context.restore(&name);
        if let Some(Open::Call(_)) = self.open {
            return self.waiting.push(Waiting::Call { key, id, name, arguments: String::new() });
        }
        self.close(out);
        self.start(Open::Call(key), &json!({"type": "tool_use", "id": id, "name": name, "input": {}}), out);
    }

    fn arguments(&mut self, key: u64, text: &str, out: &mut String) -> Result<(), BadStream> {
        if self.open == Some(Open::Call(key)) {
            self.delta(&json!({"type": "input_json_delta", "partial_json": text}), out);
            return Ok(());
        }
        let waiting = self.waiting.iter_mut().rev().find_map(|w| match w {
            Waiting::Call { key: k, arguments, .. } if *k == key => Some(arguments),
            _ => None,
        });
        waiting.ok_or(BadStream)?.push_str(text);
        Ok(())
    }

    /// A block that waited, all at once.
    fn whole(&mut self, block: Waiting, out: &mut String) {
        match block {
            Waiting::Text(text) => {
                self.start(Open::Text, &json!({"type": "text", "text": ""}), out);
                self.delta(&json!({"type": "text_delta", "text": text}), out);
            }
            Waiting::Call { key, id, name, arguments } => {
                self.start(Open::Call(key), &json!({"type": "tool_use", "id": id, "name": name, "input": {}}), out);
                if !arguments.is_empty() {
                    self.delta(&json!({"type": "input_json_delta", "partial_json": arguments}), out);
                }
            }
        }
        self.close(out);
    }

    fn start(&mut self, open: Open, block: &Value, out: &mut String) {
        put(out, "content_block_start", &json!({"index": self.next, "content_block": block}));
        self.open = Some(open);
    }

    fn delta(&self, delta: &Value, out: &mut String) {
        put(out, "content_block_delta", &json!({"index": self.next, "delta": delta}));
    }

    fn close(&mut self, out: &mut String) {
        if self.open.take().is_some() {
            put(out, "content_block_stop", &json!({"index": self.next}));
            self.next += 1;
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
