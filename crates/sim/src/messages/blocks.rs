//! What Messages refuses in a content block.

use serde_json::Value;

use crate::check::{self, Checked};
use crate::image;
use crate::refusal::Refusal;

/// How the simulator's own thinking signatures begin.
pub(crate) const SIGNATURE: &str = "EqsimSIGN";

/// The system prompt: text, or text blocks.
pub(crate) fn system(system: &Value) -> Checked<()> {
    match system {
        Value::Null | Value::String(_) => Ok(()),
        Value::Array(parts) => parts.iter().enumerate().try_for_each(|(i, part)| {
            if part["type"] != "text" {
                return Err(Refusal::invalid(format!("system.{i}.type: Input should be 'text'")));
            }
            text(part, &format!("system.{i}"), "system")
        }),
        _ => Err(Refusal::invalid("system: Input should be a valid list")),
    }
}

/// One block of a turn.
pub(crate) fn checked(block: &Value, path: &str, role: &str) -> Checked<()> {
    let Some(kind) = block["type"].as_str() else { return Err(check::required(&format!("{path}.type"))) };
    match kind {
        "text" => text(block, &format!("{path}.text"), "messages"),
        "image" => picture(block, &format!("{path}.image")),
        "tool_use" => {
            wrong_role(role == "user", kind, role)?;
            tool_use(block, &format!("{path}.tool_use"))
        }
        "tool_result" => {
            wrong_role(role == "assistant", kind, role)?;
            tool_result(block, &format!("{path}.tool_result"))
        }
        "thinking" => {
            wrong_role(role == "user", kind, role)?;
            thinking(block, path)
        }
        "redacted_thinking" => {
            wrong_role(role == "user", kind, role)?;
            check::anthropic_members(block, &format!("{path}.redacted_thinking"), &["type", "data"])
        }
        "document" | "search_result" | "server_tool_use" | "container_upload" | "compaction" | "mcp_tool_use" => Ok(()),
        other if other.ends_with("_tool_result") || other.ends_with("_tool_use") => Ok(()),
        other => Err(Refusal::invalid(format!(
            "{path}: Input tag '{other}' found using 'type' does not match any of the expected tags: 'document', \
             'image', 'redacted_thinking', 'search_result', 'server_tool_use', 'text', 'thinking', 'tool_result', \
             'tool_use', 'web_search_tool_result'"
        ))),
    }
}

fn wrong_role(wrong: bool, kind: &str, role: &str) -> Checked<()> {
    match wrong {
        true => Err(Refusal::invalid(format!("messages: `{kind}` blocks are not allowed in `{role}` messages"))),
        false => Ok(()),
    }
}

fn text(block: &Value, path: &str, what: &str) -> Checked<()> {
    check::anthropic_members(block, path, &["type", "text", "cache_control", "citations"])?;
    match block["text"].as_str() {
        None => Err(check::required(&format!("{path}.text"))),
        Some("") if !block["cache_control"].is_null() => {
            Err(Refusal::invalid(format!("{path}: cache_control cannot be set for empty text blocks")))
        }
        Some("") => Err(Refusal::invalid(format!("{what}: text content blocks must be non-empty"))),
        Some(text) if text.trim().is_empty() => {
            Err(Refusal::invalid(format!("{what}: text content blocks must contain non-whitespace text")))
        }
        Some(_) => Ok(()),
    }
}

