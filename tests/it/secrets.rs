//! Keys, prompts and completions appear nowhere but where they belong.

use harness::{
    Policy, Program, Speech, World, heavy,
    otlp::Receiver,
    policy::{PATIENT, QUICK},
    stub::{Piece, Seen, Stub},
    temp::TempDir,
    world::key_of,
};
use serde_json::{Value, json};
use sim::{Act, Fault, Rule};

/// What must appear nowhere: keys, the app's own key, the prompt, what the model says to it.
fn needles() -> Vec<String> {
    let mut needles = vec![
        key_of("openai"),
        key_of("claude"),
        "sk-of-the-app-4711".to_owned(),
        COLLECTOR_KEY.to_owned(),
        "plantedprompt".to_owned(),
        "You said:".to_owned(),
        "until it is long".to_owned(),
        "plantedtool".to_owned(),
        "plantedsystem".to_owned(),
    ];
    // Long parts of a key are a key as well.
    needles.extend(["openai", "claude"].map(|name| key_of(name)[10..].to_owned()));
    needles
}

/// What the collector is asked with.
const COLLECTOR_KEY: &str = "sk-of-the-collector-0815";

/// A request with something planted in every place that holds text.
fn planted(speech: Speech, stream: bool) -> Value {
    let mut body = speech.body("plantedprompt one two", stream);
    let schema = json!({"type": "object", "properties": {"plantedtoolmember": {"type": "string"}}});
    body["tools"] = match speech {
        Speech::Chat => json!([{"type": "function", "function": {"name": "plantedtool", "parameters": schema}}]),
        Speech::Responses => json!([{"type": "function", "name": "plantedtool", "parameters": schema}]),
        Speech::Messages => json!([{"name": "plantedtool", "description": "plantedtool", "input_schema": schema}]),
    };
    match speech {
        Speech::Chat => body["messages"]
            .as_array_mut()
            .expect("turns")
            .insert(0, json!({"role": "system", "content": "plantedsystem"})),
        Speech::Responses => body["instructions"] = "plantedsystem".into(),
        Speech::Messages => body["system"] = "plantedsystem".into(),
    }
    body
}

fn leaks(where_: &str, text: &str, found: &mut Vec<String>) {
    for needle in needles() {
        if let Some(at) = text.find(&needle) {
            let from = text[..at].char_indices().rev().nth(120).map_or(0, |(i, _)| i);
            found.push(format!("{needle:?} in {where_}: …{}", &text[from..at + needle.len()]));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_leaks_over_every_fault_at_trace_level() {
    let _turn = heavy::turn().await;
    let receiver = Receiver::start().await;
    let quick = QUICK.replace("700ms", "200ms").replace("2500ms", "600ms").replace("attempts: 3", "attempts: 2");
    let world = World::builder().openai("openai").claude("claude").start(|p| p.tier(&quick).field(PATIENT)).await;
    let state = world.dir.join("state");
    let mut program = Program::builder(&world.policy_file())
        .credentials(&world.dir.join("keys"))
        .arg("--state")
        .arg(&state.display().to_string())
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "full")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint())
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        .env("OTEL_TRACES_SAMPLER", "always_on")
        .env("OTEL_EXPORTER_OTLP_HEADERS", &format!("authorization=Bearer%20{COLLECTOR_KEY}"))
        .env("OTEL_BSP_SCHEDULE_DELAY", "200")
        .env("OTEL_BSP_MAX_QUEUE_SIZE", "100000")
        .env("LLMROUTE_DECISION_RATIO", "1")
        .start()
        .await;
    let mut found = vec![];
    let mut asked = 0;
    for fault in Fault::ALL.iter().copied().filter(|f| !matches!(f, Fault::EndlessBody | Fault::HugeEvent)) {
        for name in ["openai", "claude"] {
            // A rate limit must not keep the faults after it from being met.
            let ms = (fault == Fault::RateLimitMs).then_some(0);
            let act = Act { retry_after: Some("0".to_owned()), ms, ..Act::fault(fault) };
            world.script(name, vec![Rule::act(act)]);
        }
        let all =
            Speech::ALL.into_iter().flat_map(|speech| [(speech, false), (speech, true)]).map(|(speech, stream)| {
                let ask = program.app.post(speech.path(), planted(speech, stream).to_string());
                let ask =
                    ask.header("authorization", "Bearer sk-of-the-app-4711").header("x-api-key", "sk-of-the-app-4711");
                ask.header("anthropic-version", "2023-06-01").send()
            });
        for reply in futures_util::future::join_all(all).await {
            asked += 1;
            let heads = format!("{:?}", reply.headers);
            leaks(&format!("the head of an answer to {}", fault.name()), &heads, &mut found);
            // Answers hold what the model said; errors hold nothing of it.
            if reply.status != 200 {
                leaks(&format!("an error answer to {}", fault.name()), &reply.text(), &mut found);
            } else {
                for key in needles().into_iter().filter(|n| n.contains("planted-") || n.starts_with("sk-")) {
                    assert!(!reply.text().contains(&key), "a key in an answer to {}", fault.name());
                }
            }
        }
    }
    for page in ["/metrics", "/health/providers", "/config", "/livez", "/readyz"] {
        leaks(page, &program.admin.get(page).send().await.text(), &mut found);
    }
    let body = planted(Speech::Chat, false).to_string();
    let explained =
        program.admin.post("/explain", body.clone()).header("authorization", "Bearer sk-of-the-app-4711").send().await;
    leaks("/explain", &explained.text(), &mut found);
    // Broken requests too.
    for bad in [body[..body.len() - 2].to_owned(), format!("{body}x"), body.replace("messages", "massages")] {
        let reply = program.app.post("/v1/chat/completions", bad).send().await;
        leaks("the answer to a bad request", &reply.text(), &mut found);
    }
    for hint in ["x-llmroute-max-cost-usd", "x-llmroute-max-latency-ms", "x-llmroute-scene", "x-llmroute-tier"] {
        let ask = program.app.post("/v1/chat/completions", body.clone()).header(hint, "sk-of-the-app-4711");
        let reply = ask.send().await;
        leaks("the head of an answer to a bad hint", &format!("{:?}", reply.headers), &mut found);
        if reply.status != 200 {
            leaks("the answer to a bad hint", &reply.text(), &mut found);
        }
    }
    program.terminate();
    assert_eq!(program.wait().await.code(), Some(0));
    let log = program.output();
    assert!(log.len() > 10_000 && log.contains("TRACE"), "the log is at trace level: {} bytes", log.len());
    leaks("the log", &log, &mut found);
    let records = log.matches("\"target\":\"llmroute::decision\"").count();
    assert!(records >= asked, "{records} decision records for {asked} requests");
    let spans = receiver.spans();
    let kind = receiver.got().exports[0].1["authorization"].clone();
    assert!(kind.to_str().is_ok_and(|v| v.contains(COLLECTOR_KEY)), "the collector alone gets its key");
    assert!(spans.len() >= asked * 3, "{} spans for {asked} requests", spans.len());
    leaks("the spans", &String::from_utf8_lossy(&receiver.bytes()), &mut found);
    for entry in std::fs::read_dir(&state).into_iter().flatten().flatten() {
        leaks(
            "the state directory",
            &String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap_or_default()),
            &mut found,
        );
    }
    assert!(found.is_empty(), "{} leaks: {:#?}", found.len(), &found[..found.len().min(12)]);
}

