//! T48: what stands in for a schema, row by row; whole cases stand in `tests/cases`.

use bytes::Bytes;
use dialect::{
    Capability,
    Dialect::{Chat, Messages},
    StreamTranslator, TargetModel, translate_answer,
};
use serde_json::{Value, json};

use crate::{
    rows::{sent_to, streamed},
    target, translate,
};

const OLD: &str = "claude-opus-4-1";

fn asked(extra: &Value) -> Value {
    let mut body = json!({
        "model": "m", "messages": [{"role": "user", "content": "hi"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object", "properties": {"a": {}}}}},
    });
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body
}

#[test]
fn t48_who_is_made_to_answer_and_how() {
    let f = |name: &str| json!({"type": "function", "function": {"name": name}});
    let rows = [
        (json!({}), json!({"type": "tool", "name": "json_answer", "disable_parallel_tool_use": true})),
        (json!({"tools": [f("f")]}), json!({"type": "any"})),
        (
            json!({"tools": [f("f")], "parallel_tool_calls": false}),
            json!({"type": "any", "disable_parallel_tool_use": true}),
        ),
        (json!({"tools": [f("f")], "tool_choice": "auto"}), json!({"type": "any"})),
        // None of the caller's own may be called.
        (
            json!({"tools": [f("f")], "tool_choice": "none"}),
            json!({"type": "tool", "name": "json_answer", "disable_parallel_tool_use": true}),
        ),
        // A name of the caller's is left to it.
        (
            json!({"tools": [f("json_answer")], "tool_choice": "none"}),
            json!({"type": "tool", "name": "json_answer_", "disable_parallel_tool_use": true}),
        ),
    ];
    for (extra, want) in rows {
        let (got, lost) = sent_to(Chat, Messages, OLD, &asked(&extra)).unwrap();
        assert_eq!((&got["tool_choice"], lost), (&want, vec![]), "{extra}");
    }
    // The answer will be a call of the caller's tool: there is nothing to give a form, which is told.
    let (got, lost) =
        sent_to(Chat, Messages, OLD, &asked(&json!({"tools": [f("f")], "tool_choice": "required"}))).unwrap();
    assert_eq!(
        (got["tools"].as_array().unwrap().len(), &got["tool_choice"], lost),
        (1, &json!({"type": "any"}), vec!["response_format".to_owned()])
    );
    let list =
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "array"}}}});
    let why = sent_to(Chat, Messages, OLD, &asked(&list)).unwrap_err();
    assert_eq!(why, "response_format: the target's model takes a schema of an object only; put the value into one");
}

#[test]
fn t48_a_model_that_cannot_be_forced_is_told() {
    let can = Capability { schema: false, forced_tools: false, ..Capability::OPEN };
    let to = TargetModel { capability: &can, ..target("own") };
    let done = translate(Chat, Messages, &asked(&json!({})), &to).unwrap();
    let body: Value = serde_json::from_slice(&done.body.concat()).unwrap();
    assert_eq!(body["tool_choice"], json!({"type": "auto", "disable_parallel_tool_use": true}));
    assert_eq!(
        body["system"][0]["text"],
        "Give your answer by one call of the tool `json_answer`, and say nothing beside it."
    );
    assert_eq!(done.dropped, ["response_format"]);
}

fn way_back(extra: &Value) -> dialect::Context {
    translate(Chat, Messages, &asked(extra), &target(OLD)).unwrap().context
}

#[test]
fn t48_what_is_undone_in_a_whole_answer() {
    let text = |t: &str| json!({"type": "text", "text": t});
    let call = |name: &str, input: Value| json!({"type": "tool_use", "id": name, "name": name, "input": input});
    let rows = [
        (json!([text("Sure:"), call("json_answer", json!({"a": 1}))]), "tool_use", json!("{\"a\":1}"), "stop", 0),
        (
            json!([call("json_answer", json!({"a": 1})), call("json_answer", json!({"a": 2}))]),
            "tool_use",
            json!("{\"a\":1}"),
            "stop",
            0,
        ),
        (
            json!([call("json_answer", json!({"a": 1})), call("f", json!({}))]),
            "tool_use",
            json!("{\"a\":1}"),
            "tool_calls",
            1,
        ),
        (json!([text("Let me look."), call("f", json!({}))]), "tool_use", json!("Let me look."), "tool_calls", 1),
        (json!([text("I will not.")]), "refusal", json!("I will not."), "content_filter", 0),
        // Cut off: it is told, and the text is what there is.
        (json!([call("json_answer", json!({}))]), "max_tokens", json!("{}"), "length", 0),
    ];
    for (content, why, said, finish, calls) in rows {
        let answer = json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "c", "content": content,
            "stop_reason": why, "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1},
        });
        let got = translate_answer(&way_back(&json!({})), answer.to_string().as_bytes()).unwrap().body;
        let got: Value = serde_json::from_slice(&got).unwrap();
        let choice = &got["choices"][0];
        assert_eq!((&choice["message"]["content"], &choice["finish_reason"]), (&said, &json!(finish)), "{content}");
        assert_eq!(choice["message"]["tool_calls"].as_array().map_or(0, Vec::len), calls, "{content}");
    }
}

