//! One walk over a structural schema: types, enums, required and unknown members, bounds, forms, names used twice.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::nearest;
use crate::{fault::Faults, text::FORMS};

/// Notes the faults of `value` under `schema` and replaces what has the wrong shape, so that the rest can be judged too.
/// False if `value` itself has the wrong shape: the caller drops or blanks it.
pub(crate) fn walk(schema: &Value, value: &mut Value, path: &str, faults: &mut Faults) -> bool {
    let expected = schema["type"].as_str().unwrap_or_default();
    whole_number(expected, value);
    if !has_type(expected, value) {
        wrong_type(schema, expected, value, path, faults);
        return false;
    }
    match value {
        Value::Object(members) => object(schema, members, path, faults),
        Value::Array(items) => array(schema, items, path, faults),
        Value::String(s) => return string(schema, s, path, faults),
        Value::Number(n) => number(schema, n.as_f64().unwrap_or_default(), path, faults),
        Value::Null | Value::Bool(_) => {}
    }
    true
}

/// Notes members that `known` does not have.
pub(crate) fn unknown(members: &Map<String, Value>, known: &[&str], path: &str, faults: &mut Faults) {
    for name in members.keys().filter(|name| !known.contains(&name.as_str())) {
        let remedy = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("the fields here are {}", known.join(", ")),
        };
        faults.add(member(path, name), "is not a field", remedy);
    }
}

/// `a string`, `a number` and so on.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// JSON has one kind of number: 3.0 is a whole one, for the API server too.
fn whole_number(expected: &str, value: &mut Value) {
    let whole = value.as_f64().filter(|f| expected == "integer" && f.fract() == 0.0 && f.abs() < 9e15);
    if let (Some(f), false) = (whole, value.is_i64()) {
        *value = Value::from(f as i64);
    }
}

fn has_type(expected: &str, value: &Value) -> bool {
    match expected {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64(),
        _ => true,
    }
}

fn wrong_type(schema: &Value, expected: &str, value: &Value, path: &str, faults: &mut Faults) {
    if value.is_null() {
        return faults.add_blank(path, "is empty", "give it a value, or take the line out");
    }
    let shown = match value {
        Value::String(s) => quoted(s),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        other => kind_of(other).to_owned(),
    };
    let (want, remedy) = match expected {
        "object" => ("a mapping", "write fields below it, or in braces"),
        "array" => ("a list", "write items with - below it, or in brackets"),
        "boolean" => ("true or false", "write true or false, without quotes"),
        "integer" => ("a whole number", "write digits, without quotes and point"),
        _ => ("a string", form(schema).map_or("put it in quotes", |form| form.remedy)),
    };
    let remedy = match schema["enum"].as_array() {
        Some(allowed) => one_of(allowed),
        None => remedy.to_owned(),
    };
    faults.add_blank(path, format!("{shown} is not {want}"), remedy);
}

fn object(schema: &Value, members: &mut Map<String, Value>, path: &str, faults: &mut Faults) {
    let none = Map::new();
    let known = schema["properties"].as_object().unwrap_or(&none);
    let is_map = schema["additionalProperties"].is_object();
    if !is_map {
        let names: Vec<&str> = known.keys().map(String::as_str).collect();
        unknown(members, &names, path, faults);
    }
    // One without a value is one that is not there, for the API server too.
    members.retain(|_, value| !value.is_null());
    if let Some(most) = most(schema, "maxProperties").filter(|most| members.len() > *most) {
        faults.add(path, format!("has {} entries", members.len()), format!("keep at most {most}"));
        let beyond: Vec<String> = members.keys().skip(most).cloned().collect();
        beyond.iter().for_each(|key| drop(members.remove(key)));
    }
    if is_map {
        return each(&schema["additionalProperties"], members, path, faults);
    }
    for (name, schema) in known {
        let at = member(path, name);
        if members.get_mut(name).is_some_and(|value| !walk(schema, value, &at, faults)) {
            members.remove(name);
        }
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !members.contains_key(name) {
            let field = &known[name];
            faults.add_blank(&member(path, name), "is missing", missing_remedy(field));
            members.insert(name.to_owned(), blank(field));
        }
    }
}

fn each(schema: &Value, members: &mut Map<String, Value>, path: &str, faults: &mut Faults) {
    for (key, value) in members.iter_mut() {
        if !walk(schema, value, &format!("{path}[{}]", quoted(key)), faults) {
            *value = blank(schema);
        }
    }
}

