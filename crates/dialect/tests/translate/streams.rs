//! Streams, both ways.

use dialect::Dialect::{Chat, Messages};
use serde_json::{Value, json};

use crate::{context, order, streamed};

/// A chunk of a Chat provider.
fn chunk(delta: Value, finish: Option<&str>) -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": "gpt",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

fn call(index: u64, id: Option<&str>, name: Option<&str>, arguments: &str) -> Value {
    let mut v = json!({"index": index, "function": {"arguments": arguments}});
    if let Some(id) = id {
        v["id"] = id.into();
    }
    if let Some(name) = name {
        v["function"]["name"] = name.into();
    }
    chunk(json!({"tool_calls": [v]}), None)
}

fn usage() -> Value {
    json!({"id": "chatcmpl-1", "choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}})
}

/// A Chat provider's stream as a Messages caller gets it; checked for order.
fn for_messages(frames: &[Value]) -> Vec<Value> {
    let out = streamed(&context(Messages, &json!({"stream": true})), frames).unwrap();
    assert_eq!(order::messages(&out), Ok(true));
    out
}

/// A Messages provider's stream as a Chat caller gets it; checked for order.
fn for_chat(frames: &[Value]) -> Vec<Value> {
    let asked = json!({"stream": true, "stream_options": {"include_usage": true}});
    let out = streamed(&context(Chat, &asked), frames).unwrap();
    assert_eq!(order::chat(&out, true), Ok(true));
    let silent = streamed(&context(Chat, &json!({"stream": true})), frames).unwrap();
    assert_eq!(order::chat(&silent, false), Ok(true));
    out
}

/// What a stream says in short: `+text`, `+f` for a block's start, its deltas, `-` for its stop.
fn short(events: &[Value]) -> String {
    let words = events.iter().filter_map(|e| {
        Some(match e["type"].as_str()? {
            "content_block_start" if e["content_block"]["type"] == "tool_use" => {
                format!("+{}#{}", e["content_block"]["name"].as_str()?, e["content_block"]["id"].as_str()?)
            }
            "content_block_start" => "+text".to_owned(),
            "content_block_delta" => e["delta"]["text"].as_str().or(e["delta"]["partial_json"].as_str())?.to_owned(),
            "content_block_stop" => "-".to_owned(),
            "message_delta" => e["delta"]["stop_reason"].as_str()?.to_owned(),
            _ => return None,
        })
    });
    words.collect::<Vec<_>>().join(" ")
}

fn start() -> Value {
    json!({"type": "message_start", "message": {"id": "msg_1", "model": "claude", "usage": {"input_tokens": 6, "cache_read_input_tokens": 4, "output_tokens": 1}}})
}

fn block(index: u64, block: Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn delta(index: u64, delta: Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn text(index: u64, text: &str) -> Value {
    delta(index, json!({"type": "text_delta", "text": text}))
}

fn arguments(index: u64, text: &str) -> Value {
    delta(index, json!({"type": "input_json_delta", "partial_json": text}))
}

fn stop(index: u64) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

fn end(reason: &str) -> [Value; 2] {
    [
        json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": {"output_tokens": 3}}),
        json!({"type": "message_stop"}),
    ]
}

#[test]
fn t23_t30_t38_chat_to_messages_whole() {
    let out = for_messages(&[
        chunk(json!({"role": "assistant", "content": ""}), None),
        chunk(json!({"content": "Hel"}), None),
        chunk(json!({"content": "lo"}), None),
        chunk(json!({}), Some("stop")),
        usage(),
        json!("[DONE]"),
    ]);
    let zero =
        json!({"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0});
    let want = json!([
        {"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "gpt", "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": zero}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
            "usage": {"input_tokens": 6, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4, "output_tokens": 3}},
        {"type": "message_stop"},
    ]);
    assert_eq!(Value::Array(out), want);
}

#[test]
fn t23_message_start_comes_first_even_before_a_call() {
    let out = for_messages(&[
        json!({"id": "", "model": "", "choices": [], "prompt_filter_results": []}),
        call(0, Some("c"), Some("f"), ""),
        call(0, None, None, "{}"),
        chunk(json!({}), Some("tool_calls")),
        json!("[DONE]"),
    ]);
    assert_eq!((&out[0]["message"]["id"], short(&out).as_str()), (&json!("msg_1"), "+f#c {} - tool_use"));
}

#[test]
fn t24_one_block_closes_before_the_next_opens() {
    let out = for_messages(&[
        chunk(json!({"role": "assistant", "content": "a"}), None),
        call(0, Some("c0"), Some("f"), "{\"x\":"),
        call(0, None, None, "1}"),
        call(1, Some("c1"), Some("g"), ""),
        call(1, None, None, "{}"),
        chunk(json!({"content": "b"}), None),
        chunk(json!({"content": "c"}), None),
        chunk(json!({}), Some("stop")),
        json!("[DONE]"),
    ]);
    assert_eq!(
        short(&out),
        "+text a - +f#c0 {\"x\": 1} - +g#c1 {} - +text b c - tool_use",
        "T35: calls outrank `stop`"
    );
}

#[test]
fn t25_odd_servers() {
    // Id and name repeated in each fragment; an empty list of calls; whole calls under one index; no id at all; an object
    // for arguments; a name that comes after the arguments.
    let rows = [
        (
            vec![
                call(0, Some("c"), Some("f"), "{\"a\""),
                call(0, Some("c"), Some("f"), ":1}"),
                chunk(json!({"tool_calls": []}), None),
            ],
            "+f#c {\"a\" :1} - tool_use",
        ),
        (
            vec![call(0, Some("c"), Some("f"), "{}"), call(0, Some("d"), Some("g"), "{}")],
            "+f#c {} - +g#d {} - tool_use",
        ),
        (vec![call(0, None, Some("f"), "{}")], "+f#call_chatcmpl-1_0 {} - tool_use"),
        (
            vec![chunk(
                json!({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": {"a": 1}}}]}),
                None,
            )],
            "+f#c {\"a\":1} - tool_use",
        ),
        (vec![call(0, Some("c"), None, "{"), call(0, None, Some("f"), "}")], "+f#c { } - tool_use"),
    ];
    for (mut frames, want) in rows {
        frames.extend([chunk(json!({}), Some("tool_calls")), json!("[DONE]")]);
        assert_eq!(short(&for_messages(&frames)), want);
    }
    let nameless = [call(0, Some("c"), None, "{}"), chunk(json!({}), Some("tool_calls"))];
    assert!(streamed(&context(Messages, &json!({})), &nameless).is_err(), "a call without a name is no call");
}

#[test]
fn t26_interleaved_calls_wait_their_turn() {
    let frames = [
        call(0, Some("c0"), Some("f"), "{\"a\":"),
        call(1, Some("c1"), Some("g"), "{\"b\":"),
        chunk(json!({"content": "text"}), None),
        call(0, None, None, "1"),
        call(1, None, None, "2}"),
        call(0, None, None, "}"),
        chunk(json!({}), Some("tool_calls")),
        json!("[DONE]"),
    ];
    let out = for_messages(&frames);
    assert_eq!(short(&out), "+f#c0 {\"a\": 1 } - +g#c1 {\"b\":2} - +text text - tool_use");
    let late = [call(0, Some("a"), Some("f"), "{}"), call(1, Some("b"), Some("g"), "{}"), call(0, None, None, "more")];
    assert!(streamed(&context(Messages, &json!({})), &late).is_err(), "a call that was whole goes on: not a call");
}

#[test]
fn t33_nothing_is_kept_back_that_could_be_said() {
    let context = context(Messages, &json!({}));
    let mut frames = vec![call(0, Some("a"), Some("f"), "{}"), call(1, Some("b"), Some("g"), "{")];
    assert_eq!(short(&streamed(&context, &frames).unwrap()), "+f#a {} - +g#b {", "the second call streams too");
    frames.push(call(1, None, None, "}"));
    frames.push(chunk(json!({"content": "x"}), None));
    assert_eq!(short(&streamed(&context, &frames).unwrap()), "+f#a {} - +g#b { } - +text x");
}

#[test]
fn t29_usage_on_a_chunk_that_has_choices() {
    let mut last = chunk(json!({}), Some("stop"));
    last["usage"] = json!({"prompt_tokens": 2, "completion_tokens": 1});
    let out = for_messages(&[chunk(json!({"content": "a"}), None), last, json!("[DONE]")]);
    assert_eq!(out[out.len() - 2]["usage"]["input_tokens"], 2);
}

#[test]
fn t30_a_stream_that_never_said_why_it_ended_is_no_answer() {
    let out = streamed(&context(Messages, &json!({})), &[chunk(json!({"content": "a"}), None), json!("[DONE]")]);
    assert_eq!(short(&out.unwrap_err()), "+text a");
    let out = streamed(&context(Chat, &json!({})), &[start(), json!({"type": "message_stop"})]);
    assert!(out.is_err());
}

#[test]
fn t30_an_empty_answer_that_says_why_it_ended_is_an_answer() {
    let out =
        for_messages(&[chunk(json!({"role": "assistant"}), None), chunk(json!({}), Some("stop")), json!("[DONE]")]);
    assert_eq!(short(&out), "end_turn");
    let [a, b] = end("end_turn");
    let out = for_chat(&[start(), a, b]);
    let reasons: Vec<&Value> = out.iter().map(|e| &e["choices"][0]["finish_reason"]).collect();
    assert_eq!(reasons, [&Value::Null, &json!("stop"), &Value::Null, &Value::Null], "role, finish, usage, end");
    let nothing = json!({"id": "c", "model": "m", "choices": []});
    assert!(streamed(&context(Messages, &json!({})), &[nothing, usage(), json!("[DONE]")]).is_err());
}

#[test]
fn t31_nothing_follows_the_end() {
    let frames = [chunk(json!({"content": "a"}), Some("stop")), json!("[DONE]"), chunk(json!({"content": "b"}), None)];
    assert_eq!(short(&for_messages(&frames)), "+text a - end_turn");
    let [a, b] = end("end_turn");
    assert_eq!(for_chat(&[start(), a, b, text(0, "late")]).len(), 4);
}

#[test]
fn t38_counts_at_the_end_replace_those_of_the_start() {
    let last = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
        "usage": {"input_tokens": 7, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2, "output_tokens": 3}});
    let out = for_chat(&[start(), last, json!({"type": "message_stop"})]);
    let counted = &out[out.len() - 2]["usage"];
    assert_eq!((&counted["prompt_tokens"], &counted["completion_tokens"]), (&json!(13), &json!(3)), "not doubled");
    assert_eq!(counted["prompt_tokens_details"]["cache_write_tokens"], 2);
}

#[test]
fn t34_the_matched_sequence_is_not_made_up() {
    let out = for_messages(&[chunk(json!({"content": "a"}), Some("stop")), json!("[DONE]")]);
    assert_eq!(out[out.len() - 2]["delta"], json!({"stop_reason": "end_turn", "stop_sequence": null}));
}

#[test]
fn t23_t28_t29_messages_to_chat_whole() {
    let [a, b] = end("end_turn");
    let out = for_chat(&[
        start(),
        json!({"type": "ping"}),
        block(0, json!({"type": "text", "text": ""})),
        text(0, "Hi"),
        stop(0),
        a,
        b,
    ]);
    let chunk = |delta: Value, finish: Value| {
        json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "claude",
            "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}], "usage": null})
    };
    let want = json!([
        chunk(json!({"role": "assistant", "content": "", "refusal": null}), Value::Null),
        chunk(json!({"content": "Hi"}), Value::Null),
        chunk(json!({}), json!("stop")),
        {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "claude", "choices": [], "usage": {
            "prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13,
            "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}}},
        "[DONE]",
    ]);
    assert_eq!(Value::Array(out), want);
}

#[test]
fn t20_t25_t46_calls_to_chat_and_no_thinking() {
    let [a, b] = end("tool_use");
    let out = for_chat(&[
        start(),
        block(0, json!({"type": "thinking", "thinking": ""})),
        delta(0, json!({"type": "thinking_delta", "thinking": "secret plan"})),
        delta(0, json!({"type": "signature_delta", "signature": "s"})),
        stop(0),
        block(1, json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}})),
        arguments(1, "{\"query\":1}"),
        stop(1),
        block(2, json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}})),
        arguments(2, ""),
        arguments(2, "{\"x\":"),
        arguments(2, "1}"),
        stop(2),
        block(3, json!({"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}})),
        stop(3),
        block(4, json!({"type": "tool_use", "id": "toolu_3", "name": "h", "input": {"y": 2}})),
        stop(4),
        a,
        b,
    ]);
    let calls: Vec<&Value> = out.iter().filter_map(|e| e["choices"][0]["delta"]["tool_calls"].get(0)).collect();
    let named = |index: u64, id: &str, name: &str| json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}});
    let more = |index: u64, text: &str| json!({"index": index, "function": {"arguments": text}});
    let want = [
        named(0, "toolu_1", "f"),
        more(0, "{\"x\":"),
        more(0, "1}"),
        named(1, "toolu_2", "g"),
        more(1, "{}"),
        named(2, "toolu_3", "h"),
        more(2, "{\"y\":2}"),
    ];
    assert_eq!(calls, want.iter().collect::<Vec<_>>());
    assert_eq!(out[out.len() - 3]["choices"][0]["finish_reason"], "tool_calls");
    assert!(!Value::Array(out).to_string().contains("secret plan"));
}

#[test]
fn t31_errors_pass_in_the_callers_words_and_end_the_stream() {
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}});
    let out = streamed(&context(Chat, &json!({})), &[start(), text(0, "a"), error, text(0, "b")]).unwrap();
    assert_eq!(order::chat(&out, false), Ok(true));
    assert_eq!(
        out.last().unwrap(),
        &json!({"error": {"message": "busy", "type": "service_unavailable_error", "param": null, "code": "overloaded_error"}})
    );
    let error = json!({"error": {"type": "server_error", "message": "oops", "code": null}});
    let out = streamed(&context(Messages, &json!({})), &[chunk(json!({"content": "a"}), None), error, json!("[DONE]")])
        .unwrap();
    assert_eq!(order::messages(&out), Ok(true));
    let told = out.last().unwrap();
    assert_eq!(
        (&told["type"], &told["error"]["type"], &told["error"]["message"]),
        (&json!("error"), &json!("api_error"), &json!("oops"))
    );
}

