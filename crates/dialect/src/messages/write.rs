//! A Messages request, written from the model.

use serde_json::{Map, Value, json};

use super::{effort::effort, foreign::tell_foreign};
use crate::{
    capability::{Capability, Sampling},
    model::{Call, Choice, Media, Part, Request, Role, Seal, Source, Text, Thought, Tool, ToolResult, Turn},
    object::{Object, list},
    translate::{Read, TargetModel, refuse},
};

/// Where nobody sets a limit: Messages demands one.
const DEFAULT_MAX_TOKENS: u64 = 4096;
const MAX_CACHE_MARKS: u32 = 4;

/// Writes a request; what the model refuses is left out and listed.
pub(crate) fn write_request(r: &mut Request, to: &TargetModel<'_>) -> Read<String> {
    let can = to.capability;
    let limit =
        r.max_tokens.unwrap_or_else(|| to.most_tokens.map_or(DEFAULT_MAX_TOKENS, |m| m.min(DEFAULT_MAX_TOKENS)));
    turns(r, can.prefill)?;
    tell_foreign(r);
    spare_cache_marks(r);
    let mut body = String::with_capacity(1024);
    let mut o = Object::new(&mut body);
    o.text("model", to.model);
    o.plain("max_tokens", limit);
    if !r.system.is_empty() {
        list(o.member("system"), &r.system, text);
    }
    list(o.member("messages"), &r.turns, turn);
    if !r.tools.is_empty() {
        list(o.member("tools"), &r.tools, tool);
    }
    let mut out = Map::new();
    if let Some(tools) = called_tools(r) {
        out.insert("tools".into(), tools);
        out.insert("tool_choice".into(), json!({"type": "none"}));
    }
    let choice = choice(r);
    let is_forced = choice.as_ref().is_some_and(|c| c["type"] == "any" || c["type"] == "tool");
    if let Some(choice) = choice {
        out.insert("tool_choice".into(), choice);
    }
    let mut config = effort(r, can, limit, is_forced, &mut out);
    let thinks = out.get("thinking").is_some_and(|t| t["type"] == "enabled" || t["type"] == "adaptive");
    sampling(r, can, thinks, &mut out);
    stops(r, can, &mut out);
    if let Some(user) = &r.user {
        out.insert("metadata".into(), json!({"user_id": user}));
    }
    if let Some(schema) = &r.schema {
        config.insert("format".into(), json!({"type": "json_schema", "schema": schema.schema}));
    }
    if !config.is_empty() {
        out.insert("output_config".into(), config.into());
    }
    o.extend(&out);
    if r.stream {
        o.plain("stream", true);
    }
    o.end();
    Ok(body)
}

/// The first turn is the user's, and a last assistant turn is a prefill, which most models refuse.
fn turns(r: &mut Request, prefill: bool) -> Read<()> {
    if let Some(last) = r.turns.last_mut().filter(|t| t.role == Role::Assistant) {
        if !prefill {
            return refuse(&last.at, "the target does not continue a last assistant turn; end with a user turn");
        }
        // It may not end in white space; blanks are gone already, so that some text stays.
        if let Some(Part::Text(t)) = last.parts.last_mut() {
            t.text.truncate(t.text.trim_end().len());
        }
        // And what OpenAI reads as history is gone on from here.
        let at = last.at.clone();
        r.drop_member(at);
    }
    match r.turns.first() {
        None => refuse("messages", "must hold a user turn"),
        Some(first) if first.role == Role::Assistant => {
            let at = first.at.clone();
            let opening = Part::Text(Text { text: "(The assistant begins.)".into(), cache: None });
            r.turns.insert(0, Turn { role: Role::User, parts: vec![opening], at: at.clone() });
            r.drop_member(format!("{at}.role"));
            Ok(())
        }
        Some(_) => Ok(()),
    }
}

/// At most four blocks may carry a mark: the first ones keep theirs.
fn spare_cache_marks(r: &mut Request) {
    fn marks_of(parts: &mut [Part]) -> Vec<&mut Option<Value>> {
        let mut marks = vec![];
        for part in parts {
            match part {
                Part::Text(t) => marks.push(&mut t.cache),
                Part::Image(m) | Part::Document { media: m, .. } => marks.push(&mut m.cache),
                Part::Call(c) => marks.push(&mut c.cache),
                Part::Refusal(_) | Part::Thought(_) => {}
                Part::Result(result) => {
                    marks.extend(marks_of(&mut result.content));
                    marks.push(&mut result.cache);
                }
            }
        }
        marks
    }
    let mut left = MAX_CACHE_MARKS;
    let mut spared = false;
    let tools = r.tools.iter_mut().map(|t| &mut t.cache);
    let system = r.system.iter_mut().map(|t| &mut t.cache);
    let turns = r.turns.iter_mut().flat_map(|t| marks_of(&mut t.parts));
    for mark in tools.chain(system).chain(turns).filter(|m| m.is_some()) {
        if left == 0 {
            *mark = None;
            spared = true;
        } else {
            left -= 1;
        }
    }
    if spared {
        r.drop_member("cache_control");
    }
}

fn tool(t: &Tool, out: &mut String) {
    let mut o = Object::new(out);
    o.text("name", &t.name);
    o.value("input_schema", &t.schema);
    if let Some(description) = &t.description {
        o.text("description", description);
    }
    o.maybe("cache_control", t.cache.as_ref());
    o.end();
}

fn turn(t: &Turn, out: &mut String) {
    let mut o = Object::new(out);
    o.text("role", if t.role == Role::Assistant { "assistant" } else { "user" });
    list(o.member("content"), &t.parts, part);
    o.end();
}

