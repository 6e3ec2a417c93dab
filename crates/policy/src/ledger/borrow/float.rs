//! Coins of one key that a lender gave: the float.

use std::time::Duration;

use super::super::{
    message::Cede,
    ring::{Grid, Ring},
    rules::{Rule, on},
    terms::REPORT_IDLE,
};
use crate::Tick;

/// Borrowed coins of one key, and what is known of the demand for them. They are spent again and again as they cool, until
/// the lease ends.
#[derive(Debug)]
pub(in crate::ledger) struct Float {
    /// Coins received in this incarnation and term.
    granted: u64,
    /// Coins given back since. A cede is final when it is sent.
    ceded: u64,
    /// Those that the lender has not acknowledged.
    unheard: Vec<Unheard>,
    /// Free coins above so many in all go back.
    limit: u64,
    /// And free ones above so many.
    keep: u64,
    held: u64,
    ring: Ring,
    /// Holds that wait.
    pend: u64,
    demand: Demand,
    /// Spent or held by anybody, as the lender said then.
    pub(super) used: (u64, Tick),
    /// When the lender may have more.
    pub(super) retry_at: Option<Tick>,
    /// The lender has what was asked for, and gives it once that is written down.
    pub(super) is_coming: bool,
    /// It is in [`super::Borrower::active`].
    pub(super) is_active: bool,
    /// The first report in a row that said nothing is going on.
    pub(super) calm_since: Option<u64>,
}

#[derive(Debug)]
struct Unheard {
    after: u64,
    amount: u64,
    free_at: Tick,
}

#[derive(Debug, Default)]
struct Demand {
    since: Tick,
    asked: u64,
    largest: u64,
    rate: u64,
    unit: u64,
}

/// The rate follows demand within some seconds.
const SMOOTHED: Duration = Duration::from_secs(4);

impl Float {
    pub(super) fn new(now: Tick) -> Float {
        Float {
            granted: 0,
            ceded: 0,
            unheard: vec![],
            limit: u64::MAX,
            keep: u64::MAX,
            held: 0,
            ring: Ring::default(),
            pend: 0,
            demand: Demand { since: now, ..Demand::default() },
            used: (0, now),
            retry_at: None,
            is_coming: false,
            is_active: false,
            calm_since: None,
        }
    }

    /// Coins here.
    pub(in crate::ledger) fn coins(&self) -> u64 {
        self.granted.saturating_sub(self.ceded)
    }

    pub(super) fn granted(&self) -> u64 {
        self.granted
    }

    pub(super) fn ceded(&self) -> u64 {
        self.ceded
    }

    /// Coins in open holds, or cooling.
    pub(in crate::ledger) fn in_use(&self, now: Tick, grid: &Grid) -> u64 {
        self.ring.spent(now, grid).saturating_add(self.held)
    }

    /// Coins that may be held.
    pub(in crate::ledger) fn free(&self, now: Tick, grid: &Grid) -> u64 {
        self.coins().min(self.limit).saturating_sub(self.in_use(now, grid))
    }

    /// Spent or held by anybody, as the lender said; of a key that it was not asked about for a while that is no news.
    pub(in crate::ledger) fn used(&self, now: Tick) -> u64 {
        if now.since(self.used.1) < REPORT_IDLE * 3 { self.used.0 } else { 0 }
    }

    /// No less than that.
    pub(in crate::ledger) fn used_at_most(&self) -> u64 {
        self.used.0
    }

    pub(in crate::ledger) fn held(&self) -> u64 {
        self.held
    }

    pub(in crate::ledger) fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Demand of `amount`, of which `borrowed` are coins of this float.
    pub(in crate::ledger) fn hold(&mut self, amount: u64, borrowed: u64) {
        self.held = self.held.saturating_add(borrowed);
        self.demand.asked = self.demand.asked.saturating_add(amount);
        self.demand.largest = self.demand.largest.max(amount);
    }

    pub(in crate::ledger) fn settle(&mut self, held: u64, charge: u64, stamp: Tick, now: Tick, grid: &Grid) {
        self.held = self.held.saturating_sub(held);
        self.ring.charge(charge, stamp, now, grid);
    }

    /// Takes on charges of the share, as far as coins are free.
    pub(super) fn ease(&mut self, share: &mut Ring, now: Tick, grid: &Grid) -> bool {
        let free = self.free(now, grid).saturating_sub(self.pend);
        let moved = share.take(free, now, grid);
        for (stamp, amount) in &moved {
            self.ring.put(*amount, *stamp, grid);
        }
        !moved.is_empty()
    }

    pub(in crate::ledger) fn regrid(&mut self, now: Tick, grid: &Grid) {
        self.ring.regrid(now, grid);
    }

    /// When `amount` more than now may be free: as the lender said, or as coins here cool.
    pub(in crate::ledger) fn frees(&self, amount: u64, now: Tick, grid: &Grid) -> Option<Tick> {
        let here = self.ring.frees(amount, now, grid);
        [self.retry_at.filter(|at| *at > now), here].into_iter().flatten().min()
    }

    pub(super) fn wait(&mut self, amount: u64) {
        self.pend = self.pend.saturating_add(amount);
        self.demand.largest = self.demand.largest.max(amount);
    }

    pub(super) fn leave(&mut self, amount: u64) {
        self.pend = self.pend.saturating_sub(amount);
    }

