//! Answers of all shapes that the APIs give.

use proptest::{collection::vec, option, prelude::*};
use serde_json::{Value, json};

fn text() -> impl Strategy<Value = String> {
    "[a-c \"\\\\\n\r\u{e9}\u{1f600}\u{2028}]{1,12}"
}

fn object() -> impl Strategy<Value = Value> {
    vec(("[a-c]{1,2}", any::<i64>(), text()), 0..3).prop_map(|m| {
        m.into_iter().map(|(name, n, t)| (name, json!({"n": n, "t": t}))).collect::<serde_json::Map<_, _>>().into()
    })
}

pub fn chat() -> impl Strategy<Value = Value> {
    let call = (object(), any::<bool>());
    let choice = (option::of(text()), option::of(text()), option::of(text()), vec(call, 0..4), any::<[bool; 4]>());
    (vec(choice, 1..4), any::<bool>()).prop_map(|(choices, rare)| {
        let choices: Vec<Value> = choices.into_iter().enumerate().map(|(i, choice)| chat_choice(i, choice)).collect();
        let mut out = json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1_790_000_000, "model": "m", "choices": choices,
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}, "service_tier": "default",
            "system_fingerprint": "fp_1",
        });
        if rare {
            out["x_rare"] = json!({"a": [1]});
        }
        out
    })
}

type Choice = (Option<String>, Option<String>, Option<String>, Vec<(Value, bool)>, [bool; 4]);

fn chat_choice(i: usize, (content, refusal, thought, calls, [noted, scored, older, rare]): Choice) -> Value {
    let calls: Vec<Value> = calls.into_iter().enumerate().map(|(k, (input, custom))| match custom {
        true => json!({"id": format!("call_{k}"), "type": "custom", "custom": {"name": "g", "input": input.to_string()}}),
        false => json!({"id": format!("call_{k}"), "type": "function", "function": {"name": "f", "arguments": input.to_string()}}),
    }).collect();
    let says_nothing = calls.is_empty() && refusal.is_none() && content.is_none() && !older;
    let content = if says_nothing { Some(String::new()) } else { content };
    let mut message = json!({"role": "assistant", "content": content, "refusal": refusal});
    if let Some(thought) = thought {
        message["reasoning_content"] = thought.into();
    }
    if noted {
        message["annotations"] = json!([{"type": "url_citation", "url_citation": {"url": "u"}}]);
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    if older {
        message["function_call"] = json!({"name": "f", "arguments": "{\"a\":1}"});
    }
    let logprobs =
        if scored { json!({"content": [{"token": "a", "logprob": -0.25}], "refusal": null}) } else { Value::Null };
    let logprobs = if scored && message["content"].is_null() { Value::Null } else { logprobs };
    let reason = if message["tool_calls"].is_array() { "tool_calls" } else { "stop" };
    let mut out = json!({"index": i, "message": message, "logprobs": logprobs, "finish_reason": reason});
    if out["logprobs"].is_object() {
        out["logprobs"].as_object_mut().unwrap().remove("refusal");
    }
    if rare {
        out["content_filter_results"] = json!({"hate": {"filtered": false}});
    }
    out
}

pub fn messages() -> impl Strategy<Value = Value> {
    let block = prop_oneof![
        text().prop_map(|t| json!({"type": "text", "text": t})),
        text().prop_map(
            |t| json!({"type": "text", "text": t, "citations": [{"type": "page_location", "cited_text": t}]})
        ),
        (option::of(text()), text())
            .prop_map(|(t, s)| json!({"type": "thinking", "thinking": t.unwrap_or_default(), "signature": s})),
        text().prop_map(|d| json!({"type": "redacted_thinking", "data": d})),
        object().prop_map(|input| json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": input})),
    ];
    let reason =
        prop::sample::select(vec!["end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal", "pause_turn"]);
    (vec(block, 0..6), reason, any::<bool>()).prop_map(|(content, reason, rare)| {
        let sequence = (reason == "stop_sequence").then_some("END");
        let mut out = json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content,
            "stop_reason": reason, "stop_sequence": sequence,
            "usage": {"input_tokens": 3, "cache_read_input_tokens": 1, "cache_creation": {"ephemeral_5m_input_tokens": 0}, "output_tokens": 9, "service_tier": "standard"},
        });
        if rare {
            out["stop_details"] = json!({"type": "refusal", "category": null});
            out["x_rare"] = json!([1]);
        }
        out
    })
}

pub fn responses() -> impl Strategy<Value = Value> {
    let part = prop_oneof![
        text().prop_map(|t| json!({"type": "output_text", "text": t, "annotations": [], "logprobs": []})),
        text().prop_map(
            |t| json!({"type": "output_text", "text": t, "annotations": [{"type": "file_citation", "index": 1}]})
        ),
        text().prop_map(|t| json!({"type": "refusal", "refusal": t})),
    ];
    let item = prop_oneof![
        vec(part, 0..3).prop_map(|content| json!({"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": content})),
        (vec(text(), 0..3), vec(text(), 0..2)).prop_map(|(summary, content)| {
            let part = |kind: &'static str| move |t: String| json!({"type": kind, "text": t});
            let summary: Vec<Value> = summary.into_iter().map(part("summary_text")).collect();
            let content: Vec<Value> = content.into_iter().map(part("reasoning_text")).collect();
            json!({"id": "rs_1", "type": "reasoning", "summary": summary, "content": content, "encrypted_content": "x"})
        }),
        object().prop_map(|i| json!({"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "c", "name": "f", "arguments": i.to_string()})),
        text().prop_map(|t| json!({"id": "ctc_1", "type": "custom_tool_call", "call_id": "c", "name": "f", "input": t})),
        Just(json!({"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {}})),
    ];
    (vec(item, 0..5), any::<bool>()).prop_map(|(mut output, whole)| {
        for (i, item) in output.iter_mut().enumerate() {
            item["id"] = format!("{}_{i}", item["type"].as_str().unwrap()).into();
        }
        let details = if whole { Value::Null } else { json!({"reason": "max_output_tokens"}) };
        json!({
            "id": "resp_1", "object": "response", "created_at": 1, "status": if whole { "completed" } else { "incomplete" },
            "completed_at": 2, "error": null, "incomplete_details": details, "model": "m", "output": output,
            "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}, "temperature": 1.0, "metadata": {},
        })
    })
}
