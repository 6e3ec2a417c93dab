//! What Chat Completions refuses in a conversation.

use serde_json::Value;

use crate::check::{self, Checked};
use crate::image;
use crate::refusal::Refusal;

const ROLES: &[&str] = &["system", "assistant", "user", "function", "tool", "developer"];

pub(crate) fn checked(turns: &Value) -> Checked<()> {
    let Some(turns) = turns.as_array() else {
        return Err(Refusal::invalid(format!(
            "Invalid type for 'messages': expected an array of objects, but got {} instead.",
            check::kind(turns)
        ))
        .param("messages")
        .code("invalid_type"));
    };
    if turns.is_empty() {
        return Err(Refusal::invalid(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
        )
        .param("messages")
        .code("empty_array"));
    }
    for (i, turn) in turns.iter().enumerate() {
        one(turn, &format!("messages[{i}]"), i)?;
    }
    links(turns)
}

fn one(turn: &Value, path: &str, i: usize) -> Checked<()> {
    if turn["role"].is_null() {
        return Err(check::missing(&format!("{path}.role")));
    }
    check::one_of(&turn["role"], &format!("{path}.role"), ROLES)?;
    let members: &[&str] = match turn["role"].as_str() {
        // `annotations` is in every answer: apps send the whole message back.
        Some("assistant") => {
            &["role", "content", "name", "refusal", "annotations", "audio", "function_call", "tool_calls"]
        }
        Some("tool") => &["role", "content", "tool_call_id"],
        _ => &["role", "content", "name"],
    };
    check::openai_members(turn, path, members)?;
    if turn["role"] == "tool" && !turn["tool_call_id"].is_string() {
        return Err(check::missing(&format!("{path}.tool_call_id")));
    }
    calls(turn, path)?;
    content(turn, path, i)
}

fn calls(turn: &Value, path: &str) -> Checked<()> {
    let Some(calls) = turn["tool_calls"].as_array() else { return Ok(()) };
    if calls.is_empty() {
        return Err(Refusal::invalid(format!(
            "Invalid '{path}.tool_calls': empty array. Expected an array with minimum length 1, but got an empty array \
             instead."
        ))
        .param(format!("{path}.tool_calls"))
        .code("empty_array"));
    }
    for (k, call) in calls.iter().enumerate() {
        let path = format!("{path}.tool_calls[{k}]");
        check::openai_members(call, &path, &["id", "type", "function", "custom"])?;
        let Some(id) = call["id"].as_str() else { return Err(check::missing(&format!("{path}.id"))) };
        if id.chars().count() > 40 {
            return Err(check::too_long(&format!("{path}.id"), 40, id.chars().count()));
        }
        if call["type"].is_null() {
            return Err(check::missing(&format!("{path}.type")));
        }
        if call["type"] != "function" {
            continue;
        }
        let path = format!("{path}.function");
        check::openai_members(&call["function"], &path, &["name", "arguments"])?;
        let Some(name) = call["function"]["name"].as_str() else { return Err(check::missing(&format!("{path}.name"))) };
        check::openai_name(name, &format!("{path}.name"), 64)?;
        if !call["function"]["arguments"].is_string() {
            return Err(Refusal::invalid(format!(
                "Invalid type for '{path}.arguments': expected a string, but got {} instead.",
                check::kind(&call["function"]["arguments"])
            ))
            .param(format!("{path}.arguments"))
            .code("invalid_type"));
        }
    }
    Ok(())
}

