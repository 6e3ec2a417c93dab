//! How shared caps stand over all pods, for people and meters.

use std::{collections::BTreeMap, time::Duration};

use super::{
    super::{hold::Key, hold::Pressure, view::pressure},
    Lender,
    pot::Pot,
};
use crate::Tick;

/// A cap counts as full for so long after a hold found nothing to borrow.
const LACKED: Duration = Duration::from_secs(30);

/// A cap over all pods: of its keys the one nearest the limit. What pods draw of their guaranteed shares they tell themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stand {
    /// Which.
    pub key: Key,
    /// The cap, in the key's unit.
    pub limit: u64,
    /// Spent in the window, or in open holds.
    pub used: u64,
    /// Lent and not used now.
    pub idle: u64,
    /// Held by nobody knows whom: of pods that fell silent, or of a lender before.
    pub unknown: u64,
    /// Of what is guaranteed, the most that pods may draw without asking.
    pub shares: u64,
    /// What is used above the cap: providers billed more than was asked of them, or the cap was lowered.
    pub debt: u64,
    /// Against the cap's thresholds.
    pub pressure: Pressure,
    /// Until the next coins that cool here are free.
    pub next_free: Option<Duration>,
}

impl Lender {
    /// One row a cap in force, in the policy's order.
    #[must_use]
    pub fn stands(&self, now: Tick) -> Vec<Stand> {
        let mut nearest: BTreeMap<usize, (u64, &Pot)> = BTreeMap::new();
        for pot in self.pots.iter().flatten() {
            let used = pot.used(now).saturating_add(pot.unknown);
            let best = nearest.entry(pot.fund).or_insert((used, pot));
            if used > best.0 {
                *best = (used, pot);
            }
        }
        let of = |(at, fund): (usize, &super::Fund)| {
            let pot = nearest.get(&at).map(|(_, pot)| *pot);
            let (used, unknown) = pot.map_or((0, 0), |p| (p.used(now), p.unknown));
            let own = || Key { unit: fund.cap.unit, name: fund.cap.name.clone(), scope: fund.cap.scope, value: None };
            let in_use = pot.map_or(0, |p| p.loans.values().fold(0, |sum: u64, l| sum.saturating_add(l.in_use)));
            Stand {
                key: pot.map_or_else(own, |p| p.key.clone()),
                limit: fund.cap.limit,
                used,
                idle: pot.map_or(0, |p| p.lent.saturating_sub(in_use)),
                unknown,
                shares: fund.shares_hi,
                debt: used.saturating_sub(fund.cap.limit),
                pressure: match pot.and_then(|p| p.lacked_at) {
                    Some(at) if now.since(at) < LACKED => Pressure::Full,
                    _ => pressure(&fund.cap, used.saturating_add(unknown)),
                },
                next_free: pot.and_then(|p| p.cooling.next(now)).map(|at| at.since(now)),
            }
        };
        self.funds.iter().enumerate().filter(|(_, f)| f.in_force).map(of).collect()
    }

    /// An object before was lost: what it said has not been waited out yet.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.is_lost
    }
}
