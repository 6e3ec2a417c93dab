//! A provider's count of tokens in the terms of the price catalogue.

use dialect::Usage;
use policy::catalogue::Tokens;

/// Tokens by class, with the billing multiplier of the tier that served them (Batch and Flex half, Fast and Priority
/// double, Ultrafast triple; developers.openai.com pricing, read 2026-11-22).
#[must_use]
pub fn tokens(u: &Usage) -> Tokens {
    let service_percent = match u.service_tier.as_deref() {
        Some("flex" | "batch") => 50,
        Some("priority" | "fast") => 200,
        Some("ultrafast") => 300,
        _ => 100,
    };
    Tokens {
        input: u.input,
        cached: u.cached,
        cache_write: u.cache_write,
        cache_write_long: u.cache_write_long,
        output: u.output,
        service_percent,
    }
}
