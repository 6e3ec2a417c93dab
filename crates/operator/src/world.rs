//! What the cluster holds, as far as it matters here: plain data.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fmt::Write,
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use api::types::{PodSelector, PolicyStatus};
use bytes::Bytes;
use control::v1::{Snapshot, from_operator::Message as Say};
use policy::ledger::Cap;
use ring::digest;
use serde_json::{Value, json};

use crate::{frame::frame, lend::Ended};

/// A policy's namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyKey {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl fmt::Display for PolicyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// `metadata.uid` of a pod: a name comes back, a uid does not.
pub type Uid = Arc<str>;

/// A policy. Selector and credentials are those of the accepted version; where there is none, of the newest, as far as it reads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// `metadata.creationTimestamp`, seconds since 1970.
    pub created: i64,
    /// Which pods of its namespace it is for.
    pub selector: PodSelector,
    /// Its newest version that was accepted, if one was.
    pub accepted: Option<Arc<Document>>,
    /// The Secret with its providers' keys.
    pub secret: Option<Arc<str>>,
    /// One of its providers has a key.
    pub needs_keys: bool,
    /// Its budgets and rates.
    pub caps: Arc<Caps>,
    /// `metadata.uid`.
    pub uid: Arc<str>,
    /// `metadata.generation` of the newest version.
    pub generation: i64,
    /// Why the newest version is not accepted, if it is not.
    pub faults: Vec<String>,
    /// Nobody asked yet whether an earlier version was accepted, of those that this process has not seen.
    pub recall: bool,
    /// `metadata.resourceVersion`: what has a lower one is older.
    pub version: u64,
    /// Its status as the cluster shows it.
    pub status: PolicyStatus,
}

/// What the pods of a policy share.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Caps {
    /// Budgets and rates, in the policy's order.
    pub all: Vec<Cap>,
    /// The longest of its providers.
    pub bill_horizon: Duration,
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
    /// The Secret that its sidecar has, if it has one.
    pub secret: Option<Arc<str>>,
    /// It is being deleted.
    pub ending: bool,
    /// Where it calls from: its own addresses, as far as they are known; none where it has those of its node.
    pub addresses: Vec<IpAddr>,
}

impl Pod {
    /// Whether a call from there can be this pod's.
    #[must_use]
    pub fn calls_from(&self, peer: IpAddr) -> bool {
        self.addresses.is_empty() || self.addresses.contains(&peer.to_canonical())
    }

    /// Its sidecar is one for the policy: it has the Secret that is named there.
    #[must_use]
    pub fn fits(&self, policy: &Policy) -> bool {
        self.sidecar && (policy.secret.is_none() || policy.secret == self.secret)
    }
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Policies.
    pub policies: BTreeMap<PolicyKey, Policy>,
    /// The newest `metadata.resourceVersion` of policies that their watch has shown: it has shown all that is older.
    pub watched: u64,
    /// Pods that have not ended.
    pub pods: BTreeMap<Uid, Pod>,
    /// Pods that ended for sure.
    pub ended: Ended,
    /// Namespaces that ask for sidecars.
    pub opted_in: BTreeSet<Arc<str>>,
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
    /// All that, as it goes over each stream.
    pub framed: Bytes,
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
        Document::of(policy, generation, Bytes::from(manifest.to_string()))
    }

    /// A document as it was kept, if it is one of that policy.
    #[must_use]
    pub fn read(policy: &PolicyKey, json: &str) -> Option<Document> {
        let manifest: Value = serde_json::from_str(json).ok()?;
        let metadata = &manifest["metadata"];
        let is_its = metadata["namespace"] == *policy.namespace && metadata["name"] == *policy.name;
        let generation = metadata["generation"].as_i64().filter(|_| is_its)?;
        Some(Document::of(policy.clone(), generation, Bytes::from(json.to_owned())))
    }

    fn of(policy: PolicyKey, generation: i64, json: Bytes) -> Document {
        let digest = digest::digest(&digest::SHA256, &json);
        let hash = digest.as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let snapshot = Snapshot {
            namespace: policy.namespace.to_string(),
            name: policy.name.to_string(),
            generation,
            hash: hash.clone(),
            document: json.clone(),
        };
        Document { generation, hash, policy, json, framed: frame(Say::Snapshot(snapshot)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_calls_from_its_own_addresses_once_they_are_known() {
        let ip = |text: &str| -> IpAddr { text.parse().unwrap() };
        let pod = Pod { addresses: vec![ip("10.1.2.3"), ip("fd00::3")], ..Pod::default() };
        let rows =
            [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("fd00::3", true), ("10.1.2.4", false), ("::1", false)];
        for (peer, want) in rows {
            assert_eq!(pod.calls_from(ip(peer)), want, "{peer}");
            assert!(Pod::default().calls_from(ip(peer)), "it is not known yet");
        }
    }

    #[test]
    fn a_document_is_a_manifest_that_is_accepted() {
        let spec = json!({"providers": [{"name": "openai", "api": "OpenAI"}],
            "scenes": [{"name": "chat", "targets": [{"provider": "openai"}]}]});
        let key = PolicyKey { namespace: "shop".into(), name: "p".into() };
        let document = Document::new(key.clone(), 7, &spec);
        let (_, snapshot) = api::accept(&serde_json::from_slice(&document.json).unwrap()).unwrap();
        assert_eq!((&*snapshot.name, snapshot.generation), ("shop/p", Some(7)));
        assert_eq!(document, Document::new(key.clone(), 7, &spec), "the same text each time");
        let text = std::str::from_utf8(&document.json).unwrap();
        assert_eq!(Document::read(&key, text), Some(document.clone()), "as it was kept");
        let stranger = PolicyKey { namespace: "shop".into(), name: "q".into() };
        assert_eq!((Document::read(&stranger, text), Document::read(&key, "{")), (None, None));
        let others = [Document::new(key, 8, &spec), {
            let other = PolicyKey { namespace: "shop".into(), name: "q".into() };
            Document::new(other, 7, &spec)
        }];
        assert!(others.iter().all(|other| other.hash != document.hash));
    }
}
