//! A Messages request, read into the model.

use serde_json::{Map, Value, json};

use super::blocks::{content, texts};
use crate::{
    model::{Choice, Request, Role, Schema, Thinking, Tool, Turn, Words},
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
    strict: "strict",
    detail: "",
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
            "max_tokens" => r.max_tokens = value.as_u64().or_else(|| value.as_f64().map(|n| n.max(0.0) as u64)),
            "system" => r.system = texts(&mut r, "system", value)?,
            "messages" => messages(&mut r, value)?,
            "tools" => tools(&mut r, value)?,
            "tool_choice" => choice(&mut r, &value),
            "temperature" => r.temperature = value.as_f64(),
            "top_p" => r.top_p = value.as_f64(),
            "top_k" => r.top_k = value.as_u64(),
            "stop_sequences" => {
                let list = value.as_array().into_iter().flatten();
                r.stop = list.filter_map(|s| s.as_str().map(str::to_owned)).collect();
            }
            "stream" => r.stream = value == true,
            "thinking" => thinking(&mut r, &value),
            "output_config" => config(&mut r, value),
            "output_format" => schema(&mut r, "output_format", value),
            "metadata" => metadata(&mut r, value),
            "service_tier" if value == "auto" || value == "standard_only" => {}
            "speed" if value == "standard" => {}
            _ => r.drop_member(name),
        }
    }
    Ok(r)
}

fn messages(r: &mut Request, value: Value) -> Read<()> {
    let Value::Array(list) = value else { return refuse("messages", "must be an array") };
    for (i, mut message) in list.into_iter().enumerate() {
        let at = format!("messages[{i}]");
        if !message.is_object() {
            return refuse(at, "must be an object");
        }
        let role = match message["role"].as_str() {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some("system") => Role::System,
            _ => return refuse(format!("{at}.role"), "must be user, assistant or system"),
        };
        let parts = content(r, &format!("{at}.content"), message["content"].take())?;
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
        let Some(Value::String(name)) = tool.remove("name") else { return refuse(format!("{at}.name"), "is missing") };
        let description = tool.remove("description").and_then(|d| d.as_str().map(str::to_owned));
        let schema = tool.remove("input_schema").filter(Value::is_object);
        let cache = tool.remove("cache_control").filter(|c| !c.is_null());
        for (name, _) in tool.into_iter().filter(|(_, v)| !v.is_null() && *v != false) {
            r.drop_member(format!("{at}.{name}"));
        }
        let schema = schema.unwrap_or_else(|| json!({"type": "object", "properties": {}}));
        r.tools.push(Tool { name, description, schema, strict: None, cache, at });
    }
    Ok(())
}

fn choice(r: &mut Request, value: &Value) {
    r.choice = match value["type"].as_str() {
        Some("auto") => Some(Choice::Auto),
        Some("any") => Some(Choice::Any),
        Some("none") => Some(Choice::None),
        Some("tool") => value["name"].as_str().map(|n| Choice::Named(n.to_owned())),
        _ => None,
    };
    if r.choice.is_none() {
        r.drop_member("tool_choice");
    }
    if value["disable_parallel_tool_use"] == true {
        r.parallel = Some(false);
    }
}

fn thinking(r: &mut Request, value: &Value) {
    r.thinking = match (value["type"].as_str(), value["budget_tokens"].as_u64()) {
        (Some("enabled"), Some(tokens)) => Some(Thinking::Budget(tokens)),
        (Some("adaptive"), _) => Some(Thinking::Adaptive),
        (Some("disabled" | "between_tools"), _) => Some(Thinking::Off),
        _ => return r.drop_member("thinking"),
    };
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
    let Value::Object(map) = value else { return r.drop_member("output_config") };
    for (name, value) in map {
        match name.as_str() {
            "effort" => r.effort = value.as_str().map(str::to_owned),
            "format" => schema(r, "output_config.format", value),
            _ => r.drop_member(format!("output_config.{name}")),
        }
    }
}

fn schema(r: &mut Request, at: &str, mut value: Value) {
    if value["type"] == "json_schema" {
        r.schema = Some(Schema { name: None, schema: value["schema"].take() });
    } else if !value.is_null() {
        r.drop_member(at);
    }
}
