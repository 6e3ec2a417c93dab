//! Requests: Messages to Chat Completions.

use dialect::Dialect::Messages;
use serde_json::{Value, json};

use crate::{GPT, members, sent};

const THINKER: &str = "gpt-6-sol";

/// A system and messages in, and the messages that come out.
fn talk(system: &Value, messages: &Value) -> Result<(Value, Vec<String>), String> {
    let mut body = json!({"model": "m", "max_tokens": 9, "messages": messages});
    if !system.is_null() {
        body["system"] = system.clone();
    }
    let (mut got, dropped) = sent(Messages, GPT, &body)?;
    Ok((got["messages"].take(), dropped))
}

/// One user turn in, and what becomes of its content.
fn content(blocks: &Value) -> Result<(Value, Vec<String>), String> {
    let (mut messages, lost) = talk(&Value::Null, &json!([{"role": "user", "content": blocks}]))?;
    Ok((messages[0]["content"].take(), lost))
}

#[track_caller]
fn gives(model: &str, rows: &[(Value, Value, &[&str])]) {
    for (extra, want, lost) in rows {
        let lost = lost.iter().map(|s| (*s).to_owned()).collect();
        assert_eq!(members(Messages, model, extra), (want.clone(), lost), "{extra}");
    }
}

#[test]
fn t01_the_limit_goes_under_the_name_that_the_model_takes() {
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    let (plain, lost) = sent(Messages, GPT, &body).unwrap();
    let want = json!({"model": GPT, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!((plain, lost), (want, vec![]));
    let (plain, _) = sent(Messages, THINKER, &body).unwrap();
    assert_eq!((plain.get("max_tokens"), &plain["max_completion_tokens"]), (None, &json!(9)));
    let small = dialect::TargetModel { most_tokens: Some(5), ..crate::target(GPT) };
    let done = dialect::translate_request(Messages, dialect::Dialect::Chat, body.to_string().as_bytes(), &small);
    assert_eq!(serde_json::from_slice::<Value>(&done.unwrap().body).unwrap()["max_tokens"], 5, "clamped to the model");
}

#[test]
fn t02_t05_t06_sampling_where_the_model_takes_it() {
    gives(
        GPT,
        &[
            (json!({"temperature": 0.3, "top_p": 0.9}), json!({"temperature": 0.3, "top_p": 0.9}), &[]),
            (json!({"temperature": 1}), json!({"temperature": 1.0}), &[]),
        ],
    );
    gives(
        THINKER,
        &[
            (json!({"temperature": 0.3, "top_p": 0.9}), json!({}), &["temperature", "top_p"]),
            (json!({"temperature": 1, "top_p": 1.0}), json!({}), &[]),
        ],
    );
}

#[test]
fn t03_what_only_messages_has_is_reported_unless_it_says_nothing() {
    gives(
        GPT,
        &[
            (json!({"top_k": 40}), json!({}), &["top_k"]),
            (json!({"container": "c", "novelty": 1}), json!({}), &["container", "novelty"]),
            (json!({"container": null, "service_tier": "auto", "speed": "standard"}), json!({}), &[]),
            (json!({"speed": "fast"}), json!({}), &["speed"]),
        ],
    );
}

#[test]
fn t04_stop_sequences() {
    gives(
        GPT,
        &[
            (json!({"stop_sequences": ["END"]}), json!({"stop": ["END"]}), &[]),
            (json!({"stop_sequences": []}), json!({}), &[]),
            (
                json!({"stop_sequences": ["a", "b", "c", "d", "e"]}),
                json!({"stop": ["a", "b", "c", "d"]}),
                &["stop_sequences"],
            ),
        ],
    );
    gives("gpt-5.4", &[(json!({"stop_sequences": ["END"]}), json!({}), &["stop_sequences"])]);
    gives("gpt-5.5", &[(json!({"stop_sequences": ["END"]}), json!({"stop": ["END"]}), &[])]);
}

#[test]
fn t07_instructions_as_string_blocks_and_in_the_midst() {
    let hi = json!([{"role": "user", "content": "hi"}]);
    let rows = [
        (json!("Be brief."), json!("Be brief.")),
        (json!([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]), json!("one\n\ntwo")),
    ];
    for (system, want) in rows {
        let (messages, lost) = talk(&system, &hi).unwrap();
        assert_eq!(messages, json!([{"role": "system", "content": want}, {"role": "user", "content": "hi"}]));
        assert!(lost.is_empty());
    }
    for nothing in [json!(""), json!([]), json!([{"type": "text", "text": " "}])] {
        assert_eq!(talk(&nothing, &hi).unwrap(), (hi.clone(), vec![]));
    }
    let (messages, lost) = talk(
        &Value::Null,
        &json!([{"role": "user", "content": "hi"}, {"role": "system", "content": "be kind"}, {"role": "user", "content": "bye"}]),
    )
    .unwrap();
    let want = json!([{"role": "user", "content": "hi"}, {"role": "system", "content": "be kind"}, {"role": "user", "content": "bye"}]);
    assert_eq!((messages, lost), (want, vec![]));
    let (_, lost) =
        talk(&json!([{"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}]), &hi).unwrap();
    assert_eq!(lost, ["system[0]"], "never silently");
}

#[test]
fn t08_t10_turns_merge_and_blank_text_vanishes() {
    let (messages, lost) = talk(
        &Value::Null,
        &json!([
            {"role": "user", "content": "a"},
            {"role": "user", "content": [{"type": "text", "text": "b"}]},
            {"role": "assistant", "content": []},
            {"role": "assistant", "content": [{"type": "text", "text": "c"}, {"type": "text", "text": "d"}]},
            {"role": "user", "content": "e"},
        ]),
    )
    .unwrap();
    let want = json!([
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": "cd"},
        {"role": "user", "content": "e"},
    ]);
    assert_eq!((messages, lost), (want, vec![]));
    let empty = talk(&Value::Null, &json!([{"role": "user", "content": ""}])).unwrap_err();
    assert_eq!(empty, "messages: must hold a turn that is not empty");
    let rows = [
        (json!({"role": "tool", "content": "x"}), "messages[0].role: must be user, assistant or system"),
        (json!({"role": "user", "content": 7}), "messages[0].content: must be a string or an array"),
        (json!({"role": "user", "content": ["x"]}), "messages[0].content[0]: must be an object"),
        (json!("x"), "messages[0]: must be an object"),
    ];
    for (message, want) in rows {
        assert_eq!(talk(&Value::Null, &json!([message])).unwrap_err(), want);
    }
}

#[test]
fn t09_a_prefill_becomes_history_and_is_told() {
    let turns = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "So"}]);
    assert_eq!(talk(&Value::Null, &turns).unwrap(), (turns, vec!["messages[1]".to_owned()]));
}

#[test]
fn t11_images() {
    let image = |source: Value| json!({"type": "image", "source": source});
    let (got, lost) = content(&json!([
        image(json!({"type": "base64", "media_type": "image/png", "data": "AAAA"})),
        image(json!({"type": "url", "url": "https://x/y.png"})),
        {"type": "text", "text": "what?"},
    ]))
    .unwrap();
    assert_eq!(
        got,
        json!([
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
            {"type": "text", "text": "what?"},
        ])
    );
    assert!(lost.is_empty());
    let rows = [
        (json!({"type": "base64", "media_type": "image/tiff", "data": "A"}), "must be a JPEG, PNG, GIF or WebP image"),
        (
            json!({"type": "file", "file_id": "f"}),
            "a file held by one provider cannot be sent to another; send its data",
        ),
        (json!({"type": "url", "url": "file:///etc/passwd"}), "must be a data: or http(s) URL"),
        (json!({"type": "base64", "data": "A"}), "must have a url or a base64 source"),
        (Value::Null, "must have a url or a base64 source"),
    ];
    for (source, want) in rows {
        let refused = content(&json!([image(source)])).unwrap_err();
        assert_eq!(refused, format!("messages[0].content[0]: {want}"));
    }
    let (messages, lost) = talk(
        &Value::Null,
        &json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": [image(json!({"type": "url", "url": "https://x/y.png"}))]}, {"role": "user", "content": "b"}]),
    )
    .unwrap();
    assert_eq!((messages[1]["content"].clone(), lost), (json!(""), vec!["messages[1].content[0]".to_owned()]));
}

#[test]
fn t12_documents() {
    let pdf = json!({"type": "base64", "media_type": "application/pdf", "data": "AA"});
    let file =
        |name: &str| json!({"type": "file", "file": {"filename": name, "file_data": "data:application/pdf;base64,AA"}});
    let (got, lost) = content(&json!([
        {"type": "document", "source": pdf, "title": "a.pdf"},
        {"type": "document", "source": pdf, "citations": {"enabled": true}, "context": "c"},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}},
    ]))
    .unwrap();
    assert_eq!(got, json!([file("a.pdf"), file("document.pdf"), {"type": "text", "text": "plain"}]));
    assert_eq!(lost, ["messages[0].content[1].citations", "messages[0].content[1].context"]);
    let by_url = content(&json!([{"type": "document", "source": {"type": "url", "url": "https://x/a.pdf"}}]));
    assert_eq!(
        by_url.unwrap_err(),
        "messages[0].content[0]: a document by URL has no counterpart; send its data",
        "refused, not dropped"
    );
    let no_text = content(&json!([{"type": "document", "source": {"type": "text"}}])).unwrap_err();
    assert_eq!(no_text, "messages[0].content[0]: a text source needs its data");
}

#[test]
fn t13_blocks_that_only_messages_has_are_reported() {
    let (got, lost) = content(&json!([
        {"type": "search_result", "source": "s", "title": "t", "content": []},
        {"type": "text", "text": "a", "citations": [{"type": "char_location"}]},
        {"type": "text", "text": "b", "citations": []},
        {"type": "hologram"},
    ]))
    .unwrap();
    assert_eq!(got, json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]));
    assert_eq!(lost, ["messages[0].content[0]", "messages[0].content[1].citations", "messages[0].content[3]"]);
}

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

