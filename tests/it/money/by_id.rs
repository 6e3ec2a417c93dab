//! Requests by id under caps: they wait for money and for rates, and leave the last part of each to those who cannot wait.

use std::time::Duration;

use harness::{
    Caller, Reply, Speech, World,
    bills::{self, Charge},
    eventually,
    policy::{PATIENT, QUICK},
};
use hyper::{Method, StatusCode};
use serde_json::Value;
use sim::{Act, Config, Fault, Rule, Vendor};
use tokio::time::{Instant, sleep, sleep_until};

use super::{body, pass, prompt, send};
use crate::by_id::{answer, place};

/// Output limit in tokens; all answers fill it.
const LIMIT: u64 = 200;

/// For the requests below, of 0.0021 dollars each.
const WINDOW: Duration = Duration::from_secs(10);
const DOLLARS: &str = "0.01";

/// A request by id, in any way to ask for one.
#[derive(Clone, Copy, Debug)]
struct Way {
    speech: Speech,
    background: bool,
}

const WAYS: [Way; 4] = [
    Way { speech: Speech::Chat, background: false },
    Way { speech: Speech::Responses, background: false },
    Way { speech: Speech::Responses, background: true },
    Way { speech: Speech::Messages, background: false },
];

impl Way {
    /// Each has money of its own.
    fn tenant(self) -> String {
        format!("{:?}-{}", self.speech, self.background).to_lowercase()
    }

    /// Accepted at once, whatever the money.
    async fn later(self, world: &World, scene: &str, words: &str) -> String {
        let mut asked = body(self.speech, words, false, LIMIT);
        let ask = if self.background {
            asked["background"] = true.into();
            send(&world.app, self.speech, &asked)
        } else {
            send(&world.app, self.speech, &asked).header("prefer", "respond-async")
        };
        let ask = ask.header("x-llmroute-tenant", &self.tenant()).header("x-llmroute-scene", scene);
        let accepted = ask.send().await;
        let status = if self.background { StatusCode::OK } else { StatusCode::ACCEPTED };
        place(&accepted.expect(status))
    }

    async fn now(self, world: &World, scene: &str) -> Reply {
        let ask = send(&world.app, self.speech, &body(self.speech, &prompt(&self.tenant()), false, LIMIT));
        ask.header("x-llmroute-tenant", &self.tenant()).header("x-llmroute-scene", scene).send().await
    }

    /// Neither refused nor degraded.
    async fn is_served(self, world: &World, scene: &str) {
        let reply = self.now(world, scene).await;
        assert_eq!((reply.status, reply.header("x-llmroute-status")), (200, "ok"), "{self:?}: {}", reply.text());
    }

    /// What was made of it.
    async fn made(self, app: &Caller, place: &str) {
        let reply = answer(app, place).await.expect(StatusCode::OK);
        assert!(self.speech.text(&reply.json()).starts_with('x'), "{self:?}: {}", reply.text());
    }
}

/// What callers that can wait say.
fn words(way: Way) -> String {
    format!("later {}", prompt(&way.tenant()))
}

/// How often the provider was asked by those of this way that can wait.
fn ran(world: &World, provider: &str, way: Way) -> usize {
    let words = words(way);
    world.seen(provider).iter().filter(|e| memchr::memmem::find(&e.body, words.as_bytes()).is_some()).count()
}

async fn asked_until(world: &World, provider: &str, way: Way, times: usize) {
    eventually("as many as may run have run", || async { (ran(world, provider, way) >= times).then_some(()) }).await;
}

async fn world(more: &str, budget: &str) -> World {
    let long = format!("x{}", "!".repeat(19)).repeat(30);
    let says = format!(", headers: {{x-sim-fault: \"say={long}\"}}");
    World::builder()
        .provider("openai", Vendor::OpenAi, Config { log_body: 4096, ..Config::default() })
        .fields(&says)
        .keeps()
        .start(|p| {
            let tier = format!("{{name: one, sla: 60s{more}}}");
            let p = p.tier(&tier).field(PATIENT).scene("openai", &[("openai", "gpt-6-sol"), ("openai", "gpt-6-luna")]);
            let window = WINDOW.as_secs();
            p.field(&format!(
                "budgets: [{{name: mine, window: {window}s, limitUsd: \"{DOLLARS}\", scope: Tenant{budget}}}]"
            ))
        })
        .await
}

