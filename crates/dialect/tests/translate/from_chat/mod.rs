//! Requests: Chat Completions to Messages.

mod content;
mod params;
mod tools;

use dialect::Dialect::Chat;
use serde_json::{Value, json};

use crate::{members, sent};

/// Messages in, and the `system` and `messages` that come out.
fn talk(model: &str, messages: &Value) -> Result<(Value, Value, Vec<String>), String> {
    let (mut got, dropped) = sent(Chat, model, &json!({"model": "m", "messages": messages}))?;
    Ok((got["system"].take(), got["messages"].take(), dropped))
}

#[track_caller]
fn gives(model: &str, rows: &[(Value, Value, &[&str])]) {
    for (extra, want, lost) in rows {
        assert_eq!(
            members(Chat, model, extra),
            (want.clone(), lost.iter().map(|s| (*s).to_owned()).collect()),
            "{extra}"
        );
    }
}

fn text(t: &str) -> Value {
    json!({"type": "text", "text": t})
}
