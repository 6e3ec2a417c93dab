//! Any app is served by any provider: three dialects of callers, three of providers, over sockets.

use harness::{
    Policy, Reply, Speech, World,
    policy::{PATIENT, QUICK},
    world::key_of,
};
use serde_json::{Value, json};
use sim::{Config, Dark, Entry, Fault, Rule, Vendor};

const SONNET: (&str, &str) = ("claude", "claude-sonnet-5-5");
const SOL: (&str, &str) = ("openai", "gpt-6-sol");

async fn world(targets: &[(&str, &str)]) -> World {
    World::builder()
        .openai("openai")
        .claude("claude")
        .start(|p| p.tier(QUICK).field(PATIENT).scene("chat", targets))
        .await
}

async fn send(world: &World, speech: Speech, body: &Value) -> Reply {
    let ask = world.app.post(speech.path(), body.to_string());
    let ask = if speech == Speech::Messages { ask.header("anthropic-version", "2023-06-01") } else { ask };
    ask.send().await.expect(hyper::StatusCode::OK)
}

fn sent(entry: Option<Entry>) -> Value {
    serde_json::from_slice(&entry.expect("a request").body).expect("JSON")
}

/// The items or the response object of an answer for Responses, plain or streamed.
fn response(reply: &Reply, stream: bool) -> Value {
    if !stream {
        return reply.json();
    }
    let last = reply.events().pop().expect("events").json();
    assert_eq!(last["type"], "response.completed", "{}", reply.text());
    last["response"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_dialect_is_answered_by_either_vendor_alone() {
    for (target, path) in [(SOL, ""), (SONNET, "/v1/messages")] {
        let world = world(&[target]).await;
        for speech in Speech::ALL {
            for stream in [false, true] {
                let reply = world.app.say(speech, "ping pong", stream).send().await.expect(hyper::StatusCode::OK);
                let what = format!("{speech:?} at {}, {stream}: {}", target.0, reply.text());
                let seen = [reply.header("x-llmroute-status"), reply.header("x-llmroute-provider")];
                assert_eq!((seen, reply.header("x-llmroute-attempts")), (["ok", target.0], "1"), "{what}");
                let heard = stream.then(|| speech.listen(&reply.events()));
                let text = heard.as_ref().map_or_else(|| speech.text(&reply.json()), |heard| heard.text.clone());
                assert!(text.starts_with("You said: ping pong."), "{what}");
                if let Some(heard) = heard {
                    assert_eq!((heard.beginnings, heard.ends, heard.errors.len()), (1, 1, 0), "{what}");
                }
                let want = match (path, speech) {
                    ("", Speech::Responses) => "/v1/responses",
                    ("", _) => "/v1/chat/completions",
                    (path, _) => path,
                };
                assert_eq!(world.seen(target.0).pop().map(|e| e.path).as_deref(), Some(want), "{what}");
                if speech == Speech::Responses {
                    let response = response(&reply, stream);
                    let is_ours = response["id"].as_str().is_some_and(|id| id.starts_with("resp_llmroute_"));
                    let kept = (is_ours, response["store"] == false, reply.header("x-llmroute-dropped"));
                    let want = if target == SONNET { (true, true, "store") } else { (false, false, "") };
                    assert_eq!(kept, want, "{what}");
                }
            }
        }
    }
}

fn tool(name: &str) -> Value {
    let city = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": false});
    json!({"type": "function", "name": name, "description": "d", "parameters": city, "strict": true})
}

/// A tool loop of an app that speaks Responses goes on at Claude while OpenAI is dark: two tools at once, their results, the
/// answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_loop_of_responses_fails_over_to_claude() {
    let world = world(&[SOL, SONNET]).await;
    world.sim("openai").dark(None, Dark::Refuses);
    for stream in [false, true] {
        let mut body = json!({
            "model": "gpt-6-sol", "instructions": "be brief", "stream": stream, "store": false,
            "input": [{"role": "user", "content": "Use both tools"}], "tools": [tool("get_weather"), tool("get_time")],
        });
        let reply = send(&world, Speech::Responses, &body).await;
        let seen = [reply.header("x-llmroute-status"), reply.header("x-llmroute-provider")];
        assert_eq!(seen, ["degraded", "claude"], "{}", reply.text());
        let first = response(&reply, stream);
        let items = first["output"].as_array().cloned().unwrap_or_default();
        let calls: Vec<Value> = items.iter().filter(|i| i["type"] == "function_call").cloned().collect();
        let names: Vec<&str> = calls.iter().filter_map(|c| c["name"].as_str()).collect();
        assert_eq!(names, ["get_weather", "get_time"], "{first}");
        let input = body["input"].as_array_mut().expect("a list");
        input.extend(items);
        for (call, result) in calls.iter().zip(["sunny", "noon"]) {
            input.push(json!({"type": "function_call_output", "call_id": call["call_id"], "output": result}));
        }
        let reply = send(&world, Speech::Responses, &body).await;
        let second = response(&reply, stream);
        assert!(Speech::Responses.text(&second).starts_with("The tools answered: sunny; noon."), "{second}");
        let asked = sent(world.seen("claude").pop());
        let used = |call: &Value| {
            let input: Value = serde_json::from_str(call["arguments"].as_str().unwrap_or_default()).expect("JSON");
            json!({"type": "tool_use", "id": call["call_id"], "name": call["name"], "input": input})
        };
        let result = |call: &Value, text: &str| json!({"type": "tool_result", "tool_use_id": call["call_id"], "content": [{"type": "text", "text": text}]});
        let want = json!([
            {"role": "user", "content": [{"type": "text", "text": "Use both tools"}]},
            {"role": "assistant", "content": [used(&calls[0]), used(&calls[1])]},
            {"role": "user", "content": [result(&calls[0], "sunny"), result(&calls[1], "noon")]},
        ]);
        assert_eq!(asked["messages"], want);
    }
}

/// What Claude thought comes back to Claude, signed as it was, and to nobody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thoughts_go_back_to_who_had_them_and_are_cut_for_others() {
    let world = world(&[SOL, ("claude", "claude-opus-4-8")]).await;
    world.sim("openai").dark(None, Dark::Refuses);
    let mut body = json!({
        "model": "gpt-6-sol", "store": false, "reasoning": {"effort": "high", "summary": "auto"},
        "input": [{"role": "user", "content": "Use get_weather"}], "tools": [tool("get_weather")],
    });
    let first = send(&world, Speech::Responses, &body).await.json();
    let items = first["output"].as_array().cloned().unwrap_or_default();
    let kinds: Vec<&str> = items.iter().filter_map(|i| i["type"].as_str()).collect();
    assert_eq!(kinds, ["reasoning", "function_call"], "{first}");
    let input = body["input"].as_array_mut().expect("a list");
    input.extend(items.clone());
    input.push(json!({"type": "function_call_output", "call_id": items[1]["call_id"], "output": "sunny"}));
    send(&world, Speech::Responses, &body).await;
    let asked = sent(world.seen("claude").pop());
    let thought = &asked["messages"][1]["content"][0];
    let signature = thought["signature"].as_str().unwrap_or_default();
    assert!(thought["type"] == "thinking" && !signature.is_empty() && !signature.contains("llmroute"), "{asked}");

    world.sim("openai").light(None);
    let reply = send(&world, Speech::Responses, &body).await;
    assert_eq!((reply.header("x-llmroute-status"), reply.header("x-llmroute-dropped")), ("ok", "input[1]"));
    let mut want = body.clone();
    want["input"].as_array_mut().expect("a list").remove(1);
    assert_eq!(sent(world.seen("openai").pop()), want);
}

