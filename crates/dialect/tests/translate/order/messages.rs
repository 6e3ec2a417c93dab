//! platform.claude.com, streaming messages: one open block, contiguous indexes, counts that only grow.

use serde_json::{Value, json};

use super::{Broken, ensure, named, walk};

#[derive(Default)]
struct Stream {
    begun: bool,
    /// The block that is open: its type, and whether its signature has come.
    open: Option<(String, bool)>,
    next: u64,
    /// The end was announced; only its event is missing.
    told: bool,
}

pub fn messages(events: &[Value]) -> Result<bool, String> {
    let mut s = Stream::default();
    walk(events, |_, e| {
        let kind = e["type"].as_str().unwrap_or_default();
        match kind {
            "ping" => {}
            "error" => {
                ensure(named(&e["error"]["type"]) && e["error"]["message"].is_string(), "an error without words")?;
            }
            "message_start" => s.start(&e["message"])?,
            _ if !s.begun => return Err("ahead of message_start"),
            "message_stop" => {
                ensure(s.told, "no stop reason was told")?;
                ensure(s.open.is_none(), "a block is open")?;
            }
            _ if s.told => return Err("behind message_delta"),
            "content_block_start" => s.block(e)?,
            "content_block_delta" => s.delta(e)?,
            "content_block_stop" => {
                ensure(s.open.take().is_some() && e["index"] == s.next, "stops no open block")?;
                s.next += 1;
            }
            "message_delta" => s.end(e)?,
            _ => return Err("unknown"),
        }
        Ok(kind == "message_stop" || kind == "error")
    })
}

impl Stream {
    fn start(&mut self, m: &Value) -> Broken {
        ensure(!self.begun, "begins twice")?;
        ensure(named(&m["id"]) && m["model"].is_string(), "no id or model")?;
        ensure(m["type"] == "message" && m["role"] == "assistant" && m["content"] == json!([]), "no empty message")?;
        let nothing = |name: &str| m.get(name).is_some_and(Value::is_null);
        ensure(nothing("stop_reason") && nothing("stop_sequence"), "stops as it begins")?;
        let counts = |name: &str| m["usage"][name].is_u64();
        ensure(counts("input_tokens") && counts("output_tokens"), "no counts")?;
        self.begun = true;
        Ok(())
    }

    fn block(&mut self, e: &Value) -> Broken {
        ensure(self.open.is_none(), "another block is open")?;
        ensure(e["index"] == self.next, "out of number")?;
        let block = &e["content_block"];
        let kind = block["type"].as_str().unwrap_or_default();
        match kind {
            "text" => ensure(block["text"] == "", "a text that does not begin empty")?,
            "thinking" => ensure(block["thinking"] == "", "thinking that does not begin empty")?,
            "redacted_thinking" => ensure(block["data"].is_string(), "nothing redacted")?,
            "tool_use" => {
                ensure(named(&block["id"]) && named(&block["name"]), "a call without id or name")?;
                ensure(block["input"] == json!({}), "a call that does not begin empty")?;
            }
            _ => ensure(named(&block["type"]), "a block of no type")?,
        }
        self.open = Some((kind.to_owned(), false));
        Ok(())
    }

    fn delta(&mut self, e: &Value) -> Broken {
        let Some((kind, signed)) = &mut self.open else { return Err("no block is open") };
        ensure(e["index"] == self.next, "a delta of another block")?;
        let d = &e["delta"];
        let fits = match (d["type"].as_str().unwrap_or_default(), kind.as_str()) {
            ("text_delta", "text") => d["text"].is_string(),
            ("citations_delta", "text") => d["citation"].is_object(),
            ("thinking_delta", "thinking") => !*signed && d["thinking"].is_string(),
            ("signature_delta", "thinking") => !std::mem::replace(signed, true) && d["signature"].is_string(),
            ("input_json_delta", "tool_use" | "server_tool_use" | "mcp_tool_use") => d["partial_json"].is_string(),
            _ => false,
        };
        ensure(fits, "no delta of the open block")
    }

    fn end(&mut self, e: &Value) -> Broken {
        ensure(self.open.is_none(), "ends in an open block")?;
        let d = &e["delta"];
        ensure(
            named(&d["stop_reason"]) && d.get("stop_sequence").is_some(),
            "no stop reason, or no sequence beside it",
        )?;
        ensure(d["stop_sequence"].is_null() || d["stop_reason"] == "stop_sequence", "a sequence that did not stop it")?;
        ensure(e["usage"]["output_tokens"].is_u64(), "no count")?;
        self.told = true;
        Ok(())
    }
}
