//! The CustomResourceDefinition, generated from the types.

pub(crate) mod rules;

use std::sync::LazyLock;

use kube::CustomResourceExt;
use serde_json::{Map, Value};

use crate::types::LLMRoutePolicy;

/// The CRD as YAML, as it stands in `crds/`.
#[must_use]
pub fn crd_yaml() -> String {
    let body = serde_yaml::to_string(&definition()).unwrap_or_default();
    format!("# Generated from crates/api/src/types; run its tests after a change there.\n{body}")
}

/// The schema of `spec`, made once and without its descriptions.
pub(crate) fn spec_schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let mut crd = definition();
        let spec = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec");
        let mut spec = spec.map(Value::take).unwrap_or_default();
        each_node(&mut spec, &|node| {
            node.remove("description");
            node.remove("x-kubernetes-validations");
        });
        spec
    });
    &SCHEMA
}

fn definition() -> Value {
    let mut crd = serde_json::to_value(LLMRoutePolicy::crd()).unwrap_or_default();
    if let Some(schema) = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema") {
        each_node(schema, &tidy);
        schema["x-kubernetes-validations"] = rules::OBJECT.json();
    }
    crd
}

/// Takes out what the generator adds and Kubernetes has another meaning or no use for: `null` beside every optional
/// field, number formats that it does not know, whole bounds as fractions, and defaults, which would show in every
/// stored object.
fn tidy(node: &mut Map<String, Value>) {
    node.remove("nullable");
    node.remove("default");
    if node.get("format").is_some_and(|f| f == "uint32" || f == "uint64") {
        node.remove("format");
    }
    for bound in ["minimum", "maximum"] {
        if let Some(whole) = node.get(bound).and_then(Value::as_f64) {
            node.insert(bound.to_owned(), Value::from(whole as i64));
        }
    }
}

/// Every schema in `schema`, itself included.
fn each_node(schema: &mut Value, change: &impl Fn(&mut Map<String, Value>)) {
    let Value::Object(node) = schema else { return };
    change(node);
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = node.get_mut(key) {
            each_node(inner, change);
        }
    }
    if let Some(Value::Object(members)) = node.get_mut("properties") {
        members.values_mut().for_each(|member| each_node(member, change));
    }
}
