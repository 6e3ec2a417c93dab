//! What tokens cost: by class, above a prompt length, by service tier.

use super::{ServerToolCosts, ServiceTiers};
use crate::money::{PerToken, Usd, round_up};

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
    /// What the service tiers multiply all of it by.
    pub tiers: ServiceTiers,
    /// Most that the provider's own tools may add to one request.
    pub server_tools: ServerToolCosts,
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::find;

    fn tokens(input: u64, cached: u64, output: u64) -> Tokens {
        Tokens { input, cached, output, service_percent: 100, ..Tokens::default() }
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
        let of = |input, cached, cache_write, cache_write_long, output, tier: Option<&str>| Tokens {
            input,
            cached,
            cache_write,
            cache_write_long,
            output,
            service_percent: sol.tiers.percent(tier, false),
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
            (sol.cost(&of(10, 0, 0, 0, 1, Some("ultrafast"))), 180_000),
        ];
        for (i, (got, nano)) in rows.into_iter().enumerate() {
            assert_eq!(got, Usd(nano), "row {i}");
        }
    }
}
