//! Standard error: JSON lines, decision records among them, and a reader that may be slow.

use std::{path::Path, time::Duration};

use harness::{
    Metrics, Program, Speech, World, eventually,
    policy::{PATIENT, QUICK},
};
use serde_json::{Value, json};
use sim::{Fault, Rule};
use tokio::time::Instant;

async fn pair() -> World {
    World::builder().openai("openai").claude("claude").start(|p| p.tier(QUICK).field(PATIENT)).await
}

fn builder(world: &World) -> harness::program::Builder {
    Program::builder(&world.policy_file()).credentials(&world.dir.join("keys"))
}

/// Every line so far; each must be a JSON object.
fn lines(program: &Program) -> Vec<Value> {
    let output = program.output();
    output.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

fn records(program: &Program) -> Vec<Value> {
    lines(program).into_iter().filter(|l| l["target"] == "llmroute::decision").collect()
}

async fn some_records(program: &Program, count: usize) -> Vec<Value> {
    eventually("records", || async {
        let found = records(program);
        (found.len() >= count).then_some(found)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_holds_what_the_decision_was_made_from() {
    let world = pair().await;
    world.script("openai", vec![Rule::fault(Fault::ServerError)]);
    let program = builder(&world).start().await;
    let mut body = Speech::Chat.body("plantedprompt", true);
    body["max_tokens"] = 77.into();
    body["tools"] = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    let text = body.to_string();
    let ask = program.app.post("/v1/chat/completions?x=1", text.clone()).header("x-llmroute-tenant", "acme");
    let reply = ask.header("x-llmroute-scene", "nowhere").header("x-llmroute-max-cost-usd", "1.50").send().await;
    assert_eq!(reply.status, 200);
    let mut record = some_records(&program, 1).await.remove(0);

    // Times and costs are what they are; the rest is exact.
    let mut take = |name: &str| record.as_object_mut().expect("an object").remove(name).unwrap_or_default();
    assert!(take("timestamp").as_str().is_some_and(|t| t.len() == 24 && t.starts_with("20") && t.ends_with('Z')));
    assert_eq!(take("trace_id"), reply.header("x-llmroute-trace-id"));
    let (first, whole) = (take("first_content_ms").as_u64(), take("duration_ms").as_u64());
    assert!(first.is_some() && first <= whole, "{first:?} {whole:?}");
    assert!(take("cost_usd").as_str().is_some_and(|c| c.parse::<f64>().is_ok_and(|c| c > 0.0)));
    let tokens = take("tokens");
    assert!(tokens["input"].as_u64() > Some(0) && tokens["output"].as_u64() > Some(0), "{tokens}");
    let tries: Vec<Value> = take("tries").as_array().cloned().unwrap_or_default();
    let told: Vec<_> = tries.iter().map(|t| json!([t["provider"], t["model"], t["class"], t["reason"]])).collect();
    let failed = json!(["openai", "gpt-6-sol", "server_error", "openai_server_error"]);
    let good = json!(["claude", "claude-sonnet-5-5", "success", null]);
    assert_eq!(told, [failed.clone(), failed, good]);
    assert!(tries.iter().all(|t| t["ms"].is_u64()));
    let (sol, sonnet) = (
        json!({"provider": "openai", "model": "gpt-6-sol"}),
        json!({"provider": "claude", "model": "claude-sonnet-5-5"}),
    );
    let standing = |target: &Value, standing: &str| {
        let mut target = target.clone();
        target["standing"] = standing.into();
        target
    };
    let want = json!({
        "level": "INFO", "target": "llmroute::decision", "message": "decision",
        "policy": "default/story", "generation": null, "call": "chat", "path": "/v1/chat/completions",
        "status": "degraded", "http_status": 200, "reason": "openai_server_error", "client_gone": false,
        "request": {
            "model": "gpt-6-sol", "stream": true, "tools": 1, "images": 0, "documents": 0, "messages": 1,
            "json_schema": false, "input_bytes": text.len(), "estimated_input_tokens": text.len() / 4,
            "max_tokens": 77, "answers": 1, "max_cost_usd": "1.5", "max_latency_ms": null,
        },
        "scene": {"name": "chat", "by": "default"}, "tier": {"name": "quick", "by": "default"},
        "tenant": "acme", "unknown_hints": 1, "failed_rules": 0,
        "candidates": [standing(&sol, "preferred"), standing(&sonnet, "next_provider")],
        "left_out": [], "served": sonnet, "dropped": [],
    });
    assert_eq!(record, want);
    assert!(!program.output().contains("plantedprompt"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_share_counts_for_what_went_well_only() {
    let world = pair().await;
    for (ratio, fine, bad) in [("1", 40, 1), ("0", 0, 0)] {
        let mut program = builder(&world).env("LLMROUTE_DECISION_RATIO", ratio).start().await;
        for _ in 0..40 {
            program.app.say(Speech::Chat, "hi", false).send().await;
        }
        assert_eq!(program.app.post("/v1/chat/completions", "{").send().await.status, 400);
        program.terminate();
        program.wait().await;
        let found = records(&program);
        let with = |status: &str| found.iter().filter(|r| r["status"] == status).count();
        assert_eq!((with("ok"), with("refused"), found.len()), (fine, bad, fine + bad), "{ratio}");
    }
    // One in a million is none of forty.
    let mut program = builder(&world).env("LLMROUTE_DECISION_RATIO", "0.000001").start().await;
    for _ in 0..40 {
        program.app.say(Speech::Chat, "hi", false).send().await;
    }
    program.app.get("/nowhere").send().await;
    program.terminate();
    program.wait().await;
    let found = records(&program);
    assert_eq!(
        (found.len(), found[0]["reason"].as_str(), found[0]["path"].as_str()),
        (1, Some("path_not_found"), Some("/nowhere"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circuit_that_opens_is_one_line_with_the_trace() {
    let patient = "breaker: {consecutiveFailures: 2, openFor: 1m}";
    let once = "{name: once, timeouts: {firstByte: 700ms, total: 2s}, retries: {attempts: 1}}";
    let world = World::builder().openai("openai").start(|p| p.tier(once).field(patient)).await;
    world.script("openai", vec![Rule::fault(Fault::ServerError)]);
    let program = builder(&world).start().await;
    let mut last = String::new();
    for _ in 0..2 {
        last = program.app.say(Speech::Chat, "hi", false).send().await.header("x-llmroute-trace-id").to_owned();
    }
    let opened = eventually("a line", || async {
        let found: Vec<_> = lines(&program).into_iter().filter(|l| l["message"] == "circuit opened").collect();
        (!found.is_empty()).then_some(found)
    })
    .await;
    assert_eq!(opened.len(), 1);
    let line = &opened[0];
    assert_eq!((line["level"].as_str(), line["provider"].as_str()), (Some("WARN"), Some("openai")));
    assert_eq!((line["model"].as_str(), line["circuit"].as_str()), (Some("gpt-6-sol"), Some("open")));
    assert!(last.ends_with(line["trace_id"].as_str().expect("an id")), "{last} {line}");
    assert!(line["why"].as_str().is_some_and(|w| w.starts_with("open after server_error")), "{line}");
    assert!(line["timestamp"].is_string() && line["target"].as_str().is_some_and(|t| t.starts_with("sidecar")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_reader_of_the_log() {
    let world = pair().await;
    let mut program = builder(&world).env("LLMROUTE_DECISION_RATIO", "1").env("RUST_LOG", "trace").deaf().start().await;
    // A record is about a kilobyte: the pipe, then the queue of 2,048 lines, are full after half of these.
    let began = Instant::now();
    for _ in 0..60 {
        let all = (0..50).map(|_| program.app.say(Speech::Chat, "hi", false).send());
        let replies = futures_util::future::join_all(all).await;
        assert!(replies.iter().all(|r| r.status == 200));
    }
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    let page = Metrics::parse(&program.admin.get("/metrics").send().await.text());
    for name in ["llmroute_decisions_lost_total", "llmroute_log_lines_lost_total"] {
        let lost = page.get(name, &[]);
        assert!(lost > Some(0.0), "{name}: {lost:?}");
    }
    let ending = Instant::now();
    program.terminate();
    assert_eq!(program.wait().await.code(), Some(0));
    assert!(ending.elapsed() < Duration::from_secs(3), "{:?}", ending.elapsed());
}

/// Every field that has no effect yet, and no other, in all places that the README names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_yet_in_force_is_told_at_start_in_the_config_and_in_a_metric() {
    let world = pair().await;
    let dir = harness::temp::TempDir::new();
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/examples/everything.yaml");
    let policy = std::fs::read_to_string(&manifest).expect("an example");
    let snapshot = api::load(&policy).expect("a good policy");
    let mut want: Vec<String> = snapshot.not_in_force.iter().map(|field| field.path.to_string()).collect();
    want.sort();
    assert!(want.contains(&"spec.cutover".to_owned()), "{want:?}");
    let program = Program::builder(&dir.write("policy.yaml", policy)).start().await;

    let told = lines(&program).into_iter().filter(|l| l["level"] == "WARN" && l["field"].is_string());
    let told = told.filter(|l| l["message"].as_str().is_some_and(|m| m.starts_with("not yet in force: ")));
    let mut told: Vec<String> = told.map(|l| l["field"].as_str().unwrap_or_default().to_owned()).collect();
    told.sort();
    assert_eq!(told, want, "at start");

    let config = program.admin.get("/config").send().await.json();
    let listed = config["policy"]["not_in_force"].as_array().cloned().unwrap_or_default();
    assert!(listed.iter().all(|f| f["effect"].as_str().is_some_and(|e| !e.is_empty())), "{listed:?}");
    let mut listed: Vec<String> = listed.iter().map(|f| f["field"].as_str().unwrap_or_default().to_owned()).collect();
    listed.sort();
    assert_eq!(listed, want, "/config");

    let metrics = Metrics::parse(&program.admin.get("/metrics").send().await.text());
    for field in &want {
        assert_eq!(metrics.get("llmroute_policy_not_in_force", &[("field", field)]), Some(1.0), "{field}");
    }
    assert_eq!(metrics.all("llmroute_policy_not_in_force").len(), want.len());

    // What is in force is not told so.
    let program = builder(&world).start().await;
    let metrics = Metrics::parse(&program.admin.get("/metrics").send().await.text());
    assert_eq!(metrics.all("llmroute_policy_not_in_force").len(), 0);
    assert!(!program.output().contains("not yet in force"), "{}", program.output());
}
