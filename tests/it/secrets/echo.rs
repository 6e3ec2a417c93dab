//! A provider that says its key wherever an answer has room for it, in all three dialects.

use harness::{
    Policy, Speech,
    caller::Ask,
    otlp::Receiver,
    policy::PATIENT,
    stub::{Piece, Seen, Stub, answer, stream},
    temp::TempDir,
    world::key_of,
};
use serde_json::{Value, json};

use super::{kept, leaks, pages, talkative};

/// What an answer is, told to the provider by the prompt.
const KINDS: [&str; 9] = [
    "answer",
    "tool",
    "error in the midst",
    "error at once",
    "cut",
    "refused",
    "HTML with a reason",
    "limited",
    "no JSON",
];
const KEPT: &str = "[redacted]";

/// The answer to one request.
fn echo(seen: &Seen) -> Vec<Piece> {
    let bearer = seen.header("authorization").map(|v| v.trim_start_matches("Bearer ").to_owned());
    let key = bearer.or_else(|| seen.header("x-api-key").map(str::to_owned)).unwrap_or_default();
    let text = seen.text();
    let kind = KINDS.into_iter().find(|kind| text.contains(&format!("<{kind}>"))).unwrap_or("answer");
    let error = json!({"type": "error", "error": {"message": key, "type": key, "code": key, "param": key}}).to_string();
    let with_headers = |status: &str, kind: &str, body: &str| {
        let named = ["x-request-id", "request-id", "x-ratelimit-remaining-requests", "retry-after", "location"];
        let named: String = named.iter().map(|name| format!("{name}: {key}\r\n")).collect();
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{named}content-length: {length}\r\n\r\n");
        vec![Piece::Bytes([head.as_bytes(), body.as_bytes()].concat())]
    };
    match kind {
        "error at once" => return with_headers("500 Oops", "application/json", &error),
        "refused" => return with_headers("401 Unauthorized", "application/json", &error),
        "HTML with a reason" => return with_headers(&format!("400 {key}"), "text/html", &format!("<h1>{key}</h1>")),
        "limited" => return with_headers("429 Too Many Requests", "application/json", &error),
        "no JSON" => return answer("200 OK", "application/json", format!("{key} says: not {{")),
        _ => {}
    }
    let path = seen.head.split(' ').nth(1).unwrap_or_default();
    if path == "/v1/embeddings" {
        let row = json!({"object": "embedding", "index": 0, "embedding": [0.5], "note": key});
        return answer("200 OK", "application/json", json!({"data": [row], "model": key}).to_string());
    }
    let speech = Speech::ALL.into_iter().find(|s| s.path() == path).expect("one of three calls");
    let tool = kind == "tool";
    if !text.contains("\"stream\":true") {
        let body = match kind {
            "error in the midst" => error,
            _ => whole(speech, &key, tool).to_string(),
        };
        return match kind {
            "cut" => {
                let length = body.len() + 1;
                let head =
                    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
                vec![Piece::Bytes([head.as_bytes(), body.as_bytes()].concat()), Piece::Close]
            }
            _ => with_headers("200 OK", "application/json", &body),
        };
    }
    let frame = |event: &Value| match (speech, event["type"].as_str()) {
        (Speech::Chat, _) | (_, None) => format!("data: {event}\n\n"),
        (_, Some(name)) => format!("event: {name}\ndata: {event}\n\n"),
    };
    let mut frames: Vec<String> = events(speech, &key, tool).iter().map(frame).collect();
    if speech == Speech::Chat {
        frames.push("data: [DONE]\n\n".to_owned());
    }
    // A comment and a name of its own say it too.
    frames.insert(1, format!(": {key}\n\n"));
    frames.insert(2, format!("id: {key}\n\n"));
    match kind {
        "error in the midst" => {
            frames.truncate(frames.len() - 1);
            let event = match speech {
                Speech::Responses => {
                    json!({"type": "error", "code": key, "message": key, "param": key, "sequence_number": 9})
                }
                Speech::Messages => json!({"type": "error", "error": {"type": key, "message": key}}),
                Speech::Chat => json!({"error": {"message": key, "type": key, "code": key, "param": key}}),
            };
            frames.push(frame(&event));
            stream(frames)
        }
        "cut" => {
            // In the midst of the key.
            let mut bytes = frames.concat();
            bytes.truncate(bytes.rfind(&key).map_or(bytes.len(), |at| at + key.len() - 4));
            let mut pieces = stream([bytes]);
            pieces.pop();
            pieces.push(Piece::Close);
            pieces
        }
        // The key in two packets.
        _ => {
            let bytes = frames.concat();
            let half = bytes.rfind(&key).map_or(0, |at| at + key.len() / 2);
            let mut pieces = stream([&bytes[..half], &bytes[half..]]);
            pieces.insert(2, Piece::Pause(std::time::Duration::from_millis(20)));
            pieces
        }
    }
}

