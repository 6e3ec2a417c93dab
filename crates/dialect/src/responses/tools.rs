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
        if is_called(&tool) {
            one(r, at, tool, None)?;
        } else if tool.get("type").is_some_and(|kind| kind == "namespace") {
            let Some(group) = take_string(&mut tool, "name") else { return refuse(format!("{at}.name"), "is missing") };
            group_of(r, &at, &group, tool)?;
        } else {
            // The conversation can go on without it.
            r.drop_member(at);
        }
    }
    Ok(())
}

/// Reads the tools of a group; elsewhere there are none, and each tool has both names as one.
fn group_of(r: &mut Request, at: &str, group: &str, mut map: Map<String, Value>) -> Read<()> {
    let list = match map.remove("tools") {
        Some(Value::Array(list)) => list,
        _ => return refuse(format!("{at}.tools"), "must be an array"),
    };
    map.remove("type");
    map.retain(|_, v| *v != "");
    drop_rest(r, at, map);
    for (i, tool) in list.into_iter().enumerate() {
        let at = format!("{at}.tools[{i}]");
        match tool {
            Value::Object(tool) if is_called(&tool) => one(r, at, tool, Some(group))?,
            _ => r.drop_member(at),
        }
    }
    Ok(())
}

/// Whether the caller runs the tool.
fn is_called(tool: &Map<String, Value>) -> bool {
    tool.get("type").is_some_and(|kind| kind == "function" || kind == "custom")
}

fn one(r: &mut Request, at: String, mut tool: Map<String, Value>, group: Option<&str>) -> Read<()> {
    let kind = tool.remove("type").unwrap_or_default();
    let Some(name) = take_string(&mut tool, "name") else { return refuse(format!("{at}.name"), "is missing") };
    let name = in_group(group, name);
    if let Some(group) = group {
        r.groups.push((name.clone(), group.to_owned()));
    }
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
    Ok(())
}

/// The name of a tool with that of its group; no tool has a point in its name.
fn in_group(group: Option<&str>, name: String) -> String {
    match group {
        Some(group) => format!("{group}.{name}"),
        None => name,
    }
}

/// Takes the name of the tool that is called or chosen, with that of its group.
pub(super) fn take_name(map: &mut Map<String, Value>) -> Option<String> {
    let name = take_string(map, "name")?;
    Some(in_group(take_string(map, "namespace").as_deref(), name))
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
            Some("function" | "custom") => take_name(&mut map).map(Choice::Named),
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
    let named = |tool| if let Value::Object(mut tool) = tool { take_name(&mut tool) } else { None };
    let names: Vec<Option<String>> = listed.into_iter().map(named).collect();
    r.allow(&names.iter().map(Option::as_deref).collect::<Vec<_>>(), "tool_choice.tools");
    let is_forced = take_string(map, "mode").is_some_and(|m| m == "required");
    Some(if is_forced { Choice::Any } else { Choice::Auto })
}
