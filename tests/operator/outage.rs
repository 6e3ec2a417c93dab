//! The API server and its etcd are killed, under an operator with its sidecars and their load.

use harness::{Gate, Metrics, Operator, Program, Speech, Traffic, apiserver::ApiServer};
use serde_json::Value;

use crate::stage::{Stage, model, streams, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_and_the_api_server_are_killed_and_nothing_is_lost() {
    let mut stage = Stage::new().await;
    let operator = stage.operator("op-1").await;
    stage.apply(&stage.unhurried("shop", "shop", "gpt-6-sol"));
    let (a, b) = (stage.pod("a", "shop"), stage.pod("b", "shop"));
    let (a, b) = (stage.sidecar(&a, &operator).await, stage.sidecar(&b, &operator).await);
    let before = stage.settled("shop", 1, 2).await;
    let traffic = Traffic::through([&a.app, &b.app]);

    type Kill = fn(&mut ApiServer);
    let rows: [(&str, Kill, bool); 3] = [
        ("the API server", ApiServer::kill_server, false),
        ("etcd", ApiServer::kill_etcd, true),
        ("both", ApiServer::kill, true),
    ];
    let mut leaderless = 0;
    for (what, kill, lasts) in rows {
        kill(&mut stage.server);
        traffic.goes_on().await;
        if lasts {
            // Longer than the operator leads without a renewal: every stream ends.
            leaderless += 1;
            let ends = || (operator.output().matches("\"leader\":\"Unknown\"").count() == leaderless).then_some(());
            stage.until("nobody leads", ends).await;
            streams(&operator, 0).await;
            traffic.goes_on().await;
        }
        stage.server.start_again().await;
        streams(&operator, 2).await;
        assert_eq!(stage.status("shop"), before, "after {what}: as it was, field by field");
        assert_eq!(operator.admin.get("/livez").send().await.status, 200);
    }

    stage.apply(&stage.unhurried("shop", "shop", "gpt-6-luna"));
    stage.settled("shop", 2, 2).await;
    assert_eq!((model(&a.app).await, model(&b.app).await), ("gpt-6-luna".into(), "gpt-6-luna".into()));
    let (plain, streamed) = traffic.end().await;
    assert!(plain > 200 && streamed > 20, "{plain} {streamed}");
    let told = ["Normal Accepted", "Normal Programmed", "Normal Accepted", "Normal Programmed"];
    stage.until("the outages are no news of the policy", || (stage.events("shop") == told).then_some(())).await;
}

/// How many of them lead.
async fn leaders(all: [&Operator; 2]) -> f64 {
    let mut sum = 0.0;
    for operator in all {
        let page = Metrics::parse(&operator.admin.get("/metrics").send().await.text());
        sum += page.get("llmroute_operator_leader", &[]).expect("the metric");
    }
    sum
}

/// Whether a sidecar, which may have no policy yet, answers by this model.
async fn is_in_force(sidecar: &Program, model: &str) -> Option<()> {
    let reply = sidecar.app.say(Speech::Chat, "hi", false).send().await;
    (reply.status == 200 && reply.header("x-llmroute-model") == model).then_some(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_that_was_due_in_an_outage_reaches_the_sidecars_by_the_one_replica_that_leads() {
    let mut stage = Stage::new().await;
    let first = stage.operator("op-1").await;
    stage.until("op-1 leads", || (stage.leader() == "op-1").then_some(())).await;
    let second = stage.operator("op-2").await;
    stage.apply(&stage.unhurried("shop", "shop", "gpt-6-sol"));
    // Each finds one replica alone: who leads serves its own.
    let (a, b) = (stage.pod("a", "shop"), stage.pod("b", "shop"));
    let a = stage.sidecar(&a, &first).await;
    stage.condition("shop", "Programmed", "False Pending", "1 of 2 sidecars acknowledged generation 1").await;
    let traffic = Traffic::through([&a.app]);

    stage.apply(&stage.unhurried("shop", "shop", "gpt-6-luna"));
    stage.server.kill();
    let nobody = || (first.output().contains("\"leader\":\"Unknown\"")).then_some(());
    stage.until("nobody leads", nobody).await;
    streams(&first, 0).await;
    traffic.goes_on().await;
    stage.server.start_again().await;
    stage.until("one leads", || (!stage.leader().is_empty()).then_some(())).await;
    let b = stage.sidecar(&b, &second).await;
    let (mut leading, its, following, others) =
        if stage.leader() == "op-1" { (first, &a, second, &b) } else { (second, &b, first, &a) };
    until("the edit is in force", async || is_in_force(its, "gpt-6-luna").await).await;
    streams(&leading, 1).await;
    assert_eq!(leaders([&leading, &following]).await, 1.0);
    assert!(leading.terminate().await.success());
    streams(&following, 1).await;
    until("and by the next one", async || is_in_force(others, "gpt-6-luna").await).await;
    // The other sidecar cannot get here, and this replica has not heard it.
    let count = "1 of 2 sidecars acknowledged generation 2; waiting for";
    stage.condition("shop", "Programmed", "False Pending", count).await;
    traffic.end().await;
}

/// Generations that were put in force, as its log has them.
fn in_force(sidecar: &Program) -> Vec<i64> {
    let lines = sidecar.output();
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"] == "policy in force").filter_map(|line| line["generation"].as_i64()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_was_away_longer_than_its_sidecars_leads_and_sends_nothing_that_is_older() {
    let mut stage = Stage::new().await;
    let (first, firsts) = stage.operator_behind_a_gate("op-1").await;
    stage.until("op-1 leads", || (stage.leader() == "op-1").then_some(())).await;
    let (second, seconds) = stage.operator_behind_a_gate("op-2").await;
    let service = Gate::to(first.control).await;
    let url = format!("https://localhost:{}", service.addr().port());
    stage.apply(&stage.unhurried("shop", "shop", "gpt-6-sol"));
    let (a, b) = (stage.pod("a", "shop"), stage.pod("b", "shop"));
    let (a, b) = (stage.sidecar_of(&a, &url).await.start().await, stage.sidecar_of(&b, &url).await.start().await);
    stage.settled("shop", 1, 2).await;
    let traffic = Traffic::through([&a.app, &b.app]);

    // What the second one's watch shows is old from here on, and nobody says so.
    seconds.cut();
    stage.apply(&stage.unhurried("shop", "shop", "gpt-6-luna"));
    for sidecar in [&a, &b] {
        until("the first edit", async || is_in_force(sidecar, "gpt-6-luna").await).await;
    }
    firsts.cut();
    stage.server.kill();
    stage.until("nobody leads", || first.output().contains("\"leader\":\"Unknown\"").then_some(())).await;
    streams(&first, 0).await;
    traffic.goes_on().await;
    assert_eq!((model(&a.app).await, model(&b.app).await), ("gpt-6-luna".into(), "gpt-6-luna".into()));

    stage.server.start_again().await;
    stage.apply(&stage.unhurried("shop", "shop", "gpt-5.4"));
    seconds.mend();
    let port = second.control.port();
    stage.until("op-2 leads", || (stage.endpoint()["ports"][0]["port"] == port).then_some(())).await;
    service.lead_to(second.control);
    for sidecar in [&a, &b] {
        until("the edit that was due", async || {
            assert!(leaders([&first, &second]).await <= 1.0);
            is_in_force(sidecar, "gpt-5.4").await
        })
        .await;
    }
    assert_eq!((in_force(&a), in_force(&b)), (vec![1, 2, 3], vec![1, 2, 3]), "nothing older came");
    firsts.mend();
    stage.until("the other one follows", || first.output().contains("\"leader\":\"Other(").then_some(())).await;
    stage.settled("shop", 3, 2).await;
    assert_eq!((leaders([&first, &second]).await, stage.leader()), (1.0, "op-2".into()));
    assert_eq!((in_force(&a), in_force(&b)), (vec![1, 2, 3], vec![1, 2, 3]));
    let (plain, streamed) = traffic.end().await;
    assert!(plain > 200 && streamed > 20, "{plain} {streamed}");
}
