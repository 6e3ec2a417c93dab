//! Streams, from and for Responses.

use dialect::{
    Dialect::{self, Chat, Messages, Responses},
    StreamTranslator,
    sse::Frame,
    translate_answer,
};
use serde_json::{Value, json};

use crate::{
    order,
    rows::{streamed, way_back},
};

fn chunk(delta: Value, finish: Option<&str>) -> Value {
    json!({"id": "chatcmpl-1", "model": "gpt", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

fn fragment(index: u64, id: Option<&str>, arguments: &str) -> Value {
    let mut v = json!({"index": index, "function": {"arguments": arguments}});
    if let Some(id) = id {
        (v["id"], v["function"]["name"]) = (id.into(), "f".into());
    }
    chunk(json!({"tool_calls": [v]}), None)
}

fn start() -> Value {
    json!({"type": "message_start", "message": {"id": "msg_1", "model": "claude", "usage": {"input_tokens": 6, "output_tokens": 1}}})
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

fn stop(index: u64) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

fn end(reason: &str) -> [Value; 2] {
    [
        json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 3}}),
        json!({"type": "message_stop"}),
    ]
}

/// A stream as a Responses caller gets it; checked for order.
fn for_responses(provider: Dialect, frames: &[Value]) -> Vec<Value> {
    let out = streamed(&way_back(Responses, provider, &json!({"stream": true})), frames).unwrap();
    assert_eq!(order::responses(&out), Ok(true));
    out
}

/// A stream of Responses as callers of the others get it; checked for order.
fn for_messages(frames: &[Value]) -> Vec<Value> {
    let asked = json!({"stream": true, "thinking": {"type": "adaptive"}});
    let out = streamed(&way_back(Messages, Responses, &asked), frames).unwrap();
    assert_eq!(order::messages(&out), Ok(true));
    out
}

fn for_chat(frames: &[Value]) -> Vec<Value> {
    let out = streamed(&way_back(Chat, Responses, &json!({"stream": true})), frames).unwrap();
    assert_eq!(order::chat(&out, false), Ok(true));
    out
}

fn event(name: &str, members: Value) -> Value {
    let mut event = json!({"type": format!("response.{name}")});
    event.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    event
}

fn created() -> Value {
    event("created", json!({"response": {"id": "resp_1", "model": "gpt-6-sol", "status": "in_progress", "output": []}}))
}

fn added(index: u64, item: Value) -> Value {
    event("output_item.added", json!({"output_index": index, "item": item}))
}

fn done(index: u64, item: Value) -> Value {
    event("output_item.done", json!({"output_index": index, "item": item}))
}

fn said(index: u64, text: &str) -> Value {
    event("output_text.delta", json!({"output_index": index, "content_index": 0, "delta": text}))
}

fn over(name: &str, output: Value, why: Option<&str>) -> Value {
    let usage = json!({"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 3});
    let details = why.map(|w| json!({"reason": w}));
    event(
        name,
        json!({"response": {"id": "resp_1", "model": "gpt-6-sol", "status": name, "output": output, "usage": usage, "incomplete_details": details}}),
    )
}

fn message(text: &str) -> Value {
    json!({"type": "message", "id": "msg_2", "content": [{"type": "output_text", "text": text, "annotations": []}]})
}

fn call(arguments: &str) -> Value {
    json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": arguments})
}

fn thought(summary: &[&str], sealed: Option<&str>) -> Value {
    let parts: Vec<Value> = summary.iter().map(|t| json!({"type": "summary_text", "text": t})).collect();
    json!({"type": "reasoning", "id": "rs_1", "summary": parts, "encrypted_content": sealed})
}

/// What a Messages stream says in short: `+kind`, deltas, `-`.
fn short(events: &[Value]) -> String {
    let words = events.iter().filter_map(|e| {
        let (b, d) = (&e["content_block"], &e["delta"]);
        Some(match e["type"].as_str()? {
            "content_block_start" if b["type"] == "tool_use" => {
                format!("+{}#{}", b["name"].as_str()?, b["id"].as_str()?)
            }
            "content_block_start" if b["type"] == "redacted_thinking" => format!("+hidden {}", b["data"].as_str()?),
            "content_block_start" => format!("+{}", b["type"].as_str()?),
            "content_block_delta" => {
                ["text", "partial_json", "thinking", "signature"].iter().find_map(|m| d[*m].as_str())?.to_owned()
            }
            "content_block_stop" => "-".to_owned(),
            "message_delta" => d["stop_reason"].as_str()?.to_owned(),
            "error" => "error".to_owned(),
            _ => return None,
        })
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn t27_t28_t56_chat_to_responses_whole() {
    let out = for_responses(
        Chat,
        &[
            chunk(json!({"role": "assistant", "content": ""}), None),
            chunk(json!({"content": "Hel"}), None),
            chunk(json!({"content": "lo"}), None),
            chunk(json!({}), Some("stop")),
            json!({"id": "chatcmpl-1", "choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 3}}),
            json!("[DONE]"),
        ],
    );
    let whole = |status: &str, output: Value, usage: Value| {
        json!({
            "id": "resp_llmroute_t_1", "object": "response", "created_at": 1, "status": status, "background": false, "error": null,
            "incomplete_details": null, "model": "gpt", "output": output, "usage": usage, "store": false, "metadata": {},
            "parallel_tool_calls": true, "tool_choice": "auto", "tools": [], "instructions": null, "max_output_tokens": null,
            "max_tool_calls": null, "previous_response_id": null, "prompt_cache_key": null, "reasoning": {"effort": null, "summary": null},
            "safety_identifier": null, "service_tier": "auto", "temperature": null, "text": {"format": {"type": "text"}},
            "top_logprobs": null, "top_p": null, "truncation": "disabled", "user": null,
        })
    };
    let item = |status: &str, content: Value| json!({"id": "msg_1_0", "type": "message", "status": status, "role": "assistant", "content": content});
    let part = |t: &str| json!({"type": "output_text", "text": t, "annotations": [], "logprobs": []});
    let usage = json!({"input_tokens": 10, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}, "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 13});
    let begun = whole("in_progress", json!([]), Value::Null);
    let at = json!({"item_id": "msg_1_0", "output_index": 0, "content_index": 0});
    let placed = |members: Value| {
        let mut all = at.clone();
        all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        all
    };
    let finished = item("completed", json!([part("Hello")]));
    let want = [
        event("created", json!({"response": begun})),
        event("in_progress", json!({"response": begun})),
        added(0, item("in_progress", json!([]))),
        event("content_part.added", placed(json!({"part": part("")}))),
        event("output_text.delta", placed(json!({"delta": "Hel", "logprobs": []}))),
        event("output_text.delta", placed(json!({"delta": "lo", "logprobs": []}))),
        event("output_text.done", placed(json!({"text": "Hello", "logprobs": []}))),
        event("content_part.done", placed(json!({"part": part("Hello")}))),
        done(0, finished.clone()),
        event("completed", json!({"response": whole("completed", json!([finished]), usage)})),
    ];
    let numbered = want.into_iter().enumerate().map(|(i, mut e)| {
        e["sequence_number"] = i.into();
        e
    });
    assert_eq!(out, numbered.collect::<Vec<_>>());
}

#[test]
fn t23_t26_t27_calls_to_responses() {
    let out = for_responses(
        Chat,
        &[
            fragment(0, Some("c0"), "{\"a\":"),
            fragment(1, Some("c1"), "{\"b\":"),
            chunk(json!({"content": "text"}), None),
            fragment(0, None, "1}"),
            fragment(1, None, "2}"),
            fragment(2, Some("c2"), ""),
            chunk(json!({}), Some("tool_calls")),
            json!("[DONE]"),
        ],
    );
    let items = &out.last().unwrap()["response"]["output"];
    let called = |i: u8, arguments: &str| json!({"id": format!("fc_1_{i}"), "type": "function_call", "status": "completed", "call_id": format!("c{i}"), "name": "f", "arguments": arguments});
    assert_eq!((&items[0], &items[1]), (&called(0, "{\"a\":1}"), &called(1, "{\"b\":2}")));
    assert_eq!(items[2]["content"][0]["text"], "text");
    assert_eq!(items[3]["arguments"], "{}", "T20: a call without arguments has the empty object");
    let deltas = out.iter().filter(|e| e["type"] == "response.function_call_arguments.delta");
    let deltas: Vec<(&Value, &Value)> = deltas.map(|e| (&e["item_id"], &e["delta"])).collect();
    assert_eq!(deltas[0], (&json!("fc_1_0"), &json!("{\"a\":")), "T33: the open call streams");
    assert_eq!(deltas[1].1, "1}");
}

fn thinking_frames() -> Vec<Value> {
    let [a, b] = end("tool_use");
    vec![
        start(),
        block(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, json!({"type": "thinking_delta", "thinking": "secret "})),
        delta(0, json!({"type": "thinking_delta", "thinking": "plan"})),
        delta(0, json!({"type": "signature_delta", "signature": "SIG"})),
        stop(0),
        block(1, json!({"type": "redacted_thinking", "data": "RED"})),
        stop(1),
        block(2, json!({"type": "text", "text": ""})),
        text(2, "Hi"),
        stop(2),
        block(3, json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}})),
        delta(3, json!({"type": "input_json_delta", "partial_json": "{\"x\":1}"})),
        stop(3),
        block(4, json!({"type": "tool_use", "id": "toolu_2", "name": "f", "input": {}})),
        stop(4),
        a,
        b,
    ]
}

#[test]
fn t27_t44_t46_thoughts_to_responses_and_the_whole_answer_is_the_same() {
    let out = for_responses(Messages, &thinking_frames());
    let kinds: Vec<&str> = out.iter().map(|e| e["type"].as_str().unwrap().trim_start_matches("response.")).collect();
    assert_eq!(
        kinds[2..10],
        [
            "output_item.added",
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.done",
            "reasoning_summary_part.done",
            "output_item.done",
            "output_item.added",
        ]
    );
    let at = |i: usize| (&out[i]["item_id"], &out[i]["output_index"], &out[i]["summary_index"]);
    assert_eq!(at(4), (&json!("rs_llmroute_1_0"), &json!(0), &json!(0)));
    let body = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "tool_use",
    "usage": {"input_tokens": 6, "output_tokens": 3},
    "content": [
        {"type": "thinking", "thinking": "secret plan", "signature": "SIG"}, {"type": "redacted_thinking", "data": "RED"},
        {"type": "text", "text": "Hi"}, {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": 1}},
        {"type": "tool_use", "id": "toolu_2", "name": "f", "input": {}},
    ]});
    let context = way_back(Responses, Messages, &json!({"stream": true}));
    let plain: Value =
        serde_json::from_slice(&translate_answer(&context, body.to_string().as_bytes()).unwrap()).unwrap();
    assert_eq!(out.last().unwrap()["response"], plain);
}

#[test]
fn t15_tools_for_free_text_get_text() {
    let [a, b] = end("tool_use");
    let frames = [
        start(),
        block(0, json!({"type": "tool_use", "id": "t", "name": "patch", "input": {}})),
        delta(0, json!({"type": "input_json_delta", "partial_json": "{\"input\":"})),
        delta(0, json!({"type": "input_json_delta", "partial_json": "\"*** x\\n\"}"})),
        stop(0),
        a,
        b,
    ];
    let asked = json!({"stream": true, "tools": [{"type": "custom", "name": "patch"}]});
    let out = streamed(&way_back(Responses, Messages, &asked), &frames).unwrap();
    assert_eq!(order::responses(&out), Ok(true));
    let short: Vec<(&str, &Value)> = out[2..6]
        .iter()
        .map(|e| {
            (
                e["type"].as_str().unwrap(),
                ["delta", "input"].iter().map(|m| &e[*m]).find(|v| !v.is_null()).unwrap_or(&e["item"]["input"]),
            )
        })
        .collect();
    let input = json!("*** x\n");
    assert_eq!(
        short,
        [
            ("response.output_item.added", &json!("")),
            ("response.custom_tool_call_input.delta", &input),
            ("response.custom_tool_call_input.done", &input),
            ("response.output_item.done", &input),
        ]
    );
}

#[test]
fn t30_t31_t36_how_a_stream_for_responses_ends() {
    let ended = |reason: &str| {
        let [a, b] = end(reason);
        let out = for_responses(
            Messages,
            &[start(), block(0, json!({"type": "text", "text": ""})), text(0, "x"), stop(0), a, b],
        );
        let last = out.last().unwrap();
        (
            last["type"].as_str().unwrap().to_owned(),
            last["response"]["status"].clone(),
            last["response"]["incomplete_details"]["reason"].clone(),
            last["response"]["output"][0]["status"].clone(),
        )
    };
    assert_eq!(ended("end_turn"), ("response.completed".into(), json!("completed"), Value::Null, json!("completed")));
    let cut = ("response.incomplete".into(), json!("incomplete"), json!("max_output_tokens"), json!("incomplete"));
    assert_eq!(ended("max_tokens"), cut);
    assert_eq!(ended("novelty"), cut);
    assert_eq!(ended("refusal").2, "content_filter");
    let refusal = [chunk(json!({"refusal": "I can't."}), None), chunk(json!({}), Some("stop")), json!("[DONE]")];
    let out = for_responses(Chat, &refusal);
    let last = &out.last().unwrap()["response"];
    assert_eq!(last["output"][0]["content"], json!([{"type": "refusal", "refusal": "I can't."}]));
    assert_eq!(last["status"], "completed");
    // Never said why: no end of any kind.
    let context = way_back(Responses, Chat, &json!({}));
    let out = streamed(&context, &[chunk(json!({"content": "a"}), None), json!("[DONE]")]).unwrap_err();
    assert_eq!(order::responses(&out), Ok(false));
}

#[test]
fn t31_errors_pass_as_a_response_that_failed() {
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}});
    let frames = [start(), block(0, json!({"type": "text", "text": ""})), text(0, "a"), error.clone(), text(0, "b")];
    let out = for_responses(Messages, &frames);
    let last = out.last().unwrap();
    assert_eq!(last["type"], "response.failed");
    assert_eq!(last["response"]["error"], json!({"code": "server_error", "message": "busy"}));
    assert_eq!(last["response"]["store"], false);
    let slow = json!({"error": {"type": "rate_limit_error", "message": "slow", "code": "rate_limit_exceeded"}});
    let out = for_responses(Chat, &[chunk(json!({"content": "a"}), None), slow]);
    assert_eq!(out.last().unwrap()["response"]["error"]["code"], "rate_limit_exceeded");
    let out = for_responses(Messages, &[error]);
    assert_eq!((out.len(), &out[0]["type"], &out[0]["message"]), (1, &json!("error"), &json!("busy")));
}

#[test]
fn t27_the_number_of_the_next_event_is_known() {
    let mut translator = StreamTranslator::new(&way_back(Responses, Chat, &json!({})));
    assert_eq!(translator.next_sequence(), 0);
    translator.push(&Frame::parse(format!("data: {}\n\n", chunk(json!({"content": "a"}), None)).into())).unwrap();
    assert_eq!(translator.next_sequence(), 5);
}

#[test]
fn t23_t27_t38_responses_to_messages_whole() {
    let out = for_messages(&[
        created(),
        event("in_progress", json!({"response": {}})),
        added(0, json!({"type": "message", "content": []})),
        event(
            "content_part.added",
            json!({"output_index": 0, "content_index": 0, "part": {"type": "output_text", "text": ""}}),
        ),
        said(0, "Hel"),
        said(0, "lo"),
        event("output_text.done", json!({"output_index": 0, "content_index": 0, "text": "Hello"})),
        event("content_part.done", json!({"output_index": 0})),
        done(0, message("Hello")),
        over("completed", json!([message("Hello")]), None),
    ]);
    let zero =
        json!({"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0});
    let want = json!([
        {"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "gpt-6-sol", "content": [],
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

/// An answer with everything in it, told by deltas, by what comes whole, or only at the end.
fn tellings() -> Vec<Vec<Value>> {
    let items = [thought(&["a", "b"], Some("ENC")), message("Hi"), call("{\"x\":1}")];
    let last = over("completed", items.clone().into(), None);
    let summary = |i: u64, name: &str, member: &str, text: &str| {
        event(&format!("reasoning_summary_text.{name}"), json!({"output_index": 0, "summary_index": i, member: text}))
    };
    let deltas = vec![
        created(),
        added(0, thought(&[], None)),
        summary(0, "delta", "delta", "a"),
        summary(0, "done", "text", "a"),
        summary(1, "delta", "delta", "b"),
        done(0, items[0].clone()),
        added(1, json!({"type": "message", "content": []})),
        said(1, "H"),
        said(1, "i"),
        done(1, items[1].clone()),
        added(2, call("")),
        event("function_call_arguments.delta", json!({"output_index": 2, "delta": "{\"x\":"})),
        event("function_call_arguments.delta", json!({"output_index": 2, "delta": "1}"})),
        event("function_call_arguments.done", json!({"output_index": 2, "arguments": "{\"x\":1}"})),
        done(2, items[2].clone()),
        last.clone(),
    ];
    let is = |e: &Value, end: &str| e["type"].as_str().unwrap().ends_with(end);
    let without =
        |ends: &[&str]| deltas.iter().filter(|e| !ends.iter().any(|end| is(e, end))).cloned().collect::<Vec<_>>();
    let mut cut_short = deltas.clone();
    // The end of a text tells what its deltas left out.
    cut_short.remove(8);
    let mut moved = deltas.clone();
    // The last event counts its items otherwise.
    for e in &mut moved {
        if let Some(i) = e["output_index"].as_u64() {
            e["output_index"] = (2 * i + 1).into();
        }
    }
    vec![
        deltas.clone(),
        without(&[".delta"]),
        without(&["text.delta", "text.done", "arguments.delta", "arguments.done"]),
        without(&["item.done", ".added"]),
        without(&[".added"]),
        vec![created(), last.clone()],
        vec![last],
        cut_short,
        moved,
    ]
}

#[test]
fn t27_what_deltas_leave_out_comes_with_what_is_whole() {
    for (i, frames) in tellings().into_iter().enumerate() {
        let told: String = short(&for_messages(&frames)).split_whitespace().collect();
        // Where no item ends before the next begins, its proof comes too late.
        let sealed = if i == 3 { "n:" } else { "e:rs_1:ENC" };
        let want = format!("+thinkingabllmroute:p:{sealed}-+textHi-+f#call_1{{\"x\":1}}-tool_use");
        assert_eq!(told, want, "telling {i}");
        let out = for_chat(&frames);
        let deltas = || out.iter().map(|e| &e["choices"][0]["delta"]);
        let words: String = deltas().filter_map(|d| d["content"].as_str()).collect();
        let arguments: String = deltas().filter_map(|d| d["tool_calls"][0]["function"]["arguments"].as_str()).collect();
        assert_eq!((words.as_str(), arguments.as_str()), ("Hi", "{\"x\":1}"), "telling {i}");
        assert_eq!(out[out.len() - 2]["choices"][0]["finish_reason"], "tool_calls");
    }
}

#[test]
fn t46_parts_of_a_summary_are_told_apart_and_hidden_thoughts_kept() {
    let frames = [
        created(),
        done(0, thought(&["a", "b"], None)),
        done(1, thought(&[], Some("ENC"))),
        done(2, thought(&[], None)),
        event("reasoning_text.delta", json!({"output_index": 3, "content_index": 0, "delta": "raw"})),
        done(
            3,
            json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": "short"}], "content": [{"type": "reasoning_text", "text": "raw"}]}),
        ),
        said(4, "x"),
        over("completed", json!([]), None),
    ];
    let out = for_messages(&frames);
    assert_eq!(
        short(&out),
        "+thinking a \n\nb llmroute:p:n: - +hidden llmroute:p:e:rs_1:ENC - +thinking raw llmroute:p:n: - +text x - end_turn"
    );
    let context = way_back(Messages, Responses, &json!({"stream": true}));
    assert_eq!(short(&streamed(&context, &frames).unwrap()), "+text x - end_turn", "not asked for, not shown");
}

#[test]
fn t29_t30_t31_t32_how_a_stream_of_responses_ends() {
    let text = message("x");
    let rows = [
        (over("completed", json!([text]), None), "end_turn", "stop"),
        (over("incomplete", json!([text]), Some("max_output_tokens")), "max_tokens", "length"),
        (over("incomplete", json!([text]), Some("content_filter")), "refusal", "content_filter"),
        (over("incomplete", json!([text]), None), "max_tokens", "length"),
    ];
    for (last, stop, finish) in rows {
        let frames = [created(), said(0, "x"), last];
        assert_eq!(short(&for_messages(&frames)), format!("+text x - {stop}"));
        let out = for_chat(&frames);
        assert_eq!(out[out.len() - 2]["choices"][0]["finish_reason"], finish);
    }
    let refusal = event("refusal.delta", json!({"output_index": 0, "content_index": 0, "delta": "No."}));
    let frames = [created(), refusal, over("completed", json!([]), None)];
    assert_eq!(short(&for_messages(&frames)), "+text No. - refusal");
    let asked = json!({"stream": true, "stream_options": {"include_usage": true}});
    let out =
        streamed(&way_back(Chat, Responses, &asked), &[created(), said(0, "x"), over("completed", json!([]), None)])
            .unwrap();
    assert_eq!(order::chat(&out, true), Ok(true));
    assert_eq!(out[out.len() - 2]["usage"]["prompt_tokens_details"]["cached_tokens"], 4);
    // Nothing follows the end; a stream without it has none.
    let late = [created(), said(0, "x"), over("completed", json!([]), None), said(0, "late")];
    assert_eq!(short(&for_messages(&late)), "+text x - end_turn");
    let context = way_back(Messages, Responses, &json!({}));
    assert_eq!(order::messages(&streamed(&context, &[created(), said(0, "x")]).unwrap()), Ok(false));
}

#[test]
fn t31_errors_of_responses() {
    let failed = event(
        "failed",
        json!({"response": {"id": "resp_1", "status": "failed", "output": [], "error": {"code": "server_error", "message": "oops"}}}),
    );
    let plain =
        json!({"type": "error", "code": "server_error", "message": "oops", "param": null, "sequence_number": 3});
    for error in [failed, plain] {
        let frames = [created(), said(0, "a"), error, said(0, "b")];
        let out = for_messages(&frames);
        assert_eq!(short(&out), "+text a error");
        assert_eq!(out.last().unwrap()["error"]["message"], "oops");
        assert_eq!(for_chat(&frames).last().unwrap()["error"]["message"], "oops");
    }
}

#[test]
fn t32_what_is_no_event_of_the_dialect_breaks_the_stream() {
    let context = way_back(Messages, Responses, &json!({}));
    for bad in [json!("not json"), json!("[]"), json!("[DONE]")] {
        assert!(streamed(&context, &[created(), said(0, "a"), bad.clone()]).is_err(), "{bad}");
    }
    assert!(streamed(&context, &[said(0, "before the start")]).is_err());
    assert!(streamed(&context, &[event("completed", json!({}))]).is_err());
    let nameless = done(0, json!({"type": "function_call", "call_id": "c", "arguments": "{}"}));
    assert!(streamed(&context, &[created(), nameless]).is_err());
    let unknown = [created(), json!({"type": "response.novelty"}), json!({"type": "keepalive"}), said(0, "x")];
    assert_eq!(short(&streamed(&context, &unknown).unwrap()), "+text x");
}
