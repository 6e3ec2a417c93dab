//! Translation between the three formats: cases as files (`tests/cases`), the checklist that they cover, and laws that
//! hold for any two formats.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "helpers of tests")]

mod capability;
mod cases;
mod coverage;
mod errors;
mod laws;
mod order;
mod rows;
mod structured;

use bytes::Bytes;
use dialect::{
    Dialect::{self, Chat, Messages, Responses},
    TargetModel, Translated, Untranslatable, capability, read_head,
    sse::Splitter,
    translate_request,
};
use serde_json::{Value, json};

const DIALECTS: [Dialect; 3] = [Chat, Responses, Messages];

fn name(dialect: Dialect) -> &'static str {
    match dialect {
        Chat => "chat",
        Responses => "responses",
        Messages => "messages",
    }
}

/// Caller and provider, all that differ.
fn pairs() -> Vec<(Dialect, Dialect)> {
    DIALECTS.into_iter().flat_map(|a| DIALECTS.map(|b| (a, b))).filter(|(a, b)| a != b).collect()
}

fn target(model: &str) -> TargetModel<'_> {
    TargetModel {
        provider: "p",
        model,
        default_max_tokens: None,
        most_tokens: None,
        capability: capability(model),
        now: 1,
    }
}

/// A body as a request to a provider of another format.
fn translate(
    caller: Dialect,
    provider: Dialect,
    body: &Value,
    to: &TargetModel<'_>,
) -> Result<Translated, Untranslatable> {
    let body = Bytes::from(body.to_string());
    let head = read_head(caller, &body).unwrap_or_default();
    translate_request(caller, provider, &body, &head, to)
}

/// A request that asks for a stream, with counts.
fn plain_request(caller: Dialect) -> Value {
    let messages = json!([{"role": "user", "content": "hi"}]);
    match caller {
        Chat => json!({"model": "m", "messages": messages, "stream": true, "stream_options": {"include_usage": true}}),
        Responses => json!({"model": "m", "input": "hi", "stream": true}),
        Messages => json!({"model": "m", "max_tokens": 9, "messages": messages, "stream": true}),
    }
}

/// Events of bytes; a terminator that is no JSON as a string. They are framed as their dialect frames them.
fn events(dialect: Dialect, bytes: Bytes) -> Vec<Value> {
    let mut splitter = Splitter::new(1 << 20);
    splitter.push(bytes);
    let mut out = vec![];
    while let Some(frame) = splitter.next_frame().unwrap() {
        let text = String::from_utf8_lossy(frame.data()).into_owned();
        let event: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        let name = event["type"].as_str().filter(|_| dialect != Chat).map(str::as_bytes);
        assert_eq!(frame.event(), name, "event: and type");
        out.push(event);
    }
    out
}
