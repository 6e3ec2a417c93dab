//! What a caller hears of an answer, plain or as a stream, as its SDK puts it together.

use dialect::Dialect::{self, Chat, Messages, Responses};
use serde_json::{Value, json};

use super::said::{Counts, End, Said};

/// A whole answer.
pub fn plain(caller: Dialect, answer: &Value) -> Said {
    match caller {
        Chat => chat(answer),
        Responses => response(answer),
        Messages => message(answer),
    }
}

/// A whole stream.
pub fn streamed(caller: Dialect, events: &[Value]) -> Said {
    match caller {
        Chat => chunks(events),
        // The order check has held this to everything that was told before.
        Responses => response(&events.last().unwrap()["response"]),
        Messages => message(&gathered(events)),
    }
}

fn word(v: &Value) -> String {
    v.as_str().unwrap_or_default().to_owned()
}

fn parsed(arguments: &Value) -> Value {
    serde_json::from_str(arguments.as_str().unwrap()).unwrap()
}

fn chat(answer: &Value) -> Said {
    let choice = &answer["choices"][0];
    let m = &choice["message"];
    let calls = m["tool_calls"].as_array().into_iter().flatten();
    let calls = calls.map(|c| (word(&c["function"]["name"]), word(&c["id"]), parsed(&c["function"]["arguments"])));
    let end = match choice["finish_reason"].as_str() {
        Some("stop") if m["refusal"].is_string() => End::Refusal,
        Some("stop") => End::Stop,
        Some("tool_calls") => End::Tools,
        Some("length") => End::Length,
        Some("content_filter") => End::Refusal,
        other => panic!("{other:?}"),
    };
    let text = word(&m["content"]) + &word(&m["refusal"]);
    let thought = String::new();
    Said { text, thought, calls: calls.collect(), end, counts: chat_counts(&answer["usage"], &answer["service_tier"]) }
}

/// Chunks put together as a whole answer.
fn chunks(events: &[Value]) -> Said {
    let mut message = json!({"content": "", "refusal": null, "tool_calls": []});
    let mut finish = Value::Null;
    let (mut usage, mut served) = (Value::Null, Value::Null);
    for e in events.iter().filter(|e| e.is_object()) {
        let delta = &e["choices"][0]["delta"];
        for name in ["content", "refusal"] {
            if let Some(more) = delta[name].as_str() {
                message[name] = (word(&message[name]) + more).into();
            }
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let calls = message["tool_calls"].as_array_mut().unwrap();
            let at = call["index"].as_u64().unwrap() as usize;
            if at == calls.len() {
                calls.push(call.clone());
                continue;
            }
            let so_far = &mut calls[at]["function"]["arguments"];
            *so_far = (word(so_far) + &word(&call["function"]["arguments"])).into();
        }
        if let Some(reason) = e["choices"][0].get("finish_reason").filter(|r| r.is_string()) {
            finish = reason.clone();
        }
        if e["usage"].is_object() {
            (usage, served) = (e["usage"].clone(), e["service_tier"].clone());
        }
    }
    chat(&json!({"choices": [{"message": message, "finish_reason": finish}], "usage": usage, "service_tier": served}))
}

/// A service tier by OpenAI's name, of those that all have.
pub fn tier(name: &str) -> Option<&'static str> {
    ["default", "priority"].into_iter().find(|tier| name == *tier || *tier == "default" && name == "standard")
}

fn chat_counts(u: &Value, served: &Value) -> Option<Counts> {
    let n = |p: &str| u.pointer(p).and_then(Value::as_u64);
    Some(Counts {
        input: n("/prompt_tokens")?,
        cached: n("/prompt_tokens_details/cached_tokens").unwrap_or(0),
        written: n("/prompt_tokens_details/cache_write_tokens").unwrap_or(0),
        output: n("/completion_tokens")?,
        reasoning: n("/completion_tokens_details/reasoning_tokens").unwrap_or(0),
        tier: served.as_str().and_then(tier),
    })
}

