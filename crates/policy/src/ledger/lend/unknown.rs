//! What a new lender does not know, and how it comes to know it.

use std::collections::BTreeSet;

use super::super::{
    hold::Key,
    message::Incarnation,
    rules::{Rule, on},
    terms::{TTL, by_other_clock, nanos},
};
use super::allowed::Allowed;
use super::{
    Lender, VALID,
    pot::{Cooling, Pot, unlisted},
};
use crate::Tick;

/// Who and what was not heard of in this term.
#[derive(Debug, Default)]
pub(super) struct Unknown {
    /// When the term began: its first write was acknowledged.
    began: Tick,
    /// Of the roll that was found.
    pub(super) unheard: BTreeSet<Incarnation>,
    /// Claims are taken before this.
    until: Tick,
    /// Everybody on the roll was heard: nobody else can hold a coin of a short window.
    is_called: bool,
    /// It was waited out.
    is_over: bool,
}

impl Lender {
    /// The term begins.
    pub(super) fn begin(&mut self, unheard: BTreeSet<Incarnation>, now: Tick) {
        let valid = if on(Rule::TakeoverWaitsValid) { nanos(VALID) } else { 0 };
        let ttl = if on(Rule::TakeoverWaitsLease) { nanos(TTL) } else { 0 };
        let wait = by_other_clock(valid.saturating_add(ttl).saturating_add(self.claim.0));
        let until = Tick(now.0.saturating_add(wait));
        self.unknown = Unknown { began: now, unheard, until, is_called: false, is_over: false };
        let all_free = self.released(self.longest()).max(until);
        if self.is_lost {
            self.lost_until = all_free;
        }
        if !on(Rule::UnheardIsUnknown) {
            self.unknown.unheard.clear();
        }
        self.call_roll();
    }

    /// Whether coins that nobody booked in this term may be claimed.
    pub(super) fn takes_claims(&self, now: Tick) -> bool {
        now < self.unknown.until && !self.unknown.is_over || !on(Rule::ClaimsInTime)
    }

    /// A pot of a key that this term has not seen.
    pub(super) fn untouched(&self, key: Key, at: usize, now: Tick) -> Pot {
        let fund = &self.funds[at];
        let mut pot = Pot {
            cooling: Cooling::new(fund.cap.window, key.scope),
            key,
            fund: at,
            loans: Default::default(),
            lent: 0,
            unknown: 0,
            room: Allowed::of(unlisted(fund.total())),
            is_omitted: false,
            is_changed: true,
            lacked: 0,
            lacked_at: None,
            #[cfg(test)]
            over: 0,
        };
        let all = if self.is_lost { fund.cap.limit } else { fund.found_hi };
        let unknown = match fund.is_long {
            true if !on(Rule::UnlistedIsUnknown) => 0,
            true if !self.is_lost => unlisted(all),
            false if self.unknown.is_called => 0,
            _ => all,
        };
        if self.unknown.is_over {
            pot.cooling.add(unknown, self.released(fund.cools()), now);
        } else {
            pot.unknown = unknown;
        }
        if !on(Rule::Checkpoints) {
            pot.room = Allowed::of(u64::MAX);
        } else if fund.is_long && on(Rule::UnlistedOverTerms) {
            // The object in force allows an unlisted key so much in all, whoever lends it.
            pot.room = Allowed::of(unlisted(fund.total()).saturating_sub(pot.out(now)));
        }
        pot
    }

    /// The most that may be out of a key of a fund that this term has not seen.
    pub(super) fn unseen(&self, at: usize) -> u64 {
        let fund = &self.funds[at];
        match self.unknown.is_over || self.unknown.is_called && !fund.is_long {
            true => 0,
            false if self.is_lost => fund.cap.limit,
            false => fund.found_hi,
        }
    }

    /// Somebody was heard in full.
    pub(super) fn heard_of(&mut self, incarnation: Incarnation) {
        if self.unknown.unheard.remove(&incarnation) {
            self.call_roll();
        }
    }

    /// When all on the roll were heard, no coin of a short window is unknown. Long ones have coins that cooled with the
    /// lender before.
    fn call_roll(&mut self) {
        if !self.unknown.unheard.is_empty() || self.is_lost || self.unknown.is_called {
            return;
        }
        self.unknown.is_called = true;
        for (at, pot) in self.pots.iter_mut().enumerate() {
            let Some(pot) = pot else { continue };
            if !self.funds[pot.fund].is_long || !on(Rule::LongOutlastsRollCall) {
                pot.unknown = 0;
                self.due.insert(at);
            }
        }
    }

    /// When what nobody claimed is free, in a window that `cools` so long.
    fn released(&self, cools: u64) -> Tick {
        let end = self.last_lease();
        Tick(end.0.saturating_add(self.settled_after(cools)))
    }

    /// The last moment at which a borrower of an earlier term could hold.
    fn last_lease(&self) -> Tick {
        let valid = if on(Rule::TakeoverWaitsValid) { nanos(VALID) } else { 0 };
        let ttl = if on(Rule::TakeoverWaitsLease) { nanos(TTL) } else { 0 };
        Tick(self.unknown.began.0.saturating_add(by_other_clock(valid.saturating_add(ttl))))
    }

    /// What was not claimed in time has to cool; who was not heard is closed.
    pub(super) fn unknown_runs_out(&mut self, now: Tick) {
        if self.unknown.is_over || now < self.unknown.until {
            return;
        }
        self.unknown.is_over = true;
        let end = self.last_lease();
        for incarnation in std::mem::take(&mut self.unknown.unheard) {
            if on(Rule::ClaimsInTime) {
                self.close(incarnation, end, now);
            }
        }
        for at in 0..self.pots.len() {
            let Some(fund) = self.pots[at].as_ref().map(|p| p.fund) else { continue };
            let release = self.released(self.funds[fund].cools());
            if let Some(pot) = self.pots[at].as_mut().filter(|p| p.unknown > 0) {
                pot.cooling.add(std::mem::take(&mut pot.unknown), release, now);
                pot.is_changed = true;
            }
        }
    }
}
