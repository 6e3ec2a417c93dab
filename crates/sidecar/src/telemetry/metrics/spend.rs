//! What was spent in the last minute under one budget, by the values of its scope.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use policy::{
    Tick,
    minute::Minute,
    money::Usd,
    snapshot::{Budget, Scope},
};

/// Values that are kept apart; further ones (tenants, as callers name them) share a row.
const MOST_VALUES: usize = 1_000;
/// Quiet values are looked for at most so often.
const SWEEP: Duration = Duration::from_secs(5);

/// Shared by name over reloads.
#[derive(Clone, Debug, Default)]
pub(super) struct Spend(Arc<Mutex<Values>>);

#[derive(Debug, Default)]
struct Values {
    by: HashMap<Arc<str>, Minute<u64>>,
    swept: Tick,
}

impl Spend {
    pub(super) fn add(&self, value: &Arc<str>, cost: Usd, now: Tick) {
        let mut values = self.0.lock();
        if let Some(minute) = values.by.get_mut(value) {
            return add(minute, cost, now);
        }
        if values.by.len() >= MOST_VALUES && now.since(values.swept) >= SWEEP {
            values.swept = now;
            values.by.retain(|_, minute| sum(minute, now) > Usd::ZERO);
        }
        let value = if values.by.len() < MOST_VALUES { value.clone() } else { Arc::default() };
        add(values.by.entry(value).or_default(), cost, now);
    }

    /// The most that one value spent. The limit is the same for each, so that one is the nearest to it.
    pub(super) fn most(&self, now: Tick) -> Usd {
        self.0.lock().by.values().map(|minute| sum(minute, now)).max().unwrap_or_default()
    }
}

fn add(minute: &mut Minute<u64>, cost: Usd, now: Tick) {
    let spent = minute.at(now);
    *spent = spent.saturating_add(cost.0);
}

fn sum(minute: &Minute<u64>, now: Tick) -> Usd {
    minute.live(now).fold(Usd::ZERO, |sum, spent| sum.plus(Usd(*spent)))
}

/// A budget's limit in USD a minute.
pub(super) fn limit_per_minute(budget: &Budget) -> f64 {
    budget.limit.for_display() * 60.0 / budget.window.as_secs_f64()
}

/// The label of a scope.
pub(super) fn label(scope: Scope) -> &'static str {
    match scope {
        Scope::Policy => "policy",
        Scope::Tenant => "tenant",
        Scope::Scene => "scene",
        Scope::Tier => "tier",
        Scope::Provider => "provider",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Tick {
        Tick(s * 1_000_000_000)
    }

    #[test]
    fn the_dearest_value_speaks_for_a_minute() {
        let spend = Spend::default();
        let (a, b) = (Arc::from("a"), Arc::from("b"));
        spend.add(&a, Usd(3), at(1000));
        spend.add(&b, Usd(2), at(1000));
        spend.add(&b, Usd(2), at(1010));
        assert_eq!((spend.most(at(1010)), spend.most(at(1060)), spend.most(at(1070))), (Usd(4), Usd(2), Usd(0)));
        spend.add(&a, Usd(u64::MAX), at(1070));
        spend.add(&a, Usd(1), at(1070));
        assert_eq!(spend.most(at(1070)), Usd(u64::MAX), "money saturates");
    }

    #[test]
    fn values_are_bounded_and_quiet_ones_make_room() {
        let spend = Spend::default();
        let name = |i: usize| Arc::from(format!("t{i}"));
        for i in 0..3 * MOST_VALUES {
            spend.add(&name(i), Usd(1), at(1000));
        }
        assert_eq!(spend.0.lock().by.len(), MOST_VALUES + 1);
        assert_eq!(spend.most(at(1000)), Usd(2 * MOST_VALUES as u64), "those beyond the bound share one row");
        spend.add(&name(5_000), Usd(7), at(2000));
        assert_eq!(spend.0.lock().by.len(), 1);
        assert_eq!(spend.most(at(2000)), Usd(7));
    }
}
