//! A whole Responses answer, read and written.

use serde_json::{Value, json};

use super::{
    input::summary_text,
    output::{Content, Named, item, response, state},
};
use crate::{
    chat::arguments,
    model::{Answer, Call, Part, Seal, Stop, Text, Thought},
    names,
    translate::Context,
};

/// Reads an answer; `None` if it is not over, or has a call without a name.
pub(crate) fn read_answer(v: &Value) -> Option<Answer> {
    let status = v["status"].as_str().unwrap_or("unsaid");
    if matches!(status, "queued" | "in_progress" | "failed" | "cancelled") {
        return None;
    }
    let id = v["id"].as_str().unwrap_or_default();
    let mut parts: Vec<Part> = vec![];
    for (i, item) in v["output"].as_array()?.iter().enumerate() {
        match item["type"].as_str() {
            Some("message") => item["content"].as_array().into_iter().flatten().for_each(|p| say(&mut parts, p)),
            Some("reasoning") => {
                let thought = Thought { text: thought(item), seal: seal(item), by: String::new(), at: String::new() };
                parts.push(Part::Thought(thought));
            }
            Some("function_call" | "custom_tool_call") => parts.push(Part::Call(Call {
                id: call_id(item).unwrap_or_else(|| names::made_up(id, i)),
                name: item["name"].as_str()?.to_owned(),
                arguments: match item["input"].as_str() {
                    Some(input) => json!({"input": input}),
                    None => arguments(item["arguments"].as_str().unwrap_or_default()),
                },
                cache: None,
                at: String::new(),
            })),
            // Of tools that the provider runs itself.
            _ => {}
        }
    }
    let has_calls = parts.iter().any(|p| matches!(p, Part::Call(_)));
    let refused = parts.iter().any(|p| matches!(p, Part::Refusal(_)));
    Some(Answer {
        id: id.to_owned(),
        model: v["model"].as_str().unwrap_or_default().to_owned(),
        stop: stop(status, v, has_calls, refused),
        parts,
        usage: None,
    })
}

/// A part of a message; texts that follow each other are one.
fn say(parts: &mut Vec<Part>, p: &Value) {
    let text = |name: &str| p[name].as_str().filter(|t| !t.is_empty());
    match (p["type"].as_str(), parts.last_mut()) {
        (Some("output_text"), Some(Part::Text(last))) => last.text += text("text").unwrap_or_default(),
        (Some("output_text"), _) => {
            parts.extend(text("text").map(|t| Part::Text(Text { text: t.to_owned(), cache: None })));
        }
        (Some("refusal"), _) => parts.extend(text("refusal").map(|t| Part::Refusal(t.to_owned()))),
        _ => {}
    }
}

/// The summary of a reasoning item, or the reasoning itself where a server shows it.
fn thought(item: &Value) -> String {
    let summary = summary_text(&item["summary"]);
    if summary.is_empty() { summary_text(&item["content"]) } else { summary }
}

/// What proves a reasoning item to its provider.
pub(super) fn seal(item: &Value) -> Option<Seal> {
    let content = item["encrypted_content"].as_str().filter(|c| !c.is_empty())?.to_owned();
    Some(Seal::Encrypted { id: item["id"].as_str().unwrap_or_default().to_owned(), content })
}

/// The id that a call's result must name.
pub(super) fn call_id(item: &Value) -> Option<String> {
    let some = |name: &str| item[name].as_str().filter(|id| !id.is_empty());
    some("call_id").or_else(|| some("id")).map(str::to_owned)
}

/// Why a response ended; calls in it and a refusal say more than `completed`.
pub(super) fn stop(status: &str, response: &Value, has_calls: bool, refused: bool) -> Stop {
    match (status, response["incomplete_details"]["reason"].as_str()) {
        ("completed", _) if has_calls => Stop::Tools,
        ("completed", _) if refused => Stop::Refusal,
        ("completed", _) => Stop::End,
        ("incomplete", Some("max_output_tokens")) => Stop::Length,
        ("incomplete", Some("content_filter")) => Stop::Refusal,
        _ => Stop::Unknown,
    }
}

/// Writes an answer.
pub(crate) fn write_answer(a: &Answer, context: &Context) -> String {
    let named = Named::new(&a.id, a.model.clone());
    let refused = a.parts.iter().any(|p| matches!(p, Part::Refusal(_)));
    let state = state(&a.stop, refused);
    let parts = joined(&a.parts);
    let mut output = vec![];
    for (index, part) in parts.iter().enumerate() {
        let arguments;
        let content = match part {
            Part::Text(t) => Content::Text(&t.text),
            Part::Refusal(text) => Content::Refusal(text),
            Part::Thought(t) => Content::Thought { text: &t.text, seal: t.seal.as_ref() },
            Part::Call(c) => {
                arguments = c.arguments.to_string();
                Content::Call { id: &c.id, name: &c.name, arguments: &arguments }
            }
            // No answer holds them.
            Part::Image(_) | Part::Document { .. } | Part::Result(_) => continue,
        };
        // The last one is where it was cut.
        let is_cut = state.why == Some("max_output_tokens") && index + 1 == parts.len();
        let id = named.item(context, index, &content);
        output.push(item(context, &id, if is_cut { "incomplete" } else { "completed" }, &content));
    }
    response(context, &named, &state, &output.join(","), a.usage.as_ref())
}

/// The parts that say something; texts that follow each other are one.
fn joined(parts: &[Part]) -> Vec<Part> {
    let mut out: Vec<Part> = vec![];
    for part in parts {
        match (part, out.last_mut()) {
            (Part::Text(t), _) if t.text.is_empty() => {}
            (Part::Text(t), Some(Part::Text(last))) => last.text += &t.text,
            (Part::Thought(t), _) if t.text.is_empty() && t.seal.is_none() => {}
            _ => out.push(part.clone()),
        }
    }
    out
}
