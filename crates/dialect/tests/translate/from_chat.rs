//! Requests: Chat Completions to Messages.

use dialect::Dialect::Chat;
use serde_json::{Value, json};

use crate::{CLAUDE, members, sent};

/// Messages in, and the `system` and `messages` that come out.
fn talk(model: &str, messages: &Value) -> Result<(Value, Value, Vec<String>), String> {
    let (mut got, dropped) = sent(Chat, model, &json!({"model": "m", "messages": messages}))?;
    Ok((got["system"].take(), got["messages"].take(), dropped))
}

#[track_caller]
fn gives(model: &str, rows: &[(Value, Value, &[&str])]) {
    for (extra, want, lost) in rows {
        assert_eq!(
            members(Chat, model, extra),
            (want.clone(), lost.iter().map(|s| (*s).to_owned()).collect()),
            "{extra}"
        );
    }
}

fn text(t: &str) -> Value {
    json!({"type": "text", "text": t})
}

#[test]
fn t01_a_limit_is_always_sent() {
    let (plain, lost) =
        sent(Chat, CLAUDE, &json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]})).unwrap();
    let want = json!({"model": CLAUDE, "max_tokens": 4096, "messages": [{"role": "user", "content": [text("hi")]}]});
    assert_eq!((plain, lost), (want, vec![]));
    gives(
        CLAUDE,
        &[
            (json!({"max_tokens": 7}), json!({"max_tokens": 7}), &[]),
            (json!({"max_completion_tokens": 8, "max_tokens": 7}), json!({"max_tokens": 8}), &[]),
            (json!({"max_tokens": 7, "max_completion_tokens": 8}), json!({"max_tokens": 8}), &[]),
            (json!({"max_tokens": null, "max_completion_tokens": 1e1}), json!({"max_tokens": 10}), &[]),
        ],
    );
    let body = br#"{"model":"m","max_tokens":900,"messages":[{"role":"user","content":"hi"}]}"#;
    let small = dialect::TargetModel { most_tokens: Some(100), default_max_tokens: Some(50), ..crate::target(CLAUDE) };
    let limit = |body: &[u8]| {
        let done = dialect::translate_request(Chat, dialect::Dialect::Messages, body, &small).unwrap();
        serde_json::from_slice::<Value>(&done.body).unwrap()["max_tokens"].clone()
    };
    assert_eq!(limit(body), 100, "clamped to the model");
    assert_eq!(limit(br#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#), 50, "the policy's");
}

#[test]
fn t02_temperature_ends_at_one() {
    gives(
        CLAUDE,
        &[
            (json!({"temperature": 0.3}), json!({"temperature": 0.3}), &[]),
            (json!({"temperature": 1.7}), json!({"temperature": 1.0}), &["temperature"]),
            (json!({"temperature": 0.5, "top_p": 0.5}), json!({"temperature": 0.5}), &["top_p"]),
            (json!({"top_p": 0.5}), json!({"top_p": 0.5}), &[]),
        ],
    );
    gives(
        "claude-opus-4-7",
        &[
            (json!({"temperature": 0.3, "top_p": 0.9}), json!({}), &["temperature", "top_p"]),
            (json!({"temperature": 1, "top_p": 1.0}), json!({}), &[]),
        ],
    );
    gives("mock", &[(json!({"temperature": 0.5, "top_p": 0.5}), json!({"temperature": 0.5, "top_p": 0.5}), &[])]);
}

#[test]
fn t03_what_only_chat_has_is_reported_unless_it_says_nothing() {
    gives(
        CLAUDE,
        &[
            (
                json!({"frequency_penalty": 0.5, "seed": 7, "logit_bias": {"1": 2}}),
                json!({}),
                &["frequency_penalty", "seed", "logit_bias"],
            ),
            (json!({"n": 2, "logprobs": true, "top_logprobs": 3}), json!({}), &["n", "logprobs", "top_logprobs"]),
            (json!({"n": 1, "logprobs": false, "presence_penalty": 0, "seed": null, "logit_bias": {}}), json!({}), &[]),
            (json!({"novelty": 1}), json!({}), &["novelty"]),
        ],
    );
}

#[test]
fn t04_stop() {
    gives(
        CLAUDE,
        &[
            (json!({"stop": "END"}), json!({"stop_sequences": ["END"]}), &[]),
            (json!({"stop": ["a", "b"]}), json!({"stop_sequences": ["a", "b"]}), &[]),
            (json!({"stop": ["\n\n", "b"]}), json!({"stop_sequences": ["b"]}), &["stop"]),
            (json!({"stop": " "}), json!({}), &["stop"]),
        ],
    );
}

#[test]
fn t06_what_the_model_refuses_is_left_out_and_said() {
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    for choice in [json!("required"), json!({"type": "function", "function": {"name": "f"}})] {
        let (got, lost) =
            members(Chat, "claude-sonnet-5-5", &json!({"tools": tools, "tool_choice": choice, "temperature": 0.1}));
        assert_eq!((got.get("tool_choice"), got.get("temperature")), (None, None));
        assert_eq!(lost, ["tool_choice", "temperature"]);
    }
    let last = json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Well,"}]);
    let refused = talk("claude-opus-5-5", &last).unwrap_err();
    assert_eq!(refused, "messages[1]: the target does not continue a last assistant turn; end with a user turn");
}

#[test]
fn t07_instructions_keep_their_order() {
    let (system, messages, lost) = talk(
        CLAUDE,
        &json!([
            {"role": "system", "content": "one"},
            {"role": "developer", "content": [{"type": "text", "text": "two"}]},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "hello"},
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "bye"},
        ]),
    )
    .unwrap();
    assert_eq!(system, json!([text("one"), text("two")]));
    assert_eq!(
        messages,
        json!([
            {"role": "user", "content": [text("hi")]},
            {"role": "assistant", "content": [text("hello")]},
            {"role": "user", "content": [text("be brief"), text("bye")]},
        ])
    );
    assert_eq!(lost, ["messages[4].role"]);
    let (_, _, lost) = talk(
        CLAUDE,
        &json!([{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}, {"role": "user", "content": "hi"}]),
    )
    .unwrap();
    assert_eq!(lost, ["messages[0].content[0]"], "never silently");
    let (system, messages, lost) = talk(CLAUDE, &json!([{"role": "system", "content": "Write a poem."}])).unwrap();
    assert_eq!((system, messages), (Value::Null, json!([{"role": "user", "content": [text("Write a poem.")]}])));
    assert_eq!(lost, ["messages[0].role"]);
}

