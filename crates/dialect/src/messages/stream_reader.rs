//! A streamed Messages answer, read.

use std::borrow::Cow;

use serde_json::Value;

use super::answer::stop;
use crate::{
    Dialect, delta,
    fault::of_value,
    model::{Event, Seal},
    sse::Frame,
    translate::{BadStream, MOST_CALLS},
    usage::Anthropic,
};

/// Reads events.
#[derive(Debug, Default)]
pub(crate) struct StreamReader {
    counted: Anthropic,
    started: bool,
    stopped: bool,
    calls: usize,
    /// The open block, if it is a call: its index, and the arguments that it began with until others come.
    call: Option<(u64, Option<String>)>,
    /// The open block, if it is a thought: its signature so far.
    thought: Option<String>,
}

impl StreamReader {
    /// The text, where the event is nothing but some more of it.
    pub(crate) fn text<'a>(&self, frame: &'a Frame) -> Option<Cow<'a, str>> {
        if self.started && self.thought.is_none() { delta::messages(frame.data()) } else { None }
    }

    pub(crate) fn read(&mut self, frame: &Frame, out: &mut Vec<Event>) -> Result<(), BadStream> {
        if frame.is_comment() {
            return Ok(());
        }
        let Ok(v @ Value::Object(_)) = serde_json::from_slice(frame.data()) else { return Err(BadStream) };
        let kind = v["type"].as_str().unwrap_or_default();
        match kind {
            "error" => out.push(Event::Error(Box::new(of_value(Dialect::Messages, &v)))),
            "message_start" if !self.started => {
                self.started = true;
                let m = &v["message"];
                out.push(Event::Start { id: text(&m["id"]), model: text(&m["model"]) });
                self.count(&m["usage"]);
            }
            "content_block_start" | "content_block_delta" | "content_block_stop" | "message_delta" | "message_stop"
                if !self.started =>
            {
                return Err(BadStream);
            }
            "content_block_start" => self.block(&v, out)?,
            "content_block_delta" => self.delta(&v, out),
            "content_block_stop" => {
                // A call without arguments has the empty object.
                if let Some((key, Some(first))) = self.call.take() {
                    out.push(Event::CallArguments { key, text: first });
                }
                if let Some(signature) = self.thought.take() {
                    out.push(Event::ThoughtEnd((!signature.is_empty()).then_some(Seal::Signature(signature))));
                }
            }
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
                out.extend(self.counted.usage().map(Event::Usage));
                out.push(Event::End);
            }
            _ => {}
        }
        Ok(())
    }

    fn block(&mut self, v: &Value, out: &mut Vec<Event>) -> Result<(), BadStream> {
        let block = &v["content_block"];
        self.call = None;
        self.thought = None;
        match block["type"].as_str() {
            Some("tool_use") => {
                self.calls += 1;
                let (Some(id), Some(name)) = (some(&block["id"]), some(&block["name"])) else { return Err(BadStream) };
                if self.calls > MOST_CALLS {
                    return Err(BadStream);
                }
                let key = self.calls as u64;
                let input = if block["input"].is_object() { block["input"].to_string() } else { "{}".to_owned() };
                self.call = Some((key, Some(input)));
                out.push(Event::CallStart { key, id, name });
            }
            Some("text") => out.extend(some(&block["text"]).map(Event::Text)),
            Some("thinking") => {
                self.thought = Some(text(&block["signature"]));
                out.extend(some(&block["thinking"]).map(Event::Thought));
            }
            Some("redacted_thinking") => out.push(Event::ThoughtEnd(some(&block["data"]).map(Seal::Redacted))),
            // Other blocks are of tools that the provider runs.
            _ => {}
        }
        Ok(())
    }

    fn delta(&mut self, v: &Value, out: &mut Vec<Event>) {
        if let Some(signature) = &mut self.thought {
            out.extend(some(&v["delta"]["thinking"]).map(Event::Thought));
            signature.push_str(v["delta"]["signature"].as_str().unwrap_or_default());
            return;
        }
        match (v["delta"]["type"].as_str(), &mut self.call) {
            (Some("text_delta"), _) => out.extend(some(&v["delta"]["text"]).map(Event::Text)),
            (Some("input_json_delta"), Some((key, first))) => {
                if let Some(text) = some(&v["delta"]["partial_json"]) {
                    *first = None;
                    out.push(Event::CallArguments { key: *key, text });
                }
            }
            _ => {}
        }
    }

    fn count(&mut self, usage: &Value) {
        if let Some(u) = Anthropic::of_value(usage) {
            self.counted.merge(u);
        }
    }
}

fn text(v: &Value) -> String {
    v.as_str().unwrap_or_default().to_owned()
}

fn some(v: &Value) -> Option<String> {
    v.as_str().filter(|s| !s.is_empty()).map(str::to_owned)
}
