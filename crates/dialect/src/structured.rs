//! The form of an answer, for a model that is not asked for it as the caller asks: a schema becomes a tool that the model
//! must call, and its arguments become the answer again. Where a model cannot be made to call a tool, it is told to.

use serde_json::Value;

use crate::{
    Dialect,
    capability::Capability,
    messages::narrow,
    model::{Answer, Choice, Event, Part, Request, Schema, Stop, Text, Tool},
    translate::{BadStream, MOST_HELD, Read, refuse},
};

const TOOL: &str = "json_answer";
const WHAT_FOR: &str = "Gives the answer to the user. Its arguments are the whole answer.";
const ANY_OBJECT: &str = "Answer with one JSON object and nothing else: no words around it, no code fence.";

/// Sees to the form that is asked for: leaves in `r` what the model can be asked as it is, and gives the name of the tool
/// whose arguments will be the answer, if it becomes one.
pub(crate) fn shape(r: &mut Request, provider: Dialect, can: &Capability) -> Read<Option<String>> {
    if r.json_object && provider == Dialect::Messages {
        r.json_object = false;
        r.system.push(Text { text: ANY_OBJECT.into(), cache: None });
        r.drop_member(r.words.format);
    }
    let Some(Schema { name, schema, strict }) = r.schema.take() else { return Ok(None) };
    if can.schema && provider != Dialect::Messages {
        r.schema = Some(Schema { name, schema, strict });
        return Ok(None);
    }
    if can.schema {
        let narrowed = narrow(&schema);
        if !narrowed.is_open || !can.forced_tools {
            if narrowed.is_open || narrowed.lost {
                r.drop_member(r.words.format);
            }
            r.schema = Some(Schema { name, schema: narrowed.schema, strict });
            return Ok(None);
        }
    }
    if matches!(r.choice, Some(Choice::Any | Choice::Named(_))) {
        if !r.tools.is_empty() {
            // The answer is a call of one of the caller's tools, and a tool of ours would not be called.
            r.drop_member(r.words.format);
            return Ok(None);
        }
        r.drop_member("tool_choice");
    }
    emulate(r, schema, can).map(Some)
}

fn emulate(r: &mut Request, schema: Value, can: &Capability) -> Read<String> {
    if schema["type"] != "object" {
        return refuse(r.words.format, "the target's model takes a schema of an object only; put the value into one");
    }
    let mut tool = TOOL.to_owned();
    while r.tools.iter().any(|t| t.name == tool) {
        tool.push('_');
    }
    let is_alone = r.tools.is_empty() || r.choice == Some(Choice::None);
    r.choice = Some(match can.forced_tools {
        true if is_alone => Choice::Named(tool.clone()),
        // The caller's own tools may come first.
        true => Choice::Any,
        false => Choice::Auto,
    });
    if is_alone && can.parallel_switch {
        // Two answers would be none.
        r.parallel = Some(false);
    }
    if !can.forced_tools {
        let text = format!("Give your answer by one call of the tool `{tool}`, and say nothing beside it.");
        r.system.push(Text { text, cache: None });
        r.drop_member(r.words.format);
    }
    let description = Some(WHAT_FOR.to_owned());
    let at = r.words.format.to_owned();
    r.tools.push(Tool { name: tool.clone(), description, schema, strict: None, cache: None, at });
    Ok(tool)
}

/// A call of `tool` is what the answer says; words around it are none of it.
pub(crate) fn undo(answer: &mut Answer, tool: &str) {
    let is_answer = |p: &Part| matches!(p, Part::Call(call) if call.name == tool);
    if !answer.parts.iter().any(is_answer) {
        return;
    }
    let mut said = false;
    for part in std::mem::take(&mut answer.parts) {
        match part {
            Part::Call(call) if call.name == tool => {
                if !std::mem::replace(&mut said, true) {
                    let text = told(call.arguments, &answer.stop);
                    answer.parts.push(Part::Text(Text { text, cache: None }));
                }
            }
            Part::Text(_) => {}
            part => answer.parts.push(part),
        }
    }
    if answer.stop == Stop::Tools && !answer.parts.iter().any(|p| matches!(p, Part::Call(_))) {
        answer.stop = Stop::End;
    }
}

/// Arguments as text; those that the limit cut are kept under one member by the reader, and stay cut.
fn told(arguments: Value, stop: &Stop) -> String {
    match &arguments {
        Value::Object(map) if *stop == Stop::Length && map.len() == 1 => match map.get("arguments") {
            Some(Value::String(cut)) => cut.clone(),
            _ => arguments.to_string(),
        },
        _ => arguments.to_string(),
    }
}

/// Undoes it in a stream, event by event.
#[derive(Debug)]
pub(crate) struct Undo {
    tool: String,
    /// Words that are none of the answer if the tool is called after them.
    held: String,
    /// Key of the call that is the answer.
    answer: Option<u64>,
    /// Keys of calls that repeat it.
    repeats: Vec<u64>,
    /// Another tool was called.
    others: bool,
}

impl Undo {
    pub(crate) fn new(tool: &str) -> Undo {
        Undo { tool: tool.to_owned(), held: String::new(), answer: None, repeats: vec![], others: false }
    }

    /// Puts into `out` what `event` becomes.
    pub(crate) fn pass(&mut self, event: Event, out: &mut Vec<Event>) -> Result<(), BadStream> {
        match event {
            Event::Text(_) if self.answer.is_some() => {}
            Event::Text(text) if !self.others => {
                if self.held.len() + text.len() > MOST_HELD {
                    return Err(BadStream);
                }
                self.held.push_str(&text);
            }
            Event::CallStart { key, name, .. } if name == self.tool => match self.answer {
                None => {
                    self.answer = Some(key);
                    self.held.clear();
                }
                Some(_) => self.repeats.push(key),
            },
            Event::CallArguments { key, text } if self.answer == Some(key) => out.push(Event::Text(text)),
            Event::CallArguments { key, .. } if self.repeats.contains(&key) => {}
            Event::CallStart { .. } => {
                self.flush(out);
                self.others = true;
                out.push(event);
            }
            Event::Stop(stop) => {
                self.flush(out);
                let is_said = stop == Stop::Tools && self.answer.is_some() && !self.others;
                out.push(Event::Stop(if is_said { Stop::End } else { stop }));
            }
            event => out.push(event),
        }
        Ok(())
    }

    fn flush(&mut self, out: &mut Vec<Event>) {
        if !self.held.is_empty() {
            out.push(Event::Text(std::mem::take(&mut self.held)));
        }
    }
}
