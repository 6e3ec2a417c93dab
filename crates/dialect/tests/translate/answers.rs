//! Whole answers, both ways.

use dialect::{
    AnswerFault,
    Dialect::{self, Chat, Messages},
    translate_answer,
};
use serde_json::{Value, json};

use crate::{context, other};

/// A provider's answer as a caller of the other dialect gets it.
fn answered(caller: Dialect, body: &Value) -> Value {
    let done = translate_answer(&context(caller, &json!({})), body.to_string().as_bytes()).unwrap();
    serde_json::from_slice(&done).unwrap()
}

/// A Messages answer as a Chat caller gets it.
fn for_chat(content: Value, stop: &str) -> Value {
    let body = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": content, "stop_reason": stop});
    answered(Chat, &body)
}

/// A Chat answer as a Messages caller gets it.
fn for_messages(message: Value, finish: &str) -> Value {
    let choice = json!({"index": 0, "message": message, "finish_reason": finish});
    answered(Messages, &json!({"id": "chatcmpl-1", "model": "gpt", "choices": [choice]}))
}

fn text(t: &str) -> Value {
    json!({"type": "text", "text": t})
}

#[test]
fn t37_t50_t57_messages_to_chat_whole() {
    let got = answered(
        Chat,
        &json!({
            "id": "msg_01", "type": "message", "role": "assistant", "model": "claude-haiku-5-5",
            "content": [text("Hel"), text("lo")], "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {"input_tokens": 6, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2, "output_tokens": 3,
                "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 1}, "output_tokens_details": {"thinking_tokens": 1}},
        }),
    );
    let want = json!({
        "id": "chatcmpl-01", "object": "chat.completion", "created": 1, "model": "claude-haiku-5-5",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello", "refusal": null}, "logprobs": null, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 1, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
        },
    });
    assert_eq!(got, want);
}

#[test]
fn t37_t39_t57_chat_to_messages_whole() {
    let got = answered(
        Messages,
        &json!({
            "id": "chatcmpl-01", "object": "chat.completion", "created": 5, "model": "gpt-6-sol",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello", "refusal": null, "annotations": []}, "logprobs": null, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15, "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2}},
        }),
    );
    let want = json!({
        "id": "msg_01", "type": "message", "role": "assistant", "model": "gpt-6-sol", "content": [text("Hello")],
        "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 6, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 4, "output_tokens": 3},
    });
    assert_eq!(got, want);
}

#[test]
fn t19_t20_t22_t46_calls_to_chat_and_no_thinking() {
    let got = for_chat(
        json!([
            {"type": "thinking", "thinking": "secret plan", "signature": "s"},
            {"type": "redacted_thinking", "data": "d"},
            text("Looking."),
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": [1, 2.5], "y": null}},
            {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
            {"type": "tool_use", "id": "toolu_3", "name": "h"},
        ]),
        "tool_use",
    );
    let call = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let calls =
        [call("toolu_1", "f", "{\"x\":[1,2.5],\"y\":null}"), call("toolu_2", "g", "{}"), call("toolu_3", "h", "{}")];
    let message = json!({"role": "assistant", "content": "Looking.", "refusal": null, "tool_calls": calls});
    assert_eq!(got["choices"][0]["message"], message);
    assert_eq!(got["choices"][0]["finish_reason"], "tool_calls");
    let silent = for_chat(json!([{"type": "tool_use", "id": "t", "name": "f", "input": {}}]), "tool_use");
    assert_eq!(silent["choices"][0]["message"]["content"], Value::Null);
}

#[test]
fn t19_t20_t22_calls_to_messages() {
    let call = |id: &str, name: &str, arguments: Value| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let got = for_messages(
        json!({"role": "assistant", "content": "Looking.", "tool_calls": [
            call("call_1", "f", json!("{\"x\":1}")),
            call("call_2", "g", json!("")),
            call("", "h", json!({"x": 2})),
            call("call_4", "i", json!("not json")),
            call("call_5", "j", json!("[1]")),
        ]}),
        "tool_calls",
    );
    let used = |id: &str, name: &str, input: Value| json!({"type": "tool_use", "id": id, "name": name, "input": input});
    let want = json!([
        text("Looking."),
        used("call_1", "f", json!({"x": 1})),
        used("call_2", "g", json!({})),
        used("call_chatcmpl-1_2", "h", json!({"x": 2})),
        used("call_4", "i", json!({"arguments": "not json"})),
        used("call_5", "j", json!({"arguments": [1]})),
    ]);
    assert_eq!((&got["content"], &got["stop_reason"]), (&want, &json!("tool_use")));
    let silent = for_messages(json!({"content": null, "tool_calls": [call("c", "f", json!("{}"))]}), "tool_calls");
    assert_eq!(silent["content"], json!([used("c", "f", json!({}))]));
}

#[test]
fn t16_the_callers_own_names_come_back() {
    let long = format!("mcp__{}", "x".repeat(80));
    let offers = json!({"tools": [{"name": long, "input_schema": {"type": "object"}}]});
    let context = context(Messages, &offers);
    let wire = crate::sent(
        Messages,
        "m",
        &json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "tools": offers["tools"]}),
    );
    let wire = wire.unwrap().0["tools"][0]["function"]["name"].clone();
    let calls = json!([
        {"id": "a", "function": {"name": wire, "arguments": "{}"}},
        {"id": "b", "function": {"name": "other", "arguments": "{}"}},
    ]);
    let body = json!({"id": "c", "model": "m", "choices": [{"message": {"tool_calls": calls}, "finish_reason": "tool_calls"}]});
    let got: Value = serde_json::from_slice(&translate_answer(&context, body.to_string().as_bytes()).unwrap()).unwrap();
    assert_eq!((&got["content"][0]["name"], &got["content"][1]["name"]), (&json!(long), &json!("other")));
    let streamed = crate::streamed(
        &context,
        &[
            json!({"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "a", "function": {"name": wire, "arguments": ""}}]}}]}),
        ],
    );
    assert_eq!(streamed.unwrap()[1]["content_block"]["name"], long);
}

#[test]
fn t34_why_it_ended_for_chat() {
    let rows = [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "tool_calls"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "length"),
        ("refusal", "content_filter"),
        ("novelty", "length"),
    ];
    for (reason, want) in rows {
        assert_eq!(for_chat(json!([text("x")]), reason)["choices"][0]["finish_reason"], want, "{reason}");
    }
    let body = json!({"id": "m", "model": "m", "content": [text("x")], "stop_reason": null});
    assert_eq!(answered(Chat, &body)["choices"][0]["finish_reason"], "length", "unsaid is no clean stop");
}

