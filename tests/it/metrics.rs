//! The metrics page and the health page agree with what was sent, exactly.

use std::{collections::BTreeMap, time::Duration};

use harness::{
    Metrics, Reply, Speech, World, eventually,
    policy::{PATIENT, QUICK},
};
use policy::money::Usd;
use serde_json::{Value, json};
use sim::{Act, Fault, Rule};
use tokio::time::timeout;

const BUDGETS: &str = "budgets: [{name: minute, window: 1m, limitUsd: \"2.00\"}, \
    {name: tenants, window: 24h, limitUsd: \"20\", scope: Tenant}]";

/// Under a budget: embeddings have a price, and answers an end.
async fn start() -> World {
    let openai = World::builder().openai("openai").fields(", paths: [{path: /v1/embeddings, costUsd: \"0.001\"}]");
    let targets = [("openai", "gpt-6-sol"), ("claude", "claude-sonnet-5-5")];
    let scene = |p: harness::Policy| p.scene_with("chat", &targets, ", maxOutputTokens: 1000");
    openai.claude("claude").start(|p| scene(p.tier(QUICK).field(PATIENT).field(BUDGETS))).await
}

async fn scrape(world: &World) -> Metrics {
    let reply = world.admin.get("/metrics").send().await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "text/plain; version=0.0.4; charset=utf-8"));
    Metrics::parse(&reply.text())
}

/// Rows of a counter that are not 0, by these labels.
fn rows<const N: usize>(metrics: &Metrics, name: &str, labels: [&str; N]) -> BTreeMap<[String; N], u64> {
    let rows = metrics.all(name).into_iter().filter(|s| s.value > 0.0);
    rows.map(|s| (labels.map(|l| s.labels[l].clone()), s.value as u64)).collect()
}

/// Requests by call, scene, tier, status and reason, as their own answers say.
#[derive(Default)]
struct Sent(BTreeMap<[String; 5], u64>);

impl Sent {
    fn row(&mut self, row: [&str; 5]) {
        *self.0.entry(row.map(str::to_owned)).or_default() += 1;
    }