fn picture(block: &Value, path: &str) -> Checked<()> {
    check::anthropic_members(block, path, &["type", "source", "cache_control", "transformations"])?;
    let source = &block["source"];
    match source["type"].as_str() {
        Some("base64") => {
            let path = format!("{path}.source.base64");
            check::anthropic_members(source, &path, &["type", "media_type", "data"])?;
            if !source["media_type"].as_str().is_some_and(|media| image::TYPES.contains(&media)) {
                return Err(Refusal::invalid(format!(
                    "{path}.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'"
                )));
            }
            match source["data"].as_str() {
                None => Err(check::required(&format!("{path}.data"))),
                Some(data) if !image::is_base64(data) => Err(Refusal::invalid(format!(
                    "{path}.data: The image was specified using the image/base64 media \
                         type, but the data is not valid base64"
                ))),
                Some(_) => Ok(()),
            }
        }
        Some("url") => {
            check::anthropic_members(source, &format!("{path}.source.url"), &["type", "url"])?;
            match source["url"].as_str().is_some_and(|url| url.starts_with("https://")) {
                true => Ok(()),
                false => Err(Refusal::invalid(format!("{path}.source.url.url: Only HTTPS URLs are supported."))),
            }
        }
        Some("file") => Ok(()),
        _ => Err(Refusal::invalid(format!(
            "{path}.source: Input tag does not match any of the expected tags: 'base64', 'file', 'url'"
        ))),
    }
}

fn tool_use(block: &Value, path: &str) -> Checked<()> {
    check::anthropic_members(block, path, &["type", "id", "name", "input", "cache_control", "caller", "toolset_name"])?;
    identifier(&block["id"], &format!("{path}.id"))?;
    let Some(name) = block["name"].as_str() else { return Err(check::required(&format!("{path}.name"))) };
    if name.chars().count() > 200 {
        return Err(Refusal::invalid(format!("{path}.name: String should have at most 200 characters")));
    }
    match &block["input"] {
        Value::Null => Err(check::required(&format!("{path}.input"))),
        Value::Object(_) => Ok(()),
        _ => Err(Refusal::invalid(format!("{path}.input: Input should be a valid dictionary"))),
    }
}

fn tool_result(block: &Value, path: &str) -> Checked<()> {
    const MEMBERS: &[&str] = &["type", "tool_use_id", "content", "is_error", "cache_control", "toolset_name"];
    check::anthropic_members(block, path, MEMBERS)?;
    identifier(&block["tool_use_id"], &format!("{path}.tool_use_id"))?;
    for (i, part) in block["content"].as_array().into_iter().flatten().enumerate() {
        let path = format!("{path}.content.{i}");
        match part["type"].as_str() {
            Some("text") => text(part, &format!("{path}.text"), "messages")?,
            Some("image") => picture(part, &format!("{path}.image"))?,
            Some("document" | "search_result" | "tool_reference") => {}
            _ => {
                return Err(Refusal::invalid(format!(
                    "{path}: Input tag does not match any of the expected tags: 'document', 'image', 'search_result', 'text'"
                )));
            }
        }
    }
    Ok(())
}

fn identifier(id: &Value, path: &str) -> Checked<()> {
    match id.as_str() {
        None => Err(check::required(path)),
        Some(id) if id.is_empty() || !check::plain(id) => {
            Err(Refusal::invalid(format!("{path}: String should match pattern '^[a-zA-Z0-9_-]+$'")))
        }
        Some(_) => Ok(()),
    }
}

fn thinking(block: &Value, path: &str) -> Checked<()> {
    let at = format!("{path}.thinking");
    check::anthropic_members(block, &at, &["type", "thinking", "signature"])?;
    let Some(text) = block["thinking"].as_str() else { return Err(check::required(&format!("{at}.thinking"))) };
    let Some(signature) = block["signature"].as_str() else { return Err(check::required(&format!("{at}.signature"))) };
    match signature == signed(text) || (text.is_empty() && signature.starts_with(SIGNATURE)) {
        true => Ok(()),
        false => Err(Refusal::invalid(format!("{path}: Invalid `signature` in `thinking` block"))),
    }
}

/// The signature of a thinking text.
pub(crate) fn signed(text: &str) -> String {
    let mut hash = crate::memory::Prefix::default();
    hash.add(text);
    format!("{SIGNATURE}{:016x}{:016x}==", hash.key(), hash.key().rotate_left(17))
}