fn message(answer: &Value) -> Said {
    let mut said = Said { text: String::new(), thought: String::new(), calls: vec![], end: End::Stop, counts: None };
    for block in answer["content"].as_array().unwrap() {
        match block["type"].as_str() {
            Some("text") => said.text += block["text"].as_str().unwrap(),
            Some("thinking") => {
                assert!(block["signature"].is_string(), "a thought is signed");
                said.thought += block["thinking"].as_str().unwrap();
            }
            Some("tool_use") => said.calls.push((word(&block["name"]), word(&block["id"]), block["input"].clone())),
            other => panic!("{other:?}"),
        }
    }
    said.end = match answer["stop_reason"].as_str() {
        Some("end_turn") => End::Stop,
        Some("tool_use") => End::Tools,
        Some("max_tokens") => End::Length,
        Some("refusal") => End::Refusal,
        other => panic!("{other:?}"),
    };
    let n = |p: &str| answer["usage"].pointer(p).and_then(Value::as_u64).unwrap_or(0);
    let (cached, written) = (n("/cache_read_input_tokens"), n("/cache_creation_input_tokens"));
    said.counts = Some(Counts {
        input: n("/input_tokens") + cached + written,
        cached,
        written,
        output: n("/output_tokens"),
        reasoning: n("/output_tokens_details/thinking_tokens"),
        tier: answer["usage"]["service_tier"].as_str().and_then(tier),
    });
    said
}

/// Events put together as a whole message.
fn gathered(events: &[Value]) -> Value {
    let mut m = Value::Null;
    let mut arguments = String::new();
    for e in events {
        match e["type"].as_str().unwrap() {
            "message_start" => m = e["message"].clone(),
            "content_block_start" => m["content"].as_array_mut().unwrap().push(e["content_block"].clone()),
            "content_block_delta" => {
                let block = m["content"].as_array_mut().unwrap().last_mut().unwrap();
                for name in ["text", "thinking", "signature"] {
                    if let Some(more) = e["delta"][name].as_str() {
                        block[name] = (word(&block[name]) + more).into();
                    }
                }
                arguments += e["delta"]["partial_json"].as_str().unwrap_or_default();
            }
            "content_block_stop" if !arguments.is_empty() => {
                let block = m["content"].as_array_mut().unwrap().last_mut().unwrap();
                block["input"] = serde_json::from_str(&std::mem::take(&mut arguments)).unwrap();
            }
            "message_delta" => {
                m["stop_reason"] = e["delta"]["stop_reason"].clone();
                // A later count stands over an earlier one; what it leaves out stays.
                m["usage"].as_object_mut().unwrap().extend(e["usage"].as_object().unwrap().clone());
            }
            _ => {}
        }
    }
    m
}

fn response(r: &Value) -> Said {
    let mut said = Said { text: String::new(), thought: String::new(), calls: vec![], end: End::Stop, counts: None };
    let mut refused = false;
    for item in r["output"].as_array().unwrap() {
        match item["type"].as_str() {
            Some("message") => {
                for part in item["content"].as_array().unwrap() {
                    said.text += part["text"].as_str().or(part["refusal"].as_str()).unwrap();
                    refused |= part["refusal"].is_string();
                }
            }
            Some("function_call") => {
                said.calls.push((word(&item["name"]), word(&item["call_id"]), parsed(&item["arguments"])));
            }
            Some("reasoning") => {
                said.thought.extend(item["summary"].as_array().unwrap().iter().map(|p| p["text"].as_str().unwrap()));
            }
            other => panic!("{other:?}"),
        }
    }
    said.end = match (r["status"].as_str(), r["incomplete_details"]["reason"].as_str()) {
        (Some("completed"), None) if refused => End::Refusal,
        (Some("completed"), None) if !said.calls.is_empty() => End::Tools,
        (Some("completed"), None) => End::Stop,
        (Some("incomplete"), Some("max_output_tokens")) => End::Length,
        (Some("incomplete"), Some("content_filter")) => End::Refusal,
        other => panic!("{other:?}"),
    };
    let n = |p: &str| r["usage"].pointer(p).and_then(Value::as_u64);
    said.counts = n("/input_tokens").zip(n("/output_tokens")).map(|(input, output)| Counts {
        input,
        cached: n("/input_tokens_details/cached_tokens").unwrap_or(0),
        written: n("/input_tokens_details/cache_write_tokens").unwrap_or(0),
        output,
        reasoning: n("/output_tokens_details/reasoning_tokens").unwrap_or(0),
        tier: r["service_tier"].as_str().and_then(tier),
    });
    said
}
