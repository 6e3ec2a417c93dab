//! Five timeouts, apart.

use std::time::Duration;

use harness::{
    Policy, Reply, Speech, World,
    policy::PATIENT,
    stub::{self, Piece, Stub},
};
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use sim::{Act, Fault, Rule};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep},
};

/// Everything far away but what `near` sets; another try is possible, so that a preamble is held.
fn tier(near: &str) -> String {
    tier_of(near, 2)
}

fn tier_of(near: &str, attempts: u32) -> String {
    let mut times = vec![];
    for name in ["connect", "tls", "firstByte", "idle", "total"] {
        if !near.contains(&format!("{name}:")) {
            times.push(format!("{name}: 30s"));
        }
    }
    times.push(near.to_owned());
    format!("{{name: t, timeouts: {{{}}}, retries: {{attempts: {attempts}, base: 1ms, cap: 1ms}}}}", times.join(", "))
}

async fn timed(world: &World, stream: bool) -> (Reply, Duration) {
    let began = Instant::now();
    let reply = world.app.say(Speech::Chat, "hi", stream).send().await;
    (reply, began.elapsed())
}

fn near(took: Duration, ms: u64) {
    let (low, high) = (Duration::from_millis(ms), Duration::from_millis(ms + 1200));
    assert!(took >= low && took < high, "{took:?}, not {low:?}");
}

#[track_caller]
fn late(reply: &Reply, reason: &str) {
    assert_eq!((reply.status, reply.header("x-llmroute-reason")), (504, reason), "{}", reply.text());
    assert_eq!(reply.header("x-llmroute-status"), "failed");
    assert_eq!(reply.json()["error"]["type"], "timeout_error");
}