/// A whole plain answer.
fn whole(speech: Speech, key: &str, tool: bool) -> Value {
    let arguments = json!({"k": key}).to_string();
    match speech {
        Speech::Chat => {
            let call = json!({"id": key, "type": "function", "function": {"name": key, "arguments": arguments}});
            let mut message = json!({"role": "assistant", "content": key, "refusal": null});
            if tool {
                message["tool_calls"] = json!([call]);
            }
            let choice =
                json!({"index": 0, "message": message, "finish_reason": if tool { "tool_calls" } else { "stop" }});
            let usage = json!({"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8});
            json!({"id": key, "object": "chat.completion", "created": 1, "model": key, "system_fingerprint": key,
                "service_tier": key, "choices": [choice], "usage": usage})
        }
        Speech::Responses => {
            let part = json!({"type": "output_text", "text": key, "annotations": []});
            let message =
                json!({"id": key, "type": "message", "status": "completed", "role": "assistant", "content": [part]});
            let call = json!({"id": key, "type": "function_call", "status": "completed", "call_id": key, "name": key,
                "arguments": arguments});
            let output = if tool { vec![message, call] } else { vec![message] };
            let usage = json!({"input_tokens": 3, "output_tokens": 5, "total_tokens": 8});
            json!({"id": key, "object": "response", "created_at": 1, "status": "completed", "model": key,
                "metadata": {key: key}, "output": output, "usage": usage})
        }
        Speech::Messages => {
            let mut content = vec![
                json!({"type": "thinking", "thinking": key, "signature": key}),
                json!({"type": "text", "text": key}),
            ];
            if tool {
                content.push(json!({"type": "tool_use", "id": key, "name": key, "input": {"k": key}}));
            }
            let stop = if tool { "tool_use" } else { "end_turn" };
            let usage = json!({"input_tokens": 3, "output_tokens": 5});
            json!({"id": key, "type": "message", "role": "assistant", "model": key, "content": content,
                "stop_reason": stop, "stop_sequence": null, "usage": usage})
        }
    }
}

/// The events of a stream.
fn events(speech: Speech, key: &str, tool: bool) -> Vec<Value> {
    let answer = whole(speech, key, tool);
    let arguments = json!({"k": key}).to_string();
    match speech {
        Speech::Chat => {
            let chunk = |delta: Value, finish: Value| {
                json!({"id": key, "object": "chat.completion.chunk", "created": 1, "model": key, "system_fingerprint": key,
                    "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
            };
            let mut out = vec![
                chunk(json!({"role": "assistant", "content": ""}), Value::Null),
                chunk(json!({"content": key}), Value::Null),
            ];
            if tool {
                let call = json!({"index": 0, "id": key, "type": "function", "function": {"name": key, "arguments": arguments}});
                out.push(chunk(json!({"tool_calls": [call]}), Value::Null));
            }
            out.push(chunk(json!({}), answer["choices"][0]["finish_reason"].clone()));
            out.push(json!({"id": key, "object": "chat.completion.chunk", "created": 1, "model": key, "choices": [],
                "usage": answer["usage"]}));
            out
        }
        Speech::Responses => {
            let mut begun = answer.clone();
            begun["status"] = "in_progress".into();
            begun["output"] = json!([]);
            let mut out = vec![json!({"type": "response.created", "response": begun})];
            for (at, item) in answer["output"].as_array().into_iter().flatten().enumerate() {
                let mut open = item.clone();
                open["status"] = "in_progress".into();
                let event = |kind: &str, more: Value| {
                    let mut event = json!({"type": kind, "output_index": at, "item_id": key, "content_index": 0});
                    event.as_object_mut().expect("an object").extend(more.as_object().expect("members").clone());
                    event
                };
                if item["type"] == "message" {
                    open["content"] = json!([]);
                    let part = |text: &str| json!({"part": {"type": "output_text", "text": text, "annotations": []}});
                    out.extend([
                        event("response.output_item.added", json!({"item": open})),
                        event("response.content_part.added", part("")),
                        event("response.output_text.delta", json!({"delta": key})),
                        event("response.output_text.done", json!({"text": key})),
                        event("response.content_part.done", part(key)),
                    ]);
                } else {
                    open["arguments"] = "".into();
                    out.extend([
                        event("response.output_item.added", json!({"item": open})),
                        event("response.function_call_arguments.delta", json!({"delta": arguments})),
                        event("response.function_call_arguments.done", json!({"arguments": arguments})),
                    ]);
                }
                out.push(event("response.output_item.done", json!({"item": item})));
            }
            out.push(json!({"type": "response.completed", "response": answer}));
            for (number, event) in out.iter_mut().enumerate() {
                event["sequence_number"] = number.into();
            }
            out
        }
        Speech::Messages => {
            let mut begun = answer.clone();
            begun["content"] = json!([]);
            begun["stop_reason"] = Value::Null;
            let mut out = vec![json!({"type": "message_start", "message": begun})];
            for (at, block) in answer["content"].as_array().into_iter().flatten().enumerate() {
                let (open, deltas) = match block["type"].as_str() {
                    Some("thinking") => (
                        json!({"type": "thinking", "thinking": "", "signature": ""}),
                        vec![
                            json!({"type": "thinking_delta", "thinking": key}),
                            json!({"type": "signature_delta", "signature": key}),
                        ],
                    ),
                    Some("text") => {
                        (json!({"type": "text", "text": ""}), vec![json!({"type": "text_delta", "text": key})])
                    }
                    _ => (
                        json!({"type": "tool_use", "id": key, "name": key, "input": {}}),
                        vec![json!({"type": "input_json_delta", "partial_json": arguments})],
                    ),
                };
                out.push(json!({"type": "content_block_start", "index": at, "content_block": open}));
                out.extend(deltas.into_iter().map(|d| json!({"type": "content_block_delta", "index": at, "delta": d})));
                out.push(json!({"type": "content_block_stop", "index": at}));
            }
            let delta = json!({"stop_reason": answer["stop_reason"], "stop_sequence": null});
            out.push(json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 5}}));
            out.push(json!({"type": "message_stop"}));
            out
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_echoes_the_key_tells_nobody() {
    let provider = Stub::start(echo).await;
    let receiver = Receiver::start().await;
    let dir = TempDir::new();
    let once = "{name: once, timeouts: {firstByte: 5s, idle: 5s, total: 10s}, retries: {attempts: 1}}";
    let policy = Policy::new()
        .provider_with("openai", "OpenAI", &provider.url(), ", paths: [{path: /v1/embeddings, costUsd: \"0\"}]")
        .provider("claude", "Anthropic", &provider.url())
        .scene("openai", &[("openai", "gpt-6-sol")])
        .scene("claude", &[("claude", "claude-sonnet-5-5")])
        .tier(once)
        .field(PATIENT)
        .field("budgets: [{name: ledgered, window: 1h, limitUsd: \"1000\"}]");
    let file = dir.write("policy.yaml", policy.yaml());
    for name in ["openai", "claude"] {
        dir.write(&format!("keys/{name}"), key_of(name));
    }
    let state = dir.join("state");
    let mut program = talkative(&file, &dir, &receiver).start().await;
    let mut found = vec![];
    let mut asked = 0;
    for kind in KINDS {
        for speech in Speech::ALL {
            for name in ["openai", "claude"] {
                for streams in [false, true] {
                    let told = format!("{kind:?} from {name} for {speech:?}, stream {streams}");
                    let ask = program.app.say(speech, &format!("<{kind}>"), streams);
                    let reply = Ask::header(ask, "x-llmroute-scene", name).send().await;
                    asked += 1;
                    // An answer passed on names its maker, an error of ours the one to blame.
                    let blames = reply.header("x-llmroute-reason").starts_with(&format!("{name}_"));
                    assert!(reply.header("x-llmroute-provider") == name || blames, "{told}: {}", reply.text());
                    // What is told is told without the key: the echo has come this far.
                    let text = reply.text();
                    if matches!(kind, "answer" | "tool") {
                        assert!(reply.status == 200 && text.contains(KEPT), "{told}: {} {text}", reply.status);
                    }
                    leaks(&format!("the head of {told}"), &format!("{:?}", reply.headers), &mut found);
                    leaks(&format!("the body of {told}"), &text, &mut found);
                }
            }
        }
    }
    for kind in ["answer", "refused", "limited"] {
        let body = json!({"model": "text-embedding-3-small", "input": format!("<{kind}>")}).to_string();
        let reply = program.app.post("/v1/embeddings", body).send().await;
        assert_ne!(reply.header("x-llmroute-status"), "refused", "{kind:?}: {}", reply.text());
        asked += 1;
        leaks(&format!("{kind:?} passed through"), &format!("{:?} {}", reply.headers, reply.text()), &mut found);
    }
    let seen = provider.seen();
    assert!(seen.len() >= asked, "{} of {asked}", seen.len());
    let keys = ["openai", "claude"].map(key_of);
    assert!(seen.iter().all(|s| keys.iter().any(|key| s.head.contains(key))), "each was told a key");
    pages(&program, &mut found).await;
    program.terminate();
    assert_eq!(program.wait().await.code(), Some(0));
    leaks("the log", &program.output(), &mut found);
    assert!(receiver.spans().len() >= asked * 3, "{}", receiver.spans().len());
    leaks("the spans", &String::from_utf8_lossy(&receiver.bytes()), &mut found);
    let kept = kept(&state);
    assert!(kept.contains("ledgered"), "the journal is kept");
    leaks("the state directory", &kept, &mut found);
    assert!(found.is_empty(), "{} leaks: {:#?}", found.len(), &found[..found.len().min(12)]);
}
