//! A Messages answer as events.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use super::{NoAnswer, event, members};

/// What the last events say of an answer, not the first.
const LATE: [&str; 4] = ["stop_reason", "stop_sequence", "stop_details", "container"];

/// The counts that come last.
const COUNTS: [&str; 6] = [
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "output_tokens_details",
    "server_tool_use",
];

/// Input of tools stays as it is spelled.
#[derive(Deserialize)]
struct Spelled<'a> {
    #[serde(borrow)]
    content: Vec<SpelledBlock<'a>>,
}

#[derive(Deserialize)]
struct SpelledBlock<'a> {
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

pub(super) fn events(mut message: Map<String, Value>, text: &[u8]) -> Result<Vec<Bytes>, NoAnswer> {
    let spelled: Spelled<'_> = serde_json::from_slice(text).map_err(|_| NoAnswer)?;
    let Some(Value::Array(content)) = message.insert("content".into(), json!([])) else { return Err(NoAnswer) };
    if !message.get("stop_reason").is_some_and(Value::is_string) {
        return Err(NoAnswer);
    }
    let mut last = Map::new();
    for name in LATE {
        if let Some(value) = message.get_mut(name) {
            last.insert(name.into(), value.take());
        }
    }
    let mut counts = members(message.get("usage").unwrap_or(&Value::Null));
    if let Some(output) = message.get_mut("usage").and_then(|u| u.get_mut("output_tokens")) {
        *output = 0.into();
    }
    counts.retain(|name, _| COUNTS.contains(&name.as_str()));

    let mut out = vec![];
    put(&mut out, "message_start", json!({"message": message}));
    for (index, (block, spelled)) in content.iter().zip(&spelled.content).enumerate() {
        let (begun, deltas) = block_of(members(block), spelled.input.map(RawValue::get));
        put(&mut out, "content_block_start", json!({"index": index, "content_block": begun}));
        for delta in deltas {
            put(&mut out, "content_block_delta", json!({"index": index, "delta": delta}));
        }
        put(&mut out, "content_block_stop", json!({"index": index}));
    }
    put(&mut out, "message_delta", json!({"delta": last, "usage": counts}));
    put(&mut out, "message_stop", json!({}));
    Ok(out)
}

/// A block as it begins, and what comes then.
fn block_of(mut block: Map<String, Value>, input: Option<&str>) -> (Value, Vec<Value>) {
    let mut deltas = vec![];
    let kind = block.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut grows = |name: &str, delta: &str, block: &mut Map<String, Value>| {
        if let Some(Value::String(text)) = block.get_mut(name)
            && !text.is_empty()
        {
            deltas.push(json!({"type": delta, name: std::mem::take(text)}));
        }
    };
    match kind.as_str() {
        "text" => {
            grows("text", "text_delta", &mut block);
            if let Some(Value::Array(citations)) = block.get_mut("citations") {
                let citations = std::mem::take(citations);
                deltas.extend(citations.into_iter().map(|c| json!({"type": "citations_delta", "citation": c})));
            }
        }
        "thinking" => {
            grows("thinking", "thinking_delta", &mut block);
            grows("signature", "signature_delta", &mut block);
        }
        "tool_use" | "server_tool_use" => {
            let input = input.filter(|text| *text != "{}").unwrap_or_default();
            deltas.push(json!({"type": "input_json_delta", "partial_json": input}));
            block.insert("input".into(), json!({}));
        }
        // Blocks that do not grow come whole.
        _ => {}
    }
    (block.into(), deltas)
}

/// One event, its type first in its data.
fn put(out: &mut Vec<Bytes>, name: &str, data: Value) {
    let mut typed = Map::from_iter([("type".to_owned(), Value::from(name))]);
    typed.extend(members(&data));
    out.push(event(name, &Value::from(typed).to_string()));
}
