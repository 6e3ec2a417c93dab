//! The built-in rows. A price in a policy wins over them.

use super::{LongPrompt, Price, ServerToolCosts, ServiceTiers};
use crate::money::PerToken;

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

/// Sonnet 4.5 doubles input and takes 1.5 times for output above 200K.
const SONNET_CLIFF: Option<LongPrompt> = Some(LongPrompt { above: 200_000, input_percent: 200, output_percent: 150 });

/// Flex half, Fast double (openai.com/api-fast-mode, read 2026-11-25). Ultrafast six times the list price: Vercel's
/// changelog for gpt-6-astra, Venice's list for gpt-6.1-sol; the other models do not have it yet, and are taken to cost
/// the same when it is asked.
pub(super) const GPT_TIERS: ServiceTiers =
    ServiceTiers { auto: 100, flex: 50, priority: 200, fast: 200, ultrafast: 600 };
/// Fast is 12.50 where the list says 5 (same page).
const GPT55_TIERS: ServiceTiers = ServiceTiers { priority: 250, fast: 250, ..GPT_TIERS };
/// Anthropic's priority tier is paid for ahead, at the list price.
const CLAUDE_TIERS: ServiceTiers = ServiceTiers { flex: 50, ..ServiceTiers::NONE };
/// Fast mode at twice the price: OpenRouter and Vercel for Opus 5, inferred for the others that have it now.
const CLAUDE_FAST: ServiceTiers = ServiceTiers { fast: 200, ..CLAUDE_TIERS };
/// Fast mode at six times the price: Anthropic's page for Opus 4.6, inferred upwards for 4.7 and 4.8.
const CLAUDE_FAST_4: ServiceTiers = ServiceTiers { fast: 600, ..CLAUDE_TIERS };

