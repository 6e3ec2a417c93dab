//! What the API server tells, taken into the world. Nothing here fails: an object that is no good is one without what it
//! should have.

use std::{collections::BTreeSet, sync::Arc};

use k8s_openapi::{api::core::v1::Namespace, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::core::{DeserializeGuard, DynamicObject, Object, PartialObjectMeta};
use serde::Deserialize;

use crate::{
    reconcile::{Judged, validate},
    world::{Pod, Policy, PolicyKey, Uid, World},
};

/// The label by which a pod or a namespace asks for a sidecar: `enabled`, or `disabled` on a pod, which wins.
pub const INJECT: &str = "llmroute.dev/inject";
/// Name of the sidecar's container.
pub const SIDECAR: &str = "llmroute-sidecar";
/// Name of the volume with its keys.
pub const CREDENTIALS: &str = "llmroute-credentials";

/// A pod, as far as it is read.
pub type SeenPod = DeserializeGuard<Object<PodSpec, PodStatus>>;

/// Of a pod's spec.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    init_containers: Vec<Container>,
    volumes: Vec<Volume>,
    host_network: bool,
}

#[derive(Clone, Debug, Deserialize)]
struct Container {
    name: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Volume {
    name: String,
    secret: Option<SecretVolume>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecretVolume {
    secret_name: Option<String>,
}

/// Of a pod's status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodStatus {
    phase: Option<String>,
    #[serde(rename = "podIPs")]
    addresses: Vec<Address>,
    #[serde(rename = "initContainerStatuses")]
    init_containers: Vec<ContainerStatus>,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Deserialize)]
struct ContainerStatus {
    name: String,
    #[serde(default)]
    state: ContainerState,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct ContainerState {
    terminated: Option<serde::de::IgnoredAny>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    reason: Option<String>,
}

impl PodStatus {
    fn is_over(&self) -> bool {
        matches!(self.phase.as_deref(), Some("Succeeded" | "Failed"))
    }

