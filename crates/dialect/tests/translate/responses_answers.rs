//! Whole answers, from and for Responses.

use dialect::{
    AnswerFault,
    Dialect::{self, Chat, Messages, Responses},
    translate_answer,
};
use serde_json::{Value, json};

use crate::rows::way_back;

fn answered(caller: Dialect, provider: Dialect, extra: &Value, body: &Value) -> Value {
    let done = translate_answer(&way_back(caller, provider, extra), body.to_string().as_bytes()).unwrap();
    serde_json::from_slice(&done).unwrap()
}

/// A Messages answer as a Responses caller gets it.
fn of_messages(content: Value, stop: &str) -> Value {
    let body = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": content, "stop_reason": stop});
    answered(Responses, Messages, &json!({}), &body)
}

/// A Chat answer as a Responses caller gets it.
fn of_chat(message: Value, finish: &str) -> Value {
    let choice = json!({"index": 0, "message": message, "finish_reason": finish});
    answered(Responses, Chat, &json!({}), &json!({"id": "chatcmpl-1", "model": "gpt", "choices": [choice]}))
}

fn response(output: Value, status: &str, why: Option<&str>) -> Value {
    json!({"id": "resp_1", "object": "response", "created_at": 5, "status": status, "model": "gpt-6-sol", "output": output,
        "error": null, "incomplete_details": why.map(|w| json!({"reason": w})),
        "usage": {"input_tokens": 12, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2}, "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 3}, "total_tokens": 19}})
}

/// A Responses answer as a caller of the other two gets it; a Messages caller asks for thinking.
fn for_caller(caller: Dialect, output: Value, status: &str, why: Option<&str>) -> Value {
    let extra = if caller == Messages { json!({"thinking": {"type": "adaptive"}}) } else { json!({}) };
    answered(caller, Responses, &extra, &response(output, status, why))
}

fn text(t: &str) -> Value {
    json!({"type": "text", "text": t})
}

fn said(parts: Value) -> Value {
    json!({"id": "msg_2", "type": "message", "status": "completed", "role": "assistant", "content": parts})
}

fn output_text(t: &str) -> Value {
    json!({"type": "output_text", "text": t, "annotations": [], "logprobs": []})
}

#[test]
fn t37_t39_t56_messages_to_responses_whole() {
    let asked = json!({"instructions": "S", "temperature": 0.5, "metadata": {"a": "b"}, "max_output_tokens": 99, "store": true, "user": null});
    let got = answered(
        Responses,
        Messages,
        &asked,
        &json!({
            "id": "msg_01", "type": "message", "role": "assistant", "model": "claude-haiku-4-5", "content": [text("Hel"), text("lo")],
            "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {"input_tokens": 6, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2, "output_tokens": 3, "output_tokens_details": {"thinking_tokens": 1}},
        }),
    );
    let want = json!({
        "id": "resp_llmroute_t_01", "object": "response", "created_at": 1, "status": "completed", "background": false, "error": null,
        "incomplete_details": null, "model": "claude-haiku-4-5",
        "output": [{"id": "msg_01_0", "type": "message", "status": "completed", "role": "assistant", "content": [output_text("Hello")]}],
        "usage": {"input_tokens": 12, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2}, "output_tokens": 3,
            "output_tokens_details": {"reasoning_tokens": 1}, "total_tokens": 15},
        "store": false, "metadata": {"a": "b"}, "parallel_tool_calls": true, "tool_choice": "auto", "tools": [], "instructions": "S",
        "max_output_tokens": 99, "max_tool_calls": null, "previous_response_id": null, "prompt_cache_key": null,
        "reasoning": {"effort": null, "summary": null}, "safety_identifier": null, "service_tier": "auto", "temperature": 0.5,
        "text": {"format": {"type": "text"}}, "top_logprobs": null, "top_p": null, "truncation": "disabled", "user": null,
    });
    assert_eq!(got, want);
}

#[test]
fn t19_t20_t22_t44_t46_thoughts_and_calls_for_responses() {
    let got = of_messages(
        json!([
            {"type": "thinking", "thinking": "plan", "signature": "SIG"},
            {"type": "redacted_thinking", "data": "RED"},
            {"type": "thinking", "thinking": "bare"},
            text("Looking."),
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": [1, 2.5]}},
            text("More."),
            {"type": "tool_use", "id": "toolu_2", "name": "g"},
        ]),
        "tool_use",
    );
    let thought = |i: u8, summary: Value, sealed: &str| json!({"id": format!("rs_llmroute_1_{i}"), "type": "reasoning", "summary": summary, "encrypted_content": sealed});
    let summary = |t: &str| json!([{"type": "summary_text", "text": t}]);
    let message = |i: u8, t: &str| json!({"id": format!("msg_1_{i}"), "type": "message", "status": "completed", "role": "assistant", "content": [output_text(t)]});
    let call = |i: u8, id: &str, name: &str, arguments: &str| json!({"id": format!("fc_1_{i}"), "type": "function_call", "status": "completed", "call_id": id, "name": name, "arguments": arguments});
    let want = json!([
        thought(0, summary("plan"), "llmroute:p:s:SIG"),
        thought(1, json!([]), "llmroute:p:r:RED"),
        thought(2, summary("bare"), "llmroute:p:n:"),
        message(3, "Looking."),
        call(4, "toolu_1", "f", "{\"x\":[1,2.5]}"),
        message(5, "More."),
        call(6, "toolu_2", "g", "{}"),
    ]);
    assert_eq!((&got["output"], &got["status"], &got["usage"]), (&want, &json!("completed"), &Value::Null), "T40");
}

#[test]
fn t15_tools_for_free_text_get_text() {
    let tools = json!({"tools": [{"type": "custom", "name": "patch"}, {"type": "function", "name": "f"}]});
    let body = json!({"id": "msg_1", "model": "c", "stop_reason": "tool_use", "content": [
        {"type": "tool_use", "id": "a", "name": "patch", "input": {"input": "*** x\n"}},
        {"type": "tool_use", "id": "b", "name": "patch", "input": {"other": 1}},
        {"type": "tool_use", "id": "c", "name": "f", "input": {"input": "y"}},
    ]});
    let got = answered(Responses, Messages, &tools, &body);
    let call = |i: u8, id: &str, input: &str| json!({"id": format!("ctc_1_{i}"), "type": "custom_tool_call", "status": "completed", "call_id": id, "name": "patch", "input": input});
    assert_eq!(got["output"][0], call(0, "a", "*** x\n"));
    assert_eq!(got["output"][1], call(1, "b", "{\"other\":1}"));
    assert_eq!(got["output"][2]["type"], "function_call");
}

#[test]
fn t36_why_it_ended_for_responses() {
    let rows = [
        ("end_turn", "completed", Value::Null, "completed"),
        ("stop_sequence", "completed", Value::Null, "completed"),
        ("max_tokens", "incomplete", json!("max_output_tokens"), "incomplete"),
        ("model_context_window_exceeded", "incomplete", json!("max_output_tokens"), "incomplete"),
        ("pause_turn", "incomplete", json!("max_output_tokens"), "incomplete"),
        ("novelty", "incomplete", json!("max_output_tokens"), "incomplete"),
        ("refusal", "incomplete", json!("content_filter"), "completed"),
    ];
    for (reason, status, why, item) in rows {
        let got = of_messages(json!([text("x")]), reason);
        let told = (&got["status"], &got["incomplete_details"]["reason"], &got["output"][0]["status"]);
        assert_eq!(told, (&json!(status), &why, &json!(item)), "{reason}");
    }
    let refused = of_chat(json!({"content": null, "refusal": "I can't."}), "stop");
    assert_eq!(refused["status"], "completed");
    assert_eq!(refused["output"][0]["content"], json!([{"type": "refusal", "refusal": "I can't."}]));
    let filtered = of_chat(json!({"content": "x"}), "content_filter");
    assert_eq!(filtered["incomplete_details"]["reason"], "content_filter");
}

#[test]
fn t46_thoughts_of_open_servers_for_responses() {
    for name in ["reasoning_content", "reasoning"] {
        let got = of_chat(json!({"content": "x", name: "hm"}), "stop");
        assert_eq!(got["output"][0]["summary"], json!([{"type": "summary_text", "text": "hm"}]));
        assert_eq!(got["output"][1]["content"][0]["text"], "x");
    }
}

#[test]
fn t37_responses_to_the_others_whole() {
    let output = json!([said(json!([output_text("Hel"), output_text("lo")]))]);
    let want = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-6-sol",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello", "refusal": null}, "logprobs": null, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19,
            "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
        },
    });
    assert_eq!(for_caller(Chat, output.clone(), "completed", None), want);
    let want = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "gpt-6-sol", "content": [text("Hello")],
        "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 6, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 4, "output_tokens": 7,
            "output_tokens_details": {"thinking_tokens": 3}},
    });
    assert_eq!(for_caller(Messages, output, "completed", None), want);
}

