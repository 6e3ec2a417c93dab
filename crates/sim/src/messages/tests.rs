//! Requests and what they are answered with, as rows.

use serde_json::{Value, json};

use super::{answer, count};
use crate::answer::tests::with_ctx;
use crate::answer::{Answer, Ctx};
use crate::fault::Fault;
use crate::refusal::Refusal;

fn ask(body: &Value) -> Result<Answer, Refusal> {
    with_ctx(None, |ctx| answer(body, ctx))
}

fn plain(body: &Value) -> Value {
    serde_json::from_str(ask(body).unwrap().plain()).unwrap()
}

fn request(more: Value) -> Value {
    let mut body = json!({"model": "claude-haiku-5-5", "max_tokens": 2000,
        "messages": [{"role": "user", "content": "hello there"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn sonnet(mut more: Value) -> Value {
    more["model"] = json!("claude-sonnet-5-5");
    request(more)
}

fn turns(content: Value) -> Value {
    json!([{"role": "user", "content": content}])
}

fn weather() -> Value {
    json!([{"name": "get_weather", "input_schema":
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}])
}

#[test]
fn refusals() {
    let user = json!({"role": "user", "content": "x"});
    let call =
        json!({"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}]});
    let result =
        json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}]});
    let forged = json!({"type": "thinking", "thinking": "hm", "signature": "forged"});
    let cached = json!({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}});
    let image = |media: &str| {
        turns(json!([{"type": "image", "source": {"type": "base64", "media_type": media, "data": "AAAA"}}]))
    };
    let thinking = |budget: u64| json!({"type": "enabled", "budget_tokens": budget});
    #[rustfmt::skip]
    let rows = [
        (request(json!({"foo": 1})), "foo: Extra inputs are not permitted"),
        (json!({"model": "claude-haiku-5-5", "messages": [user]}), "max_tokens: Field required"),
        (json!({"model": "claude-haiku-5-5", "max_tokens": 1}), "messages: Field required"),
        (request(json!({"max_tokens": 200_000})), "max_tokens: 200000 > 128000, which is the maximum allowed number of output tokens for claude-haiku-5-5"),
        (request(json!({"temperature": 1.5})), "temperature: range: 0..1"),
        (request(json!({"model": "claude-opus-4-1", "output_config": {"format": {"type": "json_schema", "schema": {}}}})), "output_config.format: 'claude-opus-4-1' does not support output format."),
        (request(json!({"thread": {"type": "create"}})), "thread: Extra inputs are not permitted"),
        (sonnet(json!({"temperature": 0.5})), "`temperature` is deprecated for this model."),
        (sonnet(json!({"top_k": 5})), "`top_k` is deprecated for this model."),
        (sonnet(json!({"tools": weather(), "tool_choice": {"type": "any"}})), "tool_choice: type 'any' is not supported for this model. Use 'auto' or 'none'."),
        (sonnet(json!({"thinking": thinking(1024)})), "\"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\" and \"output_config.effort\" to control thinking behavior."),
        (sonnet(json!({"thinking": {"type": "disabled"}})), "\"thinking.type.disabled\" is not supported for this model. Use \"thinking.type.adaptive\" and \"output_config.effort\" to control thinking behavior."),
        (sonnet(json!({"messages": [user, {"role": "assistant", "content": "I"}]})), "This model does not support assistant message prefill. The conversation must end with a user message."),
        (request(json!({"messages": [user, {"role": "assistant", "content": "I "}]})), "messages: final assistant content cannot end with trailing whitespace"),
        (request(json!({"messages": []})), "messages: at least one message is required"),
        (request(json!({"messages": [{"role": "user", "content": "x", "output_config": {}}]})), "messages.0.output_config: Extra inputs are not permitted"),
        (request(json!({"messages": [{"role": "assistant", "content": "x"}, user]})), "messages: first message must use the \"user\" role"),
        (request(json!({"messages": [{"role": "tool", "content": "x"}]})), "messages: Unexpected role \"tool\". Allowed roles are \"user\" or \"assistant\""),
        (request(json!({"messages": turns(json!(""))})), "messages.0: user messages must have non-empty content"),
        (request(json!({"messages": turns(json!([{"type": "text", "text": ""}]))})), "messages: text content blocks must be non-empty"),
        (request(json!({"messages": turns(json!([{"type": "text", "text": " "}]))})), "messages: text content blocks must contain non-whitespace text"),
        (request(json!({"messages": turns(json!([{"type": "text", "text": "x", "foo": 1}]))})), "messages.0.content.0.text.foo: Extra inputs are not permitted"),
        (request(json!({"messages": turns(json!([{"type": "image_url"}]))})), "messages.0.content.0: Input tag 'image_url' found using 'type' does not match any of the expected tags: 'document', 'image', 'redacted_thinking', 'search_result', 'server_tool_use', 'text', 'thinking', 'tool_result', 'tool_use', 'web_search_tool_result'"),
        (request(json!({"messages": image("image/tiff")})), "messages.0.content.0.image.source.base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'"),
        (request(json!({"messages": [user, result]})), "messages.1.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_1. Each `tool_result` block must have a corresponding `tool_use` block in the previous message."),
        (request(json!({"messages": [user, call, user]})), "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1. Each `tool_use` block must have a corresponding `tool_result` block in the next message."),
        (request(json!({"messages": [user, {"role": "assistant", "content": [forged, {"type": "text", "text": "x"}]}, user]})), "messages.1.content.0: Invalid `signature` in `thinking` block"),
        (request(json!({"thinking": thinking(1024), "messages": [user, call, result]})), "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from previous turns. To avoid this requirement, disable `thinking`."),
        (request(json!({"thinking": thinking(10)})), "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"),
        (request(json!({"thinking": thinking(1024), "tools": weather(), "tool_choice": {"type": "any"}})), "Thinking may not be enabled when tool_choice forces tool use."),
        (request(json!({"tool_choice": {"type": "auto"}})), "tool_choice may only be specified while providing tools."),
        (request(json!({"tools": [{"name": "n".repeat(129), "input_schema": {"type": "object"}}]})), "tools.0.custom.name: String should have at most 128 characters"),
        (request(json!({"tools": [{"name": "a.b", "input_schema": {"type": "object"}}]})), "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"),
        (request(json!({"tools": [{"name": "a"}]})), "tools.0.custom.input_schema: Field required"),
        (request(json!({"tools": [{"name": "a", "input_schema": {"type": "object"}, "parameters": {}}]})), "tools.0.custom.parameters: Extra inputs are not permitted"),
        (request(json!({"stop_sequences": [" "]})), "stop_sequences: each stop sequence must contain non-whitespace"),
        (request(json!({"metadata": {"foo": "x"}})), "metadata.foo: Extra inputs are not permitted"),
        (request(json!({"messages": turns(json!([cached, cached, cached, cached, cached]))})), "A maximum of 4 blocks with cache_control may be provided. Found 5."),
        (request(json!({"model": "claude-haiku-4-5", "messages": turns(json!("a ".repeat(200_001)))})), "prompt is too long: 200008 tokens > 200000 maximum"),
    ];
    for (body, message) in rows {
        let refusal = ask(&body).expect_err(message);
        assert_eq!(refusal.message, message);
        assert_eq!((refusal.status, refusal.kind), (400, "invalid_request_error"), "{message}");
    }
    assert_eq!(ask(&request(json!({"model": "gpt-6-sol"}))).unwrap_err().kind, "not_found_error");
}

#[test]
fn a_system_message_may_change_the_effort() {
    let turn = json!({"role": "system", "content": "x", "output_config": {"effort": "low"}, "clear_at": "never"});
    assert!(ask(&request(json!({"messages": [{"role": "user", "content": "hello"}, turn]}))).is_ok());
}

#[test]
fn versions() {
    let with = |version: Option<&str>, body: Value| {
        with_ctx(None, |ctx| answer(&body, &Ctx { version, ..*ctx }).map(|_| ()).map_err(|r| r.message))
    };
    assert_eq!(with(None, request(json!({}))), Err("anthropic-version: header is required".to_owned()));
    let old = Some("2023-06-01");
    let new = Some("2026-10-21");
    assert_eq!(with(old, request(json!({"temperature": 0.5}))), Ok(()));
    let gone = Err("temperature: Extra inputs are not permitted".to_owned());
    assert_eq!(with(new, request(json!({"temperature": 0.5}))), gone);
    assert_eq!(with(new, request(json!({}))), Ok(()));
}

#[test]
fn plain_answers() {
    let body = plain(&request(json!({})));
    assert_eq!(body["content"], json!([{"type": "text", "text": "You said: hello there. and so the answer"}]));
    assert_eq!((&body["stop_reason"], &body["usage"]["input_tokens"]), (&json!("end_turn"), &json!(9)));
    let rows = [
        (json!({"max_tokens": 3}), "max_tokens", Value::Null),
        (json!({"stop_sequences": ["hello"]}), "stop_sequence", json!("hello")),
        (json!({"tools": weather()}), "tool_use", Value::Null),
    ];
    for (more, reason, sequence) in rows {
        let body = plain(&request(more));
        assert_eq!((&body["stop_reason"], &body["stop_sequence"]), (&json!(reason), &sequence));
    }
}

#[test]
fn tools_and_thinking_go_round() {
    let thinking = json!({"type": "enabled", "budget_tokens": 1024});
    let first = plain(&request(json!({"tools": weather(), "thinking": thinking, "messages": turns(json!("both"))})));
    let kinds: Vec<&str> = first["content"].as_array().unwrap().iter().filter_map(|b| b["type"].as_str()).collect();
    assert_eq!(kinds, ["thinking", "tool_use", "tool_use"]);
    let results: Vec<Value> = first["content"].as_array().unwrap()[1..]
        .iter()
        .map(|b| json!({"type": "tool_result", "tool_use_id": b["id"], "content": "sunny"}))
        .collect();
    let second = plain(&request(json!({"tools": weather(), "thinking": thinking, "messages": [
        {"role": "user", "content": "both"},
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": results}]})));
    assert_eq!(second["content"][1]["text"], "The tools answered: sunny; sunny. and so the");
    let one = request(json!({"tools": weather(), "messages": turns(json!("both")),
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}}));
    assert_eq!(plain(&one)["content"].as_array().unwrap().len(), 1);
}

#[test]
fn a_stream_says_what_the_plain_answer_says() {
    let rows = [
        json!({}),
        json!({"tools": weather(), "messages": turns(json!("twice"))}),
        json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        json!({"thinking": {"type": "adaptive", "display": "omitted"}, "model": "claude-sonnet-5-5"}),
    ];
    for more in rows {
        let whole = plain(&request(more.clone()));
        let mut body = request(more);
        body["stream"] = json!(true);
        let answer = ask(&body).unwrap();
        let events: Vec<Value> = answer.events().iter().map(|e| serde_json::from_str(&e.data).unwrap()).collect();
        assert_eq!(events[0]["type"], "message_start");
        assert_eq!(events.last().unwrap()["type"], "message_stop");
        for (i, block) in whole["content"].as_array().unwrap().iter().enumerate() {
            let deltas: Vec<&Value> = events.iter().filter(|e| e["index"] == i).map(|e| &e["delta"]).collect();
            let joined = |member: &str| deltas.iter().filter_map(|d| d[member].as_str()).collect::<String>();
            match block["type"].as_str().unwrap() {
                "text" => assert_eq!(joined("text"), block["text"].as_str().unwrap()),
                "thinking" => {
                    assert_eq!(joined("thinking"), block["thinking"].as_str().unwrap());
                    assert_eq!(joined("signature"), block["signature"].as_str().unwrap());
                }
                _ => assert_eq!(serde_json::from_str::<Value>(&joined("partial_json")).unwrap(), block["input"]),
            }
        }
        let last = &events[events.len() - 2];
        assert_eq!(last["usage"]["output_tokens"], whole["usage"]["output_tokens"]);
        assert_eq!(last["delta"]["stop_reason"], whole["stop_reason"]);
        assert_eq!(answer.events().iter().map(|e| e.tokens).sum::<u64>(), answer.charge.output);
    }
}

#[test]
fn breakpoints_write_and_read_the_cache() {
    let body = |tail: &str| {
        request(json!({
            "system": [{"type": "text", "text": "word ".repeat(2000), "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
            "messages": turns(json!(tail))}))
    };
    with_ctx(None, |ctx| {
        let first = answer(&body("one"), ctx).unwrap();
        let usage = serde_json::from_str::<Value>(first.plain()).unwrap()["usage"].clone();
        assert_eq!(usage["cache_creation"]["ephemeral_1h_input_tokens"], 2000);
        let second = answer(&body("two"), ctx).unwrap();
        let usage = serde_json::from_str::<Value>(second.plain()).unwrap()["usage"].clone();
        assert_eq!(
            (&usage["cache_read_input_tokens"], &usage["cache_creation_input_tokens"]),
            (&json!(2000), &json!(0))
        );
        assert_eq!(usage["input_tokens"], 8);
        assert_eq!(
            count(&json!({"model": "claude-haiku-5-5", "messages": turns(json!("one"))}), ctx).unwrap(),
            r#"{"input_tokens":8}"#
        );
    });
}

#[test]
fn tools_cost_a_prompt_of_their_own() {
    let input = |more| ask(&request(more)).unwrap().charge.input.total;
    let tool = input(json!({"tools": weather()})) - input(json!({})) - 346;
    assert_eq!(input(json!({"tools": weather(), "tool_choice": {"type": "any"}})), input(json!({})) + tool + 313);
    assert!(tool > 10);
}

#[test]
fn faults_of_what_an_answer_says() {
    let rows = [
        (Fault::Refusal, "/stop_reason", json!("refusal")),
        (Fault::ContentFilter, "/stop_details/type", json!("refusal")),
        (Fault::PauseTurn, "/stop_reason", json!("pause_turn")),
        (Fault::WindowFull, "/stop_reason", json!("model_context_window_exceeded")),
        (Fault::UnknownReason, "/stop_reason", json!("x_unknown_reason")),
        (Fault::ZeroUsage, "/usage/output_tokens", json!(0)),
        (Fault::EmptyChoices, "/content", json!([])),
    ];
    for (fault, pointer, want) in rows {
        let answer = with_ctx(Some(fault), |ctx| answer(&request(json!({})), ctx)).unwrap();
        let body: Value = serde_json::from_str(answer.plain()).unwrap();
        assert_eq!(body.pointer(pointer), Some(&want), "{}", fault.name());
    }
    let delta = |fault| {
        let answer = with_ctx(Some(fault), |ctx| answer(&request(json!({"stream": true})), ctx)).unwrap();
        let events = answer.events();
        serde_json::from_str::<Value>(&events[events.len() - 2].data).unwrap()
    };
    assert_eq!(delta(Fault::NoFinishReason)["delta"]["stop_reason"], Value::Null);
    assert!(delta(Fault::NoUsage).get("usage").is_none());
    assert_eq!(delta(Fault::LeanDelta)["usage"].as_object().unwrap().len(), 1);
}

#[test]
fn threads() {
    with_ctx(None, |ctx| {
        let ctx = Ctx { betas: Some("a,message-threads-2026-08-12"), ..*ctx };
        let say = |more: Value, seed| answer(&request(more), &Ctx { seed, ..ctx }).map(|a| a.plain().to_owned());
        let read = |said: Result<String, Refusal>| serde_json::from_str::<Value>(&said.unwrap()).unwrap();
        let first = read(say(json!({"thread": {"type": "create"}, "tools": weather(), "system": "Be brief."}), 1));
        let on = |id: &Value| json!({"type": "continue", "previous_message_id": id});
        let result = json!([{"type": "tool_result", "tool_use_id": first["content"][0]["id"], "content": "sunny"}]);
        let second = read(say(json!({"thread": on(&first["id"]), "messages": turns(result.clone())}), 2));
        assert_eq!(second["content"][0]["text"], "The tools answered: sunny. and so the answer");
        assert!(second["usage"]["input_tokens"].as_u64() > first["usage"]["input_tokens"].as_u64());
        let third = json!({"thread": on(&second["id"]), "messages": turns(json!("Use get_weather again"))});
        assert_eq!(read(say(third, 3))["content"][0]["name"], "get_weather");
        let lost = say(json!({"thread": on(&json!("msg_0")), "messages": turns(result)}), 4).unwrap_err();
        assert_eq!((lost.status, lost.code), (404, Some("thread_not_found")));
        let again = say(json!({"thread": on(&second["id"]), "tools": weather()}), 5).unwrap_err();
        assert_eq!(again.message, "tools: a thread that goes on has it from its first request");
    });
}

#[test]
fn text_may_come_before_a_call() {
    let marker = crate::marker::Marker::parse("say=I will look.");
    with_ctx(None, |ctx| {
        let ctx = Ctx { marker: &marker, ..*ctx };
        let body: Value =
            serde_json::from_str(answer(&request(json!({"tools": weather()})), &ctx).unwrap().plain()).unwrap();
        assert_eq!(body["content"][0], json!({"type": "text", "text": "I will look."}));
        assert_eq!((&body["content"][1]["type"], &body["stop_reason"]), (&json!("tool_use"), &json!("tool_use")));
    });
}