fn content(turn: &Value, path: &str, i: usize) -> Checked<()> {
    let called = ["tool_calls", "function_call", "refusal", "audio"].iter().any(|m| !turn[*m].is_null());
    match &turn["content"] {
        Value::String(_) => Ok(()),
        Value::Null if turn["role"] == "assistant" && called => Ok(()),
        Value::Array(parts) if !parts.is_empty() => {
            parts.iter().enumerate().try_for_each(|(k, part)| self::part(part, turn, &format!("{path}.content[{k}]")))
        }
        Value::Array(_) => Err(Refusal::invalid(format!(
            "Invalid '{path}.content': empty array. Expected an array with minimum length 1, but got an empty array \
             instead."
        ))
        .param(format!("{path}.content"))
        .code("empty_array")),
        other => Err(Refusal::invalid(format!(
            "Invalid value for 'content': expected a string, got {}.",
            other.as_null().map_or("something else", |()| "null")
        ))
        .param(format!("messages.[{i}].content"))),
    }
}

fn part(part: &Value, turn: &Value, path: &str) -> Checked<()> {
    let kinds: &[&str] = match turn["role"].as_str() {
        Some("user") => &["text", "image_url", "input_audio", "file"],
        Some("assistant") => &["text", "refusal"],
        _ => &["text"],
    };
    if part["type"].is_null() {
        return Err(check::missing(&format!("{path}.type")));
    }
    check::one_of(&part["type"], &format!("{path}.type"), kinds)?;
    match part["type"].as_str() {
        Some("text") => {
            check::openai_members(part, path, &["type", "text", "prompt_cache_breakpoint"])?;
            if !part["text"].is_string() {
                return Err(check::missing(&format!("{path}.text")));
            }
            Ok(())
        }
        Some("image_url") => {
            check::openai_members(part, path, &["type", "image_url", "prompt_cache_breakpoint"])?;
            check::openai_members(&part["image_url"], &format!("{path}.image_url"), &["url", "detail"])?;
            picture(part["image_url"]["url"].as_str(), "messages")
        }
        _ => Ok(()),
    }
}

/// A picture that OpenAI reads.
pub(crate) fn picture(url: Option<&str>, param: &str) -> Checked<()> {
    let Some(url) = url else { return Err(check::missing("image_url")) };
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(());
    }
    let Some((media, data)) = image::data_url(url) else {
        return Err(Refusal::invalid(format!(
            "Invalid 'image_url'. Expected a valid URL, but got a value with an invalid format: {:.40}",
            url
        ))
        .param(param)
        .code("invalid_image_url"));
    };
    if !image::TYPES.contains(&media) {
        return Err(Refusal::invalid(
            "You uploaded an unsupported image. Please make sure your image has of one the following formats: ['png', \
             'jpeg', 'gif', 'webp'].",
        )
        .param(param)
        .code("invalid_image_format"));
    }
    if !image::is_base64(data) {
        return Err(Refusal::invalid("Invalid base64 image_url.").param(param).code("invalid_base64"));
    }
    Ok(())
}

/// Every result has its call just before it, and every call its result just after.
fn links(turns: &[Value]) -> Checked<()> {
    let mut open: Vec<&str> = Vec::new();
    for (i, turn) in turns.iter().enumerate() {
        if turn["role"] == "tool" {
            let id = turn["tool_call_id"].as_str().unwrap_or_default();
            let Some(at) = open.iter().position(|o| *o == id) else {
                let message = if open.is_empty() {
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with \
                     'tool_calls'."
                        .to_owned()
                } else {
                    format!(
                        "Invalid parameter: 'tool_call_id' of '{id}' not found in 'tool_calls' of previous message."
                    )
                };
                return Err(Refusal::invalid(message).param(format!("messages.[{i}].role")));
            };
            open.remove(at);
            continue;
        }
        unanswered(&open, i)?;
        open = turn["tool_calls"].as_array().into_iter().flatten().filter_map(|c| c["id"].as_str()).collect();
    }
    unanswered(&open, turns.len())
}

fn unanswered(open: &[&str], i: usize) -> Checked<()> {
    if open.is_empty() {
        return Ok(());
    }
    Err(Refusal::invalid(format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. \
         The following tool_call_ids did not have response messages: {}",
        open.join(", ")
    ))
    .param(format!("messages.[{i}].role")))
}
