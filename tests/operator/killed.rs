//! The only operator and a sidecar are killed, under load.

use harness::Traffic;
use serde_json::json;

use crate::stage::{Stage, but_for_times, config, model, of_generation, streams, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_operator_requests_go_on_pods_start_and_both_come_back_to_what_was() {
    let stage = Stage::new().await;
    let mut operator = stage.operator("op-1").await;
    let control = operator.control;
    stage.apply(&stage.unhurried("shop", "shop", "gpt-6-sol"));
    let (a, b) = (stage.pod("a", "shop"), stage.pod("b", "shop"));
    let steady = stage.sidecar(&a, &operator).await;
    let b = stage.sidecar_of(&b, &operator.url()).await;
    let mut killed = b.start().await;
    let before = stage.settled("shop", 1, 2).await;
    let traffic = Traffic::through([&steady.app]);

    operator.kill().await;
    killed.kill().await;
    let killed = b.start().await;
    // From the disk, before anybody answers.
    assert_eq!(model(&killed.app).await, "gpt-6-sol");
    let page = config(&killed).await;
    assert_eq!((&page["policy"]["source"], &page["control"]["connected"]), (&json!("Disk"), &json!(false)));
    traffic.goes_on().await;
    let mut operator = stage.operator_at("op-1", control).await;
    streams(&operator, 2).await;
    assert_eq!(stage.status("shop"), before, "as it was, field by field");

    // Again, and meanwhile there is an edit, and a pod that the operator has never seen.
    operator.kill().await;
    stage.apply(&stage.unhurried("shop", "shop", "gpt-6-luna"));
    let c = stage.pod("c", "shop");
    stage.mount(&c, "shop");
    let new = stage.sidecar_of(&c, &operator.url()).await.start().await;
    until("the new pod is ready", async || (new.admin.get("/readyz").send().await.status == 200).then_some(())).await;
    assert_eq!(model(&new.app).await, "gpt-6-sol");
    assert_eq!(config(&new).await["policy"]["source"], "ConfigMap");
    traffic.goes_on().await;
    assert_eq!(stage.status("shop"), before, "nobody is there to tell");

    let operator = stage.operator_at("op-1", control).await;
    let after = stage.settled("shop", 2, 3).await;
    streams(&operator, 3).await;
    for app in [&steady.app, &killed.app, &new.app] {
        assert_eq!(model(app).await, "gpt-6-luna");
    }
    let mut want = of_generation(&before, 1, 2);
    want["sidecars"] = json!({"total": 3, "inSync": 3, "missing": 0});
    let want =
        want.to_string().replace("2 of 2 sidecars", "3 of 3 sidecars").replace("2 sidecars have", "3 sidecars have");
    let want = serde_json::from_str(&want).expect("JSON");
    // An edit is not in force at once, and nobody tells of keys for it before it is.
    let moved = ["Ready", "Programmed", "CredentialsReady"];
    assert_eq!(but_for_times(&after, &moved), but_for_times(&want, &moved));
    traffic.end().await;
}
