//! A streamed Chat answer, written.

use std::fmt::Write as _;

use serde_json::json;

use super::answer::{chat_id, counted, finish_reason};
use crate::{
    Dialect, ErrorShape,
    edit::{quote, quoted},
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
    /// What every chunk with a choice begins with.
    opening: String,
    /// Keys of the calls so far; a call's place is its index.
    calls: Vec<u64>,
    refused: bool,
    stop: Option<Stop>,
    usage: Option<crate::Usage>,
}

impl StreamWriter {
    pub(crate) fn new(context: Context) -> StreamWriter {
        let opening = opening(&context, "", "");
        StreamWriter {
            context,
            id: String::new(),
            model: String::new(),
            opening,
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
                self.opening = opening(&self.context, &self.id, &self.model);
                self.chunk(out, r#"{"role":"assistant","content":"","refusal":null}"#, None);
            }
            Event::Text(text) => self.text(out, "content", &text),
            Event::Refusal(text) => {
                self.refused = true;
                self.text(out, "refusal", &text);
            }
            // It must not become visible text.
            Event::Thought(_) | Event::ThoughtEnd(_) => {}
            Event::CallStart { key, id, name } => {
                let index = self.calls.len();
                self.calls.push(key);
                let f = json!({"name": self.context.restore(&name), "arguments": ""});
                let call = json!({"index": index, "id": id, "type": "function", "function": f});
                self.chunk(out, &format!("{{\"tool_calls\":[{call}]}}"), None);
            }
            Event::CallArguments { key, text } => {
                let index = self.calls.iter().rposition(|k| *k == key).ok_or(BadStream)?;
                let text = quoted(&text);
                let call = format!("{{\"index\":{index},\"function\":{{\"arguments\":{text}}}}}");
                self.chunk(out, &format!("{{\"tool_calls\":[{call}]}}"), None);
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
                self.chunk(out, "{}", Some(finish_reason(&stop, self.refused)));
                if let Some(u) = self.usage.take().filter(|_| self.context.include_usage) {
                    let (id, model, created) = (quoted(&self.id), quoted(&self.model), self.context.created);
                    let _ = write!(
                        out,
                        "data: {{\"id\":{id},\"object\":\"chat.completion.chunk\",\"created\":{created},\"model\":{model},\
                         \"choices\":[]{}}}\n\n",
                        counted(&u, &self.context)
                    );
                }
                out.push_str("data: [DONE]\n\n");
            }
        }
        Ok(())
    }

    fn text(&self, out: &mut String, member: &str, text: &str) {
        out.push_str(&self.opening);
        out.push_str("{\"");
        out.push_str(member);
        out.push_str("\":");
        quote(text, out);
        out.push('}');
        self.end_chunk(out, None);
    }

    /// A chunk; `delta` is an object.
    fn chunk(&self, out: &mut String, delta: &str, finish: Option<&str>) {
        out.push_str(&self.opening);
        out.push_str(delta);
        self.end_chunk(out, finish);
    }

    fn end_chunk(&self, out: &mut String, finish: Option<&str>) {
        out.push_str(",\"logprobs\":null,\"finish_reason\":");
        match finish {
            Some(finish) => quote(finish, out),
            None => out.push_str("null"),
        }
        out.push_str(if self.context.include_usage { "}],\"usage\":null}\n\n" } else { "}]}\n\n" });
    }
}

fn opening(context: &Context, id: &str, model: &str) -> String {
    let (id, model, created) = (quoted(id), quoted(model), context.created);
    format!(
        "data: {{\"id\":{id},\"object\":\"chat.completion.chunk\",\"created\":{created},\"model\":{model},\
         \"choices\":[{{\"index\":0,\"delta\":"
    )
}
