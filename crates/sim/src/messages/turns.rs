//! What Messages refuses in a conversation.

use serde_json::Value;

use super::blocks;
use crate::catalog::Model;
use crate::check::{self, Checked};
use crate::refusal::Refusal;

pub(crate) fn checked(body: &Value, model: &Model) -> Checked<()> {
    let Some(turns) = body["messages"].as_array() else {
        return Err(Refusal::invalid("messages: Input should be a valid list"));
    };
    if turns.is_empty() {
        return Err(Refusal::invalid("messages: at least one message is required"));
    }
    for (i, turn) in turns.iter().enumerate() {
        one(turn, i, i + 1 == turns.len())?;
    }
    if turns[0]["role"] != "user" {
        return Err(Refusal::invalid("messages: first message must use the \"user\" role"));
    }
    last(turns, model)?;
    links(turns)?;
    thinking_first(body, turns)
}

fn one(turn: &Value, i: usize, is_last: bool) -> Checked<()> {
    let path = format!("messages.{i}");
    let members: &[&str] = match turn["role"].as_str() {
        Some("system") => &["role", "content", "output_config", "clear_at"],
        _ => &["role", "content"],
    };
    check::anthropic_members(turn, &path, members)?;
    let role = match turn["role"].as_str() {
        Some(role @ ("user" | "assistant" | "system")) => role,
        Some(other) => {
            return Err(Refusal::invalid(format!(
                "messages: Unexpected role \"{other}\". Allowed roles are \"user\" or \"assistant\""
            )));
        }
        None => return Err(check::required(&format!("{path}.role"))),
    };
    match &turn["content"] {
        Value::Null => Err(check::required(&format!("{path}.content"))),
        Value::String(text) if text.is_empty() => match is_last && role == "assistant" {
            true => Ok(()),
            false => Err(empty(&path, role)),
        },
        Value::String(_) => Ok(()),
        Value::Array(list) if list.is_empty() && !(is_last && role == "assistant") => Err(empty(&path, role)),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .try_for_each(|(k, block)| blocks::checked(block, &format!("{path}.content.{k}"), role)),
        _ => Err(Refusal::invalid(format!("{path}.content: Input should be a valid list"))),
    }
}

fn empty(path: &str, role: &str) -> Refusal {
    match role {
        "user" => Refusal::invalid(format!("{path}: user messages must have non-empty content")),
        _ => Refusal::invalid(format!(
            "{path}: all messages must have non-empty content except for the optional final assistant message"
        )),
    }
}

/// A final assistant turn is a beginning to go on from, which not every model takes.
fn last(turns: &[Value], model: &Model) -> Checked<()> {
    let Some(turn) = turns.last().filter(|turn| turn["role"] == "assistant") else { return Ok(()) };
    if model.refuses.prefill {
        return Err(Refusal::invalid(
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        ));
    }
    let text = match &turn["content"] {
        Value::String(text) => Some(text.as_str()),
        content => content.as_array().and_then(|list| list.last()).and_then(|block| block["text"].as_str()),
    };
    match text.is_some_and(|text| text.trim_end() != text) {
        true => Err(Refusal::invalid("messages: final assistant content cannot end with trailing whitespace")),
        false => Ok(()),
    }
}

fn ids<'a>(turn: &'a Value, kind: &str, member: &str) -> Vec<&'a str> {
    let list = turn["content"].as_array().into_iter().flatten();
    list.filter(|block| block["type"] == kind).filter_map(|block| block[member].as_str()).collect()
}

/// Results stand in the turn after their calls, before anything else.
fn links(turns: &[Value]) -> Checked<()> {
    // Neighbours of one role are one turn to the model.
    let mut calls: Vec<&str> = Vec::new();
    let mut called_at = 0;
    for (i, turn) in turns.iter().enumerate() {
        let results = ids(turn, "tool_result", "tool_use_id");
        for (k, id) in results.iter().enumerate() {
            if results[..k].contains(id) {
                return Err(Refusal::invalid(format!(
                    "messages.{i}.content.{k}: each tool_use must have a single result. Found multiple `tool_result` \
                     blocks with id: {id}"
                )));
            }
            if !calls.contains(id) {
                return Err(Refusal::invalid(format!(
                    "messages.{i}.content.{k}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each \
                     `tool_result` block must have a corresponding `tool_use` block in the previous message."
                )));
            }
        }
        let open: Vec<&str> = calls.iter().filter(|id| !results.contains(id)).copied().collect();
        let goes_on = turn["role"] == "user" && turns.get(i + 1).is_some_and(|next| next["role"] == "user");
        if goes_on || turn["role"] == "system" {
            calls = open;
        } else {
            unanswered(&open, called_at)?;
            calls = ids(turn, "tool_use", "id");
            called_at = i;
        }
    }
    unanswered(&calls, called_at)
}

fn unanswered(open: &[&str], at: usize) -> Checked<()> {
    match open.is_empty() {
        true => Ok(()),
        false => Err(Refusal::invalid(format!(
            "messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each \
             `tool_use` block must have a corresponding `tool_result` block in the next message.",
            open.join(", ")
        ))),
    }
}

/// With `thinking: enabled`, a turn whose tools are being answered begins with its thinking.
fn thinking_first(body: &Value, turns: &[Value]) -> Checked<()> {
    if body["thinking"]["type"] != "enabled" {
        return Ok(());
    }
    let Some((at, turn)) = turns.iter().enumerate().rfind(|(_, turn)| turn["role"] == "assistant") else {
        return Ok(());
    };
    let first = turn["content"].as_array().and_then(|list| list.first()).and_then(|block| block["type"].as_str());
    let called = !ids(turn, "tool_use", "id").is_empty();
    match first {
        Some(kind) if called && kind != "thinking" && kind != "redacted_thinking" => Err(Refusal::invalid(format!(
            "messages.{at}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{kind}`. When \
             `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the \
             lastmost set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from \
             previous turns. To avoid this requirement, disable `thinking`."
        ))),
        _ => Ok(()),
    }
}
