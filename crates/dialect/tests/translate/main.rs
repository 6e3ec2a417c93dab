//! The translation checklist between Chat Completions and Messages: exact JSON on both sides, each test named by its
//! line of the list.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "helpers of tests")]

mod answers;
mod errors;
mod from_chat;
mod from_messages;
mod laws;
mod order;
mod streams;

use bytes::Bytes;
use dialect::{
    Context, Dialect, StreamTranslator, TargetModel, capability,
    sse::{Frame, Splitter},
    translate_request,
};
use serde_json::{Value, json};

/// A model of the target, by what is asked of it.
const CLAUDE: &str = "claude-haiku-4-5";
const GPT: &str = "gpt-4o";

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

fn other(caller: Dialect) -> Dialect {
    if caller == Dialect::Chat { Dialect::Messages } else { Dialect::Chat }
}

/// What goes to the provider, and what was lost; a sentence where it is refused.
fn sent(caller: Dialect, model: &str, body: &Value) -> Result<(Value, Vec<String>), String> {
    let done = translate_request(caller, other(caller), body.to_string().as_bytes(), &target(model));
    done.map(|d| (serde_json::from_slice(&d.body).unwrap(), d.dropped)).map_err(|e| e.to_string())
}

/// The members of `caller`'s `extra` on an otherwise plain request, and the members that the provider gets for them.
fn members(caller: Dialect, model: &str, extra: &Value) -> (Value, Vec<String>) {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    if caller == Dialect::Messages {
        body["max_tokens"] = 9.into();
    }
    let plain = sent(caller, model, &body).unwrap().0;
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let (got, dropped) = sent(caller, model, &body).unwrap();
    let differs = got.as_object().unwrap().iter().filter(|(k, v)| plain.get(*k) != Some(v));
    (differs.map(|(k, v)| (k.clone(), v.clone())).collect::<serde_json::Map<_, _>>().into(), dropped)
}

/// The way back of a plain request.
fn context(caller: Dialect, extra: &Value) -> Context {
    let mut body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let body = body.to_string();
    translate_request(caller, other(caller), body.as_bytes(), &target("m")).unwrap().context
}

/// The events of a stream, in the caller's dialect; `Err` with what was said before, where it cannot go on.
fn streamed(context: &Context, frames: &[Value]) -> Result<Vec<Value>, Vec<Value>> {
    let mut translator = StreamTranslator::new(context);
    let mut out = vec![];
    for frame in frames {
        let text = frame.as_str().map_or_else(|| frame.to_string(), str::to_owned);
        match translator.push(&Frame::parse(Bytes::from(format!("data: {text}\n\n")))) {
            Ok(bytes) => out.extend(events(bytes)),
            Err(_) => return Err(out),
        }
    }
    Ok(out)
}

/// Events of bytes; a terminator that is no JSON as a string; the `event` field must agree with `type`.
fn events(bytes: Bytes) -> Vec<Value> {
    let mut splitter = Splitter::new(1 << 20);
    splitter.push(bytes);
    let mut out = vec![];
    while let Some(frame) = splitter.next_frame().unwrap() {
        let text = String::from_utf8_lossy(frame.data()).into_owned();
        let event: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        assert_eq!(frame.event(), event["type"].as_str().map(str::as_bytes), "event: and type");
        out.push(event);
    }
    out
}