fn thoughtful() -> Value {
    json!([
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}], "encrypted_content": "ENC"},
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "ENC2"},
        {"type": "reasoning", "id": "rs_3", "summary": []},
        {"type": "reasoning", "id": "rs_4", "summary": [], "content": [{"type": "reasoning_text", "text": "raw"}]},
        said(json!([output_text("Looking.")])),
        {"type": "web_search_call", "id": "ws_1"},
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{\"x\":1}"},
        {"type": "function_call", "id": "fc_2", "name": "g", "arguments": ""},
        {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_3", "name": "h", "input": "free"},
    ])
}

#[test]
fn t19_t20_t44_t46_thoughts_and_calls_of_responses() {
    let got = for_caller(Messages, thoughtful(), "completed", None);
    let used = |id: &str, name: &str, input: Value| json!({"type": "tool_use", "id": id, "name": name, "input": input});
    let want = json!([
        {"type": "thinking", "thinking": "a\n\nb", "signature": "llmroute:p:e:rs_1:ENC"},
        {"type": "redacted_thinking", "data": "llmroute:p:e:rs_2:ENC2"},
        {"type": "thinking", "thinking": "raw", "signature": "llmroute:p:n:"},
        text("Looking."),
        used("call_1", "f", json!({"x": 1})),
        used("fc_2", "g", json!({})),
        used("call_3", "h", json!({"input": "free"})),
    ]);
    assert_eq!((&got["content"], &got["stop_reason"]), (&want, &json!("tool_use")));
    let silent = answered(Messages, Responses, &json!({}), &response(thoughtful(), "completed", None));
    assert_eq!(silent["content"][0], text("Looking."), "who did not ask for thinking gets none");
    let got = for_caller(Chat, thoughtful(), "completed", None);
    let message = &got["choices"][0]["message"];
    assert_eq!((&message["content"], message["tool_calls"].as_array().unwrap().len()), (&json!("Looking."), 3));
    assert!(!got.to_string().contains("raw") && !got.to_string().contains("ENC"));
}

