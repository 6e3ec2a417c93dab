//! A streamed Chat answer, read and written.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::answer::{chat_id, finish_reason, stop, usage};
use crate::{
    Dialect, ErrorShape,
    fault::of_value,
    model::{Event, Stop},
    sse::Frame,
    translate::{BadStream, Context},
    usage::of_members,
    write_error_event,
};

/// Reads chunks.
#[derive(Debug, Default)]
pub(crate) struct StreamReader {
    started: bool,
    has_calls: bool,
    refused: bool,
    finished: bool,
}

impl StreamReader {
    pub(crate) fn read(&mut self, frame: &Frame, out: &mut Vec<Event>) -> Result<(), BadStream> {
        if frame.is_comment() {
            return Ok(());
        }
        if frame.data().trim_ascii() == b"[DONE]" {
            // A stream that never said why it ended was cut, whatever its terminator claims.
            if !self.finished {
                return Err(BadStream);
            }
            out.push(Event::End);
            return Ok(());
        }
        let v: Value = serde_json::from_slice(frame.data()).map_err(|_| BadStream)?;
        if v["error"].is_object() || v["error"].is_string() {
            out.push(Event::Error(Box::new(of_value(Dialect::Chat, &v))));
            return Ok(());
        }
        if !self.started {
            self.started = true;
            let text = |name: &str| v[name].as_str().unwrap_or_default().to_owned();
            out.push(Event::Start { id: text("id"), model: text("model") });
        }
        // Several choices cannot be told apart elsewhere; the first is the answer.
        for choice in v["choices"].as_array().into_iter().flatten().filter(|c| c["index"].as_u64().unwrap_or(0) == 0) {
            self.choice(choice, out);
        }
        if let Some(u) = of_members(Dialect::Chat, &v["usage"], &v["service_tier"]) {
            out.push(Event::Usage(u));
        }
        Ok(())
    }

    fn choice(&mut self, choice: &Value, out: &mut Vec<Event>) {
        let d = &choice["delta"];
        let some = |v: &Value| v.as_str().filter(|s| !s.is_empty()).map(str::to_owned);
        if let Some(text) = some(&d["content"]) {
            out.push(Event::Text(text));
        }
        if let Some(text) = some(&d["refusal"]) {
            self.refused = true;
            out.push(Event::Refusal(text));
        }
        for call in d["tool_calls"].as_array().into_iter().flatten() {
            let key = call["index"].as_u64().unwrap_or(0);
            let f = &call["function"];
            if let Some(name) = some(&f["name"]) {
                self.has_calls = true;
                out.push(Event::CallStart { key, id: some(&call["id"]).unwrap_or_default(), name });
            }
            if let Some(text) = some(&f["arguments"]) {
                out.push(Event::CallArguments { key, text });
            }
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            self.finished = true;
            out.push(Event::Stop(stop(Some(reason), self.has_calls, self.refused)));
        }
    }
}

/// Writes chunks. The finish chunk waits for the end, so that usage follows it in the one right order.
#[derive(Debug)]
pub(crate) struct StreamWriter {
    context: Context,
    id: String,
    model: String,
    /// Keys of the calls so far; a call's place is its index.
    calls: Vec<u64>,
    stop: Option<Stop>,
    usage: Option<crate::Usage>,
}

impl StreamWriter {
    pub(crate) fn new(context: Context) -> StreamWriter {
        StreamWriter { context, id: String::new(), model: String::new(), calls: vec![], stop: None, usage: None }
    }

    pub(crate) fn write(&mut self, event: Event, out: &mut String) -> Result<(), BadStream> {
        match event {
            Event::Start { id, model } => {
                (self.id, self.model) = (chat_id(&id), model);
                self.chunk(out, &json!({"role": "assistant", "content": "", "refusal": null}), None);
            }
            Event::Text(text) => self.chunk(out, &json!({"content": text}), None),
            Event::Refusal(text) => self.chunk(out, &json!({"refusal": text}), None),
            Event::CallStart { key, id, name } => {
                let index = self.calls.len();
                self.calls.push(key);
                let f = json!({"name": self.context.restore(&name), "arguments": ""});
                self.chunk(
                    out,
                    &json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": f}]}),
                    None,
                );
            }
            Event::CallArguments { key, text } => {
                let index = self.calls.iter().rposition(|k| *k == key).ok_or(BadStream)?;
                self.chunk(out, &json!({"tool_calls": [{"index": index, "function": {"arguments": text}}]}), None);
            }
            Event::Stop(stop) => self.stop = Some(stop),
            Event::Usage(u) => self.usage = Some(u),
            Event::Error(fault) => {
                let status = fault.status.unwrap_or(500);
                let bytes = write_error_event(Dialect::Chat, &ErrorShape::of_fault(&fault, status), 0);
                out.push_str(&String::from_utf8_lossy(&bytes));
            }
            Event::End => {
                let stop = self.stop.take().ok_or(BadStream)?;
                self.chunk(out, &json!({}), Some(finish_reason(&stop)));
                if let Some(u) = self.usage.take().filter(|_| self.context.include_usage) {
                    let chunk = json!({
                        "id": self.id, "object": "chat.completion.chunk", "created": self.context.created, "model": self.model, "choices": [], "usage": usage(&u),
                    });
                    let _ = write!(out, "data: {chunk}\n\n");
                }
                out.push_str("data: [DONE]\n\n");
            }
        }
        Ok(())
    }

    fn chunk(&self, out: &mut String, delta: &Value, finish: Option<&str>) {
        let mut chunk = json!({
            "id": self.id, "object": "chat.completion.chunk", "created": self.context.created, "model": self.model,
            "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}],
        });
        if self.context.include_usage {
            chunk["usage"] = Value::Null;
        }
        let _ = write!(out, "data: {chunk}\n\n");
    }
}
