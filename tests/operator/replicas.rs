//! Replicas: who leads, how the lead passes on, and what a restart remembers.

use harness::{Gate, Metrics, Operator, Traffic};
use serde_json::Value;

use crate::stage::{Stage, but_for_times, model, of_generation, streams};

impl Stage {
    pub fn leader(&self) -> String {
        let get =
            ["get", "lease", "llmroute-operator", "-n", "llmroute-system", "--output=jsonpath={.spec.holderIdentity}"];
        self.server.kubectl(&get).unwrap_or_default()
    }

    /// The port to which the control Service leads.
    pub fn endpoint(&self) -> Value {
        let get = ["get", "endpointslice", "llmroute-control", "-n", "llmroute-system", "--output=json"];
        self.server.kubectl(&get).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    /// Waits until it leads to this one.
    pub async fn leads_to(&self, port: u16) {
        let leads = || (self.endpoint()["ports"][0]["port"] == port).then_some(());
        self.until("the control Service leads there", leads).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lead_passes_on_and_the_service_follows() {
    let stage = Stage::new().await;
    let mut first = stage.operator("op-1").await;
    stage.until("op-1 leads", || (stage.leader() == "op-1").then_some(())).await;
    let second = stage.operator("op-2").await;
    stage.leads_to(first.control.port()).await;
    let slice = stage.endpoint();
    assert_eq!(slice["metadata"]["ownerReferences"][0]["name"], "llmroute-control");
    assert_eq!(slice["metadata"]["labels"]["kubernetes.io/service-name"], "llmroute-control");

    stage.apply(&stage.policy("shop", "shop", "gpt-6-sol"));
    stage.condition("shop", "Accepted", "True Accepted", "generation 1").await;
    let pod = stage.pod("a", "shop");
    let sidecar = stage.sidecar(&pod, &second).await;
    let away = format!("https://192.0.2.1:{}", first.control.port());
    stage
        .until("the one who does not lead says who does", || {
            second.output().contains("another replica leads").then_some(())
        })
        .await;
    stage.until("the sidecar goes there", || sidecar.output().contains(&away).then_some(())).await;

    let began = tokio::time::Instant::now();
    assert!(first.terminate().await.success(), "{}", first.output());
    stage.until("op-2 leads", || (stage.leader() == "op-2").then_some(())).await;
    assert!(began.elapsed().as_secs() < 8, "the lease was given back: {:?}", began.elapsed());
    stage.leads_to(second.control.port()).await;
    stage.condition("shop", "Ready", "True Ready", "1 of 1 sidecars acknowledged generation 1").await;
    assert_eq!(model(&sidecar.app).await, "gpt-6-sol");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_an_edit_is_refused_it_comes_back_with_the_last_accepted_one() {
    let stage = Stage::new().await;
    let mut operator = stage.operator("op-1").await;
    stage.apply(&stage.policy("shop", "shop", "gpt-6-sol"));
    stage
        .until("the document is kept", || {
            stage.server.kubectl(&["get", "configmap", "llmroute-shop", "-n", "shop"]).ok()
        })
        .await;
    let bad = stage
        .policy("shop", "shop", "gpt-6-luna")
        .replace("scenes:", "classify: {rules: [{scene: chat, when: \"request.colour\"}]}\n  scenes:");
    stage.apply(&bad);
    stage.condition("shop", "Accepted", "False Invalid", "generation 1 stays in force").await;
    let told = stage
        .until("its events", || {
            let told = stage.events("shop");
            told.contains(&"Warning Invalid".to_owned()).then_some(told)
        })
        .await;
    operator.kill().await;
    drop(operator);

    let operator = stage.operator("op-1").await;
    let pod = stage.pod("a", "shop");
    let sidecar = stage.sidecar(&pod, &operator).await;
    stage.condition("shop", "Programmed", "True Programmed", "1 of 1 sidecars acknowledged generation 1").await;
    assert_eq!(model(&sidecar.app).await, "gpt-6-sol", "the version before the refused one");
    stage
        .condition("shop", "Accepted", "False Invalid", "generation 2 is refused, and generation 1 stays in force")
        .await;
    stage
        .until("one more event, and none twice", || {
            (stage.events("shop") == [told.clone(), vec!["Normal Programmed".to_owned()]].concat()).then_some(())
        })
        .await;
}

/// What a replica has written.
async fn status_writes(operator: &Operator) -> Option<f64> {
    let page = operator.admin.get("/metrics").send().await.text();
    Metrics::parse(&page).get("llmroute_operator_status_writes_total", &[])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_is_killed_and_the_next_one_frozen_and_neither_is_missed_nor_comes_between() {
    let stage = Stage::new().await;
    let mut first = stage.operator("op-1").await;
    stage.leads_to(first.control.port()).await;
    let second = stage.operator("op-2").await;
    // As the Service has it.
    let gate = Gate::to(first.control).await;
    let url = format!("https://localhost:{}", gate.addr().port());
    stage.apply(&stage.unhurried("shop", "shop", "gpt-6-sol"));
    let (a, b, lost) = (stage.pod("a", "shop"), stage.pod("b", "shop"), stage.pod("lost", "elsewhere"));
    let (a, b) = (stage.sidecar_of(&a, &url).await.start().await, stage.sidecar_of(&b, &url).await.start().await);
    let before = stage.settled("shop", 1, 2).await;
    let traffic = Traffic::through([&a.app, &b.app]);
    let moved = ["Ready", "Programmed", "CredentialsReady"];

    first.kill().await;
    stage.apply(&stage.unhurried("shop", "shop", "gpt-6-luna"));
    traffic.goes_on().await;
    stage.leads_to(second.control.port()).await;
    assert_eq!(stage.leader(), "op-2");
    gate.lead_to(second.control);
    let after = stage.settled("shop", 2, 2).await;
    assert_eq!(but_for_times(&after, &moved), but_for_times(&of_generation(&before, 1, 2), &moved));
    assert_eq!((model(&a.app).await, model(&b.app).await), ("gpt-6-luna".into(), "gpt-6-luna".into()));

    // The process of the pod that was killed is back, and its neighbour stops in the midst of it all.
    let third = stage.operator("op-1").await;
    let writes = status_writes(&second).await;
    second.freeze();
    // It calls the frozen one alone, again and again, and is the first thing that is seen there afterwards.
    let lost = stage.sidecar(&lost, &second).await;
    stage.apply(&stage.unhurried("shop", "shop", "gpt-5.4"));
    traffic.goes_on().await;
    stage.leads_to(third.control.port()).await;
    gate.lead_to(third.control);
    streams(&third, 2).await;
    let after = stage.settled("shop", 3, 2).await;
    assert_eq!(but_for_times(&after, &moved), but_for_times(&of_generation(&before, 1, 3), &moved));

    // It finds an edit of which nobody told it that it is acknowledged.
    second.thaw();
    stage
        .until("it sees that another one leads, and says so", || {
            second.output().contains("another replica leads").then_some(())
        })
        .await;
    assert!(!lost.output().contains("\"message\":\"connected to"), "{}", lost.output());
    assert_eq!((status_writes(&second).await, status_writes(&second).await.is_some()), (writes, true));
    assert_eq!((stage.leader(), &stage.endpoint()["ports"][0]["port"]), ("op-1".into(), &third.control.port().into()));
    assert_eq!(stage.status("shop"), after, "as it was, field by field");
    assert_eq!((model(&a.app).await, model(&b.app).await), ("gpt-5.4".into(), "gpt-5.4".into()));
    let (plain, streamed) = traffic.end().await;
    assert!(plain > 200 && streamed > 20, "{plain} {streamed}");
}
