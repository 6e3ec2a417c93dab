//! Callers that leave, hurry, or come again.

use std::time::Duration;

use harness::{Speech, World, eventually, policy::PATIENT};
use sim::{Act, Ended, Fault, Rule};
use tokio::time::{Instant, timeout};

const SLOW: &str = "{name: slow, timeouts: {firstByte: 20s, idle: 20s, total: 20s}, retries: {attempts: 3}}";

async fn slow_world() -> World {
    World::builder().openai("openai").claude("claude").start(|p| p.tier(SLOW).field(PATIENT)).await
}

/// The provider notices within this time that nobody listens any more.
const AT_ONCE: Duration = Duration::from_millis(700);

async fn left_alone(world: &World) {
    let began = Instant::now();
    eventually("the provider's connection is closed", || async {
        world.seen("openai").iter().all(|e| e.ended == Some(Ended::ClientGone)).then_some(())
    })
    .await;
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    assert_eq!(
        (world.seen("openai").len(), world.seen("claude").len()),
        (1, 0),
        "nobody else was asked for a caller who left"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_leaves_before_the_head_cancels_the_call() {
    for stream in [false, true] {
        let world = slow_world().await;
        world.script("openai", vec![Rule::act(Act { ms: Some(15_000), ..Act::fault(Fault::SlowHead) })]);
        let asking = world.app.say(Speech::Chat, "hi", stream).open();
        assert!(timeout(Duration::from_millis(300), asking).await.is_err(), "no answer yet");
        left_alone(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_leaves_a_plain_answer_half_way_cancels_it() {
    let world = slow_world().await;
    world.script("openai", vec![Rule::fault(Fault::StalledBody)]);
    let asking = world.app.say(Speech::Chat, "hi", false).open();
    assert!(timeout(Duration::from_millis(300), asking).await.is_err(), "no answer yet");
    left_alone(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_leaves_a_stream_cancels_it() {
    for speech in Speech::ALL {
        let world = World::builder()
            .openai("openai")
            .claude("claude")
            .start(|p| {
                p.tier(SLOW).field(PATIENT).scene("chat", &[("openai", "gpt-6-sol"), ("claude", "claude-sonnet-5-5")])
            })
            .await;
        world.script("openai", vec![Rule::act(Act { event_ms: Some(100), words: Some(1000), ..Act::default() })]);
        let mut stream = world.app.say(speech, "hi", true).open().await.expect("a head");
        while speech.listen(&[stream.next().await.expect("an event")]).text.is_empty() {}
        drop(stream);
        left_alone(&world).await;
        let bill = world.sim("openai").bill();
        assert!(bill.total.output_tokens < 100, "the rest was never made: {:?}", bill.total);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_answer_leaves_before_the_caller_gives_up() {
    // Five percent and at least 200 ms before the caller's own limit, whichever SDK tells it.
    for (header, seconds, within_ms) in [
        ("x-stainless-read-timeout", "2", 1800),
        ("x-stainless-timeout", "2", 1800),
        ("x-stainless-read-timeout", "1.5", 1300),
    ] {
        let world = slow_world().await;
        for name in ["openai", "claude"] {
            world.script(name, vec![Rule::fault(Fault::Silence)]);
        }
        let began = Instant::now();
        let reply = world.app.say(Speech::Messages, "hi", false).header(header, seconds).send().await;
        let took = began.elapsed();
        assert_eq!(reply.status, 504, "{}", reply.text());
        assert_eq!(reply.json()["error"]["type"], "timeout_error");
        let within = Duration::from_millis(within_ms);
        assert!(took <= within + Duration::from_millis(150) && took >= within / 2, "{header}: {took:?}");
    }
    // Nonsense is ignored.
    let world = slow_world().await;
    for value in ["0", "-1", "soon", "nan", "1e99"] {
        let reply = world.app.say(Speech::Chat, "hi", false).header("x-stainless-read-timeout", value).send().await;
        assert_eq!(reply.status, 200, "{value}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_latency_hint_bounds_the_total() {
    let world = slow_world().await;
    for name in ["openai", "claude"] {
        world.script(name, vec![Rule::fault(Fault::Silence)]);
    }
    let began = Instant::now();
    let reply = world.app.say(Speech::Chat, "hi", true).header("x-llmroute-max-latency-ms", "600").send().await;
    assert_eq!(reply.status, 504, "{}", reply.text());
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(550) && took < Duration::from_millis(1500), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_after_our_tries_asks_for_no_more() {
    let world = slow_world().await;
    for name in ["openai", "claude"] {
        world.script(name, vec![Rule::fault(Fault::ServerError)]);
    }
    for speech in Speech::ALL {
        let reply = world.app.say(speech, "hi", false).header("x-stainless-retry-count", "1").send().await;
        assert_eq!((reply.status, reply.header("x-should-retry")), (500, "false"), "{}", reply.text());
    }
}