fn array(schema: &Value, items: &mut Vec<Value>, path: &str, faults: &mut Faults) {
    let count = items.len();
    if schema["minItems"].as_u64().is_some_and(|least| (count as u64) < least) {
        faults.add(path, "is an empty list", "it needs at least one item");
    }
    if let Some(most) = most(schema, "maxItems").filter(|most| count > *most) {
        faults.add(path, format!("has {count} items"), format!("keep at most {most}"));
        items.truncate(most);
    }
    for (i, item) in items.iter_mut().enumerate() {
        if !walk(&schema["items"], item, &format!("{path}[{i}]"), faults) {
            *item = blank(&schema["items"]);
        }
    }
    if let Some(key) = schema["x-kubernetes-list-map-keys"][0].as_str() {
        twice(items, key, path, faults);
    }
    if schema["x-kubernetes-list-type"] == "set" {
        for (i, item) in items.iter().enumerate().filter(|(i, item)| items[..*i].contains(item)) {
            let item = item.as_str().map_or_else(|| item.to_string(), str::to_owned);
            faults.add(format!("{path}[{i}]"), format!("{item} is there twice"), "keep one of them");
        }
    }
}

/// A bound of the schema. What is beyond it is not judged: a stranger may send a hundred thousand.
fn most(schema: &Value, bound: &str) -> Option<usize> {
    usize::try_from(schema[bound].as_u64()?).ok()
}

fn twice(items: &[Value], key: &str, path: &str, faults: &mut Faults) {
    let mut seen = HashMap::new();
    for (i, item) in items.iter().enumerate() {
        let Some(name) = item[key].as_str().filter(|_| !faults.known(&format!("{path}[{i}].{key}"))) else { continue };
        if let Some(first) = seen.insert(name, i) {
            faults.add(
                format!("{path}[{i}].{key}"),
                format!("{} is the {key} of {path}[{first}] already", quoted(name)),
                "give each its own",
            );
        }
    }
}

/// False for a word outside an enum, which no type can hold; other strings stay as they are.
fn string(schema: &Value, s: &str, path: &str, faults: &mut Faults) -> bool {
    if let Some(allowed) = schema["enum"].as_array() {
        if allowed.iter().any(|word| word == s) {
            return true;
        }
        let words = allowed.iter().filter_map(Value::as_str);
        let remedy = match nearest(s, words) {
            Some(near) => format!("did you mean {near}?"),
            None => one_of(allowed),
        };
        faults.add(path, format!("{} is not a value here", quoted(s)), remedy);
        return false;
    }
    let Some(form) = form(schema) else { return true };
    let count = s.chars().count();
    if count > form.max_length {
        faults.add(path, format!("has {count} characters"), format!("keep at most {}", form.max_length));
    }
    if let Err(wrong) = (form.judge)(s) {
        faults.add(path, format!("{} {wrong}", quoted(s)), form.remedy);
    }
    true
}

fn number(schema: &Value, n: f64, path: &str, faults: &mut Faults) {
    let least = schema["minimum"].as_f64().unwrap_or(f64::MIN);
    let most = schema["maximum"].as_f64().unwrap_or(f64::MAX);
    if n < least || n > most {
        faults.add(path, format!("{n} is out of range"), format!("write a whole number from {least} to {most}"));
    }
}

fn form(schema: &Value) -> Option<&'static crate::text::Form> {
    let pattern = schema["pattern"].as_str()?;
    FORMS.into_iter().find(|form| form.pattern == pattern)
}

fn missing_remedy(schema: &Value) -> String {
    match (form(schema), schema["enum"].as_array(), schema["type"].as_str()) {
        (Some(form), ..) => format!("add it; {}", form.remedy),
        (_, Some(allowed), _) => format!("add it; {}", one_of(allowed)),
        (.., Some("array")) => "add it, with at least one item".to_owned(),
        _ => "add it".to_owned(),
    }
}

fn one_of(allowed: &[Value]) -> String {
    let words: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
    format!("write one of {}", words.join(", "))
}

/// The least value of the right type.
fn blank(schema: &Value) -> Value {
    match schema["type"].as_str() {
        Some("object") => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            required.map(|name| (name.to_owned(), blank(&schema["properties"][name]))).collect()
        }
        Some("array") => Value::Array(Vec::new()),
        Some("boolean") => Value::Bool(false),
        Some("integer") => Value::from(0),
        _ => schema["enum"].get(0).cloned().unwrap_or_else(|| Value::from("")),
    }
}

fn member(path: &str, name: &str) -> String {
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    match (path.is_empty(), plain) {
        (true, true) => name.to_owned(),
        (false, true) => format!("{path}.{name}"),
        (_, false) => format!("{path}[{}]", quoted(name)),
    }
}

/// In quotes, escaped, and cut short: a fault is for reading.
pub(crate) fn quoted(s: &str) -> String {
    match s.char_indices().nth(60) {
        Some((cut, _)) => format!("{:?}…", &s[..cut]),
        None => format!("{s:?}"),
    }
}
