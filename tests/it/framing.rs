//! One connection, many requests: each head is judged for itself, whatever went before it and in whatever pieces it comes.

use std::time::Duration;

use harness::{
    Policy, Speech, World,
    raw::Raw,
    stub::{self, Stub},
};

const MIB: usize = 1 << 20;
/// Longer than an answer takes here, shorter than any bound.
const QUIET: Duration = Duration::from_millis(700);

fn post(path: &str, lines: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: l\r\ncontent-type: application/json\r\n{lines}\r\n{body}")
}

fn counted(path: &str, body: &str) -> String {
    post(path, &format!("content-length: {}\r\n", body.len()), body)
}

/// Two ways to tell where its body ends.
fn ambiguous() -> String {
    post("/v1/chat/completions", "content-length: 4\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ambiguous_head_is_refused_whatever_came_before_it() {
    let world = World::pair().await;
    let body = Speech::Chat.body("hi", false).to_string();
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let stream = Speech::Chat.body("hi", true).to_string();
    for (what, before, status) in [
        ("a page", "GET / HTTP/1.1\r\nhost: l\r\n\r\n".to_owned(), 200),
        ("the models", "GET /v1/models HTTP/1.1\r\nhost: l\r\n\r\n".to_owned(), 200),
        ("an unknown path", counted("/v1/files", "{}"), 404),
        ("a wrong method", counted("/v1/models", "{}"), 405),
        ("a body that is no request", counted("/v1/chat/completions", "[]"), 400),
        ("a whole answer", counted("/v1/chat/completions", &body), 200),
        ("a stream", counted("/v1/chat/completions", &stream), 200),
        ("chunks", post("/v1/chat/completions", "transfer-encoding: chunked\r\n", &chunked), 200),
    ] {
        let mut one = Raw::connect(world.app.addr()).await;
        one.write(&before).await;
        let got = one.read(QUIET).await;
        assert_eq!((got.status(), got.closed), (status, false), "{what}: {got:?}");
        one.write(ambiguous()).await;
        let got = one.read(QUIET).await;
        assert!(got.status() == 400 && got.closed && got.answers() == 1, "{what}: {got:?}");
        // The same in one write, and with the head in two packets, of which the first ends the request before it.
        let both = before.clone() + &ambiguous();
        for at in [both.len(), before.len() + 30] {
            let mut one = Raw::connect(world.app.addr()).await;
            one.write(&both[..at]).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            one.write(&both[at..]).await;
            let got = one.read(QUIET).await;
            assert!(got.closed && got.text.contains("HTTP/1.1 400 "), "{what}, cut at {at}: {got:?}");
        }
    }
    let asked = world.seen("openai").len();
    assert_eq!(asked, 9, "nothing ambiguous reached a provider");
}

/// A body that is streamed through leaves the connection as any other does: one that comes whole, in its time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_upload_the_connection_goes_on() {
    let provider = Stub::start(|_| stub::json(r#"{"text":"hello"}"#)).await;
    let policy = Policy::new().provider("openai", "OpenAI", &provider.url()).scene("chat", &[("openai", "gpt-6-sol")]);
    let world = World::builder().start_with(&policy.yaml()).await;
    let head = |lines: &str| {
        format!(
            "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: l\r\ncontent-type: multipart/form-data; boundary=b\r\n{lines}\r\n"
        )
    };
    let data = "x".repeat(50_000);
    let sized = head(&format!("content-length: {}\r\n", data.len())) + &data;
    let chunked = head("transfer-encoding: chunked\r\n") + &format!("{:x}\r\n{data}\r\n0\r\n\r\n", data.len());
    let mut one = Raw::connect(world.app.addr()).await;
    for upload in [&sized, &chunked, &sized] {
        one.write(upload).await;
        let got = one.read(QUIET).await;
        assert_eq!((got.status(), got.closed, got.answers()), (200, false, 1), "{got:?}");
        assert_eq!(provider.seen().pop().expect("asked").body, data.as_bytes());
    }
    // What follows in the same write is served, too; and a contradiction is seen.
    one.write(chunked.clone() + &sized + &ambiguous()).await;
    let got = one.read(QUIET).await;
    assert_eq!((got.answers(), got.closed), (3, true), "{got:?}");
    assert!(got.text.contains("HTTP/1.1 400 "), "{got:?}");
    assert_eq!(provider.seen().len(), 5);
    // It may take longer than a head may, as long as something comes.
    let mut one = Raw::connect(world.app.addr()).await;
    one.write(&sized[..sized.len() - 20]).await;
    for i in (1..20).rev() {
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert!(one.write(&sized[sized.len() - i - 1..sized.len() - i]).await, "it is let go on");
    }
    one.write(&sized[sized.len() - 1..]).await;
    assert_eq!(one.read(QUIET).await.status(), 200);
}

/// An SDK sends all it has before it looks at the answer: it gets the refusal, not a broken connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_too_much_still_reads_why_not() {
    let world = World::pair().await;
    let length = 33 * MIB;
    let mut one = Raw::connect(world.app.addr()).await;
    one.write(post("/v1/chat/completions", &format!("content-length: {length}\r\n"), "")).await;
    for _ in 0..33 {
        assert!(one.write(vec![b' '; MIB]).await, "it is read to its end");
    }
    let got = one.read(Duration::from_secs(3)).await;
    assert!(got.status() == 413 && got.closed && got.text.contains("body_too_large"), "{got:?}");
}

/// What is no request is answered, counted and told like one that is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_request_is_told_too() {
    let world = World::pair().await;
    let got = harness::raw::send(world.app.addr(), "GET / HTTP/1.1\r\nno header\r\n\r\n").await;
    assert!(got.status() == 400 && got.closed, "{got:?}");
    for says in ["x-llmroute-status: refused", "x-llmroute-reason: bad_request", "\"invalid_request_error\"", "date: "]
    {
        assert!(got.text.contains(says), "{says}: {got:?}");
    }
}
