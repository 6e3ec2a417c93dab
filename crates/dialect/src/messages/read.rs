//! A Messages request, read into the model.

use serde_json::{Map, Value, json};

use super::blocks::{content, texts};
use crate::{
    model::{Choice, Part, Request, Role, Schema, Thinking, Tool, Turn, Words},
    rest::{drop_rest, take_cache, take_object, take_string},
    translate::{Read, refuse},
};

const WORDS: Words = Words {
    system: "system",
    limit: "max_tokens",
    stop: "stop_sequences",
    effort: "output_config.effort",
    format: "output_config.format",
    verbosity: "",
    user: "metadata.user_id",
    parallel: "tool_choice.disable_parallel_tool_use",
    strict: "strict",
    detail: "",
    file_name: "title",
    is_error: "is_error",
};

/// Reads a request; members that have no place in the model are listed as dropped.
pub(crate) fn read_request(body: Map<String, Value>) -> Read<Request> {
    let mut r = Request::new(&WORDS);
    for (name, value) in body {
        if value.is_null() {
            continue;
        }
        match name.as_str() {
            "model" => {}
            "max_tokens" if value.is_number() => {
                r.max_tokens = value.as_u64().or_else(|| value.as_f64().map(|n| n.max(0.0) as u64));
            }
            "system" => r.system = texts(&mut r, "system", value)?,
            "messages" => messages(&mut r, value)?,
            "tools" => tools(&mut r, value)?,
            "tool_choice" => choice(&mut r, value),
            "temperature" if value.is_number() => r.temperature = value.as_f64(),
            "top_p" if value.is_number() => r.top_p = value.as_f64(),
            "top_k" if value.is_u64() => r.top_k = value.as_u64(),
            "stop_sequences" => stops(&mut r, value),
            "stream" if value.is_boolean() => r.stream = value == true,
            "thinking" => thinking(&mut r, value),
            "output_config" => config(&mut r, value),
            "output_format" => schema(&mut r, "output_format", value),
            "metadata" => metadata(&mut r, value),
            "service_tier" if value == "auto" || value == "standard_only" => {}
            "speed" if value == "standard" => {}
            "thread" if value["type"] != "create" => {
                return refuse(name, "goes on from a message that one provider keeps; send the whole conversation");
            }
            _ => r.drop_member(name),
        }
    }
    Ok(r)
}

fn messages(r: &mut Request, value: Value) -> Read<()> {
    let Value::Array(list) = value else { return refuse("messages", "must be an array") };
    for (i, message) in list.into_iter().enumerate() {
        let at = format!("messages[{i}]");
        let Value::Object(mut message) = message else { return refuse(at, "must be an object") };
        let role = match take_string(&mut message, "role").as_deref() {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some("system") => Role::System,
            _ => return refuse(format!("{at}.role"), "must be user, assistant or system"),
        };
        let mut parts = content(r, &format!("{at}.content"), message.remove("content").unwrap_or_default())?;
        drop_rest(r, &at, message);
        if role == Role::System {
            // Instructions are text.
            parts.retain(|part| match part {
                Part::Image(m) | Part::Document { media: m, .. } => {
                    r.drop_member(m.at.as_str());
                    false
                }
                _ => true,
            });
        }
        r.turns.push(Turn { role, parts, at });
    }
    Ok(())
}

fn tools(r: &mut Request, value: Value) -> Read<()> {
    let Value::Array(list) = value else { return refuse("tools", "must be an array") };
    for (i, tool) in list.into_iter().enumerate() {
        let at = format!("tools[{i}]");
        let Value::Object(mut tool) = tool else { return refuse(at, "must be an object") };
        let is_custom = tool.remove("type").is_none_or(|t| t.is_null() || t == "custom");
        if !is_custom {
            // A tool that the provider runs itself: the conversation can go on without it.
            r.drop_member(at);
            continue;
        }
        let Some(name) = take_string(&mut tool, "name") else { return refuse(format!("{at}.name"), "is missing") };
        let description = take_string(&mut tool, "description");
        let schema = take_object(&mut tool, "input_schema").map(Value::from);
        let cache = take_cache(&mut tool);
        tool.retain(|_, v| *v != false);
        drop_rest(r, &at, tool);
        let schema = schema.unwrap_or_else(|| json!({"type": "object", "properties": {}}));
        r.tools.push(Tool { name, description, schema, strict: None, cache, at });
    }
    Ok(())
}

fn choice(r: &mut Request, value: Value) {
    let Value::Object(mut value) = value else { return r.drop_member("tool_choice") };
    r.choice = match take_string(&mut value, "type").as_deref() {
        Some("auto") => Some(Choice::Auto),
        Some("any") => Some(Choice::Any),
        Some("none") => Some(Choice::None),
        Some("tool") => take_string(&mut value, "name").map(Choice::Named),
        _ => None,
    };
    if value.remove("disable_parallel_tool_use").is_some_and(|d| d == true) {
        r.parallel = Some(false);
    }
    if r.choice.is_none() {
        r.drop_member("tool_choice");
    } else {
        drop_rest(r, "tool_choice", value);
    }
}

fn stops(r: &mut Request, value: Value) {
    let Value::Array(list) = value else { return r.drop_member("stop_sequences") };
    for value in list {
        match value {
            Value::String(s) => r.stop.push(s),
            _ => r.drop_member("stop_sequences"),
        }
    }
}

fn thinking(r: &mut Request, value: Value) {
    let Value::Object(mut value) = value else { return r.drop_member("thinking") };
    let kind = take_string(&mut value, "type");
    r.thinking = match (kind.as_deref(), value.get("budget_tokens").and_then(Value::as_u64)) {
        (Some("enabled"), Some(tokens)) => {
            value.remove("budget_tokens");
            Some(Thinking::Budget(tokens))
        }
        (Some("adaptive"), _) => Some(Thinking::Adaptive),
        (Some("disabled" | "between_tools"), _) => Some(Thinking::Off),
        _ => return r.drop_member("thinking"),
    };
    drop_rest(r, "thinking", value);
}

fn metadata(r: &mut Request, value: Value) {
    let Value::Object(map) = value else { return r.drop_member("metadata") };
    for (name, value) in map {
        match value {
            Value::Null => {}
            Value::String(user) if name == "user_id" => r.user = Some(user),
            _ => r.drop_member(format!("metadata.{name}")),
        }
    }
}

fn config(r: &mut Request, value: Value) {
    let Value::Object(mut map) = value else { return r.drop_member("output_config") };
    r.effort = take_string(&mut map, "effort");
    if let Some(format) = map.remove("format") {
        schema(r, "output_config.format", format);
    }
    drop_rest(r, "output_config", map);
}

fn schema(r: &mut Request, at: &str, value: Value) {
    let Value::Object(mut map) = value else {
        if !value.is_null() {
            r.drop_member(at);
        }
        return;
    };
    let is_schema = take_string(&mut map, "type").is_some_and(|t| t == "json_schema");
    match take_object(&mut map, "schema").filter(|_| is_schema) {
        Some(schema) => {
            r.schema = Some(Schema { name: None, schema: schema.into(), strict: None });
            drop_rest(r, at, map);
        }
        None => r.drop_member(at),
    }
}
