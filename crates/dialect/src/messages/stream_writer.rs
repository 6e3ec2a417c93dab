//! A streamed Messages answer, written.

use std::fmt::Write as _;

use serde_json::json;

use super::answer::{message_id, stop_reason, usage};
use crate::{
    Dialect, ErrorShape,
    blocks::{Blocks, Kind, Step},
    edit::{quote, quoted},
    model::{Event, Stop},
    seal,
    translate::{BadStream, Context},
    usage::Usage,
    write_error_event,
};

/// Writes events: one block open at a time, indexes from 0 without gaps.
#[derive(Debug)]
pub(crate) struct StreamWriter {
    context: Context,
    blocks: Blocks,
    /// Index of the open block.
    index: u64,
    stop: Option<Stop>,
    usage: Option<Usage>,
}

impl StreamWriter {
    pub(crate) fn new(context: Context) -> StreamWriter {
        StreamWriter { context, blocks: Blocks::default(), index: 0, stop: None, usage: None }
    }

    pub(crate) fn write(&mut self, event: Event, out: &mut String) -> Result<(), BadStream> {
        let StreamWriter { context, blocks, index, .. } = self;
        let mut step = |step: Step<'_>| write_step(context, index, &step, out);
        match event {
            Event::Start { id, model } => put(
                out,
                "message_start",
                format_args!(
                    ",\"message\":{{\"id\":{},\"type\":\"message\",\"role\":\"assistant\",\"model\":{},\"content\":[],\
                     \"stop_reason\":null,\"stop_sequence\":null,\"usage\":{}}}",
                    quoted(&message_id(&id)),
                    quoted(&model),
                    usage(None, &self.context)
                ),
            ),
            Event::Text(text) => blocks.text(Kind::Text, &text, &mut step)?,
            Event::Refusal(text) => blocks.text(Kind::Refusal, &text, &mut step)?,
            Event::Thought(text) if context.thoughts => {
                blocks.text(Kind::Thought { seal: None, over: false }, &text, &mut step)?;
            }
            Event::ThoughtEnd(seal) if context.thoughts => blocks.end_thought(seal, &mut step),
            Event::Thought(_) | Event::ThoughtEnd(_) => {}
            Event::CallStart { key, id, name } => blocks.call(key, id, name, &mut step),
            Event::CallArguments { key, text } => blocks.arguments(key, &text, &mut step)?,
            Event::Stop(stop) => self.stop = Some(stop),
            Event::Usage(u) => self.usage = Some(u),
            Event::Error(fault) => {
                let status = crate::map_status(context.provider, Dialect::Messages, fault.status.unwrap_or(500));
                let bytes = write_error_event(Dialect::Messages, &ErrorShape::of_fault(&fault, status), 0);
                out.push_str(&String::from_utf8_lossy(&bytes));
            }
            Event::End => {
                let stop = self.stop.take().ok_or(BadStream)?;
                blocks.finish(&mut step);
                let (reason, sequence) = stop_reason(&stop);
                let sequence = sequence.map_or_else(|| "null".to_owned(), quoted);
                put(
                    out,
                    "message_delta",
                    format_args!(
                        ",\"delta\":{{\"stop_reason\":\"{reason}\",\"stop_sequence\":{sequence}}},\"usage\":{}",
                        usage(self.usage.as_ref(), &self.context)
                    ),
                );
                put(out, "message_stop", format_args!(""));
            }
        }
        Ok(())
    }
}

fn write_step(context: &Context, index: &mut u64, step: &Step<'_>, out: &mut String) {
    match step {
        Step::Open(block) => {
            let block = match &block.kind {
                Kind::Text | Kind::Refusal => json!({"type": "text", "text": ""}),
                Kind::Hidden(seal) => {
                    json!({"type": "redacted_thinking", "data": seal::close(Some(seal), &context.provider_name)})
                }
                Kind::Thought { .. } => json!({"type": "thinking", "thinking": "", "signature": ""}),
                Kind::Call { id, name, .. } => {
                    json!({"type": "tool_use", "id": id, "name": context.restore(name), "input": {}})
                }
            };
            put(out, "content_block_start", format_args!(",\"index\":{index},\"content_block\":{block}"));
        }
        Step::Delta(kind, text) => {
            let delta = match kind {
                Kind::Text | Kind::Refusal => "\"text_delta\",\"text\"",
                Kind::Thought { .. } | Kind::Hidden(_) => "\"thinking_delta\",\"thinking\"",
                Kind::Call { .. } => "\"input_json_delta\",\"partial_json\"",
            };
            // Most of a stream: no value is built for it.
            out.push_str("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":");
            let _ = write!(out, "{index}");
            out.push_str(",\"delta\":{\"type\":");
            out.push_str(delta);
            out.push(':');
            quote(text, out);
            out.push_str("}}\n\n");
        }
        Step::Close(block) => {
            if let Kind::Thought { seal, .. } = &block.kind {
                let seal = seal::close(seal.as_ref(), &context.provider_name);
                let delta = json!({"type": "signature_delta", "signature": seal});
                put(out, "content_block_delta", format_args!(",\"index\":{index},\"delta\":{delta}"));
            }
            put(out, "content_block_stop", format_args!(",\"index\":{index}"));
            *index += 1;
        }
    }
}

/// One event, its type first in its data; each other member has a comma in front.
fn put(out: &mut String, name: &str, members: std::fmt::Arguments<'_>) {
    let _ = write!(out, "event: {name}\ndata: {{\"type\":\"{name}\"{members}}}\n\n");
}
