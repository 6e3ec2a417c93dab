//! What a model refuses never goes on the wire to it, whoever asks in which format; what is left out is told.

use dialect::{
    Capability,
    Dialect::{self, Chat, Messages, Responses},
    Effort, Efforts, Limit, MODELS, Off, Sampling, TargetModel, Thinks, ToolsInChat,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::{pairs, rows::sent_to, target, translate};

/// What a plain request with `extra` becomes.
fn sent(caller: Dialect, provider: Dialect, model: &str, extra: &Value) -> Result<(Value, Vec<String>), String> {
    let turns = if caller == Responses { "input" } else { "messages" };
    let mut body = json!({"model": "m", turns: [{"role": "user", "content": "hi"}]});
    match caller {
        Chat => {}
        Responses => body["store"] = false.into(),
        Messages => body["max_tokens"] = 9000.into(),
    }
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    sent_to(caller, provider, model, &body)
}

#[test]
fn t06_tools_in_chat() {
    let tools = json!({"tools": [{"name": "f", "input_schema": {"type": "object"}}]});
    let with = |extra: Value| {
        let mut all = tools.clone();
        all.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        all
    };
    let rows: [(&str, Value, Value, &[&str]); 6] = [
        ("gpt-5.1", with(json!({})), Value::Null, &[]),
        ("gpt-6-sol", with(json!({})), json!("none"), &[]),
        ("gpt-6-sol", with(json!({"output_config": {"effort": "high"}})), json!("none"), &["output_config.effort"]),
        ("gpt-6-sol", with(json!({"thinking": {"type": "adaptive"}})), json!("none"), &["thinking"]),
        ("gpt-6-sol", with(json!({"temperature": 0.5})), json!("none"), &[]),
        ("gpt-4o", with(json!({})), Value::Null, &[]),
    ];
    for (model, extra, effort, lost) in rows {
        let (got, dropped) = sent(Messages, Chat, model, &extra).unwrap();
        assert_eq!(
            (got.get("reasoning_effort").cloned().unwrap_or_default(), dropped),
            (effort, lost.iter().map(|l| (*l).to_owned()).collect()),
            "{model} {extra}"
        );
    }
    assert_eq!(
        sent(Messages, Chat, "gpt-6.1-sol", &tools).unwrap_err(),
        "tools: the target's model takes tools in the Responses API alone"
    );
    assert!(sent(Messages, Responses, "gpt-6.1-sol", &tools).is_ok());
}

#[test]
fn t11_t12_media_that_a_model_does_not_take() {
    let image = json!({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}]}]});
    let inside = json!({"tools": [{"name": "f", "input_schema": {"type": "object"}}], "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}]}]},
    ]});
    let pdf = json!({"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}}]}]});
    assert_eq!(
        sent(Messages, Chat, "gpt-3.5-turbo", &image).unwrap_err(),
        "messages[0].content[0]: the target's model takes no images"
    );
    assert_eq!(
        sent(Messages, Chat, "gpt-4", &inside).unwrap_err(),
        "messages[2].content[0].content[0]: the target's model takes no images"
    );
    assert_eq!(
        sent(Messages, Chat, "gpt-4-turbo", &pdf).unwrap_err(),
        "messages[0].content[0]: the target's model takes no documents"
    );
    assert!(sent(Messages, Chat, "gpt-4o", &image).is_ok() && sent(Messages, Chat, "gpt-4o", &pdf).is_ok());
}

#[test]
fn t43_how_each_claude_is_told_to_think_and_not_to() {
    let rows: [(&str, &str, Value, &[&str]); 12] = [
        ("claude-opus-5-5", "high", json!({"output_config": {"effort": "high"}}), &[]),
        ("claude-opus-5-5", "none", json!({"output_config": {"effort": "low"}}), &["reasoning_effort"]),
        ("claude-sonnet-5-5", "none", json!({"thinking": {"type": "between_tools"}}), &[]),
        ("claude-haiku-5-5", "none", json!({"thinking": {"type": "disabled"}}), &[]),
        ("claude-haiku-5-5", "max", json!({"output_config": {"effort": "max"}}), &[]),
        ("claude-opus-4-8", "none", json!({}), &[]),
        ("claude-opus-4-8", "low", json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}), &[]),
        (
            "claude-opus-4-6",
            "xhigh",
            json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
            &["reasoning_effort"],
        ),
        ("claude-opus-4-5", "medium", json!({"thinking": {"type": "enabled", "budget_tokens": 8192}}), &[]),
        ("claude-haiku-4-5", "none", json!({}), &[]),
        ("claude-3-5-haiku", "low", json!({}), &["reasoning_effort"]),
        ("claude-next", "low", json!({}), &["reasoning_effort"]),
    ];
    for (model, effort, want, lost) in rows {
        let (got, dropped) =
            sent(Chat, Messages, model, &json!({"reasoning_effort": effort, "max_tokens": 9000})).unwrap();
        let said: Map<String, Value> = ["thinking", "output_config"]
            .iter()
            .filter_map(|n| Some(((*n).to_owned(), got.get(*n)?.clone())))
            .collect();
        assert_eq!(
            (Value::from(said), dropped),
            (want, lost.iter().map(|l| (*l).to_owned()).collect()),
            "{model} {effort}"
        );
    }
    // A forced call and thinking exclude each other.
    let forced = json!({"reasoning_effort": "high", "tool_choice": "required", "tools": [{"type": "function", "function": {"name": "f"}}]});
    let (got, _) = sent(Chat, Messages, "claude-opus-4-6", &forced).unwrap();
    assert_eq!((got.get("thinking"), &got["tool_choice"]["type"]), (None, &json!("any")));
}

