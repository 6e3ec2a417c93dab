//! Every instrument, in one file.

use policy::{Tick, money::Usd, outcome::Outcome, snapshot::Snapshot};

use super::decision::Ending;

/// Counters and histograms; handles are resolved when a policy comes into force.
#[derive(Default)]
pub struct Metrics {}

impl Metrics {
    /// A policy came into force: its series exist from now on.
    pub fn policy_in_force(&self, _snapshot: &Snapshot) {}

    /// The page.
    #[must_use]
    pub fn render(&self, _state: &crate::state::State) -> String {
        String::new()
    }

    /// One attempt ended.
    pub fn attempt(&self, _snapshot: &Snapshot, _model: &str, _outcome: &Outcome, _cost: Option<Usd>, _now: Tick) {}

    /// One request ended.
    pub fn request(&self, _ending: &Ending, _now: Tick) {}

    /// A hint that named nothing, or a rule that failed, was ignored.
    pub fn ignored(&self, _unknown_hints: u32, _failed_rules: u32) {}
}