/// Below `degradeAt` there is room for two requests and a part of a third; for those who cannot wait there is more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_is_waited_for_while_those_who_cannot_wait_have_theirs() {
    let world = world("", ", degradeAt: \"0.6\"").await;
    let began = Instant::now();
    let mut places = vec![];
    for way in WAYS {
        way.is_served(&world, "openai").await;
        way.is_served(&world, "openai").await;
        places.push(way.later(&world, "openai", &words(way)).await);
    }
    for (way, place) in WAYS.into_iter().zip(&places) {
        for _ in 0..2 {
            way.is_served(&world, "openai").await;
        }
        let refused = way.now(&world, "openai").await.expect(StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refused.header("x-llmroute-reason"), "budget_exhausted");
        let pending = world.app.get(place).send().await;
        assert!(matches!(pending.json()["status"].as_str(), Some("queued" | "in_progress")), "{}", pending.text());
        assert_ne!(pending.header("retry-after"), "");
        // One more that comes when all is spent.
        way.later(&world, "openai", &words(way)).await;
    }
    assert!(began.elapsed() < WINDOW, "the machine is too slow for this to say anything: {:?}", began.elapsed());
    let early = WAYS.iter().filter(|way| ran(&world, "openai", **way) > 0).count();
    assert_eq!(early, 0, "nothing of them was sent");

    sleep_until(began + WINDOW).await;
    for (way, place) in WAYS.into_iter().zip(&places) {
        way.made(&world.app, place).await;
    }
}

/// As many as there is room for run at once; the rest of the budget is whole for the others, who are not degraded either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_them_leaves_the_rest_of_a_budget() {
    let half = bills::nano(DOLLARS) / 2;
    let rungs = ", overBudget: [CheaperModel, Reject]";
    let near = bills::nano(DOLLARS) * 6 / 10 - 1;
    tokio::join!(flood("", "", half), flood(rungs, "", half), flood(rungs, ", degradeAt: \"0.6\"", near));
}

async fn flood(more: &str, budget: &str, share: u64) {
    let world = world(more, budget).await;
    for way in WAYS {
        for _ in 0..6 {
            way.later(&world, "openai", &words(way)).await;
        }
    }
    for way in WAYS {
        asked_until(&world, "openai", way, 2).await;
        way.is_served(&world, "openai").await;
    }
    // Two windows long, they take no more than their part of any, whatever the others do.
    pass(WINDOW * 2).await;
    let charges = world.charges();
    for way in WAYS {
        let words = words(way);
        let theirs: Vec<&Charge> = charges.iter().filter(|c| c.body.contains(&words)).collect();
        let most = bills::fullest_window(theirs.iter().copied(), WINDOW.as_micros() as u64);
        assert!(most > share / 2 && most <= share, "{way:?}: {most} of {share}");
        assert!(ran(&world, "openai", way) > 2, "{way:?}: they go on as money comes back");
    }
}