async fn over(url: &str, near: &str) -> World {
    let policy = Policy::new().provider("openai", "OpenAI", url).scene("chat", &[("openai", "gpt-6-sol")]);
    World::builder().start_with(&policy.tier(&tier(near)).field(PATIENT).yaml()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connect() {
    // A full backlog: the kernel drops further SYNs, so connecting neither succeeds nor fails.
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let full = net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    net::bind(&full, &any).expect("a port");
    net::listen(&full, 0).expect("listens");
    let addr: std::net::SocketAddr = net::getsockname(&full).expect("an address").try_into().expect("IPv4");
    let mut crowd = vec![];
    for _ in 0..4 {
        let flags = SocketFlags::NONBLOCK;
        let one = net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).expect("a socket");
        let _ = net::connect(&one, &addr);
        crowd.push(one);
    }
    sleep(Duration::from_millis(50)).await;
    let world = over(&format!("http://{addr}"), "connect: 400ms").await;
    let (reply, took) = timed(&world, false).await;
    late(&reply, "openai_connect_timeout");
    near(took, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = silent.local_addr().expect("an address");
    let accepting = tokio::spawn(async move {
        let mut kept = vec![];
        while let Ok(one) = silent.accept().await {
            kept.push(one);
        }
    });
    let world = over(&format!("https://{addr}"), "tls: 400ms").await;
    let (reply, took) = timed(&world, false).await;
    late(&reply, "openai_connect_timeout");
    near(took, 400);
    accepting.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_byte() {
    let world = World::builder().openai("openai").start(|p| p.tier(&tier("firstByte: 500ms")).field(PATIENT)).await;
    // A stream's preamble and pings do not stop it; a plain answer's head does.
    for fault in [Fault::SlowFirstToken, Fault::EndlessPings, Fault::Silence] {
        world.script("openai", vec![Rule::fault(fault)]);
        let (reply, took) = timed(&world, true).await;
        late(&reply, "openai_timeout_budget_exceeded");
        near(took, 500);
    }
    world.script("openai", vec![Rule::fault(Fault::SlowHead)]);
    let (reply, took) = timed(&world, false).await;
    late(&reply, "openai_timeout_budget_exceeded");
    near(took, 500);
    // Slow, but in time.
    world.script("openai", vec![Rule::act(Act { first_ms: Some(250), event_ms: Some(40), ..Act::default() })]);
    let (reply, _) = timed(&world, true).await;
    assert_eq!(Speech::Chat.listen(&reply.events()).ends, 1);
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
        let answer = tokio::time::timeout(Duration::from_secs(2), timed(&world, true)).await;
        let (reply, took) = answer.unwrap_or_else(|_| panic!("{}: still no content", fault.name()));
        let heard = Speech::Chat.listen(&reply.events());
        assert_eq!((heard.text.as_str(), heard.ends, heard.errors.len()), ("", 0, 1), "{}: {heard:?}", fault.name());
        near(took, 500);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle() {
    let world = World::builder().openai("openai").start(|p| p.tier(&tier("idle: 500ms")).field(PATIENT)).await;
    world.script("openai", vec![Rule::fault(Fault::StalledBody)]);
    let (reply, took) = timed(&world, false).await;
    late(&reply, "openai_timeout_budget_exceeded");
    near(took, 500);
    let (reply, took) = timed(&world, true).await;
    let heard = Speech::Chat.listen(&reply.events());
    assert_eq!((reply.status, heard.ends, heard.errors.len()), (200, 0, 1), "{heard:?}");
    assert_eq!(heard.errors[0]["type"], "timeout_error");
    near(took, 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_count_for_idle() {
    let mut pieces = vec![Piece::Bytes(stub::STREAM_HEAD.to_vec())];
    let mut say = |text: &str| pieces.push(Piece::Bytes(stub::chunk(text.as_bytes())));
    say(
        "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"a\"}}]}\n\n",
    );
    for _ in 0..6 {
        pieces.push(Piece::Pause(Duration::from_millis(300)));
        pieces.push(Piece::Bytes(stub::chunk(b": ping\n\n")));
    }
    let end =
        "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    pieces.push(Piece::Bytes(stub::chunk(end.as_bytes())));
    pieces.push(Piece::Bytes(b"0\r\n\r\n".to_vec()));
    let stub = Stub::start(move |_| pieces.clone()).await;
    let world = over(&stub.url(), "idle: 700ms, total: 1s").await;
    let (reply, took) = timed(&world, true).await;
    let heard = Speech::Chat.listen(&reply.events());
    assert_eq!((heard.text.as_str(), heard.ends, heard.errors.len()), ("a", 1, 0), "{}", reply.text());
    near(took, 1800);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn total() {
    // A plain answer that dribbles: never idle, never done.
    let stub = Stub::start(|_| {
        let mut pieces = vec![Piece::Bytes(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{".to_vec(),
        )];
        for _ in 0..40 {
            pieces.extend([Piece::Pause(Duration::from_millis(100)), Piece::Bytes(b" ".to_vec())]);
        }
        pieces
    })
    .await;
    let world = over(&stub.url(), "total: 700ms").await;
    let (reply, took) = timed(&world, false).await;
    late(&reply, "openai_timeout_budget_exceeded");
    near(took, 700);

    // A stream that has not begun.
    let world = World::builder().openai("openai").start(|p| p.tier(&tier("total: 700ms")).field(PATIENT)).await;
    world.script("openai", vec![Rule::fault(Fault::SlowFirstToken)]);
    let (reply, took) = timed(&world, true).await;
    late(&reply, "openai_timeout_budget_exceeded");
    near(took, 700);

    // One that has begun is bounded by `idle` alone.
    world.script("openai", vec![Rule::act(Act { event_ms: Some(60), ..Act::default() })]);
    let (reply, took) = timed(&world, true).await;
    assert!(took > Duration::from_millis(1000), "{took:?}");
    assert_eq!(Speech::Chat.listen(&reply.events()).ends, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn total_spans_all_tries() {
    let world = World::builder()
        .openai("openai")
        .claude("claude")
        .start(|p| {
            p.tier("{name: t, timeouts: {firstByte: 600ms, idle: 5s, total: 900ms}, retries: {attempts: 3}}")
                .field(PATIENT)
        })
        .await;
    for name in ["openai", "claude"] {
        world.script(name, vec![Rule::fault(Fault::Silence)]);
    }
    let (reply, took) = timed(&world, true).await;
    late(&reply, "openai_timeout_budget_exceeded");
    near(took, 900);
    assert_eq!((world.seen("openai").len(), world.seen("claude").len()), (1, 1));
}
