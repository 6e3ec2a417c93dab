//! A Chat request, read into the model.

use serde_json::{Map, Value, json};

use super::parts::{parts, texts};
use crate::{
    model::{Call, Choice, Part, Request, Role, SHARED, Schema, Tool, ToolResult, Turn, Words},
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
    strict: "function.strict",
    detail: "image_url.detail",
    is_error: "",
};

/// Reads a request; members that have no place in the model are listed as dropped.
pub(crate) fn read_request(body: Map<String, Value>) -> Read<Request> {
    let mut r = Request::new(&WORDS);
    let mut chosen = Value::Null;
    for (name, value) in body {
        if value.is_null() {
            continue;
        }
        match name.as_str() {
            "model" | "stream_options" => {}
            _ if SHARED.contains(&name.as_str()) => r.share(name, value),
            "messages" => messages(&mut r, value)?,
            "tools" => tools(&mut r, value)?,
            "tool_choice" => chosen = value,
            "parallel_tool_calls" => r.parallel = value.as_bool(),
            "max_completion_tokens" => r.max_tokens = limit(&value).or(r.max_tokens),
            "max_tokens" => r.max_tokens = r.max_tokens.or(limit(&value)),
            "temperature" => r.temperature = value.as_f64(),
            "top_p" => r.top_p = value.as_f64(),
            "stop" => stop(&mut r, value)?,
            "stream" => r.stream = value == true,
            "reasoning_effort" => r.effort = value.as_str().map(str::to_owned),
            "response_format" => format(&mut r, value),
            "verbosity" => r.verbosity = value.as_str().map(str::to_owned),
            "functions" | "function_call" => return refuse(name, "legacy functions are not translated; use tools"),
            "audio" => return refuse(name, "audio output has no counterpart; leave it out"),
            "modalities" if value.as_array().is_some_and(|m| m.iter().any(|m| m == "audio")) => {
                return refuse(name, "audio output has no counterpart; ask for text");
            }
            // What says no more than the default is no loss.
            "modalities" => {}
            "n" if value.as_f64() == Some(1.0) => {}
            "frequency_penalty" | "presence_penalty" if value.as_f64() == Some(0.0) => {}
            "logprobs" | "store" if value == false => {}
            "logit_bias" if value.as_object().is_some_and(Map::is_empty) => {}
            _ => r.drop_member(name),
        }
    }
    choice(&mut r, &chosen);
    Ok(r)
}

/// A limit, however its number is written.
pub(crate) fn limit(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_f64().filter(|n| *n >= 0.0).map(|n| n as u64))
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
                let Some(Value::String(id)) = m.remove("tool_call_id") else {
                    return refuse(format!("{at}.tool_call_id"), "is missing; send the id of the call that it answers");
                };
                let content = parts(r, &at, content)?;
                let cache = m.remove("cache_control").filter(|c| !c.is_null());
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
        // Nothing is lost with an empty list, such as the `annotations` of an answer that the app sends back whole.
        let says_nothing = |v: &Value| v.is_null() || v.as_array().is_some_and(Vec::is_empty);
        for (name, _) in m.into_iter().filter(|(_, v)| !says_nothing(v)) {
            r.drop_member(format!("{at}.{name}"));
        }
    }
    Ok(())
}

fn assistant(r: &mut Request, at: &str, content: Value, m: &mut Map<String, Value>) -> Read<()> {
    let mut parts = parts(r, at, content)?;
    if let Some(Value::String(refusal)) = m.remove("refusal") {
        parts.push(Part::Refusal(refusal));
    }
    if m.get("audio").is_some_and(|a| !a.is_null()) {
        return refuse(format!("{at}.audio"), "audio history has no counterpart; send its transcript as text");
    }
    if m.get("function_call").is_some_and(|a| !a.is_null()) {
        return refuse(format!("{at}.function_call"), "legacy functions are not translated; use tools");
    }
    if let Some(Value::Array(calls)) = m.remove("tool_calls") {
        for (j, call) in calls.into_iter().enumerate() {
            let at = format!("{at}.tool_calls[{j}]");
            let f = &call["function"];
            let (Some(id), Some(name)) = (call["id"].as_str(), f["name"].as_str()) else {
                return refuse(at, "only function calls with an id and a name are translated");
            };
            let arguments = arguments(f["arguments"].as_str().unwrap_or_default());
            parts.push(Part::Call(Call { id: id.to_owned(), name: name.to_owned(), arguments, cache: None, at }));
        }
    }
    r.turns.push(Turn { role: Role::Assistant, parts, at: at.to_owned() });
    Ok(())
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
    for (i, mut tool) in list.into_iter().enumerate() {
        let at = format!("tools[{i}]");
        if tool["type"] != "function" {
            return refuse(at, "only function tools are translated");
        }
        let cache = tool.get("cache_control").filter(|c| !c.is_null()).cloned();
        let Value::Object(mut f) = tool["function"].take() else {
            return refuse(format!("{at}.function"), "must be an object");
        };
        let Some(Value::String(name)) = f.remove("name") else {
            return refuse(format!("{at}.function.name"), "is missing");
        };
        let strict = f.get("strict").and_then(Value::as_bool);
        let description = f.get("description").and_then(Value::as_str).map(str::to_owned);
        let schema = object_schema(f.remove("parameters"));
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
fn choice(r: &mut Request, value: &Value) {
    r.choice = match value {
        Value::Null => return,
        Value::String(s) if s == "auto" => Some(Choice::Auto),
        Value::String(s) if s == "required" => Some(Choice::Any),
        Value::String(s) if s == "none" => Some(Choice::None),
        v if v["allowed_tools"]["tools"].is_array() => {
            let listed = v["allowed_tools"]["tools"].as_array().into_iter().flatten();
            r.allow(&listed.filter_map(|t| t["function"]["name"].as_str()).collect::<Vec<_>>());
            Some(if v["allowed_tools"]["mode"] == "required" { Choice::Any } else { Choice::Auto })
        }
        v => v["function"]["name"].as_str().map(|n| Choice::Named(n.to_owned())),
    };
    if r.choice.is_none() {
        r.drop_member("tool_choice");
    }
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

fn format(r: &mut Request, mut value: Value) {
    match value["type"].as_str() {
        Some("json_schema") => {
            if value["json_schema"]["description"].is_string() {
                r.drop_member("response_format.json_schema.description");
            }
            let name = value["json_schema"]["name"].as_str().map(str::to_owned);
            r.schema = Some(Schema { name, schema: value["json_schema"]["schema"].take() });
        }
        Some("text") => {}
        Some("json_object") => r.json_object = true,
        _ => r.drop_member("response_format"),
    }
}
