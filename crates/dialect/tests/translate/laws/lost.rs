//! Nothing is lost without being listed: every member of a request, known or not, carries a mark of its own, and each mark
//! is found in what goes to the provider, or its path, or one above it, among what was dropped.

use dialect::Dialect::{self, Chat, Messages, Responses};
use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};

use super::{any_arrow, any_target};
use crate::translate;

/// Everything that there is in a request, `$` where a mark goes: within text, or `$int` and `$half` for a number.
fn template(caller: Dialect) -> Value {
    match caller {
        Chat => chat(),
        Responses => responses(),
        Messages => messages(),
    }
}

fn chat() -> Value {
    json!({
        "model": "mock",
        "messages": [
            {"role": "system", "content": "$", "name": "$"},
            {"role": "developer", "content": [{"type": "text", "text": "$", "cache_control": {"type": "ephemeral", "ttl": "$"}}]},
            {"role": "user", "name": "$", "content": [
                {"type": "text", "text": "$"},
                {"type": "image_url", "image_url": {"url": "https://x.org/$", "detail": "$"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,$"}, "cache_control": {"type": "ephemeral", "ttl": "$"}},
                {"type": "file", "file": {"filename": "$", "file_data": "data:application/pdf;base64,$", "file_id": "$"}},
                {"type": "hologram", "hologram": {"a": ["$"]}},
            ]},
            {"role": "assistant", "content": [{"type": "text", "text": "$"}, {"type": "refusal", "refusal": "$"}], "refusal": "$",
                "reasoning_content": "$", "annotations": [{"type": "url_citation", "url": "$"}], "name": "$", "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":\"$\"}"}},
                {"id": "call_2", "type": "function", "function": {"name": "f", "arguments": "$"}},
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "$", "name": "$"},
            {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "$"}]},
            {"role": "system", "content": "$"},
            {"role": "user", "content": "$"},
        ],
        "tools": [{"type": "function", "cache_control": {"type": "ephemeral", "ttl": "$"}, "function": {
            "name": "f", "description": "$", "strict": true, "parameters": {"type": "object", "title": "$", "properties": {}}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": false,
        "max_completion_tokens": "$int", "temperature": "$half", "top_p": "$half", "frequency_penalty": "$half",
        "presence_penalty": "$half", "seed": "$int", "n": "$int", "top_logprobs": "$int", "logprobs": true,
        "logit_bias": {"7": "$int"}, "stop": ["$", "\n"], "metadata": {"a": "$"}, "user": "$", "safety_identifier": "$",
        "prompt_cache_key": "$", "prompt_cache_retention": "$", "service_tier": "$", "verbosity": "$", "store": true,
        "prediction": {"type": "content", "content": "$"}, "modalities": ["text"], "reasoning_effort": "$",
        "web_search_options": {"search_context_size": "$"}, "moderation": {"model": "$"},
        "response_format": {"type": "json_schema", "json_schema": {"name": "$", "description": "$", "strict": true, "schema": {"type": "object", "title": "$"}}},
        "stream": true, "stream_options": {"include_usage": true, "include_obfuscation": "$"},
    })
}

fn messages() -> Value {
    let mark = json!({"type": "ephemeral", "ttl": "$"});
    json!({
        "model": "mock", "max_tokens": "$int",
        "system": [{"type": "text", "text": "$", "citations": [{"cited_text": "$"}], "cache_control": mark}, {"type": "hologram", "a": "$"}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "$", "citations": [{"cited_text": "$"}]},
                {"type": "image", "source": {"type": "url", "url": "https://x.org/$"}, "cache_control": mark},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "$"}},
                {"type": "document", "title": "$", "context": "$", "citations": {"enabled": true, "a": "$"},
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "$"}},
                {"type": "document", "title": "$", "context": "$", "source": {"type": "text", "media_type": "text/plain", "data": "$"}},
                {"type": "search_result", "source": "$", "title": "$", "content": [{"type": "text", "text": "$"}]},
                {"type": "hologram", "a": {"b": ["$"]}},
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "$", "signature": "$"},
                {"type": "redacted_thinking", "data": "$"},
                {"type": "text", "text": "$"},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": "$"}, "caller": {"type": "direct", "a": "$"}, "cache_control": mark},
                {"type": "server_tool_use", "id": "srv_1", "name": "$", "input": {"query": "$"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": true, "cache_control": mark, "content": [
                    {"type": "text", "text": "$"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "$"}},
                    {"type": "search_result", "source": "$", "title": "$", "content": []},
                ]},
                {"type": "text", "text": "$"},
            ]},
            {"role": "system", "content": "$"},
            {"role": "user", "content": "$"},
        ],
        "tools": [
            {"name": "f", "description": "$", "input_schema": {"type": "object", "title": "$"}, "input_examples": [{"a": "$"}], "strict": true, "cache_control": mark},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": "$int"},
        ],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true},
        "temperature": "$half", "top_p": "$half", "top_k": "$int", "stop_sequences": ["$", "a", "b", "c", "$"],
        "metadata": {"user_id": "$", "team": "$"}, "thinking": {"type": "enabled", "budget_tokens": "$int", "display": "$"},
        "output_config": {"effort": "$", "format": {"type": "json_schema", "schema": {"type": "object", "title": "$"}}},
        "service_tier": "$", "container": "$", "inference_geo": "$", "speed": "$", "stream": true,
        "mcp_servers": [{"type": "url", "url": "$", "name": "$"}], "context_management": {"edits": [{"type": "$"}]},
    })
}

