//! A whole Chat answer, read and written.

use serde_json::{Value, json};

use super::read::arguments;
use crate::{
    Dialect,
    edit::quoted,
    model::{Answer, Call, Part, Stop, Text, Thought},
    names,
    translate::Context,
    usage::Usage,
};

/// Reads an answer; `None` if it has no choice, or a call without a name. Of several choices the first is taken.
pub(crate) fn read_answer(v: &Value) -> Option<Answer> {
    let choice = v["choices"].as_array()?.first()?;
    let message = &choice["message"];
    let mut parts = vec![];
    if let Some(text) = thought(message) {
        parts.push(Part::Thought(Thought { text: text.to_owned(), seal: None, by: String::new(), at: String::new() }));
    }
    if let Some(text) = message["content"].as_str().filter(|t| !t.is_empty()) {
        parts.push(Part::Text(Text { text: text.to_owned(), cache: None }));
    }
    let refusal = message["refusal"].as_str().filter(|t| !t.is_empty());
    parts.extend(refusal.map(|r| Part::Refusal(r.to_owned())));
    let id = v["id"].as_str().unwrap_or_default();
    for (i, call) in message["tool_calls"].as_array().into_iter().flatten().enumerate() {
        let f = &call["function"];
        let arguments = match &f["arguments"] {
            // Not as documented, but some servers send the object itself.
            object @ Value::Object(_) => object.clone(),
            text => arguments(text.as_str().unwrap_or_default()),
        };
        parts.push(Part::Call(Call {
            id: call["id"].as_str().filter(|c| !c.is_empty()).map_or_else(|| names::made_up(id, i), str::to_owned),
            name: f["name"].as_str()?.to_owned(),
            arguments,
            cache: None,
            at: String::new(),
        }));
    }
    let has_calls = parts.iter().any(|p| matches!(p, Part::Call(_)));
    Some(Answer {
        id: id.to_owned(),
        model: v["model"].as_str().unwrap_or_default().to_owned(),
        stop: stop(choice["finish_reason"].as_str(), has_calls, refusal.is_some()),
        parts,
        usage: None,
    })
}

/// What a message, or a delta, says of the thought behind it: not as documented, but as vLLM (`reasoning`, before 0.12
/// `reasoning_content`) and DeepSeek have it.
pub(super) fn thought(message: &Value) -> Option<&str> {
    let named = |name: &str| message[name].as_str().filter(|t| !t.is_empty());
    named("reasoning_content").or_else(|| named("reasoning"))
}

/// A finish reason; calls in the answer and a refusal say more than the word `stop`.
pub(crate) fn stop(reason: Option<&str>, has_calls: bool, refused: bool) -> Stop {
    match reason {
        Some("stop") if has_calls => Stop::Tools,
        Some("stop") if refused => Stop::Refusal,
        Some("stop") => Stop::End,
        Some("length") => Stop::Length,
        Some("tool_calls" | "function_call") => Stop::Tools,
        Some("content_filter") => Stop::Refusal,
        _ => Stop::Unknown,
    }
}

/// A finish reason's word. What is not known is told as `length`: incomplete, never a clean stop. `refused`: in words.
pub(super) fn finish_reason(stop: &Stop, refused: bool) -> &'static str {
    match stop {
        Stop::Refusal if refused => "stop",
        Stop::End | Stop::Sequence(_) => "stop",
        Stop::Tools => "tool_calls",
        Stop::Length | Stop::Unknown => "length",
        Stop::Refusal => "content_filter",
    }
}

/// Writes an answer.
pub(crate) fn write_answer(a: &Answer, context: &Context) -> String {
    let mut text = String::new();
    let mut refusal: Option<String> = None;
    let mut calls: Vec<Value> = vec![];
    for part in &a.parts {
        match part {
            Part::Text(t) => text.push_str(&t.text),
            Part::Refusal(t) => refusal.get_or_insert_default().push_str(t),
            Part::Call(c) => calls.push(json!({
                "id": c.id, "type": "function",
                "function": {"name": context.restore(&c.name), "arguments": c.arguments.to_string()},
            })),
            // A thought must not become visible text.
            _ => {}
        }
    }
    // Nothing beside calls or a refusal is null; an empty answer is still text.
    let is_null = text.is_empty() && (!calls.is_empty() || refusal.is_some());
    let null = || "null".to_owned();
    let content = if is_null { null() } else { quoted(&text) };
    let calls = if calls.is_empty() { String::new() } else { format!(",\"tool_calls\":{}", Value::from(calls)) };
    let usage = a.usage.as_ref().map_or_else(String::new, |u| counted(u, context));
    format!(
        "{{\"id\":{},\"object\":\"chat.completion\",\"created\":{},\"model\":{},\"choices\":[{{\"index\":0,\"message\":\
         {{\"role\":\"assistant\",\"content\":{content},\"refusal\":{}{calls}}},\"logprobs\":null,\
         \"finish_reason\":\"{}\"}}]{usage}}}",
        quoted(&chat_id(&a.id)),
        context.created,
        quoted(&a.model),
        refusal.as_deref().map_or_else(null, quoted),
        finish_reason(&a.stop, refusal.is_some()),
    )
}

/// The count, and the service tier beside it, each with a comma in front.
pub(super) fn counted(u: &Usage, context: &Context) -> String {
    let tier = u.tier(context.provider, Dialect::Chat).map(|t| format!(",\"service_tier\":{}", quoted(t)));
    format!("{},\"usage\":{}", tier.unwrap_or_default(), usage(u))
}

pub(super) fn chat_id(id: &str) -> String {
    format!("chatcmpl-{}", names::bare(id))
}

/// The count in Chat's words: cached and written tokens are inside the prompt's.
pub(crate) fn usage(u: &Usage) -> String {
    let Usage { input, cached, output, reasoning, .. } = u;
    format!(
        "{{\"prompt_tokens\":{input},\"completion_tokens\":{output},\"total_tokens\":{},\"prompt_tokens_details\":\
         {{\"cached_tokens\":{cached},\"cache_write_tokens\":{},\"audio_tokens\":0}},\"completion_tokens_details\":\
         {{\"reasoning_tokens\":{reasoning},\"audio_tokens\":0,\"accepted_prediction_tokens\":0,\
         \"rejected_prediction_tokens\":0}}}}",
        input.saturating_add(*output),
        u.cache_write + u.cache_write_long,
    )
}
