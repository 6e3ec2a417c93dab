//! The checks of order take what providers send, and nothing with an event left out, doubled, or in its neighbour's place.

use dialect::Dialect::{self, Chat, Messages, Responses};
use serde_json::{Value, json};

use super::said::{Counts, End, Piece, Saying};
use crate::{DIALECTS, order};

fn saying() -> Saying {
    let text = |a: &str, b: &str| Piece::Text(vec![a.to_owned(), b.to_owned()]);
    Saying {
        pieces: vec![
            Piece::Thinking("hm".into()),
            text("a", "b"),
            Piece::Call(json!({"x": 1}), vec![2]),
            Piece::Call(json!({}), vec![]),
            text("c", "d"),
        ],
        end: End::Tools,
        counts: Some(Counts { input: 5, cached: 1, written: 1, output: 4, reasoning: 1, tier: None }),
    }
}

/// An event that a stream can be without, or have twice: pieces of text, pings, the count.
fn is_free(dialect: Dialect, e: &Value) -> bool {
    let delta = &e["choices"][0]["delta"];
    match dialect {
        Chat => {
            let is_text =
                delta.get("role").is_none() && (delta["content"].is_string() || delta["reasoning_content"].is_string());
            is_text || delta["tool_calls"][0].get("index").is_some() && delta["tool_calls"][0].get("id").is_none()
        }
        Messages => {
            e["type"] == "ping" || e["type"] == "content_block_delta" && e["delta"]["type"] != "signature_delta"
        }
        Responses => false,
    }
}

#[track_caller]
fn refuses(dialect: Dialect, what: &str, mut events: Vec<Value>) {
    if dialect == Responses {
        events.iter_mut().enumerate().for_each(|(i, e)| e["sequence_number"] = i.into());
    }
    assert_ne!(order::of(dialect, &events, true), Ok(true), "{dialect:?}, {what}");
}

#[test]
fn nothing_may_be_missing_double_or_misplaced() {
    for dialect in DIALECTS {
        let whole = saying().streamed(dialect, 0);
        assert_eq!(order::of(dialect, &whole, true), Ok(true));
        for (i, e) in whole.iter().enumerate() {
            let has_count = dialect == Chat && e["usage"].is_object();
            let is_signature = e["delta"]["type"] == "signature_delta";
            if !is_free(dialect, e) {
                let (mut without, mut twice) = (whole.clone(), whole.clone());
                without.remove(i);
                twice.insert(i, e.clone());
                if !has_count && !is_signature {
                    refuses(dialect, &format!("without {e}"), without);
                }
                refuses(dialect, &format!("twice {e}"), twice);
            }
            let Some(next) = whole.get(i + 1) else { continue };
            let is_ping = e["type"] == "ping" || next["type"] == "ping";
            let are_free = is_free(dialect, e) && is_free(dialect, next);
            // Two items of a response may be open at once, and a Chat call may begin before or after a text.
            let overlaps = e["type"] == "response.output_item.done" && next["type"] == "response.output_item.added";
            let call = |e: &Value| e["choices"][0]["delta"]["tool_calls"][0].clone();
            let floats = call(next)["id"].is_string() || call(e)["id"].is_string() && call(next).is_null();
            if !is_ping && !are_free && !overlaps && !floats {
                let mut swapped = whole.clone();
                swapped.swap(i, i + 1);
                refuses(dialect, &format!("swapped {e} and {next}"), swapped);
            }
        }
    }
}

#[test]
fn a_response_agrees_with_itself() {
    let whole = saying().streamed(Responses, 0);
    let at = |kind: &str| whole.iter().position(|e| e["type"] == format!("response.{kind}")).unwrap();
    // Path of a member, and what it may not be.
    let rows = [
        ("created", "/response/status", json!("completed")),
        ("created", "/response/id", json!("resp_2")),
        ("in_progress", "/response/output", json!([{}])),
        ("output_item.added", "/output_index", json!(1)),
        ("output_item.added", "/item/id", json!("")),
        ("reasoning_summary_text.done", "/text", json!("h")),
        ("content_part.added", "/content_index", json!(1)),
        ("content_part.added", "/part/text", json!("a")),
        ("output_text.delta", "/item_id", json!("msg_9")),
        ("output_text.delta", "/content_index", json!(1)),
        ("output_text.delta", "/delta", json!("")),
        ("output_text.delta", "/logprobs", Value::Null),
        ("output_text.done", "/text", json!("a")),
        ("content_part.done", "/part/text", json!("a")),
        ("function_call_arguments.delta", "/output_index", json!(1)),
        ("function_call_arguments.done", "/arguments", json!("{}")),
        ("output_item.done", "/item/id", json!("rs_9")),
        ("output_item.done", "/item/summary", json!([])),
        ("completed", "/response/output/0/id", json!("rs_9")),
        ("completed", "/response/output/2/arguments", json!("{}")),
        ("completed", "/response/status", json!("incomplete")),
        ("completed", "/response/incomplete_details", json!({"reason": "max_output_tokens"})),
        ("completed", "/response/error", json!({"code": "server_error", "message": "m"})),
        ("completed", "/response/usage/total_tokens", json!(1)),
        ("completed", "/sequence_number", json!(1)),
    ];
    for (kind, path, bad) in rows {
        let mut events = whole.clone();
        *events[at(kind)].pointer_mut(path).unwrap() = bad;
        assert!(order::responses(&events).is_err(), "{kind}{path}");
    }
}
