//! A Chat answer as chunks.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{NoAnswer, members};

/// What every chunk says; the rest of what an answer says of itself is in the first alone.
const USUAL: [&str; 6] = ["id", "object", "created", "model", "service_tier", "system_fingerprint"];

struct Writer {
    usual: Map<String, Value>,
    rest: Map<String, Value>,
    include_usage: bool,
    out: Vec<Bytes>,
}

pub(super) fn events(mut answer: Map<String, Value>, include_usage: bool) -> Result<Vec<Bytes>, NoAnswer> {
    let choices = answer.remove("choices").and_then(|v| v.as_array().cloned()).filter(|all| !all.is_empty());
    let usage = answer.remove("usage").filter(|usage| !usage.is_null());
    answer.insert("object".into(), "chat.completion.chunk".into());
    let (usual, rest) = answer.into_iter().partition(|(name, _)| USUAL.contains(&name.as_str()));
    let mut writer = Writer { usual, rest, include_usage, out: vec![] };
    let mut ends = vec![];
    for (nth, choice) in choices.ok_or(NoAnswer)?.iter().enumerate() {
        ends.push(writer.choice(nth, choice)?);
    }
    for end in ends {
        writer.chunk(json!([end]), Value::Null);
    }
    if let Some(usage) = usage.filter(|_| include_usage) {
        writer.chunk(json!([]), usage);
    }
    writer.out.push(Bytes::from_static(b"data: [DONE]\n\n"));
    Ok(writer.out)
}

impl Writer {
    /// Writes all of a choice but its end, which is given back.
    fn choice(&mut self, nth: usize, choice: &Value) -> Result<Value, NoAnswer> {
        let (Some(message), true) = (choice["message"].as_object(), choice["finish_reason"].is_string()) else {
            return Err(NoAnswer);
        };
        let mut end = members(choice);
        end.remove("message");
        end.insert("index".into(), choice["index"].as_u64().unwrap_or(nth as u64).into());
        let index = end["index"].clone();
        let mut logprobs = end.insert("logprobs".into(), Value::Null).unwrap_or_default();
        let content = if message.get("content").is_some_and(Value::is_string) { json!("") } else { Value::Null };
        let mut deltas = vec![json!({"role": "assistant", "content": content, "refusal": null})];
        deltas.extend(message.iter().filter(|(name, _)| !LATE.contains(&name.as_str())).filter_map(one));
        deltas.extend(LATE.iter().filter_map(|name| one((&(*name).to_owned(), message.get(*name)?))));
        for (i, call) in message.get("tool_calls").and_then(Value::as_array).into_iter().flatten().enumerate() {
            deltas.extend(fragments(i, call));
        }
        for (i, delta) in deltas.into_iter().enumerate() {
            let is_text = i > 0 && (delta["content"].is_string() || delta["refusal"].is_string());
            let logprobs = if is_text { logprobs.take() } else { Value::Null };
            let choice = json!({"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": null});
            self.chunk(json!([choice]), Value::Null);
        }
        end.insert("logprobs".into(), logprobs);
        end.insert("delta".into(), json!({}));
        Ok(end.into())
    }

    fn chunk(&mut self, choices: Value, usage: Value) {
        let mut chunk = self.usual.clone();
        chunk.insert("choices".into(), choices);
        chunk.append(&mut self.rest);
        if self.include_usage {
            chunk.insert("usage".into(), usage);
        }
        self.out.push(format!("data: {}\n\n", Value::from(chunk)).into());
    }
}

/// Members of a message that come last, in this order; thoughts and notes come before. Calls come behind them.
const LATE: [&str; 5] = ["role", "tool_calls", "content", "refusal", "function_call"];

/// A member of a message as one delta, if it says anything that the first chunk does not.
fn one((name, value): (&String, &Value)) -> Option<Value> {
    let says_nothing = match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    let is_told = name == "role" || name == "tool_calls";
    (!says_nothing && !is_told).then(|| Value::Object(Map::from_iter([(name.clone(), value.clone())])))
}

/// A call in two: who is called, with what.
fn fragments(index: usize, call: &Value) -> Vec<Value> {
    let mut begun = members(call);
    begun.insert("index".into(), index.into());
    let arguments = begun.get_mut("function").and_then(|f| f.get_mut("arguments")).map(Value::take);
    let mut out = vec![];
    match arguments {
        Some(Value::String(text)) => {
            begun["function"]["arguments"] = "".into();
            let more = json!({"index": index, "function": {"arguments": text}});
            out.push(json!({"tool_calls": [begun]}));
            out.extend((!text.is_empty()).then(|| json!({"tool_calls": [more]})));
        }
        // Not as documented; told as it is.
        Some(other) => {
            begun["function"]["arguments"] = other;
            out.push(json!({"tool_calls": [begun]}));
        }
        None => out.push(json!({"tool_calls": [begun]})),
    }
    out
}
