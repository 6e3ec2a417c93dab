//! Streams as providers send them, and what is no answer.

use bytes::Bytes;
use dialect::{Dialect, Usage, stream_of_answer};
use serde_json::{Value, json};

use crate::{assembled, counted, event};

fn chunks(deltas: &[Value]) -> Vec<Bytes> {
    let chunk = |d: &Value| json!({"id": "1", "object": "chat.completion.chunk", "model": "m", "obfuscation": "xx", "choices": [{"index": 0, "delta": d}]});
    let mut out: Vec<Bytes> = deltas.iter().map(|d| event(Dialect::Chat, &chunk(d))).collect();
    out.push(event(
        Dialect::Chat,
        &json!({"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
    ));
    out.push(event(Dialect::Chat, &json!("[DONE]")));
    out
}

fn message(deltas: &[Value]) -> Option<Value> {
    assembled(Dialect::Chat, &chunks(deltas)).map(|a| a["choices"][0]["message"].clone())
}

#[test]
fn chat_calls_as_servers_send_them() {
    let f = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}});
    let want =
        |calls: Vec<Value>| Some(json!({"role": "assistant", "content": null, "refusal": null, "tool_calls": calls}));
    let calls = |list: Value| json!({"role": "assistant", "content": null, "tool_calls": list});
    let at = |index: u64, arguments: &str| json!({"index": index, "function": {"arguments": arguments}});
    let begun = |index: u64, id: &str, arguments: &str| {
        let mut call = f(id, arguments);
        call["index"] = index.into();
        call
    };
    // Interleaved; with id and name on each; all of one index.
    let interleaved = [
        calls(json!([begun(0, "a", ""), begun(1, "b", "")])),
        calls(json!([at(1, "{"), at(0, "{\"")])),
        calls(json!([at(0, "\":1}"), at(1, "}")])),
    ];
    assert_eq!(message(&interleaved), want(vec![f("a", "{\"\":1}"), f("b", "{}")]));
    let repeated = [calls(json!([begun(0, "a", "{")])), calls(json!([begun(0, "a", "}")]))];
    assert_eq!(message(&repeated), want(vec![f("a", "{}")]));
    let same = [calls(json!([begun(0, "a", "{}")])), calls(json!([begun(0, "b", "[]")]))];
    assert_eq!(message(&same), want(vec![f("a", "{}"), f("b", "[]")]));
    // What else a call holds is kept, and nothing that cannot be.
    let mut signed = begun(0, "a", "{}");
    signed["extra_content"] = json!({"signature": "s"});
    assert_eq!(message(&[calls(json!([signed]))]).unwrap()["tool_calls"][0]["extra_content"]["signature"], "s");
    assert_eq!(message(&[calls(json!([begun(0, "a", "{}"), {"index": 0, "function": {"name": "g"}}]))]), None);
    assert_eq!(message(&[json!({"content": "a", "novelty": "b"})]), None);
    assert_eq!(message(&[json!({"audio": {"id": "a"}})]), None);
    assert_eq!(message(&[json!({"content": ["a"]})]), None);
    assert_eq!(message(&[json!({"content": "a", "tool_calls": [], "novelty": null})]).unwrap()["content"], "a");
}

#[test]
fn chat_counts_where_the_stream_does_not() {
    let events = chunks(&[json!({"role": "assistant", "content": "a"})]);
    assert_eq!(assembled(Dialect::Chat, &events).unwrap().get("usage"), None);
    let usage = Usage { input: 7, output: 2, ..Usage::default() };
    let answer = counted(Dialect::Chat, &events, Some(&usage)).unwrap();
    assert_eq!((&answer["usage"]["prompt_tokens"], &answer["usage"]["total_tokens"]), (&json!(7), &json!(9)));
}

#[test]
fn a_choice_that_never_ended_is_no_answer() {
    let mut events = chunks(&[json!({"content": "a"})]);
    events.insert(1, event(Dialect::Chat, &json!({"choices": [{"index": 1, "delta": {"content": "b"}}]})));
    assert_eq!(assembled(Dialect::Chat, &events), None);
    assert_eq!(assembled(Dialect::Chat, &[event(Dialect::Chat, &json!("[DONE]"))]), None);
}