/// Arguments that were cut in the middle stay as they are: their reader keeps what is no JSON under one member.
#[test]
fn t48_t49_a_cut_answer_stays_cut() {
    let body = json!({
        "model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}],
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {"a": {}}}}},
    });
    let done = translate(Messages, Chat, &body, &target("gpt-4-turbo")).unwrap();
    let f = json!({"name": "json_answer", "arguments": "{\"a\": \"An"});
    let answer = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "model": "g",
        "choices": [{"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function", "function": f}]}}],
    });
    let got: Value =
        serde_json::from_slice(&translate_answer(&done.context, answer.to_string().as_bytes()).unwrap().body).unwrap();
    assert_eq!((&got["content"][0]["text"], &got["stop_reason"]), (&json!("{\"a\": \"An"), &json!("max_tokens")));
}

#[test]
fn t48_what_is_undone_in_a_stream() {
    let start = json!({"type": "message_start", "message": {"id": "msg_1", "model": "c", "usage": {"input_tokens": 1, "output_tokens": 1}}});
    let block = |i: u64, block: Value| json!({"type": "content_block_start", "index": i, "content_block": block});
    let delta = |i: u64, delta: Value| json!({"type": "content_block_delta", "index": i, "delta": delta});
    let stop = |i: u64| json!({"type": "content_block_stop", "index": i});
    let text = |i: u64, t: &str| {
        vec![block(i, json!({"type": "text", "text": ""})), delta(i, json!({"type": "text_delta", "text": t})), stop(i)]
    };
    let call = |i: u64, name: &str, arguments: &str| {
        let begin = block(i, json!({"type": "tool_use", "id": name, "name": name, "input": {}}));
        vec![begin, delta(i, json!({"type": "input_json_delta", "partial_json": arguments})), stop(i)]
    };
    let end = |why: &str| {
        vec![
            json!({"type": "message_delta", "delta": {"stop_reason": why, "stop_sequence": null}, "usage": {"output_tokens": 2}}),
            json!({"type": "message_stop"}),
        ]
    };
    let rows = [
        ([text(0, "Sure:"), call(1, "json_answer", "{\"a\":1}")].concat(), "tool_use", "{\"a\":1}", "stop", 0),
        (
            [call(0, "json_answer", "{\"a\":1}"), call(1, "json_answer", "{\"a\":2}"), text(2, "Done.")].concat(),
            "tool_use",
            "{\"a\":1}",
            "stop",
            0,
        ),
        ([text(0, "Let me look."), call(1, "f", "{}")].concat(), "tool_use", "Let me look.", "tool_calls", 1),
        (text(0, "I will not."), "refusal", "I will not.", "content_filter", 0),
        (call(0, "json_answer", "{\"a\":"), "max_tokens", "{\"a\":", "length", 0),
    ];
    for (content, why, said, finish, calls) in rows {
        let frames = [vec![start.clone()], content, end(why)].concat();
        let events = streamed(&way_back(&json!({"stream": true})), &frames).unwrap();
        let deltas = || events.iter().map(|e| &e["choices"][0]["delta"]);
        let text: String = deltas().filter_map(|d| d["content"].as_str()).collect();
        let begun = deltas().filter(|d| d["tool_calls"][0]["id"].is_string()).count();
        let finished = events.iter().find_map(|e| e["choices"][0]["finish_reason"].as_str());
        assert_eq!((text.as_str(), finished, begun), (said, Some(finish), calls), "{frames:?}");
    }
    // What is held is bounded.
    let mut translator = StreamTranslator::new(&way_back(&json!({"stream": true})));
    let mut push =
        |event: &Value| translator.push(&dialect::sse::Frame::parse(Bytes::from(format!("data: {event}\n\n")))).is_ok();
    assert!(push(&start));
    let much = delta(0, json!({"type": "text_delta", "text": "x".repeat(9 << 20)}));
    assert!(push(&much) && !push(&much));
}