#[test]
fn t35_why_it_ended_for_messages() {
    let rows = [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("function_call", "tool_use"),
        ("content_filter", "refusal"),
        ("novelty", "max_tokens"),
    ];
    for (reason, want) in rows {
        assert_eq!(for_messages(json!({"content": "x"}), reason)["stop_reason"], want, "{reason}");
    }
    let calls = json!([{"id": "a", "function": {"name": "f", "arguments": "{}"}}]);
    assert_eq!(for_messages(json!({"tool_calls": calls}), "stop")["stop_reason"], "tool_use", "calls outrank `stop`");
    let refused = for_messages(json!({"content": null, "refusal": "I can't."}), "stop");
    assert_eq!((&refused["content"], &refused["stop_reason"]), (&json!([text("I can't.")]), &json!("refusal")));
}

#[test]
fn t30_an_empty_answer_is_an_answer() {
    let got = for_chat(json!([]), "end_turn");
    assert_eq!(got["choices"][0]["message"], json!({"role": "assistant", "content": "", "refusal": null}));
    assert_eq!(for_messages(json!({"content": ""}), "stop")["content"], json!([]));
}

#[test]
fn t38_t40_missing_counts_are_not_made_up() {
    assert_eq!(for_chat(json!([text("x")]), "end_turn").get("usage"), None);
    let zero =
        json!({"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0});
    assert_eq!(for_messages(json!({"content": "x"}), "stop")["usage"], zero, "its members are not optional there");
    let counted = json!({"id": "m", "model": "m", "content": [], "stop_reason": "end_turn", "usage": {"input_tokens": 0, "output_tokens": 0}});
    assert_eq!(answered(Chat, &counted)["usage"]["total_tokens"], 0, "zero is a count");
}

#[test]
fn t03_of_several_choices_the_first_is_the_answer() {
    let choice = |i: u64, t: &str| json!({"index": i, "message": {"content": t}, "finish_reason": "stop"});
    let body = json!({"id": "c", "model": "m", "choices": [choice(0, "first"), choice(1, "second")]});
    assert_eq!(answered(Messages, &body)["content"], json!([text("first")]));
}

#[test]
fn t52_a_200_that_is_no_answer() {
    let fault = |caller, body: &str| translate_answer(&context(caller, &json!({})), body.as_bytes()).unwrap_err();
    for caller in [Chat, Messages] {
        assert_eq!(fault(caller, ""), AnswerFault::Empty);
        assert_eq!(fault(caller, "<html>"), AnswerFault::NotJson);
        assert_eq!(fault(caller, "{}"), AnswerFault::WrongShape);
        let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}).to_string();
        let AnswerFault::ErrorObject(told) = fault(caller, &error) else { panic!("an error object") };
        let busy = if other(caller) == Messages { 529 } else { 503 };
        assert_eq!((told.message.as_str(), told.status), ("busy", Some(busy)));
    }
    assert_eq!(fault(Messages, r#"{"choices":[]}"#), AnswerFault::WrongShape);
    let nameless = r#"{"choices":[{"message":{"tool_calls":[{"id":"a","function":{}}]}}]}"#;
    assert_eq!(fault(Messages, nameless), AnswerFault::WrongShape);
    assert_eq!(fault(Chat, r#"{"content":[{"type":"tool_use","id":"a"}]}"#), AnswerFault::WrongShape);
    assert_eq!(fault(Chat, r#"{"content":[{"type":"tool_use","name":"f"}]}"#), AnswerFault::WrongShape);
}
