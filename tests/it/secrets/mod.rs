//! Keys, prompts and completions appear nowhere but where they belong.

mod echo;

use std::path::Path;

use harness::{
    Caller, Program, Reply, Speech, World,
    caller::Ask,
    eventually, heavy,
    otlp::Receiver,
    policy::{PATIENT, QUICK},
    program::Builder,
    temp::TempDir,
    world::key_of,
};
use hyper::StatusCode;
use serde_json::{Value, json};
use sidecar::admin::PAGES;
use sim::{Act, Fault, Rule};

/// Every key there is. Long parts of a key are a key as well.
fn keys() -> Vec<String> {
    let providers = ["openai", "claude"].map(key_of);
    let parts = providers.clone().map(|key| key["sk-planted".len()..].to_owned());
    [APPS_KEY.to_owned(), COLLECTOR_KEY.to_owned()].into_iter().chain(providers).chain(parts).collect()
}

/// What must appear nowhere: keys, the prompt, what the model says to it.
fn needles() -> Vec<String> {
    let texts = ["plantedprompt", "You said:", "until it is long", "plantedtool", "plantedsystem"];
    keys().into_iter().chain(texts.map(str::to_owned)).collect()
}

/// What the app sends for a key.
const APPS_KEY: &str = "sk-of-the-app-4711";
/// What the collector is asked with.
const COLLECTOR_KEY: &str = "sk-of-the-collector-0815";

/// A request with something planted in every place that holds text.
fn planted(speech: Speech, stream: bool, tools: bool) -> Value {
    let mut body = speech.body("plantedprompt one two", stream);
    if tools {
        let schema = json!({"type": "object", "properties": {"plantedtoolmember": {"type": "string"}}});
        body["tools"] = match speech {
            Speech::Chat => json!([{"type": "function", "function": {"name": "plantedtool", "parameters": schema}}]),
            Speech::Responses => json!([{"type": "function", "name": "plantedtool", "parameters": schema}]),
            Speech::Messages => json!([{"name": "plantedtool", "description": "plantedtool", "input_schema": schema}]),
        };
    }
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
    search(needles(), where_, text, found);
}

/// Keys alone: prompts and answers have places where they belong.
fn leaked_keys(where_: &str, text: &str, found: &mut Vec<String>) {
    search(keys(), where_, text, found);
}

fn search(needles: Vec<String>, where_: &str, text: &str, found: &mut Vec<String>) {
    for needle in needles {
        if let Some(at) = text.find(&needle) {
            let from = text[..at].char_indices().rev().nth(120).map_or(0, |(i, _)| i);
            found.push(format!("{needle:?} in {where_}: …{}", &text[from..at + needle.len()]));
        }
    }
}

/// The head, and the body of an error; an answer may hold what the model said, but no key.
fn told(where_: &str, reply: &Reply, found: &mut Vec<String>) {
    leaks(&format!("the head of {where_}"), &format!("{:?}", reply.headers), found);
    match reply.status {
        200 => leaked_keys(&format!("the body of {where_}"), &reply.text(), found),
        _ => leaks(&format!("the body of {where_}"), &reply.text(), found),
    }
}

/// A planted request, with the app's key wherever apps have one.
fn ask(app: &Caller, speech: Speech, stream: bool, tools: bool) -> Ask<'_> {
    let ask = app.post(speech.path(), planted(speech, stream, tools).to_string());
    ask.header("anthropic-version", "2023-06-01")
        .header("authorization", &format!("Bearer {APPS_KEY}"))
        .header("x-api-key", APPS_KEY)
        .header("cookie", &format!("session={APPS_KEY}"))
        .header("x-llmroute-tenant", "acme")
}

