//! Many large bodies at once stay inside the byte budget, and the process inside its memory.

use bytes::Bytes;
use futures_util::future::join_all;
use harness::{
    Caller, Metrics, Policy, Program, Speech, World, eventually, heavy,
    policy::PATIENT,
    stub::{self, Piece, Stub},
};
use serde_json::json;
use sim::{Act, Fault, Rule};
use tokio::{
    task::JoinHandle,
    time::{Duration, sleep},
};

const MIB: usize = 1 << 20;
/// A provider that takes in so much is slow to accept, too.
const SLOW: &str = "timeouts: {connect: 30s, firstByte: 30s, idle: 30s, total: 120s}";

/// A request of about 30 MiB: one long prompt.
fn large() -> Bytes {
    Speech::Chat.body(&"word ".repeat(6 * MIB), false).to_string().into()
}

/// All at once; answers by status.
async fn storm(app: &Caller, count: usize) -> (usize, usize) {
    let body = large();
    assert!(body.len() > 30 * MIB - 100);
    let replies = join_all((0..count).map(|_| app.post("/v1/chat/completions", body.clone()).try_send())).await;
    let (mut served, mut refused) = (0, 0);
    for reply in replies {
        match reply {
            // The provider has read it, and has a word of its own for a prompt of six million tokens.
            Ok(reply) if reply.status == 422 => served += 1,
            Ok(reply) => {
                assert_eq!(
                    (reply.status, reply.header("x-llmroute-reason")),
                    (503, "sidecar_overloaded"),
                    "{}",
                    reply.text()
                );
                assert_eq!(reply.header("x-should-retry"), "true");
                refused += 1;
            }
            // The answer came while the body was still being sent, and the connection closed behind it.
            Err(_) => refused += 1,
        }
    }
    (served, refused)
}

/// Bytes of bodies that are held, and how many may be.
async fn bodies(admin: &Caller) -> (u64, u64) {
    let page = Metrics::parse(&admin.get("/metrics").send().await.text());
    let bytes = |name| page.get(name, &[]).expect("a gauge") as u64;
    (bytes("llmroute_body_bytes_held"), bytes("llmroute_body_bytes_limit"))
}

/// All that the gauge says, until the end.
fn watch(admin: &Caller) -> JoinHandle<Vec<u64>> {
    let admin = admin.clone();
    tokio::spawn(async move {
        let mut seen = vec![];
        loop {
            let (held, limit) = bodies(&admin).await;
            assert!(held <= limit, "{held} of {limit}");
            seen.push(held);
            // It was full, and is empty again.
            if held == 0 && seen.iter().any(|held| *held > 0) {
                return seen;
            }
            sleep(Duration::from_millis(10)).await;
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_of_thirty_mebibytes() {
    let _turn = heavy::turn().await;
    let world = World::builder()
        .openai("openai")
        .wide()
        .start(|p| {
            p.scene("chat", &[("openai", "")])
                .tier(&format!("{{name: t, {SLOW}, retries: {{attempts: 1}}}}"))
                .field(PATIENT)
        })
        .await;
    // Refused by its context length, after it has been read; slowly, so that bodies pile up.
    world.script("openai", vec![Rule::act(Act { head_ms: Some(100), ..Act::fault(Fault::Unprocessable) })]);
    let program = Program::builder(&world.policy_file()).credentials(&world.dir.join("keys")).start().await;
    let before = program.memory_kib("VmRSS:");
    assert_eq!(bodies(&program.admin).await, (0, 256 << 20));
    let watching = watch(&program.admin);
    let (served, refused) = storm(&program.app, 200).await;
    let seen = watching.await.expect("the gauge is within the budget");
    // As many bodies as fit at a time, and no more.
    let most = seen.iter().max().copied().unwrap_or_default() as usize;
    assert!(most > 3 * 30 * MIB, "{most} of {} looks", seen.len());
    println!("at most {} MiB of bodies in {} looks, {served} served, {refused} refused", most / MIB, seen.len());
    eventually("all room is given back", || async { (bodies(&program.admin).await.0 == 0).then_some(()) }).await;
    let peak = program.memory_kib("VmHWM:");
    assert!(served > 0 && served + refused == 200, "{served} served, {refused} refused");
    // No container limit here: 256 MiB for bodies, and what the program needs by itself.
    assert!(peak < before + (256 + 96) * 1024, "{} MiB at the peak, {} MiB before", peak / 1024, before / 1024);
    world.script("openai", vec![]);
    let small = program.app.say(Speech::Chat, "still there?", false).send().await;
    assert_eq!(small.status, 200, "{}", small.text());
}

/// A body near the limit fails at the first candidate, by a refusal and by a connection that dies, and comes whole to the
/// second; then all its room is free.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_near_the_limit_is_sent_again_whole() {
    let _turn = heavy::turn().await;
    let numbers: String = (0u32..).map(|n| format!("{n:x} ")).take(6 * MIB).collect();
    let body = Bytes::from(Speech::Chat.body(&numbers[..32 * MIB - 500], false).to_string());
    assert!(body.len() > 32 * MIB - 500 && body.len() <= 32 * MIB, "{}", body.len());
    for dies in [false, true] {
        let first = Stub::start(move |_| match dies {
            true => vec![Piece::Close],
            false => stub::answer("500 Oops", "application/json", r#"{"error":{"message":"m","type":"server_error"}}"#),
        });
        let answer = json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-6-sol", "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}]});
        let (first, second) = (first.await, Stub::start(move |_| stub::json(answer.to_string())).await);
        let wide = ", models: [{name: gpt-6-sol, contextTokens: 1000000000}]";
        let policy = Policy::new()
            .provider_with("first", "OpenAI", &first.url(), wide)
            .provider_with("second", "OpenAI", &second.url(), wide)
            .scene("chat", &[("first", "gpt-6-sol"), ("second", "gpt-6-sol")])
            .tier(&format!("{{name: t, {SLOW}, retries: {{attempts: 2, base: 5ms, cap: 5ms}}}}"))
            .field(PATIENT);
        // Room for one such body, and for no copy of it.
        let world = World::builder().memory(40 * MIB).start_with(&policy.yaml()).await;
        let reply = world.app.post("/v1/chat/completions", body.clone()).send().await;
        assert_eq!((reply.status, reply.header("x-llmroute-provider")), (200, "second"), "{}", reply.text());
        let reason = if dies { "first_connection_lost" } else { "first_server_error" };
        assert_eq!((reply.header("x-llmroute-reason"), reply.header("x-llmroute-attempts")), (reason, "2"));
        for stub in [&first, &second] {
            let seen = stub.seen();
            assert!(seen.len() == 1 && seen[0].body == body, "{} of {} bytes", seen[0].body.len(), body.len());
        }
        eventually("all room is given back", || async { (world.state.memory.held() == 0).then_some(()) }).await;
    }
}
