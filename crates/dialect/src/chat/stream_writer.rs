//! A streamed Chat answer, written.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::answer::{chat_id, finish_reason, usage};
use crate::{
    Dialect, ErrorShape,
    model::{Event, Stop},
    translate::{BadStream, Context},
    write_error_event,
};

/// Writes chunks. The finish chunk waits for the end, so that usage follows it in the one right order.
#[derive(Debug)]
pub(crate) struct StreamWriter {
    context: Context,
    id: String,
    model: String,
    /// Keys of the calls so far; a call's place is its index.
    calls: Vec<u64>,
    refused: bool,
    stop: Option<Stop>,
    usage: Option<crate::Usage>,
}

impl StreamWriter {
    pub(crate) fn new(context: Context) -> StreamWriter {
        StreamWriter {
            context,
            id: String::new(),
            model: String::new(),
            calls: vec![],
            refused: false,
            stop: None,
            usage: None,
        }
    }

    pub(crate) fn write(&mut self, event: Event, out: &mut String) -> Result<(), BadStream> {
        match event {
            Event::Start { id, model } => {
                (self.id, self.model) = (chat_id(&id), model);
                self.chunk(out, &json!({"role": "assistant", "content": "", "refusal": null}), None);
            }
            Event::Text(text) => self.chunk(out, &json!({"content": text}), None),
            Event::Refusal(text) => {
                self.refused = true;
                self.chunk(out, &json!({"refusal": text}), None);
            }
            // It must not become visible text.
            Event::Thought(_) | Event::ThoughtEnd(_) => {}
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
                let status = crate::map_status(self.context.provider, Dialect::Chat, fault.status.unwrap_or(500));
                let bytes = write_error_event(Dialect::Chat, &ErrorShape::of_fault(&fault, status), 0);
                out.push_str(&String::from_utf8_lossy(&bytes));
            }
            Event::End => {
                let stop = self.stop.take().ok_or(BadStream)?;
                self.chunk(out, &json!({}), Some(finish_reason(&stop, self.refused)));
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
