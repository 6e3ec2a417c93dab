//! Circuits: nobody waits for a target that is known to be dead.

use std::time::Duration;

use harness::{Reply, Speech, World, eventually, policy::QUICK};
use serde_json::Value;
use sim::{Act, Fault, Rule};
use tokio::time::{Instant, sleep};

const SHORT: &str = "breaker: {consecutiveFailures: 3, openFor: 1s, halfOpenProbes: 2, closeAfter: 2}";
const ONCE: &str =
    "{name: once, timeouts: {firstByte: 700ms, idle: 700ms, total: 2s}, retries: {attempts: 2, base: 1ms, cap: 2ms}}";

async fn ask(world: &World) -> Reply {
    world.app.say(Speech::Chat, "hi", false).send().await
}

/// The state of a provider's circuit, or of one of its models', as the admin port shows it.
async fn circuit(world: &World, provider: &str, model: Option<&str>) -> Value {
    let page = world.admin.get("/health/providers").send().await.json();
    let rows = page.as_array().or(page["providers"].as_array()).cloned().unwrap_or_default();
    let row = rows.into_iter().find(|r| r["name"] == provider).unwrap_or_default();
    match model {
        None => row["circuit"].clone(),
        Some(model) => {
            let models = row["models"].as_array().cloned().unwrap_or_default();
            models.into_iter().find(|m| m["name"] == model).unwrap_or_default()["circuit"].clone()
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_failures_open_it_and_then_nobody_waits() {
    let world = World::builder().openai("openai").claude("claude").start(|p| p.tier(ONCE).field(SHORT)).await;
    world.script("openai", vec![Rule::fault(Fault::Silence)]);
    for _ in 0..3 {
        let reply = ask(&world).await;
        assert_eq!(reply.header("x-llmroute-reason"), "openai_timeout_budget_exceeded");
        assert_eq!(reply.header("x-llmroute-attempts"), "2");
    }
    let began = Instant::now();
    let reply = ask(&world).await;
    assert!(began.elapsed() < Duration::from_millis(300), "{:?}", began.elapsed());
    assert_eq!((reply.status, reply.header("x-llmroute-status")), (200, "degraded"));
    assert_eq!(reply.header("x-llmroute-reason"), "openai_circuit_open");
    assert_eq!(reply.header("x-llmroute-attempts"), "1");
    assert_eq!(reply.json()["llmroute"]["reason"], "openai_circuit_open");
    assert_eq!(world.seen("openai").len(), 3);
    assert_eq!(circuit(&world, "openai", Some("gpt-6-sol")).await, "open");
    assert_eq!(circuit(&world, "claude", Some("claude-sonnet-5-5")).await, "closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_lets_two_probes_in_and_closes_after_two() {
    let world = World::builder().openai("openai").claude("claude").start(|p| p.tier(ONCE).field(SHORT)).await;
    world.script("openai", vec![Rule::fault(Fault::ServerError)]);
    for _ in 0..3 {
        ask(&world).await;
    }
    let tried = world.seen("openai").len();
    assert_eq!(tried, 3);
    // Slow enough that all of these overlap.
    world.script("openai", vec![Rule::act(Act { head_ms: Some(300), ..Act::default() })]);
    sleep(Duration::from_millis(1200)).await;
    let replies = futures_util::future::join_all((0..8).map(|_| ask(&world))).await;
    assert_eq!(world.seen("openai").len() - tried, 2, "two probes");
    assert!(replies.iter().all(|r| r.status == 200));
    eventually("the circuit closes", || async {
        (circuit(&world, "openai", Some("gpt-6-sol")).await == "closed").then_some(())
    })
    .await;
    assert_eq!(ask(&world).await.header("x-llmroute-status"), "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_caller_did_wrong_opens_nothing() {
    let world = World::builder().openai("openai").claude("claude").start(|p| p.tier(QUICK).field(SHORT)).await;
    for fault in [Fault::BadRequest, Fault::Unprocessable, Fault::TooLarge, Fault::NotFound, Fault::ContextTooLong] {
        world.script("openai", vec![Rule::fault(fault)]);
        for _ in 0..4 {
            ask(&world).await;
        }
    }
    assert_eq!(circuit(&world, "openai", Some("gpt-6-sol")).await, "closed");
    world.script("openai", vec![]);
    assert_eq!(ask(&world).await.header("x-llmroute-status"), "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_models_circuit_leaves_the_providers_other_models_alone() {
    let world = World::builder()
        .openai("openai")
        .claude("claude")
        .start(|p| {
            let targets = [("openai", "gpt-6-sol"), ("openai", "gpt-6-luna"), ("claude", "claude-sonnet-5-5")];
            p.scene("chat", &targets).tier(QUICK).field(SHORT)
        })
        .await;
    world.script("openai", vec![Rule::fault(Fault::Silence).model("gpt-6-sol")]);
    for _ in 0..4 {
        let reply = ask(&world).await;
        assert_eq!((reply.status, reply.header("x-llmroute-model")), (200, "gpt-6-luna"), "{:?}", reply.headers);
        assert_eq!(reply.header("x-llmroute-status"), "degraded");
    }
    assert_eq!(circuit(&world, "openai", Some("gpt-6-sol")).await, "open");
    assert_eq!(circuit(&world, "openai", Some("gpt-6-luna")).await, "closed");
    assert!(world.seen("claude").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_are_open_the_one_due_soonest_is_still_tried() {
    let world = World::builder()
        .openai("openai")
        .claude("claude")
        .start(|p| p.tier(ONCE).field("breaker: {consecutiveFailures: 3, openFor: 1m}"))
        .await;
    for name in ["openai", "claude"] {
        world.script(name, vec![Rule::fault(Fault::ServerError)]);
    }
    for _ in 0..3 {
        assert_eq!(ask(&world).await.status, 500);
    }
    let tried = || (world.seen("openai").len(), world.seen("claude").len());
    assert_eq!(tried(), (3, 3));
    let reply = ask(&world).await;
    assert_eq!(reply.header("x-llmroute-attempts"), "1", "one try, though every circuit is open");
    // Open times are spread by a tenth, so either may be due first.
    assert!([(4, 3), (3, 4)].contains(&tried()), "{:?}", tried());
    for name in ["openai", "claude"] {
        world.script(name, vec![]);
    }
    assert_eq!(ask(&world).await.status, 200, "and its success is an answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circuit_survives_a_reload_of_the_policy() {
    let world = World::builder()
        .openai("openai")
        .claude("claude")
        .start(|p| p.tier(ONCE).field("breaker: {consecutiveFailures: 3, openFor: 1m}"))
        .await;
    world.script("openai", vec![Rule::fault(Fault::ServerError)]);
    for _ in 0..3 {
        ask(&world).await;
    }
    let yaml = std::fs::read_to_string(world.policy_file()).expect("the policy");
    world.put(&yaml.replace("openFor: 1m", "openFor: 2m"));
    assert_eq!(ask(&world).await.header("x-llmroute-reason"), "openai_circuit_open");
    assert_eq!(world.seen("openai").len(), 3);
}
