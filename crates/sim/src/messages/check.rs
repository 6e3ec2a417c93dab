//! What Messages refuses before it looks at the conversation.

use serde_json::Value;

use super::{blocks, turns};
use crate::catalog::{self, Model};
use crate::check::{self, Checked};
use crate::refusal::{self, Refusal};
use crate::vendor::Vendor;

/// The members that the official SDK lists for a request, its beta client included.
const MEMBERS: &[&str] = &[
    "billing_policy",
    "cache_control",
    "compaction",
    "container",
    "context_management",
    "diagnostics",
    "fallback_credit_token",
    "fallbacks",
    "inference_geo",
    "max_tokens",
    "mcp_servers",
    "messages",
    "metadata",
    "model",
    "output_config",
    "output_format",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "thread",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
    "user_profile_id",
    "workspace_id",
];

/// The version from which sampling parameters are gone.
const NO_SAMPLING: &str = "2026-10-21";

/// The model of a request that may be answered.
pub(crate) fn message(body: &Value, version: Option<&str>) -> Checked<&'static Model> {
    let name = shape(body, version)?;
    if body["max_tokens"].is_null() {
        return Err(check::required("max_tokens"));
    }
    let Some(max_tokens) = body["max_tokens"].as_u64() else {
        return Err(Refusal::invalid("max_tokens: Input should be a valid integer"));
    };
    let model = catalog::find(Vendor::Anthropic, name).ok_or_else(|| refusal::no_model(Vendor::Anthropic, name))?;
    if max_tokens == 0 {
        return Err(Refusal::invalid("max_tokens: Input should be greater than or equal to 1"));
    }
    if max_tokens > model.max_output {
        return Err(Refusal::invalid(format!(
            "max_tokens: {max_tokens} > {}, which is the maximum allowed number of output tokens for {}",
            model.max_output, model.id
        )));
    }
    sampling(body, model, version)?;
    thinking(body, model, max_tokens)?;
    stops(&body["stop_sequences"])?;
    for (format, path) in
        [(&body["output_config"]["format"], "output_config.format"), (&body["output_format"], "output_format")]
    {
        if model.refuses.schema && !format.is_null() {
            return Err(Refusal::invalid(format!("{path}: '{name}' does not support output format.")));
        }
    }
    if let Some(name) = body["metadata"].as_object().and_then(|m| check::foreign(m, &["user_id"])) {
        return Err(check::extra(&format!("metadata.{name}")));
    }
    conversation(body, model)?;
    Ok(model)
}

/// The model of a count that may be made.
pub(crate) fn count(body: &Value, version: Option<&str>) -> Checked<&'static Model> {
    let name = shape(body, version)?;
    for gone in ["max_tokens", "stream", "stop_sequences", "metadata", "temperature"] {
        if !body[gone].is_null() {
            return Err(check::extra(gone));
        }
    }
    let model = catalog::find(Vendor::Anthropic, name).ok_or_else(|| refusal::no_model(Vendor::Anthropic, name))?;
    conversation(body, model)?;
    Ok(model)
}

fn shape<'a>(body: &'a Value, version: Option<&str>) -> Checked<&'a str> {
    if version.is_none() {
        return Err(Refusal::invalid("anthropic-version: header is required"));
    }
    let Some(map) = body.as_object() else {
        return Err(Refusal::invalid("Input should be a valid dictionary"));
    };
    if let Some(name) = check::foreign(map, MEMBERS) {
        return Err(check::extra(name));
    }
    let Some(name) = body["model"].as_str() else { return Err(check::required("model")) };
    if body["messages"].is_null() {
        return Err(check::required("messages"));
    }
    Ok(name)
}

fn conversation(body: &Value, model: &Model) -> Checked<()> {
    tools(body, model)?;
    blocks::system(&body["system"])?;
    turns::checked(body, model)?;
    let breakpoints = super::cache::breakpoints(body);
    match breakpoints {
        0..=4 => Ok(()),
        found => {
            Err(Refusal::invalid(format!("A maximum of 4 blocks with cache_control may be provided. Found {found}.")))
        }
    }
}

fn sampling(body: &Value, model: &Model, version: Option<&str>) -> Checked<()> {
    let thinks = ["enabled", "adaptive"].iter().any(|kind| body["thinking"]["type"] == *kind);
    for name in ["temperature", "top_p", "top_k"] {
        let value = &body[name];
        if value.is_null() {
            continue;
        }
        if version.is_some_and(|version| version >= NO_SAMPLING) {
            return Err(check::extra(name));
        }
        let Some(number) = value.as_f64() else {
            return Err(Refusal::invalid(format!("{name}: Input should be a valid number")));
        };
        if name != "top_k" && !(0.0..=1.0).contains(&number) {
            return Err(Refusal::invalid(format!("{name}: range: 0..1")));
        }
        let default = name != "top_k" && number == 1.0;
        if model.refuses.sampling && !default {
            return Err(Refusal::invalid(format!("`{name}` is deprecated for this model.")));
        }
        if name == "temperature" && thinks && !default {
            return Err(Refusal::invalid(
                "`temperature` may only be set to 1 when thinking is enabled or in adaptive mode. Please consult our \
                 documentation at https://platform.claude.com/docs/en/build-with-claude/extended-thinking",
            ));
        }
    }
    let both = model.refuses.prefill && !body["temperature"].is_null() && !body["top_p"].is_null();
    match both {
        true => Err(Refusal::invalid(
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
        )),
        false => Ok(()),
    }
}

