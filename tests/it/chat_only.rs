//! Servers that speak Chat Completions alone, as most compatible ones do: `api: ChatCompletions`. They answer apps that speak
//! Responses or Messages too, and are never asked in an API that they do not have.

use harness::{
    Reply, Speech, World,
    policy::{PATIENT, QUICK},
    world::Builder,
};
use hyper::StatusCode;
use serde_json::{Value, json};
use sim::{Fault, Rule};

const LOCAL: (&str, &str) = ("local", "gpt-6-sol");
const SOL: (&str, &str) = ("openai", "gpt-6-sol");
const SONNET: (&str, &str) = ("claude", "claude-sonnet-5-5");

/// `local` is such a server.
async fn world(builder: Builder, targets: &[(&str, &str)]) -> World {
    let yaml = builder.policy(|p| p.tier(QUICK).field(PATIENT).scene("chat", targets)).yaml();
    let yaml = yaml.replacen("name: local, api: OpenAI", "name: local, api: ChatCompletions", 1);
    let world = builder.start_with(&yaml).await;
    world.script("local", vec![Rule::fault(Fault::NotFound).path("/v1/responses")]);
    world
}

fn local() -> Builder {
    World::builder().openai("local")
}

async fn send(world: &World, speech: Speech, body: &Value) -> Reply {
    let ask = world.app.post(speech.path(), body.to_string());
    let ask = if speech == Speech::Messages { ask.header("anthropic-version", "2023-06-01") } else { ask };
    ask.send().await
}

async fn explain(world: &World, path: &str, body: &Value) -> Value {
    let ask = world.admin.post(&format!("/explain?path={path}"), body.to_string());
    ask.header("anthropic-version", "2023-06-01").send().await.expect(StatusCode::OK).json()
}

/// The response object of an answer for Responses, plain or streamed.
fn response(reply: &Reply, stream: bool) -> Value {
    match stream {
        false => reply.json(),
        true => reply.events().pop().expect("events").json()["response"].clone(),
    }
}

fn paths(world: &World, name: &str) -> Vec<String> {
    world.seen(name).into_iter().map(|entry| entry.path).collect()
}

