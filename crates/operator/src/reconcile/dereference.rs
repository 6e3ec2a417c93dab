//! Step 1, with a client: what was accepted before this process began, from the ConfigMap beside the policy.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, ResourceExt};

use super::{Failed, build, call};
use crate::world::PolicyKey;

/// The document that stands in the ConfigMap of this very policy, if there is one.
///
/// # Errors
/// The API server cannot be asked.
pub async fn dereference(client: &Client, key: &PolicyKey, uid: &str) -> Result<Option<String>, Failed> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &key.namespace);
    let name = build::config_map_name(&key.name);
    let Some(found) = call("read the ConfigMap", maps.get_opt(&name)).await? else { return Ok(None) };
    // Of an earlier policy of the same name, which nobody has cleaned up yet.
    let is_its = found.owner_references().iter().any(|owner| owner.uid == uid);
    Ok(found.data.filter(|_| is_its).and_then(|mut data| data.remove(build::DOCUMENT)))
}
