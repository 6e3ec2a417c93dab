//! Puts the sidecar into a pod, or puts right the one that is there: a pod is judged twice, and copies of pods come back.
//!
//! What others added to the container (defaults of the API server, of a LimitRange) stays.

use serde_json::{Map, Value};

use super::{SIDECAR, sidecar};

/// Members of the container that it must not have.
const NEVER: [&str; 5] = ["command", "envFrom", "lifecycle", "livenessProbe", "readinessProbe"];

/// The container first among those that run before the app, and its volumes.
pub(super) fn put(spec: &mut Value, container: Value, volumes: Vec<Value>) {
    let Value::Object(spec) = spec else { return };
    let mut init = take(spec, "initContainers");
    let there = init.iter().position(|c| c["name"] == SIDECAR).map(|at| init.remove(at));
    init.insert(0, there.map_or_else(|| container.clone(), |there| healed(there, &container)));
    spec.insert("initContainers".to_owned(), init.into());
    let mut present = take(spec, "volumes");
    keep_needed(&mut present, &volumes);
    put_each(&mut present, volumes, "name");
    spec.insert("volumes".to_owned(), present.into());
}

/// The container that is there, with all that ours says.
fn healed(mut there: Value, ours: &Value) -> Value {
    let (Value::Object(members), Value::Object(ours)) = (&mut there, ours) else { return ours.clone() };
    NEVER.iter().for_each(|member| drop(members.remove(*member)));
    for (name, value) in ours {
        let is_empty = |v: &Value| v.as_object().is_none_or(Map::is_empty);
        match (name.as_str(), value) {
            ("env", Value::Array(entries)) => {
                let mut present = take(members, name);
                put_each(&mut present, entries.clone(), "name");
                members.insert(name.clone(), present.into());
            }
            ("volumeMounts", Value::Array(mounts)) => {
                let mut present = take(members, name);
                keep_needed(&mut present, mounts);
                put_each(&mut present, mounts.clone(), "mountPath");
                members.insert(name.clone(), present.into());
            }
            // A LimitRange may have added to it, and a quota may ask for that.
            ("resources", _) if members.get(name).is_some_and(|there| !is_empty(there)) => {}
            _ if members.get(name).is_some_and(|there| covers(there, value)) => {}
            _ => drop(members.insert(name.clone(), value.clone())),
        }
    }
    there
}

/// Without our volumes, or mounts of them, that are not among `ours` any more.
fn keep_needed(present: &mut Vec<Value>, ours: &[Value]) {
    let is_ours = |one: &Value| sidecar::VOLUMES.iter().any(|volume| one["name"] == *volume);
    present.retain(|one| !is_ours(one) || ours.iter().any(|needed| needed["name"] == one["name"]));
}

/// Each of `ours` in the place of the one with the same key, or at the end.
fn put_each(present: &mut Vec<Value>, ours: Vec<Value>, key: &str) {
    for one in ours {
        match present.iter_mut().find(|there| there[key] == one[key]) {
            Some(there) if covers(there, &one) => {}
            Some(there) => *there = one,
            None => present.push(one),
        }
    }
}

/// Whether all that `ours` says is said there; objects may say more.
fn covers(there: &Value, ours: &Value) -> bool {
    match (there, ours) {
        (Value::Object(there), Value::Object(ours)) => {
            ours.iter().all(|(name, ours)| there.get(name).is_some_and(|there| covers(there, ours)))
        }
        (Value::Array(there), Value::Array(ours)) => {
            there.len() == ours.len() && there.iter().zip(ours).all(|(there, ours)| covers(there, ours))
        }
        _ => there == ours,
    }
}

/// Takes a list out of an object; none is an empty one.
fn take(members: &mut Map<String, Value>, name: &str) -> Vec<Value> {
    match members.get_mut(name).map(Value::take) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}