/// Nobody but its keeper can go on from a response; ours has no keeper.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_of_a_provider_is_asked_of_nobody_else() {
    let world = world(&[SONNET, SOL]).await;
    let kept = world.app.say(Speech::Responses, "hi", false).header("x-llmroute-scene", "chat").send().await.json();
    let follow = |id: &str| json!({"model": "gpt-6-sol", "input": "and then?", "previous_response_id": id}).to_string();
    let refused = world.app.post("/v1/responses", follow(kept["id"].as_str().unwrap_or_default())).send().await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(refused.text().contains("send its input and its output as input items instead"), "{}", refused.text());

    let asked = world.seen("claude").len();
    let reply = world.app.post("/v1/responses", follow("resp_of_theirs")).send().await;
    assert_eq!(reply.header("x-llmroute-provider"), "openai", "{}", reply.text());
    assert_eq!((world.seen("openai").len(), world.seen("claude").len()), (1, asked));
    let plan = world.admin.post("/explain?path=/v1/responses", follow("resp_of_theirs")).send().await.json();
    assert_eq!(plan["left_out"][0]["reason"], "claude_cannot_carry", "{plan}");
    assert!(plan["left_out"][0]["why"].as_str().is_some_and(|why| why.contains("state")), "{plan}");
}

/// Two accounts of one vendor: what one of them keeps is asked of it alone, whoever is preferred.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_of_an_account_is_asked_of_no_other_account() {
    let account = |seed| Config { seed, ..Config::default() };
    for stream in [false, true] {
        let world = World::builder()
            .provider("one", Vendor::OpenAi, account(1))
            .provider("two", Vendor::OpenAi, account(2))
            .start(|p| {
                let all = p.tier(QUICK).field(PATIENT).scene("chat", &[("one", "gpt-6-sol"), ("two", "gpt-6-sol")]);
                let all = all.scene("second", &[("two", "gpt-6-sol")]);
                all.scene("turned", &[("two", "gpt-6-sol"), ("one", "gpt-6-sol")])
            })
            .await;
        let body = |more: Value| {
            let mut body = json!({"model": "gpt-6-sol", "input": "ping pong", "stream": stream,
                "include": ["reasoning.encrypted_content"], "reasoning": {"effort": "low"}});
            body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            body
        };
        world.sim("one").dark(None, Dark::Refuses);
        let of_two = response(&send(&world, Speech::Responses, &body(json!({}))).await, stream);
        world.sim("one").light(None);
        let of_one = response(&send(&world, Speech::Responses, &body(json!({}))).await, stream);

        // By id, as a question that goes on and as a path.
        for (kept, by) in [(&of_one, "one"), (&of_two, "two")] {
            let id = kept["id"].as_str().expect("an id");
            let follow = body(json!({"previous_response_id": id}));
            let reply = send(&world, Speech::Responses, &follow).await;
            assert_eq!(reply.header("x-llmroute-provider"), by, "{}", reply.text());
            let named =
                json!([{"type": "item_reference", "id": kept["output"][0]["id"]}, {"role": "user", "content": "on"}]);
            let reply = send(&world, Speech::Responses, &body(json!({"input": named}))).await;
            assert_eq!(reply.header("x-llmroute-provider"), by, "{}", reply.text());
            let other = if by == "one" { "two" } else { "one" };
            let plan = world.admin.post("/explain?path=/v1/responses", follow.to_string()).send().await.json();
            assert_eq!(plan["left_out"][0]["reason"], format!("{other}_cannot_carry"), "{plan}");
            assert!(plan["left_out"][0]["why"].as_str().is_some_and(|why| why.contains(by)), "{plan}");
            let stored = world.app.get(&format!("/v1/responses/{id}")).send().await;
            assert_eq!((stored.status, &stored.json()["id"]), (200, &kept["id"]), "{}", stored.text());

            world.sim(by).dark(None, Dark::Refuses);
            let lost = world.app.post("/v1/responses", follow.to_string()).send().await;
            assert_eq!((lost.status, lost.header("x-llmroute-reason")), (502, &*format!("{by}_connection_lost")));
            world.sim(by).light(None);
        }
        // Of before a restart, and files: the first that the scene names.
        for more in [
            json!({"previous_response_id": "resp_of_before"}),
            json!({"conversation": "conv_1"}),
            json!({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]}),
        ] {
            let ask = || world.admin.post("/explain?path=/v1/responses", body(more.clone()).to_string());
            for (scene, by) in [("second", "two"), ("turned", "one")] {
                let plan = ask().header("x-llmroute-scene", scene).send().await.json();
                assert_eq!(plan["candidates"][0]["provider"], by, "{scene}: {plan}");
            }
            let plan = ask().send().await.json();
            assert_eq!(
                (&plan["candidates"][0]["provider"], &plan["left_out"][0]["provider"]),
                (&json!("one"), &json!("two"))
            );
        }

        // Encrypted reasoning goes back to who made it; to the other one it is not sent, and that is said.
        let thoughts = |of: &Value| of["output"].as_array().expect("items").clone();
        let mut input = [thoughts(&of_one), thoughts(&of_two)].concat();
        input.push(json!({"role": "user", "content": "more"}));
        let go_on = body(json!({"input": input, "store": false}));
        for (dark, by, dropped, left) in [("two", "one", "input[2]", &of_one), ("one", "two", "input[0]", &of_two)] {
            world.sim(dark).dark(None, Dark::Refuses);
            let reply = send(&world, Speech::Responses, &go_on).await;
            assert_eq!((reply.header("x-llmroute-provider"), reply.header("x-llmroute-dropped")), (by, dropped));
            let asked = sent(world.seen(by).pop());
            let sealed: Vec<_> = asked["input"]
                .as_array()
                .expect("items")
                .iter()
                .map(|i| &i["encrypted_content"])
                .filter(|c| !c.is_null())
                .collect();
            assert_eq!(sealed, [&left["output"][0]["encrypted_content"]], "{asked}");
            world.sim(dark).light(None);
        }
    }
}

