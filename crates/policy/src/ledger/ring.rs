//! What one key has spent: charges by stamp, each of which cools for a window.

use std::time::Duration;

use super::{
    rules::{Rule, on},
    terms::{SKEW, stretched},
};
use crate::Tick;

/// How a window is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    /// How long a charge cools, in nanoseconds: `(W + s)(1 + rho)`.
    pub(super) cools: u64,
    /// Width of a bucket.
    fine: u64,
    /// Width of a bucket whose stamp lies ahead.
    coarse: u64,
    /// The window itself; read by a broken rule alone.
    window: u64,
}

impl Grid {
    /// A window in `buckets` parts. Stamps lie ahead by up to `horizon` nanoseconds; a quarter as many parts hold those.
    pub(super) fn new(window: Duration, buckets: u64, horizon: u64) -> Grid {
        let skew = if on(Rule::Skew) { SKEW } else { Duration::ZERO };
        let true_time = window.saturating_add(skew);
        let exact = u64::try_from(true_time.as_nanos()).unwrap_or(u64::MAX);
        let cools = if on(Rule::Drift) { stretched(true_time) } else { exact };
        let window = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX).max(1);
        Grid { cools, fine: (cools / buckets).max(1), coarse: (horizon / (buckets / 4)).max(1), window }
    }

    /// When a charge of `stamp` is free again.
    pub(super) fn free_at(&self, stamp: Tick) -> Tick {
        if !on(Rule::Sliding) {
            return Tick((stamp.0 / self.window + 1).saturating_mul(self.window));
        }
        // A window is closed at both ends, so a coin is free after it, not at its end.
        Tick(stamp.0.saturating_add(self.cools).saturating_add(1))
    }

    /// The stamp that one ahead of now is rounded up to.
    pub(super) fn ahead(&self, stamp: Tick) -> Tick {
        let parts = if on(Rule::CoarseUp) { stamp.0.div_ceil(self.coarse) } else { stamp.0 / self.coarse };
        Tick(parts.saturating_mul(self.coarse))
    }

    fn is_free(&self, stamp: Tick, now: Tick) -> bool {
        self.free_at(stamp) <= now
    }
}

/// Charges that have not cooled, oldest first, one entry a bucket. A charge takes the bucket of its stamp, and the bucket
/// has the stamp of its newest charge.
///
/// Bounded: with N buckets a window, at most N + 2 entries lie behind and N/4 + 2 ahead, of 16 bytes each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ring {
    entries: Vec<(Tick, u64)>,
    /// Of all entries, those included that have cooled since the last charge.
    sum: u64,
}

impl Ring {
    /// Adds a charge. A stamp ahead of now is rounded up, so that few entries hold them.
    pub(super) fn charge(&mut self, amount: u64, stamp: Tick, now: Tick, grid: &Grid) {
        self.cool(now, grid);
        if amount == 0 {
            return;
        }
        self.insert(amount, if stamp <= now { stamp } else { grid.ahead(stamp) }, grid);
    }

    fn insert(&mut self, amount: u64, stamp: Tick, grid: &Grid) {
        self.sum = self.sum.saturating_add(amount);
        let bucket = stamp.0 / grid.fine;
        let at = self.entries.partition_point(|(other, _)| other.0 / grid.fine < bucket);
        match self.entries.get_mut(at) {
            Some((newest, sum)) if newest.0 / grid.fine == bucket => {
                *newest = if on(Rule::NewestInBucket) { stamp.max(*newest) } else { stamp.min(*newest) };
                *sum = sum.saturating_add(amount);
            }
            _ => {
                // Grown by few, not doubled: most keys of many are quiet.
                if self.entries.len() == self.entries.capacity() {
                    self.entries.reserve_exact(4 + self.entries.len() / 4);
                }
                self.entries.insert(at, (stamp, amount));
            }
        }
    }

    /// Adds what was charged elsewhere.
    pub(super) fn put(&mut self, amount: u64, stamp: Tick, grid: &Grid) {
        self.insert(amount, stamp, grid);
    }

    /// Takes out charges that have not cooled, of `most` in all, oldest first.
    pub(super) fn take(&mut self, most: u64, now: Tick, grid: &Grid) -> Vec<(Tick, u64)> {
        self.cool(now, grid);
        let (mut left, mut taken) = (most, vec![]);
        for (stamp, amount) in &mut self.entries {
            let part = left.min(*amount);
            if part == 0 {
                break;
            }
            (left, *amount) = (left - part, *amount - part);
            taken.push((*stamp, part));
        }
        self.entries.retain(|(_, amount)| *amount > 0);
        self.sum = total(&self.entries);
        taken
    }

    /// Drops what has cooled.
    pub(super) fn cool(&mut self, now: Tick, grid: &Grid) {
        let cooled = self.cooled(now, grid);
        if cooled > 0 {
            self.entries.drain(..cooled);
            // Summed anew, so that a sum that saturated is right again.
            self.sum = total(&self.entries);
        }
    }

