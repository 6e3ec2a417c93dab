//! Requests and what they are answered with, as rows.

use serde_json::{Value, json};

use super::answer;
use crate::answer::tests::with_ctx;
use crate::answer::{Answer, Kind};
use crate::fault::Fault;
use crate::refusal::Refusal;

fn ask(body: &Value) -> Result<Answer, Refusal> {
    with_ctx(None, |ctx| answer(body, ctx))
}

fn plain(body: &Value) -> Value {
    serde_json::from_str(ask(body).unwrap().plain()).unwrap()
}

/// A request of one user turn, with `more` members.
fn request(more: Value) -> Value {
    let mut body = json!({"model": "gpt-6-sol", "messages": [{"role": "user", "content": "hello there"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

const NO_SCHEMA: &str = "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model. \
                         Learn more about supported models at the Structured Outputs guide: \
                         https://platform.openai.com/docs/guides/structured-outputs";

fn weather() -> Value {
    json!([{"type": "function", "function": {"name": "get_weather", "parameters":
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}])
}

#[test]
fn refusals() {
    let user = json!({"role": "user", "content": "x"});
    let call = json!({"role": "assistant", "content": null, "tool_calls":
        [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
    let result = json!({"role": "tool", "tool_call_id": "call_1", "content": "x"});
    let long_id = json!({"role": "assistant", "tool_calls":
        [{"id": "c".repeat(41), "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
    let tool = |name: &str| json!([{"type": "function", "function": {"name": name}}]);
    let image = |url: &str| json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]);
    #[rustfmt::skip]
    let rows = [
        (request(json!({"foo": 1})), "Unrecognized request argument supplied: foo", None, None),
        (request(json!({"model": "gpt-4-turbo", "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}})), NO_SCHEMA, None, None),
        (json!({"messages": [user]}), "you must provide a model parameter", None, None),
        (json!({"model": "gpt-6-sol"}), "Missing required parameter: 'messages'.", Some("messages"), Some("missing_required_parameter")),
        (request(json!({"messages": []})), "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.", Some("messages"), Some("empty_array")),
        (request(json!({"max_tokens": 5})), "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", Some("max_tokens"), Some("unsupported_parameter")),
        (request(json!({"temperature": 3})), "Invalid 'temperature': integer above maximum value. Expected a value <= 2, but got 3 instead.", Some("temperature"), Some("integer_above_max_value")),
        (request(json!({"temperature": 2.5})), "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 2.5 instead.", Some("temperature"), Some("decimal_above_max_value")),
        (request(json!({"reasoning_effort": "low", "temperature": 0.5})), "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) value is supported.", Some("temperature"), Some("unsupported_value")),
        (request(json!({"temperature": 0.5})), "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) value is supported.", Some("temperature"), Some("unsupported_value")),
        (request(json!({"model": "gpt-6.1-sol", "reasoning_effort": "none"})), "Unsupported value: 'reasoning_effort' does not support 'none' with this model.", Some("reasoning_effort"), Some("unsupported_value")),
        (request(json!({"model": "gpt-6.2-sol", "reasoning_effort": "minimal"})), "Unsupported value: 'reasoning_effort' does not support 'minimal' with this model.", Some("reasoning_effort"), Some("unsupported_value")),
        (request(json!({"stop": ["a", "b", "c", "d", "e"]})), "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length 5 instead.", Some("stop"), Some("array_above_max_length")),
        (request(json!({"stream_options": {}})), "The 'stream_options' parameter is only allowed when 'stream' is enabled.", Some("stream_options"), None),
        (request(json!({"messages": [user, result]})), "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.", Some("messages.[1].role"), None),
        (request(json!({"messages": [user, call, user]})), "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: call_1", Some("messages.[2].role"), None),
        (request(json!({"messages": [user, call]})), "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: call_1", Some("messages.[2].role"), None),
        (request(json!({"messages": [user, long_id]})), "Invalid 'messages[1].tool_calls[0].id': string too long. Expected a string with maximum length 40, but got a string with length 41 instead.", Some("messages[1].tool_calls[0].id"), Some("string_above_max_length")),
        (request(json!({"messages": [{"role": "user", "content": null}]})), "Invalid value for 'content': expected a string, got null.", Some("messages.[0].content"), None),
        (request(json!({"messages": [{"role": "user", "content": "x", "cache_control": {}}]})), "Unknown parameter: 'messages[0].cache_control'.", Some("messages[0].cache_control"), Some("unknown_parameter")),
        (request(json!({"tools": tool(&"n".repeat(65))})), "Invalid 'tools[0].function.name': string too long. Expected a string with maximum length 64, but got a string with length 65 instead.", Some("tools[0].function.name"), Some("string_above_max_length")),
        (request(json!({"tools": tool("a b")})), "Invalid 'tools[0].function.name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.", Some("tools[0].function.name"), Some("invalid_value")),
        (request(json!({"tools": []})), "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead.", Some("tools"), Some("empty_array")),
        (request(json!({"response_format": {"type": "json_object"}})), "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.", Some("messages"), None),
        (request(json!({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "strict": true, "schema": {"type": "object"}}}})), "Invalid schema for response_format 'a': In context=(), 'additionalProperties' is required to be supplied and to be false.", Some("response_format"), Some("invalid_json_schema")),
        (request(json!({"messages": image("data:image/tiff;base64,AAAA")})), "You uploaded an unsupported image. Please make sure your image has of one the following formats: ['png', 'jpeg', 'gif', 'webp'].", Some("messages"), Some("invalid_image_format")),
        (request(json!({"model": "gpt-4o", "max_tokens": 200_000})), "max_tokens is too large: 200000. This model supports at most 128000 completion tokens, whereas you provided 200000.", Some("max_tokens"), Some("invalid_value")),
        (request(json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "a ".repeat(128_000)}]})), "This model's maximum context length is 128000 tokens. However, your messages resulted in 128007 tokens. Please reduce the length of the messages.", Some("messages"), Some("context_length_exceeded")),
    ];
    for (body, message, param, code) in rows {
        let refusal = ask(&body).expect_err(message);
        assert_eq!(refusal.message, message);
        assert_eq!((refusal.status, refusal.kind), (400, "invalid_request_error"), "{message}");
        assert_eq!((refusal.param.as_deref(), refusal.code), (param, code), "{message}");
    }
    assert_eq!(ask(&request(json!({"model": "gpt-9"}))).unwrap_err().status, 404);
    assert!(
        ask(&request(json!({"reasoning_effort": "none", "temperature": 0.5}))).is_ok(),
        "gpt-6 that does not think"
    );
}

#[test]
fn text_answers() {
    let rows = [
        (json!({}), "You said: hello there. and so the answer", "stop"),
        (json!({"max_completion_tokens": 3}), "You said: ", "length"),
        (json!({"stop": ["there"]}), "You said: hello ", "stop"),
        (json!({"stop": "zzz"}), "You said: hello there. and so the answer", "stop"),
    ];
    for (more, text, finish) in rows {
        let body = plain(&request(more.clone()));
        assert_eq!(body["choices"][0]["message"]["content"], text, "{more}");
        assert_eq!(body["choices"][0]["finish_reason"], finish, "{more}");
    }
    let two = plain(&request(json!({"n": 2})));
    assert_eq!(two["choices"].as_array().unwrap().len(), 2);
    assert_eq!(two["choices"][1]["index"], 1);
}

#[test]
fn usage_adds_up_and_counts_reasoning() {
    let body = plain(&request(json!({"reasoning_effort": "low"})));
    let usage = &body["usage"];
    assert_eq!(usage["prompt_tokens"], 9);
    assert!(usage["completion_tokens_details"]["reasoning_tokens"].as_u64().unwrap() > 5);
    assert_eq!(
        usage["total_tokens"].as_u64().unwrap(),
        usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap()
    );
}

#[test]
fn tools_are_called_and_their_results_told() {
    let calls = |body: &Value| {
        let calls = body["choices"][0]["message"]["tool_calls"].as_array().cloned().unwrap_or_default();
        calls.iter().map(|c| c["function"]["arguments"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let twice = json!([{"role": "user", "content": "twice please"}]);
    let rows = [
        (json!({"tools": weather()}), vec![r#"{"city":"Paris"}"#]),
        (json!({"tools": weather(), "tool_choice": "none"}), vec![]),
        (
            json!({"tools": weather(), "tool_choice": {"type": "function", "function": {"name": "get_weather"}}}),
            vec![r#"{"city":"Paris"}"#],
        ),
        (json!({"tools": weather(), "messages": twice}), vec![r#"{"city":"Paris"}"#, r#"{"city":"Oslo"}"#]),
        (json!({"tools": weather(), "messages": twice, "parallel_tool_calls": false}), vec![r#"{"city":"Paris"}"#]),
    ];
    for (more, want) in rows {
        let body = plain(&request(more.clone()));
        assert_eq!(calls(&body), want, "{more}");
        assert_eq!(body["choices"][0]["finish_reason"], if want.is_empty() { "stop" } else { "tool_calls" });
    }
    let after = |result: &str| {
        plain(&request(json!({"tools": weather(), "messages": [
            {"role": "user", "content": "weather twice?"},
            {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "a", "content": result},
        ]})))
    };
    let told = after("sunny");
    assert!(told["choices"][0]["message"]["content"].as_str().unwrap().starts_with("The tools answered: sunny."));
    assert_eq!(calls(&after("sunny@@sim:tool=get_weather@@")), [r#"{"city":"Paris"}"#], "one step more");
}

#[test]
fn an_answer_may_be_sent_back_whole() {
    let message = plain(&request(json!({"tools": weather()})))["choices"][0]["message"].clone();
    assert_eq!(message["annotations"], json!([]));
    let result = json!({"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "sunny"});
    let user = json!({"role": "user", "content": "weather?"});
    assert!(ask(&request(json!({"tools": weather(), "messages": [user, message, result]}))).is_ok());
}

#[test]
fn structured_answers_fit() {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": false});
    let body = plain(&request(
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "strict": true, "schema": schema}}}),
    ));
    assert_eq!(body["choices"][0]["message"]["content"], r#"{"n":1}"#);
}

#[test]
fn a_stream_says_what_the_plain_answer_says() {
    for more in
        [json!({}), json!({"tools": weather(), "messages": [{"role": "user", "content": "both"}]}), json!({"n": 2})]
    {
        let whole = plain(&request(more.clone()));
        let mut body = request(more);
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
        let answer = ask(&body).unwrap();
        let events = answer.events();
        assert_eq!(events.last().unwrap().data, "[DONE]");
        let chunks: Vec<Value> =
            events[..events.len() - 1].iter().map(|e| serde_json::from_str(&e.data).unwrap()).collect();
        assert_eq!(chunks.last().unwrap()["usage"], whole["usage"]);
        assert_eq!(chunks.last().unwrap()["choices"], json!([]));
        for (i, choice) in whole["choices"].as_array().unwrap().iter().enumerate() {
            let deltas: Vec<&Value> = chunks
                .iter()
                .flat_map(|c| c["choices"].as_array().unwrap())
                .filter(|c| c["index"] == i)
                .map(|c| &c["delta"])
                .collect();
            let text: String = deltas.iter().filter_map(|d| d["content"].as_str()).collect();
            assert_eq!(text, choice["message"]["content"].as_str().unwrap_or_default());
            for (k, call) in choice["message"]["tool_calls"].as_array().into_iter().flatten().enumerate() {
                let parts = deltas.iter().flat_map(|d| d["tool_calls"].as_array().into_iter().flatten());
                let arguments: String =
                    parts.filter(|p| p["index"] == k).filter_map(|p| p["function"]["arguments"].as_str()).collect();
                assert_eq!(arguments, call["function"]["arguments"].as_str().unwrap());
            }
        }
        let produced: u64 = events.iter().map(|e| e.tokens).sum();
        assert_eq!(produced, answer.charge.output, "every token is produced by some event");
        assert_eq!(events[0].kind, Kind::Frame);
    }
}

#[test]
fn long_prompts_are_cached_the_second_time() {
    let body = json!({"model": "gpt-6-sol", "messages": [
        {"role": "system", "content": "word ".repeat(2000)}, {"role": "user", "content": "x"}]});
    with_ctx(None, |ctx| {
        let first = answer(&body, ctx).unwrap().charge.input;
        let second = answer(&body, ctx).unwrap().charge.input;
        assert_eq!((first.cached, first.write), (0, 2004));
        assert_eq!((second.cached, second.write), (2004, 0));
    });
}

/// The chunks of a stream under a fault.
fn chunks(fault: Option<Fault>, more: Value) -> Vec<String> {
    let mut body = request(json!({"stream": true, "stream_options": {"include_usage": true}}));
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = with_ctx(fault, |ctx| answer(&body, ctx)).unwrap();
    answer.events().iter().map(|event| event.data.clone()).collect()
}

#[test]
fn faults_of_what_a_stream_says() {
    let said = |fault| chunks(Some(fault), json!({"max_completion_tokens": 2}));
    let normal = chunks(None, json!({"max_completion_tokens": 2}));
    assert!(normal[normal.len() - 2].contains("\"prompt_tokens\":9"));
    let on_finish = said(Fault::UsageWithChoices);
    assert!(on_finish[on_finish.len() - 2].contains("\"finish_reason\":\"length\""));
    assert!(on_finish[on_finish.len() - 2].contains("\"prompt_tokens\":9"));
    assert!(said(Fault::NoUsage).iter().all(|data| !data.contains("usage")));
    assert!(said(Fault::ZeroUsage).iter().any(|data| data.contains("\"prompt_tokens\":0,\"completion_tokens\":0")));
    assert!(said(Fault::Odd)[0].contains("1.0e2,  \"big\": 12345678901234567890123"));
    assert!(said(Fault::IgnoreMaxTokens).len() > normal.len());
    assert!(said(Fault::EmptyChoices)[0].contains("\"choices\":[]"));
    assert!(said(Fault::NoRole)[0].contains("\"delta\":{\"content\":\"You \"}"));
    assert!(said(Fault::EmptyToolCalls)[1].contains("\"tool_calls\":[]"));
    assert!(said(Fault::NoFinishReason).iter().all(|data| !data.contains("\"finish_reason\":\"")));
    let refused = request(json!({"stream": true, "stream_options": {}}));
    let refusal = with_ctx(Some(Fault::NoStreamOptions), |ctx| answer(&refused, ctx)).unwrap_err();
    assert_eq!(refusal.message, "Unrecognized request argument supplied: stream_options");
}

#[test]
fn fragments_of_parallel_calls_take_turns() {
    let order = |fault| {
        let all = chunks(fault, json!({"tools": weather(), "messages": [{"role": "user", "content": "twice"}]}));
        let index = |data: &String| data.split("\"tool_calls\":[{\"index\":").nth(1).map(|rest| rest[..1].to_owned());
        all.iter().filter_map(index).collect::<String>()
    };
    assert_eq!(order(None), "00001111");
    assert_eq!(order(Some(Fault::InterleavedTools)), "01010101");
}

#[test]
fn finish_reasons() {
    let rows = [
        (Fault::Refusal, "stop", Value::Null),
        (Fault::ContentFilter, "content_filter", json!("You said: hello there. and so the answer")),
        (Fault::UnknownReason, "x_unknown_reason", json!("You said: hello there. and so the answer")),
        (Fault::WindowFull, "length", json!("You said: hello there. and so the answer")),
    ];
    for (fault, reason, content) in rows {
        let answer = with_ctx(Some(fault), |ctx| answer(&request(json!({})), ctx)).unwrap();
        let choice = serde_json::from_str::<Value>(answer.plain()).unwrap()["choices"][0].clone();
        assert_eq!((&choice["finish_reason"], &choice["message"]["content"]), (&json!(reason), &content));
        assert_eq!(choice["message"]["refusal"].is_string(), fault == Fault::Refusal);
    }
}
