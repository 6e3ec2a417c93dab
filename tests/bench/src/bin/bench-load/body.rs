//! Request bodies of a chosen size, and what a right answer to them holds.

use llmroute_bench::ANSWER_BEGINS;
use memchr::memmem;
use serde_json::{Value, json};

/// Whose API the request speaks.
#[derive(Clone, Copy, Default, clap::ValueEnum)]
pub(crate) enum Format {
    #[default]
    /// Chat Completions.
    Chat,
    Responses,
    Messages,
}

/// What a right answer holds.
#[derive(Clone, Copy)]
pub(crate) struct Expected {
    pub(crate) format: Format,
    pub(crate) stream: bool,
    /// Content events of a stream.
    pub(crate) chunks: u64,
}

impl Format {
    /// Header lines beside the usual ones.
    pub(crate) fn headers(self) -> &'static str {
        match self {
            Format::Chat | Format::Responses => "",
            Format::Messages => "anthropic-version: 2023-06-01\r\n",
        }
    }

    fn tool(self) -> Value {
        const NAME: &str = "get_weather";
        const WORDS: &str = "The weather at a place, now.";
        let schema = json!({"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]});
        match self {
            Format::Chat => {
                json!({"type": "function", "function": {"name": NAME, "description": WORDS, "parameters": schema}})
            }
            Format::Responses => {
                json!({"type": "function", "name": NAME, "description": WORDS, "parameters": schema, "strict": false})
            }
            Format::Messages => json!({"name": NAME, "description": WORDS, "input_schema": schema}),
        }
    }

    /// What a plain answer holds: its kind, its text, a clean end.
    fn plain(self) -> [&'static str; 3] {
        match self {
            Format::Chat => [r#""object":"chat.completion""#, ANSWER_BEGINS, r#""finish_reason":"stop""#],
            Format::Responses => [r#""object":"response""#, ANSWER_BEGINS, r#""status":"completed""#],
            Format::Messages => [r#""type":"message""#, ANSWER_BEGINS, r#""stop_reason":"end_turn""#],
        }
    }

    /// What the data of a content event holds.
    pub(crate) fn content(self) -> &'static str {
        match self {
            Format::Chat => r#""object":"chat.completion.chunk""#,
            Format::Responses => r#""type":"response.output_text.delta""#,
            Format::Messages => r#""type":"content_block_delta""#,
        }
    }

    /// What the data of the event that ends a stream holds.
    pub(crate) fn end(self) -> &'static str {
        match self {
            Format::Chat => "[DONE]",
            Format::Responses => r#""type":"response.completed""#,
            Format::Messages => r#""type":"message_stop""#,
        }
    }
}

impl Expected {
    /// Whether this is a right plain answer.
    pub(crate) fn is_plain(self, body: &[u8]) -> bool {
        self.format.plain().iter().all(|mark| memmem::find(body, mark.as_bytes()).is_some())
    }
}

/// A body whose prompt is about `size` bytes long: prose with the odd quote, newline and non-ASCII letter, as real
/// prompts have, spread over several messages.
pub(crate) fn build(format: Format, size: usize, stream: bool, tool: bool, pace: &str) -> String {
    const SYSTEM: &str = "You are a helpful assistant.";
    let turns = (size / 8192).clamp(1, 16);
    let mut messages: Vec<Value> = Vec::new();
    for turn in 0..turns {
        if turn > 0 {
            messages.push(json!({"role": "assistant", "content": "Understood, please go on."}));
        }
        let marker = if turn == 0 && !pace.is_empty() { format!("@@mock:{pace}@@ ") } else { String::new() };
        messages.push(json!({"role": "user", "content": marker + &prose(size / turns, turn as u64)}));
    }
    let mut body = match format {
        Format::Chat => {
            messages.insert(0, json!({"role": "system", "content": SYSTEM}));
            json!({"model": "mock", "messages": messages, "temperature": 0.7, "max_tokens": 256})
        }
        Format::Responses => {
            json!({"model": "mock", "instructions": SYSTEM, "input": messages, "max_output_tokens": 256, "store": false})
        }
        Format::Messages => json!({"model": "mock", "max_tokens": 256, "system": SYSTEM, "messages": messages}),
    };
    if tool {
        body["tools"] = json!([format.tool()]);
    }
    if stream {
        body["stream"] = true.into();
    }
    body.to_string()
}

fn prose(size: usize, seed: u64) -> String {
    const WORDS: [&str; 16] = [
        "the",
        "latency",
        "of",
        "a",
        "request",
        "is",
        "\"measured\"",
        "from",
        "its",
        "due",
        "time,",
        "naïve",
        "timers",
        "lie.\n",
        "each",
        "token",
    ];
    let mut out = String::with_capacity(size + 16);
    let mut n = seed * 7 + 3;
    while out.len() < size {
        n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        out.push_str(WORDS[(n >> 33) as usize % WORDS.len()]);
        out.push(' ');
    }
    out
}
