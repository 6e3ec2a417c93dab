//! Judges the form of a policy, all of it in one run, by the very schema that the API server has.

mod suggest;
mod walk;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value};

use crate::{
    crd,
    fault::Faults,
    text::ObjectName,
    types::{LLMRoutePolicy, LLMRoutePolicySpec},
};

pub(crate) use suggest::nearest;
pub(crate) use walk::quoted;

pub(crate) const API_VERSION: &str = "llmroute.dev/v1alpha1";
pub(crate) const KIND: &str = "LLMRoutePolicy";

const ROOT: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
const METADATA: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// The typed policy, for judging its meaning: faulty parts are replaced by blanks, so that one fault hides no other.
/// `None` where there is too little to go on. The status is left out: it is the operator's to write.
pub(crate) fn check(value: &Value, faults: &mut Faults) -> Option<LLMRoutePolicy> {
    let Value::Object(root) = value else {
        faults.add(
            "",
            format!("the document is {}, not a resource", walk::kind_of(value)),
            "write a mapping with apiVersion, kind, metadata and spec",
        );
        return None;
    };
    constant(root, "apiVersion", API_VERSION, faults);
    constant(root, "kind", KIND, faults);
    walk::unknown(root, &ROOT, "", faults);
    let metadata = metadata(root.get("metadata"), faults);
    let mut spec = match root.get("spec") {
        Some(spec) => spec.clone(),
        None => {
            faults.add("spec", "is missing", "add it; providers and scenes are the least it needs");
            return None;
        }
    };
    if !walk::walk(crd::spec_schema(), &mut spec, "spec", faults) {
        return None;
    }
    match serde_json::from_value::<LLMRoutePolicySpec>(spec) {
        Ok(spec) => Some(LLMRoutePolicy { metadata, spec, status: None }),
        Err(e) => {
            faults.add("spec", format!("does not read: {e}"), "compare it with the examples");
            None
        }
    }
}

fn constant(root: &Map<String, Value>, field: &str, want: &str, faults: &mut Faults) {
    match root.get(field) {
        Some(Value::String(s)) if s == want => {}
        Some(other) => faults.add(field, format!("is {other}, not {want}"), format!("write {field}: {want}")),
        None => faults.add(field, "is missing", format!("write {field}: {want}")),
    }
}

/// Longest name of a policy: with `llmroute-` in front it is a ConfigMap's, which has at most 253 characters.
const MOST_NAME: usize = 244;

/// Name, namespace and generation are ours to check; the rest is Kubernetes' own.
fn metadata(value: Option<&Value>, faults: &mut Faults) -> ObjectMeta {
    let Some(Value::Object(members)) = value else {
        faults.add("metadata", "is missing", "write metadata: {name: my-policy}");
        return ObjectMeta::default();
    };
    walk::unknown(members, &METADATA, "metadata", faults);
    match members.get("name") {
        None => faults.add("metadata.name", "is missing", "write metadata: {name: my-policy}"),
        Some(name) => {
            object_name(name, "metadata.name", faults);
            if name.as_str().is_some_and(|name| (MOST_NAME + 1..=253).contains(&name.len())) {
                let why = format!("has more than {MOST_NAME} characters");
                faults.add(
                    "metadata.name",
                    why,
                    "shorten it: a ConfigMap beside the policy has the name llmroute-NAME",
                );
            }
        }
    }
    if let Some(namespace) = members.get("namespace") {
        object_name(namespace, "metadata.namespace", faults);
    }
    serde_json::from_value(Value::Object(members.clone())).unwrap_or_else(|e| {
        faults.add("metadata", format!("does not read: {e}"), "name is all that it needs");
        ObjectMeta::default()
    })
}

fn object_name(value: &Value, path: &str, faults: &mut Faults) {
    let schema = ObjectName::json_schema(&mut SchemaGenerator::default()).to_value();
    walk::walk(&schema, &mut value.clone(), path, faults);
}

#[cfg(test)]
mod tests;
