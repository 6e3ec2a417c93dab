//! What is said of a budget: the metrics, the health page, the header of an answer and the simulator's bill agree, and the
//! metrics of the two classic alerts move.

use harness::{Metrics, Speech, World, bills, policy::PATIENT};

use super::{CALM, body, prompt, send};

async fn metrics(world: &World) -> Metrics {
    Metrics::parse(&world.admin.get("/metrics").send().await.text())
}

/// A gauge in dollars, in nano-dollars.
fn nano(page: &Metrics, name: &str, budget: &str) -> u64 {
    let value = page.get(name, &[("budget", budget)]).unwrap_or_else(|| panic!("no {name} of {budget}"));
    (value * 1e9).round() as u64
}

/// All three places and the bill say the same.
async fn agree(world: &World, header: &str, budget: &str, spent: u64, limit: u64) {
    let page = metrics(world).await;
    let told = bills::standings(header).remove(budget).unwrap_or_else(|| panic!("no {budget} in {header}"));
    let health = world.budget(budget).await;
    assert_eq!((told.spent, told.held, told.limit), (spent, 0, limit), "{header}");
    assert_eq!((health.spent, health.held, health.limit), (spent, 0, limit), "{budget}");
    for (name, want) in [
        ("llmroute_budget_spent_usd", spent),
        ("llmroute_budget_held_usd", 0),
        ("llmroute_budget_limit_usd", limit),
        ("llmroute_budget_debt_usd", 0),
        ("token_cost_per_min", spent),
    ] {
        assert_eq!(nano(&page, name, budget), want, "{name} of {budget}");
    }
    let free = page.get("llmroute_budget_next_free_seconds", &[("budget", budget)]).unwrap_or_default();
    assert!(health.free.abs_diff(told.free) <= 1 && free >= health.free as f64 - 1.0, "{free} {health:?} {told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_places_say_what_was_billed() {
    let world = World::builder()
        .openai("openai")
        .claude("claude")
        .start(|p| {
            p.tier(CALM)
                .field(PATIENT)
                .scene("near", &[("openai", "gpt-6-sol")])
                .scene("far", &[("claude", "claude-sonnet-5-5")])
                .field(
                    "budgets: [{name: minute, window: 1m, limitUsd: \"0.02\", warnAt: \"0.1\", degradeAt: \"0.9\"}, \
                     {name: tenants, window: 2m, limitUsd: \"0.1\", scope: Tenant}, \
                     {name: scenes, window: 1m, limitUsd: \"0.1\", scope: Scene}]",
                )
        })
        .await;
    let page = metrics(&world).await;
    assert_eq!(nano(&page, "token_cost_per_min", "minute"), 0);
    assert_eq!(nano(&page, "budget_limit_per_min", "minute"), 20_000_000);
    assert_eq!(nano(&page, "budget_limit_per_min", "tenants"), 50_000_000);

    let mut billed = 0;
    for (speech, scene) in
        [(Speech::Chat, "near"), (Speech::Responses, "near"), (Speech::Messages, "far"), (Speech::Responses, "far")]
    {
        for stream in [false, true] {
            let asked = body(speech, &prompt("one"), stream, 60);
            let ask = send(&world.app, speech, &asked).header("x-llmroute-tenant", "one");
            let reply = ask.header("x-llmroute-scene", scene).send().await.expect(hyper::StatusCode::OK);
            // A stream's head is written before its bill is known.
            if !stream {
                let cost = world.billed() - billed;
                assert_eq!(bills::nano(reply.header("x-llmroute-cost-usd")), cost, "{speech:?}");
                agree(&world, reply.header("x-llmroute-budget"), "minute", billed + cost, 20_000_000).await;
                agree(&world, reply.header("x-llmroute-budget"), "tenants", billed + cost, 100_000_000).await;
            }
            billed = world.billed();
            assert_eq!(world.budget("minute").await.spent, billed);
        }
    }
    // By scene: of its values the one nearest the limit.
    let of = |name: &str| world.sim(name).bill().total.nano_usd;
    assert_eq!(world.budget("scenes").await.spent, of("openai").max(of("claude")));
    let page = metrics(&world).await;
    let counted = (page.sum("llmroute_cost_usd_total", &[]) * 1e9).round() as u64;
    assert_eq!((counted, page.sum("llmroute_cost_estimated_usd_total", &[])), (billed, 0.0));
    let rows = world.budgets().await;
    assert_eq!(rows["budgets"][0]["pressure"], "Warn", "{rows}");
    assert_eq!(rows["budgets"][1]["value"], "one", "{rows}");
}

/// While a request is under way its most is held, and told; a stream's rest is free again at its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_is_held() {
    let world = World::builder()
        .openai("openai")
        .start(|p| p.tier(CALM).field(PATIENT).field("budgets: [{name: hour, window: 1h, limitUsd: \"1\"}]"))
        .await;
    let asked = body(Speech::Chat, "@@sim:event_ms=20,words=40@@ slowly", true, 300);
    let hold = super::worst(&world.admin, Speech::Chat, "chat", &asked).await;
    let mut stream = send(&world.app, Speech::Chat, &asked).open().await.expect("a head");
    let told = bills::standings(stream.header("x-llmroute-budget")).remove("hour").unwrap_or_default();
    assert_eq!((told.spent, told.held), (0, hold));
    let page = metrics(&world).await;
    assert_eq!(nano(&page, "llmroute_budget_held_usd", "hour"), hold);
    assert_eq!(world.budget("hour").await.held, hold);
    stream.rest().await;
    let after = world.budget("hour").await;
    assert_eq!((after.spent, after.held), (world.billed(), 0));
}

/// The two classic alerts: cost against its limit, and the share of degraded answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metrics_of_the_classic_alerts_move() {
    let world = World::builder()
        .openai("openai")
        .start(|p| {
            p.tier("{name: thrifty, overBudget: [CheaperModel, Reject]}")
                .field(PATIENT)
                .scene("chat", &[("openai", "gpt-6-sol"), ("openai", "gpt-6-luna")])
                .field("budgets: [{name: minute, window: 1m, limitUsd: \"0.0015\"}]")
        })
        .await;
    let asked = body(Speech::Chat, "@@sim:words=100@@ go on", false, 80);
    let mut statuses = vec![];
    for _ in 0..40 {
        let reply = send(&world.app, Speech::Chat, &asked).send().await;
        statuses.push(reply.header("x-llmroute-status").to_owned());
    }
    let count = |status: &str| statuses.iter().filter(|s| *s == status).count() as f64;
    assert!(count("ok") >= 1.0 && count("degraded") >= 1.0 && count("refused") >= 1.0, "{statuses:?}");
    let page = metrics(&world).await;
    let (cost, limit) = (nano(&page, "token_cost_per_min", "minute"), nano(&page, "budget_limit_per_min", "minute"));
    assert_eq!((cost, limit), (world.billed(), 1_500_000));
    assert!(cost * 10 >= limit * 9, "{cost} of {limit}");
    let ratio = page.get("degrade_response_ratio", &[("scene", "chat")]).unwrap_or_default();
    assert!((ratio - count("degraded") / 40.0).abs() < 0.3 && ratio > 0.1, "{ratio} {statuses:?}");
    let fallbacks = page.get("fallback_trigger_count", &[("from", "openai"), ("reason", "budget_exhausted")]);
    assert_eq!(fallbacks, Some(count("degraded")));
}
