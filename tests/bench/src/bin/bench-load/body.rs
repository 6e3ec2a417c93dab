//! Request bodies of a chosen size.

use serde_json::{Value, json};

/// Whose API the request speaks.
#[derive(Clone, Copy, Default, clap::ValueEnum)]
pub(crate) enum Format {
    #[default]
    Openai,
    Anthropic,
}

impl Format {
    /// Header lines beside the usual ones.
    pub(crate) fn headers(self) -> &'static str {
        match self {
            Format::Openai => "",
            Format::Anthropic => "anthropic-version: 2023-06-01\r\n",
        }
    }
}

/// A body whose prompt is about `size` bytes long: prose with the odd quote, newline and non-ASCII letter, as real
/// prompts have, spread over several messages.
pub(crate) fn build(format: Format, size: usize, stream: bool, pace: &str) -> String {
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
        Format::Openai => {
            messages.insert(0, json!({"role": "system", "content": SYSTEM}));
            json!({"model": "mock", "messages": messages, "temperature": 0.7, "max_tokens": 256})
        }
        Format::Anthropic => json!({"model": "mock", "max_tokens": 256, "system": SYSTEM, "messages": messages}),
    };
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
