//! What Chat Completions refuses before it looks at the conversation.

use serde_json::Value;

use super::messages;
use crate::catalog::{self, Model};
use crate::check::{self, Checked};
use crate::refusal::{self, Refusal};
use crate::vendor::Vendor;

/// The members that the official SDK lists for a request.
const MEMBERS: &[&str] = &[
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

const EFFORTS: &[&str] = &["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/// The model of a request that may be answered.
pub(crate) fn checked(body: &Value) -> Checked<&'static Model> {
    let Some(map) = body.as_object() else { return Err(refusal::not_json(Vendor::OpenAi, "")) };
    if let Some(name) = check::foreign(map, MEMBERS) {
        return Err(Refusal::invalid(format!("Unrecognized request argument supplied: {name}")));
    }
    let Some(name) = body["model"].as_str() else {
        return Err(Refusal::invalid("you must provide a model parameter"));
    };
    let Some(turns) = body.get("messages") else { return Err(check::missing("messages")) };
    let model = catalog::find(Vendor::OpenAi, name).ok_or_else(|| refusal::no_model(Vendor::OpenAi, name))?;
    numbers(body)?;
    refused(body, model)?;
    stream_options(body)?;
    format(body, model)?;
    tools(body)?;
    messages::checked(turns)?;
    Ok(model)
}

fn numbers(body: &Value) -> Checked<()> {
    check::openai_range(body, "temperature", 0.0, 2.0)?;
    check::openai_range(body, "top_p", 0.0, 1.0)?;
    check::openai_range(body, "frequency_penalty", -2.0, 2.0)?;
    check::openai_range(body, "presence_penalty", -2.0, 2.0)?;
    check::openai_range(body, "n", 1.0, 128.0)?;
    check::openai_range(body, "top_logprobs", 0.0, 20.0)?;
    check::openai_range(body, "max_tokens", 1.0, f64::MAX)?;
    check::openai_range(body, "max_completion_tokens", 1.0, f64::MAX)?;
    if let Some(stop) = body["stop"].as_array()
        && stop.len() > 4
    {
        return Err(Refusal::invalid(format!(
            "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length {} \
             instead.",
            stop.len()
        ))
        .param("stop")
        .code("array_above_max_length"));
    }
    Ok(())
}

/// What this model does not take.
fn refused(body: &Value, model: &Model) -> Checked<()> {
    let unsupported = |name: &str, hint: &str| {
        Err(Refusal::invalid(format!("Unsupported parameter: '{name}' is not supported with this model.{hint}"))
            .param(name)
            .code("unsupported_parameter"))
    };
    if !body["max_tokens"].is_null() {
        if model.refuses.max_tokens {
            return unsupported("max_tokens", " Use 'max_completion_tokens' instead.");
        }
        if !body["max_completion_tokens"].is_null() {
            return Err(Refusal::invalid(
                "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            )
            .param("max_tokens")
            .code("invalid_parameter_combination"));
        }
    }
    let effort = &body["reasoning_effort"];
    if !effort.is_null() {
        check::one_of(effort, "reasoning_effort", EFFORTS)?;
        if let Some(refused) = model.refuses.efforts.iter().find(|e| effort == **e) {
            return Err(Refusal::invalid(format!(
                "Unsupported value: 'reasoning_effort' does not support '{refused}' with this model."
            ))
            .param("reasoning_effort")
            .code("unsupported_value"));
        }
    }
    let thinks = model.refuses.sampling_beside_effort && effort != "none";
    for name in ["temperature", "top_p"] {
        if (model.refuses.sampling || thinks) && body[name].as_f64().is_some_and(|value| value != 1.0) {
            return Err(Refusal::invalid(format!(
                "Unsupported value: '{name}' does not support {} with this model. Only the default (1) value is \
                 supported.",
                body[name]
            ))
            .param(name)
            .code("unsupported_value"));
        }
    }
    let limit = ["max_tokens", "max_completion_tokens"].into_iter().find_map(|n| Some((n, body[n].as_u64()?)));
    if let Some((name, asked)) = limit
        && asked > model.max_output
    {
        return Err(Refusal::invalid(format!(
            "{name} is too large: {asked}. This model supports at most {} completion tokens, whereas you provided \
             {asked}.",
            model.max_output
        ))
        .param(name)
        .code("invalid_value"));
    }
    Ok(())
}

fn stream_options(body: &Value) -> Checked<()> {
    if body["stream_options"].is_null() {
        return Ok(());
    }
    if body["stream"] != true {
        return Err(Refusal::invalid("The 'stream_options' parameter is only allowed when 'stream' is enabled.")
            .param("stream_options"));
    }
    check::openai_members(&body["stream_options"], "stream_options", &["include_usage", "include_obfuscation"])
}

fn format(body: &Value, model: &Model) -> Checked<()> {
    let format = &body["response_format"];
    if format.is_null() {
        return Ok(());
    }
    check::one_of(&format["type"], "response_format.type", &["json_object", "json_schema", "text"])?;
    if format["type"] == "json_object" && !body["messages"].to_string().to_ascii_lowercase().contains("json") {
        return Err(Refusal::invalid(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
        )
        .param("messages"));
    }
    if format["type"] != "json_schema" {
        return Ok(());
    }
    if model.refuses.schema {
        return Err(check::no_schema("response_format"));
    }
    let spec = &format["json_schema"];
    if spec.is_null() {
        return Err(check::missing("response_format.json_schema"));
    }
    check::openai_members(spec, "response_format.json_schema", &["name", "description", "schema", "strict"])?;
    let Some(name) = spec["name"].as_str() else { return Err(check::missing("response_format.json_schema.name")) };
    check::openai_name(name, "response_format.json_schema.name", 64)?;
    if spec["strict"] == true {
        check::strict_schema(&spec["schema"], "response_format", &format!("response_format '{name}'"))?;
    }
    Ok(())
}

fn tools(body: &Value) -> Checked<()> {
    let Some(tools) = body["tools"].as_array() else {
        if body["tools"].is_null() && body["tool_choice"].is_object() {
            return Err(
                Refusal::invalid("'tool_choice' is only allowed when 'tools' are specified.").param("tool_choice")
            );
        }
        return Ok(());
    };
    if tools.is_empty() {
        return Err(Refusal::invalid(
            "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead.",
        )
        .param("tools")
        .code("empty_array"));
    }
    for (i, tool) in tools.iter().enumerate() {
        let path = format!("tools[{i}]");
        if tool["type"].is_null() {
            return Err(check::missing(&format!("{path}.type")));
        }
        check::one_of(&tool["type"], &format!("{path}.type"), &["function", "custom"])?;
        if tool["type"] != "function" {
            continue;
        }
        check::openai_members(tool, &path, &["type", "function"])?;
        let function = &tool["function"];
        if function.is_null() {
            return Err(check::missing(&format!("{path}.function")));
        }
        let path = format!("{path}.function");
        check::openai_members(function, &path, &["name", "description", "parameters", "strict"])?;
        let Some(name) = function["name"].as_str() else { return Err(check::missing(&format!("{path}.name"))) };
        check::openai_name(name, &format!("{path}.name"), 64)?;
        if function["strict"] == true {
            check::strict_schema(
                &function["parameters"],
                &format!("{path}.parameters"),
                &format!("function '{name}'"),
            )?;
        }
    }
    tool_choice(&body["tool_choice"], tools)
}

fn tool_choice(choice: &Value, tools: &[Value]) -> Checked<()> {
    match choice {
        Value::Null | Value::Object(_) => {}
        word => return check::one_of(word, "tool_choice", &["none", "auto", "required"]),
    }
    let Some(name) = choice["function"]["name"].as_str() else { return Ok(()) };
    if tools.iter().any(|tool| tool["function"]["name"] == name) {
        return Ok(());
    }
    Err(Refusal::invalid(format!("Tool choice '{name}' not found in 'tools' parameter.")).param("tool_choice"))
}
