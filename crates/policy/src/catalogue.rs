//! What is known of models by name: prices with their tiers, context length, where each row comes from and when.

use crate::money::{PerToken, Usd, round_up};

/// Facts on one model, from the policy or from [`MODELS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFacts {
    /// Exact name, as on the wire.
    pub name: Box<str>,
    /// USD a token by class; `None`: unknown, and then refused under a hard budget.
    pub price: Option<Price>,
    /// Longest prompt plus answer, in tokens.
    pub context_tokens: Option<u64>,
    /// Longest answer, in tokens.
    pub max_output_tokens: Option<u64>,
    /// Whether it takes images; `None` is taken for yes.
    pub images: Option<bool>,
}

/// Prices of one model by class of token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// Input that was not cached.
    pub input: PerToken,
    /// Input read from the provider's cache.
    pub cached_input: PerToken,
    /// Input written to the cache for its short time to live (5 or 30 min).
    pub cache_write: PerToken,
    /// Input written for the long time to live (1 or 12 h).
    pub cache_write_long: PerToken,
    /// Output, reasoning included.
    pub output: PerToken,
    /// From this many input tokens on the whole request is priced anew.
    pub long_prompt: Option<LongPrompt>,
}

/// A price cliff: it applies to the whole request, not to the tokens above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongPrompt {
    /// Input tokens (cached ones included) above which it applies.
    pub above: u64,
    /// Input classes times this, in percent.
    pub input_percent: u32,
    /// Output times this, in percent.
    pub output_percent: u32,
}

/// Tokens of one answer by class; `input` includes the cached and the written ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// All input.
    pub input: u64,
    /// Of it, read from cache.
    pub cached: u64,
    /// Of it, written to cache, short.
    pub cache_write: u64,
    /// Of it, written to cache, long.
    pub cache_write_long: u64,
    /// Output, reasoning included.
    pub output: u64,
    /// Billing multiplier of the service tier, in percent (100 is standard).
    pub service_percent: u32,
}

impl Price {
    /// What `t` costs, rounded up to a nano-dollar.
    #[must_use]
    pub fn cost(&self, t: &Tokens) -> Usd {
        let fresh = t.input.saturating_sub(t.cached).saturating_sub(t.cache_write).saturating_sub(t.cache_write_long);
        let (input_percent, output_percent) = match self.long_prompt {
            Some(cliff) if t.input > cliff.above => (cliff.input_percent, cliff.output_percent),
            _ => (100, 100),
        };
        let input = self.input.times(fresh)
            + self.cached_input.times(t.cached)
            + self.cache_write.times(t.cache_write)
            + self.cache_write_long.times(t.cache_write_long);
        let output = self.output.times(t.output);
        let percent = input * u128::from(input_percent) + output * u128::from(output_percent);
        let scaled = percent * u128::from(t.service_percent);
        round_up(scaled.div_ceil(10_000))
    }

    /// The most that `input` and `output` tokens can cost: all input in its dearest class.
    #[must_use]
    pub fn worst(&self, input: u64, output: u64) -> Usd {
        let all = Tokens { input, output, service_percent: 100, ..Tokens::default() };
        let classes = [
            all,
            Tokens { cached: input, ..all },
            Tokens { cache_write: input, ..all },
            Tokens { cache_write_long: input, ..all },
        ];
        classes.iter().map(|t| self.cost(t)).max().unwrap_or_default()
    }
}

/// Built-in facts on `model`: the row of its name, or of its name without a date or `-latest` at its end
/// (`gpt-6-sol-2026-08-01` shares its family's row).
#[must_use]
pub fn find(model: &str) -> Option<ModelFacts> {
    let is_version = |rest: &str| rest.is_empty() || rest == "-latest" || is_date(rest);
    let row = MODELS.iter().find(|r| model.strip_prefix(r.name).is_some_and(is_version))?;
    Some(ModelFacts {
        name: model.into(),
        price: Some(row.price),
        context_tokens: Some(row.context),
        max_output_tokens: Some(row.output),
        images: Some(true),
    })
}

/// `-20260801` or `-2026-08-01`.
fn is_date(rest: &str) -> bool {
    let shape: Vec<u8> = rest.bytes().map(|b| if b.is_ascii_digit() { b'0' } else { b }).collect();
    shape == b"-00000000" || shape == b"-0000-00-00"
}

