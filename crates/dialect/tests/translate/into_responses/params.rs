//! The others to Responses: limits, sampling, effort, format, identity.

use dialect::Dialect::{Chat, Messages};
use serde_json::json;

use super::{THINKER, gives};
use crate::rows::GPT;

#[test]
fn t01_t02_t03_t04_limits_and_sampling() {
    gives(
        Chat,
        GPT,
        &[
            (json!({"max_completion_tokens": 20}), json!({"max_output_tokens": 20}), &[]),
            // The least that Responses takes.
            (json!({"max_tokens": 3}), json!({"max_output_tokens": 16}), &["max_tokens"]),
            (json!({"temperature": 1.7, "top_p": 0.5}), json!({"temperature": 1.7, "top_p": 0.5}), &[]),
            (json!({"stop": ["a"], "seed": 1, "n": 2}), json!({}), &["seed", "n", "stop"]),
        ],
    );
    gives(Chat, THINKER, &[(json!({"temperature": 0.5, "top_p": 1.0}), json!({}), &["temperature"])]);
    gives(
        Messages,
        GPT,
        &[
            (json!({"max_tokens": 1}), json!({"max_output_tokens": 16}), &["max_tokens"]),
            (json!({"stop_sequences": ["a"], "top_k": 4}), json!({}), &["top_k", "stop_sequences"]),
        ],
    );
}

#[test]
fn t43_effort_and_thoughts_that_are_shown() {
    let shown = json!(["reasoning.encrypted_content"]);
    gives(
        Messages,
        THINKER,
        &[
            (
                json!({"thinking": {"type": "enabled", "budget_tokens": 5000}}),
                json!({"reasoning": {"effort": "medium", "summary": "auto"}, "include": shown}),
                &[],
            ),
            (
                json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
                json!({"reasoning": {"effort": "high", "summary": "auto"}, "include": shown}),
                &[],
            ),
            (
                json!({"thinking": {"type": "adaptive"}}),
                json!({"reasoning": {"summary": "auto"}, "include": shown}),
                &[],
            ),
            (json!({"output_config": {"effort": "low"}}), json!({"reasoning": {"effort": "low"}}), &[]),
        ],
    );
    gives(Messages, GPT, &[(json!({"thinking": {"type": "adaptive"}}), json!({}), &["thinking"])]);
    gives(Chat, THINKER, &[(json!({"reasoning_effort": "low"}), json!({"reasoning": {"effort": "low"}}), &[])]);
}

#[test]
fn t47_structured_output() {
    let closed = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let format = |name: &str, schema: &serde_json::Value, strict: bool| json!({"type": "json_schema", "name": name, "schema": schema, "strict": strict});
    gives(
        Chat,
        GPT,
        &[
            (
                json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": closed}}, "verbosity": "low"}),
                json!({"text": {"format": format("n", &closed, true), "verbosity": "low"}}),
                &[],
            ),
            (
                json!({"response_format": {"type": "json_object"}}),
                json!({"text": {"format": {"type": "json_object"}}}),
                &[],
            ),
        ],
    );
    let open = json!({"type": "object"});
    gives(
        Messages,
        GPT,
        &[(
            json!({"output_config": {"format": {"type": "json_schema", "schema": open}}}),
            json!({"text": {"format": format("answer", &open, false)}}),
            &[],
        )],
    );
}

#[test]
fn t55_t56_identity_and_state() {
    let all = json!({"user": "u", "metadata": {"a": "b"}, "service_tier": "flex", "prompt_cache_key": "k"});
    gives(
        Chat,
        GPT,
        &[
            (all.clone(), all, &[]),
            (json!({"store": true}), json!({}), &["store"]),
            (json!({"store": false}), json!({}), &[]),
        ],
    );
    gives(Messages, GPT, &[(json!({"metadata": {"user_id": "u"}}), json!({"user": "u"}), &[])]);
    let long = "x".repeat(65);
    let (got, lost) = crate::rows::sent_to(
        Messages,
        dialect::Dialect::Responses,
        GPT,
        &json!({"model": "m", "max_tokens": 20, "messages": [{"role": "user", "content": "hi"}], "metadata": {"user_id": long}}),
    )
    .unwrap();
    assert_eq!((got["user"].as_str().unwrap().len(), lost), (64, vec!["metadata.user_id".to_owned()]));
}

#[test]
fn t28_t29_streams_are_asked_for() {
    gives(
        Chat,
        GPT,
        &[(json!({"stream": true, "stream_options": {"include_usage": true}}), json!({"stream": true}), &[])],
    );
    gives(Messages, GPT, &[(json!({"stream": true}), json!({"stream": true}), &[])]);
}