#[test]
fn t08_turns_alternate_begin_with_the_user_and_hold_no_blank_text() {
    let (_, messages, lost) = talk(
        CLAUDE,
        &json!([
            {"role": "assistant", "content": "Welcome."},
            {"role": "user", "content": "a"},
            {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": " \n"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": ""},
            {"role": "user", "content": "c"},
        ]),
    )
    .unwrap();
    assert_eq!(
        messages,
        json!([
            {"role": "user", "content": [text("(The assistant begins.)")]},
            {"role": "assistant", "content": [text("Welcome.")]},
            {"role": "user", "content": [text("a"), text("b"), text("c")]},
        ])
    );
    assert_eq!(lost, ["messages[0].role"]);
    let (_, messages, _) =
        talk(CLAUDE, &json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "so \n"}])).unwrap();
    assert_eq!(messages[1]["content"][0]["text"], "so", "no white space at the end of a last assistant turn");
    assert_eq!(talk(CLAUDE, &json!([])).unwrap_err(), "messages: must hold a user turn");
}

#[test]
fn t09_a_prefill_is_told() {
    let (_, messages, lost) =
        talk(CLAUDE, &json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])).unwrap();
    assert_eq!(messages[1], json!({"role": "assistant", "content": [text("b")]}));
    assert_eq!(lost, ["messages[1]"]);
}

