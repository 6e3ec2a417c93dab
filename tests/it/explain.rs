//! `POST /explain` tells for every cause which candidate is left out and why, before anything is sent, and the request
//! itself goes the very way that it told.

use harness::{Caller, Policy, Reply, Speech, World, policy::QUICK};
use serde_json::{Value, json};
use sim::{Act, Fault, Rule};

/// What a row changes of two providers, their flagships in one scene, that could all serve the request.
#[derive(Default)]
struct Row {
    /// The reason that the one left out has, its provider first.
    reason: &'static str,
    /// Of the sentence beside it.
    why: &'static str,
    /// OpenAI's model, where it is not the flagship.
    target: &'static str,
    /// What the policy says of that model.
    model: &'static str,
    /// The file of OpenAI's key, where it is not there.
    key: &'static str,
    /// Fields of the tier.
    tier: &'static str,
    /// A field of the policy.
    field: &'static str,
    /// Members of the body.
    body: Value,
    /// A header of the request.
    header: Option<(&'static str, &'static str)>,
    /// What OpenAI suffers, and how often it is asked before.
    before: Option<(Act, usize)>,
    /// Who may serve it instead; nobody, where none is left.
    left: &'static str,
}

/// A breaker that opens at the second failure, and p95 from two readings on.
const USUAL: &str = "breaker: {consecutiveFailures: 2, openFor: 60s}";

fn image() -> Value {
    let pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": pixel}}]}]})
}

fn rows() -> Vec<Row> {
    let budget = "budgets: [{name: hour, window: 1h, limitUsd: \"5\"}]";
    let late = Act { head_ms: Some(150), ..Act::default() };
    let wait = Act { retry_after: Some("30".to_owned()), ..Act::fault(Fault::RateLimit) };
    vec![
        Row {
            reason: "openai_credential_missing",
            why: "the credentials directory has no file `nobody`",
            key: "nobody",
            left: "claude",
            ..Row::default()
        },
        Row {
            reason: "openai_cannot_carry",
            why: "images",
            model: ", images: false",
            body: image(),
            left: "claude",
            ..Row::default()
        },
        Row {
            reason: "openai_context_too_long",
            why: "exceed the context of 5",
            model: ", contextTokens: 5",
            left: "claude",
            ..Row::default()
        },
        Row {
            reason: "claude_strict_translation",
            why: "the target would lose logit_bias",
            tier: ", strictTranslation: true",
            body: json!({"logit_bias": {"50256": -100}}),
            left: "openai",
            ..Row::default()
        },
        // A model of the caller's own API that is put in loses something too.
        Row {
            reason: "openai_strict_translation",
            why: "the target would lose stop",
            tier: ", strictTranslation: true",
            model: ", capabilities: {stop: false}",
            body: json!({"model": "gpt-4o", "stop": ["never"]}),
            left: "claude",
            ..Row::default()
        },
        Row {
            reason: "openai_price_unknown",
            why: "the model has no known price",
            target: "tomorrows-model",
            field: budget,
            left: "claude",
            ..Row::default()
        },
        Row {
            reason: "openai_cost_unbounded",
            why: "nothing limits the answer",
            target: "our-own",
            model: ", price: {inputPerMTok: \"1\", outputPerMTok: \"1\"}",
            field: budget,
            left: "claude",
            ..Row::default()
        },
        Row {
            reason: "openai_max_cost_exceeded",
            why: "USD, the request allows 0.0001",
            header: Some(("x-llmroute-max-cost-usd", "0.0001")),
            ..Row::default()
        },
        Row {
            reason: "openai_max_cost_exceeded",
            why: "USD, the request allows 0.0002",
            tier: ", maxCostUsd: \"0.0002\"",
            ..Row::default()
        },
        Row {
            reason: "openai_max_latency_exceeded",
            why: "ms exceeds the request's max latency",
            field: "health: {minRequests: 2}",
            header: Some(("x-llmroute-max-latency-ms", "100")),
            before: Some((late, 2)),
            left: "claude",
            ..Row::default()
        },
        Row {
            reason: "openai_circuit_open",
            why: "open after ",
            before: Some((Act::fault(Fault::ServerError), 2)),
            left: "claude",
            ..Row::default()
        },
        Row {
            reason: "openai_rate_limited",
            why: "asked to wait ",
            before: Some((wait, 1)),
            left: "claude",
            ..Row::default()
        },
    ]
}

impl Row {
    async fn ask(&self, to: &Caller, path: &str, body: &Value) -> Reply {
        let ask = to.post(path, body.to_string());
        let ask = if let Some((name, value)) = self.header { ask.header(name, value) } else { ask };
        ask.send().await
    }
}

