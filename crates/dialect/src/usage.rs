//! What a provider counted, in one shape for all three formats.

use serde::Deserialize;

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

/// OpenAI's, of Chat (`prompt_…`) and of Responses (`input_…`).
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct OpenAi {
    #[serde(alias = "input_tokens")]
    prompt_tokens: Option<u64>,
    #[serde(alias = "output_tokens")]
    completion_tokens: Option<u64>,
    #[serde(alias = "input_tokens_details")]
    prompt_tokens_details: Option<InputDetails>,
    #[serde(alias = "output_tokens_details")]
    completion_tokens_details: Option<OutputDetails>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct InputDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
    cache_write_tokens_details: Option<WriteDetails>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WriteDetails {
    ttl_12h_tokens: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: Option<u64>,
}

/// Anthropic's: `input_tokens` leaves out both cache classes; counts in a stream are cumulative and may be partial.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Anthropic {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation: Option<Creation>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<Thinking>,
    service_tier: Option<String>,
    speed: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Creation {
    ephemeral_1h_input_tokens: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Thinking {
    thinking_tokens: Option<u64>,
}

impl OpenAi {
    pub(crate) fn usage(self, service_tier: Option<String>) -> Option<Usage> {
        // Zero is a count, missing is none.
        let (input, output) = (self.prompt_tokens?, self.completion_tokens?);
        let details = self.prompt_tokens_details.unwrap_or_default();
        let written = details.cache_write_tokens.unwrap_or(0);
        let long = details.cache_write_tokens_details.and_then(|d| d.ttl_12h_tokens).unwrap_or(0).min(written);
        Some(Usage {
            input,
            cached: details.cached_tokens.unwrap_or(0),
            cache_write: written - long,
            cache_write_long: long,
            output,
            reasoning: self.completion_tokens_details.and_then(|d| d.reasoning_tokens).unwrap_or(0),
            service_tier,
        })
    }
}

impl Anthropic {
    /// Later counts of a stream over earlier ones: what a later event leaves out stays.
    pub(crate) fn merge(&mut self, later: Anthropic) {
        let Anthropic {
            input_tokens,
            cache_creation_input_tokens,
            cache_read_input_tokens,
            cache_creation,
            output_tokens,
            output_tokens_details,
            service_tier,
            speed,
        } = later;
        self.input_tokens = input_tokens.or(self.input_tokens);
        self.cache_creation_input_tokens = cache_creation_input_tokens.or(self.cache_creation_input_tokens);
        self.cache_read_input_tokens = cache_read_input_tokens.or(self.cache_read_input_tokens);
        self.cache_creation = cache_creation.or_else(|| self.cache_creation.take());
        self.output_tokens = output_tokens.or(self.output_tokens);
        self.output_tokens_details = output_tokens_details.or_else(|| self.output_tokens_details.take());
        self.service_tier = service_tier.or_else(|| self.service_tier.take());
        self.speed = speed.or_else(|| self.speed.take());
    }

    pub(crate) fn usage(&self) -> Option<Usage> {
        let (fresh, output) = (self.input_tokens?, self.output_tokens?);
        let cached = self.cache_read_input_tokens.unwrap_or(0);
        let written = self.cache_creation_input_tokens.unwrap_or(0);
        let long = self.cache_creation.as_ref().and_then(|c| c.ephemeral_1h_input_tokens).unwrap_or(0).min(written);
        let fast = self.speed.as_deref() == Some("fast");
        Some(Usage {
            input: fresh.saturating_add(cached).saturating_add(written),
            cached,
            cache_write: written - long,
            cache_write_long: long,
            output,
            reasoning: self.output_tokens_details.as_ref().and_then(|d| d.thinking_tokens).unwrap_or(0),
            service_tier: if fast { Some("fast".into()) } else { self.service_tier.clone() },
        })
    }
}

/// Members of an answer, or of a `response` object, that hold the count.
#[derive(Deserialize)]
pub(crate) struct Counted {
    usage: Option<serde_json::Value>,
    service_tier: Option<String>,
}

impl Counted {
    pub(crate) fn usage(self, dialect: Dialect) -> Option<Usage> {
        let usage = self.usage?;
        match dialect {
            Dialect::Messages => Anthropic::deserialize(usage).ok()?.usage(),
            Dialect::Chat | Dialect::Responses => OpenAi::deserialize(usage).ok()?.usage(self.service_tier),
        }
    }
}

/// The count in a whole answer.
#[must_use]
pub fn usage_of_answer(dialect: Dialect, body: &[u8]) -> Option<Usage> {
    memchr::memmem::find(body, b"\"usage\"")?;
    serde_json::from_slice::<Counted>(body).ok()?.usage(dialect)
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
    fn missing_is_not_zero() {
        assert_eq!(usage_of_answer(Dialect::Chat, br#"{"usage":null}"#), None);
        assert_eq!(usage_of_answer(Dialect::Chat, br#"{"usage":{}}"#), None);
        let zero = usage_of_answer(Dialect::Chat, br#"{"usage":{"prompt_tokens":0,"completion_tokens":0}}"#);
        assert_eq!(zero, Some(Usage::default()));
    }
}
