//! What becomes of a pod that is to be created: a pure function of the pod, the policy that selects it and the settings.
//!
//! The API server asks of pods that are opted in, by their own label or by their namespace's. It asks twice, since others may
//! change a pod after us: what is there already is left, or put right.

mod apps;
mod heal;
mod refuse;
mod settings;
mod sidecar;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::{Value, json};

pub use settings::{Flags, Port, Settings};
pub use sidecar::STATE_BYTES;

use crate::{
    index::select,
    observe::{INJECT, SIDECAR},
    world::{Pod, Policy, PolicyKey, World},
};

/// The label's value for yes.
const ENABLED: &str = "enabled";
/// Its value for no, which on a pod wins.
const DISABLED: &str = "disabled";
/// Where apps call, at 127.0.0.1.
pub const DATA: Port = Port(15080);
/// Health and metrics.
pub const ADMIN: Port = Port(15090);
/// Of a pod that a kubelet made by itself and only shows; nobody can change it.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// The policy that selects a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Its name.
    pub policy: PolicyKey,
    /// A version of it was accepted.
    pub accepted: bool,
    /// The Secret with its providers' keys.
    pub secret: Option<Arc<str>>,
}

/// What becomes of a pod.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It is as it should be.
    Unchanged,
    /// These operations (RFC 6902) make it so.
    Patched(Vec<Value>),
    /// It cannot be; a sentence says why and what to do.
    Refused(String),
}

/// It is not known which policy selects a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotYet;

/// The policy that selects a pod which is to be created, if one does.
///
/// # Errors
/// It may be one of which too little is known.
pub fn choose(world: &World, pod: &Pod) -> Result<Option<Chosen>, NotYet> {
    let selected = select(world, pod);
    if selected.awaits {
        return Err(NotYet);
    }
    let found = selected.by.and_then(|key| Some((world.policies.get(&key)?, key)));
    let chosen = |(policy, key): (&Policy, PolicyKey)| Chosen {
        policy: key,
        accepted: policy.accepted.is_some(),
        secret: policy.secret.clone(),
    };
    Ok(found.map(chosen))
}

/// Judges a pod that is to be created in `namespace`; `ca` is PEM of the operator's CA, empty where sidecars need none.
#[must_use]
pub fn inject(settings: &Settings, namespace: &str, pod: &Value, chosen: Option<&Chosen>, ca: &str) -> Verdict {
    let label = text(pod, &["metadata", "labels", INJECT]);
    let is_mirror = text(pod, &["metadata", "annotations", MIRROR]).is_some();
    if settings.spares(namespace) || is_mirror || label == Some(DISABLED) {
        return Verdict::Unchanged;
    }
    let Some(chosen) = chosen else { return unselected(namespace, label == Some(ENABLED)) };
    let PolicyKey { namespace, name } = &chosen.policy;
    if !chosen.accepted {
        return Verdict::Refused(format!(
            "llmroute: the policy {namespace}/{name} selects this pod and no version of it was accepted yet; `kubectl describe lrp {name} -n {namespace}` says why"
        ));
    }
    let mut reasons = refuse::reasons(pod, chosen);
    let resources = settings.resources_of(pod).unwrap_or_else(|fault| {
        reasons.push(fault);
        Value::Null
    });
    if !reasons.is_empty() {
        let reasons = reasons.join("; ");
        return Verdict::Refused(format!("llmroute: the sidecar cannot be added to this pod: {reasons}"));
    }
    let mut spec = pod.get("spec").cloned().unwrap_or_else(|| json!({}));
    let (container, volumes) = (sidecar::container(settings, chosen, ca, resources), sidecar::volumes(chosen));
    heal::put(&mut spec, container, volumes);
    apps::point(&mut spec);
    patch(pod.get("spec").unwrap_or(&Value::Null), spec)
}

fn unselected(namespace: &str, asks: bool) -> Verdict {
    if !asks {
        return Verdict::Unchanged;
    }
    Verdict::Refused(format!(
        "llmroute: this pod asks for a sidecar by its label {INJECT}, and no LLMRoutePolicy in the namespace {namespace} selects it; create one whose spec.podSelector matches the pod's labels, or take the label away"
    ))
}

/// Whole lists: `add` puts them in the place of those that are there.
fn patch(before: &Value, mut after: Value) -> Verdict {
    let mut add = |member: &str| {
        let value = after.get_mut(member).map(Value::take).filter(|value| before.get(member) != Some(value))?;
        let mut operation = json!({"op": "add", "path": format!("/spec/{member}")});
        operation["value"] = value;
        Some(operation)
    };
    let operations: Vec<Value> = ["initContainers", "containers", "volumes"].into_iter().filter_map(&mut add).collect();
    if operations.is_empty() { Verdict::Unchanged } else { Verdict::Patched(operations) }
}

/// The text at a path of names.
fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    path.iter().try_fold(value, |value, name| value.get(name))?.as_str()
}

/// The members of a list, none where there is no list.
fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// All containers of a pod but the sidecar, those that run before the app included.
fn others(pod: &Value) -> impl Iterator<Item = &Value> {
    let spec = &pod["spec"];
    let init = list(spec, "initContainers").filter(|c| c["name"] != SIDECAR);
    init.chain(list(spec, "containers"))
}