fn responses() -> Value {
    json!({
        "model": "mock", "instructions": "$", "max_output_tokens": "$int",
        "input": [
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "$"}]},
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "$"},
                {"type": "input_image", "image_url": "https://x.org/$", "detail": "$"},
                {"type": "input_file", "filename": "$", "file_data": "data:application/pdf;base64,$"},
                {"type": "hologram", "a": "$"},
            ]},
            {"type": "reasoning", "id": "$", "summary": [{"type": "summary_text", "text": "$"}], "encrypted_content": "$"},
            {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "phase": "$", "content": [
                {"type": "output_text", "text": "$", "annotations": [{"type": "url_citation", "url": "$"}], "logprobs": []},
                {"type": "refusal", "refusal": "$"},
            ]},
            {"type": "function_call", "id": "fc_1", "status": "completed", "call_id": "call_1", "name": "f", "arguments": "{\"a\":\"$\"}"},
            {"type": "function_call_output", "id": "fco_1", "call_id": "call_1", "output": "$"},
            {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "$"}},
            {"type": "message", "role": "system", "content": "$"},
            {"role": "user", "content": "$"},
        ],
        "tools": [{"type": "function", "name": "f", "description": "$", "strict": true, "parameters": {"type": "object", "title": "$", "properties": {}}}],
        "tool_choice": {"type": "function", "name": "f"}, "parallel_tool_calls": false,
        "temperature": "$half", "top_p": "$half", "top_logprobs": "$int", "max_tool_calls": "$int", "truncation": "$",
        "include": ["$"], "metadata": {"a": "$"}, "user": "$", "safety_identifier": "$", "prompt_cache_key": "$",
        "prompt_cache_retention": "$", "service_tier": "$", "reasoning": {"effort": "$", "summary": "auto"}, "store": false,
        "text": {"verbosity": "$", "format": {"type": "json_schema", "name": "$", "description": "$", "strict": true, "schema": {"type": "object", "title": "$"}}},
        "stream": true, "stream_options": {"include_obfuscation": "$"},
    })
}

/// Labels for the caller's own use, which no model sees: where there is no place for them nothing is lost.
pub const LABELS: [&str; 2] = ["response_format.json_schema.name", "text.format.name"];

/// Marks in the order in which they are given, each with its path and how it is spelled.
#[derive(Default)]
pub struct Marks(pub Vec<(String, String)>);

impl Marks {
    fn give(&mut self, path: &str, spell: impl Fn(usize) -> String) -> String {
        let spelled = spell(self.0.len() + 1);
        self.0.push((path.to_owned(), spelled.clone()));
        spelled
    }

