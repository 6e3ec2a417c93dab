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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_policies_for_a_pod_the_older_one_wins_and_the_younger_says_so() {
    let stage = Stage::new().await;
    let operator = stage.operator("op-1").await;
    let pod = stage.pod("a", "shop");
    stage.apply(&stage.policy("old", "shop", "gpt-6-sol"));
    let sidecar = stage.sidecar(&pod, &operator).await;
    stage.condition("old", "Ready", "True Ready", "1 of 1").await;
    // Creation times are whole seconds; the name would decide within one.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    stage.apply(&stage.policy("a-younger-one", "shop", "gpt-6-luna"));
    let conflict = "the older policy old selects the same pods and has them; narrow one of the two podSelectors: a";
    stage.condition("a-younger-one", "Ready", "False Conflict", conflict).await;
    stage.condition("a-younger-one", "Accepted", "True Accepted", "generation 1").await;
    stage.condition("old", "Ready", "True Ready", "1 of 1").await;
    assert_eq!(model(&sidecar.app).await, "gpt-6-sol");
    stage
        .until("the events of the younger one", || {
            (stage.events("a-younger-one") == ["Normal Accepted", "Warning Conflict"]).then_some(())
        })
        .await;

    stage.kubectl(&["delete", "lrp", "old", "-n", "shop"]);
    stage.condition("a-younger-one", "Ready", "True Ready", "1 of 1 sidecars acknowledged generation 1").await;
    assert_eq!(model(&sidecar.app).await, "gpt-6-luna", "the pod has the other one now");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_are_counted_as_they_are() {
    let stage = Stage::new().await;
    let operator = stage.operator("op-1").await;
    stage.apply(&stage.policy("shop", "shop", "gpt-6-sol"));
    stage.condition("shop", "Ready", "True Ready", "no selected pod has a sidecar").await;
    let bare = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare", "namespace": "shop", "labels": {"app": "shop"}},
        "spec": {"serviceAccountName": "app", "containers": [{"name": "app", "image": "example.org/none:1"}]}});
    stage.apply(&bare.to_string());
    let shown = stage.condition("shop", "Programmed", "True NoSidecars", "1 selected pod has no sidecar").await;
    assert_eq!(shown["status"]["sidecars"], json!({"total": 0, "inSync": 0, "missing": 1}));

    // A key that the sidecar does not have.
    let pod = stage.pod("a", "shop");
    fs::remove_file(pod.dir().join("keys/openai")).expect("the key");
    let sidecar = stage.sidecar(&pod, &operator).await;
    let lacks = "the Secret llm-keys lacks, or holds no usable key for openai, as the sidecars of these pods tell: a";
    stage.condition("shop", "CredentialsReady", "False KeysMissing", lacks).await;
    stage.condition("shop", "Programmed", "True Programmed", "1 of 1 sidecars acknowledged generation 1").await;
    stage.condition("shop", "Ready", "False KeysMissing", lacks).await;

    // A pod that has ended is none; one that is gone loses its stream.
    stage.kubectl(&[
        "patch",
        "pod",
        "bare",
        "-n",
        "shop",
        "--subresource=status",
        "--patch={\"status\":{\"phase\":\"Succeeded\"}}",
    ]);
    stage
        .until("the pod that has ended is not counted", || {
            (stage.shown("shop")["status"]["sidecars"]["missing"] == 0).then_some(())
        })
        .await;
    stage.kubectl(&["delete", "pod", "a", "-n", "shop", "--force", "--grace-period=0"]);
    stage.condition("shop", "Programmed", "True NoSidecars", "").await;
    stage.until("the stream of the pod ends", || operator.output().contains("the pod is gone").then_some(())).await;
    assert_eq!(model_refused(&sidecar.app).await, 503, "it goes on with what it has, which is no key");
}

async fn model_refused(app: &harness::Caller) -> u16 {
    app.say(harness::Speech::Chat, "hi", false).send().await.status
}
