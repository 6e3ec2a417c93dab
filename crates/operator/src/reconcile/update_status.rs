//! Step 5, with a client: tells how it went, in the policy's status.

use api::types::PolicyStatus;
use kube::{
    Api, Client,
    api::{ApiResource, Patch, PatchParams},
    core::DynamicObject,
};
use serde_json::json;

use super::{Failed, build::MANAGER, call};
use crate::world::PolicyKey;

/// Writes the conditions and numbers that are ours; those of others stay.
///
/// # Errors
/// The API server refuses it, or does not answer.
pub async fn update_status(client: &Client, key: &PolicyKey, status: &PolicyStatus) -> Result<(), Failed> {
    // What comes back is not decoded: it may be a policy that no type of ours fits.
    let kind = ApiResource::erase::<api::LLMRoutePolicy>(&());
    let policies: Api<DynamicObject> = Api::namespaced_with(client.clone(), &key.namespace, &kind);
    let patch = json!({
        "apiVersion": kind.api_version, "kind": kind.kind,
        "metadata": {"name": &*key.name, "namespace": &*key.namespace}, "status": status,
    });
    let (params, patch) = (PatchParams::apply(MANAGER).force(), Patch::Apply(&patch));
    call("write the status", policies.patch_status(&key.name, &params, &patch)).await.map(|_| ())
}
