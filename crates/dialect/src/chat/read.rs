//! A Chat request, read into the model.

use serde_json::{Map, Value, json};

use super::parts::{parts, texts};
use crate::{
    model::{Call, Choice, Part, Request, Role, SHARED, Schema, Tool, ToolResult, Turn, Words},
    rest::{drop_rest, take_cache, take_object, take_string},
    translate::{Read, refuse},
};

const WORDS: Words = Words {
    system: "messages[0].role",
    limit: "max_completion_tokens",
    stop: "stop",
    effort: "reasoning_effort",
    format: "response_format",
    verbosity: "verbosity",
    user: "user",
    parallel: "parallel_tool_calls",
    strict: "function.strict",
    detail: "image_url.detail",
    file_name: "file.filename",
    is_error: "",
};

/// Of a caller who sets the limit by its older name.
const OLDER: Words = Words { limit: "max_tokens", ..WORDS };

/// Reads a request; members that have no place in the model are listed as dropped.
pub(crate) fn read_request(body: Map<String, Value>) -> Read<Request> {
    let mut r = Request::new(&WORDS);
    let mut chosen = Value::Null;
    for (name, value) in body {
        if value.is_null() {
            continue;
        }
        match name.as_str() {
            "model" => {}
            _ if SHARED.contains(&name.as_str()) => r.share(name, value),
            "messages" => messages(&mut r, value)?,
            "tools" => tools(&mut r, value)?,
            "tool_choice" => chosen = value,
            "parallel_tool_calls" if value.is_boolean() => r.parallel = value.as_bool(),
            "max_completion_tokens" | "max_tokens" if limit(&value).is_some() => limits(&mut r, &name, limit(&value)),
            "temperature" if value.is_number() => r.temperature = value.as_f64(),
            "top_p" if value.is_number() => r.top_p = value.as_f64(),
            "stop" => stop(&mut r, value)?,
            "stream" if value.is_boolean() => r.stream = value == true,
            "stream_options" => stream_options(&mut r, value),
            "reasoning_effort" if value.is_string() => r.effort = value.as_str().map(str::to_owned),
            "response_format" => format(&mut r, value),
            "verbosity" if value.is_string() => r.verbosity = value.as_str().map(str::to_owned),
            "functions" | "function_call" => return refuse(name, "legacy functions are not translated; use tools"),
            "audio" => return refuse(name, "audio output has no counterpart; leave it out"),
            "modalities" if value.as_array().is_some_and(|m| m.iter().any(|m| m == "audio")) => {
                return refuse(name, "audio output has no counterpart; ask for text");
            }
            // What says no more than the default is no loss.
            "modalities" if value == json!(["text"]) => {}
            "n" if value.as_f64() == Some(1.0) => {}
            "frequency_penalty" | "presence_penalty" if value.as_f64() == Some(0.0) => {}
            "logprobs" | "store" if value == false => {}
            "logit_bias" if value.as_object().is_some_and(Map::is_empty) => {}
            _ => r.drop_member(name),
        }
    }
    choice(&mut r, chosen);
    Ok(r)
}

/// A limit, however its number is written.
pub(crate) fn limit(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_f64().filter(|n| *n >= 0.0).map(|n| n as u64))
}

/// Of two limits the newer member's counts.
fn limits(r: &mut Request, name: &str, limit: Option<u64>) {
    if r.max_tokens.is_some_and(|other| Some(other) != limit) {
        r.drop_member("max_tokens");
    }
    if r.max_tokens.is_none() || name == "max_completion_tokens" {
        r.max_tokens = limit;
        r.words = if name == "max_tokens" { &OLDER } else { &WORDS };
    }
}

/// The usage chunk is given on the way back; nothing is padded there.
pub(crate) fn stream_options(r: &mut Request, value: Value) {
    let Value::Object(mut map) = value else { return r.drop_member("stream_options") };
    map.retain(|name, v| !(name == "include_usage" && v.is_boolean() || name == "include_obfuscation" && *v == false));
    drop_rest(r, "stream_options", map);
}