/// Every page of the admin port.
async fn pages(program: &Program, found: &mut Vec<String>) {
    for page in PAGES {
        let reply = match page {
            "/explain" => {
                let body = planted(Speech::Chat, false, true).to_string();
                program.admin.post(page, body).header("authorization", &format!("Bearer {APPS_KEY}")).send().await
            }
            _ => program.admin.get(page).send().await,
        };
        let text = reply.expect(StatusCode::OK).text();
        let says = match page {
            "/livez" | "/readyz" => "ok",
            "/metrics" => "provider_success_rate{provider=\"openai\"}",
            "/health/budgets" => "\"ledgered\"",
            _ => "\"openai\"",
        };
        assert!(text.contains(says), "{page} has something to say: {text}");
        leaks(page, &text, found);
    }
}

/// What stands in a state directory.
fn kept(state: &Path) -> String {
    let files = std::fs::read_dir(state).expect("a state directory");
    let bytes = files.map(|file| std::fs::read(file.expect("a file").path()).expect("a file's content"));
    String::from_utf8_lossy(&bytes.collect::<Vec<_>>().concat()).into_owned()
}

/// Time enough to meet the limits of a size.
const LONG: &str =
    "{name: long, timeouts: {firstByte: 20s, idle: 10s, total: 30s}, retries: {attempts: 2, base: 5ms, cap: 20ms}}";

