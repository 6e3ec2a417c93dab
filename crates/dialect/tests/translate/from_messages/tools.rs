//! Messages to Chat Completions: tools, calls and results.

use dialect::Dialect::Messages;
use serde_json::{Value, json};

use super::{gives, talk, tool_use};
use crate::{GPT, members, sent};

#[test]
fn t14_t15_tools() {
    gives(
        GPT,
        &[(
            json!({"tools": [
                {"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {"a": {}}}},
                {"type": "custom", "name": "g", "strict": true, "defer_loading": false},
                {"type": "web_search_20250305", "name": "web_search"},
            ]}),
            json!({"tools": [
                {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {}}}, "description": "d"}},
                {"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}},
            ]}),
            &["tools[1].strict", "tools[2]"],
        )],
    );
    let only_theirs = json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}], "tool_choice": {"type": "tool", "name": "web_search"}});
    gives(GPT, &[(only_theirs, json!({}), &["tools[0]", "tool_choice"])]);
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}], "tools": [{}]});
    assert_eq!(sent(Messages, GPT, &body).unwrap_err(), "tools[0].name: is missing");
}

#[test]
fn t16_long_names_are_one_name_everywhere() {
    let long = format!("mcp__{}", "x".repeat(80));
    let body = json!({
        "model": "m", "max_tokens": 9,
        "tools": [{"name": long, "input_schema": {"type": "object"}}, {"name": "short", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": long},
        "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": long, "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]},
        ],
    });
    let (got, lost) = sent(Messages, GPT, &body).unwrap();
    let wire = got["tools"][0]["function"]["name"].as_str().unwrap();
    assert!(wire.len() == 64 && wire.starts_with("mcp__xxx"), "{wire}");
    assert_eq!(got["tools"][1]["function"]["name"], "short");
    assert_eq!(got["tool_choice"]["function"]["name"], wire);
    assert_eq!(got["messages"][1]["tool_calls"][0]["function"]["name"], wire);
    assert!(lost.is_empty(), "the caller never sees the short form");
}

#[test]
fn t17_t18_tool_choice_and_parallel_calls() {
    let choice = |choice: Value| {
        let extra = json!({"tools": [{"name": "f"}], "tool_choice": choice});
        let (got, lost) = members(Messages, GPT, &extra);
        assert!(lost.is_empty(), "{lost:?}");
        (got["tool_choice"].clone(), got["parallel_tool_calls"].clone())
    };
    let rows = [
        (json!({"type": "auto"}), json!("auto"), Value::Null),
        (json!({"type": "any"}), json!("required"), Value::Null),
        (json!({"type": "none"}), json!("none"), Value::Null),
        (json!({"type": "tool", "name": "f"}), json!({"type": "function", "function": {"name": "f"}}), Value::Null),
        (json!({"type": "auto", "disable_parallel_tool_use": true}), json!("auto"), json!(false)),
        (json!({"type": "any", "disable_parallel_tool_use": false}), json!("required"), Value::Null),
    ];
    for (given, want, parallel) in rows {
        assert_eq!(choice(given.clone()), (want, parallel), "{given}");
    }
    gives(
        GPT,
        &[
            (json!({"tool_choice": {"type": "any"}}), json!({}), &["tool_choice"]),
            (json!({"tool_choice": {"type": "none"}}), json!({}), &[]),
            (json!({"tool_choice": {"type": "novelty"}}), json!({}), &["tool_choice"]),
        ],
    );
}

#[test]
fn t11_t19_t20_t21_t22_tool_turns() {
    let long = "toolu_".to_owned() + &"9".repeat(50);
    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}});
    let (messages, lost) = talk(
        &Value::Null,
        &json!([
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [{"type": "text", "text": "Looking."}, tool_use("toolu_a", json!({"x": 1})), tool_use(&long, Value::Null)]},
            {"role": "user", "content": [
                {"type": "text", "text": "and?"},
                {"type": "tool_result", "tool_use_id": long, "content": [{"type": "text", "text": "one"}, image, {"type": "text", "text": "two"}]},
                {"type": "tool_result", "tool_use_id": "toolu_a", "is_error": true, "content": "no"},
            ]},
            {"role": "assistant", "content": [tool_use("c", json!("words"))]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c"}]},
        ]),
    )
    .unwrap();
    let id = messages[1]["tool_calls"][1]["id"].as_str().unwrap();
    assert_eq!((id.len(), &id[..10]), (40, "toolu_9999"), "what Chat refuses in length is cut to a form of its own");
    let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}});
    assert_eq!(
        messages,
        json!([
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": "Looking.", "tool_calls": [call("toolu_a", "{\"x\":1}"), call(id, "{}")]},
            {"role": "tool", "tool_call_id": id, "content": "one\ntwo"},
            {"role": "tool", "tool_call_id": "toolu_a", "content": "no"},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}, {"type": "text", "text": "and?"}]},
            {"role": "assistant", "content": null, "tool_calls": [call("c", "{\"arguments\":\"words\"}")]},
            {"role": "tool", "tool_call_id": "c", "content": ""},
        ])
    );
    assert_eq!(lost, ["messages[2].content[2].is_error"]);
}

#[test]
fn t21_links_that_break_are_refused_by_name() {
    let user = json!({"role": "user", "content": "go"});
    let asks = json!({"role": "assistant", "content": [tool_use("a", json!({}))]});
    let answers =
        |id: &str| json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": "x"}]});
    let orphan = "answers no tool call of the turn before it; send the call's own id";
    let open = "is answered by no tool result in the turn after it; send one for each call";
    let rows = [
        (json!([user, asks, answers("b")]), format!("messages[2].content[0]: {orphan}")),
        (json!([user, answers("a")]), format!("messages[1].content[0]: {orphan}")),
        (json!([user, asks]), format!("messages[1].content[0]: {open}")),
        (json!([user, asks, user]), format!("messages[1].content[0]: {open}")),
        (
            json!([user, {"role": "user", "content": [tool_use("a", json!({}))]}]),
            "messages[1].content[0]: a tool call belongs into an assistant turn".to_owned(),
        ),
        (
            json!([{"role": "user", "content": [{"type": "tool_result"}]}]),
            "messages[0].content[0].tool_use_id: is missing; send the id of the call that it answers".to_owned(),
        ),
        (
            json!([user, {"role": "assistant", "content": [{"type": "tool_use", "id": "a"}]}]),
            "messages[1].content[0]: a tool_use needs an id and a name".to_owned(),
        ),
        (
            json!([user, asks, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [tool_use("b", json!({}))]}]}]),
            "messages[2].content[0].content[0]: a tool call belongs into an assistant turn".to_owned(),
        ),
    ];
    for (messages, want) in rows {
        assert_eq!(talk(&Value::Null, &messages).unwrap_err(), want);
    }
}
