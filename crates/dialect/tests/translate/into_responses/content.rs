//! The others to Responses: roles, content, thoughts, tools and their turns.

use dialect::Dialect::{Chat, Messages, Responses};
use serde_json::{Value, json};

use super::{THINKER, gives, talk};
use crate::rows::sent_to;

fn message(role: &str, content: Value) -> Value {
    json!({"type": "message", "role": role, "content": content})
}

fn said(text: &str) -> Value {
    message("assistant", json!([{"type": "output_text", "text": text}]))
}

fn call(id: &str, arguments: &str) -> Value {
    json!({"type": "function_call", "call_id": id, "name": "f", "arguments": arguments})
}

fn output(id: &str, output: Value) -> Value {
    json!({"type": "function_call_output", "call_id": id, "output": output})
}

#[test]
fn t01_t10_t56_a_plain_request() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let (got, lost) = sent_to(Chat, Responses, "m", &body).unwrap();
    assert_eq!((got, lost.len()), (json!({"model": "m", "input": [message("user", json!("hi"))], "store": false}), 0));
    let body = json!({"model": "m", "max_tokens": 50, "system": "S", "messages": [{"role": "user", "content": "hi"}]});
    let (got, lost) = sent_to(Messages, Responses, "m", &body).unwrap();
    let want = json!({"model": "m", "instructions": "S", "input": [message("user", json!("hi"))], "store": false, "max_output_tokens": 50});
    assert_eq!((got, lost.len()), (want, 0));
}

#[test]
fn t07_instructions() {
    let system = |t: &str| json!({"role": "developer", "content": t});
    let user = json!({"role": "user", "content": "hi"});
    let (got, lost) = talk(Chat, &json!([system("A"), system("B"), user, system("C"), user])).unwrap();
    assert_eq!(got["instructions"], "A\n\nB");
    let hi = message("user", json!("hi"));
    assert_eq!((&got["input"], lost.len()), (&json!([hi, message("system", json!("C")), hi]), 0));
    let (got, _) = talk(Chat, &json!([system("A")])).unwrap();
    assert_eq!((&got["input"], got.get("instructions")), (&json!([message("system", json!("A"))]), None));
    assert!(talk(Chat, &json!([])).is_err());
}

#[test]
fn t11_t12_images_and_documents() {
    let (got, lost) = talk(
        Chat,
        &json!([{"role": "user", "content": [
            {"type": "text", "text": "see"},
            {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}},
        ]}]),
    )
    .unwrap();
    let want = json!([
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": "https://x/y.png", "detail": "low"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
        {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,AAAA"},
    ]);
    assert_eq!((&got["input"][0]["content"], lost.len()), (&want, 0));
    let source = json!({"type": "url", "url": "https://x/a.pdf"});
    let (got, _) =
        talk(Messages, &json!([{"role": "user", "content": [{"type": "document", "source": source}]}])).unwrap();
    assert_eq!(got["input"][0]["content"], json!([{"type": "input_file", "file_url": "https://x/a.pdf"}]));
}

#[test]
fn t19_t20_t21_t22_tool_turns_of_chat() {
    let called = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}});
    let (got, lost) = talk(
        Chat,
        &json!([
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": "Looking.", "tool_calls": [called("a", "{\"x\":1}"), called("b", "")]},
            {"role": "tool", "tool_call_id": "b", "content": "two"},
            {"role": "tool", "tool_call_id": "a", "content": ""},
            {"role": "assistant", "content": null, "refusal": "no"},
            {"role": "user", "content": "and?"},
        ]),
    )
    .unwrap();
    let want = json!([
        message("user", json!("go")),
        said("Looking."),
        call("a", "{\"x\":1}"),
        call("b", "{}"),
        output("b", json!("two")),
        output("a", json!("")),
        message("assistant", json!([{"type": "refusal", "refusal": "no"}])),
        message("user", json!("and?")),
    ]);
    assert_eq!((&got["input"], lost.len()), (&want, 0));
}

