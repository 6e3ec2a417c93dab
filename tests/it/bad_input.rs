//! Whatever is sent, the answer is the one that the contract names, and everyone else is served.

use std::{fmt::Write as _, io::Write as _, time::Duration};

use bytes::Bytes;
use harness::{Program, Speech, World, raw, raw::Raw, temp::TempDir};
use hyper::Method;
use serde_json::Value;
use tokio::time::Instant;

const MIB: usize = 1 << 20;

/// The world still answers.
async fn alive(world: &World) {
    let reply = world.app.say(Speech::Chat, "still there?", false).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

fn head(more: &str) -> String {
    format!("POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{more}\r\n")
}

fn small() -> String {
    Speech::Chat.body("hi", false).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ambiguous_framing_is_a_400_and_closes() {
    let world = World::pair().await;
    let body = small();
    let length = body.len();
    let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    let smuggled = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    // Whatever a coding is called: it is chunked and nothing else, or the end of the body is anybody's guess.
    let coded = |lines: &str| head(lines) + &chunked;
    let counted = |lines: &str| head(lines) + &body;
    // Chunks of which one is bad.
    let in_chunks = |chunks: &str| head("transfer-encoding: chunked\r\n") + chunks;
    let old = |lines: &str| head(lines).replace("HTTP/1.1", "HTTP/1.0");
    let rows = [
        ("both lengths", head(&format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n")) + &chunked),
        (
            "both, the other way round",
            head(&format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n")) + &chunked,
        ),
        (
            "both, and a request hidden behind",
            head("content-length: 4\r\ntransfer-encoding: chunked\r\n") + "0\r\n\r\n" + smuggled,
        ),
        (
            "both, behind empty lines",
            "\r\n\r\n".to_owned()
                + &head(&format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"))
                + &chunked,
        ),
        ("two lengths", head(&format!("content-length: {length}\r\ncontent-length: 5\r\n")) + &body),
        ("a list of lengths", head(&format!("content-length: {length}, 5\r\n")) + &body),
        ("a length with a sign", head(&format!("content-length: +{length}\r\n")) + &body),
        ("a negative length", head("content-length: -1\r\n") + &body),
        ("a chunk size that is none", head("transfer-encoding: chunked\r\n") + "zz\r\n" + &body),
        ("a chunk longer than it says", head("transfer-encoding: chunked\r\n") + "3\r\n" + &body + "\r\n0\r\n\r\n"),
        ("a chunk size without bound", head("transfer-encoding: chunked\r\n") + "ffffffffffffffffff\r\n" + &body),
        ("chunked not last", coded("transfer-encoding: chunked, gzip\r\n")),
        ("chunked, and no coding behind it", coded("transfer-encoding: chunked, identity\r\n")),
        ("no coding at all, by name", coded("transfer-encoding: identity\r\n")),
        ("no coding, then chunked", coded("transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n")),
        ("chunked twice", coded("transfer-encoding: chunked, chunked\r\n")),
        ("chunked in two headers", coded("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n")),
        ("nearly chunked", coded("transfer-encoding: xchunked\r\n")),
        ("chunked in quotes", coded("transfer-encoding: \"chunked\"\r\n")),
        ("chunked behind a vertical tab", coded("transfer-encoding: \x0bchunked\r\n")),
        ("chunked with a parameter", coded("transfer-encoding: chunked;q=1\r\n")),
        ("an empty coding", coded("transfer-encoding:\r\n")),
        ("a coding whose name has a space", coded("transfer-encoding : chunked\r\n")),
        ("a folded coding", coded("transfer-encoding:\r\n chunked\r\n")),
        ("both, one name with a space", coded(&format!("content-length: {length}\r\ntransfer-encoding : chunked\r\n"))),
        ("an old version with chunks", old("transfer-encoding: chunked\r\n") + &chunked),
        (
            "an old version with both",
            old(&format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n")) + &chunked,
        ),
        ("an empty length", counted("content-length:\r\n")),
        ("a length in hexadecimal", counted(&format!("content-length: 0x{length:x}\r\n"))),
        ("a length of two numbers", counted("content-length: 1 0\r\n")),
        ("a length without bound", counted("content-length: 99999999999999999999\r\n")),
        ("a length behind a bare LF", counted(&format!("x-a: b\ncontent-length: 3\r\ncontent-length: {length}\r\n"))),
        ("a NUL in a name", counted(&format!("x-\0a: b\r\ncontent-length: {length}\r\n"))),
        ("a header without a name", counted(&format!(": b\r\ncontent-length: {length}\r\n"))),
        ("a header without a colon", counted(&format!("x-a\r\ncontent-length: {length}\r\n"))),
        ("a chunk size with a sign", in_chunks(&format!("+{chunked}"))),
        ("a negative chunk size", in_chunks("-1\r\n{}\r\n0\r\n\r\n")),
        ("a chunk size with 0x", in_chunks(&format!("0x{chunked}"))),
        ("no chunk size", in_chunks(&format!("\r\n{chunked}"))),
        ("a chunk size that ends in a bare LF", in_chunks(&chunked.replacen("\r\n", "\n", 1))),
        ("a chunk size just past 64 bits", in_chunks(&format!("10000000000000002\r\n{body}"))),
        ("a chunk extension without end", in_chunks(&format!("{length:x};{}\r\n{body}", "x".repeat(70_000)))),
        ("trailers without end", in_chunks(&format!("{length:x}\r\n{body}\r\n0\r\nx: {}", "y".repeat(200_000)))),
        ("a NUL in the path", "GET /\0 HTTP/1.1\r\nhost: l\r\n\r\n".to_owned()),
        ("a path with spaces", "GET / / HTTP/1.1\r\nhost: l\r\n\r\n".to_owned()),
        ("HTTP/0.9", "GET /\r\n\r\n".to_owned()),
        ("a name with a space", head(&format!("content-length : {length}\r\n")) + &body),
        ("a folded header", head(&format!("x-a: b\r\n c\r\ncontent-length: {length}\r\n")) + &body),
        ("a bare CR", head(&format!("x-a: b\rcontent-length: 3\r\ncontent-length: {length}\r\n")) + &body),
        ("a NUL", head(&format!("x-a: b\0c\r\ncontent-length: {length}\r\n")) + &body),
        ("no HTTP at all", "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\u{3}\r\n\r\n".to_owned()),
        ("a version of its own", "GET / HTTP/3.7\r\nhost: localhost\r\n\r\n".to_owned()),
    ];
    let addr = world.app.addr();
    let mut wrong = vec![];
    for (what, bytes) in rows {
        let got = raw::send(addr, bytes).await;
        if got.status() != 400 || !got.closed || got.answers() != 1 {
            wrong.push(format!("{what}: {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(world.seen("openai").is_empty(), "nothing of it reached a provider");
    assert!(world.seen("claude").is_empty(), "nothing of it reached a provider");
    alive(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_coding_that_we_do_not_undo_is_refused() {
    let world = World::pair().await;
    let body = Speech::Chat.body("hi", false).to_string();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: l\r\ntransfer-encoding: gzip, chunked\r\n\r\n";
    let got = raw::send(world.app.addr(), format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len())).await;
    assert!(got.status() == 400 && got.closed, "{got:?}");
}

/// A proxy would be asked so, and we are none: what counts is the path, and no tunnel is opened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_of_every_form() {
    let world = World::pair().await;
    let addr = world.app.addr();
    let body = small();
    let length = body.len();
    let absolute =
        head(&format!("content-length: {length}\r\n")).replace(" /v1", " http://elsewhere.example/v1") + &body;
    let got = raw::send(addr, absolute).await;
    assert_eq!((got.status(), world.seen("openai").len()), (200, 1), "{got:?}");
    for (what, line, status) in [
        ("a foreign page", "GET http://elsewhere.example/secret", 404),
        ("a tunnel", "CONNECT api.openai.com:443", 404),
        ("a tunnel to a path", "CONNECT /v1/chat/completions", 405),
        ("the server as a whole", "OPTIONS *", 404),
        ("a relative path", "GET v1/models", 400),
    ] {
        let got = raw::send(addr, format!("{line} HTTP/1.1\r\nhost: l\r\n\r\n")).await;
        assert_eq!((got.status(), got.answers()), (status, 1), "{what}: {got:?}");
    }
    assert_eq!(world.seen("openai").len(), 1);
    // Another protocol has no word that we could answer in.
    let got = raw::send(addr, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    assert!(got.closed && got.text.is_empty(), "{got:?}");
    alive(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hop_by_hop_headers_end_here() {
    let world = World::pair().await;
    let body = small();
    let length = body.len();
    let lines = format!(
        "connection: close, te, x-hop\r\nte: trailers\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nx-end: 1\r\n\
         content-length: {length}\r\n"
    );
    let got = raw::send(world.app.addr(), head(&lines) + &body).await;
    assert_eq!((got.status(), got.closed), (200, true), "{got:?}");
    let seen = world.seen("openai");
    let names: Vec<&str> = seen[0].headers.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"x-end"), "{names:?}");
    assert!(!names.iter().any(|n| ["te", "x-hop", "keep-alive", "connection"].contains(n)), "{names:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leave_to_send_a_body() {
    let world = World::pair().await;
    let addr = world.app.addr();
    let body = small();
    let length = body.len();
    let whole = |lines: &str| head(lines) + &body;
    // What is too long is refused without leave; an old version knows of none; of other expectations nobody knows.
    for (what, bytes, status, leave) in [
        ("too long", head(&format!("content-length: {}\r\nexpect: 100-continue\r\n", 32 * MIB + 1)), 413, false),
        ("in capitals", whole(&format!("content-length: {length}\r\nExpect: 100-Continue\r\n")), 200, true),
        (
            "an old version",
            whole(&format!("content-length: {length}\r\nexpect: 100-continue\r\n")).replace("HTTP/1.1", "HTTP/1.0"),
            200,
            false,
        ),
        ("of another kind", whole(&format!("content-length: {length}\r\nexpect: 200-ok\r\n")), 200, false),
    ] {
        let got = raw::send(addr, bytes).await;
        let (first, rest) = got.text.split_once("\r\n\r\n").unwrap_or_default();
        assert_eq!(first.starts_with("HTTP/1.1 100 "), leave, "{what}: {got:?}");
        let last = if leave { rest } else { &got.text };
        assert_eq!(last.get(9..12), Some(status.to_string().as_str()), "{what}: {got:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unusual_but_legal_requests_are_served() {
    let world = World::pair().await;
    let addr = world.app.addr();
    let body = small();
    let length = body.len();
    let plain = head(&format!("content-length: {length}\r\n")) + &body;
    let (a, b) = body.split_at(7);
    let chunked = format!("7;name=value\r\n{a}\r\n{:X}\r\n{b}\r\n0\r\nx-trailer: y\r\n\r\n", b.len());
    let chunked = head("transfer-encoding: chunked\r\n") + &chunked;
    for (what, bytes, answers) in [
        ("two in one write", plain.clone() + &plain, 2),
        ("chunks with extensions and trailers", chunked.clone(), 1),
        (
            "the same length twice",
            head(&format!("content-length: {length}\r\ncontent-length: {length}\r\n")) + &body,
            1,
        ),
        ("empty lines first", format!("\r\n\r\n{plain}"), 1),
    ] {
        let got = raw::send(addr, bytes).await;
        assert_eq!((got.status(), got.answers()), (200, answers), "{what}: {got:?}");
    }
    // Chunked requests one after the other on one connection.
    let mut one = Raw::connect(addr).await;
    for _ in 0..3 {
        assert!(one.write(&chunked).await);
        let got = one.read(Duration::from_millis(500)).await;
        assert_eq!((got.status(), got.closed), (200, false), "{got:?}");
    }
    // The client waits for leave to send its body.
    let mut one = Raw::connect(addr).await;
    one.write(head(&format!("content-length: {length}\r\nexpect: 100-continue\r\n"))).await;
    let leave = one.read(Duration::from_millis(500)).await;
    assert!(leave.text.starts_with("HTTP/1.1 100 "), "{leave:?}");
    one.write(&body).await;
    assert_eq!(one.read(Duration::from_millis(700)).await.status(), 200);
    assert!(world.seen("openai").iter().all(|e| e.headers.iter().all(|(name, _)| name != "expect")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_and_bodies_beyond_their_limits() {
    let world = World::pair().await;
    let addr = world.app.addr();
    let got = raw::send(addr, head(&format!("x-long: {}\r\ncontent-length: 2\r\n", "x".repeat(70_000))) + "{}").await;
    assert!(got.status() == 431 && got.closed, "{got:?}");
    let many: String = (0..20_000).fold(String::new(), |mut all, i| {
        let _ = write!(all, "x-{i}: y\r\n");
        all
    });
    let got = raw::send(addr, head(&(many + "content-length: 2\r\n")) + "{}").await;
    assert!(got.status() == 431 && got.closed, "{}", got.status());

    for speech in Speech::ALL {
        // Said in advance: refused before a byte of it is read.
        let ask = format!("POST {} HTTP/1.1\r\nhost: l\r\ncontent-length: {}\r\n\r\n", speech.path(), 32 * MIB + 1);
        let got = raw::send(addr, ask).await;
        assert!(got.status() == 413 && got.closed, "{got:?}");
        let body: Value =
            serde_json::from_str(got.text.split("\r\n\r\n").nth(1).unwrap_or_default()).unwrap_or_default();
        let kind = if speech == Speech::Messages { "request_too_large" } else { "invalid_request_error" };
        assert_eq!(speech.error(&body)["type"], kind, "{got:?}");
    }
    // Without end.
    let mut one = Raw::connect(addr).await;
    one.write(head("transfer-encoding: chunked\r\n")).await;
    let chunk = [format!("{:x}\r\n", MIB).into_bytes(), vec![b' '; MIB], b"\r\n".to_vec()].concat();
    let mut sent = 0;
    while sent < 100 && one.write(&chunk).await {
        sent += 1;
    }
    let got = one.read(Duration::from_secs(2)).await;
    assert!(sent < 100 && got.status() == 413 && got.closed, "{sent} MiB taken; {got:?}");
    // Exactly the limit is fine by us; the model's window is wide enough, and its provider's own limit lies higher.
    let world = World::builder().openai("openai").wide().start(|p| p.scene("chat", &[("openai", "")])).await;
    let mut body = small();
    body.push_str(&" ".repeat(32 * MIB - body.len()));
    let reply = world.app.post("/v1/chat/completions", body).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    alive(&world).await;
    assert_eq!(world.state.memory.held(), 0, "all room is given back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_encodings() {
    let world = World::pair().await;
    let gzip = |bytes: &[u8]| {
        let mut out = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
        out.write_all(bytes).expect("in memory");
        out.finish().expect("in memory")
    };
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).expect("in memory");
    let body = small();
    let bomb = vec![b' '; 33 * MIB];
    let rows: Vec<(&str, Vec<u8>, u16)> = vec![
        ("gzip", gzip(body.as_bytes()), 200),
        ("zstd", zstd(body.as_bytes()), 200),
        ("identity", body.clone().into_bytes(), 200),
        ("GZIP", gzip(body.as_bytes()), 200),
        ("br", body.clone().into_bytes(), 415),
        ("deflate", body.clone().into_bytes(), 415),
        ("gzip, gzip", gzip(&gzip(body.as_bytes())), 415),
        ("gzip", body.clone().into_bytes(), 400),
        ("gzip", gzip(body.as_bytes())[..20].to_vec(), 400),
        ("zstd", body.clone().into_bytes(), 400),
        ("gzip", gzip(&bomb), 413),
        ("zstd", zstd(&bomb), 413),
    ];
    for (coding, bytes, want) in rows {
        let reply = world.app.post("/v1/chat/completions", bytes).header("content-encoding", coding).send().await;
        assert_eq!(reply.status, want, "{coding}: {}", reply.text());
        assert!(want == 200 || !Speech::Chat.error(&reply.json()).is_null());
    }
    let seen = world.seen("openai");
    assert!(seen.iter().all(|e| e.headers.iter().all(|(n, _)| n != "content-encoding")), "sent on decoded");
    assert_eq!(world.state.memory.held(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_no_request() {
    let world = World::pair().await;
    let turns = r#""messages":[{"role":"user","content":"x"}]"#;
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("no JSON", b"hello".to_vec()),
        ("an array", b"[]".to_vec()),
        ("a number", b"5".to_vec()),
        ("cut off", small().into_bytes()[..20].to_vec()),
        ("something behind", format!("{} x", small()).into_bytes()),
        ("a member twice", format!(r#"{{"model":"a",{turns},"model":"b"}}"#).into_bytes()),
        ("a member twice, once escaped", format!(r#"{{"model":"a",{turns},"mod\u0065l":"b"}}"#).into_bytes()),
        ("an unknown member twice", format!(r#"{{"x":1,"model":"a",{turns},"x":1}}"#).into_bytes()),
        ("stream twice", format!(r#"{{"stream":true,"model":"a",{turns},"stream":false}}"#).into_bytes()),
        ("a model that is no string", format!(r#"{{"model":7,{turns}}}"#).into_bytes()),
        ("stream that is no boolean", format!(r#"{{"model":"a",{turns},"stream":"yes"}}"#).into_bytes()),
        (
            "invalid UTF-8",
            [br#"{"model":"gpt-6-sol","messages":[{"role":"user","content":""#.as_slice(), &[0xff, 0xfe], b"\"}]}"]
                .concat(),
        ),
        ("a lone surrogate as a name", format!(r#"{{"\ud800":1,"model":"a",{turns},"\ud800":2}}"#).into_bytes()),
    ];
    for speech in Speech::ALL {
        for (what, bytes) in &rows {
            let ask = world.app.post(speech.path(), Bytes::from(bytes.clone()));
            let reply = ask.header("anthropic-version", "2023-06-01").send().await;
            assert_eq!(reply.status, 400, "{speech:?} {what}: {}", reply.text());
            assert_eq!(speech.error(&reply.json())["type"], "invalid_request_error", "{what}: {}", reply.text());
            assert_eq!(reply.header("x-llmroute-status"), "refused", "{what}");
        }
    }
    assert!(world.seen("openai").is_empty() && world.seen("claude").is_empty(), "no provider was troubled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn depth_is_no_danger() {
    let world = World::pair().await;
    for depth in [127, 1000, 100_000, 5_000_000] {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            for (speech, body) in [
                (
                    Speech::Chat,
                    format!(r#"{{"model":"gpt-6-sol","messages":[{{"role":"user","content":"x"}}],"x":{deep}}}"#),
                ),
                (Speech::Chat, format!(r#"{{"model":"gpt-6-sol","messages":{deep}}}"#)),
                (
                    Speech::Messages,
                    format!(r#"{{"model":"m","max_tokens":5,"messages":[{{"role":"user","content":{deep}}}]}}"#),
                ),
                (Speech::Responses, format!(r#"{{"model":"gpt-6-sol","input":{deep}}}"#)),
                (Speech::Chat, deep.clone()),
            ] {
                if body.len() > 32 * MIB {
                    continue;
                }
                let body_is_deep = body == deep;
                let reply = world.app.post(speech.path(), body).header("x-llmroute-scene", "chat").send().await;
                let text = reply.text();
                assert_eq!(reply.status, 400, "{speech:?} {depth}: {text}");
                // One level fewer than what the other bodies have: this one may pass, if it is an object.
                let (says, reason) = match (depth, body_is_deep, open) {
                    (127, true, "[") => ("must be a JSON object", "bad_request"),
                    (127, true, _) => ("Unrecognized request argument", "openai_request_rejected"),
                    _ => ("nested deeper than 127 levels", "bad_request"),
                };
                assert!(
                    text.contains(says) && reply.header("x-llmroute-reason") == reason,
                    "{speech:?} {depth}: {text}"
                );
            }
        }
    }
    alive(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_and_methods() {
    let world = World::pair().await;
    let rows: Vec<(Method, &str, u16)> = vec![
        (Method::GET, "/", 200),
        (Method::HEAD, "/", 200),
        (Method::GET, "/v1/chat/completions", 405),
        (Method::HEAD, "/v1/chat/completions", 405),
        (Method::PUT, "/v1/responses", 405),
        (Method::DELETE, "/v1/messages", 405),
        (Method::GET, "/v1/messages/count_tokens", 405),
        (Method::POST, "/v1/models", 405),
        (Method::PATCH, "/v1/responses/resp_1", 405),
        (Method::GET, "/v1/embeddings", 405),
        (Method::GET, "/v1", 404),
        (Method::GET, "/v1/", 404),
        (Method::GET, "/v1/files", 404),
        (Method::POST, "/v1/files", 404),
        (Method::POST, "/v1/batches", 404),
        (Method::POST, "/v1/fine_tuning/jobs", 404),
        (Method::POST, "/v1/messages/batches", 404),
        (Method::POST, "/v1/chat/completions/x", 404),
        (Method::GET, "/v1/chat/completions/chatcmpl-1", 404),
        (Method::GET, "/metrics", 404),
        (Method::GET, "/config", 404),
        (Method::GET, "/favicon.ico", 404),
        (Method::POST, "/v1/../v1/files", 404),
        (Method::POST, "/v1/chat%2fcompletions", 404),
        (Method::OPTIONS, "/v1/chat/completions", 405),
    ];
    for (method, path, want) in rows {
        let reply = world.app.ask(method.clone(), path).send().await;
        assert_eq!(reply.status, want, "{method} {path}: {}", reply.text());
        if want >= 400 && method != Method::HEAD {
            assert!(!Speech::Chat.error(&reply.json()).is_null(), "{method} {path}: {}", reply.text());
            let claude = world.app.ask(method.clone(), path).header("anthropic-version", "2023-06-01").send().await;
            assert!(!Speech::Messages.error(&claude.json()).is_null(), "{method} {path}: {}", claude.text());
        }
    }
    let reply = world
        .app
        .post("/v1/chat/completions", small())
        .header("upgrade", "websocket")
        .header("connection", "upgrade")
        .send()
        .await;
    assert_eq!(reply.status, 501, "{}", reply.text());
    assert!(world.seen("openai").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_slow_are_sent_away_and_hold_up_nobody() {
    let world = World::pair().await;
    let addr = world.app.addr();
    let slow_head = async {
        let mut one = Raw::connect(addr).await;
        one.write("POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n").await;
        let began = Instant::now();
        let dribble = async {
            for _ in 0..6 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                one.write("x-a: b\r\n").await;
            }
            one.read(Duration::from_secs(20)).await
        };
        let got = dribble.await;
        let took = began.elapsed();
        assert!(got.closed && got.text.is_empty(), "there is no request to answer: {got:?}");
        assert!(
            took > Duration::from_secs(9) && took < Duration::from_secs(13),
            "a head has ten seconds, not {took:?}"
        );
    };
    let slow_body = async {
        let mut one = Raw::connect(addr).await;
        one.write(head("content-length: 100\r\n") + "{").await;
        let began = Instant::now();
        let got = one.read(Duration::from_secs(40)).await;
        let took = began.elapsed();
        assert!(got.status() == 408 && got.closed, "{got:?}");
        assert!(
            took > Duration::from_secs(29) && took < Duration::from_secs(34),
            "thirty seconds without a byte, not {took:?}"
        );
    };
    let cut_body = async {
        let mut one = Raw::connect(addr).await;
        one.write(head("content-length: 100\r\n") + "{").await;
        one.finish().await;
        let got = one.read(Duration::from_secs(5)).await;
        assert!(got.closed && got.status() == 400, "{got:?}");
    };
    let silent = async {
        // Connected, and never a byte: not a head that takes too long, so it may stay; it costs nothing.
        let _one = Raw::connect(addr).await;
        for _ in 0..10 {
            alive(&world).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::join!(slow_head, slow_body, cut_body, silent);
    assert_eq!(world.state.memory.held(), 0);
}

const EIGHT_FAULTS: &str = r#"
apiVersion: llmroute.dev/v1alpha1
kind: LLMRoutePolicy
metadata: {name: bad}
spec:
  podSelector: {matchLabels: {app: a}}
  credentials: {secretName: keys}
  providers:
  - {name: openai, api: OpenAi, baseUrl: "api.openai.com", speed: fast}
  - {name: claude, api: Anthropic}
  classify:
    rules:
    - {scene: code, when: "request.tool > 0"}
    default: {tier: silber}
  tiers:
  - {name: gold, sla: 5x, maxCostUsd: 0.02}
  - {name: silver}
  scenes:
  - {name: chat, targets: [{provider: claude, model: claude-sonnet-5-5}]}
  budgets:
  - {name: minute, window: 1s, limitUsd: "1"}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_with_many_faults_names_all_of_them_and_exits_with_2() {
    let dir = TempDir::new();
    let ended = Program::builder(&dir.write("bad.yaml", EIGHT_FAULTS)).run().await;
    assert_eq!(ended.code, Some(2), "{}", ended.output);
    for path in [
        "spec.providers[0].api",
        "spec.providers[0].baseUrl",
        "spec.providers[0].speed",
        "spec.classify.rules[0].scene",
        "spec.classify.rules[0].when",
        "spec.classify.default.tier",
        "spec.tiers[0].sla",
        "spec.tiers[0].maxCostUsd",
        "spec.budgets[0].window",
    ] {
        assert!(ended.output.contains(path), "{path} is not named:\n{}", ended.output);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unusable_flags_and_files_exit_with_2() {
    let dir = TempDir::new();
    let good = dir.write(
        "good.yaml",
        harness::Policy::new()
            .provider("openai", "OpenAI", "http://127.0.0.1:9")
            .scene("chat", &[("openai", "")])
            .yaml(),
    );
    let good = good.display().to_string();
    let missing = dir.join("missing.yaml").display().to_string();
    let binary = dir.write("binary.yaml", [0xff, 0xfe, 0, 1]).display().to_string();
    let rows: Vec<(Vec<&str>, &str)> = vec![
        (vec![], "--policy"),
        (vec!["--policy", &missing], "missing.yaml"),
        (vec!["--policy", &binary], "UTF-8"),
        (vec!["--policy", &good, "--listen", "0.0.0.0:0"], "loopback"),
        (vec!["--policy", &good, "--listen", "[::]:0"], "loopback"),
        (vec!["--policy", &good, "--listen", "192.0.2.1:80"], "loopback"),
        (vec!["--policy", &good, "--listen", "here"], "--listen"),
        (vec!["--policy", &good, "--threads", "0"], "--threads"),
        (vec!["--policy", &good, "--frobnicate"], "--frobnicate"),
    ];
    for (args, says) in rows {
        let ended = harness::program::Builder::bare(&args).run().await;
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.output);
        assert!(ended.output.contains(says), "{args:?} does not say {says}: {}", ended.output);
    }
    for args in [["--help"], ["--version"]] {
        assert_eq!(harness::program::Builder::bare(&args).run().await.code, Some(0));
    }
}
