//! Right by the contract, and not yet so.

use std::time::Duration;

use harness::{Speech, World, policy::PATIENT, raw};
use sim::{Fault, Rule};
use tokio::time::{Instant, timeout};

async fn timed(world: &World, stream: bool) -> (harness::Reply, Duration) {
    let began = Instant::now();
    let reply = world.app.say(Speech::Chat, "hi", stream).send().await;
    (reply, began.elapsed())
}

fn near(took: Duration, ms: u64) {
    let (low, high) = (Duration::from_millis(ms), Duration::from_millis(ms + 1200));
    assert!(took >= low && took < high, "{took:?}, not {low:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_byte_on_the_last_try_too() {
    // No other try is possible, so the preamble goes out at once; the first content is still due in time.
    let world = World::builder()
        .openai("openai")
        .start(|p| p.tier("{name: t, timeouts: {firstByte: 500ms}, retries: {attempts: 1}}").field(PATIENT))
        .await;
    for fault in [Fault::SlowFirstToken, Fault::EndlessPings] {
        world.script("openai", vec![Rule::fault(fault)]);
        let answer = timeout(Duration::from_secs(2), timed(&world, true)).await;
        let (reply, took) = answer.unwrap_or_else(|_| panic!("{}: still no content", fault.name()));
        let heard = Speech::Chat.listen(&reply.events());
        assert_eq!((heard.text.as_str(), heard.ends, heard.errors.len()), ("", 0, 1), "{}: {heard:?}", fault.name());
        near(took, 500);
    }
}

const ONCE: &str =
    "{name: once, timeouts: {firstByte: 700ms, idle: 700ms, total: 2s}, retries: {attempts: 2, base: 1ms, cap: 2ms}}";

async fn ask(world: &World) -> harness::Reply {
    timed(world, false).await.0
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
    let tried = (world.seen("openai").len(), world.seen("claude").len());
    assert_eq!(tried, (3, 3));
    let reply = ask(&world).await;
    assert_eq!(reply.header("x-llmroute-attempts"), "1", "one try, though every circuit is open");
    assert_eq!((world.seen("openai").len(), world.seen("claude").len()), (4, 3), "openai opened first");
    for name in ["openai", "claude"] {
        world.script(name, vec![]);
    }
    assert_eq!(ask(&world).await.status, 200, "and its success is an answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_coding_that_we_do_not_undo_is_refused() {
    let world = World::pair().await;
    let body = Speech::Chat.body("hi", false).to_string();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: l\r\ntransfer-encoding: gzip, chunked\r\n\r\n";
    let got = raw::send(world.app.addr(), format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len())).await;
    assert!([400, 501].contains(&got.status()) && got.closed, "{got:?}");
}