#[test]
fn t10_content_as_string_or_parts() {
    let (_, a, _) = talk(CLAUDE, &json!([{"role": "user", "content": "hi"}])).unwrap();
    let (_, b, _) = talk(CLAUDE, &json!([{"role": "user", "content": [{"type": "text", "text": "hi"}]}])).unwrap();
    assert_eq!(a, b);
    let (_, c, lost) = talk(
        CLAUDE,
        &json!([{"role": "user", "content": "x"}, {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}, {"role": "user", "name": "bob", "content": "y"}]),
    )
    .unwrap();
    assert_eq!(c[1], json!({"role": "assistant", "content": [text("no")]}));
    assert_eq!(lost, ["messages[2].name"]);
}

#[test]
fn t11_images() {
    let (_, messages, lost) = talk(
        CLAUDE,
        &json!([{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "image_url", "image_url": {"url": "DATA:IMAGE/JPEG;name=a;base64,BBBB", "detail": "high"}},
            {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "auto"}},
            {"type": "text", "text": "what?"},
        ]}]),
    )
    .unwrap();
    assert_eq!(
        messages[0]["content"],
        json!([
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "BBBB"}},
            {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
            text("what?"),
        ])
    );
    assert_eq!(lost, ["messages[0].content[1].image_url.detail"]);
    let url = |url: &str| {
        talk(CLAUDE, &json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]))
    };
    let rows = [
        ("data:image/tiff;base64,AA", "messages[0].content[0]: must be a JPEG, PNG, GIF or WebP image"),
        ("data:image/png,raw", "messages[0].content[0].image_url.url: a data URL must be base64"),
        ("ftp://x", "messages[0].content[0]: must be a data: or http(s) URL"),
    ];
    for (given, want) in rows {
        assert_eq!(url(given).unwrap_err(), want);
    }
}

#[test]
fn t12_files_are_carried_or_refused_never_dropped() {
    let part = |part: Value| talk(CLAUDE, &json!([{"role": "user", "content": [part, {"type": "text", "text": "?"}]}]));
    let (_, messages, lost) =
        part(json!({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}}))
            .unwrap();
    assert_eq!(
        messages[0]["content"][0],
        json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AA"}, "title": "a.pdf"})
    );
    assert!(lost.is_empty());
    let rows = [
        (
            json!({"type": "file", "file": {"file_id": "f"}}),
            "messages[0].content[0].file.file_id: a file held by one provider cannot be sent to another; send file_data",
        ),
        (
            json!({"type": "file", "file": {"file_data": "data:text/csv;base64,AA"}}),
            "messages[0].content[0]: must be a PDF document; send other files as text",
        ),
        (
            json!({"type": "input_audio", "input_audio": {}}),
            "messages[0].content[0]: audio input has no counterpart; send text",
        ),
    ];
    for (given, want) in rows {
        assert_eq!(part(given).unwrap_err(), want);
    }
}

