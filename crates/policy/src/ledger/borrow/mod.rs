//! The borrower's side of a shared cap: what a sidecar tells its lender, and what it makes of the answers.
//!
//! LEDGER: the coins that a lender gave are spent again and again as they cool, in silence, until the lease ends. A sidecar
//! that loses its lender spends what it has until then, and its guaranteed share after.

pub(super) mod float;
mod report;
mod take;
mod wait;

use std::{collections::VecDeque, time::Duration};

use self::float::Float;
pub(super) use self::take::obey;
pub use self::wait::Wait;
use super::{
    Ledger,
    account::Account,
    cap::Book,
    message::{Incarnation, Phase, Report, Terms},
    rules::{Rule, on},
    share::Share,
    terms::WHOLE,
};
use crate::{Tick, snapshot::Scope};

/// Reports whose answers may still come; of older ones nothing is learned.
const MOST_SENT: usize = 64;

/// How it stands with the lender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseView {
    /// The lender's term; 0 before any was heard.
    pub term: u64,
    /// Until the lease ends, if none comes in its place; `None` where there is none: nothing but the share can be spent.
    pub ends: Option<Duration>,
    /// The pod's part of what is guaranteed, in [`WHOLE`]ths.
    pub share: u64,
}

/// What is known of the lender, and what it was told.
#[derive(Debug)]
pub(super) struct Borrower {
    incarnation: Incarnation,
    /// Counts incarnations: coins of a hold that is older than this one are not ours any more.
    pub(super) epoch: u32,
    term: u64,
    /// Of the newest report.
    number: u64,
    /// When reports were sent.
    sent: VecDeque<(u64, Tick)>,
    /// When the newest one was.
    reported: Option<Tick>,
    /// And the newest one of all that there is to tell.
    told_all: Option<Tick>,
    /// Of the newest lease of this term.
    seq: u64,
    /// The newest report that was answered.
    echo: u64,
    /// When an answer came.
    heard: Option<Tick>,
    lease_end: Option<Tick>,
    claim: Duration,
    /// From a hold to its final bill, as the lender waits for it, in nanoseconds.
    horizon: u64,
    edition: u64,
    /// Terms that are obeyed, but for draws of the share that are older.
    next_edition: u64,
    phase: Phase,
    /// What the lender says of each cap.
    pub(super) terms: Vec<Terms>,
    /// The lender has not heard of every key.
    wants_full: bool,
    /// A hold waits.
    is_urgent: bool,
    /// It said its last.
    is_silent: bool,
    /// Accounts of which there is something to tell.
    active: Vec<u32>,
}

impl Borrower {
    fn new(incarnation: Incarnation) -> Borrower {
        Borrower {
            incarnation,
            epoch: 0,
            term: 0,
            number: 0,
            sent: VecDeque::new(),
            reported: None,
            told_all: None,
            seq: 0,
            echo: 0,
            heard: None,
            lease_end: None,
            claim: Duration::ZERO,
            horizon: 0,
            edition: 0,
            next_edition: 0,
            phase: Phase::Serving,
            terms: vec![],
            wants_full: true,
            is_urgent: false,
            is_silent: false,
            active: vec![],
        }
    }

    /// Whose terms are obeyed, and which.
    pub(super) fn obeys(&self) -> (u64, u64) {
        (self.term, self.edition)
    }

    /// An earlier process of this pod knew a lender of `term`: one of a lower term has lost what that one knew.
    pub(super) fn knows(&mut self, term: u64) {
        self.term = self.term.max(term);
    }

    /// Borrowed coins may be held now, for bills that are final `horizon` nanoseconds later.
    pub(super) fn may_hold(&self, horizon: u64, now: Tick) -> bool {
        self.is_live(now) && horizon <= self.horizon
    }

    /// The lease has not ended.
    pub(super) fn is_live(&self, now: Tick) -> bool {
        self.lease_end.is_some_and(|end| now < end) || self.seq > 0 && !on(Rule::LeaseEnds)
    }

