//! Which target answers, and what travels in which direction.

use harness::{
    Policy, Reply, Speech, World,
    policy::{PATIENT, QUICK},
    stub::{self, Stub},
    world::key_of,
};
use serde_json::json;
use sim::{Entry, Fault, Rule};

async fn pair(more: impl FnOnce(Policy) -> Policy) -> World {
    World::builder().openai("openai").claude("claude").start(|p| more(p.field(PATIENT))).await
}

fn two_scenes(p: Policy) -> Policy {
    p.scene("chat", &[("openai", "gpt-6-sol"), ("claude", "claude-sonnet-5-5")])
        .scene("code", &[("claude", "claude-sonnet-5-5"), ("openai", "gpt-6-sol")])
        .tier("{name: gold}")
        .tier("{name: silver, objective: Cost}")
}

async fn hinted(world: &World, headers: &[(&str, &str)]) -> (String, String) {
    let mut ask = world.app.say(Speech::Chat, "hi", false);
    for (name, value) in headers {
        ask = ask.header(name, value);
    }
    let reply = ask.send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    (reply.header("x-llmroute-scene").to_owned(), reply.header("x-llmroute-tier").to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_rules_and_defaults() {
    let classify = "classify: {headers: {scene: [x-intent], tier: [x-sla-tier], tenant: [x-tenant]}, \
        rules: [{scene: code, when: 'request.tools > 0 || request.model.startsWith(\"code\")'}, \
        {tier: silver, when: 'request.headers[\"x-batch\"] == \"yes\"'}], default: {scene: chat, tier: gold}}";
    let world = pair(|p| two_scenes(p).field(classify)).await;
    for (headers, want) in [
        (&[][..], ("chat", "gold")),
        (&[("x-llmroute-scene", "code")], ("code", "gold")),
        (&[("x-llmroute-tier", "silver")], ("chat", "silver")),
        (&[("x-intent", "code"), ("x-sla-tier", "silver")], ("code", "silver")),
        (&[("X-Intent", "code")], ("code", "gold")),
        (&[("x-llmroute-scene", "nonsense"), ("x-llmroute-tier", "")], ("chat", "gold")),
    ] {
        let (scene, tier) = hinted(&world, headers).await;
        assert_eq!((scene.as_str(), tier.as_str()), want, "{headers:?}");
    }
    // A rule by fact, and a hint over it.
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    let mut body = Speech::Chat.body("hi", false);
    body["tools"] = tools;
    let reply = world.app.post("/v1/chat/completions", body.to_string()).send().await;
    assert_eq!(
        (reply.header("x-llmroute-scene"), reply.header("x-llmroute-provider")),
        ("code", "claude"),
        "{}",
        reply.text()
    );
    let reply =
        world.app.post("/v1/chat/completions", body.to_string()).header("x-llmroute-scene", "chat").send().await;
    assert_eq!(reply.header("x-llmroute-scene"), "chat");
    body = Speech::Chat.body("hi", false);
    body["model"] = "code-large".into();
    let reply = world.app.post("/v1/chat/completions", body.to_string()).send().await;
    assert_eq!(reply.header("x-llmroute-scene"), "code");

    let world = pair(|p| two_scenes(p).field("classify: {trustHints: false}")).await;
    let got = hinted(&world, &[("x-llmroute-scene", "code"), ("x-llmroute-tier", "silver")]).await;
    assert_eq!(got.0, "chat", "hints are not trusted, and no default is the first scene");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_objective_orders_the_targets_and_ok_is_its_first() {
    let targets = [("openai", "gpt-6-sol"), ("openai", "gpt-6-luna"), ("claude", "claude-sonnet-5-5")];
    for (objective, model) in [("Quality", "gpt-6-sol"), ("Cost", "gpt-6-luna")] {
        let world = pair(|p| p.scene("chat", &targets).tier(&format!("{{name: t, objective: {objective}}}"))).await;
        let reply = world.app.say(Speech::Chat, "hi", false).send().await;
        assert_eq!((reply.header("x-llmroute-model"), reply.header("x-llmroute-status")), (model, "ok"), "{objective}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_are_those_of_the_policy_and_no_provider_is_asked() {
    let world = pair(two_scenes).await;
    let openai = world.app.get("/v1/models").send().await.json();
    assert_eq!(openai["object"], "list");
    let ids: Vec<_> = openai["data"].as_array().expect("a list").iter().map(|m| m["id"].clone()).collect();
    assert_eq!(ids, ["gpt-6-sol", "claude-sonnet-5-5"]);
    let claude = world.app.get("/v1/models?limit=20").header("anthropic-version", "2023-06-01").send().await.json();
    assert_eq!((claude["has_more"].clone(), claude["data"][0]["type"].clone()), (json!(false), json!("model")));
    let one = world.app.get("/v1/models/gpt-6-sol").send().await;
    assert_eq!((one.status, one.json()["object"].clone()), (200, json!("model")));
    let none = world.app.get("/v1/models/gpt-2").send().await;
    assert_eq!(none.status, 404);
    assert!(!Speech::Chat.error(&none.json()).is_null());
    assert!(world.seen("openai").is_empty() && world.seen("claude").is_empty());
}

fn header<'e>(entry: &'e Entry, name: &str) -> Option<&'e str> {
    entry.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

/// Headers that no provider may see.
const SECRET: [(&str, &str); 13] = [
    ("authorization", "Bearer sk-of-the-app"),
    ("x-api-key", "sk-of-the-app"),
    ("api-key", "sk-of-the-app"),
    ("cookie", "session=1"),
    ("proxy-authorization", "Basic eA=="),
    ("proxy-connection", "keep-alive"),
    ("te", "trailers"),
    ("connection", "x-private, keep-alive"),
    ("x-private", "named by connection"),
    ("x-llmroute-tenant", "acme"),
    ("x-llmroute-max-cost-usd", "100"),
    ("x-intent", "chat"),
    ("x-tenant", "acme"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_on_the_way_out() {
    let classify = "classify: {headers: {scene: [x-intent], tenant: [x-tenant]}}";
    let world = pair(|p| p.tier(QUICK).field(classify)).await;
    let ask = |speech| {
        let mut ask = world.app.say(speech, "hi", false);
        for (name, value) in SECRET {
            ask = ask.header(name, value);
        }
        ask.header("openai-organization", "org-1")
            .header("openai-project", "proj-1")
            .header("anthropic-beta", "b1,b2")
            .header("user-agent", "app/1")
            .header("x-custom", "y")
            .header("x-stainless-lang", "python")
            .header("idempotency-key", "k1")
    };
    assert_eq!(ask(Speech::Chat).send().await.status, 200);
    world.script("openai", vec![Rule::fault(Fault::Unauthorized)]);
    assert_eq!(ask(Speech::Chat).send().await.header("x-llmroute-provider"), "claude");
    let openai = world.seen("openai").remove(0);
    let translated = world.seen("claude").remove(0);
    for entry in [&openai, &translated] {
        for (name, value) in SECRET {
            assert_ne!(header(entry, name), Some(value), "{name} reached a provider");
        }
        assert!(
            entry.headers.iter().all(|(n, _)| !n.starts_with("x-llmroute-") && n != "x-private" && n != "x-tenant")
        );
        assert_eq!(header(entry, "accept-encoding"), Some("identity"));
        assert_eq!(header(entry, "content-type"), Some("application/json"));
    }
    let same = |name| header(&openai, name);
    assert_eq!(same("authorization"), Some(format!("Bearer {}", key_of("openai")).as_str()));
    assert_eq!((same("openai-organization"), same("openai-project")), (Some("org-1"), Some("proj-1")));
    assert_eq!((same("x-custom"), same("user-agent")), (Some("y"), Some("app/1")));
    assert_eq!((same("anthropic-beta"), same("x-api-key")), (None, None));
    let other = |name| header(&translated, name);
    assert_eq!(other("x-api-key"), Some(key_of("claude").as_str()));
    assert_eq!(other("anthropic-version"), Some("2023-06-01"));
    for name in [
        "authorization",
        "openai-organization",
        "anthropic-beta",
        "x-custom",
        "user-agent",
        "x-stainless-lang",
        "idempotency-key",
    ] {
        assert_eq!(other(name), None, "a translated call carries only what we set: {name}");
    }

    // A Messages caller's own version and betas go to an Anthropic provider.
    let reply = world
        .app
        .post("/v1/messages?beta=true", Speech::Messages.body("hi", false).to_string())
        .header("anthropic-version", "2024-10-22")
        .header("anthropic-beta", "b1,b2")
        .header("openai-organization", "org-1")
        .send()
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let claude = world.seen("claude").pop().expect("asked");
    assert_eq!(
        (header(&claude, "anthropic-version"), header(&claude, "anthropic-beta")),
        (Some("2024-10-22"), Some("b1,b2"))
    );
    assert_eq!(header(&claude, "openai-organization"), None);
    assert_eq!(claude.path, "/v1/messages?beta=true");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_base_urls_and_fixed_headers() {
    let stub = Stub::start(|_| stub::json(r#"{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}]}"#)).await;
    for (base, path) in [
        ("", "/v1/chat/completions"),
        ("/v1", "/v1/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
        ("/eu/v1", "/eu/v1/chat/completions"),
    ] {
        let policy = Policy::new()
            .provider_with("own", "OpenAI", &format!("{}{base}", stub.url()), ", headers: {x-fixed: a, x-custom: ours}")
            .scene("chat", &[("own", "")]);
        let world = World::builder().start_with(&policy.yaml()).await;
        let reply = world.app.say(Speech::Chat, "hi", false).header("x-custom", "theirs").send().await;
        assert_eq!(reply.status, 200, "{base}: {}", reply.text());
        let seen = stub.seen().pop().expect("asked");
        assert!(seen.head.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{base}: {}", seen.head);
        assert_eq!((seen.header("x-fixed"), seen.header("x-custom")), (Some("a"), Some("ours")));
        assert_eq!(seen.header("host"), Some(stub.addr().to_string().as_str()));
        let body: serde_json::Value = serde_json::from_slice(&seen.body).expect("JSON");
        assert_eq!(body["model"], "gpt-6-sol", "a target without a model sends the caller's");
        assert_eq!(reply.header("x-llmroute-model"), "gpt-6-sol");
    }
}

/// Decimal dollars as nano-dollars.
fn nano(usd: &str) -> u64 {
    let (whole, part) = usd.split_once('.').unwrap_or((usd, ""));
    whole.parse::<u64>().expect("a number") * 1_000_000_000
        + format!("{part:0<9}").parse::<u64>().expect("at most nine decimals")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_on_the_way_back() {
    let world = World::pair().await;
    for speech in Speech::ALL {
        let reply = world.app.say(speech, "hi", false).send().await;
        assert_eq!(reply.status, 200);
        for name in [
            "x-llmroute-status",
            "x-llmroute-provider",
            "x-llmroute-model",
            "x-llmroute-scene",
            "x-llmroute-tier",
            "x-llmroute-trace-id",
            "x-llmroute-attempts",
            "x-llmroute-cost-usd",
            "traceparent",
        ] {
            assert_ne!(reply.header(name), "", "{speech:?} {name}");
        }
        let trace = reply.header("traceparent").split('-').nth(1).expect("a trace id").to_owned();
        assert!(reply.header("x-llmroute-trace-id").ends_with(&trace));
        assert_eq!(reply.header("x-llmroute-reason"), "");
        // The provider that answered, its request id, its limits, and what it says it charges.
        let by = reply.header("x-llmroute-provider").to_owned();
        let item = world.sim(&by).bill().items.pop_back().expect("a charge");
        assert_eq!(nano(reply.header("x-llmroute-cost-usd")), item.nano_usd, "{speech:?}");
        let limits = |r: &Reply| {
            !r.header("x-ratelimit-remaining-requests").is_empty()
                || !r.header("anthropic-ratelimit-requests-remaining").is_empty()
        };
        assert!(limits(&reply), "{:?}", reply.headers);
    }
    // Across dialects under the caller's names.
    world.script("openai", vec![Rule::fault(Fault::Unauthorized)]);
    let reply = world.app.say(Speech::Chat, "hi", false).send().await;
    assert_eq!(reply.header("x-llmroute-provider"), "claude");
    assert!(reply.header("x-request-id").starts_with("req_"), "{:?}", reply.headers);
    assert_eq!(reply.header("x-ratelimit-remaining-requests"), "3999");
    assert!(reply.headers.keys().all(|n| !n.as_str().starts_with("anthropic-")), "{:?}", reply.headers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_passed_through() {
    let seen_whole = Stub::start(|seen| {
        let audio = seen.head.contains("/speech");
        if audio {
            stub::answer("200 OK", "audio/mpeg", [0xff, 0xfb, 0, 1, 2])
        } else {
            stub::json(r#"{"ok" :  true,"usage":{"prompt_tokens":1,"total_tokens":1}}"#)
        }
    })
    .await;
    let policy = Policy::new()
        .provider("claude", "Anthropic", "http://127.0.0.1:9")
        .provider_with(
            "openai",
            "OpenAI",
            &seen_whole.url(),
            ", paths: [{path: /v1/batches, costUsd: \"0\"}, {path: /v1/x/y}]",
        )
        .scene("chat", &[("claude", "claude-sonnet-5-5"), ("openai", "gpt-6-sol")])
        .tier(QUICK);
    let world = World::builder().start_with(&policy.yaml()).await;
    let body = r#"{ "model":"text-embedding-3-small","input":"x",  "odd":1.0e2 }"#;
    for path in [
        "/v1/embeddings",
        "/v1/moderations",
        "/v1/images/generations",
        "/v1/audio/speech",
        "/v1/batches",
        "/v1/batches/b1/cancel",
        "/v1/x/y",
    ] {
        let reply = world.app.post(path, body).send().await;
        assert_eq!((reply.status, reply.header("x-llmroute-provider")), (200, "openai"), "{path}: {}", reply.text());
        let seen = seen_whole.seen().pop().expect("asked");
        assert!(seen.head.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{}", seen.head);
        assert_eq!(seen.text(), body, "the caller's own model and bytes");
        assert_eq!(seen.header("authorization"), Some(format!("Bearer {}", key_of("openai")).as_str()));
        let want: &[u8] = if path.ends_with("speech") {
            &[0xff, 0xfb, 0, 1, 2]
        } else {
            br#"{"ok" :  true,"usage":{"prompt_tokens":1,"total_tokens":1}}"#
        };
        assert_eq!(&reply.body[..], want, "{path}");
    }
    for path in ["/v1/batchesx", "/v1/x", "/v1/files"] {
        assert_eq!(world.app.post(path, body).send().await.status, 404, "{path}");
    }
    // An upload is streamed through as it is.
    let upload = "--b\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\nRIFF\u{0}\r\n--b--\r\n";
    let reply = world
        .app
        .ask(hyper::Method::POST, "/v1/audio/transcriptions")
        .header("content-type", "multipart/form-data; boundary=b")
        .body(upload)
        .send()
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let seen = seen_whole.seen().pop().expect("asked");
    assert_eq!((seen.text().as_str(), seen.header("content-type")), (upload, Some("multipart/form-data; boundary=b")));
    // Stored responses belong to the OpenAI provider.
    for (method, path) in [
        (hyper::Method::GET, "/v1/responses/resp_1?include=x"),
        (hyper::Method::DELETE, "/v1/responses/resp_1"),
        (hyper::Method::POST, "/v1/responses/resp_1/cancel"),
        (hyper::Method::POST, "/v1/responses/input_tokens"),
    ] {
        assert_eq!(world.app.ask(method.clone(), path).send().await.status, 200);
        let seen = seen_whole.seen().pop().expect("asked");
        assert!(seen.head.starts_with(&format!("{method} {path} HTTP/1.1\r\n")), "{}", seen.head);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_that_cannot_serve_are_left_out_with_their_reason() {
    // No key.
    let policy = |openai: &str, claude: &str| {
        Policy::new()
            .provider("openai", "OpenAI", openai)
            .provider("claude", "Anthropic", claude)
            .scene("chat", &[("openai", "gpt-6-sol"), ("claude", "claude-sonnet-5-5")])
            .tier("{name: t, maxCostUsd: \"5\"}")
    };
    let world = World::pair().await;
    let yaml = policy(&world.sim("openai").url(), &world.sim("claude").url()).yaml();
    world.put(&yaml.replace("credentialKey: openai", "credentialKey: nobody"));
    let reply = world.app.say(Speech::Chat, "hi", false).send().await;
    assert_eq!(
        (reply.status, reply.header("x-llmroute-status"), reply.header("x-llmroute-reason")),
        (200, "degraded", "openai_credential_missing"),
        "{}",
        reply.text()
    );
    // Too dear for this request.
    world.put(&yaml);
    let reply = world.app.say(Speech::Chat, "hi", false).header("x-llmroute-max-cost-usd", "0.0000001").send().await;
    assert_eq!((reply.status, reply.header("x-llmroute-status")), (429, "refused"), "{}", reply.text());
    assert_eq!(reply.json()["error"]["type"], "rate_limit_error");
    assert_eq!(reply.header("x-should-retry"), "false");
    // Images for a model that takes none.
    let blind =
        yaml.replace("credentialKey: openai}", "credentialKey: openai, models: [{name: gpt-6-sol, images: false}]}");
    world.put(&blind);
    let pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let body = json!({"model": "gpt-6-sol", "messages": [{"role": "user", "content": [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": pixel}}]}]});
    let reply = world.app.post("/v1/chat/completions", body.to_string()).send().await;
    assert_eq!(
        (reply.status, reply.header("x-llmroute-provider"), reply.header("x-llmroute-reason")),
        (200, "claude", "openai_cannot_carry"),
        "{}",
        reply.text()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strict_tier_leaves_out_what_would_lose_something() {
    let body = json!({"model": "gpt-6-sol", "messages": [{"role": "user", "content": "hi"}], "seed": 7, "logit_bias": {"50256": -100}});
    for (strict, want) in [(false, (200, "claude")), (true, (401, ""))] {
        let world = pair(|p| p.tier(&format!("{{name: t, strictTranslation: {strict}}}"))).await;
        world.script("openai", vec![Rule::fault(Fault::Unauthorized)]);
        let reply = world.app.post("/v1/chat/completions", body.to_string()).send().await;
        assert_eq!(reply.status, want.0, "{}", reply.text());
        if !strict {
            assert_eq!(reply.header("x-llmroute-provider"), want.1);
            let dropped: Vec<_> = reply.header("x-llmroute-dropped").split(',').map(str::trim).collect();
            assert!(dropped.contains(&"seed") && dropped.contains(&"logit_bias"), "{dropped:?}");
        }
    }
}
