//! Responses to the others: tools and their turns.

use dialect::Dialect::{Chat, Messages, Responses};
use serde_json::{Value, json};

use super::{gives, says, talk, text};
use crate::rows::{CLAUDE, GPT, sent_to};

fn tool(name: &str) -> Value {
    json!({"type": "function", "name": name})
}

#[test]
fn t14_schemas_and_strictness() {
    let closed = json!({"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": false});
    let tools = json!([
        {"type": "function", "name": "f", "description": "d", "parameters": closed, "strict": true},
        {"type": "function", "name": "g", "parameters": null, "strict": false, "defer_loading": true},
        {"type": "function", "name": "h", "parameters": closed},
    ]);
    let empty = json!({"type": "object", "properties": {}});
    let wire = |name: &str, schema: &Value| json!({"name": name, "input_schema": schema});
    let mut first = wire("f", &closed);
    first["description"] = "d".into();
    gives(
        Messages,
        CLAUDE,
        &[(
            json!({"tools": tools}),
            json!({"tools": [first, wire("g", &empty), wire("h", &closed)]}),
            &["tools[1].defer_loading", "tools[0].strict", "tools[2].strict"],
        )],
    );
    let (got, _) = sent_to(Responses, Chat, GPT, &json!({"model": "m", "input": "hi", "tools": tools})).unwrap();
    assert_eq!(
        got["tools"],
        json!([
            {"type": "function", "function": {"name": "f", "parameters": closed, "description": "d", "strict": true}},
            {"type": "function", "function": {"name": "g", "parameters": empty}},
            // Unset means strict, where the schema allows it.
            {"type": "function", "function": {"name": "h", "parameters": closed, "strict": true}},
        ])
    );
}

#[test]
fn t15_tools_that_the_provider_runs_and_tools_for_free_text() {
    let tools = json!([{"type": "web_search"}, {"type": "mcp", "server_label": "x"}, {"type": "namespace", "name": "n", "tools": []}, tool("f"),
        {"type": "custom", "name": "patch", "description": "d", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}}]);
    let body = json!({"model": "m", "store": false, "input": "hi", "tools": tools, "tool_choice": {"type": "custom", "name": "patch"}});
    let (got, lost) = sent_to(Responses, Messages, CLAUDE, &body).unwrap();
    assert_eq!(lost, ["tools[0]", "tools[1]", "tools[2]", "tools[4].format"]);
    let input = json!({"type": "string", "description": "The input of the tool, as plain text."});
    assert_eq!(
        got["tools"][1],
        json!({"name": "patch", "description": "d", "input_schema":
            {"type": "object", "properties": {"input": input}, "required": ["input"], "additionalProperties": false}})
    );
    assert_eq!(got["tool_choice"], json!({"type": "tool", "name": "patch"}));
    let body = json!({"model": "m", "store": false, "input": "hi", "tools": [{"type": "web_search"}], "tool_choice": {"type": "web_search"}});
    for (provider, model) in [(Messages, CLAUDE), (Chat, GPT)] {
        let (got, lost) = sent_to(Responses, provider, model, &body).unwrap();
        assert_eq!((got.get("tools"), lost), (None, vec!["tools[0]".to_owned(), "tool_choice".to_owned()]));
    }
    let late = json!([{"role": "user", "content": "hi"}, {"type": "additional_tools", "role": "developer", "tools": [tool("late")]}]);
    let (got, lost) =
        sent_to(Responses, Messages, CLAUDE, &json!({"model": "m", "store": false, "input": late})).unwrap();
    assert_eq!((&got["tools"][0]["name"], lost.len()), (&json!("late"), 0));
}

#[test]
fn t16_long_names_are_shortened_everywhere_alike() {
    let long = format!("mcp__{}", "x".repeat(80));
    let body = json!({"model": "m", "store": false, "tools": [tool(&long)], "tool_choice": {"type": "function", "name": long}, "input": [
        {"role": "user", "content": "go"},
        {"type": "function_call", "call_id": "c", "name": long, "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": ""},
    ]});
    let (got, _) = sent_to(Responses, Chat, GPT, &body).unwrap();
    let wire = &got["tools"][0]["function"]["name"];
    assert_eq!(wire.as_str().unwrap().len(), 64);
    assert_eq!(got["messages"][1]["tool_calls"][0]["function"]["name"], *wire);
    assert_eq!(got["tool_choice"]["function"]["name"], *wire);
}

