//! Every byte is lost, and neither end is told: between the operator and its sidecars, and between it and the API server.

use harness::{Gate, Traffic};
use serde_json::json;

use crate::stage::{Stage, but_for_times, config, model, of_generation, streams, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_is_noticed_by_both_ends_and_an_edit_made_meanwhile_arrives() {
    let stage = Stage::new().await;
    let operator = stage.operator("op-1").await;
    let gate = Gate::to(operator.control).await;
    let url = format!("https://localhost:{}", gate.addr().port());
    stage.apply(&stage.unhurried("shop", "shop", "gpt-6-sol"));
    let (a, b, c) = (stage.pod("a", "shop"), stage.pod("b", "shop"), stage.pod("c", "other"));
    let (a, b) = (stage.sidecar_of(&a, &url).await.start().await, stage.sidecar_of(&b, &url).await.start().await);
    let before = stage.settled("shop", 1, 2).await;
    let traffic = Traffic::through([&a.app, &b.app]);
    let calls = gate.calls();

    gate.cut();
    stage.apply(&stage.unhurried("shop", "shop", "gpt-6-luna"));
    stage.condition("shop", "Programmed", "False Pending", "0 of 2 sidecars acknowledged generation 2").await;
    for sidecar in [&a, &b] {
        until("the sidecar notices", async || (config(sidecar).await["control"]["connected"] == false).then_some(()))
            .await;
        assert_eq!(model(&sidecar.app).await, "gpt-6-sol", "what is in force stays in force");
    }
    streams(&operator, 0).await;
    let away = "waiting for a (not connected), b (not connected)";
    stage.condition("shop", "Ready", "False Pending", away).await;
    traffic.goes_on().await;

    // Every stream is cut, and a new pod starts, with the edit.
    stage.kubectl(&["label", "pod", "c", "-n", "shop", "app=shop", "--overwrite"]);
    stage.mount(&c, "shop");
    let c = stage.sidecar_of(&c, &url).await.start().await;
    until("the new pod is ready", async || (c.admin.get("/readyz").send().await.status == 200).then_some(())).await;
    assert_eq!(model(&c.app).await, "gpt-6-luna");
    assert_eq!(config(&c).await["policy"]["source"], "ConfigMap");
    // Each try of a sidecar lasts seconds here, and there is a pause before the next one.
    let tries = gate.calls() - calls;
    assert!(tries < 40, "{tries} calls of three sidecars");

    gate.mend();
    let after = stage.settled("shop", 2, 3).await;
    streams(&operator, 3).await;
    for app in [&a.app, &b.app, &c.app] {
        assert_eq!(model(app).await, "gpt-6-luna");
    }
    let want = of_generation(&before, 1, 2).to_string();
    let want = want.replace("2 of 2 sidecars", "3 of 3 sidecars").replace("2 sidecars have", "3 sidecars have");
    let mut want: serde_json::Value = serde_json::from_str(&want).expect("JSON");
    want["sidecars"] = json!({"total": 3, "inSync": 3, "missing": 0});
    let moved = ["Ready", "Programmed", "CredentialsReady"];
    assert_eq!(but_for_times(&after, &moved), but_for_times(&want, &moved));
    let (plain, streamed) = traffic.end().await;
    assert!(plain > 200 && streamed > 20, "{plain} {streamed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_without_its_api_server_leads_no_more_and_finds_the_edits_of_that_time() {
    let stage = Stage::new().await;
    let (operator, gate) = stage.operator_behind_a_gate("op-1").await;
    stage.apply(&stage.unhurried("shop", "shop", "gpt-6-sol"));
    let a = stage.pod("a", "shop");
    let a = stage.sidecar(&a, &operator).await;
    let before = stage.settled("shop", 1, 1).await;
    let traffic = Traffic::through([&a.app]);

    gate.cut();
    stage.apply(&stage.unhurried("shop", "shop", "gpt-6-luna"));
    stage.until("it does not lead", || operator.output().contains("\"leader\":\"Unknown\"").then_some(())).await;
    streams(&operator, 0).await;
    traffic.goes_on().await;
    assert_eq!((stage.status("shop"), &*model(&a.app).await), (before.clone(), "gpt-6-sol"));

    // Its watches are as dead as they were, and nobody says so.
    gate.mend();
    streams(&operator, 1).await;
    let after = stage.settled("shop", 2, 1).await;
    let moved = ["Ready", "Programmed", "CredentialsReady"];
    assert_eq!(but_for_times(&after, &moved), but_for_times(&of_generation(&before, 1, 2), &moved));
    assert_eq!(model(&a.app).await, "gpt-6-luna");
    traffic.end().await;
}
