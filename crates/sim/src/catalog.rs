//! The models that exist here: limits, list prices, and what each refuses.

use crate::vendor::Vendor;

/// One model. Prices are nano-dollars a token, which is a thousandth of the list's dollars per million.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Model {
    pub(crate) id: &'static str,
    pub(crate) vendor: Vendor,
    /// Tokens of prompt and answer together.
    pub(crate) context: u64,
    pub(crate) max_output: u64,
    pub(crate) price: Price,
    pub(crate) refuses: Refuses,
}

/// Nano-dollars a token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Price {
    pub(crate) input: u64,
    pub(crate) cached: u64,
    /// Cache write with the short lifetime (30 min, 5 min).
    pub(crate) write: u64,
    /// Cache write with the long lifetime (12 h, 1 h).
    pub(crate) write_long: u64,
    pub(crate) output: u64,
    /// Above this prompt length the whole request is repriced.
    pub(crate) cliff: Option<Cliff>,
}

/// Prices above a prompt length, in halves of the usual ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cliff {
    pub(crate) above: u64,
    pub(crate) input_halves: u64,
    pub(crate) output_halves: u64,
}

/// What a model answers with 400.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Refuses {
    /// `max_tokens` in Chat Completions.
    pub(crate) max_tokens: bool,
    /// Sampling values other than the default.
    pub(crate) sampling: bool,
    /// These values of `reasoning_effort`.
    pub(crate) efforts: &'static [&'static str],
    /// Sampling values other than the default beside any effort but `none`, and effort is not `none` by default.
    pub(crate) sampling_beside_effort: bool,
    /// `tool_choice` `any` or a named tool.
    pub(crate) forced_tools: bool,
    /// `thinking: enabled`.
    pub(crate) thinking_enabled: bool,
    /// `thinking: disabled`.
    pub(crate) thinking_disabled: bool,
    /// A final assistant turn.
    pub(crate) prefill: bool,
    /// A JSON schema for the answer.
    pub(crate) schema: bool,
}

const PLAIN: Refuses = Refuses {
    max_tokens: false,
    sampling: false,
    efforts: &[],
    sampling_beside_effort: false,
    forced_tools: false,
    thinking_enabled: false,
    thinking_disabled: false,
    prefill: false,
    schema: false,
};
const NO_SCHEMA: Refuses = Refuses { schema: true, ..PLAIN };
const GPT6: Refuses = Refuses { max_tokens: true, sampling_beside_effort: true, ..PLAIN };
const GPT61: Refuses = Refuses { efforts: &["none"], ..GPT6 };
const GPT62: Refuses = Refuses { efforts: &["none", "minimal"], ..GPT6 };
const O_SERIES: Refuses = Refuses { sampling: true, ..GPT6 };
const NO_PREFILL: Refuses = Refuses { prefill: true, ..PLAIN };
const OPUS47: Refuses = Refuses { sampling: true, thinking_enabled: true, ..NO_PREFILL };
const CLAUDE55: Refuses = Refuses { forced_tools: true, thinking_disabled: true, ..OPUS47 };

const fn flat(input: u64, cached: u64, write: u64, write_long: u64, output: u64) -> Price {
    Price { input, cached, write, write_long, output, cliff: None }
}

const fn steep(price: Price, above: u64, input_halves: u64, output_halves: u64) -> Price {
    Price { cliff: Some(Cliff { above, input_halves, output_halves }), ..price }
}

const fn gpt(id: &'static str, context: u64, price: Price, refuses: Refuses) -> Model {
    Model { id, vendor: Vendor::OpenAi, context, max_output: 128_000, price, refuses }
}

const fn claude(id: &'static str, context: u64, price: Price, refuses: Refuses) -> Model {
    let max_output = if context < M { 64_000 } else { 128_000 };
    Model { id, vendor: Vendor::Anthropic, context, max_output, price, refuses }
}

const M: u64 = 1_000_000;
/// The window of the newer GPTs: 922K of prompt and 128K of answer.
const GPT: u64 = 1_050_000;

