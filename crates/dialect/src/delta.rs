//! The event that most of a stream is made of: some more text. It is read in one pass and without a value; whatever says
//! anything beside, or is spelt oddly, is left to the readers of whole events.

use std::borrow::Cow;

use crate::{cursor::Cursor, json::unescape};

/// What a chunk of Chat adds to the text of its only choice, the first.
pub(crate) fn chat(data: &[u8]) -> Option<Cow<'_, str>> {
    let mut c = Cursor::new(data);
    let mut said = None;
    open(&mut c, b'{')?;
    while let Some(name) = c.member() {
        match &*name {
            b"choices" => said = Some(choice(&mut c)?),
            b"error" | b"usage" => c.null()?,
            _ => _ = c.value(),
        }
    }
    said.filter(|_| c.is_over()).and_then(text)
}

fn choice<'a>(c: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let mut said = None;
    open(c, b'[')?;
    if !c.element() {
        return None;
    }
    open(c, b'{')?;
    while let Some(name) = c.member() {
        match &*name {
            b"index" if c.value() == b"0" => {}
            b"index" => return None,
            b"delta" => said = Some(delta(c)?),
            b"finish_reason" => c.null()?,
            _ => _ = c.value(),
        }
    }
    said.filter(|_| !c.element())
}

fn delta<'a>(c: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let mut said = None;
    open(c, b'{')?;
    while let Some(name) = c.member() {
        match &*name {
            b"content" => said = Some(c.checked_text()?),
            b"refusal" | b"reasoning" | b"reasoning_content" | b"tool_calls" => c.null()?,
            _ => _ = c.value(),
        }
    }
    said
}

/// What a `content_block_delta` of Messages adds to a text.
pub(crate) fn messages(data: &[u8]) -> Option<Cow<'_, str>> {
    let mut c = Cursor::new(data);
    let (mut is_delta, mut said) = (false, None);
    open(&mut c, b'{')?;
    while let Some(name) = c.member() {
        match &*name {
            b"type" => is_delta = c.checked_text()? == b"content_block_delta",
            b"delta" => said = Some(text_delta(&mut c)?),
            _ => _ = c.value(),
        }
    }
    said.filter(|_| is_delta && c.is_over()).and_then(text)
}

fn text_delta<'a>(c: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let (mut is_text, mut said) = (false, None);
    open(c, b'{')?;
    while let Some(name) = c.member() {
        match &*name {
            b"type" => is_text = c.checked_text()? == b"text_delta",
            b"text" => said = Some(c.checked_text()?),
            _ => _ = c.value(),
        }
    }
    said.filter(|_| is_text)
}

/// What a `response.output_text.delta` adds, with the places of its item and part.
pub(crate) fn responses(data: &[u8]) -> Option<(u64, u64, Cow<'_, str>)> {
    let mut c = Cursor::new(data);
    let (mut is_delta, mut item, mut part, mut said) = (false, None, None, None);
    let number = |c: &mut Cursor<'_>| std::str::from_utf8(c.value()).ok()?.parse().ok();
    open(&mut c, b'{')?;
    while let Some(name) = c.member() {
        match &*name {
            b"type" => is_delta = c.checked_text()? == b"response.output_text.delta",
            b"output_index" => item = number(&mut c),
            b"content_index" => part = number(&mut c),
            b"delta" => said = Some(c.checked_text()?),
            _ => _ = c.value(),
        }
    }
    let said = said.filter(|_| is_delta && c.is_over()).and_then(text)?;
    Some((item?, part?, said))
}

fn open(c: &mut Cursor<'_>, with: u8) -> Option<()> {
    c.enter(with).then_some(())
}

/// A text that says something.
fn text(raw: &[u8]) -> Option<Cow<'_, str>> {
    let plain = std::str::from_utf8(raw).ok().filter(|t| !t.is_empty())?;
    Some(if raw.contains(&b'\\') { unescape(raw) } else { plain.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_text_and_nothing_else() {
        let rows = [
            (r#"{"choices":[{"index":0,"delta":{"content":"a\n"},"finish_reason":null}],"usage":null}"#, Some("a\n")),
            (r#"{"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":"b"}}]}"#, Some("b")),
            (r#"{"choices":[{"index":0,"delta":{"content":""}}]}"#, None),
            (r#"{"choices":[{"index":0,"delta":{"content":null}}]}"#, None),
            (r#"{"choices":[{"index":1,"delta":{"content":"a"}}]}"#, None),
            (r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}"#, None),
            (r#"{"choices":[{"index":0,"delta":{"content":"a"}}],"usage":{}}"#, None),
            (r#"{"choices":[{"index":0,"delta":{"content":"a"}}],"error":{}}"#, None),
            (r#"{"choices":[{"index":0,"delta":{"content":"a","refusal":"r"}}]}"#, None),
            (r#"{"choices":[{"index":0,"delta":{"content":"a","reasoning":"r"}}]}"#, None),
            (r#"{"choices":[{"index":0,"delta":{"content":"a","reasoning_content":"r"}}]}"#, None),
            (r#"{"choices":[{"index":0,"delta":{"content":"a","tool_calls":[]}}]}"#, None),
            (r#"{"choices":[]}"#, None),
            (r#"{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}]}"#, None),
            ("[DONE]", None),
            ("{", None),
        ];
        for (data, want) in rows {
            assert_eq!(chat(data.as_bytes()).as_deref(), want, "{data}");
        }
        let rows = [
            (r#"{"type":"content_block_delta","index":3,"delta":{"type":"text_delta","text":"a"}}"#, Some("a")),
            (r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":""}}"#, None),
            (r#"{"type":"content_block_delta","delta":{"type":"thinking_delta","text":"a"}}"#, None),
            (r#"{"type":"novelty","delta":{"type":"text_delta","text":"a"}}"#, None),
            (r#"{"type":"ping"}"#, None),
        ];
        for (data, want) in rows {
            assert_eq!(messages(data.as_bytes()).as_deref(), want, "{data}");
        }
        let event = |kind| format!(r#"{{"type":"{kind}","output_index":2,"content_index":1,"delta":"a"}}"#);
        assert_eq!(responses(event("response.output_text.delta").as_bytes()), Some((2, 1, "a".into())));
        assert_eq!(responses(event("response.refusal.delta").as_bytes()), None);
        assert_eq!(responses(br#"{"type":"response.output_text.delta","delta":"a"}"#), None);
    }
}
