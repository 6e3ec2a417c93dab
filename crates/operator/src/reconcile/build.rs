//! Step 3, pure: what stands beside an accepted policy.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::ConfigMap,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};

use crate::world::{Document, Policy};

/// The ConfigMap's member with the document.
pub const DOCUMENT: &str = "policy.json";
/// Who this operator is to the API server, as the owner of fields.
pub const MANAGER: &str = "llmroute-operator";

/// The label that says so of an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Name of the ConfigMap beside a policy.
#[must_use]
pub fn config_map_name(policy: &str) -> String {
    format!("llmroute-{policy}")
}

/// The ConfigMap that holds the document, for sidecars that start while nobody leads; gone with its policy.
#[must_use]
pub fn config_map(policy: &Policy, document: &Document) -> ConfigMap {
    let owner = OwnerReference {
        api_version: "llmroute.dev/v1alpha1".to_owned(),
        kind: "LLMRoutePolicy".to_owned(),
        name: document.policy.name.to_string(),
        uid: policy.uid.to_string(),
        controller: Some(true),
        block_owner_deletion: None,
    };
    let labels: BTreeMap<String, String> = [(MANAGED_BY.to_owned(), MANAGER.to_owned())].into();
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(config_map_name(&document.policy.name)),
            namespace: Some(document.policy.namespace.to_string()),
            labels: Some(labels),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        data: Some([(DOCUMENT.to_owned(), String::from_utf8_lossy(&document.json).into_owned())].into()),
        ..ConfigMap::default()
    }
}