    /// Whole answers tell their own row.
    fn told(&mut self, call: &str, status: u16, reply: &Reply) {
        assert_eq!(reply.status, status, "{}", reply.text());
        let header = |name| reply.header(name);
        self.row([
            call,
            header("x-llmroute-scene"),
            header("x-llmroute-tier"),
            header("x-llmroute-status"),
            header("x-llmroute-reason"),
        ]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_core_metrics_are_there_before_any_request() {
    let world = start().await;
    let metrics = scrape(&world).await;
    for provider in ["openai", "claude"] {
        for (name, want) in
            [("provider_success_rate", 1.0), ("provider_p95_latency", 0.0), ("provider_timeout_ratio", 0.0)]
        {
            assert_eq!(metrics.get(name, &[("provider", provider)]), Some(want), "{name} {provider}");
        }
    }
    assert_eq!(metrics.get("degrade_response_ratio", &[("scene", "chat")]), Some(0.0));
    for (budget, limit) in [("minute", 2.0), ("tenants", 20.0 / 1440.0)] {
        assert_eq!(metrics.get("token_cost_per_min", &[("budget", budget)]), Some(0.0));
        assert_eq!(metrics.get("budget_limit_per_min", &[("budget", budget)]), Some(limit));
    }
    assert!(metrics.all("fallback_trigger_count").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_is_counted_once_however_it_ends() {
    let world = start().await;
    let app = &world.app;
    let mut sent = Sent::default();
    for (call, speech) in [("chat", Speech::Chat), ("responses", Speech::Responses), ("messages", Speech::Messages)] {
        for stream in [false, true] {
            sent.told(call, 200, &app.say(speech, "hi", stream).send().await);
        }
    }
    sent.told(
        "through",
        200,
        &app.post("/v1/embeddings", r#"{"model":"text-embedding-3-small","input":"hi"}"#).send().await,
    );
    let count = json!({"model": "claude-sonnet-5-5", "messages": [{"role": "user", "content": "hi"}]}).to_string();
    let count = app.post("/v1/messages/count_tokens", count).header("anthropic-version", "2023-06-01").send().await;
    sent.told("count_tokens", 200, &count);

    // Never understood, or answered by ourselves.
    sent.told("chat", 400, &app.post("/v1/chat/completions", "{").send().await);
    sent.told("messages", 400, &app.post("/v1/messages", r#"{"model":"a","model":"b"}"#).send().await);
    sent.told("none", 404, &app.get("/v1/files").send().await);
    sent.told("none", 405, &app.get("/v1/chat/completions").send().await);
    sent.told("none", 200, &app.get("/").send().await);
    sent.told("models", 200, &app.get("/v1/models").send().await);
    sent.told("models", 404, &app.get("/v1/models/none").send().await);

    // Degraded, failed, cut after the first content.
    world.script("openai", vec![Rule::fault(Fault::ServerError)]);
    for stream in [false, true] {
        let reply = app.say(Speech::Chat, "hi", stream).send().await;
        assert_eq!((reply.header("x-llmroute-status"), reply.header("x-llmroute-attempts")), ("degraded", "3"));
        sent.told("chat", 200, &reply);
    }
    world.script("claude", vec![Rule::fault(Fault::Overloaded)]);
    let reply = app.say(Speech::Chat, "hi", false).send().await;
    assert_eq!(reply.header("x-llmroute-status"), "failed");
    sent.told("chat", 500, &reply);
    world.script("openai", vec![Rule::fault(Fault::CutStream)]);
    app.say(Speech::Chat, "hi", true).send().await.expect(hyper::StatusCode::OK);
    sent.row(["chat", "chat", "quick", "failed", "openai_connection_lost"]);

    // The app leaves: before an answer, and in the middle of a stream.
    world.script("openai", vec![Rule::fault(Fault::Silence)]);
    let left = timeout(Duration::from_millis(200), app.say(Speech::Chat, "hi", false).send()).await;
    assert!(left.is_err());
    sent.row(["chat", "chat", "quick", "client_gone", ""]);
    world.script("openai", vec![Rule::act(Act { event_ms: Some(100), words: Some(1000), ..Act::default() })]);
    let mut stream = app.say(Speech::Chat, "hi", true).open().await.expect("a head");
    while Speech::Chat.listen(&[stream.next().await.expect("an event")]).text.is_empty() {}
    let metrics = scrape(&world).await;
    for gauge in ["llmroute_requests_in_flight", "llmroute_streams_in_flight"] {
        assert_eq!(metrics.get(gauge, &[]), Some(1.0), "{gauge}");
    }
    assert!(metrics.sum("llmroute_connections_open", &[]) >= 1.0);
    drop(stream);
    sent.row(["chat", "chat", "quick", "client_gone", ""]);

    let all: u64 = sent.0.values().sum();
    let metrics = eventually("all have ended", || async {
        let metrics = scrape(&world).await;
        // Each is counted down on its own.
        let gauges = ["llmroute_requests_in_flight", "llmroute_streams_in_flight"];
        gauges.iter().all(|gauge| metrics.get(gauge, &[]) == Some(0.0)).then_some(metrics)
    })
    .await;
    assert_eq!(rows(&metrics, "llmroute_requests_total", ["call", "scene", "tier", "status", "reason"]), sent.0);
    assert_eq!(metrics.sum("llmroute_requests_total", &[]), all as f64);

    // Attempts are what the providers saw.
    for provider in ["openai", "claude"] {
        let seen = world.seen(provider).len() as f64;
        assert_eq!(metrics.sum("llmroute_attempts_total", &[("provider", provider)]), seen, "{provider}");
        assert_eq!(metrics.sum("llmroute_attempt_duration_seconds_count", &[("provider", provider)]), seen);
    }
    let classes = rows(&metrics, "llmroute_attempts_total", ["provider", "model", "class"]);
    let class = |provider: &str, model: &str, class: &str| {
        classes.get(&[provider, model, class].map(str::to_owned)).copied().unwrap_or(0)
    };
    assert_eq!(class("openai", "gpt-6-sol", "server_error"), 6);
    assert_eq!(class("openai", "gpt-6-sol", "transport"), 1);
    assert_eq!(class("openai", "gpt-6-sol", "cancelled"), 2);
    assert_eq!(class("openai", "*", "success"), 1, "an embedding's model is the caller's own");
    let retries = rows(&metrics, "llmroute_retries_total", ["provider"]);
    assert_eq!(retries, BTreeMap::from([(["openai".to_owned()], 3), (["claude".to_owned()], 3)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fallbacks_and_degraded_answers_are_told_with_providers_and_the_headers_reason() {
    let world = World::builder()
        .openai("openai")
        .claude("claude")
        .start(|p| {
            let breaker = "breaker: {consecutiveFailures: 2, openFor: 1m}";
            let targets = [("openai", "gpt-6-sol"), ("claude", "claude-sonnet-5-5")];
            let once = "{name: once, timeouts: {firstByte: 300ms, total: 2s}, retries: {attempts: 2, base: 1ms}}";
            p.tier(once).field(breaker).scene("chat", &targets).scene("quiet", &targets)
        })
        .await;
    let mut told = BTreeMap::<[String; 3], u64>::new();
    for i in 0..8 {
        if i == 3 {
            world.script("openai", vec![Rule::fault(Fault::Silence)]);
        }
        let reply = world.app.say(Speech::Chat, "hi", i % 2 == 0).send().await;
        assert_eq!(reply.status, 200);
        if reply.header("x-llmroute-status") == "degraded" {
            let row = ["openai", reply.header("x-llmroute-provider"), reply.header("x-llmroute-reason")];
            *told.entry(row.map(str::to_owned)).or_default() += 1;
        }
    }
    let metrics = scrape(&world).await;
    let row = |reason: &str| ["openai", "claude", reason].map(str::to_owned);
    assert_eq!(told, BTreeMap::from([(row("openai_timeout_budget_exceeded"), 2), (row("openai_circuit_open"), 3)]));
    assert_eq!(rows(&metrics, "fallback_trigger_count", ["from", "to", "reason"]), told);
    assert_eq!(metrics.get("degrade_response_ratio", &[("scene", "chat")]), Some(0.625));
    assert_eq!(metrics.get("degrade_response_ratio", &[("scene", "quiet")]), Some(0.0));
    assert_eq!(metrics.get("provider_timeout_ratio", &[("provider", "openai")]), Some(0.4));
    assert_eq!(metrics.get("provider_success_rate", &[("provider", "openai")]), Some(0.6));
    assert_eq!(metrics.get("provider_success_rate", &[("provider", "claude")]), Some(1.0));
    let p95 = metrics.get("provider_p95_latency", &[("provider", "openai")]).unwrap_or_default();
    assert!((0.3..5.0).contains(&p95), "a timeout counts with the time it took: {p95}");
    let open = [("provider", "openai"), ("model", "gpt-6-sol")];
    assert_eq!(metrics.get("llmroute_circuit_state", &open), Some(2.0));
    assert_eq!(metrics.get("llmroute_provider_circuit_state", &[("provider", "claude")]), Some(0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_is_what_the_providers_bill() {
    let world = start().await;
    let mut by_tenant = BTreeMap::<&str, u64>::new();
    for (i, tenant) in ["a", "b", "b", "a", "b", "c"].into_iter().enumerate() {
        let before = world.sim("openai").bill().total.nano_usd;
        let ask = world.app.say(Speech::ALL[i % 3], "count this", i >= 3).header("x-llmroute-tenant", tenant);
        let reply = ask.send().await;
        assert_eq!((reply.status, reply.header("x-llmroute-status")), (200, "ok"));
        let billed = world.sim("openai").bill().total.nano_usd - before;
        if i < 3 {
            assert_eq!(reply.header("x-llmroute-cost-usd"), Usd(billed).to_string());
        }
        *by_tenant.entry(tenant).or_default() += billed;
    }
    let bill = world.sim("openai").bill().total;
    let usd = |nano: u64| Some(Usd(nano).for_display());
    let sol = [("provider", "openai"), ("model", "gpt-6-sol")];
    let metrics = eventually("the streams have ended", || async {
        let metrics = scrape(&world).await;
        (metrics.get("llmroute_requests_in_flight", &[]) == Some(0.0)).then_some(metrics)
    })
    .await;
    assert!(bill.nano_usd > 0);
    assert_eq!(metrics.get("llmroute_cost_usd_total", &sol), usd(bill.nano_usd));
    assert_eq!(metrics.get("token_cost_per_min", &[("budget", "minute")]), usd(bill.nano_usd));
    let dearest = by_tenant.values().copied().max().unwrap_or_default();
    assert_eq!(metrics.get("token_cost_per_min", &[("budget", "tenants")]), usd(dearest), "{by_tenant:?}");
    let tokens = rows(&metrics, "llmroute_tokens_total", ["kind"]);
    let kind = |k: &str| tokens.get(&[k.to_owned()]).copied().unwrap_or(0);
    assert_eq!(kind("output"), bill.output_tokens);
    assert_eq!(kind("input") + kind("cached_input") + kind("cache_write"), bill.input_tokens);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policy_and_keys_are_told() {
    let world = World::builder()
        .openai("openai")
        .claude("claude")
        .follow()
        .start(|p| p.tier(QUICK).field(PATIENT).field("cutover: {}"))
        .await;
    let ask = |header, value| world.app.say(Speech::Chat, "hi", false).header(header, value);
    ask("x-llmroute-scene", "nobody").send().await;
    ask("x-llmroute-tier", "nobody").send().await;
    let metrics = scrape(&world).await;
    assert_eq!(metrics.get("llmroute_unknown_hints_total", &[]), Some(2.0));
    assert_eq!(metrics.all("llmroute_policy_info").len(), 1);
    assert!(metrics.sum("llmroute_policy_not_in_force", &[]) > 0.0);
    assert_eq!(metrics.get("llmroute_policy_refused_faults", &[]), Some(0.0));
    assert_eq!(metrics.get("llmroute_credential_vanished", &[("key", "claude")]), Some(0.0));
    assert_eq!(metrics.get("llmroute_credential_missing", &[("provider", "claude")]), Some(0.0));

    std::fs::remove_file(world.dir.join("keys/claude")).expect("a key");
    world.dir.write("policy.yaml", "spec: nothing");
    eventually("both are told", || async {
        let metrics = scrape(&world).await;
        let vanished = metrics.get("llmroute_credential_vanished", &[("key", "claude")]) == Some(1.0);
        let refused = metrics.get("llmroute_policy_refused_faults", &[]) > Some(0.0);
        (vanished && refused).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_health_page_has_the_numbers_of_the_last_minute() {
    let world = World::builder()
        .openai("openai")
        .claude("claude")
        .start(|p| {
            let once = "{name: once, timeouts: {firstByte: 300ms, total: 2s}, retries: {attempts: 2, base: 1ms}}";
            let targets = [("openai", "gpt-6-sol"), ("openai", "gpt-6-luna"), ("claude", "claude-sonnet-5-5")];
            p.tier(once).field(PATIENT).scene("chat", &targets).scene("luna", &targets[1..])
        })
        .await;
    let page = || async { world.admin.get("/health/providers").send().await.json() };
    let provider = |page: &Value, name: &str| {
        page["providers"]
            .as_array()
            .and_then(|rows| rows.iter().find(|r| r["name"] == name))
            .cloned()
            .unwrap_or_default()
    };
    let quiet = json!({"attempts": 0, "p95_seconds": null, "error_ratio": 0.0, "rate_limited_ratio": 0.0,
        "server_error_ratio": 0.0, "timeout_ratio": 0.0, "circuit": "closed", "why": null, "name": "claude-sonnet-5-5"});
    assert_eq!(provider(&page().await, "claude")["models"], json!([quiet]));

    // Ten to sol: five answers, two 5xx, two timeouts, one 429 without a hold; and two answers of luna.
    for (times, rule) in
        [(5, None), (2, Some(Fault::ServerError)), (2, Some(Fault::Silence)), (1, Some(Fault::RateLimitBare))]
    {
        world.script("openai", rule.map(|f| Rule::fault(f).model("gpt-6-sol")).into_iter().collect());
        for _ in 0..times {
            let reply = world.app.say(Speech::Chat, "hi", true).send().await;
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
    }
    let page = page().await;
    let openai = provider(&page, "openai");
    let models = openai["models"].as_array().cloned().unwrap_or_default();
    assert_eq!(
        models.iter().map(|m| m["name"].as_str().unwrap_or_default()).collect::<Vec<_>>(),
        ["gpt-6-sol", "gpt-6-luna"]
    );
    let ratios = |row: &Value| {
        ["attempts", "error_ratio", "rate_limited_ratio", "server_error_ratio", "timeout_ratio"]
            .map(|name| row[name].as_f64().unwrap_or(-1.0))
    };
    assert_eq!(ratios(&models[0]), [10.0, 0.5, 0.1, 0.2, 0.2]);
    let (all, luna) = (ratios(&openai), ratios(&models[1]));
    assert_eq!(all[0], 10.0 + luna[0], "{openai}");
    assert_eq!(luna[1..], [0.0; 4]);
    let p95 = models[0]["p95_seconds"].as_f64().unwrap_or_default();
    assert!((0.3..5.0).contains(&p95), "{p95}");
    assert_eq!((&openai["circuit"], &openai["why"]), (&json!("closed"), &Value::Null));
}
