//! What one sidecar learned of a provider the others know, without a request of their own.

use harness::{Caller, Program, Speech, policy::PATIENT};
use serde_json::Value;
use sim::Dark;
use tokio::time::{Duration, Instant};

use crate::stage::{Stage, streams, until};

/// The circuit of the provider as the sidecar has it.
async fn circuit(sidecar: &Program) -> (String, u64) {
    let page: Value = sidecar.admin.get("/health/providers").send().await.json();
    let provider = &page["providers"][0];
    (provider["circuit"].as_str().unwrap_or_default().to_owned(), provider["attempts"].as_u64().unwrap_or_default())
}

async fn says(sidecar: &Program, want: &str) -> Instant {
    until(&format!("the circuit is {want}"), async || (circuit(sidecar).await.0 == want).then(Instant::now)).await
}

async fn fails(app: &Caller) {
    let reply = app.say(Speech::Chat, "hi", false).send().await;
    assert!(reply.status >= 500, "{} {}", reply.status, reply.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_pod_and_a_new_one_know_of_an_outage_within_a_second_and_of_its_end() {
    let stage = Stage::new().await;
    let operator = stage.operator("op-1").await;
    let policy = stage.policy("shop", "shop", "gpt-6-sol");
    assert!(policy.contains("breaker:"), "{PATIENT}: {policy}");
    let lines = policy.lines().map(|line| match line.trim_start().starts_with("breaker:") {
        true => "  breaker: {consecutiveFailures: 3, minRequests: 100, openFor: 15s, closeAfter: 1}",
        false => line,
    });
    stage.apply(&lines.collect::<Vec<_>>().join("\n"));
    let pods = ["busy", "quiet"].map(|name| stage.pod(name, "shop"));
    let (busy, quiet) = (stage.sidecar(&pods[0], &operator).await, stage.sidecar(&pods[1], &operator).await);
    streams(&operator, 2).await;
    stage.settled("shop", 1, 2).await;
    assert_eq!(circuit(&quiet).await, ("closed".to_owned(), 0));

    stage.provider.dark(None, Dark::Refuses);
    while circuit(&busy).await.0 != "open" {
        fails(&busy.app).await;
    }
    let opened = Instant::now();
    let known = says(&quiet, "open").await;
    assert!(known - opened < Duration::from_secs(1), "after {:?}", known - opened);
    assert_eq!(circuit(&quiet).await.1, 0, "it made no attempt");
    let new = stage.pod("new", "shop");
    let new = stage.sidecar(&new, &operator).await;
    says(&new, "open").await;
    assert_eq!(circuit(&new).await.1, 0);
    stage.until("the status tells", || (stage.status("shop")["providers"][0]["name"] == "openai").then_some(())).await;

    stage.provider.light(None);
    until("it answers the busy one", async || {
        (busy.app.say(Speech::Chat, "hi", false).send().await.status == 200).then_some(())
    })
    .await;
    for sidecar in [&quiet, &new] {
        until("a probe may go", async || (circuit(sidecar).await.0 != "open").then_some(())).await;
        assert_eq!(sidecar.app.say(Speech::Chat, "hi", false).send().await.status, 200);
        says(sidecar, "closed").await;
    }
    stage.until("the status tells no more of it", || stage.status("shop")["providers"].is_null().then_some(())).await;
}
