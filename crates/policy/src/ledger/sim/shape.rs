//! The worlds that are tried: what is asked, how providers bill, what goes wrong.

use std::{ops::Range, time::Duration};

use fastrand::Rng;

use super::{
    super::{Cap, Unit},
    oracle::S,
};
use crate::snapshot::{Ratio, Rung, Scope};

/// One coin of a cap's million.
pub(super) const CAP: u64 = 1_000_000;

#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) caps: Vec<Cap>,
    pub(super) callers: usize,
    pub(super) tenants: usize,
    pub(super) most_values: usize,
    /// Asked by one attempt.
    pub(super) asks: Range<u64>,
    /// Percent of the ask that an ended answer costs at least.
    pub(super) costs_from: u64,
    /// Duration of an attempt in ms.
    pub(super) takes: Range<u64>,
    /// Between attempts of one caller, in ms.
    pub(super) thinks: Range<u64>,
    /// Percent of all attempts whose callers can wait.
    pub(super) later: u32,
    /// The ladder of all callers.
    pub(super) rungs: Vec<Rung>,
    /// Weights of the ends: ended, without usage, closed by us, unseen, refused.
    pub(super) ends: [u32; 5],
    /// Bills come as late as they may, from sends as late as they may be.
    pub(super) is_late: bool,
    /// In percent of all attempts: the hold waits for its send, up to minutes.
    pub(super) pauses: u32,
    /// Percent of the ask that a provider may bill in the end; 100 is none.
    pub(super) surprise: u64,
    /// Unseen attempts go on to their end beyond the horizon, which their bill then is final at.
    pub(super) runs_long: bool,
    /// Rate of our clock in millionths; its ticks round, so the bound itself is left to the nanosecond.
    pub(super) rate: u64,
    pub(super) bill_horizon: u64,
    pub(super) lasts: u64,
    /// Mean time between edits of the policy.
    pub(super) edits: Option<u64>,
    pub(super) journal: Option<JournalShape>,
}

#[derive(Clone, Debug)]
pub(super) struct JournalShape {
    /// Between checkpoints nobody waits for, in ms.
    pub(super) every: u64,
    /// A write takes up to so long, in ms.
    pub(super) takes: u64,
    /// Writes that get no answer, in percent.
    pub(super) fails: u32,
    /// Mean time between ends of the process.
    pub(super) kills: u64,
    /// Callers come after the first write, as they should.
    pub(super) is_patient: bool,
    /// Then no more.
    pub(super) most_kills: u32,
    /// Of those, in percent: drained before; to a clock with another origin; with the file lost.
    pub(super) clean: u32,
    pub(super) other_clock: u32,
    pub(super) lost: u32,
}

pub(in crate::ledger) fn cap(unit: Unit, name: &str, scope: Scope, window: u64, limit: u64) -> Cap {
    let window = Duration::from_secs(window);
    let guaranteed = limit / 20;
    Cap { unit, name: name.into(), scope, window, limit, guaranteed, warn_at: None, degrade_at: None }
}

impl Shape {
    /// A quiet world: one cap, honest and quick answers.
    pub(super) fn plain(window: u64) -> Shape {
        Shape {
            caps: vec![cap(Unit::Money, "all", Scope::Policy, window, CAP)],
            callers: 6,
            tenants: 1,
            most_values: 100,
            asks: 250_000..250_001,
            costs_from: 100,
            takes: 200..2_000,
            thinks: 0..50,
            later: 0,
            rungs: vec![Rung::Reject],
            ends: [1, 0, 0, 0, 0],
            is_late: true,
            pauses: 0,
            surprise: 100,
            runs_long: false,
            rate: 1_000_000,
            bill_horizon: 60 * S,
            lasts: window * 8 * S,
            edits: None,
            journal: None,
        }
    }

    /// One with thresholds, in steps of a quarter: Warn at the second, Degrade at the third.
    pub(super) fn near(window: u64) -> Shape {
        let mut near = Shape::plain(window);
        near.caps[0].warn_at = Some(Ratio(3_000));
        near.caps[0].degrade_at = Some(Ratio(6_000));
        near
    }