fn messages(r: &mut Request, value: Value) -> Read<()> {
    let Value::Array(list) = value else { return refuse("messages", "must be an array") };
    for (i, message) in list.into_iter().enumerate() {
        let at = format!("messages[{i}]");
        let Value::Object(mut m) = message else { return refuse(at, "must be an object") };
        let content = m.remove("content").unwrap_or_default();
        let role = m.remove("role").unwrap_or_default();
        match role.as_str().unwrap_or_default() {
            "system" | "developer" => {
                let texts = texts(r, &at, content)?;
                if r.turns.is_empty() {
                    r.system.extend(texts);
                } else {
                    let parts = texts.into_iter().map(Part::Text).collect();
                    r.turns.push(Turn { role: Role::System, parts, at: at.clone() });
                }
            }
            "user" => {
                let parts = parts(r, &at, content)?;
                r.turns.push(Turn { role: Role::User, parts, at: at.clone() });
            }
            "assistant" => assistant(r, &at, content, &mut m)?,
            "tool" => {
                let Some(id) = take_string(&mut m, "tool_call_id") else {
                    return refuse(format!("{at}.tool_call_id"), "is missing; send the id of the call that it answers");
                };
                let content = parts(r, &at, content)?;
                let cache = take_cache(&mut m);
                let result = ToolResult { id, content, is_error: false, cache, at: at.clone() };
                r.turns.push(Turn { role: Role::User, parts: vec![Part::Result(result)], at: at.clone() });
            }
            _ => {
                return refuse(
                    format!("{at}.role"),
                    "is not translated; use system, developer, user, assistant or tool",
                );
            }
        }
        // An answer that the app sends back whole has `annotations` that are empty.
        drop_rest(r, &at, m);
    }
    Ok(())
}

fn assistant(r: &mut Request, at: &str, content: Value, m: &mut Map<String, Value>) -> Read<()> {
    let mut parts = parts(r, at, content)?;
    if let Some(text) = take_string(m, "refusal") {
        parts.push(Part::Refusal(text));
    }
    if m.get("audio").is_some_and(|a| !a.is_null()) {
        return refuse(format!("{at}.audio"), "audio history has no counterpart; send its transcript as text");
    }
    if m.get("function_call").is_some_and(|a| !a.is_null()) {
        return refuse(format!("{at}.function_call"), "legacy functions are not translated; use tools");
    }
    if let Some(Value::Array(calls)) = m.get_mut("tool_calls").map(Value::take) {
        for (j, call) in calls.into_iter().enumerate() {
            parts.push(Part::Call(self::call(r, format!("{at}.tool_calls[{j}]"), call)?));
        }
    }
    r.turns.push(Turn { role: Role::Assistant, parts, at: at.to_owned() });
    Ok(())
}

fn call(r: &mut Request, at: String, call: Value) -> Read<Call> {
    let Value::Object(mut call) = call else { return refuse(at, "must be an object") };
    let mut f = take_object(&mut call, "function").unwrap_or_default();
    let (Some(id), Some(name)) = (take_string(&mut call, "id"), take_string(&mut f, "name")) else {
        return refuse(at, "only function calls with an id and a name are translated");
    };
    let arguments = match f.remove("arguments") {
        None | Some(Value::Null) => arguments(""),
        Some(Value::String(text)) => arguments(&text),
        // Not as documented, but some servers send the object itself.
        Some(object @ Value::Object(_)) => object,
        Some(other) => json!({"arguments": other}),
    };
    call.remove("type");
    drop_rest(r, &at, call);
    drop_rest(r, &format!("{at}.function"), f);
    Ok(Call { id, name, arguments, cache: None, at })
}

/// Arguments as an object: nothing is `{}`, and what is no object is kept under one member rather than lost.
pub(crate) fn arguments(text: &str) -> Value {
    if text.trim().is_empty() {
        return Value::Object(Map::new());
    }
    match serde_json::from_str(text) {
        Ok(v @ Value::Object(_)) => v,
        Ok(other) => json!({"arguments": other}),
        Err(_) => json!({"arguments": text}),
    }
}