fn block(begun: Value, deltas: &[Value]) -> Option<Value> {
    let mut out = vec![
        json!({"type": "message_start", "message": {"id": "m", "content": [], "stop_reason": null, "usage": {"input_tokens": 1, "output_tokens": 1}}}),
        json!({"type": "ping"}),
        json!({"type": "content_block_start", "index": 0, "content_block": begun}),
    ];
    out.extend(deltas.iter().map(|d| json!({"type": "content_block_delta", "index": 0, "delta": d})));
    out.push(json!({"type": "content_block_stop", "index": 0}));
    out.push(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5, "cache_read_input_tokens": null}}));
    out.push(json!({"type": "message_stop"}));
    let events: Vec<Bytes> = out.iter().map(|e| event(Dialect::Messages, e)).collect();
    let answer = assembled(Dialect::Messages, &events)?;
    assert_eq!(answer["usage"], json!({"input_tokens": 1, "output_tokens": 5}));
    assert_eq!(answer["stop_reason"], "end_turn");
    Some(answer["content"][0].clone())
}

#[test]
fn messages_blocks_as_they_come() {
    let tool = || json!({"type": "tool_use", "id": "t", "name": "f", "input": {}});
    let input = |text: &str| json!({"type": "input_json_delta", "partial_json": text});
    assert_eq!(block(tool(), &[input("")]), Some(tool()));
    assert_eq!(block(tool(), &[input(""), input("{\"a\""), input(": 1.50}")]).unwrap()["input"], json!({"a": 1.5}));
    // Cut, no object, or a number that would not come out as it is.
    for lost in ["{\"a\"", "[1]", "{\"a\":12345678901234567890123}", "{\"a\":1,\"a\":2}"] {
        assert_eq!(block(tool(), &[input(lost)]), None, "{lost}");
    }
    let text = || json!({"type": "text", "text": ""});
    assert_eq!(block(text(), &[json!({"type": "text_delta", "text": "a"})]).unwrap()["text"], "a");
    assert_eq!(block(text(), &[json!({"type": "novelty_delta", "novelty": "a"})]), None);
    assert_eq!(block(text(), &[input("{}")]), None);
    let whole = json!({"type": "web_search_tool_result", "tool_use_id": "x", "content": []});
    assert_eq!(block(whole.clone(), &[]), Some(whole));
}

#[test]
fn responses_that_leave_out_what_they_told() {
    let item = json!({"type": "message", "content": []});
    let told = |output: Value| {
        let events = [
            json!({"type": "response.created", "response": {}}),
            json!({"type": "response.novelty"}),
            json!({"type": "response.output_item.done", "item": item}),
            json!({"type": "response.completed", "response": {"status": "completed", "output": output}}),
        ];
        assembled(Dialect::Responses, &events.map(|e| event(Dialect::Responses, &e)))
    };
    assert!(told(json!([item])).is_some());
    assert_eq!(told(json!([])), None);
    assert_eq!(told(json!(null)), None);
}

#[test]
fn what_is_no_whole_answer_is_not_told() {
    let rows = [
        (Dialect::Chat, ""),
        (Dialect::Chat, "[]"),
        (Dialect::Chat, r#"{"choices":[]}"#),
        (Dialect::Chat, r#"{"choices":[{"message":{"content":"a"},"finish_reason":null}]}"#),
        (Dialect::Chat, r#"{"choices":[{"finish_reason":"stop"}]}"#),
        (Dialect::Messages, r#"{"content":[],"stop_reason":null}"#),
        (Dialect::Messages, r#"{"content":"a","stop_reason":"end_turn"}"#),
        (Dialect::Responses, r#"{"status":"queued","output":[]}"#),
        (Dialect::Responses, r#"{"status":"completed"}"#),
    ];
    for (dialect, text) in rows {
        assert!(stream_of_answer(dialect, text.as_bytes(), true).is_err(), "{text}");
    }
}

#[test]
fn usage_is_told_to_those_who_asked() {
    let answer = json!({"id": "1", "choices": [{"message": {"content": "a"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}).to_string();
    let told = |asked| stream_of_answer(Dialect::Chat, answer.as_bytes(), asked).unwrap().concat();
    let text = String::from_utf8(told(false)).unwrap();
    assert!(!text.contains("usage") && text.ends_with("data: [DONE]\n\n"), "{text}");
    assert_eq!(String::from_utf8(told(true)).unwrap().matches("\"usage\":null").count(), 3);
}

#[test]
fn input_of_tools_keeps_its_spelling() {
    let answer =
        r#"{"content":[{"type":"tool_use","input": { "a" : 12345678901234567890123 } }],"stop_reason":"tool_use"}"#;
    let text = stream_of_answer(Dialect::Messages, answer.as_bytes(), true).unwrap().concat();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains(r#""partial_json":"{ \"a\" : 12345678901234567890123 }""#), "{text}");
}