#[test]
fn t17_t18_choice_and_parallel_calls() {
    let rows = [
        (json!("auto"), json!({"type": "auto"}), json!("auto")),
        (json!("required"), json!({"type": "any"}), json!("required")),
        (json!("none"), json!({"type": "none"}), json!("none")),
        (
            json!({"type": "function", "name": "f"}),
            json!({"type": "tool", "name": "f"}),
            json!({"type": "function", "function": {"name": "f"}}),
        ),
        (
            json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]}),
            json!({"type": "any"}),
            json!("required"),
        ),
        (
            json!({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}),
            json!({"type": "auto"}),
            json!("auto"),
        ),
    ];
    for (choice, messages, chat) in rows {
        let tools = if choice["type"] == "allowed_tools" { json!([tool("f"), tool("g")]) } else { json!([tool("f")]) };
        let body = json!({"model": "m", "store": false, "input": "hi", "tools": tools, "tool_choice": choice});
        let (got, lost) = sent_to(Responses, Messages, CLAUDE, &body).unwrap();
        let names: Vec<&Value> = got["tools"].as_array().unwrap().iter().map(|t| &t["name"]).collect();
        assert_eq!((&got["tool_choice"], names, lost.len()), (&messages, vec![&json!("f")], 0), "{choice}");
        let (got, lost) = sent_to(Responses, Chat, GPT, &body).unwrap();
        assert_eq!((&got["tool_choice"], lost.len()), (&chat, 0), "{choice}");
    }
    let one = json!({"model": "m", "input": "hi", "tools": [tool("f")], "parallel_tool_calls": false});
    let (got, _) = sent_to(Responses, Messages, CLAUDE, &one).unwrap();
    assert_eq!(got["tool_choice"], json!({"type": "auto", "disable_parallel_tool_use": true}));
    assert_eq!(sent_to(Responses, Chat, GPT, &one).unwrap().0["parallel_tool_calls"], false);
}

#[test]
fn t19_t20_t21_t22_tool_turns() {
    let called = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let used = |id: &str, name: &str, input: Value| json!({"type": "tool_use", "id": id, "name": name, "input": input});
    let result = |id: &str, content: Value| json!({"type": "tool_result", "tool_use_id": id, "content": content});
    says(
        &json!([
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": "Looking."},
            {"type": "function_call", "id": "fc_1", "call_id": "call_a", "name": "f", "arguments": "{\"x\":1}", "status": "completed"},
            {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_b", "name": "patch", "input": "*** x"},
            {"type": "custom_tool_call_output", "call_id": "call_b", "output": "two"},
            {"type": "function_call_output", "id": "fco_1", "call_id": "call_a", "output": "one", "status": "completed"},
            {"role": "user", "content": "and?"},
            {"type": "function_call", "call_id": "call_c", "name": "f", "arguments": "not json"},
            {"type": "function_call", "call_id": "call_d", "name": "f", "arguments": "", "caller": {"type": "direct"}},
            {"type": "function_call_output", "call_id": "call_d", "output": []},
            {"type": "function_call_output", "call_id": "call_c", "output": [{"type": "input_text", "text": "y"}]},
        ]),
        &json!([
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": "Looking.", "tool_calls": [called("call_a", "f", "{\"x\":1}"), called("call_b", "patch", "{\"input\":\"*** x\"}")]},
            {"role": "tool", "tool_call_id": "call_b", "content": "two"},
            {"role": "tool", "tool_call_id": "call_a", "content": "one"},
            {"role": "user", "content": "and?"},
            {"role": "assistant", "content": null, "tool_calls": [called("call_c", "f", "{\"arguments\":\"not json\"}"), called("call_d", "f", "{}")]},
            {"role": "tool", "tool_call_id": "call_d", "content": ""},
            {"role": "tool", "tool_call_id": "call_c", "content": "y"},
        ]),
        &json!([
            {"role": "user", "content": [text("go")]},
            {"role": "assistant", "content": [text("Looking."), used("call_a", "f", json!({"x": 1})), used("call_b", "patch", json!({"input": "*** x"}))]},
            {"role": "user", "content": [result("call_b", json!([text("two")])), result("call_a", json!([text("one")])), text("and?")]},
            {"role": "assistant", "content": [used("call_c", "f", json!({"arguments": "not json"})), used("call_d", "f", json!({}))]},
            {"role": "user", "content": [result("call_d", json!([])), result("call_c", json!([text("y")]))]},
        ]),
        &[],
    );
}

#[test]
fn t21_orphans_are_refused() {
    let go = json!({"role": "user", "content": "go"});
    let call = json!({"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"});
    let output = |id: &str| json!({"type": "function_call_output", "call_id": id, "output": "x"});
    let rows = [
        (json!([go, output("a")]), "input[1]: answers no tool call of the turn before it; send the call's own id"),
        (json!([go, call]), "input[1]: is answered by no tool result in the turn after it; send one for each call"),
        (
            json!([go, call, {"type": "function_call_output", "output": "x"}]),
            "input[2].call_id: is missing; send the call_id of the call that it answers",
        ),
        (json!([go, {"type": "function_call", "name": "f"}]), "input[1]: a tool call needs a call_id and a name"),
    ];
    for (input, want) in rows {
        for provider in [Chat, Messages] {
            assert_eq!(talk(provider, &input).unwrap_err(), want);
        }
    }
}
