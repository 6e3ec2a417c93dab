//! One key's coins, as the lender counts them.

use std::{collections::BTreeMap, time::Duration};

use super::super::{
    hold::Key,
    message::{Incarnation, KeyReport},
    terms::{BUCKETS, BUCKETS_SCOPED, nanos, part},
};
use super::allowed::Allowed;
use crate::{Tick, snapshot::Scope};

/// The coins of one key: lent, cooling here, of unknown whereabouts; what is left of the cap may be lent.
#[derive(Debug)]
pub(super) struct Pot {
    pub(super) key: Key,
    /// Of its fund.
    pub(super) fund: usize,
    /// By whom it is borrowed.
    pub(super) loans: BTreeMap<Incarnation, Loan>,
    /// Granted and not ceded, over all loans.
    pub(super) lent: u64,
    pub(super) cooling: Cooling,
    /// Held by somebody who was not heard in this term, or cooling there.
    pub(super) unknown: u64,
    /// What may be lent under every checkpoint that may be in force; short windows have none.
    pub(super) room: Allowed,
    /// It differs from the newest checkpoint.
    pub(super) is_changed: bool,
    /// The newest checkpoint leaves it out.
    pub(super) is_omitted: bool,
    /// Lacked at the last look.
    pub(super) lacked: u64,
    /// When somebody lacked something last.
    pub(super) lacked_at: Option<Tick>,
    /// Claimed beyond what was unknown.
    #[cfg(test)]
    pub(super) over: u64,
}

/// What one incarnation borrows of one key.
#[derive(Clone, Debug, Default)]
pub(super) struct Loan {
    pub(super) granted: u64,
    pub(super) ceded: u64,
    pub(super) in_use: u64,
    pub(super) pend: u64,
    pub(super) rate: u64,
    pub(super) unit: u64,
    pub(super) limit: u64,
    pub(super) keep: u64,
    /// When a hold that waited was last served.
    pub(super) served: Tick,
    /// What it lacks is there, and waits for a checkpoint.
    pub(super) is_coming: bool,
}

impl Loan {
    pub(super) fn coins(&self) -> u64 {
        self.granted - self.ceded
    }
}

impl Pot {
    /// Coins that are not there to be lent.
    pub(super) fn out(&self, now: Tick) -> u64 {
        self.lent.saturating_add(self.cooling.sum(now)).saturating_add(self.unknown)
    }

    /// Coins that are.
    pub(super) fn pool(&self, total: u64, now: Tick) -> u64 {
        total.saturating_sub(self.out(now))
    }

    /// Spent or held by anybody, as far as is known.
    pub(super) fn used(&self, now: Tick) -> u64 {
        self.loans.values().fold(self.cooling.sum(now), |sum, l| sum.saturating_add(l.in_use))
    }

    /// Books what a loan's row says: first what came back, then how things are. Gives what was claimed of the unknown.
    pub(super) fn hear(
        &mut self,
        by: Incarnation,
        row: &KeyReport,
        may_claim: bool,
        now: Tick,
    ) -> Result<(), Unfounded> {
        let unheard: u64 = row.cedes.iter().fold(0, |sum, c| sum.saturating_add(c.amount));
        let before = row.ceded.saturating_sub(unheard);
        let loan = match self.loans.entry(by) {
            std::collections::btree_map::Entry::Occupied(loan) => loan.into_mut(),
            std::collections::btree_map::Entry::Vacant(slot) => {
                let claim = row.granted.saturating_sub(before);
                if claim > 0 && !may_claim {
                    return Err(Unfounded);
                }
                #[cfg(test)]
                {
                    self.over += claim.saturating_sub(self.unknown);
                }
                self.unknown = self.unknown.saturating_sub(claim);
                self.lent = self.lent.saturating_add(claim);
                let granted = before.saturating_add(claim);
                slot.insert(Loan { granted, ceded: before, limit: u64::MAX, keep: u64::MAX, ..Loan::default() })
            }
        };
        for cede in &row.cedes {
            let amount = cede.amount.min(cede.after.saturating_sub(loan.ceded)).min(loan.coins());
            if amount == 0 {
                continue;
            }
            loan.ceded += amount;
            self.lent = self.lent.saturating_sub(amount);
            self.cooling.add(amount, now.after(cede.remaining), now);
        }
        (loan.in_use, loan.pend, loan.rate, loan.unit) = (row.in_use, row.pend, row.rate, row.unit);
        self.is_changed = true;
        Ok(())
    }

    /// Ends a loan: its coins are free at `release`.
    pub(super) fn close(&mut self, by: Incarnation, release: Tick, now: Tick) {
        let Some(loan) = self.loans.remove(&by) else { return };
        self.lent = self.lent.saturating_sub(loan.coins());
        self.cooling.add(loan.coins(), release, now);
        self.is_changed = true;
    }

    /// There is nothing to remember.
    pub(super) fn is_empty(&self, now: Tick) -> bool {
        self.out(now) == 0 && self.loans.values().all(|l| l.in_use == 0 && l.pend == 0 && l.rate == 0)
    }
}

/// A row claims coins that nobody gave.
#[derive(Debug)]
pub(super) struct Unfounded;

/// Coins that are free at a known time.
#[derive(Debug, Default)]
pub(super) struct Cooling {
    /// By release, rounded up to a mark.
    entries: BTreeMap<Tick, u64>,
    /// Between marks, in nanoseconds.
    mark: u64,
}

impl Cooling {
    /// Of a window in as many parts as a borrower's.
    pub(super) fn new(window: Duration, scope: Scope) -> Cooling {
        let parts = if scope == Scope::Policy { BUCKETS } else { BUCKETS_SCOPED };
        Cooling { entries: BTreeMap::new(), mark: (nanos(window) / parts).max(1) }
    }

    pub(super) fn add(&mut self, amount: u64, release: Tick, now: Tick) {
        if amount == 0 || release <= now {
            return;
        }
        let mark = Tick(release.0.div_ceil(self.mark).saturating_mul(self.mark));
        let sum = self.entries.entry(mark).or_default();
        *sum = sum.saturating_add(amount);
    }

    pub(super) fn sum(&self, now: Tick) -> u64 {
        self.entries.range(Tick(now.0 + 1)..).fold(0, |sum, (_, n)| sum.saturating_add(*n))
    }

    /// Drops what is free; whether there was any.
    pub(super) fn cool(&mut self, now: Tick) -> bool {
        let before = self.entries.len();
        while self.entries.first_key_value().is_some_and(|(at, _)| *at <= now) {
            self.entries.pop_first();
        }
        self.entries.len() < before
    }

    pub(super) fn next(&self, now: Tick) -> Option<Tick> {
        self.entries.range(Tick(now.0 + 1)..).next().map(|(at, _)| *at)
    }

    /// With the time that each still has.
    pub(super) fn remaining(&self, now: Tick) -> Vec<(Duration, u64)> {
        self.entries.range(Tick(now.0 + 1)..).map(|(at, n)| (at.since(now), *n)).collect()
    }
}

/// What a long key that no checkpoint lists may be lent, of `total`.
pub(super) fn unlisted(total: u64) -> u64 {
    part(total, super::super::terms::UNLISTED_PERCENT)
}
