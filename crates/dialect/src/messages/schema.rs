//! A schema within what Claude's structured outputs take: every object closed, few keywords.

use serde_json::{Map, Value};

/// A schema as Messages takes it.
#[derive(Debug)]
pub(crate) struct Narrowed {
    pub(crate) schema: Value,
    /// A keyword was left out; its words went into the description.
    pub(crate) lost: bool,
    /// It has objects with members of any name, or contains itself: neither can be said.
    pub(crate) is_open: bool,
}

/// Formats of strings that are checked.
const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

/// Narrows `schema`. Closing an object leaves only answers that the caller's schema allows, and is no loss (the rules are
/// those of anthropic-python, `lib/_parse/_transform.py`).
pub(crate) fn narrow(schema: &Value) -> Narrowed {
    let mut narrowed = Narrowed { schema: Value::Null, lost: false, is_open: is_recursive(schema) };
    narrowed.schema = value(schema, &mut narrowed);
    narrowed
}

fn value(schema: &Value, n: &mut Narrowed) -> Value {
    let Value::Object(map) = schema else { return schema.clone() };
    let mut out = Map::new();
    let mut left: Vec<String> = vec![];
    let is_object = map.get("type").is_some_and(|t| t == "object") || map.contains_key("properties");
    for (name, v) in map {
        match (name.as_str(), v) {
            ("properties" | "$defs" | "definitions", Value::Object(each)) => {
                let each: Map<_, _> = each.iter().map(|(name, s)| (name.clone(), value(s, n))).collect();
                out.insert(name.clone(), each.into());
            }
            ("anyOf" | "allOf", Value::Array(each)) => {
                out.insert(name.clone(), each.iter().map(|s| value(s, n)).collect());
            }
            ("oneOf", Value::Array(each)) => _ = out.insert("anyOf".into(), each.iter().map(|s| value(s, n)).collect()),
            ("items", Value::Object(_)) => _ = out.insert(name.clone(), value(v, n)),
            ("additionalProperties", v) => n.is_open |= *v != false,
            ("$ref", Value::String(to)) => {
                n.is_open |= !to.starts_with("#/");
                out.insert(name.clone(), v.clone());
            }
            ("format", Value::String(format)) if FORMATS.contains(&format.as_str()) => {
                out.insert(name.clone(), v.clone());
            }
            ("minItems", v) if *v == 0 || *v == 1 => _ = out.insert(name.clone(), v.clone()),
            ("type" | "enum" | "const" | "default" | "required" | "title" | "description", _) => {
                out.insert(name.clone(), v.clone());
            }
            ("$schema" | "$id" | "$comment" | "examples" | "deprecated" | "readOnly" | "writeOnly" | "strict", _) => {}
            _ => left.push(format!("{name}: {v}")),
        }
    }
    if is_object {
        n.is_open |= !map.contains_key("properties") && map.get("additionalProperties").is_none_or(|a| *a != false);
        out.insert("additionalProperties".into(), false.into());
    }
    if !left.is_empty() {
        n.lost = true;
        let said = out.get("description").and_then(Value::as_str).map(|d| format!("{d}\n\n")).unwrap_or_default();
        out.insert("description".into(), format!("{said}{{{}}}", left.join(", ")).into());
    }
    out.into()
}

/// Whether a definition contains itself, or the whole does.
fn is_recursive(schema: &Value) -> bool {
    let mut names: Vec<String> = vec![];
    let mut uses: Vec<Vec<String>> = vec![];
    for holder in ["$defs", "definitions"] {
        for (name, inner) in schema[holder].as_object().into_iter().flatten() {
            names.push(format!("#/{holder}/{name}"));
            let mut used = vec![];
            references(inner, &mut used);
            uses.push(used);
        }
    }
    let mut whole = vec![];
    references(schema, &mut whole);
    if whole.iter().any(|to| to == "#") {
        return true;
    }
    // What uses only what is done is done; what is never done goes round.
    let mut done: Vec<bool> = vec![false; names.len()];
    loop {
        let is_done = |to: &String, done: &[bool]| names.iter().position(|n| n == to).is_none_or(|i| done[i]);
        let next = (0..names.len()).find(|i| !done[*i] && uses[*i].iter().all(|to| is_done(to, &done)));
        match next {
            Some(i) => done[i] = true,
            None => return done.contains(&false),
        }
    }
}

fn references(schema: &Value, out: &mut Vec<String>) {
    match schema {
        Value::Object(map) => map.iter().for_each(|(name, v)| match v {
            Value::String(to) if name == "$ref" => out.push(to.clone()),
            v => references(v, out),
        }),
        Value::Array(list) => list.iter().for_each(|v| references(v, out)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_closed_and_what_is_not_taken_goes_into_words() {
        let n = narrow(&json!({
            "$schema": "x", "type": "object", "required": ["a"],
            "properties": {
                "a": {"type": "integer", "minimum": 1, "description": "how many"},
                "b": {"type": "array", "minItems": 1, "items": {"oneOf": [{"type": "string", "format": "date"}, {"type": "null"}]}},
                "c": {"type": "string", "format": "color"},
            },
        }));
        let want = json!({
            "type": "object", "required": ["a"], "additionalProperties": false,
            "properties": {
                "a": {"type": "integer", "description": "how many\n\n{minimum: 1}"},
                "b": {"type": "array", "minItems": 1, "items": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}},
                "c": {"type": "string", "description": "{format: \"color\"}"},
            },
        });
        assert_eq!((n.schema, n.lost, n.is_open), (want, true, false));
    }

    #[test]
    fn what_is_open_or_goes_round_is_told() {
        let object = |properties: Value| json!({"type": "object", "properties": properties});
        let rows = [
            (object(json!({"a": {"type": "string"}})), false),
            (object(json!({"a": {"type": "object"}})), true),
            (object(json!({"a": {"type": "object", "additionalProperties": {"type": "string"}}})), true),
            (object(json!({"a": {"type": "object", "additionalProperties": false}})), false),
            (json!({"$ref": "https://example.com/s"}), true),
            (json!({"$ref": "#/$defs/n", "$defs": {"n": object(json!({"next": {"$ref": "#/$defs/n"}}))}}), true),
            (
                json!({"$ref": "#/$defs/a", "$defs": {"a": object(json!({"b": {"$ref": "#/$defs/b"}})), "b": object(json!({"x": {}}))}}),
                false,
            ),
            (object(json!({"self": {"$ref": "#"}})), true),
        ];
        for (schema, want) in rows {
            let n = narrow(&schema);
            assert_eq!((n.is_open, n.lost), (want, false), "{schema}");
        }
    }
}