#[test]
fn t32_what_is_no_event_of_the_dialect_breaks_the_stream() {
    for bad in [json!("not json"), json!("[]"), json!("7"), json!("{\"cut")] {
        assert!(
            streamed(&context(Messages, &json!({})), &[chunk(json!({"content": "a"}), None), bad.clone()]).is_err(),
            "{bad}"
        );
        assert!(streamed(&context(Chat, &json!({})), &[start(), bad.clone()]).is_err(), "{bad}");
    }
    assert!(streamed(&context(Chat, &json!({})), &[text(0, "before the start")]).is_err());
    let out = streamed(&context(Chat, &json!({})), &[start(), json!({"type": "novelty"}), text(0, "x")]).unwrap();
    assert_eq!(out.len(), 2, "an unknown event is passed over");
}

#[test]
fn t34_t35_why_it_ended() {
    let to_chat = [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "tool_calls"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "length"),
        ("refusal", "content_filter"),
        ("novelty", "length"),
    ];
    for (reason, want) in to_chat {
        let [a, b] = end(reason);
        let out = for_chat(&[start(), text(0, "x"), a, b]);
        assert_eq!(out[out.len() - 3]["choices"][0]["finish_reason"], want, "{reason}");
    }
    let to_messages = [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("function_call", "tool_use"),
        ("content_filter", "refusal"),
        ("novelty", "max_tokens"),
    ];
    for (reason, want) in to_messages {
        let out =
            for_messages(&[chunk(json!({"content": "x"}), None), chunk(json!({}), Some(reason)), json!("[DONE]")]);
        assert_eq!(out[out.len() - 2]["delta"]["stop_reason"], want, "{reason}");
    }
    let refusal = [chunk(json!({"refusal": "I can't."}), None), chunk(json!({}), Some("stop")), json!("[DONE]")];
    assert_eq!(short(&for_messages(&refusal)), "+text I can't. - refusal");
}