fn tools(r: &mut Request, value: Value) -> Read<()> {
    let Value::Array(list) = value else { return refuse("tools", "must be an array") };
    for (i, tool) in list.into_iter().enumerate() {
        let at = format!("tools[{i}]");
        let Value::Object(mut tool) = tool else { return refuse(at, "must be an object") };
        if tool.remove("type").is_none_or(|t| t != "function") {
            return refuse(at, "only function tools are translated");
        }
        let cache = take_cache(&mut tool);
        let Some(mut f) = take_object(&mut tool, "function") else {
            return refuse(format!("{at}.function"), "must be an object");
        };
        let Some(name) = take_string(&mut f, "name") else {
            return refuse(format!("{at}.function.name"), "is missing");
        };
        let strict = f.get("strict").and_then(Value::as_bool);
        if strict.is_some() {
            f.remove("strict");
        }
        let description = take_string(&mut f, "description");
        let schema = object_schema(take_object(&mut f, "parameters").map(Value::from));
        drop_rest(r, &at, tool);
        drop_rest(r, &format!("{at}.function"), f);
        r.tools.push(Tool { name, description, schema, strict, cache, at });
    }
    Ok(())
}

/// Parameters as a schema of an object: Messages demands the type, Chat takes nothing at all.
pub(crate) fn object_schema(schema: Option<Value>) -> Value {
    match schema {
        Some(Value::Object(mut map)) => {
            map.entry("type").or_insert_with(|| "object".into());
            map.into()
        }
        _ => json!({"type": "object", "properties": {}}),
    }
}

/// Which tool is called; the tools are known already, since a choice can name those that are allowed.
fn choice(r: &mut Request, value: Value) {
    r.choice = match value {
        Value::Null => return,
        Value::String(s) if s == "auto" => Some(Choice::Auto),
        Value::String(s) if s == "required" => Some(Choice::Any),
        Value::String(s) if s == "none" => Some(Choice::None),
        Value::Object(mut map) => {
            map.remove("type");
            named(r, &mut map).or_else(|| allowed(r, &mut map)).inspect(|_| drop_rest(r, "tool_choice", map))
        }
        _ => None,
    };
    if r.choice.is_none() {
        r.drop_member("tool_choice");
    }
}

fn named(r: &mut Request, map: &mut Map<String, Value>) -> Option<Choice> {
    let mut f = take_object(map, "function")?;
    let name = take_string(&mut f, "name")?;
    drop_rest(r, "tool_choice.function", f);
    Some(Choice::Named(name))
}

/// Only some of the tools may be called.
fn allowed(r: &mut Request, map: &mut Map<String, Value>) -> Option<Choice> {
    let mut allowed = take_object(map, "allowed_tools")?;
    let Some(Value::Array(listed)) = allowed.remove("tools") else { return None };
    let names: Vec<Option<&str>> = listed.iter().map(|t| t["function"]["name"].as_str()).collect();
    r.allow(&names, "tool_choice.allowed_tools.tools");
    let is_forced = take_string(&mut allowed, "mode").is_some_and(|m| m == "required");
    drop_rest(r, "tool_choice.allowed_tools", allowed);
    Some(if is_forced { Choice::Any } else { Choice::Auto })
}

fn stop(r: &mut Request, value: Value) -> Read<()> {
    let list = match value {
        Value::String(s) => vec![Value::String(s)],
        Value::Array(list) => list,
        _ => return refuse("stop", "must be a string or an array of strings"),
    };
    for value in list {
        let Value::String(s) = value else { return refuse("stop", "must be a string or an array of strings") };
        r.stop.push(s);
    }
    Ok(())
}

fn format(r: &mut Request, value: Value) {
    let Value::Object(mut map) = value else { return r.drop_member("response_format") };
    match take_string(&mut map, "type").as_deref() {
        Some("json_schema") => {
            let mut format = take_object(&mut map, "json_schema").unwrap_or_default();
            let Some(schema) = take_object(&mut format, "schema") else { return r.drop_member("response_format") };
            let name = take_string(&mut format, "name");
            let strict = format.remove("strict").and_then(|s| s.as_bool());
            r.schema = Some(Schema { name, schema: schema.into(), strict });
            drop_rest(r, "response_format.json_schema", format);
        }
        Some("text") => {}
        Some("json_object") => r.json_object = true,
        _ => return r.drop_member("response_format"),
    }
    drop_rest(r, "response_format", map);
}