    /// What has not cooled.
    pub(super) fn spent(&self, now: Tick, grid: &Grid) -> u64 {
        match self.cooled(now, grid) {
            0 => self.sum,
            cooled => total(&self.entries[cooled..]),
        }
    }

    /// No less than [`Ring::spent`], without looking at the entries.
    pub(super) fn at_most(&self) -> u64 {
        self.sum
    }

    /// When the oldest charge will be free.
    pub(super) fn next_free(&self, now: Tick, grid: &Grid) -> Option<Tick> {
        self.entries.get(self.cooled(now, grid)).map(|(stamp, _)| grid.free_at(*stamp))
    }

    /// When the youngest charge will be free.
    pub(super) fn last_free(&self, now: Tick, grid: &Grid) -> Option<Tick> {
        self.entries.last().map(|(stamp, _)| grid.free_at(*stamp)).filter(|at| *at > now)
    }

    /// When `amount` more than now will be free; `None` if all charges together are less.
    pub(super) fn frees(&self, amount: u64, now: Tick, grid: &Grid) -> Option<Tick> {
        let mut sum = 0u64;
        let live = self.entries.iter().skip(self.cooled(now, grid));
        live.map(|(stamp, freed)| {
            sum = sum.saturating_add(*freed);
            (grid.free_at(*stamp), sum)
        })
        .find(|(_, sum)| *sum >= amount)
        .map(|(at, _)| at)
    }

    /// Stamps and amounts that have not cooled.
    pub(super) fn live(&self, now: Tick, grid: &Grid) -> &[(Tick, u64)] {
        &self.entries[self.cooled(now, grid)..]
    }

    /// The same charges on another grid.
    pub(super) fn regrid(&mut self, now: Tick, grid: &Grid) {
        for (stamp, amount) in std::mem::take(self).entries {
            self.insert(amount, stamp, grid);
        }
        self.cool(now, grid);
    }

    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<(Tick, u64)>()
    }

    /// How many entries from the front are free. Few are: each charge drops them.
    fn cooled(&self, now: Tick, grid: &Grid) -> usize {
        self.entries.iter().take_while(|(stamp, _)| grid.is_free(*stamp, now)).count()
    }
}

fn total(entries: &[(Tick, u64)]) -> u64 {
    entries.iter().fold(0, |sum, (_, amount)| sum.saturating_add(*amount))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: u64 = 1_000_000_000;

    proptest! {
        /// Against a list of all charges: nothing is free early, nothing is kept longer than its bucket's width.
        #[test]
        fn a_ring_is_the_list_of_its_charges_within_a_bucket(
            window in 5u64..4000, buckets in prop::sample::select(vec![32u64, 128]),
            steps in prop::collection::vec((0u64..20 * S, 1u64..1000, 0u64..125 * S, any::<bool>()), 1..200),
        ) {
            let grid = Grid::new(Duration::from_secs(window), buckets, 125 * S);
            let (mut ring, mut all, mut now) = (Ring::default(), vec![], 1_000_000 * S);
            for (step, amount, ahead, is_ahead) in steps {
                now += step;
                let stamp = if is_ahead { now + ahead } else { now };
                ring.charge(amount, Tick(stamp), Tick(now), &grid);
                all.push((stamp, amount));
                let least: u64 = all.iter().filter(|(t, _)| t + grid.cools >= now).map(|(_, a)| a).sum();
                let most: u64 = all.iter().filter(|(t, _)| t + grid.cools + grid.fine + grid.coarse >= now).map(|(_, a)| a).sum();
                let spent = ring.spent(Tick(now), &grid);
                prop_assert!(least <= spent && spent <= most, "{least} {spent} {most}");
                prop_assert!(ring.entries.len() as u64 <= buckets + 2 + buckets / 4 + 2, "{}", ring.entries.len());
                prop_assert!(ring.entries.is_sorted_by(|a, b| a.0 < b.0));
                if let Some(at) = ring.frees(spent / 2 + 1, Tick(now), &grid) {
                    prop_assert!(ring.spent(at, &grid) <= spent - (spent / 2 + 1));
                    prop_assert!(ring.spent(Tick(at.0 - 1), &grid) > spent - (spent / 2 + 1));
                }
            }
        }

        #[test]
        fn another_grid_holds_the_same_charges(
            from in 5u64..4000, to in 5u64..4000, steps in prop::collection::vec((0u64..20 * S, 1u64..1000), 1..100),
        ) {
            let [from, to] = [from, to].map(|w| Grid::new(Duration::from_secs(w), 32, 125 * S));
            let (mut ring, mut now) = (Ring::default(), 1_000_000 * S);
            for (step, amount) in steps {
                now += step;
                ring.charge(amount, Tick(now), Tick(now), &from);
            }
            let mut other = ring.clone();
            other.regrid(Tick(now), &to);
            let kept = ring.entries.iter().filter(|(t, _)| t.0 + to.cools >= now).map(|(_, a)| a).sum::<u64>();
            prop_assert!(other.spent(Tick(now), &to) >= kept);
            prop_assert!(other.spent(Tick(now), &to) <= ring.spent(Tick(now), &from));
            prop_assert!(other.entries.len() <= 34 + 10);
        }
    }
}
