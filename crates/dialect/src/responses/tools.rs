//! Tools of a Responses request.

use serde_json::{Map, Value, json};

use crate::{
    chat::{is_strict, object_schema},
    model::{Choice, Request, Tool},
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
        let Some(Value::String(name)) = tool.remove("name") else { return refuse(format!("{at}.name"), "is missing") };
        let description = tool.remove("description").and_then(|d| d.as_str().map(str::to_owned));
        let (schema, strict) = if kind == "custom" {
            r.free.push(name.clone());
            (free(), None)
        } else {
            let schema = object_schema(tool.remove("parameters"));
            // Unset means strict wherever the schema allows it.
            let strict = tool.remove("strict").and_then(|s| s.as_bool()).or(is_strict(&schema).then_some(true));
            (schema, strict)
        };
        rest(r, &at, tool);
        r.tools.push(Tool { name, description, schema, strict, cache: None, at });
    }
    Ok(())
}

/// The arguments of a tool that takes free text.
fn free() -> Value {
    let input = json!({"type": "string", "description": "The input of the tool, as plain text."});
    json!({"type": "object", "properties": {"input": input}, "required": ["input"], "additionalProperties": false})
}

fn rest(r: &mut Request, at: &str, members: Map<String, Value>) {
    for (name, value) in members {
        if !value.is_null() && value != false && value["type"] != "text" {
            r.drop_member(format!("{at}.{name}"));
        }
    }
}

/// Which tool is called; the tools are known already, since a choice can name those that are allowed.
pub(super) fn choice(r: &mut Request, value: &Value) {
    r.choice = match (value.as_str(), value["type"].as_str()) {
        _ if value.is_null() => return,
        (Some("auto"), _) => Some(Choice::Auto),
        (Some("required"), _) => Some(Choice::Any),
        (Some("none"), _) => Some(Choice::None),
        (_, Some("allowed_tools")) if value["tools"].is_array() => {
            let listed = value["tools"].as_array().into_iter().flatten();
            r.allow(&listed.filter_map(|t| t["name"].as_str()).collect::<Vec<_>>());
            Some(if value["mode"] == "required" { Choice::Any } else { Choice::Auto })
        }
        (_, Some("function" | "custom")) => value["name"].as_str().map(|n| Choice::Named(n.to_owned())),
        _ => None,
    };
    if r.choice.is_none() {
        r.drop_member("tool_choice");
    }
}
