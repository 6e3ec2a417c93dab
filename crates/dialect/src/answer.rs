//! A plain 200: is it an answer, and what did it count.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    Dialect,
    fault::{Fault, of_value},
    json,
    usage::{Anthropic, OpenAi, Usage},
};

/// What is used of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerHead {
    /// What the provider counted.
    pub usage: Option<Usage>,
}

/// A 200 that is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerFault {
    /// Nothing.
    Empty,
    /// HTML, a stream, a cut document.
    NotJson,
    /// An error object.
    ErrorObject(Box<Fault>),
    /// JSON of another shape: no choices, no output, no content.
    WrongShape,
}

/// The members that make an answer; long values stay unread.
#[derive(Deserialize)]
struct Shape<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "text_or_none")]
    service_tier: Option<String>,
}

fn text_or_none<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    Ok(serde_json::Value::deserialize(d)?.as_str().map(str::to_owned))
}

/// Checks that `body` is an answer of `dialect`.
///
/// # Errors
/// Why it is none.
pub fn read_answer(dialect: Dialect, body: &[u8]) -> Result<AnswerHead, AnswerFault> {
    if body.trim_ascii().is_empty() {
        return Err(AnswerFault::Empty);
    }
    json::check(body).map_err(|_| AnswerFault::NotJson)?;
    let shape: Shape<'_> = serde_json::from_slice(body).map_err(|_| AnswerFault::WrongShape)?;
    let is = |part: Option<&RawValue>, open: char| part.is_some_and(|p| p.get().starts_with(open));
    let nonempty = |part: Option<&RawValue>| is(part, '[') && part.is_some_and(|p| p.get()[1..].trim_start() != "]");
    if is(shape.error, '{') || is(shape.error, '"') {
        let value = serde_json::from_slice(body).unwrap_or_default();
        return Err(AnswerFault::ErrorObject(Box::new(of_value(dialect, &value))));
    }
    let whole = match dialect {
        Dialect::Chat => nonempty(shape.choices),
        // A background or an incomplete response may have no output yet.
        Dialect::Responses => is(shape.output, '['),
        Dialect::Messages => is(shape.content, '['),
    };
    if !whole {
        return Err(AnswerFault::WrongShape);
    }
    let usage = shape.usage.and_then(|u| match dialect {
        Dialect::Messages => serde_json::from_str::<Anthropic>(u.get()).ok()?.usage(),
        Dialect::Chat | Dialect::Responses => serde_json::from_str::<OpenAi>(u.get()).ok()?.usage(shape.service_tier),
    });
    Ok(AnswerHead { usage })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_answer() {
        let rows: &[(&str, AnswerFault)] = &[
            ("", AnswerFault::Empty),
            ("  \n", AnswerFault::Empty),
            ("<html>", AnswerFault::NotJson),
            ("{\"choices\":[{", AnswerFault::NotJson),
            ("data: {}\n\n", AnswerFault::NotJson),
            ("[]", AnswerFault::WrongShape),
            ("{}", AnswerFault::WrongShape),
            ("{\"choices\":[ ]}", AnswerFault::WrongShape),
        ];
        for (body, want) in rows {
            assert_eq!(read_answer(Dialect::Chat, body.as_bytes()), Err(want.clone()), "{body}");
        }
        let error = read_answer(Dialect::Chat, br#"{"error":{"message":"m","type":"server_error"}}"#);
        assert!(matches!(error, Err(AnswerFault::ErrorObject(f)) if f.status == Some(500)));
    }

    #[test]
    fn answers_and_their_counts() {
        let chat = br#"{"id":"x","error":null,"choices":[{"message":{}}],"service_tier":"flex","usage":{"prompt_tokens":3,"completion_tokens":1}}"#;
        let usage = read_answer(Dialect::Chat, chat).unwrap().usage.unwrap();
        assert_eq!((usage.input, usage.output, usage.service_tier.as_deref()), (3, 1, Some("flex")));
        assert_eq!(read_answer(Dialect::Messages, br#"{"content":[]}"#), Ok(AnswerHead::default()));
        assert!(read_answer(Dialect::Responses, br#"{"output":[],"error":null}"#).is_ok());
    }
}