/// An app that asked for its answer to be stored may name the items of it by their ids, as the Vercel AI SDK does. Claude
/// stores none: whoever answers next gets the items themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_of_claude_can_be_named_by_their_ids() {
    let world = world(&[SONNET, SOL]).await;
    let follow = |id: &Value| json!({"model": "m", "input": [{"type": "item_reference", "id": id}, {"role": "user", "content": "more"}]});
    for stream in [false, true] {
        let mut body = json!({"model": "m", "input": "ping pong", "stream": stream});
        let item = response(&send(&world, Speech::Responses, &body).await, stream)["output"][0].clone();
        let text = item["content"][0]["text"].clone();
        assert!(text.as_str().is_some_and(|text| text.starts_with("You said: ping pong.")), "{item}");
        send(&world, Speech::Responses, &follow(&item["id"])).await;
        let want = json!([
            {"role": "assistant", "content": [{"type": "text", "text": text}]},
            {"role": "user", "content": [{"type": "text", "text": "more"}]},
        ]);
        let asked = sent(world.seen("claude").pop());
        assert!(
            asked["messages"].as_array().is_some_and(|turns| turns.ends_with(want.as_array().expect("two"))),
            "{asked}"
        );

        world.sim("claude").dark(None, Dark::Refuses);
        let reply = send(&world, Speech::Responses, &follow(&item["id"])).await;
        assert_eq!(reply.header("x-llmroute-provider"), "openai");
        assert_eq!(sent(world.seen("openai").pop())["input"][0], item);
        world.sim("claude").light(None);

        body["store"] = false.into();
        let unkept = response(&send(&world, Speech::Responses, &body).await, stream)["output"][0]["id"].clone();
        let refused = world.app.post("/v1/responses", follow(&unkept).to_string()).send().await;
        assert_eq!(refused.status, 400, "{}", refused.text());
        assert!(refused.text().contains("input[0]: names an item"), "{}", refused.text());
    }
}

