//! Counting the prompt of a request: `count_tokens` of Messages, which OpenAI has as `input_tokens` of Responses.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    AnswerFault, Dialect, Head, TargetModel, Translated, Untranslatable, read_answer, translate::members,
    translate_request,
};

/// What is about the answer alone. `count_tokens` does not know it (anthropic 2.14, `message_count_tokens_params.py`).
const OF_THE_ANSWER: [&str; 8] =
    ["max_tokens", "temperature", "top_p", "top_k", "stop_sequences", "stream", "metadata", "service_tier"];

/// What `input_tokens` knows of what a translation holds (openai 3.57, `input_token_count_params.py`).
const COUNTED: [&str; 8] =
    ["model", "instructions", "input", "tools", "tool_choice", "parallel_tool_calls", "reasoning", "text"];

/// Writes a Messages caller's `count_tokens` as a request for `input_tokens` of Responses.
///
/// # Errors
/// What has no form there.
pub fn translate_count(body: &[u8], to: &TargetModel<'_>) -> Result<Translated, Untranslatable> {
    let mut asked = members(body)?;
    let lost = OF_THE_ANSWER.iter().filter(|name| asked.remove(**name).is_some_and(|v| !v.is_null()));
    let mut dropped: Vec<String> = lost.map(|name| (*name).to_owned()).collect();
    let to = TargetModel { default_max_tokens: None, ..*to };
    let asked = Bytes::from(Value::Object(asked).to_string());
    let done = translate_request(Dialect::Messages, Dialect::Responses, &asked, &Head::default(), &to)?;
    let mut written = members(&done.outline)?;
    written.retain(|name, _| COUNTED.contains(&name.as_str()));
    dropped.extend(done.dropped);
    let body = Bytes::from(Value::Object(written).to_string());
    Ok(Translated { outline: body.clone(), body: vec![body], dropped, context: done.context })
}

/// The count in an answer to `count_tokens` or to `input_tokens`, which name it alike.
///
/// # Errors
/// It holds none.
pub fn read_count(dialect: Dialect, body: &[u8]) -> Result<u64, AnswerFault> {
    let answer: Option<Value> = serde_json::from_slice(body).ok();
    let count = answer.and_then(|a| a.get("input_tokens")?.as_u64());
    count.ok_or_else(|| read_answer(dialect, body).err().unwrap_or(AnswerFault::WrongShape))
}

/// The answer to `count_tokens`.
#[must_use]
pub fn write_count(count: u64) -> Bytes {
    json!({"input_tokens": count}).to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t58_an_answer_without_a_count_is_none() {
        let read = |text: &str| read_count(Dialect::Responses, text.as_bytes());
        assert_eq!(read(r#"{"object":"response.input_tokens","input_tokens":11}"#), Ok(11));
        assert_eq!(read_count(Dialect::Messages, br#"{"input_tokens":0,"more":[]}"#), Ok(0));
        assert_eq!(read(""), Err(AnswerFault::Empty));
        assert_eq!(read("<html>"), Err(AnswerFault::NotJson));
        assert_eq!(read(r#"{"input_tokens":"11"}"#), Err(AnswerFault::WrongShape));
        assert_eq!(read(r#"{"input_tokens":-1}"#), Err(AnswerFault::WrongShape));
        assert_eq!(read("[11]"), Err(AnswerFault::WrongShape));
        let error = read(r#"{"error":{"message":"no","type":"server_error"}}"#);
        assert!(matches!(error, Err(AnswerFault::ErrorObject(_))), "{error:?}");
        assert_eq!(&write_count(11)[..], br#"{"input_tokens":11}"#);
    }
}