/// Every app is answered, the tool loop of one that speaks Responses included.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_app_is_answered_in_chat_completions() {
    let world = world(local(), &[LOCAL]).await;
    for speech in Speech::ALL {
        for stream in [false, true] {
            let body = speech.body("ping pong", stream);
            let plan = explain(&world, speech.path(), &body).await;
            assert_eq!((plan["candidates"][0]["provider"].as_str(), &plan["left_out"]), (Some("local"), &json!([])));
            let reply = send(&world, speech, &body).await.expect(StatusCode::OK);
            let told = (reply.header("x-llmroute-status"), reply.header("x-llmroute-attempts"));
            assert_eq!(told, ("ok", "1"), "{speech:?}, {stream}: {}", reply.text());
            if stream {
                let heard = speech.listen(&reply.events());
                assert_eq!((heard.beginnings, heard.ends, heard.errors.len()), (1, 1, 0), "{}", reply.text());
                assert!(heard.text.contains("ping pong"), "{}", reply.text());
            } else {
                assert!(speech.text(&reply.json()).contains("ping pong"), "{}", reply.text());
            }
            if speech == Speech::Responses {
                let said = response(&reply, stream);
                assert!(said["id"].as_str().is_some_and(|id| id.starts_with("resp_llmroute_")), "{said}");
                assert_eq!((&said["store"], reply.header("x-llmroute-dropped")), (&json!(false), "store"));
            }
        }
    }

    let city = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": false});
    for stream in [false, true] {
        let mut body = json!({
            "model": "gpt-6-sol", "stream": stream, "store": false, "input": [{"role": "user", "content": "Use get_weather"}],
            "tools": [{"type": "function", "name": "get_weather", "description": "d", "parameters": city, "strict": true}],
        });
        let first = response(&send(&world, Speech::Responses, &body).await.expect(StatusCode::OK), stream);
        let items = first["output"].as_array().cloned().unwrap_or_default();
        let call = items.iter().find(|i| i["type"] == "function_call").cloned().expect("a call");
        let input = body["input"].as_array_mut().expect("a list");
        input.extend(items);
        input.push(json!({"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}));
        let second = response(&send(&world, Speech::Responses, &body).await.expect(StatusCode::OK), stream);
        assert!(Speech::Responses.text(&second).starts_with("The tools answered: sunny."), "{second}");
        let asked: Value = serde_json::from_slice(&world.seen("local").pop().expect("asked").body).expect("JSON");
        let roles: Vec<_> = asked["messages"].as_array().into_iter().flatten().map(|m| m["role"].as_str()).collect();
        assert_eq!(roles, [Some("user"), Some("assistant"), Some("tool")], "{asked}");
    }
    assert!(paths(&world, "local").iter().all(|path| path == "/v1/chat/completions"), "{:?}", paths(&world, "local"));
}

/// What needs an API that it does not have is left out, with the reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_another_api_goes_elsewhere() {
    let world = world(local().claude("claude"), &[("local", "gpt-6.1-sol"), SONNET]).await;
    let left_out = async |path: &str, body: &Value, why: &str| {
        let plan = explain(&world, path, body).await;
        let out = &plan["left_out"][0];
        assert_eq!(
            (&out["reason"], &plan["candidates"][0]["provider"]),
            (&json!("local_cannot_carry"), &json!("claude"))
        );
        assert!(out["why"].as_str().is_some_and(|text| text.contains(why)), "{out}");
    };
    // This model takes tools in Responses alone, and there is none.
    let turns = json!([{"role": "user", "content": "Use get_weather"}]);
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let mut tools = json!({"model": "claude-opus-5-5", "max_tokens": 256, "messages": turns,
        "tools": [{"name": "get_weather", "input_schema": schema}]});
    left_out("/v1/messages", &tools, "tools in the Responses API alone").await;
    let reply = send(&world, Speech::Messages, &tools).await.expect(StatusCode::OK);
    assert_eq!(reply.header("x-llmroute-provider"), "claude", "{}", reply.text());
    let responses = json!({"model": "gpt-6.1-sol", "input": "Use get_weather",
        "tools": [{"type": "function", "name": "get_weather", "parameters": schema}]});
    left_out("/v1/responses", &responses, "tools in the Responses API alone").await;
    tools.as_object_mut().expect("an object").remove("tools");
    let reply = send(&world, Speech::Messages, &tools).await.expect(StatusCode::OK);
    assert_eq!(reply.header("x-llmroute-provider"), "local", "{}", reply.text());

    let count = json!({"model": "claude-opus-5-5", "messages": turns});
    left_out("/v1/messages/count_tokens", &count, "counts tokens").await;
    let ask = world.app.post("/v1/messages/count_tokens", count.to_string()).header("anthropic-version", "2023-06-01");
    let reply = ask.send().await.expect(StatusCode::OK);
    assert_eq!(reply.header("x-llmroute-provider"), "claude");
    assert_eq!(paths(&world, "local"), ["/v1/chat/completions"]);
}

/// It keeps nothing: what an app refers to is another provider's, though it stands first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_is_not_sought_there() {
    let world = world(local().openai("openai"), &[LOCAL, SOL]).await;
    world.script(
        "local",
        vec![Rule::fault(Fault::NotFound).path("/v1/responses"), Rule::fault(Fault::Overloaded).times(3)],
    );
    let body = |more: Value| {
        let mut body = json!({"model": "gpt-6-sol", "input": "ping pong"});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    let kept = send(&world, Speech::Responses, &body(json!({}))).await.expect(StatusCode::OK);
    assert_eq!(kept.header("x-llmroute-provider"), "openai");
    let id = kept.json()["id"].clone();
    let asked = world.seen("local").len();
    for of in [&id, &json!("resp_of_before")] {
        let follow = body(json!({"previous_response_id": of}));
        let plan = explain(&world, "/v1/responses", &follow).await;
        assert_eq!(plan["candidates"][0]["provider"], "openai", "{plan}");
        assert_eq!(plan["left_out"][0]["reason"], "local_cannot_carry", "{plan}");
        assert!(plan["left_out"][0]["why"].as_str().is_some_and(|why| why.contains("state")), "{plan}");
        send(&world, Speech::Responses, &follow).await;
        let stored = world.app.get(&format!("/v1/responses/{}", of.as_str().expect("an id"))).send().await;
        assert_eq!(stored.header("x-llmroute-provider"), "openai", "{}", stored.text());
    }
    assert_eq!(world.seen("local").len(), asked);

    // Its own answers are nobody's state, but their items are known by their ids.
    world.script("local", vec![Rule::fault(Fault::NotFound).path("/v1/responses")]);
    let said = send(&world, Speech::Responses, &body(json!({}))).await.expect(StatusCode::OK);
    assert_eq!(said.header("x-llmroute-provider"), "local");
    let refused = send(&world, Speech::Responses, &body(json!({"previous_response_id": said.json()["id"]}))).await;
    assert_eq!((refused.status, refused.header("x-llmroute-status")), (400, "refused"), "{}", refused.text());
    let named =
        json!([{"type": "item_reference", "id": said.json()["output"][0]["id"]}, {"role": "user", "content": "on"}]);
    let reply = send(&world, Speech::Responses, &body(json!({"input": named}))).await.expect(StatusCode::OK);
    assert_eq!(reply.header("x-llmroute-provider"), "local");

    // The policy in force tells it as it was written.
    let config = world.admin.get("/config").send().await.json();
    let apis: Vec<_> =
        config["policy"]["providers"].as_array().into_iter().flatten().map(|p| p["api"].as_str()).collect();
    assert_eq!(apis, [Some("ChatCompletions"), Some("OpenAI")], "{config}");
}
