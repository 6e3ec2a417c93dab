//! Step 4, with a client: writes what was built.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};

use super::{Failed, build::MANAGER, call};

/// Writes it, whoever else wrote there.
///
/// # Errors
/// The API server refuses it, or does not answer.
pub async fn apply(client: &Client, built: &ConfigMap) -> Result<(), Failed> {
    let namespace = built.namespace().unwrap_or_default();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let params = PatchParams::apply(MANAGER).force();
    let (name, patch) = (built.name_any(), Patch::Apply(built));
    call("write the ConfigMap", maps.patch(&name, &params, &patch)).await.map(|_| ())
}
