//! What tests written as rows share: one request, one stream.

use bytes::Bytes;
use dialect::{Context, Dialect, StreamTranslator, sse::Frame};
use serde_json::Value;

use crate::{events, target, translate};

/// What goes to the provider, and what was lost; a sentence where it is refused.
pub fn sent_to(caller: Dialect, provider: Dialect, model: &str, body: &Value) -> Result<(Value, Vec<String>), String> {
    let done = translate(caller, provider, body, &target(model));
    done.map(|d| (serde_json::from_slice(&d.body.concat()).unwrap(), d.dropped)).map_err(|e| e.to_string())
}

/// The events of a stream, in the caller's dialect; `Err` with what was said before, where it cannot go on.
pub fn streamed(context: &Context, frames: &[Value]) -> Result<Vec<Value>, Vec<Value>> {
    let mut translator = StreamTranslator::new(context);
    let mut out = vec![];
    for frame in frames {
        let text = frame.as_str().map_or_else(|| frame.to_string(), str::to_owned);
        match translator.push(&Frame::parse(Bytes::from(format!("data: {text}\n\n")))) {
            Ok(bytes) => out.extend(events(context.caller, bytes)),
            Err(_) => return Err(out),
        }
    }
    Ok(out)
}
