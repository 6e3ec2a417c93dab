//! Tries: how many, where, when, and who pays for them.

use std::time::Duration;

use harness::{Policy, Reply, Speech, World, policy::PATIENT};
use sim::{Act, Fault, Rule};
use tokio::time::Instant;

async fn ask(world: &World) -> Reply {
    world.app.say(Speech::Chat, "hi", false).send().await
}

/// One provider, so many tries.
async fn alone(tier: &str) -> World {
    World::builder().openai("openai").start(|p| p.tier(tier).field(PATIENT)).await
}

fn limited(retry_after: &str) -> Rule {
    Rule::act(Act { retry_after: Some(retry_after.to_owned()), ..Act::fault(Fault::RateLimit) })
}

const TIER: &str =
    "{name: t, timeouts: {firstByte: 2s, idle: 2s, total: 4s}, retries: {attempts: 3, base: 5ms, cap: 20ms}}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_after_that_fits_is_waited_for() {
    let world = alone(TIER).await;
    world.script("openai", vec![limited("1").times(1)]);
    let began = Instant::now();
    let reply = ask(&world).await;
    let took = began.elapsed();
    assert_eq!((reply.status, reply.header("x-llmroute-status")), (200, "ok"), "{}", reply.text());
    assert_eq!(reply.header("x-llmroute-attempts"), "2");
    assert!(took >= Duration::from_secs(1) && took < Duration::from_millis(2500), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_does_not_fit_is_refused_at_once_with_what_is_left_of_it() {
    let world = alone(TIER).await;
    world.script("openai", vec![limited("30").times(1)]);
    let first = ask(&world).await;
    assert_eq!((first.status, first.header("retry-after")), (429, "30"), "{}", first.text());
    assert_eq!(first.header("x-should-retry"), "false");
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let began = Instant::now();
    let second = ask(&world).await;
    assert!(began.elapsed() < Duration::from_millis(500));
    assert_eq!(second.status, 429, "{}", second.text());
    let left: u64 = second.header("retry-after").parse().expect("seconds");
    assert!((26..=28).contains(&left), "{left}");
    assert_eq!(world.seen("openai").len(), 1, "the hold is obeyed: nobody asked again");
    assert_eq!(second.header("x-llmroute-attempts"), "0");
    assert_eq!(second.header("x-llmroute-reason"), "openai_rate_limited");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_request_waits_for_a_hold_that_ends_in_time() {
    let world = alone("{name: t, timeouts: {firstByte: 2s, idle: 2s, total: 3s}, retries: {attempts: 1}}").await;
    world.script("openai", vec![limited("2").times(1)]);
    assert_eq!(ask(&world).await.status, 429);
    let began = Instant::now();
    let reply = ask(&world).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(began.elapsed() >= Duration::from_millis(1500), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_target_is_passed_by_at_once_when_another_stands_behind_it() {
    let world = World::builder().openai("openai").claude("claude").start(|p| p.tier(TIER).field(PATIENT)).await;
    world.script("openai", vec![limited("20").times(1)]);
    let began = Instant::now();
    for reason in ["openai_rate_limited", "openai_rate_limited"] {
        let reply = ask(&world).await;
        assert_eq!((reply.status, reply.header("x-llmroute-provider")), (200, "claude"));
        assert_eq!(reply.header("x-llmroute-reason"), reason);
    }
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(world.seen("openai").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeats_are_paid_from_a_budget_and_first_tries_are_not() {
    let world = alone("{name: t, timeouts: {firstByte: 2s, total: 4s}, retries: {attempts: 3, base: 1ms, cap: 1ms, budgetRatio: \"0.2\"}}").await;
    world.script("openai", vec![Rule::fault(Fault::ServerError)]);
    for _ in 0..30 {
        assert_eq!(ask(&world).await.status, 500);
    }
    assert_eq!(world.seen("openai").len(), 30 + 10, "ten repeats in ten seconds are free, no more without successes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_try_goes_to_a_provider_that_was_not_asked_yet() {
    let targets =
        [("openai", "gpt-6-sol"), ("openai", "gpt-6-luna"), ("openai", "gpt-5.4"), ("claude", "claude-sonnet-5-5")];
    let story = |p: Policy| p.scene("chat", &targets).tier(TIER).field(PATIENT);
    let world = World::builder().openai("openai").claude("claude").start(story).await;
    world.script("openai", vec![Rule::fault(Fault::ServerError)]);
    let reply = ask(&world).await;
    assert_eq!((reply.status, reply.header("x-llmroute-provider")), (200, "claude"));
    let models: Vec<_> = world.seen("openai").into_iter().map(|e| e.model).collect();
    assert_eq!(models, ["gpt-6-sol", "gpt-6-sol"], "while two tries are left the same target may have one more");

    // A slow target is not asked again, and its provider's other model comes before the switch.
    let world = World::builder().openai("openai").claude("claude").start(story).await;
    world.script("openai", vec![Rule::fault(Fault::Silence).model("gpt-6-sol")]);
    let reply = ask(&world).await;
    assert_eq!((reply.status, reply.header("x-llmroute-model")), (200, "gpt-6-luna"), "{:?}", reply.headers);
    assert_eq!(reply.header("x-llmroute-reason"), "openai_timeout_budget_exceeded");

    // A fault that blames the provider rules out all its models.
    let world = World::builder().openai("openai").claude("claude").start(story).await;
    world.script("openai", vec![Rule::fault(Fault::Unauthorized).model("gpt-6-sol")]);
    let reply = ask(&world).await;
    assert_eq!((reply.status, reply.header("x-llmroute-provider")), (200, "claude"));
    assert_eq!(reply.header("x-llmroute-attempts"), "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_failure_is_told_and_a_later_4xx_never_hides_it() {
    let world = World::builder().openai("openai").claude("claude").start(|p| p.tier(TIER).field(PATIENT)).await;
    world.script("openai", vec![Rule::fault(Fault::Unavailable)]);
    world.script("claude", vec![Rule::fault(Fault::BadRequest)]);
    let reply = ask(&world).await;
    assert_eq!((reply.status, reply.header("x-llmroute-reason")), (503, "openai_overloaded"), "{}", reply.text());
    assert_eq!(reply.json()["error"]["code"], "server_is_overloaded");
    assert_eq!(reply.header("x-should-retry"), "false");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_too_long_goes_only_to_a_larger_window() {
    let targets = [("openai", "gpt-6-sol"), ("openai", "gpt-5.4-mini"), ("claude", "claude-sonnet-5-5")];
    let world = World::builder()
        .openai("openai")
        .claude("claude")
        .start(|p| p.scene("chat", &targets).tier(TIER).field(PATIENT))
        .await;
    world.script("openai", vec![Rule::fault(Fault::ContextTooLong)]);
    let reply = ask(&world).await;
    assert_eq!((reply.status, reply.header("x-llmroute-provider")), (200, "claude"), "{}", reply.text());
    assert_eq!(reply.header("x-llmroute-reason"), "openai_context_too_long");
    assert_eq!(world.seen("openai").len(), 1, "the smaller model's window is no larger");
}