fn tool_use(id: &str, input: Value) -> Value {
    json!({"type": "tool_use", "id": id, "name": "f", "input": input})
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

#[test]
fn t41_cache_marks_are_dropped_and_told_once() {
    let mark = json!({"type": "ephemeral", "ttl": "1h"});
    let marked = |t: &str| json!({"type": "text", "text": t, "cache_control": mark});
    let places = [
        json!({"system": [marked("s")]}),
        json!({"tools": [{"name": "f", "cache_control": mark}]}),
        json!({"messages": [{"role": "user", "content": [marked("a"), marked("b")]}]}),
        json!({"messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [tool_use("a", json!({}))]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [marked("x")]}]},
        ]}),
    ];
    for extra in places {
        let (got, lost) = members(Messages, GPT, &extra);
        assert_eq!(lost, ["cache_control"], "{extra}");
        assert!(!got.to_string().contains("ephemeral"));
    }
}

#[test]
fn t43_effort_and_thinking() {
    let rows: &[(&str, Value, Value, &[&str])] = &[
        (THINKER, json!({"output_config": {"effort": "high"}}), json!({"reasoning_effort": "high"}), &[]),
        (
            THINKER,
            json!({"output_config": {"effort": "max"}}),
            json!({"reasoning_effort": "xhigh"}),
            &["output_config.effort"],
        ),
        (THINKER, json!({"output_config": {"effort": "heroic"}}), json!({}), &["output_config.effort"]),
        (
            THINKER,
            json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}),
            json!({"reasoning_effort": "low"}),
            &[],
        ),
        (
            THINKER,
            json!({"thinking": {"type": "enabled", "budget_tokens": 4096}}),
            json!({"reasoning_effort": "medium"}),
            &[],
        ),
        (
            THINKER,
            json!({"thinking": {"type": "enabled", "budget_tokens": 16_384}}),
            json!({"reasoning_effort": "high"}),
            &[],
        ),
        (THINKER, json!({"thinking": {"type": "adaptive"}}), json!({}), &[]),
        (THINKER, json!({"thinking": {"type": "disabled"}}), json!({"reasoning_effort": "low"}), &["thinking"]),
        (THINKER, json!({"thinking": {"type": "novelty"}}), json!({}), &["thinking"]),
        (GPT, json!({"thinking": {"type": "adaptive"}}), json!({}), &["thinking"]),
        (GPT, json!({"thinking": {"type": "disabled"}}), json!({}), &[]),
        (GPT, json!({"output_config": {"effort": "low"}}), json!({}), &["output_config.effort"]),
    ];
    for (model, extra, want, lost) in rows {
        gives(model, &[(extra.clone(), want.clone(), lost)]);
    }
}

