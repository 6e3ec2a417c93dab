//! Content of a Messages turn: a string, or blocks.

use serde_json::{Map, Value, json};

use crate::{
    model::{Call, Media, Part, Request, Seal, Source, Text, Thought, ToolResult},
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
    let cache = block.remove("cache_control").filter(|c| !c.is_null());
    let word = |block: &mut Map<String, Value>, name: &str| match block.remove(name) {
        Some(Value::String(s)) => Some(s),
        _ => None,
    };
    Ok(Some(match word(&mut block, "type").unwrap_or_default().as_str() {
        "text" => {
            if says(&block, "citations") {
                r.drop_member(format!("{at}.citations"));
            }
            match word(&mut block, "text") {
                Some(text) if !text.is_empty() => Part::Text(Text { text, cache }),
                _ => return Ok(None),
            }
        }
        "image" => Part::Image(Media { source: source(&at, block.remove("source"))?, detail: None, cache, at }),
        "document" => {
            for name in ["citations", "context"] {
                if says(&block, name) {
                    r.drop_member(format!("{at}.{name}"));
                }
            }
            let name = word(&mut block, "title");
            let mut held = block.remove("source").unwrap_or_default();
            if held["type"] == "text" {
                let Value::String(text) = held["data"].take() else {
                    return refuse(at, "a text source needs its data");
                };
                Part::Text(Text { text, cache })
            } else {
                Part::Document { media: Media { source: source(&at, Some(held))?, detail: None, cache, at }, name }
            }
        }
        "tool_use" => {
            let (Some(id), Some(name)) = (word(&mut block, "id"), word(&mut block, "name")) else {
                return refuse(at, "a tool_use needs an id and a name");
            };
            let arguments = arguments(block.remove("input"));
            Part::Call(Call { id, name, arguments, cache, at })
        }
        "tool_result" => {
            let Some(id) = word(&mut block, "tool_use_id") else {
                return refuse(format!("{at}.tool_use_id"), "is missing; send the id of the call that it answers");
            };
            let is_error = block.get("is_error").is_some_and(|e| *e == true);
            let content = content(r, &format!("{at}.content"), block.remove("content").unwrap_or_default())?;
            Part::Result(ToolResult { id, content, is_error, cache, at })
        }
        "thinking" => {
            let sealed = word(&mut block, "signature").and_then(|s| seal::open(&s));
            Part::Thought(thought(word(&mut block, "thinking"), sealed, at))
        }
        "redacted_thinking" => {
            let sealed = word(&mut block, "data").and_then(|s| seal::open(&s));
            Part::Thought(thought(None, sealed, at))
        }
        // Of tools that only the provider runs.
        _ => {
            r.drop_member(at);
            return Ok(None);
        }
    }))
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

/// Whether a member is there and says something.
fn says(block: &Map<String, Value>, name: &str) -> bool {
    match block.get(name) {
        None | Some(Value::Null) => false,
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(map)) => map.get("enabled").is_none_or(|e| *e == true),
        Some(_) => true,
    }
}

fn source(at: &str, source: Option<Value>) -> Read<Source> {
    let mut source = source.unwrap_or_default();
    let kind = source["type"].as_str().unwrap_or_default().to_owned();
    let mut word = |name: &str| match source.get_mut(name).map(Value::take) {
        Some(Value::String(s)) => Some(s),
        _ => None,
    };
    match (kind.as_str(), word("url"), word("media_type"), word("data")) {
        ("url", Some(url), _, _) => Ok(Source::Url(url)),
        ("base64", _, Some(media_type), Some(data)) => Ok(Source::Base64 { media_type, data }),
        ("file", ..) => refuse(at, "a file held by one provider cannot be sent to another; send its data"),
        _ => refuse(at, "must have a url or a base64 source"),
    }
}
