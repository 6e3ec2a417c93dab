//! Chat Completions to Messages: tools, calls and results.

use dialect::Dialect::Chat;
use serde_json::{Value, json};

use super::{gives, talk, text};
use crate::{CLAUDE, members, sent};

#[test]
fn t14_tool_schemas() {
    gives(
        CLAUDE,
        &[(
            json!({"tools": [
                {"type": "function", "function": {"name": "f", "description": "d", "strict": true, "parameters": {"type": "object", "properties": {"a": {}}}}},
                {"type": "function", "function": {"name": "g"}},
                {"type": "function", "function": {"name": "h", "strict": false, "parameters": {"properties": {}}}},
            ]}),
            json!({"tools": [
                {"name": "f", "input_schema": {"type": "object", "properties": {"a": {}}}, "description": "d"},
                {"name": "g", "input_schema": {"type": "object", "properties": {}}},
                {"name": "h", "input_schema": {"properties": {}, "type": "object"}},
            ]}),
            &["tools[0].function.strict"],
        )],
    );
}

#[test]
fn t15_tools_of_other_kinds_are_refused() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": [{"type": "custom", "custom": {"name": "f"}}]});
    assert_eq!(sent(Chat, CLAUDE, &body).unwrap_err(), "tools[0]: only function tools are translated");
    gives(CLAUDE, &[(json!({"web_search_options": {}}), json!({}), &["web_search_options"])]);
    for (name, value) in [("functions", json!([])), ("function_call", json!("auto"))] {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        body[name] = value;
        assert_eq!(
            sent(Chat, CLAUDE, &body).unwrap_err(),
            format!("{name}: legacy functions are not translated; use tools")
        );
    }
}

#[test]
fn t17_t18_tool_choice_and_parallel_calls() {
    let choice = |extra: Value| {
        let mut all = json!({"tools": [{"type": "function", "function": {"name": "f"}}]});
        all.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        members(Chat, CLAUDE, &all).0["tool_choice"].clone()
    };
    let rows = [
        (json!({}), Value::Null),
        (json!({"tool_choice": "auto"}), json!({"type": "auto"})),
        (json!({"tool_choice": "required"}), json!({"type": "any"})),
        (json!({"tool_choice": "none"}), json!({"type": "none"})),
        (json!({"tool_choice": {"type": "function", "function": {"name": "f"}}}), json!({"type": "tool", "name": "f"})),
        (json!({"parallel_tool_calls": false}), json!({"type": "auto", "disable_parallel_tool_use": true})),
        (json!({"parallel_tool_calls": true}), Value::Null),
        (
            json!({"parallel_tool_calls": false, "tool_choice": "required"}),
            json!({"type": "any", "disable_parallel_tool_use": true}),
        ),
        (json!({"parallel_tool_calls": false, "tool_choice": "none"}), json!({"type": "none"})),
    ];
    for (extra, want) in rows {
        assert_eq!(choice(extra.clone()), want, "{extra}");
    }
    gives(
        CLAUDE,
        &[
            (json!({"tool_choice": "required"}), json!({}), &["tool_choice"]),
            (json!({"tool_choice": "none"}), json!({}), &[]),
        ],
    );
    let allowed = json!({"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}});
    assert_eq!(members(Chat, CLAUDE, &allowed).1, ["tool_choice"]);
    let tools = json!(["f", "g"].map(|name| json!({"type": "function", "function": {"name": name}})));
    let only = json!({"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]});
    let (got, lost) = members(
        Chat,
        CLAUDE,
        &json!({"tools": tools, "tool_choice": {"type": "allowed_tools", "allowed_tools": only}}),
    );
    assert_eq!((&got["tools"].as_array().unwrap().len(), &got["tools"][0]["name"]), (&1, &json!("g")));
    assert_eq!((&got["tool_choice"], lost), (&json!({"type": "any"}), vec![]));
}

fn call(id: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}})
}

#[test]
fn t19_t20_t21_t22_tool_turns() {
    let (_, messages, lost) = talk(
        CLAUDE,
        &json!([
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": "Looking.", "tool_calls": [call("call_a", "{\"x\":1}"), call("functions.f:1", "")]},
            {"role": "tool", "tool_call_id": "functions.f:1", "content": "two"},
            {"role": "tool", "tool_call_id": "call_a", "content": [{"type": "text", "text": "one"}]},
            {"role": "user", "content": "and?"},
            {"role": "assistant", "content": null, "tool_calls": [call("c3", "not json"), call("c4", "[1]")]},
            {"role": "tool", "tool_call_id": "c3", "content": ""},
            {"role": "tool", "tool_call_id": "c4", "content": "x"},
        ]),
    )
    .unwrap();
    let id = messages[1]["content"][2]["id"].as_str().unwrap();
    assert!(id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "what Messages refuses in an id is replaced");
    assert_eq!(
        messages,
        json!([
            {"role": "user", "content": [text("go")]},
            {"role": "assistant", "content": [
                text("Looking."),
                {"type": "tool_use", "id": "call_a", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": id, "name": "f", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": id, "content": [text("two")]},
                {"type": "tool_result", "tool_use_id": "call_a", "content": [text("one")]},
                text("and?"),
            ]},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "c3", "name": "f", "input": {"arguments": "not json"}},
                {"type": "tool_use", "id": "c4", "name": "f", "input": {"arguments": [1]}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c3", "content": []},
                {"type": "tool_result", "tool_use_id": "c4", "content": [text("x")]},
            ]},
        ])
    );
    assert!(lost.is_empty());
}

