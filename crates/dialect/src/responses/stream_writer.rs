//! A streamed Responses answer, written.

use std::fmt::Write as _;

use super::output::{Content, Named, State, free_input, is_free, item, own_name, part, response, state};
use crate::{
    Dialect, ErrorShape, Fault,
    blocks::{Block, Blocks, Kind, Step},
    edit::{quote, quoted},
    model::{Event, Stop},
    translate::{BadStream, Context, MOST_HELD},
    usage::Usage,
    write_error_event,
};

/// Writes events: one item open at a time, each with one part.
#[derive(Debug)]
pub(crate) struct StreamWriter {
    blocks: Blocks,
    told: Told,
    stop: Option<Stop>,
    usage: Option<Usage>,
}

/// What has been written.
#[derive(Debug)]
struct Told {
    context: Context,
    named: Option<Named>,
    /// Number of the next event.
    sequence: u64,
    /// Items that are over, with commas between, and how many.
    output: String,
    items: usize,
    /// Members that say which item is open, and which part of it.
    at: String,
    /// Its text, thought or arguments.
    text: String,
    refused: bool,
    /// How an item ends.
    ends: &'static str,
}

impl StreamWriter {
    pub(crate) fn new(context: Context) -> StreamWriter {
        let told = Told {
            context,
            named: None,
            sequence: 0,
            output: String::new(),
            items: 0,
            at: String::new(),
            text: String::new(),
            refused: false,
            ends: "completed",
        };
        StreamWriter { blocks: Blocks::default(), told, stop: None, usage: None }
    }

    /// The number of the next event.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.told.sequence
    }

    pub(crate) fn write(&mut self, event: Event, out: &mut String) -> Result<(), BadStream> {
        let StreamWriter { blocks, told, .. } = self;
        let mut step = |step: Step<'_>| told.step(&step, out);
        match event {
            Event::Start { id, model } => {
                told.named = Some(Named::new(&id, model));
                let begun = State { status: "in_progress", ..State::default() };
                told.response("response.created", &begun, None, out);
                told.response("response.in_progress", &begun, None, out);
            }
            Event::Text(text) => blocks.text(Kind::Text, &text, &mut step)?,
            Event::Refusal(text) => {
                blocks.text(Kind::Refusal, &text, &mut step)?;
                told.refused = true;
            }
            Event::Thought(text) => blocks.text(Kind::Thought { seal: None, over: false }, &text, &mut step)?,
            Event::ThoughtEnd(seal) => blocks.end_thought(seal, &mut step),
            Event::CallStart { key, id, name } => blocks.call(key, id, name, &mut step),
            Event::CallArguments { key, text } => blocks.arguments(key, &text, &mut step)?,
            Event::Stop(stop) => self.stop = Some(stop),
            Event::Usage(u) => self.usage = Some(u),
            Event::Error(fault) => told.fail(&fault, self.usage.as_ref(), out),
            Event::End => {
                let stop = self.stop.take().ok_or(BadStream)?;
                let state = state(&stop, told.refused);
                // What is still open is where it was cut.
                if state.why == Some("max_output_tokens") {
                    told.ends = "incomplete";
                }
                blocks.finish(&mut |step: Step<'_>| told.step(&step, out));
                let name = if state.why.is_some() { "response.incomplete" } else { "response.completed" };
                told.response(name, &state, self.usage.as_ref(), out);
            }
        }
        // The last event repeats all of it.
        if self.told.output.len() + self.told.text.len() > MOST_HELD { Err(BadStream) } else { Ok(()) }
    }
}

impl Told {
    fn step(&mut self, step: &Step<'_>, out: &mut String) {
        match step {
            Step::Open(block) => self.open(block, out),
            Step::Delta(kind, text) => {
                self.text.push_str(text);
                let name = match kind {
                    Kind::Text => "response.output_text.delta",
                    Kind::Refusal => "response.refusal.delta",
                    Kind::Thought { .. } | Kind::Hidden(_) => "response.reasoning_summary_text.delta",
                    // Only the whole of its arguments tells the text.
                    Kind::Call { name, .. } if is_free(&self.context, name) => return,
                    Kind::Call { .. } => "response.function_call_arguments.delta",
                };
                self.delta(name, kind, text, out);
            }
            Step::Close(block) => self.close(block, out),
        }
    }

    fn open(&mut self, block: &Block, out: &mut String) {
        self.text.clear();
        let content = content(&block.kind, "");
        let id = self.id(&content);
        let added = item(&self.context, &id, "in_progress", &content);
        let place = self.items;
        self.put("response.output_item.added", format_args!("\"output_index\":{place},\"item\":{added}"), out);
        let within = match &block.kind {
            Kind::Text | Kind::Refusal => ",\"content_index\":0",
            Kind::Thought { .. } => ",\"summary_index\":0",
            Kind::Hidden(_) | Kind::Call { .. } => "",
        };
        self.at = format!("\"item_id\":\"{id}\",\"output_index\":{place}{within}");
        if let Some(name) = part_of(&block.kind) {
            self.put_at(&format!("response.{name}.added"), format_args!(",\"part\":{}", part(&content)), out);
        }
    }