fn text(t: &Text, out: &mut String) {
    let mut o = block("text", out);
    o.text("text", &t.text);
    o.maybe("cache_control", t.cache.as_ref());
    o.end();
}

fn part(p: &Part, out: &mut String) {
    match p {
        Part::Text(t) => text(t, out),
        Part::Refusal(text) => {
            let mut o = block("text", out);
            o.text("text", text);
            o.end();
        }
        Part::Thought(t) => thought(t, out),
        Part::Image(m) => media("image", m, None, out),
        Part::Document { media: m, name } => media("document", m, name.as_deref(), out),
        Part::Call(Call { id, name, arguments, cache, .. }) => {
            let mut o = block("tool_use", out);
            o.text("id", id);
            o.text("name", name);
            o.value("input", arguments);
            o.maybe("cache_control", cache.as_ref());
            o.end();
        }
        Part::Result(ToolResult { id, content, is_error, cache, .. }) => {
            let mut o = block("tool_result", out);
            o.text("tool_use_id", id);
            list(o.member("content"), content, part);
            if *is_error {
                o.plain("is_error", true);
            }
            o.maybe("cache_control", cache.as_ref());
            o.end();
        }
    }
}

/// A thought as this provider sealed it; `turns::strip_thoughts` lets no other through.
fn thought(t: &Thought, out: &mut String) {
    let (kind, member, text, signature) = match &t.seal {
        Some(Seal::Redacted(data)) => ("redacted_thinking", "data", data, None),
        Some(Seal::Signature(s)) => ("thinking", "thinking", &t.text, Some(s.as_str())),
        Some(Seal::Encrypted { .. }) | None => ("thinking", "thinking", &t.text, Some("")),
    };
    let mut o = block(kind, out);
    o.text(member, text);
    if let Some(signature) = signature {
        o.text("signature", signature);
    }
    o.end();
}

fn media(kind: &str, m: &Media, title: Option<&str>, out: &mut String) {
    let mut o = block(kind, out);
    match &m.source {
        Source::Url(url) => {
            let mut source = block("url", o.member("source"));
            source.text("url", url);
            source.end();
        }
        Source::Base64 { media_type, data } => {
            let mut source = block("base64", o.member("source"));
            source.text("media_type", media_type);
            source.text("data", data);
            source.end();
        }
    }
    o.maybe("cache_control", m.cache.as_ref());
    if let Some(title) = title {
        o.text("title", title);
    }
    o.end();
}

/// An object with a type.
fn block<'a>(kind: &str, out: &'a mut String) -> Object<'a> {
    let mut o = Object::new(out);
    o.text("type", kind);
    o
}

/// Tools that the history calls and the caller no longer offers: blocks of calls without tools are refused
/// (LiteLLM#4689), while Chat callers leave the tools out when they want none called again.
fn called_tools(r: &Request) -> Option<Value> {
    let mut names: Vec<&str> = vec![];
    for part in r.turns.iter().flat_map(|t| &t.parts) {
        match part {
            Part::Call(call) if !names.contains(&call.name.as_str()) => names.push(&call.name),
            _ => {}
        }
    }
    let define = |name: &&str| json!({"name": name, "input_schema": {"type": "object", "properties": {}}});
    (r.tools.is_empty() && !names.is_empty()).then(|| names.iter().map(define).collect())
}

fn choice(r: &mut Request) -> Option<Value> {
    if r.tools.is_empty() {
        if matches!(r.choice, Some(Choice::Any | Choice::Named(_))) {
            r.drop_member("tool_choice");
        }
        return None;
    }
    let mut chosen = match &r.choice {
        None => None,
        Some(Choice::Auto) => Some(json!({"type": "auto"})),
        Some(Choice::None) => Some(json!({"type": "none"})),
        Some(Choice::Any) => Some(json!({"type": "any"})),
        Some(Choice::Named(name)) => Some(json!({"type": "tool", "name": name})),
    };
    // The flag lives inside tool_choice and is inverted; a choice must exist to hold it.
    if r.parallel == Some(false) && r.choice != Some(Choice::None) {
        chosen.get_or_insert_with(|| json!({"type": "auto"}))["disable_parallel_tool_use"] = true.into();
    }
    chosen
}

/// Temperature ends at 1 here: more is told as 1, and listed. Thinking wants all of it at the default.
fn sampling(r: &mut Request, can: &Capability, thinks: bool, out: &mut Map<String, Value>) {
    let allowed = matches!(can.sampling, Sampling::Free | Sampling::One) && !thinks;
    for (name, value) in [("temperature", r.temperature), ("top_p", r.top_p)] {
        let Some(value) = value else { continue };
        let is_second = out.contains_key("temperature") && can.sampling == Sampling::One;
        if !allowed || is_second {
            if value != 1.0 {
                r.drop_member(name);
            }
            continue;
        }
        if value > 1.0 {
            r.drop_member(name);
        }
        out.insert(name.into(), value.min(1.0).into());
    }
    match r.top_k {
        Some(k) if allowed => _ = out.insert("top_k".into(), k.into()),
        Some(_) => r.drop_member("top_k"),
        None => {}
    }
}

fn stops(r: &mut Request, can: &Capability, out: &mut Map<String, Value>) {
    let (keep, blank): (Vec<String>, Vec<String>) =
        std::mem::take(&mut r.stop).into_iter().partition(|s| can.stop && !s.trim().is_empty());
    if !blank.is_empty() {
        r.drop_member(r.words.stop);
    }
    if !keep.is_empty() {
        out.insert("stop_sequences".into(), keep.into());
    }
}
