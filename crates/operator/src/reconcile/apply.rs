//! Step 4, with a client: writes what was built.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};

use super::{
    Failed,
    build::{MANAGED_BY, MANAGER},
    call,
};

/// Writes it, whoever else wrote there, unless somebody else made it.
///
/// # Errors
/// A ConfigMap of that name is somebody else's, or the API server refuses it, or does not answer.
pub async fn apply(client: &Client, built: &ConfigMap) -> Result<(), Failed> {
    let namespace = built.namespace().unwrap_or_default();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let name = built.name_any();
    let found = call("read the ConfigMap", maps.get_metadata_opt(&name)).await?;
    if found.is_some_and(|found| found.labels().get(MANAGED_BY).map(String::as_str) != Some(MANAGER)) {
        return Err(Failed::Taken(name));
    }
    let (params, patch) = (PatchParams::apply(MANAGER).force(), Patch::Apply(built));
    call("write the ConfigMap", maps.patch(&name, &params, &patch)).await.map(|_| ())
}
