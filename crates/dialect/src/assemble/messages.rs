//! A Messages answer from its events.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Lost, append, extend, is_named, keep};
use crate::{cache::means_the_same, sse::Frame};

/// What has come so far.
#[derive(Debug, Default)]
pub(super) struct Parts {
    message: Option<Map<String, Value>>,
    /// Blocks that are whole.
    content: Vec<Value>,
    open: Option<Block>,
}

#[derive(Debug)]
struct Block {
    block: Map<String, Value>,
    /// A tool's input so far.
    input: String,
}

impl Parts {
    /// Takes one event; whether it is the terminator.
    pub(super) fn event(&mut self, frame: &Frame, mut event: Map<String, Value>) -> Result<bool, Lost> {
        let kind = event.remove("type").ok_or(Lost)?;
        match kind.as_str().filter(|kind| is_named(frame, kind)).ok_or(Lost)? {
            "ping" => {}
            "message_start" if self.message.is_none() => match event.remove("message") {
                Some(Value::Object(message)) if message.get("content").is_some_and(|c| *c == json!([])) => {
                    self.message = Some(message);
                }
                _ => return Err(Lost),
            },
            "content_block_start" if self.message.is_some() && self.open.is_none() && self.is_next(&event) => {
                let Some(Value::Object(block)) = event.remove("content_block") else { return Err(Lost) };
                self.open = Some(Block { block, input: String::new() });
            }
            "content_block_delta" if self.is_next(&event) => {
                let Some(Value::Object(delta)) = event.remove("delta") else { return Err(Lost) };
                self.open.as_mut().ok_or(Lost)?.delta(delta)?;
            }
            "content_block_stop" if self.is_next(&event) => {
                let block = self.open.take().ok_or(Lost)?;
                self.content.push(block.whole()?);
            }
            "message_delta" if self.open.is_none() => self.ends(event)?,
            "message_stop" => {
                let is_told = self.message.as_ref().is_some_and(|m| m.get("stop_reason").is_some_and(Value::is_string));
                return if is_told && self.open.is_none() { Ok(true) } else { Err(Lost) };
            }
            _ => return Err(Lost),
        }
        Ok(false)
    }

    /// Whether an event is about the block that is open, or that would begin now.
    fn is_next(&self, event: &Map<String, Value>) -> bool {
        event.get("index").and_then(Value::as_u64) == Some(self.content.len() as u64)
    }

    /// What is said of the whole at its end. Counts are cumulative; what is left out stays.
    fn ends(&mut self, mut event: Map<String, Value>) -> Result<(), Lost> {
        let message = self.message.as_mut().ok_or(Lost)?;
        if let Some(Value::Object(delta)) = event.remove("delta") {
            message.extend(delta);
        }
        if let Some(Value::Object(later)) = event.remove("usage") {
            match message.entry("usage").or_insert_with(|| json!({})) {
                Value::Object(usage) => usage.extend(later.into_iter().filter(|(_, count)| !count.is_null())),
                _ => return Err(Lost),
            }
        }
        event.into_iter().try_for_each(|(name, value)| keep(message, name, value))
    }

    pub(super) fn answer(self) -> Option<Bytes> {
        let mut message = self.message?;
        message.insert("content".into(), self.content.into());
        Some(Value::from(message).to_string().into())
    }
}

impl Block {
    fn delta(&mut self, mut delta: Map<String, Value>) -> Result<(), Lost> {
        let kind = delta.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut take = |name: &str| delta.remove(name).ok_or(Lost);
        match (self.block.get("type").and_then(Value::as_str), kind.as_str()) {
            (Some("text"), "text_delta") => append(&mut self.block, "text", &take("text")?),
            (Some("text"), "citations_delta") => extend(&mut self.block, "citations", json!([take("citation")?])),
            (Some("thinking"), "thinking_delta") => append(&mut self.block, "thinking", &take("thinking")?),
            (Some("thinking"), "signature_delta") => append(&mut self.block, "signature", &take("signature")?),
            (Some("tool_use" | "server_tool_use"), "input_json_delta") => match take("partial_json")? {
                Value::String(text) => {
                    self.input.push_str(&text);
                    Ok(())
                }
                _ => Err(Lost),
            },
            _ => Err(Lost),
        }
    }

    fn whole(mut self) -> Result<Value, Lost> {
        if !self.input.is_empty() {
            let input: Value = serde_json::from_str(&self.input).map_err(|_| Lost)?;
            // A number that no double holds would come out as another one.
            if !input.is_object() || !means_the_same(self.input.as_bytes(), input.to_string().as_bytes()) {
                return Err(Lost);
            }
            self.block.insert("input".into(), input);
        }
        Ok(self.block.into())
    }
}
