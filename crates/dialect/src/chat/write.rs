//! A Chat request, written from the model.

use serde_json::{Map, Value, json};

use super::{parts::written, schema::binds};
use crate::{
    capability::Limit,
    model::{Call, Choice, Media, Part, Request, Role, Text, Thought, Tool, ToolResult, Turn},
    names,
    object::{List, Object, list, put},
    translate::{Read, TargetModel, refuse},
};

/// Most stop sequences.
const MAX_STOPS: usize = 4;

/// Most characters of a user's name; longer ones, such as Claude Code's, are told apart by a hash.
const MAX_USER: usize = 64;

/// Writes a request; what the model refuses is left out and listed.
pub(crate) fn write_request(r: &mut Request, to: &TargetModel<'_>) -> Read<String> {
    forget_cache_marks(r);
    tell_prefill(r);
    let mut body = String::with_capacity(1024);
    let mut o = Object::new(&mut body);
    o.text("model", to.model);
    messages(r, o.member("messages"))?;
    if let Some(limit) = r.max_tokens {
        let name = if to.capability.limit == Limit::Old { "max_tokens" } else { "max_completion_tokens" };
        o.plain(name, limit);
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
    let stops = if to.capability.stop { MAX_STOPS } else { 0 };
    if r.stop.len() > stops {
        r.drop_member(r.words.stop);
        r.stop.truncate(stops);
    }
    if !r.stop.is_empty() {
        out.insert("stop".into(), r.stop.clone().into());
    }
    std::mem::take(&mut r.summary).into_iter().for_each(|member| r.drop_member(member));
    if let Some(effort) = r.effort.take() {
        out.insert("reasoning_effort".into(), effort.into());
    }
    if r.json_object {
        out.insert("response_format".into(), json!({"type": "json_object"}));
    }
    if let Some(s) = &r.schema {
        let name = s.name.clone().unwrap_or_else(|| "answer".into());
        let format = json!({"name": name, "schema": s.schema, "strict": binds(s)});
        out.insert("response_format".into(), json!({"type": "json_schema", "json_schema": format}));
    }
    if let Some(verbosity) = &r.verbosity {
        out.insert("verbosity".into(), verbosity.clone().into());
    }
    if let Some(user) = user_name(r) {
        out.insert("user".into(), user.into());
    }
    out.append(&mut r.shared);
    o.extend(&out);
    if r.stream {
        o.plain("stream", true);
        o.plain("stream_options", r#"{"include_usage":true}"#);
    }
    o.end();
    Ok(body)
}

/// Who asks, where no member says it as OpenAI has it.
pub(crate) fn user_name(r: &mut Request) -> Option<String> {
    if r.shared.contains_key("user") || r.shared.contains_key("safety_identifier") {
        return None;
    }
    let user = r.user.take()?;
    if user.chars().count() <= MAX_USER {
        return Some(user);
    }
    r.drop_member(r.words.user);
    Some(names::short(&user, MAX_USER).into_owned())
}

/// An assistant's last turn is a beginning to go on from in Messages; here it is only history.
pub(crate) fn tell_prefill(r: &mut Request) {
    if let Some(at) = r.turns.last().filter(|t| t.role == Role::Assistant).map(|t| t.at.clone()) {
        r.drop_member(at);
    }
}

fn tool(t: &Tool, out: &mut String) {
    let mut o = Object::new(out);
    o.text("type", "function");
    let mut f = Object::new(o.member("function"));
    f.text("name", &t.name);
    f.value("parameters", &t.schema);
    if let Some(description) = &t.description {
        f.text("description", description);
    }
    if t.strict == Some(true) {
        f.plain("strict", true);
    }
    f.end();
    o.end();
}

fn choice(r: &mut Request, out: &mut Map<String, Value>) {
    if r.tools.is_empty() {
        if r.choice.as_ref().is_some_and(|c| matches!(c, Choice::Any | Choice::Named(_))) {
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
            Some(json!({"type": "function", "function": {"name": name}}))
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

fn messages(r: &mut Request, out: &mut String) -> Read<()> {
    if r.turns.is_empty() && r.system.is_empty() {
        return refuse("messages", "must hold a turn that is not empty");
    }
    let mut list = List::new(out);
    if !r.system.is_empty() {
        say("system", &joined(r.system.iter()), &mut list);
    }
    for turn in std::mem::take(&mut r.turns) {
        match turn.role {
            Role::System => say("system", &instructions(&turn), &mut list),
            Role::User => user(r, turn, &mut list)?,
            Role::Assistant => assistant(r, turn, &mut list),
        }
    }
    list.end();
    Ok(())
}

/// The next message.
fn message<'a>(role: &str, out: &'a mut List<'_>) -> Object<'a> {
    let mut o = out.object();
    o.text("role", role);
    o
}

fn say(role: &str, text: &str, out: &mut List<'_>) {
    let mut o = message(role, out);
    o.text("content", text);
    o.end();
}

/// What a turn of instructions says.
pub(crate) fn instructions(turn: &Turn) -> String {
    joined(turn.parts.iter().filter_map(|p| if let Part::Text(t) = p { Some(t) } else { None }))
}

pub(crate) fn joined<'a>(texts: impl Iterator<Item = &'a Text>) -> String {
    texts.map(|t| t.text.as_str()).collect::<Vec<_>>().join("\n\n")
}

/// Tool results become messages of their own, before the rest of the turn; their images follow in it.
fn user(r: &mut Request, turn: Turn, out: &mut List<'_>) -> Read<()> {
    let mut rest = vec![];
    for part in turn.parts {
        match part {
            Part::Result(ToolResult { id, content, is_error, at, .. }) => {
                if is_error {
                    r.drop_member(format!("{at}.{}", r.words.is_error));
                }
                let mut words = vec![];
                for p in content {
                    match p {
                        Part::Text(t) => words.push(t.text),
                        Part::Refusal(text) => words.push(text),
                        media => rest.push(media),
                    }
                }
                let mut o = message("tool", out);
                o.text("tool_call_id", &id);
                o.text("content", &words.join("\n"));
                o.end();
            }
            other => rest.push(other),
        }
    }
    if let [Part::Text(t)] = rest.as_slice() {
        say("user", &t.text, out);
    } else if !rest.is_empty() {
        let parts = rest.iter().map(written).collect::<Read<Vec<_>>>()?;
        let mut o = message("user", out);
        list(o.member("content"), &parts, put);
        o.end();
    }
    Ok(())
}

fn assistant(r: &mut Request, turn: Turn, out: &mut List<'_>) {
    let mut text = String::new();
    let mut refusal = String::new();
    let mut calls: Vec<Call> = vec![];
    for part in turn.parts {
        match part {
            Part::Text(t) => text.push_str(&t.text),
            Part::Refusal(t) => refusal.push_str(&t),
            Part::Call(call) => calls.push(call),
            // An assistant message holds text and calls only.
            Part::Image(Media { at, .. }) | Part::Document { media: Media { at, .. }, .. } => r.drop_member(at),
            Part::Thought(Thought { at, .. }) => r.drop_member(at),
            Part::Result(_) => {}
        }
    }
    let mut o = message("assistant", out);
    if text.is_empty() && !(calls.is_empty() && refusal.is_empty()) {
        o.plain("content", "null");
    } else {
        o.text("content", &text);
    }
    if !refusal.is_empty() {
        o.text("refusal", &refusal);
    }
    if !calls.is_empty() {
        list(o.member("tool_calls"), &calls, |Call { id, name, arguments, .. }, out| {
            let mut o = Object::new(out);
            o.text("id", id);
            o.text("type", "function");
            let mut f = Object::new(o.member("function"));
            f.text("name", name);
            f.text("arguments", &arguments.to_string());
            f.end();
            o.end();
        });
    }
    o.end();
}

pub(crate) fn forget_cache_marks(r: &mut Request) {
    fn marked(p: &Part) -> bool {
        match p {
            Part::Text(t) => t.cache.is_some(),
            Part::Image(m) | Part::Document { media: m, .. } => m.cache.is_some(),
            Part::Call(c) => c.cache.is_some(),
            Part::Refusal(_) | Part::Thought(_) => false,
            Part::Result(result) => result.cache.is_some() || result.content.iter().any(marked),
        }
    }
    let any = r.system.iter().any(|t| t.cache.is_some())
        || r.tools.iter().any(|t| t.cache.is_some())
        || r.turns.iter().flat_map(|t| &t.parts).any(marked);
    if any {
        r.drop_member("cache_control");
    }
}
