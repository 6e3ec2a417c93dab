//! Long texts of a conversation go through a translation as they stand: before the body is parsed each gives its place to
//! a mark, and what is written has it back there. So a long prompt is not unescaped, moved about and escaped again.
//!
//! Only texts that no reader looks into are lifted, and only what lies between a text's beginning and its last plain
//! letter: that it says something, and what white space it ends in, can be seen without it.

use bytes::Bytes;
use memchr::memmem;

use crate::json::{LONG, Span};

/// How far from the end a plain letter is looked for.
const TAIL: usize = 128;
/// How JSON has the character that begins a mark. It has no other spelling, and nobody writes it.
const MARK: &str = "\\u0001";

/// A body without its long texts.
#[derive(Debug)]
pub(crate) struct Lifted<'a> {
    body: &'a Bytes,
    /// What is left, with marks; empty if nothing was lifted.
    short: Vec<u8>,
    texts: Vec<Span>,
}

impl<'a> Lifted<'a> {
    /// Takes the long texts out of a request; `long` is where they are.
    pub(crate) fn new(body: &'a Bytes, long: &[Span]) -> Lifted<'a> {
        let mut lifted = Lifted { body, short: vec![], texts: vec![] };
        let mut from = 0;
        for span in long {
            let Some(length) = body.get(span.clone()).and_then(liftable) else { continue };
            let Some(before) = body.get(from..span.start) else { continue };
            lifted.short.extend_from_slice(before);
            lifted.short.extend_from_slice(format!("{MARK}{};", lifted.texts.len()).as_bytes());
            from = span.start + length;
            lifted.texts.push(span.start..from);
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

    /// `written` with the texts in place of their marks, in pieces: none of them is copied.
    pub(crate) fn put_back(&self, written: &Bytes) -> Vec<Bytes> {
        let mut pieces = Vec::with_capacity(2 * self.texts.len() + 1);
        let mut from = 0;
        if !self.texts.is_empty() {
            for at in memmem::find_iter(written, MARK) {
                let Some((text, end)) = self.marked(written, at + MARK.len()) else { continue };
                pieces.push(written.slice(from..at));
                pieces.push(self.body.slice(text));
                from = end;
            }
        }
        pieces.push(written.slice(from..));
        pieces
    }

    /// The text whose number stands at `at`, and where its mark ends.
    fn marked(&self, written: &[u8], at: usize) -> Option<(Span, usize)> {
        let marked = written.get(at..)?;
        let length = memchr::memchr(b';', marked)?;
        let number: usize = std::str::from_utf8(marked.get(..length)?).ok()?.parse().ok()?;
        Some((self.texts.get(number)?.clone(), at + length + 1))
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

    /// What is left of a body, how many texts were lifted, and what is put together again.
    fn there_and_back(body: &str) -> (Value, usize, Value) {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let lifted = Lifted::new(&body, &read_head(Dialect::Messages, &body).unwrap().long);
        let short: Value = serde_json::from_slice(lifted.body()).unwrap();
        let whole = lifted.put_back(&short.to_string().into()).concat();
        (short, lifted.texts.len(), serde_json::from_slice(&whole).unwrap())
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
            (
                json!({"messages": [{"content": [{"input": {"text": long}}, {"text": long}]}, {"x": [{}], "content": long}]}),
                2,
            ),
            (json!({"input": [{"x": {"content": long}, "output": [[], {}, [long]], "y": long}]}), 1),
            (json!({"messages": [{"content": " \n".repeat(500)}]}), 0),
            (json!({"messages": [{"content": "short"}]}), 0),
            // What looks like a mark.
            (json!({"messages": [{"content": long}], "user": "\u{1}0;"}), 0),
        ] {
            let (_, lifted, again) = there_and_back(&body.to_string());
            assert_eq!((lifted, again), (want, body));
        }
    }

    #[test]
    fn what_follows_the_last_plain_letter_stays() {
        let far = format!("abcdef{}", " ".repeat(TAIL));
        for (end, stays) in [
            ("abcdef", Some(0)),
            ("abcdef \\n", Some(3)),
            ("abcdef\\u00e9\u{e9}", Some(8)),
            ("abcd", None),
            ("\\ncdef", None),
            (&far, None),
        ] {
            let raw = "\\\"".repeat(300) + end;
            assert_eq!(liftable(raw.as_bytes()), stays.map(|n| raw.len() - n), "{end}");
        }
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
                let body = Bytes::from(body.to_string());
                let head = read_head(caller, &body).unwrap();
                let done = translate_request(caller, provider, &body, &head, &to).unwrap();
                let whole = done.body.concat();
                let more = whole.len() - done.outline.len();
                assert!(more > 2 * long.len(), "{caller:?} to {provider:?}: {more}");
                let bill = |body: &[u8]| read_bill(provider, body, &read_head(provider, body).unwrap());
                let outline = bill(&done.outline);
                let want = Bill { text_bytes: outline.text_bytes + more as u64, ..outline };
                assert_eq!(bill(&whole), want, "{caller:?} to {provider:?}");
            }
        }
    }

    proptest! {
        /// Any text comes back as it was, and what is left of it says whether it is blank and how it ends.
        #[test]
        fn any_text_comes_back(text in r#"([a-c"\\\x00-\x20\u{e9}\u{2028}\u{3000}\u{1f600}]|\\u0001|0;){0,9}"#, fill in 0usize..40, ascii: bool) {
            let body = json!({"messages": [{"content": format!("{}{text}", text.repeat(fill * 20))}]});
            let written = if ascii { in_ascii(&body.to_string()) } else { body.to_string() };
            let (short, _, again) = there_and_back(&written);
            let (left, whole) = (short["messages"][0]["content"].as_str().unwrap(), body["messages"][0]["content"].as_str().unwrap());
            prop_assert_eq!(left.trim().is_empty(), whole.trim().is_empty());
            prop_assert_eq!(left.len() - left.trim_end().len(), whole.len() - whole.trim_end().len());
            prop_assert_eq!(again, body);
        }

        /// Places of another body do no harm, nor does what only looks like a mark.
        #[test]
        fn any_places_are_taken(
            places in proptest::collection::vec((0usize..1500, 250usize..600), 0..4),
            written in r"(\\u0001[0-9+]{0,2};?|[a;\u{e9}]){0,9}",
        ) {
            let body = Bytes::from("a\\n\u{e9}b".repeat(300));
            let places: Vec<Span> = places.into_iter().map(|(at, len)| at..at + len).collect();
            let lifted = Lifted::new(&body, &places);
            prop_assert_eq!(lifted.put_back(&Bytes::copy_from_slice(lifted.body())).concat(), &body[..]);
            let whole = lifted.put_back(&written.clone().into()).concat();
            prop_assert!(!lifted.texts.is_empty() || whole == written.as_bytes());
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
