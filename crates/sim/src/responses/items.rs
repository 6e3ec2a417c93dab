//! What Responses refuses in its input items.

use serde_json::Value;

use crate::chat::picture;
use crate::check::{self, Checked};
use crate::refusal::Refusal;

const CALL: &[&str] = &["type", "id", "call_id", "name", "arguments", "status", "namespace", "async", "caller"];
const OUTPUT: &[&str] = &["type", "id", "call_id", "output", "status", "caller", "async"];
const REASONING: &[&str] = &["type", "id", "summary", "content", "encrypted_content", "status"];
const MESSAGE: &[&str] = &["type", "id", "role", "content", "status", "phase"];

/// `seal`: how encrypted reasoning begins that can be read here.
pub(crate) fn checked(items: &[Value], seal: &str) -> Checked<()> {
    for (i, item) in items.iter().enumerate() {
        one(item, &format!("input[{i}]"), seal)?;
    }
    links(items)
}

fn one(item: &Value, path: &str, seal: &str) -> Checked<()> {
    match item["type"].as_str().unwrap_or("message") {
        "message" => message(item, path),
        "function_call" => {
            check::openai_members(item, path, CALL)?;
            for name in ["call_id", "name", "arguments"] {
                if !item[name].is_string() {
                    return Err(check::missing(&format!("{path}.{name}")));
                }
            }
            check::openai_name(item["name"].as_str().unwrap_or_default(), &format!("{path}.name"), 64)?;
            id(&item["id"], path, "fc")?;
            call_id(item, path)
        }
        "function_call_output" => {
            check::openai_members(item, path, OUTPUT)?;
            if item["output"].is_null() {
                return Err(check::missing(&format!("{path}.output")));
            }
            call_id(item, path)
        }
        "reasoning" => {
            check::openai_members(item, path, REASONING)?;
            id(&item["id"], path, "rs")?;
            if !item["summary"].is_array() {
                return Err(check::missing(&format!("{path}.summary")));
            }
            sealed(item, seal)
        }
        _ => Ok(()),
    }
}

fn call_id(item: &Value, path: &str) -> Checked<()> {
    let Some(id) = item["call_id"].as_str() else { return Err(check::missing(&format!("{path}.call_id"))) };
    match id.chars().count() {
        len if len > 64 => Err(check::too_long(&format!("{path}.call_id"), 64, len)),
        _ => Ok(()),
    }
}

/// Item ids name the kind of their item.
fn id(id: &Value, path: &str, prefix: &str) -> Checked<()> {
    match id.as_str() {
        Some(id) if !id.starts_with(prefix) => {
            Err(Refusal::invalid(format!("Invalid '{path}.id': '{id}'. Expected an ID that begins with '{prefix}'."))
                .param(format!("{path}.id"))
                .code("invalid_value"))
        }
        _ => Ok(()),
    }
}

/// Encrypted reasoning is readable only where it was made.
fn sealed(item: &Value, seal: &str) -> Checked<()> {
    match item["encrypted_content"].as_str() {
        Some(text) if !text.starts_with(seal) => Err(Refusal::invalid(format!(
            "The encrypted content for item {} could not be verified. Reason: Encrypted content could not be decrypted or \
             parsed.",
            item["id"].as_str().unwrap_or_default()
        ))
        .code("invalid_encrypted_content")),
        _ => Ok(()),
    }
}

fn message(item: &Value, path: &str) -> Checked<()> {
    if item["role"].is_null() {
        return Err(check::missing(&format!("{path}.role")));
    }
    check::one_of(&item["role"], &format!("{path}.role"), &["assistant", "system", "developer", "user"])?;
    check::openai_members(item, path, MESSAGE)?;
    let Some(parts) = item["content"].as_array() else {
        return match item["content"].is_string() {
            true => Ok(()),
            false => Err(check::missing(&format!("{path}.content"))),
        };
    };
    let kinds: &[&str] = match item["role"].as_str() {
        Some("assistant") => &["output_text", "refusal"],
        _ => &["input_text", "input_image", "input_file", "input_audio"],
    };
    for (k, part) in parts.iter().enumerate() {
        let path = format!("{path}.content[{k}]");
        check::one_of(&part["type"], &format!("{path}.type"), kinds)?;
        match part["type"].as_str() {
            Some("input_text" | "output_text") if !part["text"].is_string() => {
                return Err(check::missing(&format!("{path}.text")));
            }
            Some("input_image") if part["file_id"].is_null() => picture(part["image_url"].as_str(), "input")?,
            _ => {}
        }
    }
    Ok(())
}

/// Every call has its output, and every output its call.
fn links(items: &[Value]) -> Checked<()> {
    let calls = call_ids(items, ["function_call", "custom_tool_call"]);
    let outputs = call_ids(items, ["function_call_output", "custom_tool_call_output"]);
    if let Some(orphan) = outputs.iter().find(|id| !calls.contains(id)) {
        return Err(Refusal::invalid(format!("No tool call found for function call output with call_id {orphan}."))
            .param("input"));
    }
    match calls.iter().find(|id| !outputs.contains(id)) {
        Some(open) => Err(Refusal::invalid(format!("No tool output found for function call {open}.")).param("input")),
        None => Ok(()),
    }
}

fn call_ids<'a>(items: &'a [Value], kinds: [&str; 2]) -> Vec<&'a str> {
    let found = items.iter().filter(|item| kinds.iter().any(|kind| item["type"] == *kind));
    found.filter_map(|item| item["call_id"].as_str()).collect()
}