#[test]
fn t11_t21_tool_turns_of_messages() {
    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}});
    let used = |id: &str| json!({"type": "tool_use", "id": id, "name": "f", "input": {}});
    let (got, lost) = talk(
        Messages,
        &json!([
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [{"type": "text", "text": "Looking."}, used("a"), used("b")]},
            {"role": "user", "content": [
                {"type": "text", "text": "here"},
                {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "see"}, image]},
                {"type": "tool_result", "tool_use_id": "b", "content": "x", "is_error": true, "cache_control": {"type": "ephemeral"}},
            ]},
        ]),
    )
    .unwrap();
    let shot = json!([{"type": "input_text", "text": "see"}, {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"}]);
    let want = json!([
        message("user", json!("go")),
        said("Looking."),
        call("a", "{}"),
        call("b", "{}"),
        output("a", shot),
        output("b", json!("x")),
        message("user", json!("here")),
    ]);
    assert_eq!(got["input"], want);
    assert_eq!(lost, ["cache_control", "messages[2].content[2].is_error"], "T41 too");
}

#[test]
fn t09_a_prefill_is_history_here() {
    let last = json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Well,"}]);
    let (got, lost) = talk(Messages, &last).unwrap();
    assert_eq!((&got["input"][1], lost), (&said("Well,"), vec!["messages[1]".to_owned()]));
}

#[test]
fn t14_t16_t17_t18_tools() {
    let closed = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let long = "x".repeat(80);
    let tools = json!([
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": closed, "strict": true}},
        {"type": "function", "function": {"name": long}},
    ]);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": tools,
        "tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": false});
    let (got, lost) = sent_to(Chat, Responses, THINKER, &body).unwrap();
    assert_eq!(
        got["tools"][0],
        json!({"type": "function", "name": "f", "parameters": closed, "strict": true, "description": "d"})
    );
    assert_eq!(got["tools"][1]["strict"], false, "unset is off there, and would be on here");
    assert_eq!(got["tools"][1]["name"].as_str().unwrap().len(), 64);
    assert_eq!(
        (&got["tool_choice"], &got["parallel_tool_calls"]),
        (&json!({"type": "function", "name": "f"}), &json!(false))
    );
    assert_eq!(lost, [""; 0]);
    let tools = json!([{"name": "f", "input_schema": {"type": "object"}}, {"type": "web_search_20250305", "name": "web_search"}]);
    let want = json!([{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": false}]);
    gives(
        Messages,
        THINKER,
        &[
            (
                json!({"tools": tools, "tool_choice": {"type": "any", "disable_parallel_tool_use": true}}),
                json!({"tools": want, "tool_choice": "required", "parallel_tool_calls": false}),
                &["tools[1]"],
            ),
            (
                json!({"tools": tools, "tool_choice": {"type": "tool", "name": "web_search"}}),
                json!({"tools": want}),
                &["tools[1]", "tool_choice"],
            ),
            (json!({"tools": [tools[1]], "tool_choice": {"type": "any"}}), json!({}), &["tools[0]", "tool_choice"]),
        ],
    );
}

#[test]
fn t44_t45_thoughts_go_back_to_whom_they_came_from() {
    let thinking = |signature: &str| json!({"type": "thinking", "thinking": "hm", "signature": signature});
    let (got, lost) = talk(
        Messages,
        &json!([
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [
                thinking("llmroute:p:e:rs_1:ENC"),
                {"type": "redacted_thinking", "data": "llmroute:p:e:rs_2:ENC2"},
                thinking("EqQBCg"),
                thinking("llmroute:p:n:"),
                thinking("llmroute:q:e:rs_1:ENC"),
                thinking("llmroute:p:s:SIG"),
                {"type": "text", "text": "a"},
            ]},
            {"role": "user", "content": "on"},
        ]),
    )
    .unwrap();
    let want = json!([
        message("user", json!("go")),
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "ENC"},
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "ENC2"},
        said("a"),
        message("user", json!("on")),
    ]);
    assert_eq!(got["input"], want);
    let lost_at = [2, 3, 4, 5].map(|i| format!("messages[1].content[{i}]"));
    assert_eq!(lost, lost_at);
}
