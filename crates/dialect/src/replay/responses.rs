//! A Responses answer as events.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{NoAnswer, event, members};

struct Writer {
    out: Vec<Bytes>,
}

pub(super) fn events(answer: Map<String, Value>, text: &[u8]) -> Result<Vec<Bytes>, NoAnswer> {
    let last = match answer.get("status").and_then(Value::as_str) {
        Some("completed") => "response.completed",
        Some("incomplete") => "response.incomplete",
        _ => return Err(NoAnswer),
    };
    let Some(Value::Array(items)) = answer.get("output") else { return Err(NoAnswer) };
    let mut begun = answer.clone();
    begun.insert("status".into(), "in_progress".into());
    begun.insert("output".into(), json!([]));
    for name in ["usage", "completed_at", "incomplete_details"] {
        begun.entry(name).and_modify(|v| *v = Value::Null);
    }
    let mut writer = Writer { out: vec![] };
    writer.put("response.created", json!({"response": begun}));
    writer.put("response.in_progress", json!({"response": begun}));
    for (index, item) in items.iter().enumerate() {
        writer.item(index, item);
    }
    // The whole is told byte for byte; a line's end inside would end the event.
    let text = std::str::from_utf8(text).map_err(|_| NoAnswer)?.replace(['\n', '\r'], " ");
    let number = writer.out.len();
    let data = format!("{{\"type\":\"{last}\",\"sequence_number\":{number},\"response\":{text}}}");
    writer.out.push(event(last, &data));
    Ok(writer.out)
}

impl Writer {
    fn item(&mut self, index: usize, item: &Value) {
        let mut begun = members(item);
        begun.entry("status").and_modify(|v| *v = "in_progress".into());
        let kind = item["type"].as_str().unwrap_or_default();
        let grows: &[&str] = match kind {
            "message" => &["content"],
            "reasoning" => &["summary", "content"],
            "function_call" => &["arguments"],
            "custom_tool_call" => &["input"],
            // Items that do not grow come whole.
            _ => &[],
        };
        for name in grows {
            begun.entry(*name).and_modify(|v| match v {
                Value::Array(list) => list.clear(),
                Value::String(text) => text.clear(),
                _ => {}
            });
        }
        self.put("response.output_item.added", json!({"output_index": index, "item": begun}));
        let at = json!({"item_id": item["id"].as_str().unwrap_or_default(), "output_index": index});
        let list = |name: &str| item[name].as_array().into_iter().flatten().enumerate();
        match kind {
            "message" => list("content").for_each(|(i, part)| self.part(&at, i, part)),
            "reasoning" => {
                list("summary").for_each(|(i, part)| self.summary(&at, i, part));
                list("content").for_each(|(i, part)| self.part(&at, i, part));
            }
            "function_call" => {
                self.text(&at, "response.function_call_arguments", &item["arguments"]);
                let done = json!({"name": item["name"], "arguments": item["arguments"]});
                self.put("response.function_call_arguments.done", with(&at, done));
            }
            "custom_tool_call" => {
                self.text(&at, "response.custom_tool_call_input", &item["input"]);
                self.put("response.custom_tool_call_input.done", with(&at, json!({"input": item["input"]})));
            }
            _ => {}
        }
        self.put("response.output_item.done", json!({"output_index": index, "item": item}));
    }

    /// A part of a message's content, or of reasoning that is told in full.
    fn part(&mut self, at: &Value, index: usize, part: &Value) {
        let at = with(at, json!({"content_index": index}));
        let mut begun = members(part);
        let (name, grows) = match part["type"].as_str() {
            Some("output_text") => ("response.output_text", "text"),
            Some("reasoning_text") => ("response.reasoning_text", "text"),
            Some("refusal") => ("response.refusal", "refusal"),
            _ => ("", ""),
        };
        begun.entry(grows).and_modify(|v| *v = "".into());
        for list in ["annotations", "logprobs"] {
            begun.entry(list).and_modify(|v| *v = json!([]));
        }
        self.put("response.content_part.added", with(&at, json!({"part": begun})));
        if !name.is_empty() {
            let logprobs = if grows == "text" && name == "response.output_text" {
                json!({"logprobs": part["logprobs"].as_array().cloned().unwrap_or_default()})
            } else {
                json!({})
            };
            self.text(&with(&at, logprobs.clone()), name, &part[grows]);
            for (i, annotation) in part["annotations"].as_array().into_iter().flatten().enumerate() {
                let more = json!({"annotation_index": i, "annotation": annotation});
                self.put("response.output_text.annotation.added", with(&at, more));
            }
            self.put(&format!("{name}.done"), with(&with(&at, json!({grows: part[grows]})), logprobs));
        }
        self.put("response.content_part.done", with(&at, json!({"part": part})));
    }

    fn summary(&mut self, at: &Value, index: usize, part: &Value) {
        let at = with(at, json!({"summary_index": index}));
        let begun = with(part, json!({"text": ""}));
        self.put("response.reasoning_summary_part.added", with(&at, json!({"part": begun})));
        self.text(&at, "response.reasoning_summary_text", &part["text"]);
        self.put("response.reasoning_summary_text.done", with(&at, json!({"text": part["text"]})));
        self.put("response.reasoning_summary_part.done", with(&at, json!({"part": part})));
    }

    /// A text as one delta; an empty one has none.
    fn text(&mut self, at: &Value, name: &str, text: &Value) {
        if text.as_str().is_some_and(|text| !text.is_empty()) {
            self.put(&format!("{name}.delta"), with(at, json!({"delta": text})));
        }
    }

    /// One event, its type and number first in its data.
    fn put(&mut self, name: &str, data: Value) {
        let head = json!({"type": name, "sequence_number": self.out.len()});
        self.out.push(event(name, &with(&head, data).to_string()));
    }
}

/// An object with further members.
fn with(object: &Value, more: Value) -> Value {
    let mut out = members(object);
    out.extend(members(&more));
    out.into()
}
