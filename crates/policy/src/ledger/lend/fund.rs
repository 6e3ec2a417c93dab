//! One cap of the policy, as the lender counts it.

use super::super::{
    cap::Cap,
    rules::{Rule, on},
    terms::{LONG_WINDOW, SKEW, stretched},
};
use super::allowed::Allowed;

/// A cap and its past: what anybody may still be using of it.
#[derive(Clone, Debug)]
pub(super) struct Fund {
    pub(super) cap: Cap,
    /// The policy has it.
    pub(super) in_force: bool,
    /// What is spent comes to the lender, and checkpoints are written. Fixed when it is first written: an edit of the
    /// window would else change what a checkpoint means.
    pub(super) is_long: bool,
    /// The highest guaranteed part of a key that some pod may still draw on.
    pub(super) shares_hi: u64,
    /// The most coins of a key that may still be lent or unheard of.
    pub(super) float_hi: u64,
    /// That as the ledger object had it when the term began.
    pub(super) found_hi: u64,
    /// Of both, what is written.
    pub(super) allowed: (Allowed, Allowed),
    /// The guaranteed part that pods are told.
    pub(super) told: u64,
}

impl Fund {
    pub(super) fn new(cap: Cap) -> Fund {
        let is_long = cap.window > LONG_WINDOW;
        Fund {
            cap,
            in_force: true,
            is_long,
            shares_hi: 0,
            float_hi: 0,
            found_hi: 0,
            allowed: Default::default(),
            told: 0,
        }
    }

    /// How long a charge cools, in nanoseconds.
    pub(super) fn cools(&self) -> u64 {
        stretched(self.cap.window.saturating_add(SKEW)).saturating_add(1)
    }

    fn limit(&self) -> u64 {
        if self.in_force { self.cap.limit } else { 0 }
    }

    /// What is guaranteed by the policy's newest words.
    pub(super) fn guaranteed(&self) -> u64 {
        if self.in_force { self.cap.guaranteed.min(self.cap.limit) } else { 0 }
    }

    /// Coins of a key that may be lent or cooling: what shares may not draw, and what is written.
    pub(super) fn total(&self) -> u64 {
        let total = self.limit().saturating_sub(self.shares());
        if on(Rule::RaiseWhenWritten) { total.min(self.allowed.1.now()) } else { total }
    }

    /// What of a key somebody may draw as a share.
    fn shares(&self) -> u64 {
        if on(Rule::HighestShares) { self.shares_hi } else { self.guaranteed() }
    }

    /// Takes the policy's words into what must be written before they are used.
    pub(super) fn raise(&mut self) {
        self.shares_hi = self.shares_hi.max(self.guaranteed());
        self.float_hi = self.float_hi.max(self.limit().saturating_sub(self.shares()));
    }

    /// Nothing of it is out, and the policy has it no more.
    pub(super) fn is_gone(&self) -> bool {
        !self.in_force && self.shares_hi == 0 && self.float_hi == 0
    }

    /// It must be written before what the policy says may be used.
    pub(super) fn wants_write(&self) -> bool {
        self.shares_hi > self.allowed.0.now() || self.float_hi > self.allowed.1.now()
    }

    /// Somebody may still go by other words than the policy's newest.
    pub(super) fn is_edited(&self) -> bool {
        let (shares, float) = (self.guaranteed(), self.limit().saturating_sub(self.guaranteed()));
        (self.told, self.shares_hi, self.float_hi) != (shares, shares, float)
    }

    /// A guaranteed part is told once it is written, and what is lent leaves room for it.
    pub(super) fn tell(&mut self, most_out: u64) -> bool {
        let now = self.guaranteed();
        let may = now <= self.told || now <= self.allowed.0.now() && most_out <= self.total();
        let told = if may { now } else { self.told.min(now) };
        std::mem::replace(&mut self.told, told) != told
    }

    /// Everybody obeys the policy's newest words, and `most_out` coins of a key are out: the past is over. True if that is
    /// to be written.
    pub(super) fn lower(&mut self, most_out: u64) -> bool {
        let (shares, float) = (self.guaranteed(), self.limit().saturating_sub(self.guaranteed()));
        if most_out > float || self.told > shares || (self.shares_hi, self.float_hi) == (shares, float) {
            return false;
        }
        (self.shares_hi, self.float_hi) = (shares, float);
        true
    }
}