/// A provider's limits are kept apart like money: half of each. Its minute must pass.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rates_are_waited_for_and_half_of_them_is_left() {
    let long = format!("x{}", "!".repeat(19)).repeat(30);
    let says = |limit: &str| format!(", headers: {{x-sim-fault: \"say={long}\"}}, limits: {{{limit}}}");
    let config = || Config { log_body: 4096, ..Config::default() };
    let world = World::builder()
        .provider("by-requests", Vendor::OpenAi, config())
        .fields(&says("requestsPerMinute: 4"))
        .provider("by-tokens", Vendor::OpenAi, config())
        .fields(&says("tokensPerMinute: 1200"))
        .keeps()
        .start(|p| {
            let p = p.tier("{name: one, sla: 60s}").field(PATIENT);
            ["by-requests", "by-tokens"].into_iter().fold(p, |p, name| p.scene(name, &[(name, "gpt-6-sol")]))
        })
        .await;
    let way = WAYS[0];
    let providers = ["by-requests", "by-tokens"];
    let mut places = vec![];
    for name in providers {
        for _ in 0..3 {
            places.push((name, way.later(&world, name, &words(way)).await));
        }
    }
    for name in providers {
        asked_until(&world, name, way, 2).await;
        for _ in 0..2 {
            way.is_served(&world, name).await;
        }
    }
    let began = Instant::now();
    loop {
        let reply = way.now(&world, "by-tokens").await;
        if reply.status != 200 {
            break;
        }
    }
    for name in providers {
        let refused = way.now(&world, name).await.expect(StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refused.header("x-llmroute-reason"), "rate_limit_exceeded", "{name}");
        assert_eq!(ran(&world, name, way), 2, "{name}: the third waits");
    }
    // What was asked last is the last to leave the minute.
    sleep_until(began + Duration::from_secs(62)).await;
    for (name, place) in &places {
        way.made(&world.app, place).await;
        assert_eq!(ran(&world, name, way), 3, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_waits_for_money_is_cancelled_and_deleted() {
    // More than its part of the budget: it waits for good.
    let world = world("", ", degradeAt: \"0.1\"").await;
    for way in WAYS {
        let (first, second) =
            (way.later(&world, "openai", &words(way)).await, way.later(&world, "openai", &words(way)).await);
        let cancelled = world.app.post(&format!("{first}/cancel"), "").send().await.expect(StatusCode::OK);
        assert_eq!(cancelled.json()["status"], "cancelled", "{way:?}");
        let told = world.app.get(&first).send().await;
        match way.speech {
            Speech::Responses => assert_eq!(told.json()["status"], "cancelled"),
            _ => assert_eq!((told.status, told.header("x-llmroute-reason")), (410, "cancelled")),
        }
        let deleted = world.app.ask(Method::DELETE, &second).send().await.expect(StatusCode::OK).json();
        assert_eq!(deleted["deleted"], Value::Bool(true), "{way:?}");
        world.app.get(&second).send().await.expect(StatusCode::NOT_FOUND);
    }
    eventually("none is left", || async {
        let page = world.admin.get("/metrics").send().await.text();
        let left = |state: &str| !page.contains(&format!("llmroute_by_id_requests{{state=\"{state}\"}} 0.0\n"));
        (!left("queued") && !left("running")).then_some(())
    })
    .await;
    let mine = world.budget("mine").await;
    assert_eq!((mine.spent, mine.held, world.seen("openai").len()), (0, 0, 0));
}

/// What `/explain` tells of the first candidate for it, asked for now or by id.
async fn explained(world: &World, way: Way, by_id: bool) -> (Value, String) {
    let mut asked = body(way.speech, &words(way), false, LIMIT);
    if by_id && way.background {
        asked["background"] = true.into();
    }
    let ask = world.admin.post(&format!("/explain?path={}", way.speech.path()), asked.to_string());
    let ask = ask.header("x-llmroute-tenant", &way.tenant()).header("x-llmroute-scene", "openai");
    let ask = if way.speech == Speech::Messages { ask.header("anthropic-version", "2023-06-01") } else { ask };
    let ask = if by_id && !way.background { ask.header("prefer", "respond-async") } else { ask };
    let told = ask.send().await.expect(StatusCode::OK).json();
    let money = told["candidates"][0]["money"].as_str().unwrap_or_else(|| panic!("{told}")).to_owned();
    (told["request"]["by_id"].clone(), money)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_tells_how_the_money_stands_for_a_request_by_id() {
    let world = world("", ", degradeAt: \"0.6\"").await;
    for way in WAYS {
        assert_eq!(explained(&world, way, true).await, (true.into(), "fits".to_owned()), "{way:?}");
        way.is_served(&world, "openai").await;
        way.is_served(&world, "openai").await;
        assert_eq!(explained(&world, way, false).await, (false.into(), "fits".to_owned()), "{way:?}");
        let (by_id, money) = explained(&world, way, true).await;
        let spared = "what is left of `mine` is for those who cannot wait";
        assert_eq!((by_id, money.as_str()), (true.into(), spared), "{way:?}");
    }
    let streamed = body(Speech::Chat, "hi", true, LIMIT).to_string();
    let ask = world.admin.post("/explain?path=/v1/chat/completions", streamed).header("prefer", "respond-async");
    let refused = ask.send().await.expect(StatusCode::BAD_REQUEST);
    assert!(refused.text().contains("cannot be streamed"), "as when it is sent: {}", refused.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_says_which_part_a_request_by_id_never_fits_into() {
    let world = world("", ", degradeAt: \"0.1\"").await;
    for way in WAYS {
        assert_eq!(explained(&world, way, false).await.1, "fits", "{way:?}");
        let (_, money) = explained(&world, way, true).await;
        let says =
            "more than the 0.000999999 USD of the budget `mine` that requests by id may use; lower its output limit";
        assert!(money.contains(says) && money.contains("raise the budget"), "{way:?}: {money}");
    }
}

/// The first failure costs nothing, the one behind it may: such a run is one of the few, with a minute to the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_may_have_been_paid_for_is_not_soon_followed_by_another() {
    let world = World::builder()
        .openai("openai")
        .claude("claude")
        .keeps()
        .start(|p| {
            let p = p.tier(QUICK).field(PATIENT);
            p.scene("chat", &[("openai", "gpt-6-sol"), ("claude", "claude-sonnet-5-5")])
        })
        .await;
    world.script("openai", vec![Rule::act(Act { retry_after: Some("1".to_owned()), ..Act::fault(Fault::RateLimit) })]);
    world.script("claude", vec![Rule::fault(Fault::Silence)]);
    let ask = world.app.say(Speech::Chat, "go on", false).header("prefer", "respond-async");
    let place = place(&ask.send().await.expect(StatusCode::ACCEPTED));
    eventually("it has run", || async { (world.seen("claude").len() == 1).then_some(()) }).await;
    sleep(Duration::from_secs(6)).await;
    assert_eq!(world.seen("claude").len(), 1, "it waits a minute");
    let pending = world.app.get(&place).send().await.expect(StatusCode::ACCEPTED);
    let wait: u64 = pending.header("retry-after").parse().unwrap_or_default();
    assert!((45..=60).contains(&wait), "{wait}: {}", pending.text());
}