    /// The lease ended so long ago that the lender has given its coins up.
    fn is_void(&self, now: Tick) -> bool {
        self.lease_end.is_some_and(|end| now > end.after(self.claim)) && on(Rule::VoidAfterClaim)
    }

    fn activate(&mut self, index: u32, float: &mut Float) {
        float.calm_since = None;
        if !std::mem::replace(&mut float.is_active, true) {
            self.active.push(index);
        }
    }
}

impl Account {
    /// Its float, about which there is something to tell; `None` for a key that is not lent: that of all values beyond the
    /// table, which one sidecar folds and another does not.
    pub(super) fn borrow(&mut self, index: u32, book: &Book, by: &mut Borrower, now: Tick) -> Option<&mut Float> {
        if self.value.is_none() && book.cap.scope != Scope::Policy {
            return None;
        }
        let float = self.float.get_or_insert_with(|| Box::new(Float::new(now)));
        by.activate(index, float);
        Some(float)
    }
}

#[cfg(test)]
impl Ledger {
    pub(super) fn lease_ends_within(&self, d: std::time::Duration, now: Tick) -> bool {
        let end = self.borrower.as_ref().and_then(|b| b.lease_end);
        end.is_some_and(|end| now < end && end.since(now) < d)
    }
}

impl Ledger {
    /// Makes the caps shared: from now on nothing is spent but what a lender gives, or grants as a share. Before the first
    /// [`Ledger::configure`].
    pub fn borrow(&mut self, incarnation: Incarnation) {
        self.borrower = Some(Borrower::new(incarnation));
        self.share = Share::NONE;
    }

    /// Another policy's lender is to lend from now on; the last words are for the one before. What was drawn of shares
    /// counts on for caps of the same name.
    pub fn move_on(&mut self, fresh: Incarnation, now: Tick) -> Vec<Report> {
        let Some(phase) = self.borrower.as_ref().filter(|b| !b.is_silent).map(|b| b.phase) else { return vec![] };
        let words = self.words(now);
        self.journal.leave_share();
        let epoch = self.borrower.as_ref().map_or(0, |b| b.epoch);
        self.borrower = Some(Borrower { epoch, phase, ..Borrower::new(fresh) });
        self.share = Share::NONE;
        for account in &mut self.accounts {
            account.float = None;
        }
        words
    }

    /// How it stands with the lender, where caps are shared.
    #[must_use]
    pub fn lease(&self, now: Tick) -> Option<LeaseView> {
        let borrower = self.borrower.as_ref()?;
        let ends = borrower.lease_end.filter(|_| borrower.is_live(now)).map(|end| end.since(now));
        Some(LeaseView { term: borrower.term, ends, share: self.share.of(WHOLE, now) })
    }

    /// A cap is in force.
    #[must_use]
    pub fn has_caps(&self) -> bool {
        !self.in_force.is_empty()
    }

    /// The pod ends: every free coin goes back with each report.
    pub fn drain(&mut self) {
        if let Some(borrower) = &mut self.borrower {
            borrower.phase = borrower.phase.max(Phase::Draining);
            borrower.is_urgent = true;
        }
    }

    /// Borrowed coins of `hold` are of an incarnation that is over.
    pub(super) fn is_over(&self, epoch: u32) -> bool {
        self.borrower.as_ref().is_none_or(|b| b.epoch != epoch)
    }

    /// All borrowed coins are given up: the lender counts them until they have cooled.
    fn void(&mut self, fresh: Incarnation) {
        let Some(borrower) = &mut self.borrower else { return };
        let epoch = borrower.epoch.wrapping_add(1);
        let (term, phase, number) = (borrower.term, borrower.phase, borrower.number);
        *borrower = Borrower { epoch, term, phase, number, ..Borrower::new(fresh) };
        for account in &mut self.accounts {
            account.float = None;
        }
    }
}
