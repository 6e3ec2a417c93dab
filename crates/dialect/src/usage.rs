//! What a provider counted, in one shape for all three formats.

use serde::Deserialize;
use serde_json::Value;

use crate::Dialect;

/// Tokens of one answer. `input` includes what was read from and written to the cache; reasoning is inside `output`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All input.
    pub input: u64,
    /// Of it, read from cache.
    pub cached: u64,
    /// Of it, written to cache for the short time to live.
    pub cache_write: u64,
    /// Of it, written for the long one.
    pub cache_write_long: u64,
    /// Output.
    pub output: u64,
    /// Of it, reasoning.
    pub reasoning: u64,
    /// The service tier that was billed.
    pub service_tier: Option<String>,
}

/// OpenAI's count, of Chat (`prompt_…`) or of Responses (`input_…`); some servers send both. Zero is a count, missing is
/// none.
pub(crate) fn openai(usage: &Value, service_tier: Option<&str>) -> Option<Usage> {
    let either = |chat: &str, responses: &str| match &usage[chat] {
        Value::Null => usage[responses].clone(),
        found => found.clone(),
    };
    let input = either("prompt_tokens", "input_tokens").as_u64()?;
    let output = either("completion_tokens", "output_tokens").as_u64()?;
    let read = either("prompt_tokens_details", "input_tokens_details");
    let wrote = either("completion_tokens_details", "output_tokens_details");
    let count = |v: &Value| v.as_u64().unwrap_or(0);
    let written = count(&read["cache_write_tokens"]);
    let long = count(&read["cache_write_tokens_details"]["ttl_12h_tokens"]).min(written);
    Some(Usage {
        input,
        cached: count(&read["cached_tokens"]),
        cache_write: written - long,
        cache_write_long: long,
        output,
        reasoning: count(&wrote["reasoning_tokens"]),
        service_tier: service_tier.map(str::to_owned),
    })
}

/// Anthropic's: `input_tokens` leaves out both cache classes; counts in a stream are cumulative and may be partial.
#[derive(Clone, Debug, Default)]
pub(crate) struct Anthropic {
    fresh: Option<u64>,
    cached: Option<u64>,
    written: Option<u64>,
    written_long: Option<u64>,
    output: Option<u64>,
    reasoning: Option<u64>,
    service_tier: Option<String>,
    fast: Option<bool>,
}

impl Anthropic {
    /// What a `usage` object says; `None` if it is none.
    pub(crate) fn read(usage: &Value) -> Option<Anthropic> {
        usage.is_object().then(|| Anthropic {
            fresh: usage["input_tokens"].as_u64(),
            cached: usage["cache_read_input_tokens"].as_u64(),
            written: usage["cache_creation_input_tokens"].as_u64(),
            written_long: usage["cache_creation"]["ephemeral_1h_input_tokens"].as_u64(),
            output: usage["output_tokens"].as_u64(),
            reasoning: usage["output_tokens_details"]["thinking_tokens"].as_u64(),
            service_tier: usage["service_tier"].as_str().map(str::to_owned),
            fast: usage["speed"].as_str().map(|s| s == "fast"),
        })
    }

    /// Later counts of a stream over earlier ones: what a later event leaves out stays.
    pub(crate) fn merge(&mut self, later: Anthropic) {
        *self = Anthropic {
            fresh: later.fresh.or(self.fresh),
            cached: later.cached.or(self.cached),
            written: later.written.or(self.written),
            written_long: later.written_long.or(self.written_long),
            output: later.output.or(self.output),
            reasoning: later.reasoning.or(self.reasoning),
            service_tier: later.service_tier.or_else(|| self.service_tier.take()),
            fast: later.fast.or(self.fast),
        };
    }

    pub(crate) fn usage(&self) -> Option<Usage> {
        let (fresh, output) = (self.fresh?, self.output?);
        let cached = self.cached.unwrap_or(0);
        let written = self.written.unwrap_or(0);
        let long = self.written_long.unwrap_or(0).min(written);
        Some(Usage {
            input: fresh.saturating_add(cached).saturating_add(written),
            cached,
            cache_write: written - long,
            cache_write_long: long,
            output,
            reasoning: self.reasoning.unwrap_or(0),
            service_tier: if self.fast == Some(true) { Some("fast".into()) } else { self.service_tier.clone() },
        })
    }
}

