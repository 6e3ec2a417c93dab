//! The order that official SDKs rely on in a stream, checked by code that shares nothing with the writers.

use serde_json::Value;

/// Whether `events` could have come from Messages: `Ok(true)` where the stream is over.
pub fn messages(events: &[Value]) -> Result<bool, String> {
    let mut open: Option<(u64, String)> = None;
    let (mut next, mut begun, mut told, mut over) = (0, false, false, false);
    for (i, e) in events.iter().enumerate() {
        let wrong = |why: &str| Err(format!("event {i}, {why}: {e}"));
        let kind = e["type"].as_str().unwrap_or_default();
        let index = e["index"].as_u64();
        if over {
            return wrong("behind the end");
        }
        match kind {
            "error" if e["error"]["type"].is_string() && e["error"]["message"].is_string() => over = true,
            "message_start" if begun => return wrong("begins twice"),
            "message_start" => {
                let m = &e["message"];
                let whole = m["id"].is_string() && m["model"].is_string() && m["usage"]["input_tokens"].is_u64();
                if !whole || m["role"] != "assistant" || m["content"].as_array().is_none_or(|c| !c.is_empty()) {
                    return wrong("lacks members");
                }
                begun = true;
            }
            _ if !begun || told && kind != "message_stop" => return wrong("out of order"),
            "content_block_start" => {
                let block = &e["content_block"];
                let named = block["type"] != "tool_use" || block["id"].is_string() && block["name"].is_string();
                if open.is_some() || index != Some(next) || !named {
                    return wrong("no place for a block");
                }
                open = Some((next, block["type"].as_str().unwrap_or_default().to_owned()));
            }
            "content_block_delta" => {
                let wants = match e["delta"]["type"].as_str().unwrap_or_default() {
                    "text_delta" if e["delta"]["text"].is_string() => "text",
                    "citations_delta" if e["delta"]["citation"].is_object() => "text",
                    "thinking_delta" if e["delta"]["thinking"].is_string() => "thinking",
                    "signature_delta" if e["delta"]["signature"].is_string() => "thinking",
                    "input_json_delta" if e["delta"]["partial_json"].is_string() => "tool_use",
                    _ => "?",
                };
                if open.as_ref().is_none_or(|(at, kind)| Some(*at) != index || kind != wants) {
                    return wrong("no delta of the open block");
                }
            }
            "content_block_stop" => {
                if open.take().map(|(at, _)| at) != index {
                    return wrong("stops another block");
                }
                next += 1;
            }
            "message_delta" => {
                if open.is_some() || !e["delta"]["stop_reason"].is_string() || !e["usage"]["output_tokens"].is_u64() {
                    return wrong("ends too early, or without reason or count");
                }
                told = true;
            }
            "message_stop" if told => over = true,
            _ => return wrong("unknown"),
        }
    }
    Ok(over)
}