#[test]
fn t43_a_budget_stays_within_what_the_policy_says() {
    let can = Capability { budget: Some((2000, 5000)), ..*dialect::capability("claude-haiku-4-5") };
    let to = TargetModel { capability: &can, ..target("claude-haiku-4-5") };
    for (effort, limit, want) in
        [("high", 9000, Some(5000)), ("low", 9000, Some(2048)), ("high", 3000, Some(2999)), ("high", 2000, None)]
    {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "reasoning_effort": effort, "max_tokens": limit});
        let done = translate(Chat, Messages, &body, &to).unwrap();
        let body: Value = serde_json::from_slice(&done.body.concat()).unwrap();
        assert_eq!(body["thinking"]["budget_tokens"].as_u64(), want, "{effort} {limit}");
    }
}

#[test]
fn t18_a_model_without_the_switch_is_not_given_it() {
    let one = json!({"tools": [{"name": "f", "input_schema": {"type": "object"}}], "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}});
    let (got, lost) = sent(Messages, Chat, "o3", &one).unwrap();
    assert_eq!(
        (got.get("parallel_tool_calls"), lost),
        (None, vec!["tool_choice.disable_parallel_tool_use".to_owned()])
    );
}

/// What a provider refuses of a request to such a model, found apart from the writers.
fn refused(dialect: Dialect, can: &Capability, body: &Value) -> Option<&'static str> {
    let has = |name: &str| !body[name].is_null();
    let sampled = ["temperature", "top_p", "top_k", "logprobs", "top_logprobs"].into_iter().any(has);
    let effort = match dialect {
        Chat => &body["reasoning_effort"],
        Responses => &body["reasoning"]["effort"],
        Messages => &body["output_config"]["effort"],
    };
    let level = effort.as_str().and_then(Effort::of);
    let forced = match dialect {
        Messages => ["any", "tool"].iter().any(|t| body["tool_choice"]["type"] == *t),
        Chat | Responses => has("tool_choice") && body["tool_choice"] != "auto" && body["tool_choice"] != "none",
    };
    let schema = match dialect {
        Chat => &body["response_format"]["type"],
        Responses => &body["text"]["format"]["type"],
        Messages => &body["output_config"]["format"]["type"],
    };
    let thinking = body["thinking"]["type"].as_str();
    let rules = [
        ("sampling", sampled && can.sampling == Sampling::Fixed),
        ("sampling while thinking", sampled && can.sampling == Sampling::Unthinking && level != Some(Effort::None)),
        ("a pair", has("temperature") && has("top_p") && can.sampling == Sampling::One),
        ("stop", (has("stop") || has("stop_sequences")) && !can.stop),
        ("a forced call", forced && !can.forced_tools),
        ("parallel", has("parallel_tool_calls") && !can.parallel_switch),
        ("effort", !effort.is_null() && level.is_none_or(|l| !can.efforts.has(l))),
        ("effort without thinking", !effort.is_null() && can.efforts == Efforts::EMPTY),
        ("schema", schema == "json_schema" && !can.schema),
        ("max_tokens", dialect == Chat && has("max_tokens") && can.limit == Limit::New),
        ("tools", dialect == Chat && has("tools") && can.tools_in_chat == ToolsInChat::Never),
        (
            "tools while thinking",
            dialect == Chat
                && has("tools")
                && can.tools_in_chat == ToolsInChat::Unthinking
                && level != Some(Effort::None),
        ),
        ("a budget", thinking == Some("enabled") && can.budget.is_none()),
        ("adaptive", thinking == Some("adaptive") && can.thinks != Thinks::Adaptive),
        ("disabled", thinking == Some("disabled") && can.off != Off::Disabled),
        ("between_tools", thinking == Some("between_tools") && can.off != Off::BetweenTools),
        ("thinking while forced", forced && thinking == Some("enabled")),
        (
            "prefill",
            dialect == Messages
                && !can.prefill
                && body["messages"].as_array().and_then(|m| m.last()).is_some_and(|m| m["role"] == "assistant"),
        ),
    ];
    rules.into_iter().find(|(_, is_refused)| *is_refused).map(|(what, _)| what)
}

/// Members that some models refuse, as each format has them.
fn extras(caller: Dialect) -> Vec<Value> {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
    let open = json!({"type": "object", "additionalProperties": true});
    match caller {
        Chat => vec![
            json!({"temperature": 0.5}),
            json!({"top_p": 0.5}),
            json!({"stop": ["a"]}),
            json!({"reasoning_effort": "none"}),
            json!({"reasoning_effort": "minimal"}),
            json!({"reasoning_effort": "max"}),
            json!({"tools": [{"type": "function", "function": {"name": "f"}}]}),
            json!({"tool_choice": "required"}),
            json!({"parallel_tool_calls": false}),
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}}),
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": open}}}),
            json!({"response_format": {"type": "json_object"}}),
            json!({"max_tokens": 3000}),
        ],
        Responses => vec![
            json!({"temperature": 0.5}),
            json!({"top_p": 0.5}),
            json!({"reasoning": {"effort": "none"}}),
            json!({"reasoning": {"effort": "xhigh"}}),
            json!({"tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}]}),
            json!({"tool_choice": "required"}),
            json!({"parallel_tool_calls": false}),
            json!({"text": {"format": {"type": "json_schema", "name": "n", "schema": schema}}}),
            json!({"text": {"format": {"type": "json_schema", "name": "n", "schema": open}}}),
            json!({"max_output_tokens": 3000}),
        ],
        Messages => vec![
            json!({"temperature": 0.5}),
            json!({"top_p": 0.5}),
            json!({"top_k": 5}),
            json!({"stop_sequences": ["a"]}),
            json!({"thinking": {"type": "disabled"}}),
            json!({"thinking": {"type": "adaptive"}}),
            json!({"thinking": {"type": "enabled", "budget_tokens": 2000}}),
            json!({"output_config": {"effort": "max"}}),
            json!({"tools": [{"name": "f", "input_schema": {"type": "object"}}]}),
            json!({"tool_choice": {"type": "any", "disable_parallel_tool_use": true}}),
            json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}}),
        ],
    }
}

proptest! {
    /// Whatever is asked of whichever model in whichever format: what is written is nothing that it refuses.
    #[test]
    fn t06_nothing_goes_on_the_wire_that_the_target_refuses(
        pair in prop::sample::select(pairs()),
        row in prop::sample::select(MODELS),
        asked in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let (caller, provider) = pair;
        let all = extras(caller);
        let mut extra = Map::new();
        for i in asked {
            extra.extend(i.get(&all).as_object().unwrap().clone());
        }
        match sent(caller, provider, row.name, &extra.clone().into()) {
            Ok((body, _)) => prop_assert_eq!(refused(provider, &row.can, &body), None, "{}: {}", row.name, body),
            Err(why) => prop_assert!(why.starts_with("tools: "), "{why}"),
        }
    }
}
