//! What holds for any answer.

use bytes::Bytes;
use dialect::{AnswerOfStream, Dialect, stream_of_answer};
use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};

use crate::{ROOM, answers, assembled, data, event, order};

fn told(dialect: Dialect, answer: &Value) -> Vec<Bytes> {
    let spelled = serde_json::to_string_pretty(answer).unwrap();
    stream_of_answer(dialect, spelled.as_bytes(), true).unwrap()
}

/// The stream is in order, and is the answer again, however its bytes are cut.
fn there_and_back(dialect: Dialect, answer: &Value, cuts: &[Index]) -> Result<(), TestCaseError> {
    let events = told(dialect, answer);
    let all = data(&events);
    let over = match dialect {
        Dialect::Messages => order::messages(&all),
        Dialect::Responses => order::responses(&all),
        Dialect::Chat => chat_order(&all),
    };
    prop_assert_eq!(over, Ok(true));
    prop_assert_eq!(assembled(dialect, &events), Some(answer.clone()));

    let whole: Bytes = events.concat().into();
    let mut ends: Vec<usize> = cuts.iter().map(|i| i.index(whole.len())).chain([whole.len()]).collect();
    ends.sort_unstable();
    let mut pieces = AnswerOfStream::new(dialect, ROOM);
    let mut from = 0;
    for end in ends {
        pieces.bytes(whole.slice(from..end));
        from = end;
    }
    let pieces = pieces.answer(None).map(|b| serde_json::from_slice::<Value>(&b).unwrap());
    prop_assert_eq!(pieces.as_ref(), Some(answer));
    Ok(())
}

/// Each choice by itself, as the SDKs read them.
fn chat_order(all: &[Value]) -> Result<bool, String> {
    let index = |e: &Value| e.pointer("/choices/0/index").and_then(Value::as_u64);
    let last = all.iter().filter_map(index).max().unwrap_or(0);
    for nth in 0..=last {
        let mut own: Vec<Value> = all.iter().filter(|e| index(e).is_none_or(|i| i == nth)).cloned().collect();
        own.iter_mut().filter_map(|e| e.pointer_mut("/choices/0/index")).for_each(|i| *i = json!(0));
        if !order::chat(&own, true)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A stream that is not all there is no answer.
fn cut_is_no_answer(dialect: Dialect, answer: &Value, at: Index) -> Result<(), TestCaseError> {
    let events = told(dialect, answer);
    let at = at.index(events.len());
    prop_assert_eq!(assembled(dialect, &events[..at]), None);
    let more = [&events[..], &events[at..=at]].concat();
    prop_assert_eq!(assembled(dialect, &more), None);
    let error = match dialect {
        Dialect::Messages => json!({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}),
        Dialect::Responses => json!({"type": "error", "code": "server_error", "message": "m"}),
        Dialect::Chat => json!({"error": {"message": "m"}}),
    };
    for bad in [event(dialect, &error), Bytes::from_static(b"data: {\"cut\n\n")] {
        let mut broken = events.clone();
        broken.insert(at, bad);
        prop_assert_eq!(assembled(dialect, &broken), None);
    }
    let mut pinged = events.clone();
    pinged.insert(at, Bytes::from_static(b": ping\n\n"));
    prop_assert_eq!(assembled(dialect, &pinged), Some(answer.clone()));
    Ok(())
}

/// A stream that does not fit is no answer.
fn room_is_a_bound(dialect: Dialect, answer: &Value) -> Result<(), TestCaseError> {
    let events = told(dialect, answer);
    let mut out = AnswerOfStream::new(dialect, answer.to_string().len() / 2);
    events.iter().for_each(|e| out.frame(&dialect::sse::Frame::parse(e.clone())));
    prop_assert!(out.answer(None).is_none());
    Ok(())
}

/// Texts in more pieces are the same texts.
fn pieces_do_not_matter(dialect: Dialect, answer: &Value) -> Result<(), TestCaseError> {
    let mut out = vec![];
    for e in data(&told(dialect, answer)) {
        let grown = ["text", "thinking", "partial_json", "content", "refusal", "reasoning_content"];
        let place = match dialect {
            Dialect::Chat => "/choices/0/delta",
            _ => "/delta",
        };
        let name =
            grown.into_iter().find(|n| e.pointer(place).is_some_and(|d| d[*n].as_str().is_some_and(|t| t.len() > 1)));
        let path = match name {
            Some(name) => format!("{place}/{name}"),
            None => format!("{place}/tool_calls/0/function/arguments"),
        };
        let Some(text) = e.pointer(&path).and_then(Value::as_str).map(str::to_owned) else {
            out.push(event(dialect, &e));
            continue;
        };
        for (i, c) in text.chars().enumerate() {
            let mut piece = e.clone();
            *piece.pointer_mut(&path).unwrap() = c.to_string().into();
            if let Some(logprobs) = piece.pointer_mut("/choices/0/logprobs").filter(|_| i > 0) {
                *logprobs = Value::Null;
            }
            out.push(event(dialect, &piece));
        }
        if text.is_empty() {
            out.push(event(dialect, &e));
        }
    }
    prop_assert_eq!(assembled(dialect, &out), Some(answer.clone()));
    Ok(())
}

fn laws(dialect: Dialect, answer: &Value, cuts: &[Index], at: Index) -> Result<(), TestCaseError> {
    there_and_back(dialect, answer, cuts)?;
    cut_is_no_answer(dialect, answer, at)?;
    room_is_a_bound(dialect, answer)?;
    pieces_do_not_matter(dialect, answer)
}

fn cuts() -> impl Strategy<Value = Vec<Index>> {
    prop::collection::vec(any::<Index>(), 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn chat(answer in answers::chat(), cuts in cuts(), at in any::<Index>()) {
        laws(Dialect::Chat, &answer, &cuts, at)?;
    }

    #[test]
    fn messages(answer in answers::messages(), cuts in cuts(), at in any::<Index>()) {
        laws(Dialect::Messages, &answer, &cuts, at)?;
    }

    #[test]
    fn responses(answer in answers::responses(), cuts in cuts(), at in any::<Index>()) {
        laws(Dialect::Responses, &answer, &cuts, at)?;
    }
}
