//! A Chat answer from its chunks.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Lost, append, extend, keep};
use crate::{Usage, chat::usage_member};

/// What has come so far.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// What the chunks say of the answer.
    head: Map<String, Value>,
    choices: BTreeMap<u64, Choice>,
    usage: Option<Value>,
}

#[derive(Debug, Default)]
struct Choice {
    message: Map<String, Value>,
    calls: Vec<Call>,
    logprobs: Option<Map<String, Value>>,
    finish_reason: Option<Value>,
    rest: Map<String, Value>,
}

#[derive(Debug)]
struct Call {
    index: u64,
    call: Map<String, Value>,
}

impl Parts {
    pub(super) fn chunk(&mut self, chunk: Map<String, Value>) -> Result<(), Lost> {
        for (name, value) in chunk {
            match (name.as_str(), value) {
                // Padding, or told in a word of its own.
                ("object" | "obfuscation", _) => {}
                ("error", value) if !value.is_null() => return Err(Lost),
                // Some servers make these anew for each chunk.
                ("id" | "created" | "model" | "system_fingerprint", value) => {
                    self.head.entry(name).or_insert(value);
                }
                ("service_tier", value) => {
                    self.head.insert(name, value);
                }
                ("usage", value @ Value::Object(_)) => self.usage = Some(value),
                ("choices", Value::Array(choices)) => choices.into_iter().try_for_each(|c| self.choice(c))?,
                ("choices", _) => return Err(Lost),
                (_, value) => keep(&mut self.head, name, value)?,
            }
        }
        Ok(())
    }

    fn choice(&mut self, choice: Value) -> Result<(), Lost> {
        let Value::Object(said) = choice else { return Err(Lost) };
        let index = said.get("index").and_then(Value::as_u64).unwrap_or(0);
        let choice = self.choices.entry(index).or_default();
        for (name, value) in said {
            match (name.as_str(), value) {
                ("index", _) | ("delta" | "logprobs" | "finish_reason", Value::Null) => {}
                ("delta", Value::Object(delta)) => choice.delta(delta)?,
                ("logprobs", Value::Object(more)) => {
                    let logprobs = choice.logprobs.get_or_insert_default();
                    more.into_iter().try_for_each(|(name, value)| extend(logprobs, &name, value))?;
                }
                ("finish_reason", value) => choice.finish_reason = Some(value),
                (_, value) => keep(&mut choice.rest, name, value)?,
            }
        }
        Ok(())
    }

    pub(super) fn answer(self, counted: Option<&Usage>) -> Option<Bytes> {
        let mut out = self.head;
        out.insert("object".into(), "chat.completion".into());
        let mut choices = vec![];
        for (i, (index, choice)) in self.choices.into_iter().enumerate() {
            choices.push(choice.whole(index).filter(|_| index == i as u64)?);
        }
        if choices.is_empty() {
            return None;
        }
        out.insert("choices".into(), choices.into());
        if let Some(usage) = self.usage.or_else(|| serde_json::from_str(&usage_member(counted?)).ok()) {
            out.insert("usage".into(), usage);
        }
        Some(Value::from(out).to_string().into())
    }
}

impl Choice {
    fn delta(&mut self, delta: Map<String, Value>) -> Result<(), Lost> {
        for (name, value) in delta {
            match (name.as_str(), value) {
                ("role", Value::String(role)) if role == "assistant" => {}
                ("content" | "refusal" | "reasoning_content" | "reasoning", text) => {
                    append(&mut self.message, &name, &text)?;
                }
                ("annotations", list) => extend(&mut self.message, "annotations", list)?,
                ("tool_calls", Value::Array(calls)) => calls.into_iter().try_for_each(|c| self.call(c))?,
                ("function_call", Value::Object(more)) => {
                    let call = self.message.entry("function_call").or_insert_with(|| json!({}));
                    grow(call.as_object_mut().ok_or(Lost)?, more, "arguments")?;
                }
                // How the pieces of anything else go together is not known.
                (_, value) if super::is_nothing(&value) => {}
                _ => return Err(Lost),
            }
        }
        Ok(())
    }

    /// A fragment of a call. Some servers repeat id and name in each, some give all parallel calls the same index.
    fn call(&mut self, fragment: Value) -> Result<(), Lost> {
        let Value::Object(mut fragment) = fragment else { return Err(Lost) };
        let index = fragment.remove("index").and_then(|v| v.as_u64()).unwrap_or(0);
        let is_other = |own: &Call| {
            let (own, id) = (own.call.get("id").and_then(Value::as_str), fragment.get("id").and_then(Value::as_str));
            own.zip(id).is_some_and(|(own, id)| !id.is_empty() && own != id)
        };
        let found = self.calls.iter().rposition(|c| c.index == index).filter(|i| !is_other(&self.calls[*i]));
        let at = found.unwrap_or(self.calls.len());
        if found.is_none() {
            self.calls.push(Call { index, call: Map::new() });
        }
        let Some(Call { call, .. }) = self.calls.get_mut(at) else { return Err(Lost) };
        for (name, value) in fragment {
            match (name.as_str(), value) {
                ("function", Value::Object(more)) => {
                    let function = call.entry(name).or_insert_with(|| json!({}));
                    grow(function.as_object_mut().ok_or(Lost)?, more, "arguments")?;
                }
                ("custom", Value::Object(more)) => {
                    let custom = call.entry(name).or_insert_with(|| json!({}));
                    grow(custom.as_object_mut().ok_or(Lost)?, more, "input")?;
                }
                (_, value) => keep(call, name, value)?,
            }
        }
        Ok(())
    }

    fn whole(self, index: u64) -> Option<Value> {
        let Choice { mut message, calls, logprobs, finish_reason, rest } = self;
        let finish_reason = finish_reason.filter(Value::is_string)?;
        let calls: Vec<Value> = calls.into_iter().map(|c| c.call.into()).collect();
        // Nothing beside calls or a refusal is null; an empty answer is still text.
        let is_other = !calls.is_empty() || message.contains_key("refusal") || message.contains_key("function_call");
        if is_other && message.get("content").is_none_or(|c| c == "") {
            message.insert("content".into(), Value::Null);
        }
        let mut said = Map::from_iter([("role".to_owned(), Value::from("assistant"))]);
        said.insert("content".into(), message.remove("content").unwrap_or_default());
        said.insert("refusal".into(), message.remove("refusal").unwrap_or_default());
        said.append(&mut message);
        if !calls.is_empty() {
            said.insert("tool_calls".into(), calls.into());
        }
        let mut out = rest;
        out.insert("index".into(), index.into());
        out.insert("message".into(), said.into());
        out.insert("logprobs".into(), logprobs.map_or(Value::Null, Value::from));
        out.insert("finish_reason".into(), finish_reason);
        Some(out.into())
    }
}

/// Adds to a call: the text under `grows` goes on, anything else may only be told again.
fn grow(call: &mut Map<String, Value>, more: Map<String, Value>, grows: &str) -> Result<(), Lost> {
    more.into_iter().try_for_each(|(name, value)| match name == grows {
        true => append(call, grows, &value),
        false => keep(call, name, value),
    })
}