    /// Its sidecar sends nothing more, as its kubelet saw. A pod of a lost node is over by the word of the garbage collector,
    /// and may run on.
    fn has_ended(&self) -> bool {
        let is_gone = |c: &ContainerStatus| c.name == SIDECAR && c.state.terminated.is_some();
        let is_guess = |c: &Condition| c.reason.as_deref() == Some("DeletionByPodGC");
        self.is_over() && self.init_containers.iter().any(is_gone) && !self.conditions.iter().any(is_guess)
    }
}

#[derive(Clone, Debug, Deserialize)]
struct Address {
    ip: String,
}

/// The key of an object with a namespace.
#[must_use]
pub fn key(metadata: &ObjectMeta) -> Option<PolicyKey> {
    let (namespace, name) = (metadata.namespace.as_deref()?, metadata.name.as_deref()?);
    Some(PolicyKey { namespace: namespace.into(), name: name.into() })
}

fn uid(metadata: &ObjectMeta) -> Option<Uid> {
    metadata.uid.as_deref().map(Arc::from)
}

/// A `resourceVersion` of policies: of two, the lower one is the older.
#[must_use]
pub fn version(text: Option<&str>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// A policy is there, or another than before; whether it is.
pub fn policy(world: &mut World, object: &DynamicObject) -> Option<(PolicyKey, bool)> {
    let key = key(&object.metadata)?;
    let version = version(object.metadata.resource_version.as_deref());
    // Of what is watched and what is asked either may be behind the other.
    if world.policies.get(&key).is_some_and(|known| known.version > version) {
        return Some((key, false));
    }
    let status = serde_json::from_value(object.data["status"].clone()).unwrap_or_default();
    let generation = object.metadata.generation.unwrap_or_default();
    let before = world.policies.get_mut(&key).filter(|p| Some(&*p.uid) == object.metadata.uid.as_deref());
    if let Some(same) = before
        && same.generation == generation
    {
        let differs = same.status != status;
        (same.status, same.version) = (status, version);
        return Some((key, differs));
    }
    let before = world.policies.get(&key).filter(|p| Some(&*p.uid) == object.metadata.uid.as_deref());
    let created = object.metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second());
    let uid = uid(&object.metadata).unwrap_or_default();
    let policy = match validate(&key, generation, &object.data["spec"]) {
        Ok(Judged { document, selector, secret, needs_keys, caps }) => Policy {
            created,
            selector,
            accepted: Some(Arc::new(document)),
            secret,
            needs_keys,
            caps: Arc::new(caps),
            uid,
            generation,
            faults: vec![],
            recall: false,
            version,
            status,
        },
        Err(refused) => {
            // One in between that was not seen here may have been accepted.
            let recall = before.is_none_or(|before| before.recall || before.generation + 1 < generation);
            match before {
                // What was accepted before goes on.
                Some(before) if before.accepted.is_some() => {
                    Policy { generation, faults: refused.faults, recall, version, status, ..before.clone() }
                }
                _ => Policy {
                    created,
                    selector: refused.selector,
                    uid,
                    generation,
                    faults: refused.faults,
                    recall,
                    version,
                    status,
                    ..Policy::default()
                },
            }
        }
    };
    world.policies.insert(key.clone(), policy);
    Some((key, true))
}

/// A pod is there, or another than before; whether it is.
pub fn pod(world: &mut World, object: &SeenPod) -> Option<(Uid, bool)> {
    let (metadata, spec, status) = match &object.0 {
        Ok(pod) => (&pod.metadata, pod.spec.clone(), pod.status.clone().unwrap_or_default()),
        Err(bad) => {
            tracing::warn!(pod = ?bad.metadata.name, error = %bad.error, "a pod that cannot be read counts as one without sidecar");
            (&bad.metadata, PodSpec::default(), PodStatus::default())
        }
    };
    let (PolicyKey { namespace, name }, uid) = (key(metadata)?, uid(metadata)?);
    // One that has ended needs no policy.
    if status.is_over() {
        let was_there = world.pods.remove(&uid).is_some();
        let is_news = status.has_ended() && world.ended.note(uid.clone());
        return Some((uid, was_there || is_news));
    }
    let labels = metadata.labels.clone().unwrap_or_default();
    let secret =
        spec.volumes.iter().find(|v| v.name == CREDENTIALS).and_then(|v| v.secret.as_ref()?.secret_name.as_deref());
    let pod = Pod {
        opted_in: asks(&labels, world.opted_in.contains(&namespace)),
        namespace,
        name,
        labels,
        sidecar: spec.init_containers.iter().any(|c| c.name == SIDECAR),
        secret: secret.map(Arc::from),
        ending: metadata.deletion_timestamp.is_some(),
        addresses: if spec.host_network {
            Vec::new()
        } else {
            status.addresses.iter().filter_map(|address| address.ip.parse().ok()).collect()
        },
    };
    let differs = world.pods.get(&uid) != Some(&pod);
    if differs {
        world.pods.insert(uid.clone(), pod);
    }
    Some((uid, differs))
}

/// A namespace is there, or another than before.
pub fn namespace(world: &mut World, object: &PartialObjectMeta<Namespace>) -> Option<Arc<str>> {
    let name: Arc<str> = object.metadata.name.as_deref()?.into();
    let label = object.metadata.labels.as_ref().and_then(|labels| labels.get(INJECT));
    opt(world, &name, label.is_some_and(|value| value == "enabled"));
    Some(name)
}

/// Namespaces other than these are gone.
pub fn keep_namespaces(world: &mut World, seen: &BTreeSet<Arc<str>>) {
    let gone: Vec<Arc<str>> = world.opted_in.difference(seen).cloned().collect();
    gone.iter().for_each(|name| opt(world, name, false));
}

/// A namespace asks for sidecars, or does not.
fn opt(world: &mut World, name: &Arc<str>, is_in: bool) {
    let differs = if is_in { world.opted_in.insert(name.clone()) } else { world.opted_in.remove(name) };
    if differs {
        for pod in world.pods.values_mut().filter(|pod| pod.namespace == *name) {
            pod.opted_in = asks(&pod.labels, is_in);
        }
    }
}

fn asks(labels: &std::collections::BTreeMap<String, String>, by_namespace: bool) -> bool {
    match labels.get(INJECT).map(String::as_str) {
        Some("enabled") => true,
        Some("disabled") => false,
        _ => by_namespace,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn manifest(generation: i64, uid: &str, spec: Value, status: Value) -> DynamicObject {
        let metadata = json!({"namespace": "shop", "name": "p", "uid": uid, "generation": generation,
            "creationTimestamp": "2026-11-26T04:00:00Z"});
        let text = json!({"apiVersion": "llmroute.dev/v1alpha1", "kind": "LLMRoutePolicy", "metadata": metadata, "spec": spec, "status": status});
        serde_json::from_value(text).unwrap()
    }

    fn good(app: &str) -> Value {
        json!({"podSelector": {"matchLabels": {"app": app}}, "credentials": {"secretName": "keys"},
            "providers": [{"name": "openai", "api": "OpenAI", "credentialKey": "openai"}],
            "scenes": [{"name": "chat", "targets": [{"provider": "openai"}]}]})
    }

    fn bad(app: &str) -> Value {
        let mut spec = good(app);
        spec["scenes"][0]["targets"][0]["provider"] = json!("nobody");
        spec
    }

    fn the(world: &World) -> &Policy {
        world.policies.values().next().unwrap()
    }

    #[test]
    fn a_refused_edit_leaves_what_was_accepted() {
        let mut world = World::default();
        policy(&mut world, &manifest(1, "u1", good("a"), Value::Null)).unwrap();
        let first = the(&world).clone();
        assert_eq!((first.generation, first.created, &*first.uid), (1, 1_795_665_600, "u1"));
        assert_eq!((first.secret.as_deref(), first.needs_keys, first.recall), (Some("keys"), true, false));
        assert_eq!(first.accepted.as_ref().map(|d| d.generation), Some(1));

        policy(&mut world, &manifest(2, "u1", bad("b"), Value::Null)).unwrap();
        let second = the(&world).clone();
        assert_eq!((second.generation, &second.accepted, &second.selector), (2, &first.accepted, &first.selector));
        assert!(second.faults.iter().any(|f| f.contains("spec.scenes[0].targets[0].provider")), "{:?}", second.faults);

        policy(&mut world, &manifest(3, "u1", good("b"), Value::Null)).unwrap();
        let third = the(&world);
        assert_eq!((third.accepted.as_ref().map(|d| d.generation), third.faults.len()), (Some(3), 0));
        assert_ne!(third.selector, first.selector);
    }

    #[test]
    fn one_that_was_never_accepted_selects_what_it_says_and_asks_for_what_was_before() {
        let mut world = World::default();
        policy(&mut world, &manifest(4, "u1", bad("a"), Value::Null)).unwrap();
        let seen = the(&world);
        assert!(seen.recall && seen.accepted.is_none());
        assert_eq!(seen.selector, serde_json::from_value(json!({"matchLabels": {"app": "a"}})).unwrap());
        for unreadable in [json!({"podSelector": 7}), json!(null), json!([])] {
            policy(&mut world, &manifest(5, "u2", unreadable, Value::Null)).unwrap();
            let selector = &the(&world).selector;
            assert!(
                !crate::index::selects(selector, &Pod { sidecar: true, opted_in: true, ..Pod::default() }),
                "no pod"
            );
        }
    }

    #[test]
    fn what_is_older_than_what_is_known_is_not_taken() {
        let at = |version: &str, mut object: DynamicObject| {
            object.metadata.resource_version = Some(version.to_owned());
            object
        };
        let mut world = World::default();
        let rows = [
            ("10", manifest(3, "u1", good("a"), Value::Null), true, 3),
            ("9", manifest(2, "u1", good("b"), Value::Null), false, 3),
            ("9", manifest(2, "u1", bad("b"), Value::Null), false, 3),
            ("11", manifest(3, "u1", good("a"), json!({"observedGeneration": 3})), true, 3),
            ("10", manifest(3, "u1", good("a"), Value::Null), false, 3),
            ("12", manifest(3, "u1", good("a"), json!({"observedGeneration": 3})), false, 3),
            ("20", manifest(1, "u2", good("b"), Value::Null), true, 1),
            ("15", manifest(4, "u1", good("a"), Value::Null), false, 1),
        ];
        for (version, object, differs, generation) in rows {
            let before = world.policies.clone();
            let told = policy(&mut world, &at(version, object)).unwrap().1;
            assert_eq!((told, the(&world).generation), (differs, generation), "{version}");
            let mut after = world.policies.clone();
            after.values_mut().zip(before.values()).for_each(|(after, before)| after.version = before.version);
            assert_eq!(after != before, differs, "{version}");
        }
        assert_eq!(the(&world).version, 20);
    }

    #[test]
    fn a_refused_version_after_one_that_was_not_seen_asks_for_what_was_accepted_in_between() {
        let rows = [
            ("the next one", good("a"), 2, (Some(1), false)),
            ("one is missing", good("a"), 3, (Some(1), true)),
            ("the next one of a refused one", bad("a"), 2, (None, true)),
        ];
        for (what, first, generation, want) in rows {
            let mut world = World::default();
            policy(&mut world, &manifest(1, "u1", first, Value::Null)).unwrap();
            policy(&mut world, &manifest(generation, "u1", bad("b"), Value::Null)).unwrap();
            let seen = the(&world);
            assert_eq!((seen.accepted.as_ref().map(|d| d.generation), seen.recall), want, "{what}");
            policy(&mut world, &manifest(generation + 1, "u1", bad("c"), Value::Null)).unwrap();
            assert_eq!(the(&world).recall, want.1, "{what}: until it is asked");
            policy(&mut world, &manifest(generation + 9, "u1", good("c"), Value::Null)).unwrap();
            assert!(!the(&world).recall, "{what}: this one is accepted");
        }
    }

    #[test]
    fn another_object_of_the_same_name_inherits_nothing() {
        let mut world = World::default();
        policy(&mut world, &manifest(1, "u1", good("a"), Value::Null)).unwrap();
        policy(&mut world, &manifest(1, "u2", bad("a"), Value::Null)).unwrap();
        assert!(the(&world).accepted.is_none() && the(&world).recall);
    }

    #[test]
    fn a_new_status_is_taken_and_nothing_is_judged_anew() {
        let mut world = World::default();
        policy(&mut world, &manifest(1, "u1", good("a"), Value::Null)).unwrap();
        let first = the(&world).accepted.clone().unwrap();
        policy(&mut world, &manifest(1, "u1", good("a"), json!({"observedGeneration": 1}))).unwrap();
        assert_eq!(the(&world).status.observed_generation, Some(1));
        assert!(Arc::ptr_eq(&first, the(&world).accepted.as_ref().unwrap()));
    }

    fn seen_pod(name: &str, labels: Value, more: Value) -> SeenPod {
        let mut text =
            json!({"metadata": {"namespace": "shop", "name": name, "uid": name, "labels": labels}, "spec": {}});
        for (member, value) in more.as_object().unwrap() {
            text[member] = value.clone();
        }
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn a_pod_is_read_as_far_as_it_matters() {
        let injected = json!({"spec": {"initContainers": [{"name": "llmroute-sidecar", "image": "x"}, {"name": "other"}],
            "containers": [{"name": "app"}], "volumes": [{"name": "data", "emptyDir": {}},
            {"name": "llmroute-credentials", "secret": {"secretName": "keys", "optional": true}}]}});
        let mut world = World::default();
        let rows = [
            ("bare", json!({}), (false, None, true)),
            ("injected", injected, (true, Some("keys"), true)),
            ("unreadable", json!({"spec": {"volumes": "no list"}}), (false, None, true)),
            ("done", json!({"status": {"phase": "Succeeded"}}), (false, None, false)),
            ("running", json!({"status": {"phase": "Running"}}), (false, None, true)),
        ];
        for (name, more, (sidecar, secret, is_there)) in rows {
            pod(&mut world, &seen_pod(name, json!({"app": "a"}), more)).unwrap();
            let seen = world.pods.get(name);
            assert_eq!(seen.is_some(), is_there, "{name}");
            if let Some(seen) = seen {
                assert_eq!((seen.sidecar, seen.secret.as_deref()), (sidecar, secret), "{name}");
                assert_eq!(seen.labels["app"], "a");
            }
        }
        pod(&mut world, &seen_pod("running", json!({}), json!({"status": {"phase": "Failed"}}))).unwrap();
        assert!(!world.pods.contains_key("running"), "an end is seen");
    }

    #[test]
    fn a_pods_addresses_are_its_own_alone() {
        let mut world = World::default();
        let status =
            json!({"phase": "Running", "podIP": "10.1.2.3", "podIPs": [{"ip": "10.1.2.3"}, {"ip": "fd00::3"}]});
        let rows = [("own", json!({}), 2), ("nodes", json!({"hostNetwork": true}), 0)];
        for (name, spec, want) in rows {
            pod(&mut world, &seen_pod(name, json!({}), json!({"spec": spec, "status": status}))).unwrap();
            assert_eq!(world.pods[name].addresses.len(), want, "{name}");
        }
    }

    #[test]
    fn a_pods_own_label_wins_over_its_namespaces() {
        let mut world = World::default();
        let ns = |value: &str| -> PartialObjectMeta<Namespace> {
            serde_json::from_value(json!({"metadata": {"name": "shop", "labels": {INJECT: value}}})).unwrap()
        };
        let rows = [("yes", json!({INJECT: "enabled"})), ("no", json!({INJECT: "disabled"})), ("silent", json!({}))];
        let check = |world: &World, want: [bool; 3]| {
            let got = ["yes", "no", "silent"].map(|name| world.pods[name].opted_in);
            assert_eq!(got, want);
        };
        for (name, labels) in rows {
            pod(&mut world, &seen_pod(name, labels, json!({}))).unwrap();
        }
        check(&world, [true, false, false]);
        namespace(&mut world, &ns("enabled")).unwrap();
        check(&world, [true, false, true]);
        namespace(&mut world, &ns("disabled")).unwrap();
        check(&world, [true, false, false]);
        namespace(&mut world, &ns("enabled")).unwrap();
        keep_namespaces(&mut world, &BTreeSet::new());
        check(&world, [true, false, false]);
    }
}
