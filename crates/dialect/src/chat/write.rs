//! A Chat request, written from the model.

use serde_json::{Map, Value, json};

use crate::{
    model::{Call, Choice, Part, Request, Role, Source, Text, Turn},
    translate::{TargetModel, Untranslatable, refuse},
};

/// Longest function name.
const MAX_NAME: usize = 64;
/// Most stop sequences.
const MAX_STOPS: usize = 4;

/// Writes a request; what the model refuses is left out and listed. `names` takes the tool names that were shortened.
pub(crate) fn write_request(
    r: &mut Request,
    to: &TargetModel<'_>,
    names: &mut Vec<(String, String)>,
) -> Result<Value, Untranslatable> {
    let can = to.capability;
    shorten(r, names);
    forget_cache_marks(r);
    let mut out = Map::new();
    out.insert("model".into(), to.model.into());
    out.insert("messages".into(), messages(r, names)?.into());
    if let Some(limit) = r.max_tokens {
        let name = if can.legacy_max_tokens { "max_tokens" } else { "max_completion_tokens" };
        out.insert(name.into(), limit.into());
    }
    if !r.tools.is_empty() {
        let tools = r.tools.iter().map(|t| {
            let mut f = json!({"name": wire_name(names, &t.name), "parameters": t.schema});
            if let Some(d) = &t.description {
                f["description"] = d.clone().into();
            }
            json!({"type": "function", "function": f})
        });
        out.insert("tools".into(), tools.collect());
        if let Some(choice) = &r.choice {
            out.insert("tool_choice".into(), choice_value(choice, names));
        }
        if r.parallel == Some(false) {
            out.insert("parallel_tool_calls".into(), false.into());
        }
    }
    for (name, value) in [("temperature", r.temperature), ("top_p", r.top_p)] {
        match value {
            Some(v) if can.sampling => _ = out.insert(name.into(), v.into()),
            Some(v) if v != 1.0 => r.drop_member(name),
            _ => {}
        }
    }
    if r.top_k.is_some() {
        r.drop_member("top_k");
    }
    if r.stop.len() > MAX_STOPS {
        r.drop_member("stop_sequences");
    }
    if !r.stop.is_empty() {
        out.insert("stop".into(), r.stop.iter().take(MAX_STOPS).cloned().collect());
    }
    if let Some(effort) = effort(r, !can.sampling) {
        out.insert("reasoning_effort".into(), effort.into());
    }
    if let Some(s) = &r.schema {
        let name = s.name.clone().unwrap_or_else(|| "answer".into());
        out.insert(
            "response_format".into(),
            json!({"type": "json_schema", "json_schema": {"name": name, "schema": s.schema, "strict": true}}),
        );
    }
    if let Some(user) = &r.user {
        out.insert("user".into(), user.clone().into());
    }
    if r.stream {
        out.insert("stream".into(), true.into());
        out.insert("stream_options".into(), json!({"include_usage": true}));
    }
    Ok(out.into())
}

/// Effort for models that reason: as asked, or by the size of a thinking budget.
fn effort(r: &mut Request, reasons: bool) -> Option<&'static str> {
    let budget = r.thinking_budget.map(|b| match b {
        0..4096 => "low",
        4096..16_384 => "medium",
        _ => "high",
    });
    let asked = match r.effort.as_deref() {
        Some("low") => Some("low"),
        Some("medium") => Some("medium"),
        Some("high") => Some("high"),
        Some("xhigh" | "max") => Some("xhigh"),
        _ => None,
    };
    if !reasons {
        if r.thinking_budget.is_some() {
            r.drop_member("thinking");
        }
        if r.effort.is_some() {
            r.drop_member("output_config.effort");
        }
        return None;
    }
    asked.or(budget)
}

fn messages(r: &mut Request, names: &[(String, String)]) -> Result<Vec<Value>, Untranslatable> {
    let mut out = vec![];
    if !r.system.is_empty() {
        let text = r.system.iter().map(|t| t.text.as_str()).collect::<Vec<_>>().join("\n\n");
        out.push(json!({"role": "system", "content": text}));
    }
    let turns = std::mem::take(&mut r.turns);
    for (i, turn) in turns.into_iter().enumerate() {
        match turn.role {
            Role::User => user(r, i, turn, &mut out)?,
            Role::Assistant => out.push(assistant(turn, names)),
        }
    }
    if out.is_empty() { refuse("messages", "must hold a message") } else { Ok(out) }
}

