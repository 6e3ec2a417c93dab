//! Who gets how much of one key. No cap rests on it: nothing is given but what the pool has.

use super::super::message::Incarnation;
use super::super::rules::{Rule, on};
use crate::Tick;

/// How one borrower stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Stand {
    pub(super) by: Incarnation,
    /// Coins there.
    pub(super) coins: u64,
    /// Of those, held or cooling.
    pub(super) in_use: u64,
    /// Holds that wait.
    pub(super) pend: u64,
    /// Demand of two report intervals.
    pub(super) soon: u64,
    /// Its largest hold.
    pub(super) unit: u64,
    /// When one that waited was last served.
    pub(super) served: Tick,
}

/// What one borrower is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// More coins.
    pub(super) more: u64,
    pub(super) limit: u64,
    pub(super) keep: u64,
}

impl Stand {
    /// Coins that a hold which waits finds.
    fn free(&self) -> u64 {
        self.coins.saturating_sub(self.in_use)
    }

    /// Coins that it does not.
    fn lack(&self) -> u64 {
        self.in_use.saturating_add(self.pend).saturating_sub(self.coins)
    }

    fn need(&self) -> u64 {
        self.in_use.saturating_add(self.pend).saturating_add(self.soon)
    }
}

/// Shares out `pool` coins. `spread`: what nobody needs goes round, so that a busy moment finds coins in place.
///
/// Without contention each gets its need. With contention those who wait get whole holds, longest unserved first, and the
/// rest stays in the pool for the next who waits: fragments of a hold in a hundred pods are worth nothing.
pub(super) fn share_out(stands: &[Stand], pool: u64, is_over: Option<(u64, u64)>, spread: bool) -> Vec<Part> {
    let lent = stands.iter().fold(0u64, |sum, s| sum.saturating_add(s.coins));
    let needed = stands.iter().fold(0u64, |sum, s| sum.saturating_add(s.need()));
    let there = lent.saturating_add(pool);
    let part = |more, limit, keep| Part { more, limit, keep };
    // The cap was lowered below what is lent: less for all, in proportion.
    if let Some((total, out)) = is_over {
        let limit = |s: &Stand| (u128::from(s.coins) * u128::from(total) / u128::from(out.max(1))) as u64;
        return stands.iter().map(|s| part(0, limit(s), 0)).collect();
    }
    let mut left = pool;
    let mut take = |want: u64| {
        let more = want.min(left);
        left -= more;
        more
    };
    if needed <= there || !on(Rule::Contention) {
        let surplus = there.saturating_sub(needed) / (stands.len() as u64).max(1);
        let unit = stands.iter().map(|s| s.unit).max().unwrap_or(0);
        if spread && surplus >= unit.saturating_mul(2) || !on(Rule::Contention) {
            // Half a part of slack: else each report would move a few coins.
            return stands
                .iter()
                .map(|s| {
                    let whole = s.need().saturating_add(surplus);
                    let more = if s.coins < whole - surplus / 2 { take(whole.saturating_sub(s.coins)) } else { 0 };
                    part(more, whole.saturating_add(surplus / 4), u64::MAX)
                })
                .collect();
        }
        return stands
            .iter()
            .map(|s| {
                let more = take(s.need().saturating_sub(s.coins));
                part(more, u64::MAX, s.soon.max(s.unit.min(s.soon.saturating_mul(2))))
            })
            .collect();
    }
    let mut order: Vec<usize> = (0..stands.len()).collect();
    order.sort_by_key(|i| (stands[*i].served, stands[*i].by));
    let mut parts: Vec<Part> =
        stands.iter().map(|s| part(0, u64::MAX, if s.soon >= s.unit { s.soon } else { 0 })).collect();
    let mut unserved = vec![];
    for i in order {
        let s = &stands[i];
        let lack = s.lack();
        let unit = if s.unit == 0 { lack } else { s.unit.min(lack) }.max(1);
        let whole = if s.pend == 0 {
            0
        } else if lack <= left {
            lack
        } else {
            left / unit * unit
        };
        left -= whole;
        parts[i].more = whole;
        if whole == 0 && lack > 0 && s.pend > 0 {
            unserved.push(i);
        }
    }
    // The first who wait keep what they have of a hold, as many as the fragments of all make whole; the others give theirs back
    // for these. Else all have a fragment, and nobody a hold.
    let mut fragments = unserved.iter().fold(left, |sum, i| sum.saturating_add(stands[*i].free()));
    for i in unserved {
        match fragments.checked_sub(stands[i].pend) {
            Some(rest) => fragments = rest,
            None => parts[i].limit = stands[i].in_use,
        }
    }
    parts
}
