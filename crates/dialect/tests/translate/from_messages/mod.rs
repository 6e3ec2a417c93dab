//! Requests: Messages to Chat Completions.

mod content;
mod params;
mod tools;

use dialect::Dialect::Messages;
use serde_json::{Value, json};

use crate::{GPT, members, sent};

const THINKER: &str = "gpt-6-sol";

/// A system and messages in, and the messages that come out.
fn talk(system: &Value, messages: &Value) -> Result<(Value, Vec<String>), String> {
    let mut body = json!({"model": "m", "max_tokens": 9, "messages": messages});
    if !system.is_null() {
        body["system"] = system.clone();
    }
    let (mut got, dropped) = sent(Messages, GPT, &body)?;
    Ok((got["messages"].take(), dropped))
}

/// One user turn in, and what becomes of its content.
fn content(blocks: &Value) -> Result<(Value, Vec<String>), String> {
    let (mut messages, lost) = talk(&Value::Null, &json!([{"role": "user", "content": blocks}]))?;
    Ok((messages[0]["content"].take(), lost))
}

#[track_caller]
fn gives(model: &str, rows: &[(Value, Value, &[&str])]) {
    for (extra, want, lost) in rows {
        let lost = lost.iter().map(|s| (*s).to_owned()).collect();
        assert_eq!(members(Messages, model, extra), (want.clone(), lost), "{extra}");
    }
}

fn tool_use(id: &str, input: Value) -> Value {
    json!({"type": "tool_use", "id": id, "name": "f", "input": input})
}
