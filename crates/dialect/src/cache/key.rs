//! What makes two requests equal.

use super::canonical::{Form, Hash};
use crate::{Dialect, head::Head, walk::Walk};

/// The key of a request whose `head` was read from `body`: equal for requests that ask the same of the same model in the
/// same dialect, however they are spelled. A tenant, and what headers ask, are the caller's to add.
///
/// `None` where an answer may depend on more than the body: state at the provider, tools that it runs, media that it
/// fetches.
#[must_use]
pub fn cache_key(dialect: Dialect, head: &Head, body: &[u8]) -> Option<Hash> {
    if head.stateful {
        return None;
    }
    let mut form = Form::default();
    let mut members = vec![];
    let mut closed = true;
    Walk::new(body, head.spots.open.saturating_sub(1)).members(|name, walk| {
        if is_silent(dialect, name) {
            return;
        }
        let start = walk.at();
        members.push(form.member(name, walk, &mut |name, text| closed &= !is_elsewhere(name, text)));
        let value = body.get(start..walk.at()).unwrap_or_default();
        closed &= !depends(dialect, name, value);
    });
    form.object(members);
    let dialect: &[u8] = match dialect {
        Dialect::Chat => b"chat",
        Dialect::Responses => b"responses",
        Dialect::Messages => b"messages",
    };
    closed.then(|| form.hash(dialect))
}

/// Members that change no word of an answer. Anything else matters, also what nobody knows yet.
fn is_silent(dialect: Dialect, name: &[u8]) -> bool {
    match (dialect, name) {
        // In which form it comes.
        (_, b"stream") => true,
        (Dialect::Chat | Dialect::Responses, b"stream_options") => true,
        // For whom, for the caller's own books.
        (_, b"metadata") => true,
        (Dialect::Chat | Dialect::Responses, b"user" | b"safety_identifier") => true,
        // How fast and at what price.
        (_, b"service_tier") => true,
        // What the provider may read again of the prompt, and for how long.
        (Dialect::Chat | Dialect::Responses, b"prompt_cache_key" | b"prompt_cache_retention") => true,
        (Dialect::Messages, b"cache_control") => true,
        // Kept for the caller's own evaluations. A Responses answer that was stored can be gone on from, so there it
        // matters.
        (Dialect::Chat, b"store") => true,
        _ => false,
    }
}

/// Whether a string, somewhere in a body, names what stands elsewhere and may change there: a file, a URL, a stored item.
/// Text is a member of another name.
fn is_elsewhere(name: &[u8], text: &str) -> bool {
    match name {
        b"file_id" => true,
        b"url" | b"image_url" | b"file_url" => !text.get(..5).is_some_and(|s| s.eq_ignore_ascii_case("data:")),
        b"type" => text == "item_reference",
        _ => false,
    }
}

/// Whether a member makes the answer depend on more than the request.
fn depends(dialect: Dialect, name: &[u8], value: &[u8]) -> bool {
    let empty = matches!(value, b"null" | b"false" | b"[]" | b"{}");
    match (dialect, name) {
        (_, b"tools") => has_server_tools(value),
        (Dialect::Chat, b"web_search_options") => !empty,
        // A stored prompt has versions.
        (Dialect::Responses, b"background" | b"prompt") => !empty,
        (Dialect::Messages, b"mcp_servers" | b"container" | b"thread") => !empty,
        _ => false,
    }
}

