//! Answers from before: at their rung, always, or when no provider answers; as a stream where one is asked.

use harness::{Reply, Speech, World, policy::PATIENT};
use serde_json::Value;
use sim::{Config, Dark, Vendor};

use super::{body, send};

const LIMIT: u64 = 100;

/// A scene that keeps answers for its rung and for outages, one that gives them always, and a budget a tenant.
/// `by` is asked first.
async fn start(limit_usd: &str, by: &str) -> World {
    let first = |p: harness::Policy, name: &str, when: &str| {
        let mut targets = [("openai", "gpt-6-sol"), ("claude", "claude-sonnet-5-5")];
        targets.sort_by_key(|(provider, _)| *provider != by);
        p.scene_with(name, &targets, &format!(", cache: {{ttl: 10m, use: {when}}}"))
    };
    World::builder()
        .provider("openai", Vendor::OpenAi, Config::default())
        .provider("claude", Vendor::Anthropic, Config::default())
        .start(|p| {
            let p = p.tier("{name: kept, sla: 60s, overBudget: [Cache, Reject]}");
            let p = first(first(p, "kept", "WhenRefused"), "always", "Always");
            p.field(PATIENT)
                .field(&format!("budgets: [{{name: mine, window: 1h, limitUsd: \"{limit_usd}\", scope: Tenant}}]"))
        })
        .await
}

/// What is asked again.
fn question(speech: Speech) -> Value {
    body(speech, "what is kept", false, LIMIT)
}

async fn ask(world: &World, scene: &str, tenant: &str, speech: Speech, mut body: Value, stream: bool) -> Reply {
    if stream {
        body["stream"] = true.into();
    }
    let ask = send(&world.app, speech, &body).header("x-llmroute-scene", scene).header("x-llmroute-tier", "kept");
    ask.header("x-llmroute-tenant", tenant).send().await
}

/// The text of an answer, and the signal in it.
fn said(speech: Speech, reply: &Reply, stream: bool) -> (String, Value) {
    if !stream {
        let answer = reply.json();
        return (speech.text(&answer), answer["llmroute"].clone());
    }
    let heard = speech.listen(&reply.events());
    assert_eq!((heard.beginnings, heard.ends, heard.errors.len()), (1, 1, 0), "{speech:?}: {}", reply.text());
    (heard.text, heard.signals.first().cloned().unwrap_or_default())
}

/// Calls that came to any provider.
fn calls(world: &World) -> usize {
    world.seen("openai").len() + world.seen("claude").len()
}

#[track_caller]
fn is_cached(speech: Speech, reply: &Reply, stream: bool, reason: &str, text: &str) {
    let seen = [reply.header("x-llmroute-status"), reply.header("x-llmroute-reason")];
    assert_eq!((reply.status, seen), (200, ["cached", reason]), "{speech:?}: {}", reply.text());
    let (again, signal) = said(speech, reply, stream);
    assert_eq!(again, text, "{speech:?}: the same words");
    assert_eq!(signal["status"], "cached", "{speech:?}: {}", reply.text());
    assert_eq!(signal["reason"].as_str().unwrap_or_default(), reason, "{speech:?}");
    assert_eq!(reply.header("x-llmroute-cost-usd"), if stream { "" } else { "0" });
}

/// Whatever way the first answer was given, plain or streamed, and whatever way it is asked again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rung_gives_an_answer_from_before() {
    // Room for one request, not for two.
    let world = start("0.0016", "openai").await;
    for speech in Speech::ALL {
        for (first, again) in [(false, false), (false, true), (true, false), (true, true)] {
            let tenant = format!("{speech:?}-{first}-{again}").to_lowercase();
            let reply = ask(&world, "kept", &tenant, speech, question(speech), first).await;
            assert_eq!(reply.header("x-llmroute-status"), "ok", "{tenant}: {}", reply.text());
            let (text, _) = said(speech, &reply, first);
            // The rest of the money goes for something else.
            let mut spends = 0;
            while ask(&world, "kept", &tenant, speech, body(speech, &format!("spend {spends}"), false, LIMIT), false)
                .await
                .status
                == 200
            {
                spends += 1;
                assert!(spends < 50, "{tenant}: the money never ends");
            }
            let before = calls(&world);
            let reply = ask(&world, "kept", &tenant, speech, question(speech), again).await;
            is_cached(speech, &reply, again, "budget_exhausted", &text);
            let other = ask(&world, "kept", &tenant, speech, body(speech, "never asked", false, LIMIT), again).await;
            assert_eq!((other.status, other.header("x-llmroute-reason")), (429, "budget_exhausted"), "{tenant}");
            assert_eq!(calls(&world), before, "{tenant}: nobody was asked");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_equal_request_costs_nothing_where_the_scene_says_always() {
    for by in ["openai", "claude"] {
        equal_requests(&start("10", by).await).await;
    }
}

async fn equal_requests(world: &World) {
    for speech in Speech::ALL {
        let reply = ask(world, "always", "a", speech, question(speech), false).await;
        let (text, _) = said(speech, &reply, false);
        let before = calls(world);
        for stream in [false, true] {
            let reply = ask(world, "always", "a", speech, question(speech), stream).await;
            is_cached(speech, &reply, stream, "", &text);
        }
        assert_eq!(calls(world), before, "{speech:?}");
        let other = ask(world, "always", "b", speech, question(speech), false).await;
        assert_eq!(other.header("x-llmroute-status"), "ok", "{speech:?}: another tenant has answers of its own");
        assert_eq!(calls(world), before + 1, "{speech:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_from_before_stands_in_when_no_provider_answers() {
    for by in ["openai", "claude"] {
        outage(&start("10", by).await, by).await;
    }
}

async fn outage(world: &World, by: &str) {
    let mut texts = vec![];
    for speech in Speech::ALL {
        let reply = ask(world, "kept", "a", speech, question(speech), true).await;
        texts.push(said(speech, &reply, true).0);
    }
    world.sim("openai").dark(None, Dark::Refuses);
    world.sim("claude").dark(None, Dark::Refuses);
    for (speech, text) in Speech::ALL.into_iter().zip(texts) {
        for stream in [false, true] {
            let reply = ask(world, "kept", "a", speech, question(speech), stream).await;
            let reason = reply.header("x-llmroute-reason").to_owned();
            assert!(reason.starts_with(&format!("{by}_")), "{speech:?}: {reason}");
            is_cached(speech, &reply, stream, &reason, &text);
        }
        let other = ask(world, "kept", "a", speech, body(speech, "never asked", false, LIMIT), false).await;
        assert!(other.status >= 500, "{speech:?}: {}", other.text());
    }
}
