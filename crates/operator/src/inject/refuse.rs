//! What cannot be done, each as a clause that says what to do instead.

use std::collections::HashSet;

use serde_json::Value;

use super::{ADMIN, Chosen, DATA, SIDECAR, list, others, sidecar, text};

/// Containers of a pod; no kubelet runs so many. Each gets variables, and a stranger may ask about a hundred thousand.
const MOST: usize = 256;

/// All that speaks against a sidecar in this pod.
pub(super) fn reasons(pod: &Value, chosen: &Chosen) -> Vec<String> {
    let spec = &pod["spec"];
    let count = others(pod).count();
    if count > MOST {
        return vec![format!("it has {count} containers; have at most {MOST}")];
    }
    let is_set = |name: &str| spec[name] == true;
    let mut reasons = Vec::new();
    if is_set("hostNetwork") {
        let why = "it uses hostNetwork, where every process of the node could call the sidecar and a second such pod could not start";
        reasons.push(format!("{why}; take hostNetwork away"));
    }
    if text(spec, &["os", "name"]) == Some("windows") {
        reasons.push("it is for Windows nodes, and the sidecar runs on Linux".to_owned());
    }
    if list(spec, "containers").any(|c| c["name"] == SIDECAR) {
        reasons.push(format!("a container of its own is named {SIDECAR}; rename it"));
    }
    let secret = chosen.secret.as_deref().map(|secret| (secret, volumes_of(spec, secret)));
    let shared = ["shareProcessNamespace", "hostPID"].into_iter().find(|name| is_set(name));
    for container in others(pod) {
        let name = container["name"].as_str().unwrap_or_default();
        reasons.extend(port(container).map(|port| {
            format!("the container {name} has the port {port}, which is the sidecar's; give it another one")
        }));
        if let Some((shared, who)) = shared.zip(reads_processes(spec, container)) {
            reasons.push(format!(
                "with {shared} the container {name} could read the sidecar's keys, since it {who}; take one of both away"
            ));
        }
        if let Some((secret, _)) = secret.as_ref().filter(|(secret, volumes)| uses_secret(container, secret, volumes)) {
            let policy = &chosen.policy.name;
            reasons.push(format!(
                "the container {name} uses the Secret {secret}, whose keys the policy {policy} keeps for the sidecar alone; give the app a Secret of its own"
            ));
        }
        if let Some(volume) = mounted(container).find(|volume| sidecar::VOLUMES.contains(volume)) {
            reasons.push(format!("the container {name} mounts {volume}, which is the sidecar's alone; take that away"));
        }
    }
    reasons
}

/// A declared port that is the sidecar's.
fn port(container: &Value) -> Option<u64> {
    let is_tcp = |port: &&Value| port["protocol"].is_null() || port["protocol"] == "TCP";
    let ports = list(container, "ports").filter(is_tcp).filter_map(|port| port["containerPort"].as_u64());
    ports.into_iter().find(|port| [DATA.0, ADMIN.0].iter().any(|ours| u64::from(*ours) == *port))
}

/// What lets a container read another one's process, where it sees it.
fn reads_processes(spec: &Value, container: &Value) -> Option<String> {
    let context = &container["securityContext"];
    if context["privileged"] == true {
        return Some("is privileged".to_owned());
    }
    let traces = |c: &Value| matches!(c.as_str(), Some("SYS_PTRACE" | "CAP_SYS_PTRACE" | "ALL"));
    if list(&context["capabilities"], "add").any(traces) {
        return Some("has SYS_PTRACE".to_owned());
    }
    // The container's own word is the last one.
    let user = [&context["runAsUser"], &spec["securityContext"]["runAsUser"]].into_iter().find_map(Value::as_u64);
    (user == Some(sidecar::USER.into())).then(|| format!("has the sidecar's UID {}", sidecar::USER))
}

/// Names of the volumes that hold anything of a Secret.
fn volumes_of<'a>(spec: &'a Value, secret: &str) -> HashSet<&'a str> {
    let in_source = |s: &Value| text(s, &["secret", "name"]) == Some(secret);
    let holds = |volume: &&Value| {
        text(volume, &["secret", "secretName"]) == Some(secret) || list(&volume["projected"], "sources").any(in_source)
    };
    list(spec, "volumes").filter(holds).filter_map(|volume| volume["name"].as_str()).collect()
}

/// Whether a container gets anything of a Secret, as variables or as files of these volumes.
fn uses_secret(container: &Value, secret: &str, volumes: &HashSet<&str>) -> bool {
    let in_env = |e: &Value| text(e, &["valueFrom", "secretKeyRef", "name"]) == Some(secret);
    let in_env_from = |e: &Value| text(e, &["secretRef", "name"]) == Some(secret);
    list(container, "env").any(in_env)
        || list(container, "envFrom").any(in_env_from)
        || mounted(container).any(|volume| volumes.contains(volume))
}

/// Names of the volumes that a container mounts.
fn mounted(container: &Value) -> impl Iterator<Item = &str> {
    list(container, "volumeMounts").filter_map(|mount| mount["name"].as_str())
}