/// Some models take tools in the Responses API alone: they are asked there, whatever the app speaks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_is_asked_in_the_api_that_takes_its_tools() {
    let world = world(&[("openai", "gpt-6.1-sol")]).await;
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let turns = json!([{"role": "user", "content": "Use get_weather"}]);
    for stream in [false, true] {
        let rows = [
            (
                Speech::Messages,
                json!({"tools": [{"name": "get_weather", "input_schema": schema}], "max_tokens": 256, "model": "claude-opus-5-5"}),
            ),
            (
                Speech::Chat,
                json!({"tools": [{"type": "function", "function": {"name": "get_weather", "parameters": schema}}], "model": "gpt-4o"}),
            ),
        ];
        for (speech, mut body) in rows {
            body["messages"] = turns.clone();
            let without = {
                let mut body = body.clone();
                body.as_object_mut().expect("an object").remove("tools");
                body
            };
            body["stream"] = stream.into();
            let reply = send(&world, speech, &body).await;
            assert_eq!(world.seen("openai").pop().map(|e| e.path).as_deref(), Some("/v1/responses"));
            assert!(reply.text().contains("get_weather"), "{}", reply.text());
            if stream {
                let heard = speech.listen(&reply.events());
                assert_eq!((heard.beginnings, heard.ends, heard.errors.len()), (1, 1, 0), "{}", reply.text());
            }
            send(&world, speech, &without).await;
            assert_eq!(world.seen("openai").pop().map(|e| e.path).as_deref(), Some("/v1/chat/completions"));
        }
    }
}

