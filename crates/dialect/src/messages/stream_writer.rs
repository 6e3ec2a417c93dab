//! A streamed Messages answer, written.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::answer::{message_id, stop_reason, usage};
use crate::{
    Dialect, ErrorShape,
    blocks::{Blocks, Kind, Step},
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
                &json!({"message": {
                    "id": message_id(&id), "type": "message", "role": "assistant", "model": model, "content": [],
                    "stop_reason": null, "stop_sequence": null, "usage": usage(None),
                }}),
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
                let delta = json!({"delta": {"stop_reason": reason, "stop_sequence": sequence}, "usage": usage(self.usage.as_ref())});
                put(out, "message_delta", &delta);
                put(out, "message_stop", &json!({}));
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
            put(out, "content_block_start", &json!({"index": index, "content_block": block}));
        }
        Step::Delta(kind, text) => {
            let delta = match kind {
                Kind::Text | Kind::Refusal => json!({"type": "text_delta", "text": text}),
                Kind::Thought { .. } | Kind::Hidden(_) => json!({"type": "thinking_delta", "thinking": text}),
                Kind::Call { .. } => json!({"type": "input_json_delta", "partial_json": text}),
            };
            put(out, "content_block_delta", &json!({"index": index, "delta": delta}));
        }
        Step::Close(block) => {
            if let Kind::Thought { seal, .. } = &block.kind {
                let seal = seal::close(seal.as_ref(), &context.provider_name);
                let delta = json!({"type": "signature_delta", "signature": seal});
                put(out, "content_block_delta", &json!({"index": index, "delta": delta}));
            }
            put(out, "content_block_stop", &json!({"index": index}));
            *index += 1;
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