/// All models, newest first.
pub(crate) const MODELS: &[Model] = &[
    gpt("gpt-6.2-sol", GPT, steep(flat(2000, 100, 2500, 5000, 10_000), 272_000, 4, 3), GPT62),
    gpt("gpt-6.2-astra", GPT, steep(flat(8000, 400, 10_000, 20_000, 40_000), 272_000, 4, 3), GPT62),
    gpt("gpt-6.1-sol", GPT, steep(flat(2000, 100, 2500, 2500, 10_000), 272_000, 4, 3), GPT61),
    gpt("gpt-6-astra", GPT, steep(flat(10_000, 1000, 12_500, 12_500, 50_000), 272_000, 4, 3), GPT6),
    gpt("gpt-6-sol", GPT, steep(flat(2000, 200, 2500, 2500, 10_000), 272_000, 4, 3), GPT6),
    gpt("gpt-6-luna", GPT, steep(flat(100, 10, 125, 125, 500), 272_000, 4, 3), GPT6),
    gpt("gpt-5.6-sol", GPT, steep(flat(4000, 400, 5000, 5000, 20_000), 272_000, 4, 3), PLAIN),
    gpt("gpt-5.6-terra", GPT, steep(flat(2000, 200, 2500, 2500, 12_000), 272_000, 4, 3), PLAIN),
    gpt("gpt-5.6-luna", GPT, steep(flat(200, 20, 250, 250, 1200), 272_000, 4, 3), PLAIN),
    gpt("gpt-5.5", GPT, steep(flat(5000, 500, 5000, 5000, 30_000), 272_000, 4, 3), PLAIN),
    gpt("gpt-5.4", GPT, steep(flat(2500, 250, 2500, 2500, 15_000), 272_000, 4, 3), PLAIN),
    gpt("gpt-5.4-mini", 400_000, flat(750, 75, 750, 750, 4500), PLAIN),
    gpt("gpt-4.1", M, flat(2000, 500, 2000, 2000, 8000), PLAIN),
    gpt("gpt-4o", 128_000, flat(2500, 1250, 2500, 2500, 10_000), PLAIN),
    gpt("gpt-4o-mini", 128_000, flat(150, 75, 150, 150, 600), PLAIN),
    Model { max_output: 4096, ..gpt("gpt-4-turbo", 128_000, flat(10_000, 10_000, 10_000, 10_000, 30_000), NO_SCHEMA) },
    gpt("o3", 200_000, flat(2000, 500, 2000, 2000, 8000), O_SERIES),
    gpt("text-embedding-3-small", 8192, flat(20, 20, 20, 20, 0), PLAIN),
    gpt("text-embedding-3-large", 8192, flat(130, 130, 130, 130, 0), PLAIN),
    gpt("omni-moderation-latest", 32_768, flat(0, 0, 0, 0, 0), PLAIN),
    claude("claude-fable-5-2", M, flat(8000, 200, 10_000, 16_000, 40_000), OPUS47),
    claude("claude-mythos-5-2", M, flat(8000, 200, 10_000, 16_000, 40_000), OPUS47),
    claude("claude-fable-5-1", M, flat(10_000, 250, 12_500, 20_000, 50_000), OPUS47),
    claude("claude-opus-5-5", M, flat(4000, 200, 5000, 8000, 20_000), CLAUDE55),
    claude("claude-sonnet-5-5", M, flat(2000, 100, 2500, 4000, 10_000), CLAUDE55),
    claude("claude-haiku-5-5", M, steep(flat(100, 10, 125, 200, 500), 100_000, 10, 10), PLAIN),
    claude("claude-opus-5", M, flat(5000, 500, 6250, 10_000, 25_000), OPUS47),
    claude("claude-opus-4-8", M, flat(5000, 500, 6250, 10_000, 25_000), OPUS47),
    claude("claude-opus-4-7", M, flat(5000, 500, 6250, 10_000, 25_000), OPUS47),
    claude("claude-opus-4-6", M, flat(5000, 500, 6250, 10_000, 25_000), NO_PREFILL),
    claude("claude-opus-4-5", 200_000, flat(5000, 500, 6250, 10_000, 25_000), PLAIN),
    Model {
        max_output: 32_000,
        ..claude("claude-opus-4-1", 200_000, flat(15_000, 1500, 18_750, 30_000, 75_000), NO_SCHEMA)
    },
    claude("claude-sonnet-5", M, flat(2000, 200, 2500, 4000, 10_000), NO_PREFILL),
    claude("claude-sonnet-4-6", M, flat(3000, 300, 3750, 6000, 15_000), NO_PREFILL),
    claude("claude-sonnet-4-5", 200_000, flat(3000, 300, 3750, 6000, 15_000), PLAIN),
    claude("claude-haiku-4-5", 200_000, flat(1000, 100, 1250, 2000, 5000), PLAIN),
];

/// The vendor's model of that name; a date or `-latest` at its end is allowed.
pub(crate) fn find(vendor: Vendor, name: &str) -> Option<&'static Model> {
    MODELS.iter().find(|m| m.vendor == vendor && (m.id == name || dated(name, m.id)))
}

fn dated(name: &str, id: &str) -> bool {
    let Some(rest) = name.strip_prefix(id).and_then(|r| r.strip_prefix('-')) else { return false };
    rest == "latest" || (rest.len() >= 8 && rest.bytes().all(|b| b.is_ascii_digit() || b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(find(Vendor::Anthropic, "claude-haiku-4-5-20251001").map(|m| m.id), Some("claude-haiku-4-5"));
        assert_eq!(find(Vendor::OpenAi, "gpt-4o-2024-08-06").map(|m| m.id), Some("gpt-4o"));
        assert_eq!(find(Vendor::OpenAi, "gpt-4o-mini").map(|m| m.id), Some("gpt-4o-mini"));
        assert!(find(Vendor::OpenAi, "claude-opus-5").is_none());
        assert!(find(Vendor::OpenAi, "gpt-7").is_none());
    }
}
