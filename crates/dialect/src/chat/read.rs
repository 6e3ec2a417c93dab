//! A Chat request, read into the model.

use serde_json::{Map, Value};

use crate::{
    model::{Call, Choice, Part, Request, Role, Schema, Source, Text, Tool, Turn},
    translate::{Untranslatable, refuse},
};

type Read<T> = Result<T, Untranslatable>;

/// Reads a request; members that have no place in the model are listed as dropped.
pub(crate) fn read_request(body: Map<String, Value>) -> Read<Request> {
    let mut r = Request::default();
    for (name, value) in body {
        if value.is_null() {
            continue;
        }
        match name.as_str() {
            "model" | "stream_options" => {}
            "messages" => messages(&mut r, value)?,
            "tools" => tools(&mut r, value)?,
            "tool_choice" => choice(&mut r, &value),
            "parallel_tool_calls" => r.parallel = value.as_bool(),
            "max_completion_tokens" => r.max_tokens = value.as_u64().or(r.max_tokens),
            "max_tokens" => r.max_tokens = r.max_tokens.or(value.as_u64()),
            "temperature" => r.temperature = value.as_f64(),
            "top_p" => r.top_p = value.as_f64(),
            "stop" => stop(&mut r, value),
            "stream" => r.stream = value == true,
            "reasoning_effort" => r.effort = value.as_str().map(str::to_owned),
            "response_format" => format(&mut r, value),
            "user" | "safety_identifier" => r.user = value.as_str().map(str::to_owned),
            "functions" | "function_call" => return refuse(name, "legacy functions are not translated; use tools"),
            "modalities" if value.as_array().is_some_and(|m| m.iter().any(|m| m == "audio")) => {
                return refuse(name, "audio output has no counterpart");
            }
            "audio" => return refuse(name, "audio output has no counterpart"),
            "modalities" => {}
            "n" if value == 1 => {}
            "frequency_penalty" | "presence_penalty" if value.as_f64() == Some(0.0) => {}
            "logprobs" | "store" if value == false => {}
            "service_tier" if value == "auto" || value == "default" => {}
            _ => r.drop_member(name),
        }
    }
    answered(&r)?;
    Ok(r)
}

fn messages(r: &mut Request, value: Value) -> Read<()> {
    let Value::Array(list) = value else { return refuse("messages", "must be an array") };
    for (i, message) in list.into_iter().enumerate() {
        let Value::Object(mut m) = message else { return refuse(format!("messages[{i}]"), "must be an object") };
        let at = format!("messages[{i}]");
        let content = m.remove("content").unwrap_or_default();
        let role = m.get("role").and_then(Value::as_str).unwrap_or_default().to_owned();
        if m.contains_key("name") {
            r.drop_member(format!("{at}.name"));
        }
        match role.as_str() {
            "system" | "developer" => {
                let texts = texts(r, &at, content)?;
                if r.turns.is_empty() {
                    r.system.extend(texts);
                } else {
                    // Only leading instructions have a place of their own elsewhere; later ones keep their order.
                    r.drop_member(format!("{at}.role"));
                    r.turns.push(Turn { role: Role::User, parts: texts.into_iter().map(Part::Text).collect() });
                }
            }
            "user" => {
                let parts = parts(r, &at, content)?;
                r.turns.push(Turn { role: Role::User, parts });
            }
            "assistant" => assistant(r, &at, content, m)?,
            "tool" => {
                let Some(id) = m.get("tool_call_id").and_then(Value::as_str) else {
                    return refuse(format!("{at}.tool_call_id"), "is missing");
                };
                let content = parts(r, &at, content)?;
                let cache = m.get("cache_control").cloned();
                let result = Part::Result { id: id.to_owned(), content, is_error: false, cache };
                r.turns.push(Turn { role: Role::User, parts: vec![result] });
            }
            _ => {
                return refuse(
                    format!("{at}.role"),
                    "is not translated; use system, developer, user, assistant or tool",
                );
            }
        }
    }
    Ok(())
}

fn assistant(r: &mut Request, at: &str, content: Value, mut m: Map<String, Value>) -> Read<()> {
    let mut parts = parts(r, at, content)?;
    if let Some(Value::String(refusal)) = m.remove("refusal") {
        parts.push(Part::Text(Text { text: refusal, cache: None }));
    }
    if m.get("audio").is_some_and(|a| !a.is_null()) {
        return refuse(format!("{at}.audio"), "audio history has no counterpart");
    }
    if m.get("function_call").is_some_and(|a| !a.is_null()) {
        return refuse(format!("{at}.function_call"), "legacy functions are not translated; use tools");
    }
    for reasoning in ["reasoning_content", "reasoning"] {
        if m.get(reasoning).is_some_and(|v| !v.is_null()) {
            r.drop_member(format!("{at}.{reasoning}"));
        }
    }
    if let Some(Value::Array(calls)) = m.remove("tool_calls") {
        for (j, call) in calls.into_iter().enumerate() {
            let f = &call["function"];
            let (Some(id), Some(name)) = (call["id"].as_str(), f["name"].as_str()) else {
                return refuse(format!("{at}.tool_calls[{j}]"), "only function calls with an id are translated");
            };
            let text = f["arguments"].as_str().unwrap_or_default();
            let arguments = arguments(text);
            parts.push(Part::Call(Call { id: id.to_owned(), name: name.to_owned(), arguments }));
        }
    }
    r.turns.push(Turn { role: Role::Assistant, parts });
    Ok(())
}

/// Arguments as an object: nothing is `{}`, and what is no object is kept under one member rather than lost.
pub(super) fn arguments(text: &str) -> Value {
    if text.trim().is_empty() {
        return Value::Object(Map::new());
    }
    match serde_json::from_str(text) {
        Ok(v @ Value::Object(_)) => v,
        Ok(other) => Value::Object(Map::from_iter([("arguments".to_owned(), other)])),
        Err(_) => Value::Object(Map::from_iter([("arguments".to_owned(), text.into())])),
    }
}