    fn delta(&mut self, name: &str, kind: &Kind, text: &str, out: &mut String) {
        let number = self.sequence;
        self.sequence += 1;
        let _ = write!(out, "event: {name}\ndata: {{\"type\":\"{name}\",\"sequence_number\":{number},{}", self.at);
        out.push_str(",\"delta\":");
        quote(text, out);
        out.push_str(if *kind == Kind::Text { ",\"logprobs\":[]}\n\n" } else { "}\n\n" });
    }

    fn close(&mut self, block: &Block, out: &mut String) {
        let kind = &block.kind;
        if let Kind::Call { name, .. } = kind {
            if is_free(&self.context, name) {
                let input = free_input(&self.text);
                if !input.is_empty() {
                    self.delta("response.custom_tool_call_input.delta", kind, &input, out);
                }
            } else if self.text.trim().is_empty() {
                // A call without arguments has the empty object.
                self.text = "{}".into();
                self.delta("response.function_call_arguments.delta", kind, "{}", out);
            }
        }
        let text = std::mem::take(&mut self.text);
        let content = content(kind, &text);
        let id = self.id(&content);
        let done = item(&self.context, &id, self.ends, &content);
        let whole = quoted(&text);
        match kind {
            Kind::Text => {
                let members = format_args!(",\"text\":{whole},\"logprobs\":[]");
                self.put_at("response.output_text.done", members, out);
            }
            Kind::Refusal => self.put_at("response.refusal.done", format_args!(",\"refusal\":{whole}"), out),
            Kind::Thought { .. } => {
                self.put_at("response.reasoning_summary_text.done", format_args!(",\"text\":{whole}"), out);
            }
            Kind::Hidden(_) => {}
            Kind::Call { name, .. } if is_free(&self.context, name) => {
                let input = quoted(&free_input(&text));
                self.put_at("response.custom_tool_call_input.done", format_args!(",\"input\":{input}"), out);
            }
            Kind::Call { name, .. } => {
                let (own, _) = own_name(&self.context, name);
                let members = format_args!(",\"name\":{},\"arguments\":{whole}", quoted(&own));
                self.put_at("response.function_call_arguments.done", members, out);
            }
        }
        if let Some(name) = part_of(kind) {
            let part = part(&content);
            self.put_at(&format!("response.{name}.done"), format_args!(",\"part\":{part}"), out);
        }
        let place = self.items;
        self.put("response.output_item.done", format_args!("\"output_index\":{place},\"item\":{done}"), out);
        let comma = if self.output.is_empty() { "" } else { "," };
        let _ = write!(self.output, "{comma}{done}");
        self.items += 1;
    }

    /// The provider's error. A response that has begun fails as a whole.
    fn fail(&mut self, fault: &Fault, usage: Option<&Usage>, out: &mut String) {
        let status = crate::map_status(self.context.provider, Dialect::Responses, fault.status.unwrap_or(500));
        let shape = ErrorShape::of_fault(fault, status);
        if self.named.is_none() {
            let bytes = write_error_event(Dialect::Responses, &shape, self.sequence);
            self.sequence += 1;
            return out.push_str(&String::from_utf8_lossy(&bytes));
        }
        let failed = State { status: "failed", why: None, error: Some((super::code_of(status), &shape.message)) };
        self.response("response.failed", &failed, usage, out);
    }

    fn response(&mut self, name: &str, state: &State<'_>, usage: Option<&Usage>, out: &mut String) {
        let named = self.named.take().unwrap_or_default();
        let whole = response(&self.context, &named, state, &self.output, usage);
        self.named = Some(named);
        self.put(name, format_args!("\"response\":{whole}"), out);
    }

    fn id(&self, content: &Content<'_>) -> String {
        self.named.as_ref().map_or_else(String::new, |n| n.item(&self.context, self.items, content))
    }

    /// One event of the open item.
    fn put_at(&mut self, name: &str, members: std::fmt::Arguments<'_>, out: &mut String) {
        let at = std::mem::take(&mut self.at);
        self.put(name, format_args!("{at}{members}"), out);
        self.at = at;
    }

    /// One event, its type and number first in its data.
    fn put(&mut self, name: &str, members: std::fmt::Arguments<'_>, out: &mut String) {
        let number = self.sequence;
        self.sequence += 1;
        let _ = write!(out, "event: {name}\ndata: {{\"type\":\"{name}\",\"sequence_number\":{number},{members}}}\n\n");
    }
}

fn content<'a>(kind: &'a Kind, text: &'a str) -> Content<'a> {
    match kind {
        Kind::Text => Content::Text(text),
        Kind::Refusal => Content::Refusal(text),
        Kind::Thought { seal, .. } => Content::Thought { text, seal: seal.as_ref() },
        Kind::Hidden(seal) => Content::Thought { text, seal: Some(seal) },
        Kind::Call { id, name, .. } => Content::Call { id, name, arguments: text },
    }
}

/// What the part of an item is called in events; calls have none.
fn part_of(kind: &Kind) -> Option<&'static str> {
    match kind {
        Kind::Text | Kind::Refusal => Some("content_part"),
        Kind::Thought { .. } => Some("reasoning_summary_part"),
        Kind::Hidden(_) | Kind::Call { .. } => None,
    }
}
