//! A real Prometheus takes the page, and the two classic alerts work as the README writes them.

use harness::{
    Speech, World, eventually,
    policy::{PATIENT, QUICK},
    prometheus::{self, Prometheus},
};
use sim::{Fault, Rule};

/// The rules as the README shows them.
fn rules() -> String {
    let readme = include_str!("../../README.md");
    let block = readme.split("```yaml\n").find(|block| block.starts_with("groups:")).expect("the alerts");
    block.split("```").next().unwrap_or_default().to_owned()
}

/// A provider that fell silent after one answer, a budget that is spent faster than its limit, and one that is not.
async fn busy() -> World {
    let targets = [("openai", "gpt-6-sol"), ("claude", "claude-sonnet-5-5")];
    let world = World::builder()
        .openai("openai")
        .claude("claude")
        .start(|p| {
            let budgets = "{name: tight, window: 24h, limitUsd: \"1\"}, {name: wide, window: 1m, limitUsd: \"50\"}";
            let p = p.tier(QUICK).field(PATIENT).field(&format!("budgets: [{budgets}]"));
            p.scene_with("chat", &targets, ", maxOutputTokens: 1000")
        })
        .await;
    for speech in Speech::ALL {
        assert_eq!(world.app.say(speech, "hi", false).send().await.status, 200);
    }
    world.script("openai", vec![Rule::fault(Fault::Silence)]);
    for stream in [false, true] {
        let reply = world.app.say(Speech::Chat, "hi", stream).send().await;
        assert_eq!(reply.header("x-llmroute-reason"), "openai_timeout_budget_exceeded");
    }
    assert_eq!(world.app.post("/v1/chat/completions", "{").send().await.status, 400);
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promtool_finds_only_what_the_contract_demands() {
    let world = busy().await;
    let page = world.admin.get("/metrics").send().await.text();
    let said = prometheus::check(&page);
    let counter = "fallback_trigger_count";
    assert_eq!(
        said,
        [
            format!("{counter} counter metrics should have \"_total\" suffix"),
            format!("{counter} non-histogram and non-summary metrics should not have \"_count\" suffix"),
        ]
    );
    assert_ne!(prometheus::check("a{b=\"c} 1\n"), Vec::<String>::new(), "it does look");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_scrapes_it_and_the_classic_alerts_fire() {
    let world = busy().await;
    let prometheus = Prometheus::start(world.admin.addr(), &rules()).await;
    eventually("the page is scraped", || async { prometheus.value("up").await.filter(|up| *up == 1.0) }).await;
    let page = harness::Metrics::parse(&world.admin.get("/metrics").send().await.text());
    for (query, labels) in [
        ("provider_success_rate", &[("provider", "openai")][..]),
        ("provider_timeout_ratio", &[("provider", "openai")]),
        ("token_cost_per_min", &[("budget", "tight")]),
        ("budget_limit_per_min", &[("budget", "tight")]),
        ("degrade_response_ratio", &[("scene", "chat")]),
        ("fallback_trigger_count", &[("from", "openai"), ("to", "claude")]),
    ] {
        let matchers: Vec<_> = labels.iter().map(|(n, v)| format!("{n}%3D%22{v}%22")).collect();
        let got = prometheus.value(&format!("{query}%7B{}%7D", matchers.join(","))).await;
        assert_eq!((got.is_some(), got), (true, page.get(query, labels)), "{query}");
    }
    assert_eq!(prometheus.value("sum(llmroute_requests_total)").await, Some(6.0));
    let kind = prometheus.data("/api/v1/metadata?metric=fallback_trigger_count").await;
    assert_eq!(kind["fallback_trigger_count"][0]["type"], "counter");
    let kind = prometheus.data("/api/v1/metadata?metric=llmroute_requests_total").await;
    assert_eq!(kind["llmroute_requests_total"][0]["type"], "counter");

    let pair = |alert: &str, of: &str| (alert.to_owned(), of.to_owned());
    eventually("both alerts fire", || async {
        let budgets = prometheus.firing("budget").await;
        let providers = prometheus.firing("provider").await;
        let right =
            budgets == [pair("LLMBudgetOverspent", "tight")] && providers == [pair("LLMProviderTimeouts", "openai")];
        right.then_some(())
    })
    .await;
}
