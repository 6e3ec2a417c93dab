//! Long texts of a conversation go through a translation as they stand: before the body is parsed each gives its place to
//! a mark, and what is written has it back there. So a long prompt is not unescaped, moved about and escaped again.
//!
//! Only texts that no reader looks into are lifted, and only what lies between a text's beginning and its last plain
//! letter: that it says something, and what white space it ends in, can be seen without it.

use std::ops::Range;

use memchr::memmem;

use crate::cursor::Cursor;

/// Shorter texts are not worth it.
const LONG: usize = 256;
/// How far from the end a plain letter is looked for.
const TAIL: usize = 128;
/// How JSON has the character that begins a mark. It has no other spelling, and nobody writes it.
const MARK: &str = "\\u0001";

/// A body without its long texts.
#[derive(Debug)]
pub(crate) struct Lifted<'a> {
    body: &'a [u8],
    /// What is left, with marks; empty if nothing was lifted.
    short: Vec<u8>,
    texts: Vec<&'a str>,
}

impl<'a> Lifted<'a> {
    /// Takes the long texts out of a request.
    pub(crate) fn new(body: &'a [u8]) -> Lifted<'a> {
        let mut spans = vec![];
        let mut c = Cursor::new(body);
        if body.len() >= LONG && c.enter(b'{') {
            while let Some(name) = c.member() {
                match &*name {
                    b"messages" | b"input" | b"system" | b"instructions" => texts(&mut c, 0, &mut spans),
                    _ => _ = c.value(),
                }
            }
        }
        let mut lifted = Lifted { body, short: vec![], texts: vec![] };
        let mut from = 0;
        for span in spans {
            let Some(before) = body.get(from..span.start) else { continue };
            let Some(text) = body.get(span.clone()).and_then(|t| simdutf8::basic::from_utf8(t).ok()) else { continue };
            lifted.short.extend_from_slice(before);
            lifted.short.extend_from_slice(format!("{MARK}{};", lifted.texts.len()).as_bytes());
            lifted.texts.push(text);
            from = span.end;
        }
        if !lifted.texts.is_empty() {
            lifted.short.extend_from_slice(body.get(from..).unwrap_or_default());
            if memmem::find_iter(&lifted.short, MARK).count() > lifted.texts.len() {
                return Lifted { body, short: vec![], texts: vec![] };
            }
        }
        lifted
    }

    /// What is to be parsed.
    pub(crate) fn body(&self) -> &[u8] {
        if self.texts.is_empty() { self.body } else { &self.short }
    }

    /// `written` with the texts in place of their marks; `None` if nothing was lifted.
    pub(crate) fn put_back(&self, written: &str) -> Option<String> {
        if self.texts.is_empty() {
            return None;
        }
        let more: usize = self.texts.iter().map(|t| t.len()).sum();
        let mut out = String::with_capacity(written.len() + more);
        let mut from = 0;
        for at in memmem::find_iter(written.as_bytes(), MARK) {
            let (Some(before), Some(marked)) = (written.get(from..at), written.get(at + MARK.len()..)) else {
                continue;
            };
            let Some((number, _)) = marked.split_once(';') else { continue };
            let Some(text) = number.parse().ok().and_then(|n: usize| self.texts.get(n)) else { continue };
            out.push_str(before);
            out.push_str(text);
            from = at + MARK.len() + number.len() + 1;
        }
        out.push_str(written.get(from..).unwrap_or_default());
        Some(out)
    }
}

/// The long texts of the value at hand: a string, or in lists of objects what is their content.
fn texts(c: &mut Cursor<'_>, depth: usize, spans: &mut Vec<Range<usize>>) {
    // Parts of a result that is a part of a message.
    const DEEPEST: usize = 6;
    if depth < DEEPEST && c.enter(b'[') {
        while c.element() {
            texts(c, depth + 1, spans);
        }
    } else if depth < DEEPEST && c.enter(b'{') {
        while let Some(name) = c.member() {
            match &*name {
                b"content" | b"text" | b"output" => texts(c, depth + 1, spans),
                _ => _ = c.value(),
            }
        }
    } else {
        let start = c.at() + 1;
        if let Some(length) = c.checked_text().and_then(liftable) {
            spans.push(start..start + length);
        }
    }
}

/// How much of a text can be lifted: up to the last letter that is plain, and so no part of an escape.
fn liftable(raw: &[u8]) -> Option<usize> {
    // An escape, or each half of a pair.
    const ESCAPE: usize = 6;
    let tail = raw.get(raw.len().checked_sub(TAIL).filter(|_| raw.len() >= LONG)?..)?;
    let ends_plain = |w: &[u8]| !w.contains(&b'\\') && w.last().is_some_and(u8::is_ascii_graphic);
    let last = tail.windows(ESCAPE).rposition(ends_plain)?;
    Some(raw.len() - TAIL + last + ESCAPE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::{Bill, Dialect, TargetModel, capability, read_bill, read_head, translate_request};

    fn there_and_back(body: &[u8]) -> (usize, Value) {
        let lifted = Lifted::new(body);
        let short: Value = serde_json::from_slice(lifted.body()).unwrap();
        let written = short.to_string();
        let whole = lifted.put_back(&written).unwrap_or(written);
        (lifted.texts.len(), serde_json::from_str(&whole).unwrap())
    }

    #[test]
    fn long_texts_are_lifted_where_they_are_content() {
        let long = "He said \"no\",\nand left.\t\u{e9} ".repeat(20) + "\n ";
        let part = json!([{"type": "text", "text": long}, {"type": "tool_result", "content": [{"text": long}]}]);
        for (body, want) in [
            (json!({"messages": [{"role": "user", "content": long}, {"content": part}]}), 3),
            (json!({"system": long, "messages": []}), 1),
            (json!({"instructions": long, "input": long}), 2),
            (json!({"input": [{"type": "function_call_output", "output": long}]}), 1),
            (json!({"messages": [{"tool_calls": [{"function": {"arguments": long}}]}]}), 0),
            (json!({"messages": [{"content": [{"type": "tool_use", "input": {"text": long}}]}]}), 0),
            (json!({"tools": [{"description": long}], "user": long}), 0),
            (json!({"messages": [{"content": " \n".repeat(500)}]}), 0),
            (json!({"messages": [{"content": "short"}]}), 0),
            // What looks like a mark.
            (json!({"messages": [{"content": long}], "user": "\u{1}0;"}), 0),
        ] {
            assert_eq!(there_and_back(body.to_string().as_bytes()), (want, body));
        }
    }

    #[test]
    fn what_is_no_json_stays_so() {
        let long = "a".repeat(600);
        for odd in [r"\q", r"\u12x", r"\ud800", "\n", "\u{1}"] {
            let body = format!(r#"{{"messages":[{{"content":"{long}{odd}{long}"}}],"input":"{long}"}}"#);
            assert!(serde_json::from_str::<Value>(&body).is_err());
            assert!(serde_json::from_slice::<Value>(Lifted::new(body.as_bytes()).body()).is_err(), "{odd:?}");
        }
        let mut body = format!(r#"{{"messages":[{{"content":"{long}?{long}"}}]}}"#).into_bytes();
        let odd = body.iter().position(|b| *b == b'?').unwrap();
        body[odd] = 0xff;
        assert!(serde_json::from_slice::<Value>(Lifted::new(&body).body()).is_err());
    }

    /// What a request can cost is read in its outline.
    #[test]
    fn the_outline_says_the_same_but_for_bytes_of_text() {
        use Dialect::{Chat, Messages, Responses};
        let long = "He said \"no\",\nand left. ".repeat(40);
        let schema = json!({"type": "object", "properties": {}});
        let chat = json!({"model": "m", "messages": [
            {"role": "system", "content": long},
            {"role": "user", "content": [{"type": "text", "text": long}, {"type": "text", "text": "short"}]},
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": long},
        ], "tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}], "max_tokens": 9});
        let messages = json!({"model": "m", "system": long, "messages": [
            {"role": "user", "content": long},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": long}]}]},
        ], "tools": [{"name": "f", "input_schema": schema}], "max_tokens": 9});
        let responses = json!({"model": "m", "instructions": long, "input": [
            {"role": "user", "content": long},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": long},
        ], "tools": [{"type": "function", "name": "f", "parameters": schema}], "max_output_tokens": 9});
        for (caller, body, providers) in [
            (Chat, chat, [Messages, Responses]),
            (Messages, messages, [Chat, Responses]),
            (Responses, responses, [Chat, Messages]),
        ] {
            for provider in providers {
                let to = TargetModel {
                    provider: "p",
                    model: "m",
                    default_max_tokens: None,
                    most_tokens: None,
                    capability: capability("m"),
                    now: 0,
                };
                let done = translate_request(caller, provider, body.to_string().as_bytes(), &to).unwrap();
                let more = done.body.len() - done.outline.len();
                assert!(more > 2 * long.len(), "{caller:?} to {provider:?}: {more}");
                let bill = |body: &[u8]| read_bill(provider, body, &read_head(provider, body).unwrap());
                let outline = bill(&done.outline);
                let want = Bill { text_bytes: outline.text_bytes + more as u64, ..outline };
                assert_eq!(bill(&done.body), want, "{caller:?} to {provider:?}");
            }
        }
    }

    proptest! {
        /// Any text comes back as it was, and what is left of it says whether it is blank and how it ends.
        #[test]
        fn any_text_comes_back(text in r#"([a-c"\\\x00-\x20\u{e9}\u{2028}\u{3000}\u{1f600}]|\\u0001|0;){0,9}"#, fill in 0usize..40, ascii: bool) {
            let body = json!({"messages": [{"content": format!("{}{text}", text.repeat(fill * 20))}]});
            let written = if ascii { in_ascii(&body.to_string()) } else { body.to_string() };
            let lifted = Lifted::new(written.as_bytes());
            let short: Value = serde_json::from_slice(lifted.body()).unwrap();
            let (left, whole) = (short["messages"][0]["content"].as_str().unwrap(), body["messages"][0]["content"].as_str().unwrap());
            prop_assert_eq!(left.trim().is_empty(), whole.trim().is_empty());
            prop_assert_eq!(left.len() - left.trim_end().len(), whole.len() - whole.trim_end().len());
            prop_assert_eq!(there_and_back(written.as_bytes()).1, body);
        }

        #[test]
        fn any_bytes_are_taken(text in proptest::collection::vec(proptest::sample::select(br#"{}[]":,\ a"#.to_vec()), 0..80)) {
            let long = "a".repeat(300);
            let text = String::from_utf8(text).unwrap().replace('a', &long);
            let body = format!(r#"{{"messages":[{text}]}}"#);
            let is_json = |b: &[u8]| serde_json::from_slice::<Value>(b).is_ok();
            prop_assert_eq!(is_json(Lifted::new(body.as_bytes()).body()), is_json(body.as_bytes()), "{}", body);
        }
    }

    /// The same JSON with escapes for all that is not ASCII.
    fn in_ascii(json: &str) -> String {
        let mut units = [0; 2];
        json.chars()
            .map(|c| {
                if c.is_ascii() {
                    c.to_string()
                } else {
                    c.encode_utf16(&mut units).iter().map(|u| format!("\\u{u:04x}")).collect()
                }
            })
            .collect()
    }
}
