//! What the provider says in each of its APIs: the same sentence, the same tokens.

use std::fmt::{Result, Write};

/// The answers of one API. Events are whole, with their blank lines.
pub(crate) struct Words {
    /// A plain answer.
    pub(crate) plain: &'static str,
    /// Events before the first content.
    pub(crate) opening: &'static str,
    /// A content event: the time it is stamped with, and how many there were.
    pub(crate) content: fn(&mut String, u64, u32) -> Result,
    /// Events after the last content: how many there were, and whether Chat's usage is asked.
    pub(crate) closing: fn(&mut String, u32, bool) -> Result,
}

pub(crate) const MODELS: &str =
    r#"{"object":"list","data":[{"id":"mock","object":"model","created":1750000000,"owned_by":"mock"}]}"#;

macro_rules! sentence {
    () => {
        "The mock upstream answers every question with the same sentence, which is long enough to look like a short \
         reply from a real model and short enough to keep the cost of the transfer small."
    };
}

macro_rules! chunk {
    ($choices:literal) => {
        concat!(
            r#"data: {{"id":"chatcmpl-mock","object":"chat.completion.chunk","created":1750000000,"model":"mock","#,
            r#""system_fingerprint":"fp_mock","choices":"#,
            $choices,
            "}}\n\n"
        )
    };
}

