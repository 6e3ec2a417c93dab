//! A provider's count of tokens in the terms of the price catalogue.

use dialect::Usage;
use policy::catalogue::{ServiceTiers, Tokens};

/// Tokens by class, with the billing multiplier of the tier that served them; `regional` where inference was asked to stay
/// in one region.
#[must_use]
pub fn tokens(u: &Usage, tiers: &ServiceTiers, regional: bool) -> Tokens {
    Tokens {
        input: u.input,
        cached: u.cached,
        cache_write: u.cache_write,
        cache_write_long: u.cache_write_long,
        output: u.output,
        service_percent: tiers.percent(u.service_tier.as_deref(), regional),
    }
}
