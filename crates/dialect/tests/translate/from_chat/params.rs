//! Chat Completions to Messages: limits, sampling, effort, format, identity.

use dialect::Dialect::Chat;
use serde_json::{Value, json};

use super::{gives, talk, text};
use crate::{CLAUDE, members, sent};

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
fn t43_effort_by_generation() {
    let rows: &[(&str, Value, Value, &[&str])] = &[
        ("claude-opus-5", json!({"reasoning_effort": "high"}), json!({"output_config": {"effort": "high"}}), &[]),
        ("claude-opus-5", json!({"reasoning_effort": "minimal"}), json!({"output_config": {"effort": "low"}}), &[]),
        ("claude-opus-5", json!({"reasoning_effort": "none"}), json!({"thinking": {"type": "disabled"}}), &[]),
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
fn t47_structured_output() {
    let closed = json!({"type": "object", "properties": {}, "additionalProperties": false});
    gives(
        CLAUDE,
        &[
            (
                json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": closed}}}),
                json!({"output_config": {"format": {"type": "json_schema", "schema": closed}}}),
                &[],
            ),
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
            (json!({"metadata": {"a": "b"}, "store": true}), json!({}), &["store", "metadata"]),
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