pub(crate) const CHAT: Words = Words {
    plain: concat!(
        r#"{"id":"chatcmpl-mock0000000000000000000000000","object":"chat.completion","created":1750000000,"#,
        r#""model":"mock","choices":[{"index":0,"message":{"role":"assistant","content":""#,
        sentence!(),
        r#"","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":256,"#,
        r#""completion_tokens":42,"total_tokens":298,"prompt_tokens_details":{"cached_tokens":0},"#,
        r#""completion_tokens_details":{"reasoning_tokens":0}},"system_fingerprint":"fp_mock"}"#
    ),
    opening: concat!(
        r#"data: {"id":"chatcmpl-mock","object":"chat.completion.chunk","created":1750000000,"model":"mock","#,
        r#""system_fingerprint":"fp_mock","choices":[{"index":0,"delta":{"role":"assistant","content":""},"#,
        r#""logprobs":null,"finish_reason":null}]}"#,
        "\n\n"
    ),
    content: |text, now, _| {
        write!(
            text,
            chunk!(r#"[{{"index":0,"delta":{{"content":"@t{};tok "}},"logprobs":null,"finish_reason":null}}]"#),
            now
        )
    },
    closing: |text, _, usage| {
        write!(text, chunk!(r#"[{{"index":0,"delta":{{}},"logprobs":null,"finish_reason":"stop"}}]"#))?;
        if usage {
            write!(text, chunk!(r#"[],"usage":{{"prompt_tokens":256,"completion_tokens":50,"total_tokens":306}}"#))?;
        }
        text.write_str("data: [DONE]\n\n")
    },
};

macro_rules! event {
    ($name:literal, $rest:literal) => {
        concat!("event: ", $name, "\ndata: {{\"type\":\"", $name, "\"", $rest, "}}\n\n")
    };
}

pub(crate) const MESSAGES: Words = Words {
    plain: concat!(
        r#"{"id":"msg_mock00000000000000000000","type":"message","role":"assistant","model":"mock","#,
        r#""content":[{"type":"text","text":""#,
        sentence!(),
        r#""}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":256,"#,
        r#""cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":"#,
        r#"{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":42,"#,
        r#""service_tier":"standard"}}"#
    ),
    opening: concat!(
        "event: message_start\ndata: ",
        r#"{"type":"message_start","message":{"id":"msg_mock","type":"message","role":"assistant","model":"mock","#,
        r#""content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":256,"#,
        r#""cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1,"service_tier":"standard"}}}"#,
        "\n\nevent: content_block_start\ndata: ",
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        "\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\n"
    ),
    content: |text, now, _| {
        write!(
            text,
            event!("content_block_delta", r#","index":0,"delta":{{"type":"text_delta","text":"@t{};tok "}}"#),
            now
        )
    },
    closing: |text, chunks, _| {
        write!(text, event!("content_block_stop", r#","index":0"#))?;
        write!(
            text,
            event!(
                "message_delta",
                r#","delta":{{"stop_reason":"end_turn","stop_sequence":null}},"usage":{{"output_tokens":{}}}"#
            ),
            chunks
        )?;
        write!(text, event!("message_stop", ""))
    },
};

pub(crate) const RESPONSES: Words = Words {
    plain: concat!(
        r#"{"id":"resp_mock","object":"response","created_at":1750000000,"status":"completed","error":null,"#,
        r#""incomplete_details":null,"instructions":null,"max_output_tokens":256,"model":"mock","output":"#,
        r#"[{"id":"msg_mock","type":"message","status":"completed","role":"assistant","content":"#,
        r#"[{"type":"output_text","text":""#,
        sentence!(),
        r#"","annotations":[],"logprobs":[]}]}],"parallel_tool_calls":true,"previous_response_id":null,"#,
        r#""store":false,"temperature":1.0,"text":{"format":{"type":"text"}},"tool_choice":"auto","tools":[],"#,
        r#""top_p":1.0,"truncation":"disabled","usage":{"input_tokens":256,"input_tokens_details":"#,
        r#"{"cached_tokens":0},"output_tokens":42,"output_tokens_details":{"reasoning_tokens":0},"#,
        r#""total_tokens":298},"metadata":{}}"#
    ),
    opening: concat!(
        "event: response.created\ndata: ",
        r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_mock","object":"response","#,
        r#""created_at":1750000000,"status":"in_progress","model":"mock","output":[],"usage":null}}"#,
        "\n\nevent: response.in_progress\ndata: ",
        r#"{"type":"response.in_progress","sequence_number":1,"response":{"id":"resp_mock","object":"response","#,
        r#""created_at":1750000000,"status":"in_progress","model":"mock","output":[],"usage":null}}"#,
        "\n\nevent: response.output_item.added\ndata: ",
        r#"{"type":"response.output_item.added","sequence_number":2,"output_index":0,"item":{"id":"msg_mock","#,
        r#""type":"message","status":"in_progress","role":"assistant","content":[]}}"#,
        "\n\nevent: response.content_part.added\ndata: ",
        r#"{"type":"response.content_part.added","sequence_number":3,"item_id":"msg_mock","output_index":0,"#,
        r#""content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}}"#,
        "\n\n"
    ),
    content: |text, now, before| {
        write!(
            text,
            event!(
                "response.output_text.delta",
                r#","sequence_number":{},"item_id":"msg_mock","output_index":0,"content_index":0,"delta":"@t{};tok ","logprobs":[]"#
            ),
            before + 4,
            now
        )
    },
    closing: |text, chunks, _| {
        let whole = "tok ".repeat(chunks as usize);
        let next = chunks + 4;
        write!(
            text,
            event!(
                "response.output_text.done",
                r#","sequence_number":{},"item_id":"msg_mock","output_index":0,"content_index":0,"text":"{}","logprobs":[]"#
            ),
            next, whole
        )?;
        let part = format!(r#"{{"type":"output_text","text":"{whole}","annotations":[],"logprobs":[]}}"#);
        write!(
            text,
            event!(
                "response.content_part.done",
                r#","sequence_number":{},"item_id":"msg_mock","output_index":0,"content_index":0,"part":{}"#
            ),
            next + 1,
            part
        )?;
        let item = format!(
            r#"{{"id":"msg_mock","type":"message","status":"completed","role":"assistant","content":[{part}]}}"#
        );
        write!(
            text,
            event!("response.output_item.done", r#","sequence_number":{},"output_index":0,"item":{}"#),
            next + 2,
            item
        )?;
        write!(
            text,
            event!(
                "response.completed",
                r#","sequence_number":{},"response":{{"id":"resp_mock","object":"response","created_at":1750000000,"status":"completed","model":"mock","output":[{}],"usage":{{"input_tokens":256,"input_tokens_details":{{"cached_tokens":0}},"output_tokens":{},"output_tokens_details":{{"reasoning_tokens":0}},"total_tokens":{}}}}}"#
            ),
            next + 3,
            item,
            chunks,
            256 + chunks
        )
    },
};

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_answer_and_every_event_is_json_of_its_api() {
        for (words, of_plain) in [(CHAT, "chat.completion"), (RESPONSES, "response"), (MESSAGES, "message")] {
            let plain: Value = serde_json::from_str(words.plain).unwrap();
            assert!(words.plain.contains(llmroute_bench::ANSWER_BEGINS));
            assert!([&plain["object"], &plain["type"]].iter().any(|v| *v == of_plain), "{plain}");
            let mut text = words.opening.to_owned();
            (words.content)(&mut text, 7, 0).unwrap();
            (words.content)(&mut text, 8, 1).unwrap();
            (words.closing)(&mut text, 2, true).unwrap();
            let mut numbers = vec![];
            for event in text.split_terminator("\n\n") {
                let (name, data) = match event.split_once('\n') {
                    Some((name, data)) => (name.strip_prefix("event: "), data),
                    None => (None, event),
                };
                let data = data.strip_prefix("data: ").unwrap();
                if data == "[DONE]" {
                    continue;
                }
                let data: Value = serde_json::from_str(data).unwrap();
                assert_eq!(data["type"].as_str(), name, "{data}");
                numbers.extend(data["sequence_number"].as_u64());
            }
            let count = numbers.len() as u64;
            assert_eq!(numbers, (0..count).collect::<Vec<_>>(), "{text}");
        }
    }
}