#[test]
fn t13_unknown_parts_are_reported() {
    let (_, messages, lost) =
        talk(CLAUDE, &json!([{"role": "user", "content": [{"type": "hologram"}, {"type": "text", "text": "?"}]}]))
            .unwrap();
    assert_eq!((messages[0]["content"].clone(), lost), (json!([text("?")]), vec!["messages[0].content[0]".to_owned()]));
}

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
fn an_answer_sent_back_whole_loses_nothing() {
    let user = json!({"role": "user", "content": "hi"});
    let whole = json!({"role": "assistant", "content": "Hello.", "refusal": null, "annotations": []});
    let (_, messages, lost) = talk(CLAUDE, &json!([user, whole, user])).unwrap();
    assert_eq!(messages[1], json!({"role": "assistant", "content": [text("Hello.")]}));
    assert!(lost.is_empty(), "{lost:?}");
    let cites = json!({"role": "assistant", "content": "Hello.", "annotations": [{"type": "url_citation"}]});
    let (_, _, lost) = talk(CLAUDE, &json!([user, cites, user])).unwrap();
    assert_eq!(lost, ["messages[1].annotations"]);
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
fn t41_cache_marks_are_kept_up_to_four() {
    let mark = json!({"type": "ephemeral"});
    let marked = |t: &str| json!({"type": "text", "text": t, "cache_control": mark});
    let body = json!({
        "model": "m",
        "tools": [{"type": "function", "function": {"name": "f"}, "cache_control": mark}],
        "messages": [
            {"role": "system", "content": [marked("s")]},
            {"role": "user", "content": [marked("a"), marked("b"), marked("c")]},
        ],
    });
    let (got, lost) = sent(Chat, CLAUDE, &body).unwrap();
    assert_eq!(got["tools"][0]["cache_control"], mark);
    assert_eq!(got["system"], json!([marked("s")]));
    assert_eq!(got["messages"][0]["content"], json!([marked("a"), marked("b"), text("c")]));
    assert_eq!(lost, ["cache_control"]);
}

#[test]
fn t43_effort_by_generation() {
    let rows: &[(&str, Value, Value, &[&str])] = &[
        ("claude-opus-5", json!({"reasoning_effort": "high"}), json!({"output_config": {"effort": "high"}}), &[]),
        ("claude-opus-5", json!({"reasoning_effort": "minimal"}), json!({"output_config": {"effort": "low"}}), &[]),
        ("claude-opus-5", json!({"reasoning_effort": "none"}), json!({}), &[]),
        ("claude-opus-5", json!({"reasoning_effort": "heroic"}), json!({}), &["reasoning_effort"]),
        (
            CLAUDE,
            json!({"reasoning_effort": "low"}),
            json!({"thinking": {"type": "enabled", "budget_tokens": 2048}}),
            &[],
        ),
        (
            CLAUDE,
            json!({"reasoning_effort": "high", "max_tokens": 5000, "temperature": 0.2}),
            json!({"max_tokens": 5000, "thinking": {"type": "enabled", "budget_tokens": 4999}}),
            &["temperature"],
        ),
        (
            CLAUDE,
            json!({"reasoning_effort": "high", "max_tokens": 1024}),
            json!({"max_tokens": 1024}),
            &["reasoning_effort"],
        ),
        ("mock", json!({"reasoning_effort": "high"}), json!({}), &["reasoning_effort"]),
    ];
    for (model, extra, want, lost) in rows {
        gives(model, &[(extra.clone(), want.clone(), lost)]);
    }
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

#[test]
fn t47_structured_output() {
    gives(
        CLAUDE,
        &[
            (
                json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}}),
                json!({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}),
                &[],
            ),
            (json!({"response_format": {"type": "json_object"}}), json!({}), &["response_format"]),
            (json!({"response_format": {"type": "text"}}), json!({}), &[]),
        ],
    );
}

#[test]
fn t55_identity_and_tiers() {
    gives(
        CLAUDE,
        &[
            (json!({"user": "u"}), json!({"metadata": {"user_id": "u"}}), &[]),
            (json!({"user": "u", "safety_identifier": "s"}), json!({"metadata": {"user_id": "s"}}), &[]),
            (json!({"metadata": {"a": "b"}, "store": true}), json!({}), &["metadata", "store"]),
            (json!({"service_tier": "flex"}), json!({}), &["service_tier"]),
            (json!({"service_tier": "auto", "store": false}), json!({}), &[]),
        ],
    );
}

#[test]
fn streams_are_asked_for() {
    gives(
        CLAUDE,
        &[(json!({"stream": true, "stream_options": {"include_usage": true}}), json!({"stream": true}), &[])],
    );
}

#[test]
fn no_refusal_holds_text_of_the_body() {
    let secret = "hunter2";
    let bodies = [
        json!({"messages": [{"role": secret, "content": secret}]}),
        json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": secret}}]}]}),
        json!({"messages": [{"role": "user", "content": secret}, {"role": "tool", "tool_call_id": secret, "content": secret}]}),
        json!({"messages": secret}),
        json!({"messages": [{"role": "user", "content": 7}], "x": secret}),
        json!({"messages": [], "tools": [{"type": secret}]}),
    ];
    for body in bodies {
        let why = sent(Chat, CLAUDE, &body).unwrap_err();
        assert!(!why.contains(secret), "{why}");
    }
}