/// An OpenAI-like provider that says its key wherever an answer has room for it.
fn echo(seen: &Seen) -> Vec<Piece> {
    let key = seen.header("authorization").unwrap_or_default().trim_start_matches("Bearer ").to_owned();
    let choice = |kind: &str| json!({"index": 0, kind: {"role": "assistant", "content": key}, "finish_reason": "stop"});
    let head = |status: &str, kind: &str, body: &str| {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nx-request-id: {key}\r\ncontent-length: {length}\r\n\r\n"
        );
        vec![Piece::Bytes([head.as_bytes(), body.as_bytes()].concat())]
    };
    let error = json!({"error": {"message": key, "type": key, "code": key, "param": key}}).to_string();
    let answer = json!({"id": key, "object": "chat.completion", "model": key, "choices": [choice("message")]});
    let chunk = json!({"id": key, "object": "chat.completion.chunk", "model": key, "choices": [choice("delta")]});
    let (json, events) = ("application/json", "text/event-stream");
    match seen.number % 6 {
        0 => head("200 OK", json, &answer.to_string()),
        1 => head("200 OK", events, &format!("data: {chunk}\n\ndata: [DONE]\n\n")),
        2 => head("200 OK", events, &format!("data: {chunk}\n\nevent: {key}\ndata: {error}\n\n")),
        3 => head("200 OK", json, &error),
        4 => head("401 Unauthorized", json, &error),
        _ => head(&format!("400 {key}"), "text/html", &format!("<h1>{key}</h1>")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_echoes_the_key_tells_nobody() {
    let provider = Stub::start(echo).await;
    let receiver = Receiver::start().await;
    let dir = TempDir::new();
    let once = "{name: once, timeouts: {firstByte: 1s, total: 2s}, retries: {attempts: 1}}";
    let policy = Policy::new().provider("openai", "OpenAI", &provider.url()).scene("chat", &[("openai", "gpt-6-sol")]);
    let file = dir.write("policy.yaml", policy.tier(once).field(PATIENT).yaml());
    dir.write("keys/openai", key_of("openai"));
    let mut program = Program::builder(&file)
        .credentials(&dir.join("keys"))
        .env("RUST_LOG", "trace")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint())
        .env("LLMROUTE_DECISION_RATIO", "1")
        .start()
        .await;
    let mut found = vec![];
    for i in 0..24 {
        // Both dialects, so that every echo is also translated.
        let speech = if i < 12 { Speech::Chat } else { Speech::Messages };
        let reply = program.app.say(speech, "hi", matches!(i % 6, 1 | 2)).send().await;
        leaks(&format!("the head of answer {i}"), &format!("{:?}", reply.headers), &mut found);
        leaks(&format!("the body of answer {i}"), &reply.text(), &mut found);
    }
    assert!(provider.seen().len() >= 24 && provider.seen().iter().all(|s| s.head.contains(&key_of("openai"))));
    for page in ["/metrics", "/health/providers", "/config"] {
        leaks(page, &program.admin.get(page).send().await.text(), &mut found);
    }
    program.terminate();
    assert_eq!(program.wait().await.code(), Some(0));
    leaks("the log", &program.output(), &mut found);
    assert!(receiver.spans().len() >= 24 * 3, "{}", receiver.spans().len());
    leaks("the spans", &String::from_utf8_lossy(&receiver.bytes()), &mut found);
    assert!(found.is_empty(), "{} leaks: {:#?}", found.len(), &found[..found.len().min(12)]);
}
