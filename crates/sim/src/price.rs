//! What a request costs, in whole nano-dollars.

use crate::ask::{Input, Tier};
use crate::catalog::Price;

/// The charge for a prompt and `output` tokens, rounded up.
pub(crate) fn nano_usd(price: &Price, input: &Input, output: u64, tier: Tier) -> u64 {
    let (input_halves, output_halves) = match price.cliff {
        Some(cliff) if input.total > cliff.above => (cliff.input_halves, cliff.output_halves),
        _ => (2, 2),
    };
    let tier_halves = match tier {
        Tier::Flex => 1,
        Tier::Standard => 2,
        Tier::Priority => 4,
        Tier::Ultrafast => 12,
    };
    let plain = input.total.saturating_sub(input.cached + input.write + input.write_long);
    let prompt = plain * price.input
        + input.cached * price.cached
        + input.write * price.write
        + input.write_long * price.write_long;
    (prompt * input_halves * tier_halves).div_ceil(4)
        + (output * price.output * output_halves * tier_halves).div_ceil(4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::find;
    use crate::vendor::Vendor;

    #[test]
    fn charges() {
        let sol = find(Vendor::OpenAi, "gpt-6-sol").unwrap().price;
        let haiku = find(Vendor::Anthropic, "claude-haiku-5-5").unwrap().price;
        let plain = |total| Input { total, ..Input::default() };
        let rows = [
            (nano_usd(&sol, &plain(1000), 100, Tier::Standard), 3_000_000),
            (nano_usd(&sol, &plain(1000), 100, Tier::Flex), 1_500_000),
            (nano_usd(&sol, &plain(1000), 100, Tier::Priority), 6_000_000),
            (nano_usd(&sol, &Input { cached: 500, ..plain(1000) }, 0, Tier::Standard), 1_100_000),
            (nano_usd(&sol, &Input { write: 500, ..plain(1000) }, 0, Tier::Standard), 2_250_000),
            (nano_usd(&sol, &plain(300_000), 2, Tier::Standard), 1_200_000_000 + 30_000),
            (nano_usd(&haiku, &plain(100_000), 10, Tier::Standard), 10_000_000 + 5_000),
            (nano_usd(&haiku, &plain(100_001), 10, Tier::Standard), 50_000_500 + 25_000),
        ];
        for (i, (got, want)) in rows.into_iter().enumerate() {
            assert_eq!(got, want, "row {i}");
        }
    }
}
