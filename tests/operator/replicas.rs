//! Replicas: who leads, how the lead passes on, and what a restart remembers.

use serde_json::Value;

use crate::stage::{Stage, model};

impl Stage {
    fn leader(&self) -> String {
        let get =
            ["get", "lease", "llmroute-operator", "-n", "llmroute-system", "--output=jsonpath={.spec.holderIdentity}"];
        self.server.kubectl(&get).unwrap_or_default()
    }

    /// The port to which the control Service leads.
    fn endpoint(&self) -> Value {
        let get = ["get", "endpointslice", "llmroute-control", "-n", "llmroute-system", "--output=json"];
        self.server.kubectl(&get).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    async fn leads_to(&self, port: u16) {
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