/// A program that says all it can: at trace level, and of each request its spans and its decision. Its keys and its state
/// are in `dir`.
fn talkative(policy: &Path, dir: &TempDir, receiver: &Receiver) -> Builder {
    Program::builder(policy)
        .credentials(&dir.join("keys"))
        .arg("--state")
        .arg(&dir.join("state").display().to_string())
        .env("RUST_LOG", "trace")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint())
        .env("OTEL_BSP_MAX_QUEUE_SIZE", "100000")
        .env("LLMROUTE_DECISION_RATIO", "1")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_leaks_over_every_fault_at_trace_level() {
    let _turn = heavy::turn().await;
    let receiver = Receiver::start().await;
    let quick = QUICK.replace("700ms", "200ms").replace("2500ms", "600ms").replace("attempts: 3", "attempts: 2");
    let targets = [("openai", "gpt-6-sol"), ("claude", "claude-sonnet-5-5")];
    let world = World::builder()
        .openai("openai")
        .claude("claude")
        .start(|p| {
            p.tier(&quick)
                .tier(LONG)
                .scene("chat", &targets)
                .scene_with("kept", &targets, ", cache: {ttl: 10m, use: Always}")
                .field(PATIENT)
                .field("budgets: [{name: ledgered, window: 1h, limitUsd: \"1000\", scope: Tenant}]")
        })
        .await;
    let state = world.dir.join("state");
    let mut program = talkative(&world.policy_file(), &world.dir, &receiver)
        .env("RUST_BACKTRACE", "full")
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        .env("OTEL_TRACES_SAMPLER", "always_on")
        .env("OTEL_EXPORTER_OTLP_HEADERS", &format!("authorization=Bearer%20{COLLECTOR_KEY}"))
        .env("OTEL_BSP_SCHEDULE_DELAY", "200")
        .start()
        .await;
    let mut found = vec![];
    let mut asked = 0;
    for (n, fault) in Fault::ALL.iter().copied().enumerate() {
        for name in ["openai", "claude"] {
            // A rate limit must not keep the faults after it from being met.
            let ms = (fault == Fault::RateLimitMs).then_some(0);
            let act = Act { retry_after: Some("0".to_owned()), ms, ..Act::fault(fault) };
            world.script(name, vec![Rule::act(act)]);
        }
        let ways = || Speech::ALL.into_iter().flat_map(|speech| [(speech, false), (speech, true)]);
        if matches!(fault, Fault::EndlessBody | Fault::HugeEvent) {
            // One by one, with time to meet the limits.
            for (speech, stream) in ways() {
                asked += 1;
                let ask = ask(&program.app, speech, stream, false).header("x-llmroute-tier", "long");
                if stream && fault == Fault::EndlessBody {
                    endless(ask, &mut found).await;
                    continue;
                }
                let reply = ask.send().await;
                let failed = reply.status == 502 || reply.status == 200 && stream;
                assert!(failed, "{speech:?}: {} {}", reply.status, reply.header("x-llmroute-reason"));
                told(&format!("an answer to {}", fault.name()), &reply, &mut found);
            }
            continue;
        }
        // The model talks, or calls a tool.
        let tools = |stream: bool| stream == n.is_multiple_of(2);
        let all = ways().map(|(speech, stream)| ask(&program.app, speech, stream, tools(stream)).send());
        for reply in futures_util::future::join_all(all).await {
            asked += 1;
            told(&format!("an answer to {}", fault.name()), &reply, &mut found);
        }
    }
    for name in ["openai", "claude"] {
        world.script(name, vec![]);
    }
    // Kept answers, and refusals for money.
    for (hint, value, status) in [
        ("x-llmroute-scene", "kept", "ok"),
        ("x-llmroute-scene", "kept", "cached"),
        ("x-llmroute-max-cost-usd", "0.0000001", "refused"),
    ] {
        for speech in Speech::ALL {
            let reply = ask(&program.app, speech, false, false).header(hint, value).send().await;
            // Of a Messages caller the first answer is OpenAI's too.
            assert_eq!(reply.header("x-llmroute-status"), status, "{speech:?} {}", reply.text());
            told(&format!("an answer that is {status}"), &reply, &mut found);
        }
    }
    let body = planted(Speech::Chat, false, true).to_string();
    // Broken requests too.
    for bad in [body[..body.len() - 2].to_owned(), format!("{body}x"), body.replace("messages", "massages")] {
        let reply = program.app.post("/v1/chat/completions", bad).send().await;
        leaks("the answer to a bad request", &reply.text(), &mut found);
    }
    for hint in ["x-llmroute-max-cost-usd", "x-llmroute-max-latency-ms", "x-llmroute-scene", "x-llmroute-tier"] {
        let ask = program.app.post("/v1/chat/completions", body.clone()).header(hint, APPS_KEY);
        told("an answer to a bad hint", &ask.send().await, &mut found);
    }
    pages(&program, &mut found).await;
    // The ledger's journal is on the disk within a second, and nothing else is.
    let journal = eventually("the journal is kept", || async { Some(kept(&state)).filter(|k| k.contains("ledgered")) });
    leaks("the state directory", &journal.await, &mut found);
    // A request by id stands there with its prompt and answer, without the keys that came with it.
    for speech in Speech::ALL {
        let accepted = ask(&program.app, speech, false, false).header("prefer", "respond-async").send().await;
        let place = accepted.expect(StatusCode::ACCEPTED).header("location").to_owned();
        let reply = eventually("its answer", || async {
            let reply = program.app.get(&place).send().await;
            let pending = matches!(reply.json()["status"].as_str(), Some("queued" | "in_progress"));
            (reply.status == 200 && !pending).then_some(reply)
        });
        told("an answer by id", &reply.await, &mut found);
    }
    let kept = kept(&state);
    assert!(kept.contains("plantedprompt") && kept.contains("You said:"), "requests by id are kept");
    leaked_keys("the state directory", &kept, &mut found);
    pages(&program, &mut found).await;
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
    leaked_keys("the state directory, in the end", &self::kept(&state), &mut found);
    assert!(found.is_empty(), "{} leaks: {:#?}", found.len(), &found[..found.len().min(12)]);
}

/// A stream without end, for a while.
async fn endless(ask: Ask<'_>, found: &mut Vec<String>) {
    let mut stream = ask.open().await.expect("a head");
    leaks("the head of an endless stream", &format!("{:?}", stream.headers), found);
    for _ in 0..200 {
        let event = stream.next().await.expect("it does not end");
        leaked_keys("an endless stream", &event.data, found);
    }
}
