//! A provider that does more than it was asked: once for each model it is billed above the hold. That is kept as debt and
//! told, and raises later holds of that model, so that it does not happen again.

use harness::{Metrics, Program, Reply, Speech, World, bills, eventually, policy::PATIENT};
use serde_json::Value;
use sim::{Fault, Rule};
use tokio::time::{Duration, Instant};

use super::{CALM, body, send, worst};

const MODELS: [&str; 2] = ["gpt-6-sol", "gpt-6-luna"];

async fn ask(program: &Program, model: &str, limit: u64) -> Reply {
    send(&program.app, Speech::Chat, &body(Speech::Chat, "hi", false, limit))
        .header("x-llmroute-scene", model)
        .send()
        .await
}

async fn metrics(program: &Program) -> Metrics {
    Metrics::parse(&program.admin.get("/metrics").send().await.text())
}

/// In nano-dollars.
fn nano(metrics: &Metrics, name: &str, labels: &[(&str, &str)]) -> u64 {
    (metrics.get(name, labels).unwrap_or_else(|| panic!("no {name}")) * 1e9).round() as u64
}

/// The log lines of one overrun each: model and debt.
fn told(program: &Program) -> Vec<(String, u64)> {
    let output = program.output();
    let lines = output.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
    let told = lines.filter_map(|l| {
        let debt = l["debt_usd"].as_str()?;
        Some((l["model"].as_str()?.to_owned(), bills::nano(debt)))
    });
    told.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_model_overruns_once_and_its_debt_is_kept_and_told() {
    let budgets =
        "budgets: [{name: small, window: 5s, limitUsd: \"0.0025\"}, {name: hour, window: 1h, limitUsd: \"1\"}]";
    let world = World::builder()
        .openai("openai")
        .start(|p| {
            let p = p.tier(CALM).field(PATIENT).field(budgets);
            MODELS.iter().fold(p, |p, model| p.scene(model, &[("openai", model)]))
        })
        .await;
    world.script("openai", vec![Rule::fault(Fault::IgnoreMaxTokens)]);
    let program = Program::builder(&world.policy_file()).credentials(&world.dir.join("keys")).start().await;

    let hold = |model, limit| {
        let asked = body(Speech::Chat, "hi", false, limit);
        let admin = &program.admin;
        async move { worst(admin, Speech::Chat, model, &asked).await }
    };
    let first = hold("gpt-6-sol", 200).await;
    ask(&program, "gpt-6-sol", 200).await.expect(hyper::StatusCode::OK);
    let began = Instant::now();
    let billed = world.billed();
    let over = billed - first;
    assert!(billed > first + first / 4, "{billed} for a hold of {first}");
    let page = metrics(&program).await;
    let overrun = |page: &Metrics, model| {
        nano(page, "llmroute_cost_overrun_usd_total", &[("provider", "openai"), ("model", model)])
    };
    assert_eq!((overrun(&page, "gpt-6-sol"), overrun(&page, "gpt-6-luna")), (over, 0));
    // What is above the cap is debt, in all places.
    let debt = billed - 2_500_000;
    assert_eq!(nano(&page, "llmroute_budget_debt_usd", &[("budget", "small")]), debt);
    assert_eq!(nano(&page, "llmroute_budget_spent_usd", &[("budget", "small")]), billed);
    let health = program.admin.get("/health/budgets").send().await.json();
    assert_eq!(health["budgets"][0]["debt"].as_str().map(bills::nano), Some(debt), "{health}");
    eventually("a line tells it", || async { (told(&program) == [("gpt-6-sol".to_owned(), over)]).then_some(()) })
        .await;
    let refused = ask(&program, "gpt-6-sol", 20).await;
    assert_eq!((refused.status, refused.header("x-llmroute-reason")), (429, "budget_exhausted"));

    // The debt cools like any other charge.
    tokio::time::sleep_until(began + Duration::from_millis(5_500)).await;
    let page = metrics(&program).await;
    assert_eq!(nano(&page, "llmroute_budget_debt_usd", &[("budget", "small")]), 0);

    // The hold is raised by the worst ratio: the same request is now more than the whole budget, a smaller one is covered
    // although the provider goes on as before.
    let refused = ask(&program, "gpt-6-sol", 200).await;
    assert!(refused.text().contains("more than the whole budget"), "{}", refused.text());
    let before = world.billed();
    ask(&program, "gpt-6-sol", 100).await.expect(hyper::StatusCode::OK);
    let (billed, hold_before) = (world.billed() - before, hold("gpt-6-sol", 100).await);
    assert!(billed > hold_before, "{billed} of {hold_before}: it is still overrun by what was asked");
    let page = metrics(&program).await;
    assert_eq!(overrun(&page, "gpt-6-sol"), over);

    // Another model starts afresh, and overruns once too.
    for _ in 0..3 {
        ask(&program, "gpt-6-luna", 100).await.expect(hyper::StatusCode::OK);
    }
    let page = metrics(&program).await;
    let luna = overrun(&page, "gpt-6-luna");
    assert!(luna > 0);
    assert_eq!(overrun(&page, "gpt-6-sol"), over);
    eventually("one line a model", || async {
        (told(&program) == [("gpt-6-sol".to_owned(), over), ("gpt-6-luna".to_owned(), luna)]).then_some(())
    })
    .await;
    // All that was billed is on the books.
    assert_eq!(nano(&page, "llmroute_budget_spent_usd", &[("budget", "hour")]), world.billed());
}

/// A way to be overrun: what the caller speaks, whether it is streamed, and the model that does it.
const WAYS: [(Speech, bool, &str, &str); 8] = [
    (Speech::Chat, false, "openai", "gpt-6-sol"),
    (Speech::Chat, true, "openai", "gpt-6-luna"),
    (Speech::Responses, false, "openai", "gpt-5.6-sol"),
    (Speech::Responses, true, "openai", "gpt-5.5"),
    (Speech::Messages, false, "claude", "claude-sonnet-5-5"),
    (Speech::Messages, true, "claude", "claude-haiku-5-5"),
    // Translated.
    (Speech::Chat, false, "claude", "claude-opus-5"),
    (Speech::Responses, true, "claude", "claude-opus-4-5"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_dialect_plain_and_streamed_is_overrun_once() {
    let scene = |at: usize| format!("scene-{at}");
    let world = World::builder()
        .openai("openai")
        .claude("claude")
        .start(|p| {
            let p = p.tier(CALM).field(PATIENT).field("budgets: [{name: hour, window: 1h, limitUsd: \"5\"}]");
            let ways = WAYS.iter().enumerate();
            ways.fold(p, |p, (at, (_, _, provider, model))| p.scene(&scene(at), &[(provider, model)]))
        })
        .await;
    for name in ["openai", "claude"] {
        world.script(name, vec![Rule::fault(Fault::IgnoreMaxTokens)]);
    }
    let program = Program::builder(&world.policy_file()).credentials(&world.dir.join("keys")).start().await;
    let mut lines = vec![];
    for (at, (speech, stream, provider, model)) in WAYS.into_iter().enumerate() {
        let what = format!("{speech:?} at {model}, stream {stream}");
        let body = body(speech, "hi", stream, 200);
        let hold = worst(&program.admin, speech, &scene(at), &body).await;
        let mut overrun = 0;
        for again in [false, true] {
            let before = world.billed();
            let ask = send(&program.app, speech, &body).header("x-llmroute-scene", &scene(at));
            let reply = ask.send().await.expect(hyper::StatusCode::OK);
            assert!(reply.whole, "{what}");
            if stream {
                let heard = speech.listen(&reply.events());
                assert_eq!((heard.ends, heard.errors.len()), (1, 0), "{what}");
            }
            let billed = world.billed() - before;
            assert!(billed > hold, "{what}: {billed} for a hold of {hold}");
            let page = metrics(&program).await;
            let told = nano(&page, "llmroute_cost_overrun_usd_total", &[("provider", provider), ("model", model)]);
            if again {
                // Once: the hold of the next is what the provider charges.
                assert_eq!(told, overrun, "{what}");
            } else if provider == "claude" && speech != Speech::Messages {
                // What is translated is held as it goes out.
                assert!(told > 0 && told < billed, "{what}: {told} of {billed}");
            } else {
                assert_eq!(told, billed - hold, "{what}");
            }
            overrun = told;
        }
        lines.push((model.to_owned(), overrun));
    }
    eventually("one line a model", || async { (told(&program) == lines).then_some(()) }).await;
    let page = metrics(&program).await;
    assert_eq!(nano(&page, "llmroute_budget_spent_usd", &[("budget", "hour")]), world.billed());
    assert_eq!(nano(&page, "llmroute_budget_debt_usd", &[("budget", "hour")]), 0, "all of it is within the cap");
}
