//! What the cluster holds, as far as it matters here: plain data.

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use api::types::PodSelector;
use bytes::Bytes;
use ring::digest;
use serde_json::{Value, json};

/// A policy's namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyKey {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

/// `metadata.uid` of a pod: a name comes back, a uid does not.
pub type Uid = Arc<str>;

/// A policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// `metadata.creationTimestamp`, seconds since 1970.
    pub created: i64,
    /// Which pods of its namespace it is for.
    pub selector: PodSelector,
    /// Its newest version that was accepted, if one was.
    pub accepted: Option<Arc<Document>>,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// It, or its namespace, asks for a sidecar.
    pub opted_in: bool,
    /// It has a sidecar.
    pub sidecar: bool,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Policies.
    pub policies: BTreeMap<PolicyKey, Policy>,
    /// Pods.
    pub pods: BTreeMap<Uid, Pod>,
}

/// An accepted version of a policy, as sidecars get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// `metadata.generation`.
    pub generation: i64,
    /// SHA-256 of `json`, in hexadecimal digits; the policy's name is part of that.
    pub hash: String,
    /// Whose it is.
    pub policy: PolicyKey,
    /// apiVersion, kind, metadata (namespace, name, generation) and spec.
    pub json: Bytes,
}

impl Document {
    /// The document of a policy with this spec, which was accepted.
    #[must_use]
    pub fn new(policy: PolicyKey, generation: i64, spec: &Value) -> Document {
        let PolicyKey { namespace, name } = &policy;
        let manifest = json!({
            "apiVersion": "llmroute.dev/v1alpha1", "kind": "LLMRoutePolicy",
            "metadata": {"namespace": &**namespace, "name": &**name, "generation": generation}, "spec": spec,
        });
        let json = Bytes::from(manifest.to_string());
        let digest = digest::digest(&digest::SHA256, &json);
        let hash = digest.as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Document { generation, hash, policy, json }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_a_manifest_that_is_accepted() {
        let spec = json!({"providers": [{"name": "openai", "api": "OpenAI"}],
            "scenes": [{"name": "chat", "targets": [{"provider": "openai"}]}]});
        let key = PolicyKey { namespace: "shop".into(), name: "p".into() };
        let document = Document::new(key.clone(), 7, &spec);
        let (_, snapshot) = api::accept(&serde_json::from_slice(&document.json).unwrap()).unwrap();
        assert_eq!((&*snapshot.name, snapshot.generation), ("shop/p", Some(7)));
        assert_eq!(document, Document::new(key.clone(), 7, &spec), "the same text each time");
        let others = [Document::new(key, 8, &spec), {
            let other = PolicyKey { namespace: "shop".into(), name: "q".into() };
            Document::new(other, 7, &spec)
        }];
        assert!(others.iter().all(|other| other.hash != document.hash));
    }
}
