//! Tools of a Responses request.

use serde_json::{Map, Value, json};

use crate::{
    chat::{is_strict, object_schema},
    model::{Choice, Request, Tool},
    rest::{drop_rest, take_object, take_string},
    translate::{Read, refuse},
};

/// Reads definitions; those of tools that the provider runs itself are listed as dropped.
pub(super) fn tools(r: &mut Request, at: &str, value: Value) -> Read<()> {
    let Value::Array(list) = value else { return refuse(at, "must be an array") };
    for (i, tool) in list.into_iter().enumerate() {
        let at = format!("{at}[{i}]");
        let Value::Object(mut tool) = tool else { return refuse(at, "must be an object") };
        let kind = tool.remove("type").unwrap_or_default();
        if kind != "function" && kind != "custom" {
            // The conversation can go on without it.
            r.drop_member(at);
            continue;
        }
        let Some(name) = take_string(&mut tool, "name") else { return refuse(format!("{at}.name"), "is missing") };
        let description = take_string(&mut tool, "description");
        let (schema, strict) = if kind == "custom" {
            r.free.push(name.clone());
            (free(), None)
        } else {
            let schema = object_schema(take_object(&mut tool, "parameters").map(Value::from));
            // Unset means strict wherever the schema allows it.
            let strict = tool.remove("strict").and_then(|s| s.as_bool()).or(is_strict(&schema).then_some(true));
            (schema, strict)
        };
        tool.retain(|_, v| *v != false && v["type"] != "text");
        drop_rest(r, &at, tool);
        r.tools.push(Tool { name, description, schema, strict, cache: None, at });
    }
    Ok(())
}

/// The arguments of a tool that takes free text.
fn free() -> Value {
    let input = json!({"type": "string", "description": "The input of the tool, as plain text."});
    json!({"type": "object", "properties": {"input": input}, "required": ["input"], "additionalProperties": false})
}

/// Which tool is called; the tools are known already, since a choice can name those that are allowed.
pub(super) fn choice(r: &mut Request, value: Value) {
    r.choice = match value {
        Value::Null => return,
        Value::String(s) if s == "auto" => Some(Choice::Auto),
        Value::String(s) if s == "required" => Some(Choice::Any),
        Value::String(s) if s == "none" => Some(Choice::None),
        Value::Object(mut map) => match take_string(&mut map, "type").as_deref() {
            Some("allowed_tools") => allowed(r, &mut map),
            Some("function" | "custom") => take_string(&mut map, "name").map(Choice::Named),
            _ => None,
        }
        .inspect(|_| drop_rest(r, "tool_choice", map)),
        _ => None,
    };
    if r.choice.is_none() {
        r.drop_member("tool_choice");
    }
}

/// Only some of the tools may be called.
fn allowed(r: &mut Request, map: &mut Map<String, Value>) -> Option<Choice> {
    let Some(Value::Array(listed)) = map.remove("tools") else { return None };
    r.allow(&listed.iter().filter_map(|t| t["name"].as_str()).collect::<Vec<_>>());
    let is_forced = take_string(map, "mode").is_some_and(|m| m == "required");
    Some(if is_forced { Choice::Any } else { Choice::Auto })
}