/// Whether `events` could have come from Responses: `Ok(true)` where the stream is over.
pub fn responses(events: &[Value]) -> Result<bool, String> {
    let mut items: Vec<Value> = vec![];
    let mut text: Option<String> = None;
    let mut is_open = false;
    for (i, e) in events.iter().enumerate() {
        let wrong = |why: &str| Err(format!("event {i}, {why}: {e}"));
        let kind = e["type"].as_str().unwrap_or_default();
        if e["sequence_number"] != i {
            return wrong("out of number");
        }
        let is_here = is_open && e["output_index"] == items.len().wrapping_sub(1);
        match (i, kind) {
            (0, "response.created") | (1, "response.in_progress") => {
                let r = &e["response"];
                if !r["id"].is_string() || r["status"] != "in_progress" || r["output"] != serde_json::json!([]) {
                    return wrong("no response that begins");
                }
            }
            (0, "error") if e["message"].is_string() && events.len() == 1 => return Ok(true),
            (0 | 1, _) => return wrong("does not begin"),
            (_, "error") if e["message"].is_string() && i + 1 == events.len() => return Ok(true),
            (_, "response.failed") => {
                let r = &e["response"];
                let told =
                    r["status"] == "failed" && r["error"]["code"].is_string() && r["error"]["message"].is_string();
                return if told && i + 1 == events.len() { Ok(true) } else { wrong("no response that failed") };
            }
            (_, "response.output_item.added") if !is_open && e["output_index"] == items.len() => {
                items.push(e["item"].clone());
                is_open = true;
            }
            (_, "response.output_item.done") if is_here => {
                items.pop();
                items.push(e["item"].clone());
                is_open = false;
            }
            (_, "response.completed" | "response.incomplete") if !is_open => {
                let over = i + 1 == events.len() && e["response"]["output"] == Value::from(items.clone());
                return if over { Ok(true) } else { wrong("not what was told") };
            }
            _ if !is_here => return wrong("belongs to no item"),
            (_, k) if k.ends_with("part.added") => {
                let grown = [&e["part"]["text"], &e["part"]["refusal"]];
                if text.is_some() || grown.iter().any(|t| t.as_str().is_some_and(|t| !t.is_empty())) {
                    return wrong("no place for a part");
                }
            }
            (_, k) if k.ends_with(".delta") => {
                text.get_or_insert_default().push_str(e["delta"].as_str().unwrap_or_default());
            }
            (_, "response.output_text.annotation.added") if e["annotation"].is_object() => {}
            (_, k) if k.ends_with("part.done") && text.is_none() && e["part"].is_object() => {}
            (_, k) if k.ends_with(".done") => {
                let whole = ["text", "refusal", "arguments", "input"].iter().find_map(|m| e[*m].as_str());
                if whole != Some(text.take().unwrap_or_default().as_str()) {
                    return wrong("another text than the deltas");
                }
            }
            _ => return wrong("unknown"),
        }
    }
    Ok(false)
}

/// Whether `events` could have come from Chat Completions: `Ok(true)` where the stream is over. `counted` where the
/// caller asked for the usage chunk.
pub fn chat(events: &[Value], counted: bool) -> Result<bool, String> {
    let mut names: Option<[Value; 4]> = None;
    let (mut calls, mut finished, mut usage, mut over) = (0, false, false, false);
    for (i, e) in events.iter().enumerate() {
        let wrong = |why: &str| Err(format!("event {i}, {why}: {e}"));
        if over {
            return wrong("behind the end");
        }
        if e == "[DONE]" {
            if !finished {
                return wrong("no finish reason");
            }
            over = true;
            continue;
        }
        if e["error"].is_object() {
            over = true;
            continue;
        }
        let same = ["id", "model", "created", "object"].map(|m| e[m].clone());
        let choices = e["choices"].as_array().map(Vec::as_slice).unwrap_or_default();
        match (&names, choices) {
            (None, [first]) if first["delta"]["role"] == "assistant" => names = Some(same),
            (None, _) => return wrong("does not begin with the role"),
            (Some(known), _) if *known != same => return wrong("under another name"),
            (Some(_), []) if counted && finished && !usage && e["usage"]["prompt_tokens"].is_u64() => usage = true,
            (Some(_), [c]) if !finished && c["index"] == 0 && c["delta"].get("role").is_none() => {
                finished = c["finish_reason"].is_string();
                for call in c["delta"]["tool_calls"].as_array().into_iter().flatten() {
                    let is_new = call["index"] == calls;
                    let name = [&call["function"]["name"], &call["custom"]["name"]];
                    let is_named = call["id"].is_string() && name.iter().any(|n| n.is_string());
                    if is_new != is_named || call["index"].as_u64().is_none_or(|i| i > calls) {
                        return wrong("a call without its place or name");
                    }
                    calls += u64::from(is_new);
                }
            }
            _ => return wrong("out of order"),
        }
        if e["object"] != "chat.completion.chunk" || counted != e.get("usage").is_some() {
            return wrong("no chunk, or a count that was not asked");
        }
    }
    Ok(over)
}