/// The count in an answer, or in a `response` object: its `usage`, and OpenAI's `service_tier` beside it.
pub(crate) fn of_members(dialect: Dialect, usage: &Value, service_tier: &Value) -> Option<Usage> {
    match dialect {
        Dialect::Messages => Anthropic::read(usage)?.usage(),
        Dialect::Chat | Dialect::Responses => openai(usage, service_tier.as_str()),
    }
}

/// The count in a whole answer.
#[must_use]
pub fn usage_of_answer(dialect: Dialect, body: &[u8]) -> Option<Usage> {
    memchr::memmem::find(body, b"\"usage\"")?;
    #[derive(Deserialize)]
    struct Counted {
        #[serde(default)]
        usage: Value,
        #[serde(default)]
        service_tier: Value,
    }
    let counted = serde_json::from_slice::<Counted>(body).ok()?;
    of_members(dialect, &counted.usage, &counted.service_tier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_say_the_same() {
        let want = Usage {
            input: 100,
            cached: 30,
            cache_write: 8,
            cache_write_long: 2,
            output: 20,
            reasoning: 5,
            service_tier: None,
        };
        let chat = br#"{"usage":{"prompt_tokens":100,"completion_tokens":20,"prompt_tokens_details":{"cached_tokens":30,"cache_write_tokens":10,"cache_write_tokens_details":{"ttl_12h_tokens":2}},"completion_tokens_details":{"reasoning_tokens":5}}}"#;
        let responses = br#"{"usage":{"input_tokens":100,"output_tokens":20,"input_tokens_details":{"cached_tokens":30,"cache_write_tokens":10,"cache_write_tokens_details":{"ttl_12h_tokens":2}},"output_tokens_details":{"reasoning_tokens":5}}}"#;
        let messages = br#"{"usage":{"input_tokens":60,"cache_read_input_tokens":30,"cache_creation_input_tokens":10,"cache_creation":{"ephemeral_1h_input_tokens":2},"output_tokens":20,"output_tokens_details":{"thinking_tokens":5}}}"#;
        assert_eq!(usage_of_answer(Dialect::Chat, chat), Some(want.clone()));
        assert_eq!(usage_of_answer(Dialect::Responses, responses), Some(want.clone()));
        assert_eq!(usage_of_answer(Dialect::Messages, messages), Some(want));
    }

    #[test]
    fn odd_counts_do_not_hide_the_others() {
        let both = br#"{"service_tier":7,"usage":{"prompt_tokens":3,"input_tokens":3,"completion_tokens":1,"output_tokens":1,"prompt_tokens_details":null,"completion_tokens_details":"?"}}"#;
        assert_eq!(usage_of_answer(Dialect::Chat, both), Some(Usage { input: 3, output: 1, ..Usage::default() }));
        let huge = br#"{"usage":{"input_tokens":18446744073709551615,"cache_read_input_tokens":18446744073709551615,"cache_creation":[],"output_tokens":1}}"#;
        assert_eq!(usage_of_answer(Dialect::Messages, huge).map(|u| u.input), Some(u64::MAX));
        let fast = br#"{"usage":{"input_tokens":1,"output_tokens":1,"service_tier":"standard","speed":"fast"}}"#;
        assert_eq!(usage_of_answer(Dialect::Messages, fast).unwrap().service_tier.as_deref(), Some("fast"));
    }

    #[test]
    fn missing_is_not_zero() {
        assert_eq!(usage_of_answer(Dialect::Chat, br#"{"usage":null}"#), None);
        assert_eq!(usage_of_answer(Dialect::Chat, br#"{"usage":{}}"#), None);
        let zero = usage_of_answer(Dialect::Chat, br#"{"usage":{"prompt_tokens":0,"completion_tokens":0}}"#);
        assert_eq!(zero, Some(Usage::default()));
    }
}
