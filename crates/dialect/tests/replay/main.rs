//! Answers told as streams, and streams put together to answers again.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "helpers of tests")]

mod answers;
mod laws;
#[path = "../translate/order/mod.rs"]
mod order;
mod streams;

use bytes::Bytes;
use dialect::{AnswerOfStream, Dialect, Usage, sse::Frame};
use serde_json::Value;

/// More than any stream here has.
const ROOM: usize = 1 << 20;

/// What a stream amounts to.
fn assembled(dialect: Dialect, events: &[Bytes]) -> Option<Value> {
    counted(dialect, events, None)
}

fn counted(dialect: Dialect, events: &[Bytes], usage: Option<&Usage>) -> Option<Value> {
    let mut answer = AnswerOfStream::new(dialect, ROOM);
    for event in events {
        answer.frame(&Frame::parse(event.clone()));
    }
    answer.answer(usage).map(|bytes| serde_json::from_slice(&bytes).unwrap())
}

/// The data of events; a terminator that is not JSON as a string.
fn data(events: &[Bytes]) -> Vec<Value> {
    let one = |event: &Bytes| {
        let frame = Frame::parse(event.clone());
        let value = serde_json::from_slice(frame.data());
        let value: Value = value.unwrap_or_else(|_| String::from_utf8(frame.data().to_vec()).unwrap().into());
        if let Some(name) = frame.event() {
            assert_eq!(value["type"].as_str().unwrap().as_bytes(), name);
        }
        value
    };
    events.iter().map(one).collect()
}

/// An event with this data, in the form of the dialect.
fn event(dialect: Dialect, data: &Value) -> Bytes {
    match (dialect, data) {
        (_, Value::String(text)) => format!("data: {text}\n\n").into(),
        (Dialect::Chat, _) => format!("data: {data}\n\n").into(),
        _ => format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap()).into(),
    }
}
