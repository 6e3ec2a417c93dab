//! One incarnation, as the lender knows it.

use std::{collections::BTreeSet, sync::Arc};

use super::super::message::Phase;
use crate::Tick;

#[derive(Debug)]
pub(super) struct Member {
    pub(super) pod: Arc<str>,
    state: State,
    /// Its lease ends by then, on whatever clock.
    pub(super) lease_end: Tick,
    /// The newest report heard.
    pub(super) last: u64,
    /// Of leases sent.
    pub(super) seq: u64,
    /// The newest report that is answered.
    pub(super) echoed: u64,
    pub(super) phase: Phase,
    /// A write that is in force has it.
    pub(super) on_roll: bool,
    /// A write that is under way has it.
    pub(super) is_flying: bool,
    /// Pots that it has a loan of.
    pub(super) keys: BTreeSet<usize>,
    /// Of those, what it is to be told of.
    pub(super) tell: BTreeSet<usize>,
    /// It is to be answered.
    pub(super) is_due: bool,
    /// The newest terms that it obeys.
    pub(super) edition: u64,
    /// When it goes from the roll.
    pub(super) leaves: Option<Tick>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Of an earlier term, not heard in this one.
    Unheard,
    /// Such a part of its first report comes next.
    Expecting(u32),
    /// It may borrow.
    Live,
    /// It may not, ever again.
    Closed,
}

impl Member {
    pub(super) fn unheard(pod: Arc<str>) -> Member {
        Member { state: State::Unheard, on_roll: true, ..Member::new(pod) }
    }

    pub(super) fn new(pod: Arc<str>) -> Member {
        Member {
            pod,
            state: State::Expecting(0),
            lease_end: Tick(0),
            last: 0,
            seq: 0,
            echoed: 0,
            phase: Phase::Serving,
            on_roll: false,
            is_flying: false,
            keys: BTreeSet::new(),
            tell: BTreeSet::new(),
            is_due: false,
            edition: 0,
            leaves: None,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.state == State::Live
    }

    pub(super) fn is_open(&self) -> bool {
        self.state != State::Closed
    }

    /// Not heard in full in this term.
    pub(super) fn is_unheard(&self) -> bool {
        matches!(self.state, State::Unheard | State::Expecting(_))
    }

    /// Takes part `number` of a first report; false if it does not follow the one before.
    pub(super) fn takes(&mut self, number: u32, is_last: bool) -> bool {
        let expected = if let State::Expecting(next) = self.state { next } else { 0 };
        if number != expected && number != 0 {
            return false;
        }
        self.state = if is_last { State::Live } else { State::Expecting(number + 1) };
        true
    }

    /// Ends it; it is on the roll until `leaves`.
    pub(super) fn close(&mut self, leaves: Tick) {
        (self.state, self.leaves) = (State::Closed, Some(leaves));
    }
}
