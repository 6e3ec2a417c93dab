//! Responses to the others: limits, sampling, effort, format, identity.

use dialect::Dialect::{Chat, Messages, Responses};
use serde_json::json;

use super::gives;
use crate::rows::{CLAUDE, GPT, sent_to};

#[test]
fn t01_t02_t03_limits_and_sampling() {
    gives(
        Messages,
        CLAUDE,
        &[
            (json!({"max_output_tokens": 20}), json!({"max_tokens": 20}), &[]),
            (json!({"temperature": 1.7}), json!({"temperature": 1.0}), &["temperature"]),
            (json!({"top_logprobs": 2, "max_tool_calls": 3}), json!({}), &["top_logprobs", "max_tool_calls"]),
            (json!({"top_logprobs": 0, "truncation": "disabled", "include": [], "background": false}), json!({}), &[]),
            (
                json!({"truncation": "auto", "include": ["reasoning.encrypted_content"], "background": true}),
                json!({}),
                &["truncation", "include", "background"],
            ),
        ],
    );
    gives(
        Chat,
        GPT,
        &[
            (json!({"max_output_tokens": 20, "temperature": 1.7}), json!({"max_tokens": 20, "temperature": 1.7}), &[]),
            (json!({"top_logprobs": 2, "novelty": 1}), json!({}), &["top_logprobs", "novelty"]),
        ],
    );
    gives(Chat, "gpt-6-sol", &[(json!({"max_output_tokens": 20}), json!({"max_completion_tokens": 20}), &[])]);
}

#[test]
fn t43_effort() {
    let rows = [
        (Messages, CLAUDE, json!({"thinking": {"type": "enabled", "budget_tokens": 2048}})),
        (Messages, "claude-opus-5", json!({"output_config": {"effort": "low"}})),
    ];
    for (provider, model, want) in rows {
        gives(provider, model, &[(json!({"reasoning": {"effort": "low", "summary": "auto"}}), want, &[])]);
    }
    gives(
        Chat,
        "gpt-6-sol",
        &[
            (
                json!({"reasoning": {"effort": "high", "summary": "auto"}}),
                json!({"reasoning_effort": "high"}),
                &["reasoning.summary"],
            ),
            (json!({"reasoning": {"context": "all_turns", "mode": "standard"}}), json!({}), &["reasoning.context"]),
        ],
    );
    gives(Chat, GPT, &[(json!({"reasoning": {"effort": "high"}}), json!({}), &["reasoning.effort"])]);
}

#[test]
fn t47_structured_output() {
    let closed = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let format = json!({"type": "json_schema", "name": "n", "schema": closed, "strict": true});
    gives(
        Messages,
        CLAUDE,
        &[
            (
                json!({"text": {"format": format, "verbosity": "low"}}),
                json!({"output_config": {"format": {"type": "json_schema", "schema": closed}}}),
                &["text.verbosity"],
            ),
            (
                json!({"text": {"format": {"type": "json_object"}}}),
                json!({"system": [{"type": "text", "text": crate::structured::ANY_OBJECT}]}),
                &["text.format"],
            ),
            (json!({"text": {"format": {"type": "text"}, "verbosity": null}}), json!({}), &[]),
            (json!({"text": {"format": {"type": "novelty"}, "x": 1}}), json!({}), &["text.format", "text.x"]),
        ],
    );
    gives(
        Chat,
        GPT,
        &[
            (
                json!({"text": {"format": format, "verbosity": "low"}}),
                json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": closed, "strict": true}}, "verbosity": "low"}),
                &[],
            ),
            (
                json!({"text": {"format": {"type": "json_object"}}}),
                json!({"response_format": {"type": "json_object"}}),
                &[],
            ),
        ],
    );
}

#[test]
fn t55_identity_and_what_both_apis_of_openai_have() {
    let all = json!({"user": "u", "safety_identifier": "s", "metadata": {"a": "b"}, "service_tier": "flex", "prompt_cache_key": "k"});
    gives(Chat, GPT, &[(all.clone(), all.clone(), &[])]);
    gives(
        Messages,
        CLAUDE,
        &[
            // There is room for one name.
            (all, json!({"metadata": {"user_id": "s"}}), &["user", "metadata", "service_tier", "prompt_cache_key"]),
            (json!({"user": "u", "metadata": {}, "service_tier": "auto"}), json!({"metadata": {"user_id": "u"}}), &[]),
        ],
    );
}

#[test]
fn t56_nothing_is_kept() {
    for (store, lost) in [(json!(true), 1), (json!(null), 1), (json!(false), 0)] {
        let body = json!({"model": "m", "input": "hi", "store": store});
        for (provider, model) in [(Chat, GPT), (Messages, CLAUDE)] {
            let (got, dropped) = sent_to(Responses, provider, model, &body).unwrap();
            assert_eq!((got.get("store"), dropped.len()), (None, lost), "{store}");
        }
    }
}

#[test]
fn t28_t29_streams_are_asked_for() {
    let asked = json!({"stream": true, "stream_options": {"include_obfuscation": false}});
    gives(Messages, CLAUDE, &[(asked.clone(), json!({"stream": true}), &[])]);
    gives(Chat, GPT, &[(asked, json!({"stream": true, "stream_options": {"include_usage": true}}), &[])]);
}
