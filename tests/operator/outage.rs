//! The API server and its etcd are killed, under an operator with its sidecars and their load.

use harness::{Traffic, apiserver::ApiServer};

use crate::stage::{Stage, model, streams};

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
