//! What stands guard: caps on money, circuits, health.

use std::{sync::Arc, time::Duration};

use super::Ratio;
use crate::money::Usd;

/// What a budget is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// One cap for all.
    Policy,
    /// One a tenant.
    Tenant,
    /// One a scene.
    Scene,
    /// One a tier.
    Tier,
    /// One a provider.
    Provider,
}

impl Scope {
    /// All, with their names in what is written and sent; these never change.
    pub const NAMED: [(Scope, &str); 5] = [
        (Scope::Policy, "policy"),
        (Scope::Tenant, "tenant"),
        (Scope::Scene, "scene"),
        (Scope::Tier, "tier"),
        (Scope::Provider, "provider"),
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Scope::NAMED.iter().find(|(scope, _)| *scope == self).map_or("", |(_, name)| name)
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Scope> {
        Scope::NAMED.iter().find(|(_, known)| *known == name).map(|(scope, _)| *scope)
    }
}

/// A cap on money over any window of a length.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// Unique in the policy.
    pub name: Arc<str>,
    /// Length, 5 s to 31 d.
    pub window: Duration,
    /// The cap.
    pub limit: Usd,
    /// Counted by.
    pub scope: Scope,
    /// Alert from here on.
    pub warn_at: Option<Ratio>,
    /// Cheaper and shorter from here on.
    pub degrade_at: Option<Ratio>,
    /// Part of the cap that pods have without an operator.
    pub guaranteed: Option<Ratio>,
    /// Longest wait for a lease.
    pub lease_wait: Duration,
}

/// When a circuit opens and closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Failures in a row that open it.
    pub consecutive_failures: u32,
    /// Share of failures that opens it,
    pub failure_ratio: Ratio,
    /// once there were so many outcomes in the window.
    pub min_requests: u32,
    /// First time open; longer each time after.
    pub open_for: Duration,
    /// Tries let through when half-open.
    pub half_open_probes: u32,
    /// Successes among them that close it.
    pub close_after: u32,
}

/// When a target counts as unhealthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Score below which a target stands behind the healthy ones.
    pub unhealthy_below: u32,
    /// Outcomes in the window before the score speaks.
    pub min_requests: u32,
}
