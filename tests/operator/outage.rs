//! The API server and its etcd are killed, under an operator with its sidecars.

use serde_json::Value;

use crate::stage::{Stage, model};

/// What does not change when nothing has happened.
fn status(shown: &Value) -> Value {
    shown["status"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_and_the_api_server_are_killed_and_nothing_is_lost() {
    let mut stage = Stage::new().await;
    let operator = stage.operator("op-1").await;
    let pod = stage.pod("a", "shop");
    stage.apply(&stage.policy("shop", "shop", "gpt-6-sol"));
    let sidecar = stage.sidecar(&pod, &operator).await;
    stage.condition("shop", "CredentialsReady", "True KeysPresent", "").await;
    let before = status(&stage.condition("shop", "Ready", "True Ready", "1 of 1").await);

    stage.server.kill();
    for _ in 0..20 {
        assert_eq!(model(&sidecar.app).await, "gpt-6-sol", "requests go on");
    }
    // Longer than the operator leads without a renewal.
    stage.until("nobody leads", || operator.output().contains("\"leader\":\"Unknown\"").then_some(())).await;
    assert_eq!(model(&sidecar.app).await, "gpt-6-sol");
    stage.server.start_again().await;

    assert_eq!(status(&stage.shown("shop")), before, "as it was, field by field");
    stage.apply(&stage.policy("shop", "shop", "gpt-6-luna"));
    stage.condition("shop", "Ready", "True Ready", "1 of 1 sidecars acknowledged generation 2").await;
    assert_eq!(model(&sidecar.app).await, "gpt-6-luna", "an edit afterwards arrives");
    assert_eq!(operator.admin.get("/livez").send().await.status, 200);
    let told = ["Normal Accepted", "Normal Programmed", "Normal Accepted", "Normal Programmed"];
    stage.until("the outage is no news of the policy", || (stage.events("shop") == told).then_some(())).await;
}
