//! Conversations that the provider keeps: `thread`.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::write::{self, Head};
use crate::answer::Ctx;
use crate::check::{self, Checked};
use crate::refusal::Refusal;
use crate::turn::Turn;

const BETA: &str = "message-threads-";
/// What a thread has from the request that began it.
const FIXED: &[&str] = &["system", "tools"];

/// The body with what its thread holds.
pub(crate) fn whole<'a>(body: &'a Value, ctx: &Ctx<'_>) -> Checked<Cow<'a, Value>> {
    let thread = &body["thread"];
    if thread.is_null() {
        return Ok(Cow::Borrowed(body));
    }
    if !ctx.betas.is_some_and(|betas| betas.contains(BETA)) {
        return Err(check::extra("thread"));
    }
    match thread["type"].as_str() {
        Some("create") => Ok(Cow::Borrowed(body)),
        Some("continue") => going_on(body, ctx).map(Cow::Owned),
        _ => Err(Refusal::invalid("thread: Input should have `type` 'create' or 'continue'")),
    }
}

fn going_on(body: &Value, ctx: &Ctx<'_>) -> Checked<Value> {
    let Some(id) = body["thread"]["previous_message_id"].as_str() else {
        return Err(check::required("thread.continue.previous_message_id"));
    };
    if let Some(fixed) = FIXED.iter().find(|name| !body[**name].is_null()) {
        return Err(Refusal::invalid(format!("{fixed}: a thread that goes on has it from its first request")));
    }
    let Some(mut kept) = ctx.memory.thread(id) else {
        let why = format!("thread: no thread goes on from message {id}");
        return Err(Refusal::new(404, "not_found_error", why).code("thread_not_found"));
    };
    let mut whole = body.clone();
    let mut messages = kept["messages"].as_array().cloned().unwrap_or_default();
    messages.extend(body["messages"].as_array().into_iter().flatten().cloned());
    whole["messages"] = messages.into();
    for name in FIXED {
        if let Some(value) = kept.get_mut(name).map(Value::take) {
            whole[*name] = value;
        }
    }
    Ok(whole)
}

/// Keeps a thread with its new answer.
pub(crate) fn keep(body: &Value, head: &Head, turn: &Turn, ctx: &Ctx<'_>) {
    if body["thread"].is_null() {
        return;
    }
    let said = serde_json::from_str::<Value>(&write::message(head, turn)).unwrap_or_default();
    let mut kept = body.clone();
    if let Some(messages) = kept["messages"].as_array_mut() {
        messages.push(json!({"role": "assistant", "content": said["content"]}));
    }
    ctx.memory.keep_thread(head.id.clone(), kept);
}