#[test]
fn t44_t45_foreign_thinking_stays_behind() {
    let (messages, lost) = talk(
        &Value::Null,
        &json!([
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "secret plan", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
                {"type": "text", "text": "Done."},
            ]},
            {"role": "user", "content": "thanks"},
        ]),
    )
    .unwrap();
    assert_eq!(messages[1], json!({"role": "assistant", "content": "Done."}));
    assert_eq!(lost, ["messages[1].content[0]", "messages[1].content[1]"]);
}

#[test]
fn t47_t49_structured_output_is_strict_where_the_schema_is() {
    let format = |schema: &Value| json!({"type": "json_schema", "schema": schema});
    let want = |schema: &Value, strict: bool| json!({"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": strict}}});
    let open = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let closed = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
    gives(
        GPT,
        &[
            (json!({"output_config": {"format": format(&open)}}), want(&open, false), &[]),
            (json!({"output_config": {"format": format(&closed)}}), want(&closed, true), &[]),
            (json!({"output_format": format(&closed)}), want(&closed, true), &[]),
            (json!({"output_format": {"type": "novelty"}}), json!({}), &["output_format"]),
            (json!({"output_config": {"format": null, "novelty": 1}}), json!({}), &["output_config.novelty"]),
        ],
    );
}

#[test]
fn t55_identity_and_tiers() {
    gives(
        GPT,
        &[
            (json!({"metadata": {"user_id": "u"}}), json!({"user": "u"}), &[]),
            (json!({"metadata": {"user_id": null}}), json!({}), &[]),
            (json!({"metadata": {"team": "t", "user_id": "u"}}), json!({"user": "u"}), &["metadata.team"]),
            (json!({"service_tier": "standard_only"}), json!({}), &[]),
            (json!({"service_tier": "priority"}), json!({}), &["service_tier"]),
        ],
    );
    let long = json!({"metadata": {"user_id": "u".repeat(150)}});
    let (got, lost) = members(Messages, GPT, &long);
    assert_eq!((got["user"].as_str().map(str::len), lost), (Some(64), vec!["metadata.user_id".to_owned()]));
    assert_eq!(members(Messages, GPT, &long).0, got, "the same user is the same each time");
}

#[test]
fn t29_streams_are_asked_for_with_usage() {
    let want = json!({"stream": true, "stream_options": {"include_usage": true}});
    gives(GPT, &[(json!({"stream": true}), want, &[]), (json!({"stream": false}), json!({}), &[])]);
}

#[test]
fn no_refusal_holds_text_of_the_body() {
    let secret = "hunter2";
    let bodies = [
        json!({"messages": [{"role": secret, "content": secret}]}),
        json!({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": secret}}]}]}),
        json!({"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": secret, "content": secret}]}]}),
        json!({"messages": secret}),
        json!({"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": secret, "name": secret}]}]}),
        json!({"messages": [], "tools": [{"description": secret}]}),
    ];
    for body in bodies {
        let why = sent(Messages, GPT, &body).unwrap_err();
        assert!(!why.contains(secret), "{why}");
    }
}
