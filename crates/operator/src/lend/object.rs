//! The ledger object: a ConfigMap in the operator's namespace, replaced whole by whoever read or wrote it last. It is not its
//! policy's, which may be deleted and made anew within the window; it goes with the control Service.

use k8s_openapi::{
    api::core::v1::ConfigMap,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{Api, Client, ResourceExt, api::PostParams};
use policy::ledger::lend::Written;
use ring::digest;

use super::kept;
use crate::{
    reconcile::{Failed, MANAGED_BY, MANAGER, call},
    world::PolicyKey,
};

/// The member with the text.
const LEDGER: &str = "ledger.json";
/// Longest name of an object.
const MAX_NAME: usize = 253;

/// One policy's object, as this replica knows it.
pub struct Object {
    maps: Api<ConfigMap>,
    name: String,
    policy: PolicyKey,
    /// With whom it goes.
    owner: Option<OwnerReference>,
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// Of the object, to replace it by; none where there is no object.
    pub version: Option<String>,
    /// What it says; none where there is none, or it cannot be read.
    pub object: Option<Written>,
}

/// Why a write did not come to be, or may not have.
#[derive(Debug)]
pub enum Unwritten {
    /// Another one wrote since.
    Overtaken,
    /// It failed, or nobody knows.
    Failed(Failed),
}

impl Object {
    /// The one of `policy`, in the operator's `namespace`.
    #[must_use]
    pub fn of(policy: &PolicyKey, client: Client, namespace: &str, owner: Option<OwnerReference>) -> Object {
        Object { maps: Api::namespaced(client, namespace), name: name(policy), policy: policy.clone(), owner }
    }

    /// Reads it.
    ///
    /// # Errors
    /// The API server refuses, or does not answer; or the ConfigMap is somebody else's.
    pub async fn read(&self) -> Result<Found, Failed> {
        let Some(map) = call("read the ledger", self.maps.get_opt(&self.name)).await? else {
            return Ok(Found { version: None, object: None });
        };
        if map.labels().get(MANAGED_BY).map(String::as_str) != Some(MANAGER) {
            return Err(Failed::Taken(self.name.clone()));
        }
        let text = map.data.as_ref().and_then(|data| data.get(LEDGER)).map_or("", String::as_str);
        let object = kept::read(text).inspect_err(|why| {
            tracing::error!(policy = %self.policy, object = self.name, why,
                "the ledger cannot be read: what it said counts as lost, and nothing is lent until that has been waited out");
        });
        Ok(Found { version: map.resource_version(), object: object.ok() })
    }

    /// Puts `object` in place of the one with this version; gives the new version.
    ///
    /// # Errors
    /// See [`Unwritten`].
    pub async fn write(&self, version: Option<String>, object: &Written) -> Result<Option<String>, Unwritten> {
        let map = self.map(version, object);
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let written = match &map.metadata.resource_version {
            Some(_) => call("write the ledger", self.maps.replace(&self.name, &params, &map)).await,
            None => call("create the ledger", self.maps.create(&params, &map)).await,
        };
        match written {
            Ok(map) => Ok(map.resource_version()),
            // Somebody wrote it, made it or deleted it.
            Err(Failed::Api { error: kube::Error::Api(status), .. }) if matches!(status.code, 404 | 409) => {
                Err(Unwritten::Overtaken)
            }
            Err(failed) => Err(Unwritten::Failed(failed)),
        }
    }

    fn map(&self, version: Option<String>, object: &Written) -> ConfigMap {
        let PolicyKey { namespace, name } = &self.policy;
        let annotations = [("llmroute.dev/policy".to_owned(), format!("{namespace}/{name}"))];
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                labels: Some([(MANAGED_BY.to_owned(), MANAGER.to_owned())].into()),
                annotations: Some(annotations.into()),
                resource_version: version,
                owner_references: self.owner.clone().map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            data: Some([(LEDGER.to_owned(), kept::write(object))].into()),
            ..ConfigMap::default()
        }
    }
}

/// The object's name: a namespace has no dot, so no two policies have the same.
fn name(policy: &PolicyKey) -> String {
    let whole = format!("llmroute-ledger.{}.{}", policy.namespace, policy.name);
    if whole.len() <= MAX_NAME {
        return whole;
    }
    let digest = digest::digest(&digest::SHA256, policy.name.as_bytes());
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("llmroute-ledger.{}.{hex}", policy.namespace)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::scripted::Api as Scripted;

    fn key(name: &str) -> PolicyKey {
        PolicyKey { namespace: "shop".into(), name: name.into() }
    }

    #[test]
    fn names_are_different_and_fit() {
        assert_eq!(name(&key("a.b")), "llmroute-ledger.shop.a.b");
        let (long, other) = ("x".repeat(253), format!("{}y", "x".repeat(252)));
        let (long, other) = (name(&key(&long)), name(&key(&other)));
        assert!(long.len() <= MAX_NAME && long != other, "{long} {other}");
    }

    fn stored(text: &str, by: &str) -> Value {
        json!({"metadata": {"name": "llmroute-ledger.shop.p", "resourceVersion": "7", "labels": {MANAGED_BY: by}}, "data": {LEDGER: text}})
    }

    #[tokio::test(start_paused = true)]
    async fn what_stands_there_is_replaced_by_who_read_it() {
        let (client, mut api) = Scripted::new();
        let object = Object::of(&key("p"), client, "llmroute-system", None);
        let written = Written { term: 3, ..Written::default() };

        let (read, _) = tokio::join!(object.read(), api.refuses(404));
        let found = read.unwrap();
        assert!(found.version.is_none() && found.object.is_none());
        let (made, (call, body)) =
            tokio::join!(object.write(None, &written), api.answer(200, stored(&kept::write(&written), MANAGER)));
        assert_eq!(made.unwrap().as_deref(), Some("7"));
        assert!(call.starts_with("POST /api/v1/namespaces/llmroute-system/configmaps?"), "{call}");
        assert_eq!(body["metadata"]["annotations"]["llmroute.dev/policy"], "shop/p");

        let (read, _) = tokio::join!(object.read(), api.answer(200, stored(&kept::write(&written), MANAGER)));
        let found = read.unwrap();
        assert_eq!((found.version.as_deref(), found.object), (Some("7"), Some(written.clone())));
        for code in [409, 404] {
            let (made, (call, body)) = tokio::join!(object.write(Some("7".to_owned()), &written), api.refuses(code));
            assert!(matches!(made, Err(Unwritten::Overtaken)), "{made:?}");
            assert!(call.starts_with("PUT "), "{call}");
            assert_eq!(body["metadata"]["resourceVersion"], "7");
        }
        let (made, _) = tokio::join!(object.write(None, &written), api.refuses(403));
        assert!(matches!(made, Err(Unwritten::Failed(_))), "{made:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_cannot_be_read_is_there_and_says_nothing() {
        let (client, mut api) = Scripted::new();
        let object = Object::of(&key("p"), client, "llmroute-system", None);
        let (read, _) = tokio::join!(object.read(), api.answer(200, stored("{}", MANAGER)));
        let found = read.unwrap();
        assert_eq!((found.version.as_deref(), found.object), (Some("7"), None));
        let (read, _) = tokio::join!(object.read(), api.answer(200, stored("{}", "helm")));
        assert!(matches!(read, Err(Failed::Taken(_))), "{read:?}");
    }
}
