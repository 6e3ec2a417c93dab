//! What an answer repeats of its request.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::Dialect;

/// Members that a Responses answer repeats, that no cache key minds, with what stands where the request has none.
fn repeated() -> [(&'static str, Value); 5] {
    [
        ("metadata", json!({})),
        ("user", Value::Null),
        ("safety_identifier", Value::Null),
        ("prompt_cache_key", Value::Null),
        ("prompt_cache_retention", Value::Null),
    ]
}

/// A kept answer for another request of the same key: what it repeats of a request is this one's. Only Responses answers
/// repeat any; others, and what is no object, stay as they are.
#[must_use]
pub fn echo_request(dialect: Dialect, answer: &Bytes, request: &[u8]) -> Bytes {
    let read = |text: &[u8]| serde_json::from_slice::<Map<String, Value>>(text).ok();
    if dialect != Dialect::Responses {
        return answer.clone();
    }
    let (Some(mut said), Some(mut asked)) = (read(answer), read(request)) else { return answer.clone() };
    let mut changed = false;
    for (name, unset) in repeated() {
        // A member that this provider does not repeat is not put in.
        if let Some(own) = said.get_mut(name) {
            let now = asked.remove(name).filter(|v| !v.is_null()).unwrap_or(unset);
            changed |= *own != now;
            *own = now;
        }
    }
    if changed { Value::from(said).to_string().into() } else { answer.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_repeated_changes() {
        let echo = |dialect, answer: &'static str, request: &str| {
            String::from_utf8(
                echo_request(dialect, &Bytes::from_static(answer.as_bytes()), request.as_bytes()).to_vec(),
            )
            .unwrap()
        };
        let kept = r#"{"id":"r","user":"u1","metadata":{"a":"b"},"output":[]}"#;
        let responses = Dialect::Responses;
        assert_eq!(
            echo(responses, kept, r#"{"user":"u2","safety_identifier":"s"}"#),
            r#"{"id":"r","user":"u2","metadata":{},"output":[]}"#
        );
        let spaced = r#"{ "user":null, "metadata": {} }"#;
        assert_eq!(echo(responses, spaced, "{}"), spaced);
        assert_eq!(echo(responses, "no", "{}"), "no");
        assert_eq!(echo(Dialect::Chat, kept, "{}"), kept);
    }
}
