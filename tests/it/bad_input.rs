//! Whatever is sent, the answer is the one that the contract names, and everyone else is served.

mod framing;
mod limits;
mod program;

use std::io::Write as _;

use bytes::Bytes;
use harness::{Speech, World};
use hyper::Method;

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
