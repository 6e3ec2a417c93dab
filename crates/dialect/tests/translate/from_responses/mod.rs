//! Requests: Responses to the two others.

mod content;
mod params;
mod tools;

use dialect::Dialect::{self, Chat, Messages, Responses};
use serde_json::{Value, json};

use crate::rows::{CLAUDE, GPT, sent_to};

fn model(provider: Dialect) -> &'static str {
    if provider == Messages { CLAUDE } else { GPT }
}

/// Input in, and the messages that come out.
fn talk(provider: Dialect, input: &Value) -> Result<(Value, Vec<String>), String> {
    let body = json!({"model": "m", "store": false, "input": input});
    let (mut got, dropped) = sent_to(Responses, provider, model(provider), &body)?;
    Ok((got["messages"].take(), dropped))
}

/// What an input becomes in both dialects, and what is lost in both.
#[track_caller]
fn says(input: &Value, chat: &Value, messages: &Value, lost: &[&str]) {
    for (provider, want) in [(Chat, chat), (Messages, messages)] {
        let (got, dropped) = talk(provider, input).unwrap();
        assert_eq!(got, *want, "{provider:?}: {input}");
        assert_eq!(dropped, lost, "{provider:?}: {input}");
    }
}

/// The members of `extra` on an otherwise plain request, and the members that the provider gets for them.
#[track_caller]
fn gives(provider: Dialect, model: &str, rows: &[(Value, Value, &[&str])]) {
    let plain = json!({"model": "m", "store": false, "input": "hi"});
    let before = sent_to(Responses, provider, model, &plain).unwrap().0;
    for (extra, want, lost) in rows {
        let mut body = plain.clone();
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let (got, dropped) = sent_to(Responses, provider, model, &body).unwrap();
        let differs = got.as_object().unwrap().iter().filter(|(k, v)| before.get(*k) != Some(v));
        let differs: Value = differs.map(|(k, v)| (k.clone(), v.clone())).collect::<serde_json::Map<_, _>>().into();
        assert_eq!(differs, *want, "{provider:?}: {extra}");
        assert_eq!(dropped, *lost, "{provider:?}: {extra}");
    }
}

fn text(t: &str) -> Value {
    json!({"type": "text", "text": t})
}
