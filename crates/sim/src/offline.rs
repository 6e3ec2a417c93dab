//! The providers without a socket: what a request would be charged.

use serde_json::Value;

use crate::answer::{Answer, Body, Ctx};
use crate::fault::Fault;
use crate::marker::Marker;
use crate::memory::Memory;
use crate::vendor::{self, Endpoint};
use crate::{chat, messages, responses};

/// Pretend providers that only count. They remember warm prompts and stored responses from one request to the next.
#[derive(Default)]
pub struct Offline {
    memory: Memory,
}

/// What a request would be charged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Prompt tokens, cached ones included.
    pub input_tokens: u64,
    /// Of these, read from the cache.
    pub cached_tokens: u64,
    /// Output tokens, reasoning included.
    pub output_tokens: u64,
    /// Nano-dollars.
    pub nano_usd: u64,
    /// The answer as JSON; empty where a stream was asked.
    pub answer: String,
}

impl Offline {
    /// Answers `POST path` at `now` (Unix seconds) with up to `words` words and tells what it costs; the refusal's words
    /// where it is refused.
    pub fn quote(
        &self,
        path: &str,
        body: &Value,
        words: usize,
        now: u64,
        fault: Option<Fault>,
    ) -> Result<Quote, String> {
        let marker = Marker::default();
        let version = Some("2023-06-01");
        let ctx = Ctx { now, seed: now, words, fault, marker: &marker, memory: &self.memory, version, betas: None };
        let answer = match vendor::endpoint("POST", path) {
            Endpoint::Chat => chat::answer(body, &ctx),
            Endpoint::Responses => responses::answer(body, &ctx),
            Endpoint::Messages => messages::answer(body, &ctx),
            _ => return Err(format!("nothing is charged for {path}")),
        };
        let Answer { charge, body } = answer.map_err(|refusal| refusal.message)?;
        Ok(Quote {
            input_tokens: charge.input.total,
            cached_tokens: charge.input.cached,
            output_tokens: charge.output,
            nano_usd: charge.nano_usd(charge.output),
            answer: match body {
                Body::Plain(text) => text,
                Body::Stream(_) => String::new(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quotes_are_what_an_answer_costs() {
        let sim = Offline::default();
        let body =
            json!({"model": "gpt-6-sol", "max_completion_tokens": 4, "messages": [{"role": "user", "content": "hi"}]});
        let quote = |fault| sim.quote("/v1/chat/completions", &body, 50, 1, fault).unwrap();
        let plain = quote(None);
        assert_eq!((plain.input_tokens, plain.output_tokens, plain.nano_usd), (8, 3, 8 * 2000 + 3 * 10_000));
        assert!(
            quote(Some(Fault::IgnoreMaxTokens)).output_tokens > 4 && plain.cached_tokens == 0,
            "it overruns its limit"
        );
        let long =
            json!({"model": "claude-opus-5", "max_tokens": 1000, "messages": [{"role": "user", "content": "hi"}]});
        let over = sim.quote("/v1/messages", &long, 10, 1, Some(Fault::IgnoreMaxTokens)).unwrap();
        assert!(over.output_tokens > 1000, "also a limit above its usual answer");
        assert!(sim.quote("/v1/chat/completions", &json!({}), 1, 1, None).is_err());
        assert!(sim.quote("/v1/models", &body, 1, 1, None).is_err());
    }

    #[test]
    fn tools_bring_a_prompt_of_their_own() {
        let sim = Offline::default();
        let turns = json!([{"role": "user", "content": "hi"}]);
        let count = |path, more: Value| {
            let mut body = json!({"model": if path == "/v1/messages" { "claude-opus-5" } else { "gpt-6-sol" }});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            sim.quote(path, &body, 5, 1, None).unwrap().input_tokens
        };
        let (tool, flat) =
            (json!({"name": "f", "parameters": {"type": "object"}}), |n: &str| json!({"type": "function", "name": n}));
        let rows = [
            (
                "/v1/chat/completions",
                json!({"messages": turns}),
                json!({"messages": turns, "tools": [{"type": "function", "function": tool}]}),
                30,
            ),
            ("/v1/responses", json!({"input": "hi"}), json!({"input": "hi", "tools": [flat("f")]}), 30),
            (
                "/v1/messages",
                json!({"max_tokens": 9, "messages": turns}),
                json!({"max_tokens": 9, "messages": turns, "tools": [{"name": "f", "input_schema": {"type": "object"}}]}),
                346,
            ),
        ];
        for (path, without, with, prompt) in rows {
            assert!(count(path, with) > count(path, without) + prompt, "{path}");
        }
    }
}
