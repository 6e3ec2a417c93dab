//! A whole answer told as the stream that it might have been.

mod chat;
mod messages;
mod responses;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::Dialect;

/// The text is no whole answer of the dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAnswer;

/// The events that an official SDK puts together to `answer` again, each with its blank line; a text is one piece.
/// `include_usage`: a Chat caller asked for the usage chunk; the other dialects always count.
///
/// # Errors
/// The answer is not JSON of the dialect's shape, or not over.
pub fn stream_of_answer(dialect: Dialect, answer: &[u8], include_usage: bool) -> Result<Vec<Bytes>, NoAnswer> {
    match dialect {
        Dialect::Chat => chat::events(object(answer)?, include_usage),
        Dialect::Messages => messages::events(object(answer)?, answer),
        Dialect::Responses => responses::events(object(answer)?, answer),
    }
}

fn object(text: &[u8]) -> Result<Map<String, Value>, NoAnswer> {
    serde_json::from_slice(text).map_err(|_| NoAnswer)
}

/// A value's members, or none.
fn members(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// An event of a dialect that names them.
fn event(name: &str, data: &str) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}