fn thinking(body: &Value, model: &Model, max_tokens: u64) -> Checked<()> {
    let thinking = &body["thinking"];
    if thinking.is_null() {
        return Ok(());
    }
    let kind = thinking["type"].as_str().unwrap_or_default();
    let refused = match kind {
        "enabled" => model.refuses.thinking_enabled,
        "disabled" => model.refuses.thinking_disabled,
        "adaptive" | "between_tools" => false,
        _ => {
            return Err(Refusal::invalid(format!(
                "thinking: Input tag '{kind}' found using 'type' does not match any of the expected tags: 'adaptive', \
                 'between_tools', 'disabled', 'enabled'"
            )));
        }
    };
    if refused {
        return Err(Refusal::invalid(format!(
            "\"thinking.type.{kind}\" is not supported for this model. Use \"thinking.type.adaptive\" and \
             \"output_config.effort\" to control thinking behavior."
        )));
    }
    if kind == "enabled" {
        let Some(budget) = thinking["budget_tokens"].as_u64() else {
            return Err(check::required("thinking.enabled.budget_tokens"));
        };
        if budget < 1024 {
            return Err(Refusal::invalid(
                "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
            ));
        }
        if budget >= max_tokens {
            return Err(Refusal::invalid(
                "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at \
                 https://platform.claude.com/docs/en/build-with-claude/extended-thinking#max-tokens-and-context-window-size",
            ));
        }
    }
    let forced = ["any", "tool"].iter().any(|kind| body["tool_choice"]["type"] == *kind);
    match forced && matches!(kind, "enabled" | "adaptive") {
        true => Err(Refusal::invalid("Thinking may not be enabled when tool_choice forces tool use.")),
        false => Ok(()),
    }
}

fn stops(stops: &Value) -> Checked<()> {
    for (i, stop) in stops.as_array().into_iter().flatten().enumerate() {
        let Some(text) = stop.as_str() else {
            return Err(Refusal::invalid(format!("stop_sequences.{i}: Input should be a valid string")));
        };
        if text.trim().is_empty() {
            return Err(Refusal::invalid("stop_sequences: each stop sequence must contain non-whitespace"));
        }
    }
    Ok(())
}

fn tools(body: &Value, model: &Model) -> Checked<()> {
    const MEMBERS: &[&str] = &[
        "type",
        "name",
        "description",
        "input_schema",
        "cache_control",
        "strict",
        "allowed_callers",
        "defer_loading",
        "eager_input_streaming",
        "input_examples",
    ];
    let tools = body["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (i, tool) in tools.iter().enumerate() {
        if tool["type"].as_str().is_some_and(|kind| kind != "custom") {
            continue;
        }
        let path = format!("tools.{i}.custom");
        check::anthropic_members(tool, &path, MEMBERS)?;
        let Some(name) = tool["name"].as_str() else { return Err(check::required(&format!("{path}.name"))) };
        if name.chars().count() > 128 {
            return Err(Refusal::invalid(format!("{path}.name: String should have at most 128 characters")));
        }
        if name.is_empty() || !check::plain(name) {
            return Err(Refusal::invalid(format!(
                "{path}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
            )));
        }
        if tool["input_schema"].is_null() {
            return Err(check::required(&format!("{path}.input_schema")));
        }
        if tool["input_schema"]["type"] != "object" {
            return Err(Refusal::invalid(format!("{path}.input_schema.type: Input should be 'object'")));
        }
        if tools[..i].iter().any(|other| other["name"] == name) {
            return Err(Refusal::invalid("tools: Tool names must be unique."));
        }
    }
    tool_choice(&body["tool_choice"], tools, model)
}

fn tool_choice(choice: &Value, tools: &[Value], model: &Model) -> Checked<()> {
    if choice.is_null() {
        return Ok(());
    }
    let Some(kind) = choice["type"].as_str() else { return Err(check::required("tool_choice.type")) };
    let members: &[&str] = match kind {
        "auto" | "any" => &["type", "disable_parallel_tool_use"],
        "tool" => &["type", "name", "disable_parallel_tool_use"],
        "none" => &["type"],
        _ => {
            return Err(Refusal::invalid(format!(
                "tool_choice: Input tag '{kind}' found using 'type' does not match any of the expected tags: 'auto', \
                 'any', 'tool', 'none'"
            )));
        }
    };
    check::anthropic_members(choice, &format!("tool_choice.{kind}"), members)?;
    if tools.is_empty() && kind != "none" {
        return Err(Refusal::invalid("tool_choice may only be specified while providing tools."));
    }
    if matches!(kind, "any" | "tool") && model.refuses.forced_tools {
        return Err(Refusal::invalid(format!(
            "tool_choice: type '{kind}' is not supported for this model. Use 'auto' or 'none'."
        )));
    }
    match kind == "tool" && !tools.iter().any(|tool| tool["name"] == choice["name"]) {
        true => Err(Refusal::invalid(format!(
            "Tool '{}' not found in provided tools",
            choice["name"].as_str().unwrap_or_default()
        ))),
        false => Ok(()),
    }
}
