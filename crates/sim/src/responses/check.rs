//! What Responses refuses before it looks at the input.

use serde_json::Value;

use crate::catalog::{self, Model};
use crate::check::{self, Checked};
use crate::refusal::{self, Refusal};
use crate::vendor::Vendor;

/// The members that the official SDK lists for a request, and the two that Codex adds.
const MEMBERS: &[&str] = &[
    "access_programs",
    "background",
    "background_options",
    "client_metadata",
    "context_management",
    "conversation",
    "image",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// The members that the official SDK lists for a count of input tokens.
const COUNTED: &[&str] = &[
    "conversation",
    "input",
    "instructions",
    "model",
    "parallel_tool_calls",
    "personality",
    "previous_response_id",
    "reasoning",
    "text",
    "tool_choice",
    "tools",
    "truncation",
];

const FUNCTION: &[&str] = &[
    "type",
    "name",
    "description",
    "parameters",
    "strict",
    "allowed_callers",
    "async",
    "defer_loading",
    "output_schema",
];

const EFFORTS: &[&str] = &["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/// The model of a request that may be answered.
pub(crate) fn checked(body: &Value) -> Checked<&'static Model> {
    let name = shape(body, MEMBERS)?;
    if body["input"].is_null() && body["prompt"].is_null() && body["previous_response_id"].is_null() {
        return Err(check::missing("input"));
    }
    let model = model(name)?;
    check::openai_range(body, "temperature", 0.0, 2.0)?;
    check::openai_range(body, "top_p", 0.0, 1.0)?;
    check::openai_range(body, "top_logprobs", 0.0, 20.0)?;
    check::openai_range(body, "max_output_tokens", 16.0, f64::MAX)?;
    reasoning(body, model)?;
    text(&body["text"], model)?;
    tools(body)?;
    Ok(model)
}

/// Whether a count may be made.
pub(crate) fn counted(body: &Value) -> Checked<()> {
    let model = model(shape(body, COUNTED)?)?;
    reasoning(body, model)?;
    text(&body["text"], model)?;
    tools(body)
}

/// The model's name in a body that has no member but `members`.
fn shape<'a>(body: &'a Value, members: &[&str]) -> Checked<&'a str> {
    let Some(map) = body.as_object() else { return Err(refusal::not_json(Vendor::OpenAi, "")) };
    if let Some(name) = check::foreign(map, members) {
        return Err(check::unknown_parameter(name));
    }
    body["model"].as_str().ok_or_else(|| check::missing("model"))
}

fn model(name: &str) -> Checked<&'static Model> {
    catalog::find(Vendor::OpenAi, name).ok_or_else(|| {
        Refusal::invalid(format!("The requested model '{name}' does not exist.")).param("model").code("model_not_found")
    })
}

fn reasoning(body: &Value, model: &Model) -> Checked<()> {
    let effort = &body["reasoning"]["effort"];
    if !effort.is_null() {
        check::one_of(effort, "reasoning.effort", EFFORTS)?;
        if let Some(refused) = model.refuses.efforts.iter().find(|e| effort == **e) {
            return Err(Refusal::invalid(format!(
                "Unsupported value: 'reasoning.effort' does not support '{refused}' with this model."
            ))
            .param("reasoning.effort")
            .code("unsupported_value"));
        }
    }
    let thinks = model.refuses.sampling_beside_effort && effort != "none";
    for name in ["temperature", "top_p"] {
        if (model.refuses.sampling || thinks) && body[name].as_f64().is_some_and(|value| value != 1.0) {
            return Err(Refusal::invalid(format!("Unsupported parameter: '{name}' is not supported with this model."))
                .param(name));
        }
    }
    Ok(())
}

fn text(text: &Value, model: &Model) -> Checked<()> {
    let format = &text["format"];
    if format.is_null() {
        return Ok(());
    }
    check::one_of(&format["type"], "text.format.type", &["json_object", "json_schema", "text"])?;
    if format["type"] != "json_schema" {
        return Ok(());
    }
    if model.refuses.schema {
        return Err(check::no_schema("text.format"));
    }
    check::openai_members(format, "text.format", &["type", "name", "description", "schema", "strict"])?;
    let Some(name) = format["name"].as_str() else { return Err(check::missing("text.format.name")) };
    check::openai_name(name, "text.format.name", 64)?;
    match format["strict"] == true {
        false => Ok(()),
        true => check::strict_schema(&format["schema"], "text.format.schema", &format!("response_format '{name}'")),
    }
}

fn tools(body: &Value) -> Checked<()> {
    for (i, tool) in body["tools"].as_array().into_iter().flatten().enumerate() {
        let path = format!("tools[{i}]");
        let Some(kind) = tool["type"].as_str() else { return Err(check::missing(&format!("{path}.type"))) };
        if kind == "function" || kind == "custom" {
            if kind == "function" {
                check::openai_members(tool, &path, FUNCTION)?;
            }
            let Some(name) = tool["name"].as_str() else { return Err(check::missing(&format!("{path}.name"))) };
            check::openai_name(name, &format!("{path}.name"), 64)?;
        }
        if kind == "function" && tool["strict"] == true {
            let what = format!("function '{}'", tool["name"].as_str().unwrap_or_default());
            check::strict_schema(&tool["parameters"], &format!("{path}.parameters"), &what)?;
        }
    }
    let choice = &body["tool_choice"];
    if choice.is_string() {
        check::one_of(choice, "tool_choice", &["none", "auto", "required"])?;
    }
    let named = choice["type"] == "function" || choice["type"] == "custom";
    let known = body["tools"].as_array().is_some_and(|all| all.iter().any(|t| t["name"] == choice["name"]));
    match named && !known {
        true => Err(Refusal::invalid(format!(
            "Tool choice '{}' not found in 'tools' parameter.",
            choice["name"].as_str().unwrap_or_default()
        ))
        .param("tool_choice")),
        false => Ok(()),
    }
}
