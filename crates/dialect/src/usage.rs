//! What a provider counted, in one shape for all three formats.

use serde_json::{Value, json};

use crate::{
    Dialect,
    json::{JsonError, Scanner, members, unescape},
};

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

impl Usage {
    /// The service tier as the other vendor calls it; `None` where it has no such, or none was told.
    pub(crate) fn tier(&self, from: Dialect, to: Dialect) -> Option<&str> {
        let tier = self.service_tier.as_deref()?;
        match (from == Dialect::Messages, to == Dialect::Messages, tier) {
            (true, false, "standard") => Some("default"),
            (false, true, "default") => Some("standard"),
            (true, false, "priority" | "fast") | (false, true, "priority") => Some(tier),
            (true, false, _) | (false, true, _) => None,
            _ => Some(tier),
        }
    }
}

/// A count in the making, leaf by leaf of a `usage` object.
pub(crate) enum Counts {
    OpenAi(OpenAi),
    Anthropic(Anthropic),
}

impl Counts {
    pub(crate) fn new(dialect: Dialect) -> Counts {
        match dialect {
            Dialect::Chat | Dialect::Responses => Counts::OpenAi(OpenAi::default()),
            Dialect::Messages => Counts::Anthropic(Anthropic::default()),
        }
    }

    /// Takes the `usage` object at hand.
    pub(crate) fn read(&mut self, scan: &mut Scanner<'_>) -> Result<(), JsonError> {
        match self {
            Counts::OpenAi(seen) => scan.leaves(|holder, name, value| seen.leaf(holder, name, value)),
            Counts::Anthropic(seen) => scan.leaves(|holder, name, value| seen.leaf(holder, name, value)),
        }
    }

    /// The count; OpenAI says the service tier beside it.
    pub(crate) fn usage(self, service_tier: &[u8]) -> Option<Usage> {
        match self {
            Counts::OpenAi(seen) => seen.usage(service_tier),
            Counts::Anthropic(seen) => seen.usage(),
        }
    }
}

/// OpenAI's count, of Chat (`prompt_…`) or of Responses (`input_…`); some servers send both. Zero is a count, missing is
/// none.
#[derive(Default)]
pub(crate) struct OpenAi {
    input: [Option<u64>; 2],
    output: [Option<u64>; 2],
    cached: Option<u64>,
    written: Option<u64>,
    long: Option<u64>,
    reasoning: Option<u64>,
}

impl OpenAi {
    fn leaf(&mut self, holder: &[u8], name: &[u8], value: &[u8]) {
        let slot = match (holder, name) {
            (b"", b"prompt_tokens") => &mut self.input[0],
            (b"", b"input_tokens") => &mut self.input[1],
            (b"", b"completion_tokens") => &mut self.output[0],
            (b"", b"output_tokens") => &mut self.output[1],
            (b"prompt_tokens_details" | b"input_tokens_details", b"cached_tokens") => &mut self.cached,
            (b"prompt_tokens_details" | b"input_tokens_details", b"cache_write_tokens") => &mut self.written,
            (b"cache_write_tokens_details", b"ttl_12h_tokens") => &mut self.long,
            (b"completion_tokens_details" | b"output_tokens_details", b"reasoning_tokens") => &mut self.reasoning,
            _ => return,
        };
        *slot = count(value);
    }

    fn usage(self, service_tier: &[u8]) -> Option<Usage> {
        let written = self.written.unwrap_or(0);
        let long = self.long.unwrap_or(0).min(written);
        Some(Usage {
            input: self.input[0].or(self.input[1])?,
            cached: self.cached.unwrap_or(0),
            cache_write: written - long,
            cache_write_long: long,
            output: self.output[0].or(self.output[1])?,
            reasoning: self.reasoning.unwrap_or(0),
            service_tier: string(service_tier),
        })
    }
}

/// A whole number, as JSON spells it.
fn count(value: &[u8]) -> Option<u64> {
    let digit = |n: u64, b: &u8| n.checked_mul(10)?.checked_add(u64::from(b.is_ascii_digit().then(|| b - b'0')?));
    if value.is_empty() { None } else { value.iter().try_fold(0, digit) }
}

fn string(value: &[u8]) -> Option<String> {
    let inner = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    Some(unescape(inner).into_owned())
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
    fn leaf(&mut self, holder: &[u8], name: &[u8], value: &[u8]) {
        match (holder, name) {
            (b"", b"input_tokens") => self.fresh = count(value),
            (b"", b"cache_read_input_tokens") => self.cached = count(value),
            (b"", b"cache_creation_input_tokens") => self.written = count(value),
            (b"cache_creation", b"ephemeral_1h_input_tokens") => self.written_long = count(value),
            (b"", b"output_tokens") => self.output = count(value),
            (b"output_tokens_details", b"thinking_tokens") => self.reasoning = count(value),
            (b"", b"service_tier") => self.service_tier = string(value),
            (b"", b"speed") => self.fast = string(value).map(|s| s == "fast"),
            _ => {}
        }
    }

    /// What a `usage` member says that was parsed already; `None` if it is no object.
    pub(crate) fn of_value(usage: &Value) -> Option<Anthropic> {
        let object = usage.as_object()?;
        let mut seen = Anthropic::default();
        for (name, value) in object {
            match value.as_object() {
                None => seen.leaf(b"", name.as_bytes(), value.to_string().as_bytes()),
                Some(inner) => {
                    inner.iter().for_each(|(n, v)| seen.leaf(name.as_bytes(), n.as_bytes(), v.to_string().as_bytes()))
                }
            }
        }
        Some(seen)
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

/// The count in a whole answer.
#[must_use]
pub fn usage_of_answer(dialect: Dialect, body: &[u8]) -> Option<Usage> {
    memchr::memmem::find(body, b"\"usage\"")?;
    let (mut counts, mut service_tier) = (None, 0..0);
    let is_object = members(body, |m, scan| {
        match &*m.name {
            b"usage" if scan.is_object() => counts.insert(Counts::new(dialect)).read(scan)?,
            b"service_tier" => {
                let start = scan.at();
                scan.skip(&mut ())?;
                service_tier = start..scan.at();
            }
            _ => _ = scan.skip(&mut ())?,
        }
        Ok(())
    });
    is_object.ok().filter(|is| *is)?;
    counts?.usage(&body[service_tier])
}

/// The count in an answer, or in a `response` object, that was parsed already.
pub(crate) fn usage_of_value(dialect: Dialect, answer: &Value) -> Option<Usage> {
    let counted = json!({"usage": answer["usage"], "service_tier": answer["service_tier"]});
    if counted["usage"].is_null() { None } else { usage_of_answer(dialect, counted.to_string().as_bytes()) }
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