/// Whether a tool is anything else than a function of the caller's.
fn has_server_tools(tools: &[u8]) -> bool {
    let mut found = false;
    Walk::new(tools, 0).elements(|walk| {
        walk.members(|name, walk| {
            if name == b"type" {
                found |= walk.string().is_none_or(|kind| kind != "function" && kind != "custom");
            }
        });
    });
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::read_head;

    const ALL: [Dialect; 3] = [Dialect::Chat, Dialect::Responses, Dialect::Messages];

    fn key(dialect: Dialect, body: &Value) -> Option<Hash> {
        let body = body.to_string();
        cache_key(dialect, &read_head(dialect, body.as_bytes()).unwrap(), body.as_bytes())
    }

    fn base(dialect: Dialect) -> Map<String, Value> {
        let turns = json!([{"role": "user", "content": "hi"}]);
        let list = if dialect == Dialect::Responses { "input" } else { "messages" };
        let tool = match dialect {
            Dialect::Chat => {
                json!({"type": "function", "function": {"name": "f", "parameters": {"properties": {"url": {"type": "string"}}}}})
            }
            Dialect::Responses => {
                json!({"type": "function", "name": "f", "parameters": {"properties": {"type": {"type": "string"}}}})
            }
            Dialect::Messages => json!({"name": "f", "input_schema": {"type": "object"}}),
        };
        json!({"model": "m", list: turns, "tools": [tool], "temperature": 0.5}).as_object().unwrap().clone()
    }

    fn with(dialect: Dialect, name: &str, value: Value) -> Value {
        let mut body = base(dialect);
        body.insert(name.to_owned(), value);
        body.into()
    }

    #[test]
    fn what_does_not_matter() {
        for dialect in ALL {
            let plain = key(dialect, &base(dialect).into()).unwrap();
            let openai = dialect != Dialect::Messages;
            let rows: &[(&str, Value, bool)] = &[
                ("stream", json!(true), true),
                ("stream_options", json!({"include_usage": true}), openai),
                ("user", json!("u1"), openai),
                ("safety_identifier", json!("u1"), openai),
                ("metadata", json!({"url": "https://x"}), true),
                ("service_tier", json!("flex"), true),
                ("prompt_cache_key", json!("k"), openai),
                ("prompt_cache_retention", json!("24h"), openai),
                ("cache_control", json!({"type": "ephemeral"}), !openai),
                ("store", json!(false), dialect == Dialect::Chat),
                ("model", json!("m2"), false),
                ("temperature", json!(0.6), false),
                ("n", json!(2), false),
                ("novelty", json!(null), false),
                ("seed", json!(7), false),
                ("tool_choice", json!("auto"), false),
            ];
            for (name, value, silent) in rows {
                let other = key(dialect, &with(dialect, name, value.clone())).unwrap();
                assert_eq!(other == plain, *silent, "{dialect:?} {name}");
            }
        }
    }

    #[test]
    fn dialects_are_apart() {
        let keys = ALL.map(|d| key(d, &json!({"model": "m"})).unwrap());
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
    }

    #[test]
    fn what_depends_on_more_than_the_request() {
        let (chat, responses, messages) = (Dialect::Chat, Dialect::Responses, Dialect::Messages);
        let said = |part: Value| json!([{"role": "user", "content": [part]}]);
        let rows = [
            (chat, "web_search_options", json!({}), true),
            (chat, "web_search_options", json!({"search_context_size": "low"}), false),
            (chat, "tools", json!([{"type": "custom", "custom": {"name": "f"}}]), true),
            (chat, "tools", json!([{"type": "web_search"}]), false),
            (
                chat,
                "messages",
                said(json!({"type": "image_url", "image_url": {"url": "DATA:image/png;base64,AA"}})),
                true,
            ),
            (chat, "messages", said(json!({"type": "image_url", "image_url": {"url": "https://x/a.png"}})), false),
            (chat, "messages", said(json!({"type": "file", "file": {"file_id": "f"}})), false),
            (chat, "messages", said(json!({"type": "file", "file": {"file_data": "data:,"}})), true),
            (chat, "messages", said(json!({"type": "text", "text": "see https://x"})), true),
            (responses, "previous_response_id", json!("resp_1"), false),
            (responses, "previous_response_id", json!(null), true),
            (responses, "conversation", json!({"id": "c"}), false),
            (responses, "background", json!(true), false),
            (responses, "background", json!(false), true),
            (responses, "prompt", json!({"id": "p"}), false),
            (responses, "tools", json!([{"type": "mcp"}]), false),
            (responses, "input", said(json!({"type": "input_image", "image_url": "http://x"})), false),
            (responses, "input", said(json!({"type": "input_image", "image_url": "data:,"})), true),
            (responses, "input", said(json!({"type": "input_file", "file_url": "http://x"})), false),
            (responses, "input", json!([{"type": "item_reference", "id": "x"}]), false),
            (messages, "mcp_servers", json!([]), true),
            (messages, "mcp_servers", json!([{"name": "x"}]), false),
            (messages, "container", json!("c"), false),
            (messages, "tools", json!([{"type": "custom", "name": "f"}]), true),
            (messages, "tools", json!([{"type": "web_search_20250305", "name": "web_search"}]), false),
            (messages, "tools", json!([{"type": 1}]), false),
            (
                messages,
                "messages",
                said(json!({"type": "image", "source": {"type": "url", "url": "https://x"}})),
                false,
            ),
            (messages, "messages", said(json!({"type": "image", "source": {"type": "file", "file_id": "f"}})), false),
            (messages, "messages", said(json!({"type": "image", "source": {"type": "base64", "data": "AA"}})), true),
        ];
        for (dialect, name, value, cached) in rows {
            let body = with(dialect, name, value);
            assert_eq!(key(dialect, &body).is_some(), cached, "{dialect:?} {body}");
        }
    }

    proptest! {
        /// Any two bodies have one key if, and only if, they mean the same.
        #[test]
        fn order_and_space_do_not_matter(names in prop::collection::hash_set("[a-z]{1,8}", 1..12), at in any::<prop::sample::Index>()) {
            let pairs: Vec<(String, Value)> = names.iter().enumerate().map(|(i, n)| (format!("x_{n}"), json!([i, {"t": n}]))).collect();
            let body: Value = Value::Object(pairs.iter().cloned().collect());
            let back: Value = Value::Object(pairs.iter().rev().cloned().collect());
            let wide = serde_json::to_string_pretty(&back).unwrap();
            let head = read_head(Dialect::Chat, wide.as_bytes()).unwrap();
            prop_assert_eq!(key(Dialect::Chat, &body), cache_key(Dialect::Chat, &head, wide.as_bytes()));
            let mut other = pairs.clone();
            other[at.index(pairs.len())].1 = json!("other");
            prop_assert_ne!(key(Dialect::Chat, &body), key(Dialect::Chat, &Value::Object(other.into_iter().collect())));
        }
    }
}