#[test]
fn t21_links_that_break_are_refused_by_name() {
    let user = json!({"role": "user", "content": "go"});
    let asks = json!({"role": "assistant", "tool_calls": [call("a", "{}")]});
    let answers = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "x"});
    let orphan = "answers no tool call of the turn before it; send the call's own id";
    let open = "is answered by no tool result in the turn after it; send one for each call";
    let rows = [
        (json!([user, asks, answers("b")]), format!("messages[2]: {orphan}")),
        (json!([user, answers("a")]), format!("messages[1]: {orphan}")),
        (json!([user, asks, answers("a"), answers("a")]), format!("messages[3]: {orphan}")),
        (json!([user, asks]), format!("messages[1].tool_calls[0]: {open}")),
        (
            json!([user, asks, user, {"role": "assistant", "content": "x"}, answers("a")]),
            format!("messages[1].tool_calls[0]: {open}"),
        ),
        (
            json!([user, {"role": "tool", "content": "x"}]),
            "messages[1].tool_call_id: is missing; send the id of the call that it answers".to_owned(),
        ),
        (
            json!([user, {"role": "assistant", "tool_calls": [call("a", ""), call("a", "")]}, answers("a")]),
            "messages[1].tool_calls[1]: has the id of another tool call; give each its own".to_owned(),
        ),
        (
            json!([user, {"role": "function", "name": "f", "content": "x"}]),
            "messages[1].role: is not translated; use system, developer, user, assistant or tool".to_owned(),
        ),
    ];
    for (messages, want) in rows {
        assert_eq!(talk(CLAUDE, &messages).unwrap_err(), want);
    }
}

#[test]
fn t21_calls_in_history_keep_a_definition_when_the_caller_offers_none() {
    let body = json!({"model": "m", "messages": [
        {"role": "user", "content": "go"},
        {"role": "assistant", "tool_calls": [call("a", "{}"), call("b", "{}")]},
        {"role": "tool", "tool_call_id": "a", "content": "x"},
        {"role": "tool", "tool_call_id": "b", "content": "y"},
    ]});
    let (got, lost) = sent(Chat, "claude-opus-5-5", &body).unwrap();
    assert_eq!(got["tools"], json!([{"name": "f", "input_schema": {"type": "object", "properties": {}}}]));
    assert_eq!((&got["tool_choice"], lost), (&json!({"type": "none"}), vec![]), "and none is called again");
}

#[test]
fn t16_names_that_messages_refuses_are_one_plain_name_everywhere() {
    let body = json!({
        "model": "m",
        "tools": [{"type": "function", "function": {"name": "files.read"}}],
        "tool_choice": {"type": "function", "function": {"name": "files.read"}},
        "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "files.read", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "a", "content": "x"},
        ],
    });
    let (got, lost) = sent(Chat, CLAUDE, &body).unwrap();
    let wire = got["tools"][0]["name"].as_str().unwrap();
    assert!(wire.starts_with("files_read_") && lost.is_empty(), "{wire}");
    assert_eq!((&got["tool_choice"]["name"], &got["messages"][1]["content"][0]["name"]), (&json!(wire), &json!(wire)));
}

#[test]
fn t17_t45_thinking_gives_way_where_it_would_be_refused() {
    let forced = json!({"reasoning_effort": "low", "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "required"});
    let (got, lost) = members(Chat, CLAUDE, &forced);
    assert_eq!((got.get("thinking"), lost), (None, vec!["reasoning_effort".to_owned()]));
    let body = json!({"model": "m", "reasoning_effort": "low", "messages": [
        {"role": "user", "content": "go"},
        {"role": "assistant", "reasoning_content": "hm", "tool_calls": [call("a", "{}")]},
        {"role": "tool", "tool_call_id": "a", "content": "x"},
    ]});
    let (got, lost) = sent(Chat, CLAUDE, &body).unwrap();
    assert_eq!(got.get("thinking"), None, "a tool loop without its thinking");
    assert_eq!(lost, ["messages[1].reasoning_content", "reasoning_effort"]);
}
