//! A Responses request, written from the model.

use serde_json::{Map, Value, json};

use super::parts;
use crate::{
    capability::Thinks,
    chat::{binds, forget_cache_marks, instructions, joined, tell_prefill, user_name},
    edit::quote,
    model::{Call, Choice, Media, Part, Request, Role, Seal, Source, Text, Thinking, Thought, Tool, ToolResult, Turn},
    object::{List, Object, list},
    translate::{Read, TargetModel, refuse},
};

/// The least limit that is taken.
const LEAST_TOKENS: u64 = 16;

/// Writes a request; what the model refuses is left out and listed. Nothing is kept at the provider.
pub(crate) fn write_request(r: &mut Request, to: &TargetModel<'_>) -> Read<String> {
    forget_cache_marks(r);
    tell_prefill(r);
    let mut body = String::with_capacity(1024);
    let mut o = Object::new(&mut body);
    o.text("model", to.model);
    input(r, o.member("input"))?;
    if !r.system.is_empty() {
        o.text("instructions", &joined(r.system.iter()));
    }
    o.plain("store", false);
    if let Some(limit) = r.max_tokens {
        if limit < LEAST_TOKENS {
            r.drop_member(r.words.limit);
        }
        o.plain("max_output_tokens", limit.max(LEAST_TOKENS));
    }
    if !r.tools.is_empty() {
        list(o.member("tools"), &r.tools, tool);
    }
    let mut out = Map::new();
    choice(r, &mut out);
    for (name, value) in [("temperature", r.temperature), ("top_p", r.top_p)] {
        if let Some(value) = value {
            out.insert(name.into(), value.into());
        }
    }
    if r.top_k.is_some() {
        r.drop_member("top_k");
    }
    if !r.stop.is_empty() {
        r.drop_member(r.words.stop);
    }
    reasoning(r, to.capability.thinks, &mut out);
    text(r, &mut out);
    if let Some(user) = user_name(r) {
        out.insert("user".into(), user.into());
    }
    out.append(&mut r.shared);
    o.extend(&out);
    if r.stream {
        o.plain("stream", true);
    }
    o.end();
    Ok(body)
}

fn tool(t: &Tool, out: &mut String) {
    let mut o = Object::new(out);
    o.text("type", "function");
    o.text("name", &t.name);
    o.value("parameters", &t.schema);
    // Unset would mean strict here.
    o.plain("strict", t.strict == Some(true));
    if let Some(description) = &t.description {
        o.text("description", description);
    }
    o.end();
}

fn choice(r: &mut Request, out: &mut Map<String, Value>) {
    if r.tools.is_empty() {
        if matches!(r.choice, Some(Choice::Any | Choice::Named(_))) {
            r.drop_member("tool_choice");
        }
        return;
    }
    let choice: Option<Value> = match &r.choice {
        None => None,
        Some(Choice::Auto) => Some("auto".into()),
        Some(Choice::Any) => Some("required".into()),
        Some(Choice::None) => Some("none".into()),
        Some(Choice::Named(name)) if r.tools.iter().any(|t| t.name == *name) => {
            Some(json!({"type": "function", "name": name}))
        }
        // The named tool was one that the provider runs itself, and is not among those that were carried.
        Some(Choice::Named(_)) => {
            r.drop_member("tool_choice");
            None
        }
    };
    if let Some(choice) = choice {
        out.insert("tool_choice".into(), choice);
    }
    if r.parallel == Some(false) {
        out.insert("parallel_tool_calls".into(), false.into());
    }
}

/// Effort; and thoughts with their proof for a caller that shows them and sends them back.
fn reasoning(r: &mut Request, thinks: Thinks, out: &mut Map<String, Value>) {
    let mut asked = Map::new();
    let shows = matches!(r.thinking, Some(Thinking::Budget(_) | Thinking::Adaptive));
    if let Some(effort) = r.effort.take() {
        asked.insert("effort".into(), effort.into());
    }
    if shows && thinks == Thinks::Effort {
        asked.insert("summary".into(), "auto".into());
        out.insert("include".into(), json!(["reasoning.encrypted_content"]));
    }
    if !asked.is_empty() {
        out.insert("reasoning".into(), asked.into());
    }
}

fn text(r: &Request, out: &mut Map<String, Value>) {
    let mut text = Map::new();
    if r.json_object {
        text.insert("format".into(), json!({"type": "json_object"}));
    }
    if let Some(s) = &r.schema {
        let name = s.name.clone().unwrap_or_else(|| "answer".into());
        let format = json!({"type": "json_schema", "name": name, "schema": s.schema, "strict": binds(s)});
        text.insert("format".into(), format);
    }
    if let Some(verbosity) = &r.verbosity {
        text.insert("verbosity".into(), verbosity.clone().into());
    }
    if !text.is_empty() {
        out.insert("text".into(), text.into());
    }
}

