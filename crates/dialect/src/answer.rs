//! A plain 200: is it an answer, and what did it count.

use crate::{
    Dialect,
    fault::{Fault, of_value},
    json::{self, Span},
    usage::{Counts, Usage},
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

/// Checks that `body` is an answer of `dialect`.
///
/// # Errors
/// Why it is none.
pub fn read_answer(dialect: Dialect, body: &[u8]) -> Result<AnswerHead, AnswerFault> {
    Ok(AnswerHead { usage: look(dialect, body)?.1 })
}

/// As [`read_answer`], with the places of what else a reader of plain answers needs.
pub(crate) fn look(dialect: Dialect, body: &[u8]) -> Result<(Seen, Option<Usage>), AnswerFault> {
    if body.trim_ascii().is_empty() {
        return Err(AnswerFault::Empty);
    }
    let mut seen = Seen::default();
    let mut counts = None;
    let is_object = json::members(body, |member, scan| {
        let start = scan.at();
        if &*member.name == b"usage" && scan.is_object() {
            return counts.insert(Counts::new(dialect)).read(scan);
        }
        let count = scan.skip(&mut ())?;
        seen.take(&member.name, start..scan.at(), count);
        Ok(())
    });
    if !is_object.map_err(|_| AnswerFault::NotJson)? {
        return Err(AnswerFault::WrongShape);
    }
    let opens = |span: &Span, with: &[u8]| body[span.clone()].first().is_some_and(|b| with.contains(b));
    if opens(&seen.error, b"{\"") {
        let value = serde_json::from_slice(body).unwrap_or_default();
        return Err(AnswerFault::ErrorObject(Box::new(of_value(dialect, &value))));
    }
    let is_whole = match dialect {
        Dialect::Chat => opens(&seen.choices, b"[") && seen.choice_count > 0,
        // A background or an incomplete response may have no output yet.
        Dialect::Responses => opens(&seen.output, b"["),
        Dialect::Messages => opens(&seen.content, b"["),
    };
    if !is_whole {
        return Err(AnswerFault::WrongShape);
    }
    let usage = counts.and_then(|c| c.usage(&body[seen.service_tier.clone()]));
    Ok((seen, usage))
}

/// Where the members of an answer are; an empty span where they are not.
#[derive(Default)]
pub(crate) struct Seen {
    error: Span,
    pub(crate) choices: Span,
    choice_count: u32,
    pub(crate) output: Span,
    pub(crate) content: Span,
    service_tier: Span,
    pub(crate) id: Span,
    pub(crate) model: Span,
    pub(crate) status: Span,
    pub(crate) stop_reason: Span,
    pub(crate) stop_sequence: Span,
}

impl Seen {
    fn take(&mut self, name: &[u8], value: Span, count: u32) {
        let slot = match name {
            b"error" => &mut self.error,
            b"choices" => {
                self.choice_count = count;
                &mut self.choices
            }
            b"output" => &mut self.output,
            b"content" => &mut self.content,
            b"service_tier" => &mut self.service_tier,
            b"id" => &mut self.id,
            b"model" => &mut self.model,
            b"status" => &mut self.status,
            b"stop_reason" => &mut self.stop_reason,
            b"stop_sequence" => &mut self.stop_sequence,
            _ => return,
        };
        *slot = value;
    }
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
