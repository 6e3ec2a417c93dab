//! What service tiers multiply a price by.

/// Billing multipliers of service tiers, in percent; 100 is the list price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceTiers {
    /// No tier, or `auto`: what the account's own default is.
    pub auto: u32,
    /// `flex` and `batch`.
    pub flex: u32,
    /// `priority`.
    pub priority: u32,
    /// `fast`: OpenAI's newer name of priority, and Anthropic's `speed: fast`.
    pub fast: u32,
    /// `ultrafast`.
    pub ultrafast: u32,
}

/// Inference kept in one region costs a tenth more (platform.claude.com data residency, read 2026-11-25).
pub(crate) const REGIONAL: u32 = 110;

impl ServiceTiers {
    /// One price for all.
    pub const NONE: ServiceTiers = ServiceTiers { auto: 100, flex: 100, priority: 100, fast: 100, ultrafast: 100 };

    /// Multiplier of the tier that served a request, in percent; `regional` where inference was kept in one region.
    #[must_use]
    pub fn percent(&self, tier: Option<&str>, regional: bool) -> u32 {
        let percent = match tier {
            None | Some("auto") => self.auto,
            Some("flex" | "batch") => self.flex,
            Some("priority") => self.priority,
            Some("fast") => self.fast,
            Some("ultrafast") => self.ultrafast,
            // `default`, `standard`, `scale`, and what nobody knows.
            Some(_) => 100,
        };
        if regional { (percent * REGIONAL).div_ceil(100) } else { percent }
    }

    /// The dearest of them.
    #[must_use]
    pub fn dearest(&self) -> u32 {
        self.auto.max(self.flex).max(self.priority).max(self.fast).max(self.ultrafast).max(100)
    }
}

impl Default for ServiceTiers {
    /// For a model that nobody listed: the usual discount, and the dearest known of what costs more.
    fn default() -> Self {
        ServiceTiers { auto: 100, flex: 50, priority: 250, fast: 600, ultrafast: 600 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::find;

    #[test]
    fn each_model_has_its_own() {
        let tiers = |name| find(name).and_then(|f| f.price).unwrap().tiers;
        let rows = [
            ("gpt-6-sol", Some("priority"), false, 200),
            ("gpt-6-sol", Some("ultrafast"), false, 600),
            ("gpt-5.5", Some("fast"), false, 250),
            ("gpt-5.4", Some("flex"), false, 50),
            ("gpt-5.4", None, false, 100),
            ("claude-opus-5-5", Some("priority"), false, 100),
            ("claude-opus-5-5", Some("fast"), true, 220),
            ("claude-opus-4-6", Some("fast"), false, 600),
            ("claude-sonnet-5-5", Some("standard"), true, 110),
        ];
        for (name, tier, regional, want) in rows {
            assert_eq!(tiers(name).percent(tier, regional), want, "{name} {tier:?}");
        }
        assert_eq!(ServiceTiers::default().percent(Some("fast"), false), 600, "unknown models are held at the dearest");
        assert_eq!((tiers("gpt-5.5").dearest(), tiers("claude-opus-5").dearest()), (600, 200));
    }
}
