//! Checks that several endpoints share, in the words of each vendor.

use serde_json::{Map, Value};

use crate::refusal::Refusal;

pub(crate) type Checked<T> = Result<T, Refusal>;

/// The first member that is not among `allowed`.
pub(crate) fn foreign<'a>(map: &'a Map<String, Value>, allowed: &[&str]) -> Option<&'a str> {
    map.keys().map(String::as_str).find(|name| !allowed.contains(name))
}

/// OpenAI: a member that must not be there, below the top level.
pub(crate) fn openai_members(value: &Value, path: &str, allowed: &[&str]) -> Checked<()> {
    let Some(map) = value.as_object() else {
        return Err(Refusal::invalid(format!(
            "Invalid type for '{path}': expected an object, but got {} instead.",
            kind(value)
        ))
        .param(path)
        .code("invalid_type"));
    };
    match foreign(map, allowed) {
        Some(name) => Err(unknown_parameter(&format!("{path}.{name}"))),
        None => Ok(()),
    }
}

/// OpenAI: the name of a member nobody knows.
pub(crate) fn unknown_parameter(path: &str) -> Refusal {
    Refusal::invalid(format!("Unknown parameter: '{path}'.")).param(path).code("unknown_parameter")
}

/// OpenAI: a required member that is not there.
pub(crate) fn missing(path: &str) -> Refusal {
    Refusal::invalid(format!("Missing required parameter: '{path}'.")).param(path).code("missing_required_parameter")
}

/// OpenAI: one of a closed set of words.
pub(crate) fn one_of(value: &Value, path: &str, allowed: &[&str]) -> Checked<()> {
    match value.as_str() {
        Some(text) if allowed.contains(&text) => Ok(()),
        got => {
            let list: Vec<String> = allowed.iter().map(|a| format!("'{a}'")).collect();
            Err(Refusal::invalid(format!(
                "Invalid value: '{}'. Supported values are: {}.",
                got.map_or_else(|| value.to_string(), str::to_owned),
                list.join(", ")
            ))
            .param(path)
            .code("invalid_value"))
        }
    }
}

/// OpenAI: a number inside its range, if it is there.
pub(crate) fn openai_range(body: &Value, name: &str, low: f64, high: f64) -> Checked<()> {
    let value = &body[name];
    if value.is_null() {
        return Ok(());
    }
    let whole = value.is_i64() || value.is_u64();
    let Some(number) = value.as_f64() else {
        return Err(Refusal::invalid(format!(
            "Invalid type for '{name}': expected a number, but got {} instead.",
            kind(value)
        ))
        .param(name)
        .code("invalid_type"));
    };
    let (side, limit, sign, code) = if number < low {
        ("below minimum", low, ">=", if whole { "integer_below_min_value" } else { "decimal_below_min_value" })
    } else if number > high {
        ("above maximum", high, "<=", if whole { "integer_above_max_value" } else { "decimal_above_max_value" })
    } else {
        return Ok(());
    };
    let what = if whole { "integer" } else { "decimal" };
    Err(Refusal::invalid(format!(
        "Invalid '{name}': {what} {side} value. Expected a value {sign} {limit}, but got {value} instead."
    ))
    .param(name)
    .code(code))
}

/// OpenAI: names of functions are short and plain.
pub(crate) fn openai_name(name: &str, path: &str, max: usize) -> Checked<()> {
    let len = name.chars().count();
    if len > max {
        return Err(too_long(path, max, len));
    }
    if name.is_empty() || !plain(name) {
        return Err(Refusal::invalid(format!(
            "Invalid '{path}': string does not match pattern. Expected a string that matches the pattern \
             '^[a-zA-Z0-9_-]+$'."
        ))
        .param(path)
        .code("invalid_value"));
    }
    Ok(())
}

/// OpenAI: a string above its length.
pub(crate) fn too_long(path: &str, max: usize, len: usize) -> Refusal {
    Refusal::invalid(format!(
        "Invalid '{path}': string too long. Expected a string with maximum length {max}, but got a string with \
         length {len} instead."
    ))
    .param(path)
    .code("string_above_max_length")
}

/// OpenAI: a strict schema says that nothing else may be there.
pub(crate) fn strict_schema(schema: &Value, path: &str, what: &str) -> Checked<()> {
    if schema["type"] != "object" {
        return Err(Refusal::invalid(format!(
            "Invalid schema for {what}: schema must be a JSON Schema of 'type: \"object\"', got 'type: {}'.",
            schema["type"]
        ))
        .param(path)
        .code("invalid_json_schema"));
    }
    walk_strict(schema, &mut Vec::new(), path, what)
}

fn walk_strict(schema: &Value, at: &mut Vec<String>, path: &str, what: &str) -> Checked<()> {
    let context = |at: &[String]| format!("({})", at.iter().map(|p| format!("'{p}'")).collect::<Vec<_>>().join(", "));
    let refuse = |at: &[String], why: String| {
        Err(Refusal::invalid(format!("Invalid schema for {what}: In context={}, {why}", context(at)))
            .param(path)
            .code("invalid_json_schema"))
    };
    if schema["type"] == "object" {
        if schema["additionalProperties"] != false {
            return refuse(at, "'additionalProperties' is required to be supplied and to be false.".to_owned());
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if !schema["required"].as_array().is_some_and(|all| all.iter().any(|r| r == name.as_str())) {
                return refuse(
                    at,
                    format!(
                        "'required' is required to be supplied and to be an array including every key in properties. \
                         Missing '{name}'."
                    ),
                );
            }
            at.extend(["properties".to_owned(), name.clone()]);
            walk_strict(property, at, path, what)?;
            at.truncate(at.len() - 2);
        }
    }
    if schema["items"].is_object() {
        at.push("items".to_owned());
        walk_strict(&schema["items"], at, path, what)?;
        at.pop();
    }
    Ok(())
}

/// Letters, digits, `_` and `-`.
pub(crate) fn plain(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// The kind of a value, as OpenAI's messages name it.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(n) if n.is_f64() => "a decimal",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Anthropic: a member that must not be there.
pub(crate) fn extra(path: &str) -> Refusal {
    Refusal::invalid(format!("{path}: Extra inputs are not permitted"))
}

/// OpenAI: a form of the answer that the model cannot be held to.
pub(crate) fn no_schema(path: &str) -> Refusal {
    Refusal::invalid(format!(
        "Invalid parameter: '{path}' of type 'json_schema' is not supported with this model. Learn more about supported \
         models at the Structured Outputs guide: https://platform.openai.com/docs/guides/structured-outputs"
    ))
}

/// Anthropic: a required member that is not there.
pub(crate) fn required(path: &str) -> Refusal {
    Refusal::invalid(format!("{path}: Field required"))
}

/// Anthropic: only these members.
pub(crate) fn anthropic_members(value: &Value, path: &str, allowed: &[&str]) -> Checked<()> {
    let Some(map) = value.as_object() else {
        return Err(Refusal::invalid(format!("{path}: Input should be a valid dictionary")));
    };
    foreign(map, allowed).map_or(Ok(()), |name| Err(extra(&format!("{path}.{name}"))))
}
