//! A Messages request, written from the model.

use serde_json::{Map, Value, json};

use super::{effort::effort, foreign::tell_foreign};
use crate::{
    capability::{Capability, Sampling},
    model::{Call, Choice, Media, Part, Request, Role, Seal, Source, Text, Thought, ToolResult, Turn},
    translate::{Read, TargetModel, refuse},
};

/// Where nobody sets a limit: Messages demands one.
const DEFAULT_MAX_TOKENS: u64 = 4096;
const MAX_CACHE_MARKS: u32 = 4;

/// Writes a request; what the model refuses is left out and listed.
pub(crate) fn write_request(r: &mut Request, to: &TargetModel<'_>) -> Read<Value> {
    let can = to.capability;
    let limit =
        r.max_tokens.unwrap_or_else(|| to.most_tokens.map_or(DEFAULT_MAX_TOKENS, |m| m.min(DEFAULT_MAX_TOKENS)));
    let mut out = Map::new();
    out.insert("model".into(), to.model.into());
    out.insert("max_tokens".into(), limit.into());
    turns(r, can.prefill)?;
    tell_foreign(r);
    spare_cache_marks(r);
    if !r.system.is_empty() {
        out.insert("system".into(), r.system.iter().map(text).collect());
    }
    out.insert("messages".into(), r.turns.iter().map(turn).collect());
    if !r.tools.is_empty() {
        let tools = r.tools.iter().map(|t| {
            let mut tool = json!({"name": t.name, "input_schema": t.schema});
            put(&mut tool, "description", t.description.clone().map(Value::from));
            put(&mut tool, "cache_control", t.cache.clone());
            tool
        });
        out.insert("tools".into(), tools.collect());
    }
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
    if r.stream {
        out.insert("stream".into(), true.into());
    }
    Ok(out.into())
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

fn turn(t: &Turn) -> Value {
    let role = if t.role == Role::Assistant { "assistant" } else { "user" };
    json!({"role": role, "content": t.parts.iter().map(part).collect::<Vec<_>>()})
}

fn text(t: &Text) -> Value {
    let mut block = json!({"type": "text", "text": t.text});
    put(&mut block, "cache_control", t.cache.clone());
    block
}

fn part(p: &Part) -> Value {
    match p {
        Part::Text(t) => text(t),
        Part::Refusal(text) => json!({"type": "text", "text": text}),
        Part::Thought(t) => thought(t),
        Part::Image(m) => media("image", m),
        Part::Document { media: m, name } => {
            let mut block = media("document", m);
            put(&mut block, "title", name.clone().map(Value::from));
            block
        }
        Part::Call(Call { id, name, arguments, cache, .. }) => {
            let mut block = json!({"type": "tool_use", "id": id, "name": name, "input": arguments});
            put(&mut block, "cache_control", cache.clone());
            block
        }
        Part::Result(ToolResult { id, content, is_error, cache, .. }) => {
            let content: Vec<Value> = content.iter().map(part).collect();
            let mut block = json!({"type": "tool_result", "tool_use_id": id, "content": content});
            put(&mut block, "is_error", is_error.then_some(true.into()));
            put(&mut block, "cache_control", cache.clone());
            block
        }
    }
}

/// A thought as this provider sealed it; `turns::strip_thoughts` lets no other through.
fn thought(t: &Thought) -> Value {
    match &t.seal {
        Some(Seal::Redacted(data)) => json!({"type": "redacted_thinking", "data": data}),
        Some(Seal::Signature(s)) => json!({"type": "thinking", "thinking": t.text, "signature": s}),
        Some(Seal::Encrypted { .. }) | None => json!({"type": "thinking", "thinking": t.text, "signature": ""}),
    }
}

fn media(kind: &str, m: &Media) -> Value {
    let source = match &m.source {
        Source::Url(url) => json!({"type": "url", "url": url}),
        Source::Base64 { media_type, data } => json!({"type": "base64", "media_type": media_type, "data": data}),
    };
    let mut block = json!({"type": kind, "source": source});
    put(&mut block, "cache_control", m.cache.clone());
    block
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

fn put(object: &mut Value, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        object[name] = value;
    }
}
