//! Caps: what a policy says, and where the keys of each are found.

use std::{collections::HashMap, hash::RandomState, sync::Arc, time::Duration};

use super::{
    hold::{Ask, Key, Unit},
    ring::Grid,
    terms::{AFTER_TOTAL, BUCKETS, BUCKETS_SCOPED, GUARANTEED_PERCENT, LATER_PERCENT, part},
};
use crate::snapshot::{Budget, Ratio, Scope, Snapshot};

/// One cap on what is used in any window: a budget, or a provider's limit on requests or tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Cap {
    /// What is counted.
    pub unit: Unit,
    /// The budget's name, or the provider's for requests and tokens, which are those of that provider alone.
    pub name: Arc<str>,
    /// Counted by. Unit, name and scope are the cap's identity; what follows may be edited in place.
    pub scope: Scope,
    /// Length of the window.
    pub window: Duration,
    /// The cap, in the unit (nano-dollars for money).
    pub limit: u64,
    /// Of it, what is never lent: the shares of all pods. Standalone it is not asked.
    pub guaranteed: u64,
    /// Alert from here on.
    pub warn_at: Option<Ratio>,
    /// Cheaper and shorter from here on.
    pub degrade_at: Option<Ratio>,
}

impl Cap {
    fn is(&self, other: &Cap) -> bool {
        self.unit == other.unit && self.name == other.name && self.scope == other.scope
    }

    fn of(budget: &Budget) -> Cap {
        Cap {
            unit: Unit::Money,
            name: budget.name.clone(),
            scope: budget.scope,
            window: budget.window,
            limit: budget.limit.0,
            guaranteed: guaranteed(budget.limit.0, budget.guaranteed),
            warn_at: budget.warn_at,
            degrade_at: budget.degrade_at,
        }
    }

    /// The most that may be spent and held of it, once a request that can wait has its hold. So none of those takes a
    /// budget to its `degradeAt`; of a cap without one they leave half, of a single request none.
    pub(super) fn for_later(&self) -> u64 {
        match self.degrade_at {
            Some(Ratio(at)) => parts_up(self.limit, at, Ratio::ONE.0).saturating_sub(1),
            None => parts_up(self.limit, LATER_PERCENT as u32, 100),
        }
    }

    /// Whether it counts what `ask` is about.
    pub(super) fn applies(&self, ask: &Ask<'_>) -> bool {
        self.unit == Unit::Money || self.name == *ask.provider
    }
}

/// The caps of a policy in its order, budgets first.
#[must_use]
pub fn caps(snapshot: &Snapshot) -> Vec<Cap> {
    let mut all: Vec<Cap> = snapshot.budgets.iter().map(Cap::of).collect();
    for provider in &snapshot.providers {
        let limits =
            [(Unit::Requests, provider.limits.requests_per_minute), (Unit::Tokens, provider.limits.tokens_per_minute)];
        all.extend(limits.into_iter().filter_map(|(unit, limit)| {
            Some(Cap {
                unit,
                name: provider.name.clone(),
                scope: Scope::Policy,
                window: Duration::from_secs(60),
                limit: limit?,
                guaranteed: guaranteed(limit?, None),
                warn_at: None,
                degrade_at: None,
            })
        }));
    }
    all
}

/// How long after its send a bill may still grow: the longest of the providers' horizons, and of what a request can
/// take in all with a minute added.
#[must_use]
pub fn bill_horizon(snapshot: &Snapshot) -> Duration {
    let total = snapshot.tiers.iter().map(|t| t.timeouts.total.saturating_add(AFTER_TOTAL));
    snapshot.providers.iter().map(|p| p.bill_horizon).chain(total).max().unwrap_or_default()
}

/// A cap and its keys: one that all share, and for a scope one a value.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) cap: Cap,
    pub(super) grid: Grid,
    /// What all shares together may draw of one key: what the lender says, or without one the cap.
    pub(super) guaranteed: u64,
    /// The most of that since terms were agreed to: until newer ones are, the lender goes by it.
    pub(super) guaranteed_hi: u64,
    /// The lender keeps what is spent: charges go to it as they are settled.
    pub(super) is_long: bool,
    /// Accounts by scope value. Its hash is keyed: tenants' names are foreign and could be chosen to collide.
    pub(super) keys: HashMap<Arc<str>, u32, RandomState>,
    /// The account of a policy-wide cap; else of values beyond the table.
    pub(super) shared: Option<u32>,
}

impl Book {
    /// Of a cap that is `lent`, or all this sidecar's own.
    pub(super) fn new(cap: Cap, lent: bool, horizon: u64, hasher: &RandomState) -> Book {
        let guaranteed = if lent { 0 } else { cap.limit };
        let (keys, shared, is_long) = (HashMap::with_hasher(hasher.clone()), None, false);
        Book { grid: grid(&cap, horizon), cap, guaranteed, guaranteed_hi: guaranteed, is_long, keys, shared }
    }

    pub(super) fn is(&self, cap: &Cap) -> bool {
        self.cap.is(cap)
    }

    pub(super) fn is_named(&self, unit: Unit, name: &str, scope: Scope) -> bool {
        self.cap.unit == unit && *self.cap.name == *name && self.cap.scope == scope
    }

    /// Takes an edit of the same cap; true if its window is cut anew.
    pub(super) fn edit(&mut self, cap: Cap, lent: bool, horizon: u64) -> bool {
        let grid = grid(&cap, horizon);
        if !lent {
            self.guaranteed = cap.limit;
        }
        self.cap = cap;
        std::mem::replace(&mut self.grid, grid) != grid
    }

    /// The name of the key with `value`.
    pub(super) fn key(&self, value: Option<Arc<str>>) -> Key {
        Key { unit: self.cap.unit, name: self.cap.name.clone(), scope: self.cap.scope, value }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.shared.is_none()
    }

    /// The scope value that `ask` is counted under, `nobody` if it names no tenant; `None` for a policy-wide cap.
    pub(super) fn value<'a>(&self, ask: &Ask<'a>, nobody: &'a Arc<str>) -> Option<&'a Arc<str>> {
        match self.cap.scope {
            Scope::Policy => None,
            Scope::Tenant => Some(ask.tenant.unwrap_or(nobody)),
            Scope::Scene => Some(ask.scene),
            Scope::Tier => Some(ask.tier),
            Scope::Provider => Some(ask.provider),
        }
    }
}

fn guaranteed(limit: u64, ratio: Option<Ratio>) -> u64 {
    match ratio {
        Some(Ratio(n)) => (u128::from(limit) * u128::from(n.min(Ratio::ONE.0)) / u128::from(Ratio::ONE.0)) as u64,
        None => part(limit, GUARANTEED_PERCENT),
    }
}

/// `part` of `whole` parts of `limit`, rounded up.
fn parts_up(limit: u64, part: u32, whole: u32) -> u64 {
    let exact = (u128::from(limit) * u128::from(part)).div_ceil(u128::from(whole));
    u64::try_from(exact).unwrap_or(u64::MAX)
}

fn grid(cap: &Cap, horizon: u64) -> Grid {
    let buckets = if cap.scope == Scope::Policy { BUCKETS } else { BUCKETS_SCOPED };
    Grid::new(cap.window, buckets, horizon)
}
