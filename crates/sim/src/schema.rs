//! JSON made up to fit a schema: tool arguments and structured answers.

use serde_json::{Map, Value, json};

/// A value that is valid for `schema`. `nth` tells several calls of one tool apart.
pub(crate) fn example(schema: &Value, nth: usize) -> Value {
    Maker { root: schema, nth }.value(schema, "", 0)
}

struct Maker<'a> {
    root: &'a Value,
    nth: usize,
}

impl Maker<'_> {
    fn value(&self, schema: &Value, name: &str, depth: usize) -> Value {
        if depth > 24 {
            return Value::Null;
        }
        if let Some(target) = schema["$ref"].as_str() {
            let found = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            return found.map_or(Value::Null, |s| self.value(s, name, depth + 1));
        }
        if let Some(fixed) = schema.get("const") {
            return fixed.clone();
        }
        if let Some(first) = schema["enum"].as_array().and_then(|all| all.first()) {
            return first.clone();
        }
        for several in ["anyOf", "oneOf", "allOf"] {
            if let Some(first) = schema[several].as_array().and_then(|all| all.first()) {
                return self.value(first, name, depth + 1);
            }
        }
        let kind = match &schema["type"] {
            Value::String(kind) => kind.as_str(),
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|k| *k != "null").unwrap_or("null"),
            _ if schema["properties"].is_object() => "object",
            _ => "string",
        };
        match kind {
            "object" => self.object(schema, depth),
            "array" => {
                let len = schema["minItems"].as_u64().unwrap_or(1).min(16);
                (0..len).map(|_| self.value(&schema["items"], name, depth + 1)).collect()
            }
            "integer" => json!(self.number(schema).ceil() as i64),
            "number" => json!(self.number(schema) + if schema["minimum"].is_number() { 0.0 } else { 0.5 }),
            "boolean" => json!(true),
            "null" => Value::Null,
            _ => Value::String(self.string(schema, name)),
        }
    }

    fn object(&self, schema: &Value, depth: usize) -> Value {
        let mut out = Map::new();
        if let Some(properties) = schema["properties"].as_object() {
            let required: Vec<&str> =
                schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            for (name, property) in properties {
                if required.contains(&name.as_str()) {
                    out.insert(name.clone(), self.value(property, name, depth + 1));
                }
            }
        }
        Value::Object(out)
    }

    fn number(&self, schema: &Value) -> f64 {
        let above = schema["exclusiveMinimum"].as_f64().map(|low| low + 1.0);
        let low = schema["minimum"].as_f64().or(above);
        let high = schema["maximum"].as_f64().unwrap_or(f64::MAX);
        low.unwrap_or(1.0 + self.nth as f64).min(high)
    }

    fn string(&self, schema: &Value, name: &str) -> String {
        let text = match schema["format"].as_str() {
            Some("date-time") => "2026-11-24T08:00:00Z",
            Some("date") => "2026-11-24",
            Some("time") => "08:00:00Z",
            Some("email") => "sim@example.com",
            Some("uri") => "https://example.com/",
            Some("uuid") => "00000000-0000-4000-8000-000000000000",
            _ => match (name, self.nth) {
                ("city" | "location", 0) => "Paris",
                ("city" | "location", _) => "Oslo",
                ("command" | "cmd", _) => "echo sim",
                (_, 0) => "sim",
                _ => "sim too",
            },
        };
        let least = schema["minLength"].as_u64().unwrap_or(0).min(4096) as usize;
        let most = schema["maxLength"].as_u64().unwrap_or(4096) as usize;
        format!("{text:x<least$}").chars().take(most).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits() {
        let rows = [
            (
                json!({"type": "object", "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]},
                "skip": {"type": "string"}}, "required": ["city", "unit"]}),
                json!({"city": "Paris", "unit": "c"}),
            ),
            (json!({}), json!("sim")),
            (json!({"type": "object"}), json!({})),
            (json!({"type": ["null", "integer"], "minimum": 7}), json!(7)),
            (json!({"type": "array", "items": {"type": "boolean"}, "minItems": 2}), json!([true, true])),
            (json!({"$ref": "#/$defs/a", "$defs": {"a": {"const": 3}}}), json!(3)),
            (json!({"type": "string", "minLength": 5, "maxLength": 5}), json!("simxx")),
            (json!({"anyOf": [{"type": "null"}, {"type": "string"}]}), Value::Null),
            (json!({"$ref": "#"}), Value::Null),
        ];
        for (schema, value) in rows {
            assert_eq!(example(&schema, 0), value, "{schema}");
        }
        assert_eq!(
            example(&json!({"type": "object", "properties": {"city": {}}, "required": ["city"]}), 1)["city"],
            "Oslo"
        );
    }
}
