//! The committed CRD as a list of places, each with what it demands.

use std::fs;

use serde_json::Value;

use crate::stage::path;

/// A node of the schema below `spec`.
pub struct Place {
    /// Such as `spec.tiers[].sla`; `{}` stands for any key of a map.
    pub at: String,
    pub schema: Value,
}

/// What a place demands, in the order in which places stand in the CRD.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Demand {
    pub at: String,
    /// A keyword of the schema, `unknown` for members that are no fields, or a rule's message.
    pub what: String,
}

impl Demand {
    pub fn new(at: &str, what: impl Into<String>) -> Demand {
        Demand { at: at.to_owned(), what: what.into() }
    }
}

/// The schema of `spec`.
pub fn spec() -> Value {
    let text = fs::read_to_string(path("crds/llmroutepolicies.llmroute.dev.yaml")).expect("the CRD");
    let crd: Value = serde_yaml::from_str(&text).expect("YAML");
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

/// All places of a schema, parents first.
pub fn places(schema: &Value) -> Vec<Place> {
    let mut found = Vec::new();
    walk(schema, "spec".to_owned(), &mut found);
    found
}

fn walk(schema: &Value, at: String, found: &mut Vec<Place>) {
    found.push(Place { at: at.clone(), schema: schema.clone() });
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        walk(field, format!("{at}.{name}"), found);
    }
    for (inner, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[inner].is_object() {
            walk(&schema[inner], format!("{at}{mark}"), found);
        }
    }
}

/// Everything that can be broken at a place. Another keyword than these fails the test, so that none is overlooked.
pub fn demands(place: &Place) -> Vec<Demand> {
    let Place { at, schema } = place;
    let mut found = Vec::new();
    for (keyword, value) in schema.as_object().expect("a schema") {
        match keyword.as_str() {
            // A duration's pattern leaves nothing to its format, and an integer's bounds nothing to its own.
            "description" | "items" | "format" => {}
            "properties" => found.push(Demand::new(at, "unknown")),
            "additionalProperties" => assert!(value.is_object(), "{at}: {keyword}"),
            "required" => found.extend(
                value
                    .as_array()
                    .expect("names")
                    .iter()
                    .map(|name| Demand::new(&format!("{at}.{}", name.as_str().expect("a name")), "required")),
            ),
            "x-kubernetes-validations" => found.extend(rules(schema).map(|rule| Demand::new(at, message(rule)))),
            "x-kubernetes-list-map-keys" => found.push(Demand::new(&format!("{at}[]"), "twice")),
            "x-kubernetes-list-type" if value == "set" => found.push(Demand::new(&format!("{at}[]"), "twice")),
            "x-kubernetes-list-type" => {}
            // Words that may not repeat run out before the list is too long.
            "maxItems" if distinct(schema).is_some_and(|words| words <= value.as_u64().expect("a bound")) => {}
            "type" | "enum" | "pattern" | "maxLength" | "minimum" | "maximum" | "minItems" | "maxItems"
            | "maxProperties" => found.push(Demand::new(at, keyword)),
            other => panic!("{at}: nothing breaks {other} yet"),
        }
    }
    found
}

/// How many items a list can have at most, where no word may be there twice.
fn distinct(schema: &Value) -> Option<u64> {
    let word = match schema["x-kubernetes-list-map-keys"][0].as_str() {
        Some(key) => &schema["items"]["properties"][key],
        None if schema["x-kubernetes-list-type"] == "set" => &schema["items"],
        None => return None,
    };
    Some(word["enum"].as_array()?.len() as u64)
}

/// CEL rules of a node.
pub fn rules(schema: &Value) -> impl Iterator<Item = &Value> {
    schema["x-kubernetes-validations"].as_array().into_iter().flatten()
}

/// What the server says where a rule fails, at least.
pub fn message(rule: &Value) -> &str {
    let literal = rule["messageExpression"].as_str().and_then(|e| e.split('\'').nth(1));
    literal.or(rule["message"].as_str()).expect("a message")
}

/// The place that a path of the server means, such as `spec.tiers[0].sla`.
pub fn place_of(field: &str, schema: &Value) -> String {
    let mut at = "spec".to_owned();
    let mut node = schema;
    let mut rest = field.strip_prefix("spec").unwrap_or_else(|| panic!("{field} is not below spec"));
    while !rest.is_empty() {
        if let Some(more) = rest.strip_prefix('[') {
            rest = more.split_once(']').expect("an index").1;
            (at, node) = (format!("{at}[]"), &node["items"]);
        } else if node["additionalProperties"].is_object() {
            (rest, at, node) = ("", format!("{at}{{}}"), &node["additionalProperties"]);
        } else {
            let name = rest.trim_start_matches('.');
            let name = &name[..name.find(['.', '[']).unwrap_or(name.len())];
            rest = &rest[1 + name.len()..];
            (at, node) = (format!("{at}.{name}"), &node["properties"][name]);
        }
    }
    at
}
