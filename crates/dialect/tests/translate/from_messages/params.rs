//! Messages to Chat Completions: limits, sampling, effort, format, identity.

use dialect::Dialect::Messages;
use serde_json::{Value, json};

use super::{THINKER, gives};
use crate::{GPT, members, sent};

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
        (THINKER, json!({"thinking": {"type": "disabled"}}), json!({"reasoning_effort": "none"}), &[]),
        ("gpt-6.1-sol", json!({"thinking": {"type": "disabled"}}), json!({"reasoning_effort": "low"}), &["thinking"]),
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
            (json!({"metadata": {"user_id": "u@x.org"}}), json!({"user": "u@x.org"}), &[]),
            (json!({"metadata": {"user_id": "\u{e9}".repeat(64)}}), json!({"user": "\u{e9}".repeat(64)}), &[]),
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
