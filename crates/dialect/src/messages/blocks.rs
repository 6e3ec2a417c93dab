//! Content of a Messages turn: a string, or blocks.

use serde_json::{Map, Value, json};

use crate::{
    model::{Call, Media, Part, Request, Seal, Source, Text, Thought, ToolResult},
    rest::{drop_rest, take_cache, take_object, take_string},
    seal,
    translate::{Read, refuse},
};

/// The texts of instructions; anything else among them is listed as dropped.
pub(super) fn texts(r: &mut Request, at: &str, value: Value) -> Read<Vec<Text>> {
    let mut texts = vec![];
    for part in content(r, at, value)? {
        match part {
            Part::Text(t) => texts.push(t),
            Part::Image(Media { at, .. }) | Part::Document { media: Media { at, .. }, .. } => r.drop_member(at),
            Part::Call(Call { at, .. }) | Part::Result(ToolResult { at, .. }) | Part::Thought(Thought { at, .. }) => {
                r.drop_member(at);
            }
            Part::Refusal(_) => {}
        }
    }
    Ok(texts)
}

/// The parts of a turn's content, or of a tool result's.
pub(super) fn content(r: &mut Request, at: &str, value: Value) -> Read<Vec<Part>> {
    match value {
        Value::Null => Ok(vec![]),
        Value::String(text) if text.is_empty() => Ok(vec![]),
        Value::String(text) => Ok(vec![Part::Text(Text { text, cache: None })]),
        Value::Array(list) => {
            let each = list.into_iter().enumerate();
            let read = each.map(|(j, block)| part(r, format!("{at}[{j}]"), block));
            Ok(read.collect::<Read<Vec<_>>>()?.into_iter().flatten().collect())
        }
        _ => refuse(at, "must be a string or an array"),
    }
}

fn part(r: &mut Request, at: String, block: Value) -> Read<Option<Part>> {
    let Value::Object(mut block) = block else { return refuse(at, "must be an object") };
    let cache = take_cache(&mut block);
    let kind = take_string(&mut block, "type").unwrap_or_default();
    block.retain(|name, v| says(&kind, name, v));
    let part = match kind.as_str() {
        "text" => {
            let text = take_string(&mut block, "text").filter(|t| !t.is_empty());
            text.map(|text| Part::Text(Text { text, cache }))
        }
        "image" => {
            let source = source(r, &at, take_object(&mut block, "source"))?;
            Some(Part::Image(Media { source, detail: None, cache, at: at.clone() }))
        }
        "document" => Some(document(r, &at, &mut block, cache)?),
        "tool_use" => {
            let (Some(id), Some(name)) = (take_string(&mut block, "id"), take_string(&mut block, "name")) else {
                return refuse(at, "a tool_use needs an id and a name");
            };
            let arguments = arguments(block.remove("input"));
            Some(Part::Call(Call { id, name, arguments, cache, at: at.clone() }))
        }
        "tool_result" => {
            let Some(id) = take_string(&mut block, "tool_use_id") else {
                return refuse(format!("{at}.tool_use_id"), "is missing; send the id of the call that it answers");
            };
            let is_error = block.remove("is_error").is_some_and(|e| e == true);
            let content = content(r, &format!("{at}.content"), block.remove("content").unwrap_or_default())?;
            Some(Part::Result(ToolResult { id, content, is_error, cache, at: at.clone() }))
        }
        "thinking" => {
            let sealed = take_string(&mut block, "signature").and_then(|s| seal::open(&s));
            Some(Part::Thought(thought(take_string(&mut block, "thinking"), sealed, at.clone())))
        }
        "redacted_thinking" => {
            let sealed = take_string(&mut block, "data").and_then(|s| seal::open(&s));
            Some(Part::Thought(thought(None, sealed, at.clone())))
        }
        // Of tools that only the provider runs.
        _ => {
            r.drop_member(at);
            return Ok(None);
        }
    };
    drop_rest(r, &at, block);
    Ok(part)
}

fn document(r: &mut Request, at: &str, block: &mut Map<String, Value>, cache: Option<Value>) -> Read<Part> {
    let mut held = take_object(block, "source").unwrap_or_default();
    if held.get("type").is_some_and(|t| t == "text") {
        let Some(text) = take_string(&mut held, "data") else { return refuse(at, "a text source needs its data") };
        held.retain(|name, v| name != "type" && !(name == "media_type" && *v == "text/plain"));
        drop_rest(r, &format!("{at}.source"), held);
        return Ok(Part::Text(Text { text, cache }));
    }
    let name = take_string(block, "title");
    Ok(Part::Document {
        media: Media { source: source(r, at, Some(held))?, detail: None, cache, at: at.to_owned() },
        name,
    })
}

/// A thought; a seal that is not ours stays with whom it was made for.
fn thought(text: Option<String>, sealed: Option<(String, Seal)>, at: String) -> Thought {
    let (by, seal) = sealed.unzip();
    Thought { text: text.unwrap_or_default(), seal, by: by.unwrap_or_default(), at }
}

/// Nothing is `{}`; what is no object is kept under one member, as Chat's arguments are.
pub(super) fn arguments(input: Option<Value>) -> Value {
    match input {
        Some(input @ Value::Object(_)) => input,
        None | Some(Value::Null) => json!({}),
        Some(other) => json!({"arguments": other}),
    }
}

/// Whether a member says something: an answer that the app sends back whole has some that do not.
fn says(kind: &str, name: &str, value: &Value) -> bool {
    match (kind, name) {
        ("document", "citations") => value.get("enabled") != Some(&Value::Bool(false)),
        ("tool_use", "caller") => *value != json!({"type": "direct"}),
        _ => true,
    }
}

fn source(r: &mut Request, at: &str, source: Option<Map<String, Value>>) -> Read<Source> {
    let mut source = source.unwrap_or_default();
    let kind = take_string(&mut source, "type").unwrap_or_default();
    let mut word = |name: &str| take_string(&mut source, name);
    let read = match kind.as_str() {
        "url" => word("url").map(Source::Url),
        "base64" => word("media_type").zip(word("data")).map(|(media_type, data)| Source::Base64 { media_type, data }),
        "file" => return refuse(at, "a file held by one provider cannot be sent to another; send its data"),
        _ => None,
    };
    drop_rest(r, &format!("{at}.source"), source);
    read.map_or_else(|| refuse(at, "must have a url or a base64 source"), Ok)
}
