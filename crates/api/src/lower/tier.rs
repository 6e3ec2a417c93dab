//! Tiers: timeouts derived from `sla`, retries, ladder.

use std::time::Duration;

use policy::snapshot as snap;

use super::{count, ratio, span, usd};
use crate::{
    fault::Faults,
    text,
    types::{Hedge, Objective, Retries, Rung, Slo, Tier, Timeouts},
};

const CONNECT: Duration = Duration::from_secs(2);
const SLA: Duration = Duration::from_secs(300);
const IDLE_AT_MOST: Duration = Duration::from_secs(60);
const ATTEMPTS: u32 = 3;
const BACKOFF_BASE: Duration = Duration::from_millis(200);
const BACKOFF_CAP: Duration = Duration::from_secs(5);
const BUDGET_RATIO: snap::Ratio = snap::Ratio(2000);
const SLO_WINDOW: Duration = Duration::from_secs(30 * 86_400);

pub(super) fn all(tiers: &[Tier], faults: &mut Faults) -> Vec<snap::Tier> {
    if tiers.is_empty() {
        return vec![unnamed()];
    }
    tiers.iter().enumerate().map(|(i, t)| tier(t, &format!("spec.tiers[{i}]"), faults)).collect()
}

/// The tier of a policy that has none.
fn unnamed() -> snap::Tier {
    snap::Tier {
        name: "default".into(),
        objective: snap::Objective::Quality,
        timeouts: timeouts(SLA, &Timeouts::default()),
        retries: snap::Retries { attempts: ATTEMPTS, base: BACKOFF_BASE, cap: BACKOFF_CAP, budget_ratio: BUDGET_RATIO },
        hedge: None,
        max_cost: None,
        strict_translation: false,
        over_budget: vec![snap::Rung::Reject],
        slo: None,
    }
}

fn tier(tier: &Tier, path: &str, faults: &mut Faults) -> snap::Tier {
    let Tier { name, objective, sla, timeouts, retries, hedge, max_cost_usd, strict_translation, over_budget, slo } =
        tier;
    let sla = sla.as_deref().map_or(SLA, span);
    snap::Tier {
        name: (**name).into(),
        objective: match objective {
            None | Some(Objective::Quality) => snap::Objective::Quality,
            Some(Objective::Cost) => snap::Objective::Cost,
            Some(Objective::Latency) => snap::Objective::Latency,
        },
        timeouts: self::timeouts(sla, timeouts.as_ref().unwrap_or(&Timeouts::default())),
        retries: self::retries(retries.as_ref().unwrap_or(&Retries::default()), path, faults),
        hedge: hedge.as_ref().map(self::hedge),
        max_cost: max_cost_usd.as_deref().map(usd),
        strict_translation: strict_translation.unwrap_or(false),
        over_budget: ladder(over_budget, path, faults),
        slo: slo.as_ref().map(self::slo),
    }
}

/// A set value is taken as written; the others derive from `sla`.
fn timeouts(sla: Duration, timeouts: &Timeouts) -> snap::Timeouts {
    let Timeouts { connect, tls, first_byte, idle, total } = timeouts;
    let total = total.as_deref().map_or(sla * 3 / 5, span);
    let first_byte = first_byte.as_deref().map(span);
    snap::Timeouts {
        connect: connect.as_deref().map_or(CONNECT, span),
        tls: tls.as_deref().map_or(CONNECT, span),
        first_byte: first_byte.unwrap_or(sla / 5),
        first_byte_plain: first_byte.unwrap_or(total / 2),
        idle: idle.as_deref().map_or((sla / 2).min(IDLE_AT_MOST), span),
        total,
    }
}

/// A base above the default cap lifts it, and a cap below the default base lowers that.
fn retries(retries: &Retries, path: &str, faults: &mut Faults) -> snap::Retries {
    let Retries { attempts, base, cap, budget_ratio } = retries;
    let base = base.as_deref().map(span);
    let cap = cap.as_deref().map(span);
    if let (Some(base), Some(cap)) = (base, cap)
        && base > cap
    {
        faults.add(format!("{path}.retries.base"), "is above cap", "write a base of at most cap");
    }
    snap::Retries {
        attempts: attempts.map_or(ATTEMPTS, count),
        base: base.unwrap_or(cap.map_or(BACKOFF_BASE, |cap| cap.min(BACKOFF_BASE))),
        cap: cap.unwrap_or(base.map_or(BACKOFF_CAP, |base| base.max(BACKOFF_CAP))),
        budget_ratio: budget_ratio.as_deref().map_or(BUDGET_RATIO, ratio),
    }
}

fn hedge(hedge: &Hedge) -> snap::Hedge {
    let Hedge { after, max_cost_usd, max_share } = hedge;
    snap::Hedge {
        after: span(after),
        max_cost: max_cost_usd.as_deref().map(usd),
        max_share: max_share.as_deref().map(ratio),
    }
}

fn ladder(rungs: &[Rung], path: &str, faults: &mut Faults) -> Vec<snap::Rung> {
    for (i, rung) in rungs.iter().enumerate() {
        let at = format!("{path}.overBudget[{i}]");
        if rungs[..i].contains(rung) {
            faults.add(at, format!("{rung:?} is there twice"), "keep one of them");
        } else if rungs[..i].contains(&Rung::Reject) {
            faults.add(at, "stands after Reject, where nothing is left to do", "put Reject last");
        }
    }
    let lower = |rung: &Rung| match rung {
        Rung::CheaperModel => snap::Rung::CheaperModel,
        Rung::Trim => snap::Rung::Trim,
        Rung::Cache => snap::Rung::Cache,
        Rung::Queue => snap::Rung::Queue,
        Rung::Reject => snap::Rung::Reject,
    };
    if rungs.is_empty() { vec![snap::Rung::Reject] } else { rungs.iter().map(lower).collect() }
}

fn slo(slo: &Slo) -> snap::Slo {
    let Slo { success_rate, p95, window } = slo;
    snap::Slo {
        success_rate: text::percent(success_rate).unwrap_or_default(),
        p95: p95.as_deref().map(span),
        window: window.as_deref().map_or(SLO_WINDOW, span),
    }
}