#[test]
fn t36_why_a_response_ended() {
    let rows = [
        ("completed", None, "stop", "end_turn"),
        ("incomplete", Some("max_output_tokens"), "length", "max_tokens"),
        ("incomplete", Some("content_filter"), "content_filter", "refusal"),
        ("incomplete", Some("steered"), "length", "max_tokens"),
        ("incomplete", None, "length", "max_tokens"),
        ("novelty", None, "length", "max_tokens"),
    ];
    for (status, why, finish, stop) in rows {
        let output = json!([said(json!([output_text("x")]))]);
        let chat = for_caller(Chat, output.clone(), status, why);
        assert_eq!(chat["choices"][0]["finish_reason"], finish, "{status} {why:?}");
        assert_eq!(for_caller(Messages, output, status, why)["stop_reason"], stop, "{status} {why:?}");
    }
    let refusal = json!([said(json!([{"type": "refusal", "refusal": "I can't."}]))]);
    let chat = for_caller(Chat, refusal.clone(), "completed", None);
    let message = json!({"role": "assistant", "content": null, "refusal": "I can't."});
    assert_eq!((&chat["choices"][0]["message"], &chat["choices"][0]["finish_reason"]), (&message, &json!("stop")));
    let got = for_caller(Messages, refusal, "completed", None);
    assert_eq!((&got["content"], &got["stop_reason"]), (&json!([text("I can't.")]), &json!("refusal")));
}

#[test]
fn t52_a_200_that_is_no_answer() {
    for caller in [Chat, Messages] {
        let fault = |body: &Value| {
            translate_answer(&way_back(caller, Responses, &json!({})), body.to_string().as_bytes()).unwrap_err()
        };
        for status in ["queued", "in_progress", "failed", "cancelled"] {
            assert_eq!(fault(&response(json!([]), status, None)), AnswerFault::WrongShape, "{status}");
        }
        assert_eq!(fault(&json!({"status": "completed"})), AnswerFault::WrongShape);
        let nameless = json!([{"type": "function_call", "call_id": "c"}]);
        assert_eq!(fault(&response(nameless, "completed", None)), AnswerFault::WrongShape);
        let failed = json!({"id": "resp_1", "status": "failed", "output": [], "error": {"code": "rate_limit_exceeded", "message": "slow"}});
        let AnswerFault::ErrorObject(told) = fault(&failed) else { panic!("an error object") };
        assert_eq!((told.message.as_str(), told.status), ("slow", Some(429)));
    }
}
