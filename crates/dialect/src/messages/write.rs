//! A Messages request, written from the model.

use serde_json::{Map, Value, json};

use crate::{
    model::{Call, Choice, Part, Request, Role, Source, Text, Turn},
    translate::{TargetModel, Untranslatable, refuse},
};

/// Where nobody sets a limit: Messages demands one.
const DEFAULT_MAX_TOKENS: u64 = 4096;
const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// Writes a request; what the model refuses is left out and listed.
pub(crate) fn write_request(r: &mut Request, to: &TargetModel<'_>) -> Result<Value, Untranslatable> {
    let can = to.capability;
    let mut out = Map::new();
    out.insert("model".into(), to.model.into());
    out.insert("max_tokens".into(), r.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS).into());
    if !r.system.is_empty() {
        out.insert("system".into(), r.system.iter().map(text).collect());
    }
    turns(r, can.prefill)?;
    let messages = r.turns.iter().map(turn).collect::<Result<Vec<_>, _>>()?;
    out.insert("messages".into(), messages.into());
    if !r.tools.is_empty() {
        let tools = r.tools.iter().map(|t| {
            let mut tool = json!({"name": t.name, "input_schema": t.schema});
            put(&mut tool, "description", t.description.clone().map(Value::from));
            put(&mut tool, "cache_control", t.cache.clone());
            tool
        });
        out.insert("tools".into(), tools.collect());
    }
    if let Some(choice) = choice(r, can.forced_tools) {
        out.insert("tool_choice".into(), choice);
    }
    sampling(r, can.sampling, &mut out);
    stops(r, &mut out);
    if let Some(user) = &r.user {
        out.insert("metadata".into(), json!({"user_id": user}));
    }
    let mut config = Map::new();
    if let Some(schema) = &r.schema {
        config.insert("format".into(), json!({"type": "json_schema", "schema": schema.schema}));
    }
    match r.effort.take().as_deref() {
        None | Some("none") => {}
        Some("minimal") => _ = config.insert("effort".into(), "low".into()),
        Some(effort) => _ = config.insert("effort".into(), effort.into()),
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
fn turns(r: &mut Request, prefill: bool) -> Result<(), Untranslatable> {
    match r.turns.first() {
        None => return refuse("messages", "must hold a user turn"),
        Some(first) if first.role == Role::Assistant => {
            let opening = Part::Text(Text { text: "Continue.".into(), cache: None });
            r.turns.insert(0, Turn { role: Role::User, parts: vec![opening] });
        }
        Some(_) => {}
    }
    if let Some(last) = r.turns.last_mut().filter(|t| t.role == Role::Assistant) {
        if !prefill {
            return refuse("messages", "the target does not continue a last assistant turn; end with a user turn");
        }
        if let Some(Part::Text(t)) = last.parts.last_mut() {
            t.text.truncate(t.text.trim_end().len());
        }
        last.parts.retain(|p| !matches!(p, Part::Text(t) if t.text.is_empty()));
    }
    Ok(())
}

fn turn(t: &Turn) -> Result<Value, Untranslatable> {
    let role = if t.role == Role::User { "user" } else { "assistant" };
    let content = t.parts.iter().map(part).collect::<Result<Vec<_>, _>>()?;
    Ok(json!({"role": role, "content": content}))
}

fn text(t: &Text) -> Value {
    let mut block = json!({"type": "text", "text": t.text});
    put(&mut block, "cache_control", t.cache.clone());
    block
}

fn part(p: &Part) -> Result<Value, Untranslatable> {
    Ok(match p {
        Part::Text(t) => text(t),
        Part::Image(s) => {
            if let Source::Base64 { media_type, .. } = s
                && !IMAGES.contains(&media_type.as_str())
            {
                return refuse("messages", "the target takes JPEG, PNG, GIF and WebP images only");
            }
            json!({"type": "image", "source": source(s)})
        }
        Part::Document { source: s, name } => {
            let mut block = json!({"type": "document", "source": source(s)});
            put(&mut block, "title", name.clone().map(Value::from));
            block
        }
        Part::Call(Call { id, name, arguments }) => {
            json!({"type": "tool_use", "id": id, "name": name, "input": arguments})
        }
        Part::Result { id, content, is_error, cache } => {
            let content = content.iter().map(part).collect::<Result<Vec<_>, _>>()?;
            let mut block = json!({"type": "tool_result", "tool_use_id": id, "content": content});
            put(&mut block, "is_error", is_error.then_some(true.into()));
            put(&mut block, "cache_control", cache.clone());
            block
        }
    })
}

fn source(s: &Source) -> Value {
    match s {
        Source::Url(url) => json!({"type": "url", "url": url}),
        Source::Base64 { media_type, data } => json!({"type": "base64", "media_type": media_type, "data": data}),
    }
}

fn choice(r: &mut Request, forced: bool) -> Option<Value> {
    if r.tools.is_empty() {
        return None;
    }
    let mut chosen = match &r.choice {
        None => None,
        Some(Choice::Auto) => Some(json!({"type": "auto"})),
        Some(Choice::None) => Some(json!({"type": "none"})),
        Some(Choice::Any | Choice::Named(_)) if !forced => {
            r.drop_member("tool_choice");
            None
        }
        Some(Choice::Any) => Some(json!({"type": "any"})),
        Some(Choice::Named(name)) => Some(json!({"type": "tool", "name": name})),
    };
    // The flag lives inside tool_choice and is inverted; a choice must exist to hold it.
    if r.parallel == Some(false) && r.choice != Some(Choice::None) {
        chosen.get_or_insert_with(|| json!({"type": "auto"}))["disable_parallel_tool_use"] = true.into();
    }
    chosen
}

fn sampling(r: &mut Request, allowed: bool, out: &mut Map<String, Value>) {
    for (name, value) in [("temperature", r.temperature), ("top_p", r.top_p)] {
        let Some(value) = value else { continue };
        if !allowed {
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
    if let Some(k) = r.top_k {
        out.insert("top_k".into(), k.into());
    }
}

fn stops(r: &mut Request, out: &mut Map<String, Value>) {
    let (keep, blank): (Vec<String>, Vec<String>) =
        std::mem::take(&mut r.stop).into_iter().partition(|s| !s.trim().is_empty());
    if !blank.is_empty() {
        r.drop_member("stop");
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
