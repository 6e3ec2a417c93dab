//! What the real APIs demand of a conversation; shares nothing with the code under test.

use serde_json::Value;

use crate::Dialect;

/// Whose an item is: `system`, `user`, `reasoning`, or another word.
pub fn role(item: &Value) -> &str {
    match item["role"].as_str() {
        Some("developer") => "system",
        Some(role) => role,
        None => item["type"].as_str().unwrap_or_default(),
    }
}

pub fn valid(dialect: Dialect, items: &[Value]) -> Result<(), String> {
    if !items.iter().any(|i| role(i) == "user") {
        return Err("nobody asks".into());
    }
    match dialect {
        Dialect::Chat => chat(items),
        Dialect::Messages => messages(items),
        Dialect::Responses => responses(items),
    }
}

/// Behind a turn with calls come their results, all of them and nothing else.
fn chat(items: &[Value]) -> Result<(), String> {
    let mut open: Vec<&Value> = vec![];
    for item in items {
        if role(item) == "tool" {
            let i = open.iter().position(|id| **id == item["tool_call_id"]).ok_or(format!("orphan result: {item}"))?;
            open.remove(i);
            continue;
        }
        if !open.is_empty() {
            return Err(format!("unanswered before {item}"));
        }
        open = item["tool_calls"].as_array().into_iter().flatten().map(|c| &c["id"]).collect();
    }
    if open.is_empty() { Ok(()) } else { Err("unanswered at the end".into()) }
}

/// User first, then in turn; results first in the turn behind their calls; thinking first in a loop of tools.
fn messages(items: &[Value]) -> Result<(), String> {
    let none = vec![];
    let mut last = "assistant";
    let mut open: Vec<&Value> = vec![];
    let mut answered = false;
    for item in items.iter().filter(|i| role(i) != "system") {
        if role(item) == last {
            return Err(format!("twice in turn: {item}"));
        }
        last = role(item);
        let blocks = item["content"].as_array().unwrap_or(&none);
        let of = |kind: &'static str| blocks.iter().filter(move |b| b["type"] == kind);
        let results: Vec<&Value> = of("tool_result").map(|b| &b["tool_use_id"]).collect();
        if results.len() != open.len() || !results.iter().all(|id| open.contains(id)) {
            return Err(format!("results {results:?} of {open:?}"));
        }
        if !blocks[..results.len()].iter().all(|b| b["type"] == "tool_result") {
            return Err("results must come first".into());
        }
        open = of("tool_use").map(|b| &b["id"]).collect();
        if !open.is_empty() && !answered && blocks[0]["type"] != "thinking" {
            return Err(format!("expected thinking: {item}"));
        }
        answered = !results.is_empty();
    }
    if open.is_empty() { Ok(()) } else { Err("unanswered at the end".into()) }
}

/// Each call has its output behind it, each output its call, and reasoning what it was about.
fn responses(items: &[Value]) -> Result<(), String> {
    let mut open: Vec<&Value> = vec![];
    for (i, item) in items.iter().enumerate() {
        match role(item) {
            "function_call" => open.push(&item["call_id"]),
            "function_call_output" => {
                let at = open.iter().position(|id| **id == item["call_id"]).ok_or(format!("orphan output: {item}"))?;
                open.remove(at);
            }
            "reasoning"
                if !items
                    .get(i + 1)
                    .is_some_and(|n| matches!(role(n), "function_call" | "assistant" | "reasoning")) =>
            {
                return Err(format!("reasoning alone: {item}"));
            }
            _ => {}
        }
    }
    if open.is_empty() { Ok(()) } else { Err(format!("unanswered: {open:?}")) }
}
