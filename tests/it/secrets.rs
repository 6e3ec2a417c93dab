//! Keys, prompts and completions appear nowhere but where they belong.

use harness::{
    Program, Speech, World, heavy,
    otlp::Receiver,
    policy::{PATIENT, QUICK},
    world::key_of,
};
use sim::{Fault, Rule};

/// What must appear nowhere: keys, the app's own key, the prompt, what the model says to it.
fn needles() -> Vec<String> {
    let mut needles = vec![
        key_of("openai"),
        key_of("claude"),
        "sk-of-the-app-4711".to_owned(),
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
        .env("OTEL_BSP_SCHEDULE_DELAY", "200")
        .start()
        .await;
    let mut found = vec![];
    let mut asked = 0;
    for fault in Fault::ALL.iter().copied().filter(|f| !matches!(f, Fault::EndlessBody | Fault::HugeEvent)) {
        for name in ["openai", "claude"] {
            world.script(name, vec![Rule::fault(fault)]);
        }
        let all =
            Speech::ALL.into_iter().flat_map(|speech| [(speech, false), (speech, true)]).map(|(speech, stream)| {
                let mut body = speech.body("plantedprompt one two", stream);
                if speech == Speech::Messages {
                    body["system"] = "plantedsystem".into();
                }
                let ask = program.app.post(speech.path(), body.to_string());
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
    let body = Speech::Chat.body("plantedprompt", false).to_string();
    let explained =
        program.admin.post("/explain", body.clone()).header("authorization", "Bearer sk-of-the-app-4711").send().await;
    leaks("/explain", &explained.text(), &mut found);
    // Broken requests too.
    for bad in [body[..body.len() - 2].to_owned(), format!("{body}x"), body.replace("messages", "massages")] {
        let reply = program.app.post("/v1/chat/completions", bad).send().await;
        leaks("the answer to a bad request", &reply.text(), &mut found);
    }
    program.terminate();
    assert_eq!(program.wait().await.code(), Some(0));
    let log = program.output();
    assert!(log.len() > 10_000 && log.contains("TRACE"), "the log is at trace level: {} bytes", log.len());
    leaks("the log", &log, &mut found);
    let spans = receiver.spans();
    assert!(spans.len() >= asked * 2, "{} spans for {asked} requests", spans.len());
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
