//! The CustomResourceDefinition, generated from the types.

pub(crate) mod rules;

use kube::CustomResourceExt;
use serde_json::Value;

use crate::types::LLMRoutePolicy;

/// The CRD as YAML, as it stands in `crds/`.
#[must_use]
pub fn crd_yaml() -> String {
    let body = serde_yaml::to_string(&definition()).unwrap_or_default();
    format!("# Generated from crates/api/src/types; run its tests after a change there.\n{body}")
}

/// The schema of `spec`.
pub(crate) fn spec_schema() -> Value {
    let mut crd = definition();
    crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec").map(Value::take).unwrap_or_default()
}

fn definition() -> Value {
    let mut crd = serde_json::to_value(LLMRoutePolicy::crd()).unwrap_or_default();
    if let Some(schema) = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema") {
        tidy(schema);
    }
    crd
}

/// Takes out what the generator adds and Kubernetes has another meaning or no use for: `null` beside every optional
/// field, number formats that it does not know, and defaults, which would show in every stored object.
fn tidy(schema: &mut Value) {
    let Value::Object(node) = schema else { return };
    node.remove("nullable");
    node.remove("default");
    if node.get("format").is_some_and(|f| f == "uint32" || f == "uint64") {
        node.remove("format");
    }
    for key in ["properties", "items", "additionalProperties"] {
        match (key, node.get_mut(key)) {
            ("properties", Some(Value::Object(members))) => members.values_mut().for_each(tidy),
            (_, Some(inner)) => tidy(inner),
            _ => {}
        }
    }
}