fn texts(r: &mut Request, at: &str, content: Value) -> Read<Vec<Text>> {
    let parts = parts(r, at, content)?;
    Ok(parts.into_iter().filter_map(|p| if let Part::Text(t) = p { Some(t) } else { None }).collect())
}

fn parts(r: &mut Request, at: &str, content: Value) -> Read<Vec<Part>> {
    match content {
        Value::Null => Ok(vec![]),
        Value::String(text) if text.is_empty() => Ok(vec![]),
        Value::String(text) => Ok(vec![Part::Text(Text { text, cache: None })]),
        Value::Array(list) => {
            let each = list.into_iter().enumerate();
            let read = each.map(|(j, p)| part(r, &format!("{at}.content[{j}]"), p));
            Ok(read.collect::<Read<Vec<_>>>()?.into_iter().flatten().collect())
        }
        _ => refuse(format!("{at}.content"), "must be a string or an array"),
    }
}

fn part(r: &mut Request, at: &str, p: Value) -> Read<Option<Part>> {
    let cache = p.get("cache_control").cloned();
    let text = |v: &Value| {
        v.as_str().filter(|s| !s.is_empty()).map(|s| Part::Text(Text { text: s.to_owned(), cache: cache.clone() }))
    };
    match p["type"].as_str().unwrap_or_default() {
        "text" => Ok(text(&p["text"])),
        "refusal" => Ok(text(&p["refusal"])),
        "image_url" => {
            if p["image_url"].get("detail").is_some_and(|d| d != "auto") {
                r.drop_member(format!("{at}.image_url.detail"));
            }
            let url = p["image_url"]["url"].as_str().unwrap_or_default();
            Ok(Some(Part::Image(source(&format!("{at}.image_url.url"), url)?)))
        }
        "file" => {
            let file = &p["file"];
            let Some(data) = file["file_data"].as_str() else {
                return refuse(
                    format!("{at}.file.file_id"),
                    "a file held by one provider cannot be sent to another; send file_data",
                );
            };
            let name = file["filename"].as_str().map(str::to_owned);
            Ok(Some(Part::Document { source: source(&format!("{at}.file.file_data"), data)?, name }))
        }
        "input_audio" => refuse(at, "audio input has no counterpart"),
        _ => {
            r.drop_member(at);
            Ok(None)
        }
    }
}

/// A data URL taken apart, or a plain one.
fn source(at: &str, url: &str) -> Read<Source> {
    let Some(rest) = url.strip_prefix("data:") else {
        return if url.starts_with("http") {
            Ok(Source::Url(url.to_owned()))
        } else {
            refuse(at, "must be a data: or http(s) URL")
        };
    };
    match rest.split_once(";base64,") {
        Some((media_type, data)) => Ok(Source::Base64 { media_type: media_type.to_owned(), data: data.to_owned() }),
        None => refuse(at, "a data URL must be base64"),
    }
}

fn tools(r: &mut Request, value: Value) -> Read<()> {
    let Value::Array(list) = value else { return refuse("tools", "must be an array") };
    for (i, tool) in list.into_iter().enumerate() {
        if tool["type"] != "function" {
            return refuse(format!("tools[{i}]"), "only function tools are translated");
        }
        let f = &tool["function"];
        let Some(name) = f["name"].as_str() else { return refuse(format!("tools[{i}].function.name"), "is missing") };
        if f["strict"] == true {
            r.drop_member(format!("tools[{i}].function.strict"));
        }
        r.tools.push(Tool {
            name: name.to_owned(),
            description: f["description"].as_str().map(str::to_owned),
            schema: f
                .get("parameters")
                .filter(|p| p.is_object())
                .cloned()
                .unwrap_or_else(|| serde_json::json!({"type": "object", "properties": {}})),
            cache: tool.get("cache_control").cloned(),
        });
    }
    Ok(())
}

fn choice(r: &mut Request, value: &Value) {
    r.choice = match value {
        Value::String(s) if s == "auto" => Some(Choice::Auto),
        Value::String(s) if s == "required" => Some(Choice::Any),
        Value::String(s) if s == "none" => Some(Choice::None),
        v => v["function"]["name"].as_str().map(|n| Choice::Named(n.to_owned())),
    };
    if r.choice.is_none() {
        r.drop_member("tool_choice");
    }
}

fn stop(r: &mut Request, value: Value) {
    r.stop = match value {
        Value::String(s) => vec![s],
        Value::Array(list) => list.into_iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
        _ => vec![],
    };
}

fn format(r: &mut Request, mut value: Value) {
    match value["type"].as_str() {
        Some("json_schema") => {
            let name = value["json_schema"]["name"].as_str().map(str::to_owned);
            r.schema = Some(Schema { name, schema: value["json_schema"]["schema"].take() });
        }
        Some("text") => {}
        _ => r.drop_member("response_format"),
    }
}

/// Every result answers a call of the turn before it, and every call is answered, as both vendors demand.
fn answered(r: &Request) -> Read<()> {
    let mut open: Vec<&str> = vec![];
    for part in r.turns.iter().flat_map(|t| &t.parts) {
        match part {
            Part::Call(c) => open.push(&c.id),
            Part::Result { id, .. } => match open.iter().position(|o| o == id) {
                Some(i) => {
                    open.remove(i);
                }
                None => return refuse("messages", "a tool message answers no tool call before it"),
            },
            _ => {}
        }
    }
    if open.is_empty() { Ok(()) } else { refuse("messages", "a tool call is answered by no tool message") }
}