fn input(r: &mut Request, out: &mut String) -> Read<()> {
    let mut list = List::new(out);
    if r.turns.is_empty() {
        // Instructions alone are what it is about.
        if r.system.is_empty() {
            return refuse("messages", "must hold a turn that is not empty");
        }
        instruct(&joined(std::mem::take(&mut r.system).iter()), &mut list);
    }
    for turn in std::mem::take(&mut r.turns) {
        match turn.role {
            Role::System => instruct(&instructions(&turn), &mut list),
            Role::User => user(r, turn, &mut list)?,
            Role::Assistant => assistant(r, turn, &mut list),
        }
    }
    list.end();
    Ok(())
}

/// The next item.
fn item<'a>(kind: &str, out: &'a mut List<'_>) -> Object<'a> {
    let mut o = out.object();
    o.text("type", kind);
    o
}

fn message<'a>(role: &str, out: &'a mut List<'_>) -> Object<'a> {
    let mut o = item("message", out);
    o.text("role", role);
    o
}

fn instruct(text: &str, out: &mut List<'_>) {
    let mut o = message("system", out);
    o.text("content", text);
    o.end();
}

/// Tool results become items of their own, before the rest of the turn.
fn user(r: &mut Request, turn: Turn, out: &mut List<'_>) -> Read<()> {
    let mut rest = vec![];
    for part in turn.parts {
        match part {
            Part::Result(ToolResult { id, content, is_error, at, .. }) => {
                if is_error {
                    r.drop_member(format!("{at}.{}", r.words.is_error));
                }
                tell_names(r, &content);
                let mut o = item("function_call_output", out);
                o.text("call_id", &id);
                match content.as_slice() {
                    [] => o.text("output", ""),
                    content => plain_or_parts(content, o.member("output"))?,
                }
                o.end();
            }
            other => rest.push(other),
        }
    }
    if !rest.is_empty() {
        tell_names(r, &rest);
        let mut o = message("user", out);
        plain_or_parts(&rest, o.member("content"))?;
        o.end();
    }
    Ok(())
}

/// The name of a document has no place beside its URL.
fn tell_names(r: &mut Request, parts: &[Part]) {
    for part in parts {
        if let Part::Document { media: Media { source: Source::Url(_), at, .. }, name: Some(_) } = part {
            r.drop_member(format!("{at}.{}", r.words.file_name));
        }
    }
}

/// One text is a string.
fn plain_or_parts(parts: &[Part], out: &mut String) -> Read<()> {
    if let [Part::Text(t)] = parts {
        quote(&t.text, out);
        return Ok(());
    }
    let mut list = List::new(out);
    parts.iter().try_for_each(|part| parts::write(part, list.item()))?;
    list.end();
    Ok(())
}

/// An assistant's turn as items, in order; texts that follow each other are one message.
fn assistant(r: &mut Request, turn: Turn, out: &mut List<'_>) {
    let mut said = vec![];
    for part in turn.parts {
        match part {
            Part::Text(Text { text, .. }) => said.push(("output_text", "text", text)),
            Part::Refusal(text) => said.push(("refusal", "refusal", text)),
            Part::Call(Call { id, name, arguments, .. }) => {
                say(&mut said, out);
                let mut o = item("function_call", out);
                o.text("call_id", &id);
                o.text("name", &name);
                o.text("arguments", &arguments.to_string());
                o.end();
            }
            Part::Thought(Thought { text, seal: Some(Seal::Encrypted { id, content }), .. }) => {
                say(&mut said, out);
                let mut o = item("reasoning", out);
                o.text("id", &id);
                let mut summary = List::new(o.member("summary"));
                if !text.is_empty() {
                    let mut part = item("summary_text", &mut summary);
                    part.text("text", &text);
                    part.end();
                }
                summary.end();
                o.text("encrypted_content", &content);
                o.end();
            }
            // An assistant's turn holds text, thoughts and calls only.
            Part::Thought(Thought { at, .. }) => r.drop_member(at),
            Part::Image(Media { at, .. }) | Part::Document { media: Media { at, .. }, .. } => r.drop_member(at),
            Part::Result(_) => {}
        }
    }
    say(&mut said, out);
}

/// A message of what was said, if anything was: the type of each part, the member for its text, and that.
fn say(said: &mut Vec<(&str, &str, String)>, out: &mut List<'_>) {
    if said.is_empty() {
        return;
    }
    let mut o = message("assistant", out);
    let mut parts = List::new(o.member("content"));
    for (kind, member, text) in said.drain(..) {
        let mut part = item(kind, &mut parts);
        part.text(member, &text);
        part.end();
    }
    parts.end();
    o.end();
}
