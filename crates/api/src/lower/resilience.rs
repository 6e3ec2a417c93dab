//! Budgets, breaker, health; and the checks on cutover and overrides, which no snapshot carries yet.

use std::time::Duration;

use policy::snapshot::{self as snap, Ratio};

use super::{count, ratio, span, usd};
use crate::{
    fault::Faults,
    types::{Breaker, Budget, Cutover, Health, Override, Scope},
};

const GUARANTEED: Ratio = Ratio(500);
const LEASE_WAIT: Duration = Duration::from_millis(100);

pub(super) fn budgets(budgets: &[Budget], faults: &mut Faults) -> Vec<snap::Budget> {
    budgets.iter().enumerate().map(|(i, b)| budget(b, &format!("spec.budgets[{i}]"), faults)).collect()
}

fn budget(budget: &Budget, path: &str, faults: &mut Faults) -> snap::Budget {
    let Budget { name, window, limit_usd, scope, warn_at, degrade_at, guaranteed, lease_wait } = budget;
    let warn_at = warn_at.as_deref().map(ratio);
    let degrade_at = degrade_at.as_deref().map(ratio);
    if let (Some(warn), Some(degrade)) = (warn_at, degrade_at)
        && warn > degrade
    {
        faults.add(format!("{path}.warnAt"), "is above degradeAt", "warn no later than you degrade");
    }
    snap::Budget {
        name: (**name).into(),
        window: span(window),
        limit: usd(limit_usd),
        scope: match scope {
            None | Some(Scope::Policy) => snap::Scope::Policy,
            Some(Scope::Tenant) => snap::Scope::Tenant,
            Some(Scope::Scene) => snap::Scope::Scene,
            Some(Scope::Tier) => snap::Scope::Tier,
            Some(Scope::Provider) => snap::Scope::Provider,
        },
        warn_at,
        degrade_at,
        guaranteed: Some(guaranteed.as_deref().map_or(GUARANTEED, ratio)),
        lease_wait: lease_wait.as_deref().map_or(LEASE_WAIT, span),
    }
}

/// Unset probes and successes follow each other, so that either may be set alone.
pub(super) fn breaker(breaker: Breaker, faults: &mut Faults) -> snap::Breaker {
    let Breaker { consecutive_failures, failure_ratio, min_requests, open_for, half_open_probes, close_after } =
        breaker;
    if let (Some(after), Some(probes)) = (close_after, half_open_probes)
        && after > probes
    {
        let message = format!("{after} is above halfOpenProbes, {probes}, so the circuit could never close");
        faults.add("spec.breaker.closeAfter", message, "write at most halfOpenProbes");
    }
    let probes: Option<u32> = half_open_probes.map(count);
    let after: Option<u32> = close_after.map(count);
    snap::Breaker {
        consecutive_failures: consecutive_failures.map_or(5, count),
        failure_ratio: failure_ratio.as_deref().map_or(Ratio(5000), ratio),
        min_requests: min_requests.map_or(20, count),
        open_for: open_for.as_deref().map_or(Duration::from_secs(30), span),
        half_open_probes: probes.unwrap_or(after.unwrap_or(0).max(3)),
        close_after: after.unwrap_or(probes.unwrap_or(2).min(2)),
    }
}

pub(super) fn health(health: Health) -> snap::Health {
    let Health { unhealthy_below, min_requests } = health;
    snap::Health { unhealthy_below: unhealthy_below.map_or(65, count), min_requests: min_requests.map_or(20, count) }
}

pub(super) fn check_cutover(cutover: Option<&Cutover>, faults: &mut Faults) {
    let Some(cutover) = cutover else { return };
    let share = |text: &Option<_>| text.as_deref().map(ratio);
    if let (Some(watch), Some(cut)) = (share(&cutover.watch_at), share(&cutover.hard_cut_at))
        && watch > cut
    {
        faults.add("spec.cutover.watchAt", "is above hardCutAt", "watch from a lower ratio on than you cut");
    }
    let steps: Vec<Ratio> = cutover.return_steps.iter().map(|s| ratio(s)).collect();
    if !steps.is_sorted() || steps.last().is_some_and(|last| *last != Ratio::ONE) {
        let remedy = "write rising shares that end with 1, such as [\"0.1\", \"0.5\", \"1\"]";
        faults.add("spec.cutover.returnSteps", "does not rise to 1", remedy);
    }
}

/// An override outlives what it names: one that names a scene or provider of before does nothing, and is no fault.
pub(super) fn check_overrides(overrides: &[Override], faults: &mut Faults) {
    for (i, o) in overrides.iter().enumerate() {
        if o.open_circuit.is_some() == o.order.is_some() {
            let path = format!("spec.overrides[{i}].openCircuit");
            faults.add(path, "the override has not exactly one of openCircuit and order", "keep one of them");
        }
    }
}