/// Tool results become messages of their own, before the rest of the turn; their images follow in it.
fn user(r: &mut Request, i: usize, turn: Turn, out: &mut Vec<Value>) -> Result<(), Untranslatable> {
    let mut rest = vec![];
    for part in turn.parts {
        match part {
            Part::Result { id, content, is_error, .. } => {
                if is_error {
                    r.drop_member(format!("messages[{i}].content.is_error"));
                }
                let mut words = vec![];
                for p in content {
                    match p {
                        Part::Text(t) => words.push(t.text),
                        media => rest.push(media),
                    }
                }
                out.push(json!({"role": "tool", "tool_call_id": id, "content": words.join("\n")}));
            }
            other => rest.push(other),
        }
    }
    if let [Part::Text(t)] = rest.as_slice() {
        out.push(json!({"role": "user", "content": t.text}));
    } else if !rest.is_empty() {
        let parts = rest.iter().map(part).collect::<Result<Vec<_>, _>>()?;
        out.push(json!({"role": "user", "content": parts}));
    }
    Ok(())
}

fn part(p: &Part) -> Result<Value, Untranslatable> {
    Ok(match p {
        Part::Text(t) => json!({"type": "text", "text": t.text}),
        Part::Image(s) => json!({"type": "image_url", "image_url": {"url": url(s)}}),
        Part::Document { source: Source::Url(_), .. } => {
            return refuse("messages", "a document by URL has no counterpart; send its data");
        }
        Part::Document { source: s, name } => {
            let name = name.clone().unwrap_or_else(|| "document.pdf".into());
            json!({"type": "file", "file": {"filename": name, "file_data": url(s)}})
        }
        Part::Call(_) | Part::Result { .. } => return refuse("messages", "a user turn holds a tool_use"),
    })
}

fn url(s: &Source) -> String {
    match s {
        Source::Url(url) => url.clone(),
        Source::Base64 { media_type, data } => format!("data:{media_type};base64,{data}"),
    }
}

fn assistant(turn: Turn, names: &[(String, String)]) -> Value {
    let mut text = String::new();
    let mut calls: Vec<Value> = vec![];
    for part in turn.parts {
        match part {
            Part::Text(t) => text.push_str(&t.text),
            Part::Call(Call { id, name, arguments }) => {
                let arguments = if arguments.is_null() { "{}".to_owned() } else { arguments.to_string() };
                let f = json!({"name": wire_name(names, &name), "arguments": arguments});
                calls.push(json!({"id": id, "type": "function", "function": f}));
            }
            _ => {}
        }
    }
    let content = if text.is_empty() { Value::Null } else { text.into() };
    let mut message = json!({"role": "assistant", "content": content});
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    message
}

fn choice_value(choice: &Choice, names: &[(String, String)]) -> Value {
    match choice {
        Choice::Auto => "auto".into(),
        Choice::Any => "required".into(),
        Choice::None => "none".into(),
        Choice::Named(name) => json!({"type": "function", "function": {"name": wire_name(names, name)}}),
    }
}

/// Names that Chat refuses get a short form: what fits of the name, and a hash that tells it from its like.
fn shorten(r: &Request, names: &mut Vec<(String, String)>) {
    let calls =
        r.turns.iter().flat_map(|t| &t.parts).filter_map(|p| if let Part::Call(c) = p { Some(&c.name) } else { None });
    for name in r.tools.iter().map(|t| &t.name).chain(calls) {
        let fits = name.len() <= MAX_NAME && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !fits && !names.iter().any(|(_, own)| own == name) {
            let kept: String = name
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
                .take(MAX_NAME - 17)
                .collect();
            names.push((format!("{kept}_{:016x}", fnv1a(name.as_bytes())), name.clone()));
        }
    }
}

/// FNV-1a, 64 bits: stable across versions, since names recur in history.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

fn wire_name<'a>(names: &'a [(String, String)], own: &'a str) -> &'a str {
    names.iter().find(|(_, o)| o == own).map_or(own, |(wire, _)| wire)
}

fn forget_cache_marks(r: &mut Request) {
    let marked = |p: &Part| matches!(p, Part::Text(Text { cache: Some(_), .. }) | Part::Result { cache: Some(_), .. });
    let any = r.system.iter().any(|t| t.cache.is_some())
        || r.tools.iter().any(|t| t.cache.is_some())
        || r.turns.iter().flat_map(|t| &t.parts).any(marked);
    if any {
        r.drop_member("cache_control");
    }
}
