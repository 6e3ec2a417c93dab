//! The event that most of a stream is made of: some more text. It is read without building a value; whatever says
//! anything beside, or is spelt oddly, is left to the readers of whole events.

use std::borrow::Cow;

use serde::{Deserialize, de::IgnoredAny};

/// What a chunk of Chat adds to the text of the first choice.
pub(crate) fn chat(data: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Chunk<'a> {
        #[serde(borrow)]
        choices: [Choice<'a>; 1],
        error: Option<IgnoredAny>,
        usage: Option<IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct Choice<'a> {
        index: u64,
        #[serde(borrow)]
        delta: Delta<'a>,
        finish_reason: Option<IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct Delta<'a> {
        #[serde(borrow)]
        content: Cow<'a, str>,
        refusal: Option<IgnoredAny>,
        reasoning: Option<IgnoredAny>,
        reasoning_content: Option<IgnoredAny>,
        tool_calls: Option<IgnoredAny>,
    }
    let Chunk { choices: [choice], error: None, usage: None } = serde_json::from_slice(data).ok()? else { return None };
    let Choice { index: 0, delta, finish_reason: None } = choice else { return None };
    let Delta { content, refusal: None, reasoning: None, reasoning_content: None, tool_calls: None } = delta else {
        return None;
    };
    (!content.is_empty()).then_some(content)
}

/// What a `content_block_delta` of Messages adds to a text.
pub(crate) fn messages(data: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(borrow)]
        r#type: Cow<'a, str>,
        #[serde(borrow)]
        delta: Delta<'a>,
    }
    #[derive(Deserialize)]
    struct Delta<'a> {
        #[serde(borrow)]
        r#type: Cow<'a, str>,
        #[serde(borrow)]
        text: Cow<'a, str>,
    }
    let Event { r#type, delta } = serde_json::from_slice(data).ok()?;
    let is_text = r#type == "content_block_delta" && delta.r#type == "text_delta" && !delta.text.is_empty();
    is_text.then_some(delta.text)
}

/// What a `response.output_text.delta` adds, with the places of its item and part.
pub(crate) fn responses(data: &[u8]) -> Option<(u64, u64, Cow<'_, str>)> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(borrow)]
        r#type: Cow<'a, str>,
        output_index: u64,
        content_index: u64,
        #[serde(borrow)]
        delta: Cow<'a, str>,
    }
    let Event { r#type, output_index, content_index, delta } = serde_json::from_slice(data).ok()?;
    let is_text = r#type == "response.output_text.delta" && !delta.is_empty();
    is_text.then_some((output_index, content_index, delta))
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