    /// Only attempts whose end nobody sees, billed as late as they may, each of the whole cap.
    pub(super) fn unseen(window: u64, horizon: u64) -> Shape {
        let lasts = 40 * (window + horizon) * S;
        Shape { ends: [0, 0, 0, 1, 0], asks: CAP..CAP + 1, bill_horizon: horizon * S, lasts, ..Shape::plain(window) }
    }

    /// A process that is killed early, over a slow disk, in a window that outlasts its lives.
    pub(super) fn crashing(scope: Scope) -> Shape {
        let (every, takes, kills, most_kills) = (5_000, 5_000, 15, 2);
        let (fails, clean, other_clock, lost) = (0, 0, 0, 0);
        let journal =
            JournalShape { every, takes, fails, kills, is_patient: true, most_kills, clean, other_clock, lost };
        Shape {
            caps: vec![cap(Unit::Money, "all", scope, 300, CAP)],
            tenants: 4,
            asks: CAP / 40..CAP / 40 + 1,
            callers: 8,
            takes: 100..500,
            is_late: false,
            lasts: 500 * S,
            journal: Some(journal),
            ..Shape::plain(300)
        }
    }

    /// Anything, of everything.
    pub(super) fn any(rng: &mut Rng) -> Shape {
        let window = [5, 5, 20, 60, 60, 300][rng.usize(..6)];
        let mut caps = vec![cap(Unit::Money, "all", Scope::Policy, window, CAP)];
        let more = [
            cap(Unit::Money, "tenant", Scope::Tenant, window * rng.u64(1..=3), CAP / 2),
            cap(Unit::Money, "long", Scope::Policy, window * 4, CAP * 3),
            cap(Unit::Money, "scene", Scope::Scene, window, CAP * 2 / 3),
            cap(Unit::Money, "provider", Scope::Provider, window * 2, CAP),
            cap(Unit::Money, "tier", Scope::Tier, window, CAP * 3 / 4),
            cap(Unit::Requests, "p0", Scope::Policy, window, rng.u64(3..20)),
            cap(Unit::Tokens, "p1", Scope::Policy, window, CAP / 100),
        ];
        caps.extend(more.into_iter().filter(|_| rng.u32(..3) == 0));
        for cap in &mut caps {
            cap.degrade_at = rng.bool().then(|| Ratio(rng.u32(3_000..=10_000)));
            cap.warn_at = rng.bool().then(|| Ratio(rng.u32(1_000..=3_000)));
        }
        let mut rungs = vec![Rung::CheaperModel, Rung::Trim, Rung::Cache, Rung::Queue];
        rng.shuffle(&mut rungs);
        rungs.truncate(rng.usize(..=4));
        let least = rng.u64(10_000..60_000);
        let bill_horizon = rng.u64(20..120);
        let journal = JournalShape {
            every: rng.u64(200..10_000),
            takes: rng.u64(1..3_000),
            fails: rng.u32(..2) * rng.u32(..40),
            kills: rng.u64(1..4) * window,
            is_patient: rng.bool(),
            most_kills: rng.u32(1..20),
            clean: rng.u32(..60),
            other_clock: rng.u32(..60),
            lost: rng.u32(..2) * rng.u32(..30),
        };
        Shape {
            caps,
            callers: rng.usize(1..8),
            tenants: rng.usize(1..12),
            most_values: rng.usize(1..12),
            asks: least..least * rng.u64(2..6),
            costs_from: rng.u64(20..=100),
            takes: 100..[1_000, 5_000, bill_horizon * 900][rng.usize(..3)],
            thinks: 0..[50, 10_000][rng.usize(..2)],
            later: rng.u32(..3) * 20,
            rungs,
            ends: std::array::from_fn(|_| rng.u32(..4) * rng.u32(..4)),
            is_late: rng.bool(),
            pauses: rng.u32(..3) * 10,
            surprise: if rng.u32(..4) == 0 { rng.u64(101..400) } else { 100 },
            runs_long: false,
            rate: [998_001, 1_000_000, 1_001_999][rng.usize(..3)],
            bill_horizon: bill_horizon * S,
            lasts: (window * 6).max(120) * S,
            edits: (rng.u32(..4) == 0).then_some(window * 2),
            journal: (rng.u32(..2) == 0).then_some(journal),
        }
    }
}