/// A Messages app has its prompt counted by whoever would answer it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_counted_by_either_vendor() {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let body = json!({
        "model": "claude-opus-5-5", "system": "be brief", "messages": [{"role": "user", "content": "count me, please"}],
        "tools": [{"name": "get_weather", "input_schema": schema}], "thinking": {"type": "adaptive"},
    });
    let world = world(&[SOL, SONNET]).await;
    let count = async || {
        let ask = world.app.post("/v1/messages/count_tokens?beta=true", body.to_string());
        ask.header("anthropic-version", "2026-10-21").send().await
    };
    let reply = count().await.expect(hyper::StatusCode::OK);
    let told = ["status", "provider", "dropped"].map(|name| reply.header(&format!("x-llmroute-{name}")));
    assert_eq!(told, ["ok", "openai", ""], "{}", reply.text());
    let entry = world.seen("openai").pop().expect("asked");
    assert_eq!(entry.path, "/v1/responses/input_tokens");
    // The same prompt, answered, is billed with as many.
    let mut asked = sent(Some(entry));
    let direct = world.app.post("/v1/responses", asked.to_string()).send().await.expect(hyper::StatusCode::OK).json();
    assert_eq!(reply.json(), json!({"input_tokens": direct["usage"]["input_tokens"]}));
    asked.as_object_mut().expect("an object").retain(|name, _| name != "tools");
    let want = json!({
        "model": "gpt-6-sol", "instructions": "be brief", "reasoning": {"summary": "auto"},
        "input": [{"type": "message", "role": "user", "content": "count me, please"}],
    });
    assert_eq!(asked, want);

    // What is no count is no answer, and what fails fails over.
    for fault in [Fault::Error200, Fault::Html200, Fault::Overloaded, Fault::NotFound] {
        world.script("openai", vec![Rule::fault(fault)]);
        let reply = count().await.expect(hyper::StatusCode::OK);
        let told = ["status", "provider"].map(|name| reply.header(&format!("x-llmroute-{name}")));
        assert_eq!(told, ["degraded", "claude"], "{fault:?}: {}", reply.text());
        assert!(reply.json()["input_tokens"].as_u64().is_some_and(|n| n > 0), "{}", reply.text());
        assert_eq!(world.seen("claude").pop().map(|e| e.path).as_deref(), Some("/v1/messages/count_tokens?beta=true"));
    }
    world.script("openai", vec![]);
    world.script("claude", vec![]);
    let strict = "{name: strict, strictTranslation: true}";
    let yaml = Policy::new()
        .provider("openai", "OpenAI", &world.sim("openai").url())
        .provider("claude", "Anthropic", &world.sim("claude").url())
        .tier(strict)
        .scene("chat", &[SOL, SONNET])
        .yaml();
    world.put(&yaml);
    let lossy = json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]}, {"type": "text", "text": "hi"}]}]});
    let ask = world.app.post("/v1/messages/count_tokens", lossy.to_string());
    let reply = ask.header("anthropic-version", "2023-06-01").send().await;
    assert_eq!(reply.header("x-llmroute-reason"), "openai_strict_translation", "{}", reply.text());
}