/// The rest of a row's policy stands around what it changes.
fn policy(row: &Row, world: &World) -> String {
    let (openai, claude) = (world.sim("openai").url(), world.sim("claude").url());
    let target = if row.target.is_empty() { "gpt-6-sol" } else { row.target };
    let tier = QUICK.replacen("{name: quick", &format!("{{name: quick{}", row.tier), 1);
    let policy = Policy::new()
        .provider_with("openai", "OpenAI", &openai, &format!(", models: [{{name: {target}{}}}]", row.model))
        .provider("claude", "Anthropic", &claude)
        .scene("chat", &[("openai", target), ("claude", "claude-sonnet-5-5")])
        .tier(&tier)
        .field(USUAL)
        .field(row.field);
    let key = if row.key.is_empty() { "openai" } else { row.key };
    policy.yaml().replace("credentialKey: openai", &format!("credentialKey: {key}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_cause_for_which_a_candidate_is_left_out() {
    for row in rows() {
        let world = World::pair().await;
        world.put(&policy(&row, &world));
        let mut body = Speech::Chat.body("hi, how are you?", false);
        let more = row.body.as_object().cloned().unwrap_or_default();
        body.as_object_mut().expect("an object").extend(more);
        if let Some((act, times)) = &row.before {
            world.script("openai", vec![Rule::act(act.clone())]);
            for _ in 0..*times {
                world.app.say(Speech::Chat, "hi", false).send().await;
            }
        }
        let asked = (world.seen("openai").len(), world.seen("claude").len());
        let plan = row.ask(&world.admin, "/explain", &body).await.expect(hyper::StatusCode::OK).json();
        let left_out = &plan["left_out"][0];
        assert_eq!(left_out["reason"], row.reason, "{plan:#}");
        assert!(row.reason.starts_with(left_out["provider"].as_str().unwrap_or("nobody")), "{plan:#}");
        assert!(left_out["why"].as_str().is_some_and(|why| why.contains(row.why)), "{} {plan:#}", row.why);
        let first = plan["candidates"][0]["provider"].as_str().unwrap_or_default();
        assert_eq!(first, row.left, "{plan:#}");
        assert_eq!((world.seen("openai").len(), world.seen("claude").len()), asked, "nobody was asked");

        // The same request goes that way.
        let reply = row.ask(&world.app, "/v1/chat/completions", &body).await;
        assert_eq!(reply.header("x-llmroute-provider"), row.left, "{}: {}", row.reason, reply.text());
        if row.left == "claude" || row.left.is_empty() {
            assert_eq!(reply.header("x-llmroute-reason"), row.reason, "{}", reply.text());
        }
    }
}

/// Candidates that stay: why each stands where it does, and whether the money and the rates are there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_candidates_stand_where_they_do() {
    let world = World::builder()
        .openai("openai")
        .fields(", limits: {requestsPerMinute: 1}")
        .claude("claude")
        .start(|p| {
            p.scene("chat", &[("openai", "gpt-6-sol"), ("openai", "gpt-6-luna"), ("claude", "claude-sonnet-5-5")])
                .field("budgets: [{name: hour, window: 1h, limitUsd: \"0.02\"}]")
                .field(USUAL)
        })
        .await;
    let explain = |limit: u64| {
        let mut body = Speech::Chat.body("hi", false);
        body["max_completion_tokens"] = limit.into();
        world.admin.post("/explain", body.to_string()).send()
    };
    let column = |plan: &Value, name: &str| -> Vec<String> {
        let rows = plan["candidates"].as_array().cloned().unwrap_or_default();
        rows.iter().map(|row| row[name].as_str().unwrap_or_default().to_owned()).collect()
    };
    let plan = explain(100).await.json();
    assert_eq!(plan["left_out"], json!([]));
    let whys = [
        "first in the scene's order",
        "another model of the same provider comes before a provider switch",
        "next provider",
    ];
    assert_eq!(column(&plan, "why"), whys);
    assert_eq!(column(&plan, "money"), ["fits"; 3]);
    let whole = "it is more than the whole of `hour`";
    let dear = explain(2500).await.json();
    assert_eq!(column(&dear, "money"), [whole, "fits", whole], "{dear:#}");

    // One request a minute is all that OpenAI takes.
    let mut body = Speech::Chat.body("hi", false);
    body["max_completion_tokens"] = 100.into();
    let reply = world.app.post("/v1/chat/completions", body.to_string()).send().await;
    assert_eq!((reply.status, reply.header("x-llmroute-provider")), (200, "openai"), "{}", reply.text());
    let plan = explain(100).await.json();
    let money = column(&plan, "money");
    assert!(money[0].contains("has no room for it; it will in ") && money[0] == money[1], "{plan:#}");
    assert_eq!(money[2], "fits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_resort_is_told() {
    let world = World::builder().openai("openai").claude("claude").start(|p| p.tier(QUICK).field(USUAL)).await;
    for name in ["openai", "claude"] {
        world.script(name, vec![Rule::fault(Fault::ServerError)]);
    }
    for _ in 0..2 {
        world.app.say(Speech::Chat, "hi", false).send().await;
    }
    let plan = world.admin.post("/explain", Speech::Chat.body("hi", false).to_string()).send().await.json();
    let (only, out) = (&plan["candidates"], &plan["left_out"]);
    assert_eq!((only.as_array().map(Vec::len), out.as_array().map(Vec::len)), (Some(1), Some(1)), "{plan:#}");
    assert_eq!(only[0]["why"], "every circuit is open; this one is due soonest and is tried once");
    let other = out[0]["provider"].as_str().unwrap_or_default();
    assert_ne!(only[0]["provider"], other);
    assert_eq!(out[0]["reason"], format!("{other}_circuit_open"));
}