    pub(super) fn pend(&self) -> u64 {
        self.pend
    }

    /// Held a second, of late, and the largest hold of late.
    pub(super) fn demand(&mut self, now: Tick) -> (u64, u64) {
        let Demand { since, asked, largest, rate, unit } = &mut self.demand;
        let passed = now.since(*since).as_nanos();
        // Reports for holds that wait come in bursts, and say nothing of a rate.
        if passed >= SMOOTHED.as_nanos() / 8 {
            let whole = SMOOTHED.as_nanos() + passed;
            let smooth = u128::from(*rate) * SMOOTHED.as_nanos() + u128::from(*asked) * 1_000_000_000;
            *rate = u64::try_from(smooth / whole).unwrap_or(u64::MAX);
            *unit = (*largest).max(*unit - *unit / 16);
            if *asked == 0 && *largest == 0 && *rate < *unit / 16 {
                (*rate, *unit) = (0, 0);
            }
            (*asked, *largest, *since) = (0, 0, now);
        }
        (*rate, (*unit).max(*largest))
    }

    /// Gives back what is above what the lender wants here, with `every` free coin. In a `long` window what is spent goes
    /// too, with the time it still has to cool.
    pub(super) fn cede(&mut self, every: bool, long: bool, now: Tick, grid: &Grid) {
        self.ring.cool(now, grid);
        if long {
            for (stamp, amount) in self.ring.take(self.coins(), now, grid) {
                self.give(amount, grid.free_at(stamp));
            }
        }
        if !on(Rule::CoolingGoesWithItsTime) {
            for (_, amount) in self.ring.take(self.coins() / 2, now, grid) {
                self.give(amount, now);
            }
        }
        self.give(if every { self.idle(now, grid) } else { self.above(now, grid) }, now);
    }

    /// Coins here are wanted elsewhere.
    pub(super) fn is_recalled(&self, now: Tick, grid: &Grid) -> bool {
        self.coins() > self.limit && self.coins() > self.in_use(now, grid)
    }

    /// There are more coins here than the lender wants here.
    pub(super) fn is_above(&self, now: Tick, grid: &Grid) -> bool {
        self.above(now, grid) > 0
    }

    fn idle(&self, now: Tick, grid: &Grid) -> u64 {
        self.coins().saturating_sub(self.in_use(now, grid)).saturating_sub(self.pend)
    }

    /// Above the limit goes what is free even if a hold waits for more; above what is to be kept, what none waits for.
    fn above(&self, now: Tick, grid: &Grid) -> u64 {
        let free = self.coins().saturating_sub(self.in_use(now, grid));
        let idle = free.saturating_sub(self.pend);
        self.coins().saturating_sub(self.limit).min(free).max(idle.saturating_sub(self.keep))
    }

    /// Gives back all, what cools with its time. What is held is left: the lender waits for it.
    pub(super) fn end(&mut self, now: Tick, grid: &Grid) {
        self.pend = 0;
        self.cede(true, true, now, grid);
    }

    fn give(&mut self, amount: u64, free_at: Tick) {
        if amount == 0 {
            return;
        }
        self.ceded = self.ceded.saturating_add(amount);
        match self.unheard.last_mut() {
            Some(last) if last.free_at == free_at => {
                last.after = self.ceded;
                last.amount = last.amount.saturating_add(amount);
            }
            _ => self.unheard.push(Unheard { after: self.ceded, amount, free_at }),
        }
    }

    /// What is given back and not acknowledged, as of now.
    pub(super) fn cedes(&self, now: Tick) -> Vec<Cede> {
        let cede = |u: &Unheard| Cede { after: u.after, amount: u.amount, remaining: u.free_at.since(now) };
        self.unheard.iter().map(cede).collect()
    }

    /// Takes a grant.
    pub(super) fn take(&mut self, granted: u64, ceded: u64, limit: u64, keep: u64) {
        // Where this key was forgotten here after all of it went back, its counters begin anew at the lender's.
        self.ceded = self.ceded.max(ceded);
        self.granted =
            if on(Rule::CumulativeCredit) { self.granted.max(granted) } else { self.granted.saturating_add(granted) };
        self.unheard.retain(|u| u.after > ceded);
        (self.limit, self.keep) = (limit, keep);
    }

    /// A new term: its counters begin with what is here. What was given to the old lender is gone, heard or not.
    pub(super) fn follow(&mut self) {
        let unheard: u64 = self.unheard.iter().map(|u| u.amount).sum();
        let coins = if on(Rule::CedeIsFinal) { self.coins() } else { self.coins().saturating_add(unheard) };
        (self.granted, self.ceded) = (coins, 0);
        self.unheard.clear();
    }

    /// Nothing is held, spent, asked for or on its way.
    pub(super) fn is_calm(&self, now: Tick, grid: &Grid) -> bool {
        let Demand { asked, rate, .. } = self.demand;
        self.in_use(now, grid) == 0 && self.unheard.is_empty() && self.pend == 0 && rate == 0 && asked == 0
    }

    /// There is nothing to remember.
    pub(in crate::ledger) fn is_empty(&self, now: Tick, grid: &Grid) -> bool {
        self.coins() == 0 && !self.is_active && self.is_calm(now, grid)
    }
}