/// Old and new SDKs of Anthropic differ in the version that they speak and in where they put the key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_version_of_messages_and_both_places_of_the_key() {
    const OWN: &str = "sk-of-the-app";
    for (target, sent_as) in [(SOL, ("authorization", "Bearer ")), (SONNET, ("x-api-key", ""))] {
        let world = world(&[target]).await;
        for version in ["2023-06-01", "2026-10-21"] {
            for (name, key) in [("x-api-key", OWN.to_owned()), ("authorization", format!("Bearer {OWN}"))] {
                for (stream, path) in
                    [(false, "/v1/messages"), (true, "/v1/messages"), (false, "/v1/messages/count_tokens")]
                {
                    let counts = path.ends_with("count_tokens");
                    let mut body = Speech::Messages.body("ping pong", stream);
                    if counts {
                        body = json!({"model": body["model"], "messages": body["messages"]});
                    }
                    let ask = world.app.post(path, body.to_string()).header("anthropic-version", version);
                    let reply = ask.header(name, &key).send().await.expect(hyper::StatusCode::OK);
                    let what = format!("{version}, {name}, {path}, {stream} at {}: {}", target.0, reply.text());
                    assert_eq!(reply.header("x-llmroute-status"), "ok", "{what}");
                    match (counts, stream) {
                        (true, _) => assert!(reply.json()["input_tokens"].as_u64() > Some(0), "{what}"),
                        (false, false) => assert!(Speech::Messages.text(&reply.json()).contains("ping pong"), "{what}"),
                        (false, true) => assert_eq!(Speech::Messages.listen(&reply.events()).ends, 1, "{what}"),
                    }
                    let entry = world.seen(target.0).pop().expect("asked");
                    let header = |name| entry.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
                    let keys = ["authorization", "x-api-key"].map(header);
                    let ours = format!("{}{}", sent_as.1, key_of(target.0));
                    let want = ["authorization", "x-api-key"].map(|n| Some(ours.as_str()).filter(|_| n == sent_as.0));
                    assert_eq!(keys, want, "{what}");
                    let spoken = Some(version).filter(|_| target == SONNET);
                    assert_eq!(header("anthropic-version"), spoken, "{what}");
                }
            }
        }
        // OpenAI's SDKs of another vendor's key: it does not matter either.
        let ask = world.app.post("/v1/chat/completions", Speech::Chat.body("hi", false).to_string());
        ask.header("x-api-key", OWN).send().await.expect(hyper::StatusCode::OK);
        let entry = world.seen(target.0).pop().expect("asked");
        assert!(!entry.headers.iter().any(|(_, v)| v.contains(OWN)));
        let version = entry.headers.iter().find(|(n, _)| n == "anthropic-version").map(|(_, v)| v.as_str());
        assert_eq!(version, Some("2023-06-01").filter(|_| target == SONNET));
    }
}