/// USD per million tokens in thousandths of a dollar: input, cached, write, write long, output.
const fn usd(milli: [u64; 5], long_prompt: Option<LongPrompt>, tiers: ServiceTiers) -> Price {
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
        tiers,
        server_tools: ServerToolCosts::NONE,
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
const HALF_OF_FAST: &str = "openai.com/api-fast-mode: half of the Fast prices";

/// Built-in catalogue. A price in a policy wins over it. A class for which a vendor has no price of its own costs what
/// such tokens else cost; what is not known is inferred upwards, and the row says so.
pub const MODELS: &[Row] = &[
    row("gpt-6.2-sol", usd([2_000, 100, 2_500, 5_000, 10_000], GPT_CLIFF, GPT_TIERS), GPT, "2026-11-17", OPENAI),
    row(
        "gpt-6.2-astra",
        usd([8_000, 400, 10_000, 20_000, 40_000], GPT_CLIFF, GPT_TIERS),
        GPT,
        "2026-11-18",
        "litellm discussion 52347, docs.laozhang.ai; cache classes inferred from gpt-6-astra and gpt-6.2-sol",
    ),
    row(
        "gpt-6.1-sol",
        usd([2_000, 100, 2_500, 2_500, 10_000], GPT_CLIFF, GPT_TIERS),
        GPT,
        "2026-11-22",
        "PromptFuel 1.0.22",
    ),
    row(
        "gpt-6-astra",
        usd([10_000, 1_000, 12_500, 12_500, 50_000], GPT_CLIFF, GPT_TIERS),
        GPT,
        "2026-09-05",
        "third parties that cite developers.openai.com/api/docs/models/gpt-6-astra",
    ),
    row(
        "gpt-6-sol",
        usd([2_000, 200, 2_500, 2_500, 10_000], GPT_CLIFF, GPT_TIERS),
        GPT,
        "2026-11-22",
        "codexometer 0.18.4",
    ),
    row("gpt-6-luna", usd([100, 10, 125, 125, 500], GPT_CLIFF, GPT_TIERS), GPT, "2026-11-22", "codexometer 0.18.4"),
    row("gpt-5.6-sol", usd([4_000, 400, 5_000, 5_000, 20_000], GPT_CLIFF, GPT_TIERS), GPT, "2026-08-01", GENAI),
    row("gpt-5.6-terra", usd([2_000, 200, 2_500, 2_500, 12_000], GPT_CLIFF, GPT_TIERS), GPT, "2026-08-01", GENAI),
    row("gpt-5.6-luna", usd([200, 20, 250, 250, 1_200], GPT_CLIFF, GPT_TIERS), GPT, "2026-08-01", GENAI),
    row("gpt-5.5", usd([5_000, 500, 5_000, 5_000, 30_000], GPT_CLIFF, GPT55_TIERS), GPT, "2026-11-22", GENAI),
    row("gpt-5.4", usd([2_500, 250, 2_500, 2_500, 15_000], GPT_CLIFF, GPT_TIERS), GPT, "2026-11-22", GENAI),
    row("gpt-5.2", usd([1_750, 175, 1_750, 1_750, 14_000], None, GPT_TIERS), GPT_MINI, "2026-11-25", HALF_OF_FAST),
    row("gpt-5.1", usd([1_250, 125, 1_250, 1_250, 10_000], None, GPT_TIERS), GPT_MINI, "2026-11-25", HALF_OF_FAST),
    row("gpt-5.4-mini", usd([750, 75, 750, 750, 4_500], None, GPT_TIERS), GPT_MINI, "2026-11-22", GENAI),
    row(
        "claude-fable-5-2",
        usd([8_000, 200, 10_000, 16_000, 40_000], None, CLAUDE_FAST),
        CLAUDE,
        "2026-11-09",
        "docs.laozhang.ai; the 1 h write inferred as twice the input",
    ),
    row(
        "claude-mythos-5-2",
        usd([8_000, 200, 10_000, 16_000, 40_000], None, CLAUDE_FAST),
        CLAUDE,
        "2026-11-09",
        MYTHOS,
    ),
    row(
        "claude-fable-5-1",
        usd([10_000, 250, 12_500, 20_000, 50_000], None, CLAUDE_TIERS),
        CLAUDE,
        "2026-11-22",
        ANTHROPIC,
    ),
    row(
        "claude-mythos-5-1",
        usd([10_000, 250, 12_500, 20_000, 50_000], None, CLAUDE_TIERS),
        CLAUDE,
        "2026-11-22",
        MYTHOS,
    ),
    row(
        "claude-fable-5",
        usd([10_000, 1_000, 12_500, 20_000, 50_000], None, CLAUDE_TIERS),
        CLAUDE,
        "2026-11-22",
        ANTHROPIC,
    ),
    row(
        "claude-mythos-5",
        usd([10_000, 1_000, 12_500, 20_000, 50_000], None, CLAUDE_TIERS),
        CLAUDE,
        "2026-11-22",
        ANTHROPIC,
    ),
    row(
        "claude-opus-5-5",
        usd([4_000, 200, 5_000, 8_000, 20_000], None, CLAUDE_FAST),
        CLAUDE,
        "2026-11-22",
        "platform.claude.com/docs/en/about-claude/pricing for input and output; cache classes from third parties",
    ),
    row(
        "claude-sonnet-5-5",
        usd([2_000, 100, 2_500, 4_000, 10_000], None, CLAUDE_TIERS),
        CLAUDE,
        "2026-10-07",
        "platform.claude.com/docs/en/about-claude/pricing; the cache read as lowered on that day, from third parties",
    ),
    row(
        "claude-haiku-5-5",
        usd([100, 10, 125, 200, 500], HAIKU_CLIFF, CLAUDE_TIERS),
        CLAUDE,
        "2026-11-22",
        "claudit 1.9.2",
    ),
    row("claude-opus-5", usd([5_000, 500, 6_250, 10_000, 25_000], None, CLAUDE_FAST), CLAUDE, "2026-11-22", ANTHROPIC),
    row(
        "claude-opus-4-8",
        usd([5_000, 500, 6_250, 10_000, 25_000], None, CLAUDE_FAST_4),
        CLAUDE,
        "2026-11-22",
        ANTHROPIC,
    ),
    row(
        "claude-opus-4-7",
        usd([5_000, 500, 6_250, 10_000, 25_000], None, CLAUDE_FAST_4),
        CLAUDE,
        "2026-11-22",
        ANTHROPIC,
    ),
    row(
        "claude-opus-4-6",
        usd([5_000, 500, 6_250, 10_000, 25_000], None, CLAUDE_FAST_4),
        CLAUDE,
        "2026-11-22",
        ANTHROPIC,
    ),
    row(
        "claude-opus-4-5",
        usd([5_000, 500, 6_250, 10_000, 25_000], None, CLAUDE_TIERS),
        CLAUDE_4_5,
        "2026-11-22",
        ANTHROPIC,
    ),
    row("claude-sonnet-5", usd([2_000, 200, 2_500, 4_000, 10_000], None, CLAUDE_TIERS), CLAUDE, "2026-11-22", GENAI),
    row(
        "claude-sonnet-4-6",
        usd([3_000, 300, 3_750, 6_000, 15_000], None, CLAUDE_TIERS),
        CLAUDE,
        "2026-11-22",
        ANTHROPIC,
    ),
    row(
        "claude-sonnet-4-5",
        usd([3_000, 300, 3_750, 6_000, 15_000], SONNET_CLIFF, CLAUDE_TIERS),
        CLAUDE,
        "2026-11-22",
        ANTHROPIC,
    ),
    row(
        "claude-haiku-4-5",
        usd([1_000, 100, 1_250, 2_000, 5_000], None, CLAUDE_TIERS),
        CLAUDE_4_5,
        "2026-11-22",
        GENAI,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::is_date;

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
