//! Which answers are worth keeping.

use serde_json::Value;

use crate::{Dialect, read_answer};

/// Whether a plain answer is clean and complete, so that it may be given again: it ended by itself or by a tool call, was
/// not cut by a limit, refuses nothing, was filtered by nobody, and says something.
#[must_use]
pub fn is_cacheable_answer(dialect: Dialect, answer: &[u8]) -> bool {
    if read_answer(dialect, answer).is_err() {
        return false;
    }
    let Ok(v) = serde_json::from_slice::<Value>(answer) else { return false };
    // What we said of one request is not true of another.
    if v.get("llmroute").is_some() {
        return false;
    }
    match dialect {
        Dialect::Chat => v["choices"].as_array().is_some_and(|all| !all.is_empty() && all.iter().all(is_whole_choice)),
        Dialect::Messages => {
            matches!(v["stop_reason"].as_str(), Some("end_turn" | "stop_sequence" | "tool_use"))
                && v["content"].as_array().is_some_and(|all| all.iter().any(says_something) && all.iter().all(is_block))
        }
        Dialect::Responses => {
            let is_set = |name: &str| !matches!(v[name], Value::Null | Value::Bool(false));
            v["status"] == "completed"
                && !["error", "incomplete_details", "background", "previous_response_id", "conversation"]
                    .into_iter()
                    .any(is_set)
                && v["output"].as_array().is_some_and(|all| all.iter().any(is_said) && all.iter().all(is_whole_item))
        }
    }
}

fn is_whole_choice(choice: &Value) -> bool {
    let message = &choice["message"];
    let says = |name: &str| message[name].as_str().is_some_and(|text| !text.is_empty());
    let calls = message["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty());
    matches!(choice["finish_reason"].as_str(), Some("stop" | "tool_calls" | "function_call"))
        && !says("refusal")
        // It is known by an id that expires.
        && message["audio"].is_null()
        && (says("content") || calls || message["function_call"].is_object())
}

fn is_block(block: &Value) -> bool {
    matches!(block["type"].as_str(), Some("text" | "thinking" | "redacted_thinking" | "tool_use"))
}

fn says_something(block: &Value) -> bool {
    block["type"] == "tool_use" || block["text"].as_str().is_some_and(|text| !text.is_empty())
}

fn is_whole_item(item: &Value) -> bool {
    let refuses = |part: &Value| part["type"] == "refusal";
    matches!(item["type"].as_str(), Some("message" | "reasoning" | "function_call" | "custom_tool_call"))
        && (item["status"].is_null() || item["status"] == "completed")
        && !item["content"].as_array().is_some_and(|parts| parts.iter().any(refuses))
}

fn is_said(item: &Value) -> bool {
    let says = |part: &Value| part["text"].as_str().is_some_and(|text| !text.is_empty());
    match item["type"].as_str() {
        Some("message") => item["content"].as_array().is_some_and(|parts| parts.iter().any(says)),
        kind => kind != Some("reasoning"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(dialect: Dialect, good: &Value, changes: &[(&str, Value)]) {
        let is = |v: &Value| is_cacheable_answer(dialect, v.to_string().as_bytes());
        assert!(is(good), "{good}");
        for (path, value) in changes {
            let mut bad = good.clone();
            match bad.pointer_mut(path) {
                Some(place) => *place = value.clone(),
                None => {
                    let (parent, name) = path.rsplit_once('/').unwrap();
                    bad.pointer_mut(parent).unwrap()[name] = value.clone();
                }
            }
            assert!(!is(&bad), "{path}: {bad}");
        }
        assert!(!is_cacheable_answer(dialect, b"{\"cut"));
    }

    #[test]
    fn chat() {
        let said = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi", "refusal": null}, "finish_reason": "stop"}]});
        let changes = [
            ("/choices/0/finish_reason", json!("length")),
            ("/choices/0/finish_reason", json!("content_filter")),
            ("/choices/0/finish_reason", Value::Null),
            ("/choices/0/message/refusal", json!("no")),
            ("/choices/0/message/content", json!("")),
            ("/choices/0/message/content", Value::Null),
            ("/choices/0/message/audio", json!({"id": "a"})),
            ("/choices", json!([])),
            ("/choices", json!([said["choices"][0], {"finish_reason": "length"}])),
            ("/error", json!({"message": "m"})),
            ("/llmroute", json!({"status": "degraded"})),
        ];
        check(Dialect::Chat, &said, &changes);
        let called = json!({"choices": [{"message": {"content": null, "tool_calls": [{"id": "c"}]}, "finish_reason": "tool_calls"}]});
        check(Dialect::Chat, &called, &[("/choices/0/message/tool_calls", json!([]))]);
    }

    #[test]
    fn messages() {
        let said = json!({"type": "message", "content": [{"type": "thinking"}, {"type": "text", "text": "hi"}], "stop_reason": "end_turn"});
        let changes = [
            ("/stop_reason", json!("max_tokens")),
            ("/stop_reason", json!("refusal")),
            ("/stop_reason", json!("pause_turn")),
            ("/stop_reason", Value::Null),
            ("/content", json!([])),
            ("/content/1/text", json!("")),
            ("/content/0/type", json!("server_tool_use")),
        ];
        check(Dialect::Messages, &said, &changes);
        let called = json!({"content": [{"type": "tool_use", "id": "t"}], "stop_reason": "tool_use"});
        check(Dialect::Messages, &called, &[]);
    }

    #[test]
    fn responses() {
        let message =
            json!({"type": "message", "status": "completed", "content": [{"type": "output_text", "text": "hi"}]});
        let said = json!({"status": "completed", "error": null, "background": false, "output": [{"type": "reasoning"}, message]});
        let changes = [
            ("/status", json!("incomplete")),
            ("/status", json!("queued")),
            ("/incomplete_details", json!({"reason": "max_output_tokens"})),
            ("/background", json!(true)),
            ("/previous_response_id", json!("resp_0")),
            ("/output", json!([])),
            ("/output", json!([{"type": "reasoning"}])),
            ("/output/0/type", json!("web_search_call")),
            ("/output/1/status", json!("incomplete")),
            ("/output/1/content/0/type", json!("refusal")),
            ("/output/1/content/0/text", json!("")),
        ];
        check(Dialect::Responses, &said, &changes);
        check(Dialect::Responses, &json!({"status": "completed", "output": [{"type": "function_call"}]}), &[]);
    }
}