/// Billing multiplier of the service tier that served a request, in percent: Batch and Flex half, Fast and Priority
/// double, Ultrafast triple (developers.openai.com pricing, read 2026-11-22). A tier nobody knows is billed as standard.
#[must_use]
pub fn service_percent(tier: Option<&str>) -> u32 {
    match tier {
        Some("flex" | "batch") => 50,
        Some("priority" | "fast") => 200,
        Some("ultrafast") => 300,
        _ => 100,
    }
}

/// One built-in row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Model id without a date.
    pub name: &'static str,
    /// Prices.
    pub price: Price,
    /// Context length, tokens.
    pub context: u64,
    /// Longest answer, tokens.
    pub output: u64,
    /// Where the price stands, and what of it is inferred.
    pub source: &'static str,
    /// The day on which it was known to hold, ISO date.
    pub as_of: &'static str,
}

/// Above 272K input OpenAI doubles input and cache classes and takes 1.5 times for output, for the whole request.
const GPT_CLIFF: Option<LongPrompt> = Some(LongPrompt { above: 272_000, input_percent: 200, output_percent: 150 });
/// Haiku 5.5 prices prompts above 100K five times higher, output too.
const HAIKU_CLIFF: Option<LongPrompt> = Some(LongPrompt { above: 100_000, input_percent: 500, output_percent: 500 });

/// USD per million tokens in thousandths of a dollar: input, cached, write, write long, output.
const fn usd(milli: [u64; 5], long_prompt: Option<LongPrompt>) -> Price {
    const fn p(milli: u64) -> PerToken {
        PerToken::micros_per_million(milli * 1000)
    }
    Price {
        input: p(milli[0]),
        cached_input: p(milli[1]),
        cache_write: p(milli[2]),
        cache_write_long: p(milli[3]),
        output: p(milli[4]),
        long_prompt,
    }
}

/// Context length and longest answer, in tokens, as the vendors' model pages say.
type Limits = (u64, u64);
const GPT: Limits = (1_050_000, 128_000);
const GPT_MINI: Limits = (400_000, 128_000);
const CLAUDE: Limits = (1_000_000, 128_000);
const CLAUDE_4_5: Limits = (200_000, 64_000);

const fn row(name: &'static str, price: Price, limits: Limits, as_of: &'static str, source: &'static str) -> Row {
    Row { name, price, context: limits.0, output: limits.1, source, as_of }
}

const OPENAI: &str = "developers.openai.com/api/docs/models";
const ANTHROPIC: &str = "platform.claude.com/docs/en/about-claude/pricing";
const MYTHOS: &str = "platform.claude.com/docs/en/about-claude/pricing: Mythos costs what Fable costs";
const GENAI: &str = "genai-prices snapshot";

