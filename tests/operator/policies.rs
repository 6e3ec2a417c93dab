//! A policy is applied: from `kubectl apply` to the answer of an app, and what the cluster tells of it.

use std::fs;

use serde_json::{Value, json};

use crate::stage::{Stage, model};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_reaches_the_sidecars_and_its_status_tells_so() {
    let stage = Stage::new().await;
    let operator = stage.operator("op-1").await;
    let pod = stage.pod("a", "shop");
    stage.apply(&stage.policy("shop", "shop", "gpt-6-sol"));
    stage.condition("shop", "Accepted", "True Accepted", "generation 1 is accepted").await;
    let waits = "0 of 1 sidecars acknowledged generation 1; waiting for a (not connected)";
    stage.condition("shop", "Ready", "False Pending", waits).await;

    let sidecar = stage.sidecar(&pod, &operator).await;
    let shown = stage.condition("shop", "Ready", "True Ready", "1 of 1 sidecars acknowledged generation 1").await;
    assert_eq!(shown["status"]["sidecars"], json!({"total": 1, "inSync": 1, "missing": 0}));
    assert_eq!(model(&sidecar.app).await, "gpt-6-sol");
    stage
        .condition("shop", "CredentialsReady", "True KeysPresent", "1 sidecar has every key of the Secret llm-keys")
        .await;

    stage.apply(&stage.policy("shop", "shop", "gpt-6-luna"));
    stage.condition("shop", "Programmed", "True Programmed", "1 of 1 sidecars acknowledged generation 2").await;
    assert_eq!(model(&sidecar.app).await, "gpt-6-luna");

    let bad = stage
        .policy("shop", "shop", "gpt-6-sol")
        .replace("scenes:", "classify: {rules: [{scene: chat, when: \"request.colour\"}]}\n  scenes:");
    stage.apply(&bad);
    let shown = stage
        .condition("shop", "Accepted", "False Invalid", "generation 3 is refused, and generation 2 stays in force")
        .await;
    assert_eq!(shown["status"]["observedGeneration"], 3);
    stage.condition("shop", "Stalled", "True Invalid", "spec.classify.rules[0].when").await;
    stage.condition("shop", "Programmed", "True Programmed", "1 of 1 sidecars acknowledged generation 2").await;
    assert_eq!(model(&sidecar.app).await, "gpt-6-luna", "the old one is in force");
    let told = stage.kubectl(&["describe", "lrp", "shop", "-n", "shop"]);
    assert!(told.contains("Warning  Invalid") && told.contains("request.colour"), "{told}");

    // What stands beside it is what the sidecar has.
    let map: Value =
        serde_json::from_str(&stage.kubectl(&["get", "configmap", "llmroute-shop", "-n", "shop", "--output=json"]))
            .unwrap();
    let kept = fs::read_to_string(pod.dir().join("state/policy.json")).expect("what the sidecar keeps");
    assert_eq!(map["data"]["policy.json"], kept);
    assert_eq!(
        stage.events("shop"),
        ["Normal Accepted", "Normal Programmed", "Normal Accepted", "Normal Programmed", "Warning Invalid"]
    );
    assert!(!operator.output().contains("eyJ"), "no token in the log");
}
