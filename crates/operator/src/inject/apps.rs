//! The containers of the app: where they find the sidecar.

use serde_json::{Value, json};

use super::{SIDECAR, list, sidecar};

/// Sets the variables of SDKs in every container but the sidecar, where its `env` does not.
pub(super) fn point(spec: &mut Value) {
    for member in ["initContainers", "containers"] {
        let Some(Value::Array(containers)) = spec.get_mut(member) else { continue };
        containers.iter_mut().filter(|c| c["name"] != SIDECAR).for_each(container);
    }
}

fn container(container: &mut Value) {
    let is_set = |name: &str| list(container, "env").any(|e| e["name"] == name);
    let missing: Vec<Value> = sidecar::variables()
        .into_iter()
        .filter(|(name, _)| !is_set(name))
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    let Value::Object(members) = container else { return };
    if missing.is_empty() {
        return;
    }
    match members.get_mut("env") {
        Some(Value::Array(env)) => env.extend(missing),
        _ => {
            members.insert("env".to_owned(), Value::Array(missing));
        }
    }
}