/// Built-in catalogue. A price in a policy wins over it. A class for which a vendor has no price of its own costs what
/// such tokens else cost; what is not known is inferred upwards, and the row says so.
pub const MODELS: &[Row] = &[
    row("gpt-6.2-sol", usd([2_000, 100, 2_500, 5_000, 10_000], GPT_CLIFF), GPT, "2026-11-17", OPENAI),
    row(
        "gpt-6.2-astra",
        usd([8_000, 400, 10_000, 20_000, 40_000], GPT_CLIFF),
        GPT,
        "2026-11-18",
        "litellm discussion 52347, docs.laozhang.ai; cache classes inferred from gpt-6-astra and gpt-6.2-sol",
    ),
    row("gpt-6.1-sol", usd([2_000, 100, 2_500, 2_500, 10_000], GPT_CLIFF), GPT, "2026-11-22", "PromptFuel 1.0.22"),
    row(
        "gpt-6-astra",
        usd([10_000, 1_000, 12_500, 12_500, 50_000], GPT_CLIFF),
        GPT,
        "2026-09-05",
        "third parties that cite developers.openai.com/api/docs/models/gpt-6-astra",
    ),
    row("gpt-6-sol", usd([2_000, 200, 2_500, 2_500, 10_000], GPT_CLIFF), GPT, "2026-11-22", "codexometer 0.18.4"),
    row("gpt-6-luna", usd([100, 10, 125, 125, 500], GPT_CLIFF), GPT, "2026-11-22", "codexometer 0.18.4"),
    row("gpt-5.6-sol", usd([4_000, 400, 5_000, 5_000, 20_000], GPT_CLIFF), GPT, "2026-08-01", GENAI),
    row("gpt-5.6-terra", usd([2_000, 200, 2_500, 2_500, 12_000], GPT_CLIFF), GPT, "2026-08-01", GENAI),
    row("gpt-5.6-luna", usd([200, 20, 250, 250, 1_200], GPT_CLIFF), GPT, "2026-08-01", GENAI),
    row("gpt-5.5", usd([5_000, 500, 5_000, 5_000, 30_000], GPT_CLIFF), GPT, "2026-11-22", GENAI),
    row("gpt-5.4", usd([2_500, 250, 2_500, 2_500, 15_000], GPT_CLIFF), GPT, "2026-11-22", GENAI),
    row("gpt-5.4-mini", usd([750, 75, 750, 750, 4_500], None), GPT_MINI, "2026-11-22", GENAI),
    row(
        "claude-fable-5-2",
        usd([8_000, 200, 10_000, 16_000, 40_000], None),
        CLAUDE,
        "2026-11-09",
        "docs.laozhang.ai; the 1 h write inferred as twice the input",
    ),
    row("claude-mythos-5-2", usd([8_000, 200, 10_000, 16_000, 40_000], None), CLAUDE, "2026-11-09", MYTHOS),
    row("claude-fable-5-1", usd([10_000, 250, 12_500, 20_000, 50_000], None), CLAUDE, "2026-11-22", ANTHROPIC),
    row("claude-mythos-5-1", usd([10_000, 250, 12_500, 20_000, 50_000], None), CLAUDE, "2026-11-22", MYTHOS),
    row(
        "claude-opus-5-5",
        usd([4_000, 200, 5_000, 8_000, 20_000], None),
        CLAUDE,
        "2026-11-22",
        "platform.claude.com/docs/en/about-claude/pricing for input and output; cache classes from third parties",
    ),
    row(
        "claude-sonnet-5-5",
        usd([2_000, 100, 2_500, 4_000, 10_000], None),
        CLAUDE,
        "2026-10-07",
        "platform.claude.com/docs/en/about-claude/pricing; the cache read as lowered on that day, from third parties",
    ),
    row("claude-haiku-5-5", usd([100, 10, 125, 200, 500], HAIKU_CLIFF), CLAUDE, "2026-11-22", "claudit 1.9.2"),
    row("claude-opus-5", usd([5_000, 500, 6_250, 10_000, 25_000], None), CLAUDE, "2026-11-22", ANTHROPIC),
    row("claude-opus-4-8", usd([5_000, 500, 6_250, 10_000, 25_000], None), CLAUDE, "2026-11-22", ANTHROPIC),
    row("claude-opus-4-7", usd([5_000, 500, 6_250, 10_000, 25_000], None), CLAUDE, "2026-11-22", ANTHROPIC),
    row("claude-opus-4-6", usd([5_000, 500, 6_250, 10_000, 25_000], None), CLAUDE, "2026-11-22", ANTHROPIC),
    row("claude-opus-4-5", usd([5_000, 500, 6_250, 10_000, 25_000], None), CLAUDE_4_5, "2026-11-22", ANTHROPIC),
    row("claude-sonnet-5", usd([2_000, 200, 2_500, 4_000, 10_000], None), CLAUDE, "2026-11-22", GENAI),
    row("claude-haiku-4-5", usd([1_000, 100, 1_250, 2_000, 5_000], None), CLAUDE_4_5, "2026-11-22", GENAI),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(input: u64, cached: u64, output: u64) -> Tokens {
        Tokens { input, cached, output, service_percent: 100, ..Tokens::default() }
    }

    #[test]
    fn a_dated_name_shares_its_familys_row_and_nothing_else_does() {
        assert_eq!(find("gpt-6-sol-2026-08-01").and_then(|f| f.price), find("gpt-6-sol").and_then(|f| f.price));
        let price = |name: &str| find(name).and_then(|f| f.price).map(|p| p.input.0);
        for (name, input) in [
            ("claude-opus-5-5-20261009", 4_000_000),
            ("claude-opus-5-20260724", 5_000_000),
            ("claude-haiku-4-5-latest", 1_000_000),
            ("gpt-5.4-mini", 750_000),
        ] {
            assert_eq!(price(name), Some(input), "{name}");
        }
        for unknown in
            ["gpt-6", "gpt-6-solar", "gpt-6-sol-mini", "gpt-6-sol-2026080", "gpt-6-sol--20260801", "mock", ""]
        {
            assert!(find(unknown).is_none(), "{unknown}");
        }
    }

    #[test]
    fn costs_by_class() {
        let sol = find("gpt-6-sol").and_then(|f| f.price).unwrap();
        // 1000 fresh at 2, 500 cached at 0.20, 100 out at 10 USD/M
        assert_eq!(sol.cost(&tokens(1500, 500, 100)), Usd(2_000_000 + 100_000 + 1_000_000));
        let haiku = find("claude-haiku-5-5").and_then(|f| f.price).unwrap();
        assert_eq!(haiku.cost(&tokens(100_000, 0, 10)), Usd(10_000_000 + 5_000));
        assert_eq!(
            haiku.cost(&tokens(100_001, 0, 10)),
            Usd(50_000_500 + 25_000),
            "the cliff reprices the whole request"
        );
        let half = Tokens { service_percent: 50, ..tokens(1500, 500, 100) };
        assert_eq!(sol.cost(&half), Usd(1_550_000));
    }

    /// Every class has a price of its own, above the cliff and below it, and the service tier scales all of them.
    #[test]
    fn classes_cliffs_and_service_tiers() {
        let price = |name| find(name).and_then(|f| f.price).unwrap();
        let (sol, haiku) = (price("gpt-6.2-sol"), price("claude-haiku-5-5"));
        let of = |input, cached, cache_write, cache_write_long, output, tier| Tokens {
            input,
            cached,
            cache_write,
            cache_write_long,
            output,
            service_percent: service_percent(tier),
        };
        let rows = [
            (sol.cost(&of(10, 10, 0, 0, 0, None)), 1_000),
            (sol.cost(&of(10, 0, 10, 0, 0, None)), 25_000),
            (sol.cost(&of(10, 0, 0, 10, 0, None)), 50_000),
            (sol.cost(&of(10, 1, 2, 3, 4, None)), 8_000 + 100 + 5_000 + 15_000 + 40_000),
            (sol.cost(&of(272_000, 0, 0, 0, 2, None)), 544_000_000 + 20_000),
            (sol.cost(&of(272_001, 0, 0, 0, 2, None)), 1_088_004_000 + 30_000),
            (haiku.cost(&of(100_001, 100_000, 1, 0, 0, None)), 5_000_000 + 625),
            (sol.cost(&of(10, 0, 0, 0, 1, Some("flex"))), 15_000),
            (sol.cost(&of(10, 0, 0, 0, 1, Some("batch"))), 15_000),
            (sol.cost(&of(10, 0, 0, 0, 1, Some("default"))), 30_000),
            (sol.cost(&of(10, 0, 0, 0, 1, Some("priority"))), 60_000),
            (sol.cost(&of(10, 0, 0, 0, 1, Some("fast"))), 60_000),
            (sol.cost(&of(10, 0, 0, 0, 1, Some("ultrafast"))), 90_000),
            (sol.worst(10, 1), 60_000),
            (sol.worst(272_001, 0), 2_720_010_000),
        ];
        for (i, (got, nano)) in rows.into_iter().enumerate() {
            assert_eq!(got, Usd(nano), "row {i}");
        }
    }

    #[test]
    fn every_row_says_where_and_when() {
        for r in MODELS {
            let Price { input, cached_input, cache_write, cache_write_long, output, .. } = r.price;
            let rising = cached_input < input && input <= cache_write && cache_write <= cache_write_long;
            assert!(rising && cache_write_long < output && r.context > r.output, "{}", r.name);
            assert!(!r.source.is_empty() && is_date(&format!("-{}", r.as_of)), "{}", r.name);
            assert_eq!(MODELS.iter().filter(|o| o.name == r.name).count(), 1, "{}", r.name);
        }
    }
}
