//! The container and its volumes.

use serde_json::{Value, json};

use super::{ADMIN, Chosen, DATA, SIDECAR, Settings};
use crate::{
    observe::CREDENTIALS,
    reconcile::{DOCUMENT, config_map_name},
    review::AUDIENCE,
};

/// UID and GID, which no other container may have where processes are shared.
pub(super) const USER: u32 = 2102;
/// Readable for all, in a mount namespace that is the sidecar's alone: without `fsGroup` a narrower mode is root's.
const READ_ALL: u32 = 0o444;
/// So long a first start may wait for its policy, seconds: the container would be restarted after it, with ever longer pauses.
const PATIENCE: u32 = 86_400;

const IDENTITY: &str = "llmroute-identity";
const FALLBACK: &str = "llmroute-policy";
const STATE: &str = "llmroute-state";
/// Volumes that are the sidecar's alone.
pub(super) const VOLUMES: [&str; 4] = [IDENTITY, CREDENTIALS, FALLBACK, STATE];

/// What the state directory may take before the kubelet evicts the pod. Requests by id are kept up to a quarter of it: redb gives a
/// value the next power of two of its pages, and a write has both versions until it is done.
pub const STATE_BYTES: u64 = 1 << 30;

/// Here, so that no API token is mounted there into the sidecar.
const IDENTITY_DIR: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const CREDENTIALS_DIR: &str = "/etc/llmroute/credentials";
const FALLBACK_DIR: &str = "/etc/llmroute/policy";
const STATE_DIR: &str = "/var/lib/llmroute";

/// The container, as Pod Security `restricted` has it.
pub(super) fn container(settings: &Settings, chosen: &Chosen, ca: &str, resources: Value) -> Value {
    let Settings { image, pull_policy, control, env: further, namespace: _, resources: _ } = settings;
    let mount = |name: &str, path: &str| json!({"name": name, "mountPath": path, "readOnly": true});
    let fallback = format!("{FALLBACK_DIR}/{DOCUMENT}");
    let mut args = vec!["--control", control, "--control-fallback", &fallback, "--state", STATE_DIR];
    let mut mounts = vec![mount(IDENTITY, IDENTITY_DIR), mount(FALLBACK, FALLBACK_DIR)];
    if chosen.secret.is_some() {
        args.extend(["--credentials", CREDENTIALS_DIR]);
        mounts.push(mount(CREDENTIALS, CREDENTIALS_DIR));
    }
    mounts.push(json!({"name": STATE, "mountPath": STATE_DIR}));
    let mut env = further.clone();
    if !ca.is_empty() {
        env.push(json!({"name": "LLMROUTE_CA", "value": ca}));
    }
    let mut container = json!({
        "name": SIDECAR,
        "image": image,
        "args": args,
        // What makes it a sidecar: it runs on beside the app, ends after it, and keeps no Job from completing.
        "restartPolicy": "Always",
        "ports": [{"name": "llmroute-admin", "containerPort": ADMIN.0}],
        "startupProbe": {"httpGet": {"path": "/readyz", "port": ADMIN.0}, "periodSeconds": 1, "failureThreshold": PATIENCE},
        "resources": resources,
        "securityContext": {
            "runAsUser": USER, "runAsGroup": USER, "runAsNonRoot": true, "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
        },
        "env": env,
        "volumeMounts": mounts,
    });
    if let Some(policy) = pull_policy {
        container["imagePullPolicy"] = policy.as_str().into();
    }
    container
}

/// Its volumes. What may be absent never keeps a pod from starting.
pub(super) fn volumes(chosen: &Chosen) -> Vec<Value> {
    let token = json!({"audience": AUDIENCE, "expirationSeconds": 3600, "path": "token"});
    let mut volumes = vec![
        json!({"name": IDENTITY, "projected": {"defaultMode": READ_ALL, "sources": [{"serviceAccountToken": token}]}}),
        json!({"name": FALLBACK, "configMap": {"name": config_map_name(&chosen.policy.name), "defaultMode": READ_ALL, "optional": true}}),
    ];
    if let Some(secret) = &chosen.secret {
        let secret = json!({"secretName": **secret, "defaultMode": READ_ALL, "optional": true});
        volumes.push(json!({"name": CREDENTIALS, "secret": secret}));
    }
    volumes.push(json!({"name": STATE, "emptyDir": {"sizeLimit": format!("{}Mi", STATE_BYTES >> 20)}}));
    volumes
}

/// What apps' SDKs read, with the value that leads them here. The keys are placeholders: SDKs refuse to start without one.
pub(super) fn variables() -> [(&'static str, String); 4] {
    let here = format!("http://127.0.0.1:{DATA}");
    [
        ("OPENAI_BASE_URL", format!("{here}/v1")),
        ("OPENAI_API_KEY", "llmroute".to_owned()),
        ("ANTHROPIC_BASE_URL", here),
        ("ANTHROPIC_API_KEY", "llmroute".to_owned()),
    ]
}