    /// Marks `v`; `strange` tells where unknown members are put in.
    pub fn mark(&mut self, path: &str, v: &mut Value, strange: &mut impl FnMut() -> bool) {
        match v {
            Value::String(s) if s == "$int" => {
                *v = self.give(path, |n| format!("{}", 70_000 + n)).parse::<u64>().unwrap().into();
            }
            Value::String(s) if s == "$half" => {
                *v = self.give(path, |n| format!("0.5{n:03}1")).parse::<f64>().unwrap().into();
            }
            Value::String(s) if s.contains('$') => {
                let mark = self.give(path, |n| format!("mark{n}x"));
                *s = s.replace('$', &mark);
            }
            Value::Array(list) => {
                list.iter_mut().enumerate().for_each(|(i, v)| self.mark(&format!("{path}[{i}]"), v, strange));
            }
            Value::Object(map) => {
                if strange() {
                    map.insert("strange".into(), "$".into());
                }
                let under = |k: &str| if path.is_empty() { k.to_owned() } else { format!("{path}.{k}") };
                map.iter_mut().for_each(|(k, v)| self.mark(&under(k), v, strange));
            }
            _ => {}
        }
    }
}

impl Marks {
    /// Finds what is still there of the marks `given`, by the paths that they have now.
    pub fn look_up(&mut self, path: &str, v: &Value, given: &Marks) {
        match v {
            Value::Array(list) => {
                list.iter().enumerate().for_each(|(i, v)| self.look_up(&format!("{path}[{i}]"), v, given))
            }
            Value::Object(map) => {
                let under = |k: &str| if path.is_empty() { k.to_owned() } else { format!("{path}.{k}") };
                map.iter().for_each(|(k, v)| self.look_up(&under(k), v, given));
            }
            leaf => {
                let text = leaf.as_str().map_or_else(|| leaf.to_string(), str::to_owned);
                let mark = given.0.iter().find(|(_, mark)| text.contains(mark.as_str()));
                self.0.extend(mark.map(|(_, mark)| (path.to_owned(), mark.clone())));
            }
        }
    }
}

/// Whether `dropped` tells of `path`: by itself, by one above it, or by the name that stands for all cache marks.
pub fn tells(dropped: &str, path: &str) -> bool {
    let behind = path.strip_prefix(dropped);
    behind.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        || dropped == "cache_control" && path.contains(".cache_control")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_member_arrives_or_is_listed(
        arrow in any_arrow(), to in any_target(), strange: u64, left_out in prop::collection::vec(any::<Index>(), 0..8), small: Option<bool>
    ) {
        let mut body = template(arrow.0);
        if let (Chat, Some(legacy)) = (arrow.0, small) {
            // Less than some APIs take, under either name.
            body.as_object_mut().unwrap().shift_remove("max_completion_tokens");
            body[if legacy { "max_tokens" } else { "max_completion_tokens" }] = 7.into();
        }
        // Some of the members that a request can be without.
        for at in left_out {
            let map = body.as_object_mut().unwrap();
            let needed = ["model", "messages", "input", "max_tokens"];
            let free: Vec<String> = map.keys().filter(|k| !needed.contains(&k.as_str())).cloned().collect();
            map.shift_remove(&free[at.index(free.len())]);
        }
        let mut marks = Marks::default();
        let mut bits = strange;
        marks.mark("", &mut body, &mut || {
            bits = bits.rotate_left(1);
            bits & 1 == 1
        });
        let done = match translate(arrow.0, arrow.1, &body, &to) {
            Ok(done) => done,
            // Of a model that lacks something, what cannot be left out is refused.
            Err(e) => {
                let is_blind = !(to.capability.images && to.capability.documents);
                let is_refused = is_blind && e.why.contains("takes no") || e.member == "tools";
                prop_assert!(is_refused && to.model != "mock", "{:?}: {}", arrow, e);
                return Ok(());
            }
        };
        let sent = String::from_utf8(done.body.concat()).unwrap();
        let lost: Vec<&(String, String)> = marks.0.iter().filter(|(path, mark)| {
            !sent.contains(mark) && !done.dropped.iter().any(|d| tells(d, path)) && !LABELS.contains(&path.as_str())
        }).collect();
        prop_assert!(lost.is_empty(), "{:?} to {}: lost silently: {:?}\nlisted: {:?}", arrow, to.model, lost, done.dropped);
        // And nothing is listed that never was there, but for what Responses does unless it is told not to.
        let is_default = |d: &str| d == "cache_control" || arrow.0 == Responses && d == "store";
        let at = |p: &str| format!("/{}", p.replace('[', "/").replace(']', "").replace('.', "/"));
        let invented: Vec<&String> = done.dropped.iter().filter(|d| !is_default(d) && body.pointer(&at(d)).is_none()).collect();
        prop_assert!(invented.is_empty(), "{:?} listed, but not in the request: {:?}", arrow, invented);
    }
}
