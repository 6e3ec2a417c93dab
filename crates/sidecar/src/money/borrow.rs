//! Coins of caps that all pods of a policy share: what is told to the lender and what comes of its answers. The control
//! stream carries both; a request waits for one answer at most.

use std::{
    future::pending,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use policy::{
    Tick,
    ask::Ask,
    ledger::{
        Amounts, LeaseView, Wait,
        message::{Answer, Incarnation, Report},
        terms::REPORT,
    },
    plan::TargetKey,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout_at},
};

use super::{Money, asked};
use crate::{clock, state::InForce};

/// A start waits so long for the first coins; without an operator it goes on with none.
const FIRST: Duration = Duration::from_secs(3);

/// A report, and the policy whose lender it is for: `namespace/name`.
pub type Addressed = (Arc<str>, Report);

/// What is borrowed, as requests and the control stream see it. Its locks are taken under the ledger's, if both are.
#[derive(Default)]
pub(super) struct Borrowing {
    /// Whose lender lends: the policy in force.
    policy: Mutex<Option<Arc<str>>>,
    /// For the lenders of policies before.
    last_words: Mutex<Vec<Addressed>>,
    /// A hold waits: a report is due.
    urgent: Notify,
    /// An answer came.
    answered: Notify,
    waits: Mutex<Waits>,
}

/// How often requests had to wait for a lender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// Requests that waited.
    pub all: u64,
    /// Of those, what an answer came for in time.
    pub answered: u64,
    /// How long all of them waited.
    pub waited: Duration,
}

/// One request that waits for coins; the lender knows of it until it is dropped.
pub struct Asked<'a> {
    money: &'a Money,
    borrowing: &'a Borrowing,
    wait: Option<Wait>,
}

/// One life of a borrower: random, and from the operating system, since every other pod draws one too.
pub(super) fn incarnation() -> Incarnation {
    Incarnation(RandomState::new().hash_one(clock::now().0))
}

impl Borrowing {
    /// A policy comes into force. Coins of another one are given back.
    pub(super) fn follows(&self, policy: &Arc<str>, leave: impl FnOnce() -> Vec<Report>) {
        let before = self.policy.lock().replace(policy.clone());
        if let Some(before) = before.filter(|before| before != policy) {
            let words = leave().into_iter().map(|report| (before.clone(), report));
            let mut last = self.last_words.lock();
            // A lender whose policy is back would take them for those of who borrows now.
            last.retain(|(to, _)| to != policy);
            last.extend(words);
        }
        self.urgent.notify_one();
    }

    /// The lender is to be told something.
    pub(super) fn due_now(&self) {
        self.urgent.notify_one();
    }

    /// Whose lender lends.
    pub(super) fn policy(&self) -> Option<Arc<str>> {
        self.policy.lock().clone()
    }

    /// With the last words for lenders before, unless the disk still `keeps` what they give back.
    fn addressed(&self, reports: Vec<Report>, keeps: bool) -> Vec<Addressed> {
        let mut all = if keeps { vec![] } else { std::mem::take(&mut *self.last_words.lock()) };
        if let Some(policy) = &*self.policy.lock() {
            all.extend(reports.into_iter().map(|report| (policy.clone(), report)));
        }
        all
    }
}

impl Money {
    /// Returns when the lender is to be told something; never where there is none.
    pub async fn due(&self) {
        let Some(borrowing) = &self.borrowing else { return pending().await };
        loop {
            let now = clock::now();
            let (next, keeps) = {
                let ledger = self.ledger.lock();
                (ledger.next_report().filter(|_| ledger.has_caps()), ledger.keeps_left_share())
            };
            if !keeps && !borrowing.last_words.lock().is_empty() || next.is_some_and(|at| at <= now) {
                return;
            }
            // Coins that are held or charged meanwhile make one due sooner, and wake nobody.
            let look = next.unwrap_or(Tick(u64::MAX)).min(now.after(REPORT));
            tokio::select! {
                () = sleep_until(clock::instant(look)) => {}
                () = borrowing.urgent.notified() => {}
            }
        }
    }

    /// What is to be told now, in this order.
    pub fn reports(&self) -> Vec<Addressed> {
        let Some(borrowing) = &self.borrowing else { return vec![] };
        // A policy comes into force under this lock.
        let mut ledger = self.ledger.lock();
        let reports = if ledger.has_caps() { ledger.report(incarnation(), clock::now()) } else { vec![] };
        self.keep_soon(ledger.wants_checkpoint());
        borrowing.addressed(reports, ledger.keeps_left_share())
    }

    /// The journal is written soon, if it `is_low`.
    fn keep_soon(&self, is_low: bool) {
        if let Some(journal) = &self.journal {
            journal.held(false, is_low);
        }
    }

    /// The process ends: what goes back with its last words.
    pub fn last_words(&self) -> Vec<Addressed> {
        let Some(borrowing) = &self.borrowing else { return vec![] };
        let mut ledger = self.ledger.lock();
        let reports = ledger.end(clock::now());
        borrowing.addressed(reports, ledger.keeps_left_share())
    }

    /// An answer of the lender of `policy`, `namespace/name`.
    pub fn take_answer(&self, policy: &str, answer: &Answer) {
        let Some(borrowing) = &self.borrowing else { return };
        {
            let mut ledger = self.ledger.lock();
            if borrowing.policy.lock().as_deref() != Some(policy) {
                return;
            }
            ledger.take_answer(answer, incarnation(), clock::now());
            self.keep_soon(ledger.wants_checkpoint());
        }
        borrowing.answered.notify_waiters();
        borrowing.urgent.notify_one();
        self.freed.notify_waiters();
    }

    /// The control stream is a new one.
    pub fn reconnected(&self) {
        if self.borrowing.is_some() {
            self.ledger.lock().reconnected();
        }
    }

    /// No request comes any more: free coins go back.
    pub fn drain(&self) {
        if let Some(borrowing) = &self.borrowing {
            self.ledger.lock().drain();
            borrowing.urgent.notify_one();
        }
    }

    /// Whether the first coins may still come, of caps that are shared: for a moment after a policy came into force, unless
    /// an earlier process left its share.
    #[must_use]
    pub fn awaits_first(&self, in_force: &InForce) -> bool {
        let is_young = || clock::unix().saturating_sub(in_force.since) < FIRST;
        let has_none = |lease: LeaseView| lease.ends.is_none() && lease.share == 0;
        in_force.has_caps && is_young() && self.lease().is_some_and(has_none)
    }

    /// Waits for that.
    pub async fn first(&self, in_force: &InForce) {
        let until = clock::instant(clock::now().after(FIRST));
        while let Some(borrowing) = self.borrowing.as_ref().filter(|_| self.awaits_first(in_force)) {
            let answered = borrowing.answered.notified();
            if self.awaits_first(in_force) && timeout_at(until, answered).await.is_err() {
                return;
            }
        }
    }

    /// How it stands with the lender, where caps are shared.
    #[must_use]
    pub fn lease(&self) -> Option<LeaseView> {
        self.borrowing.as_ref().and_then(|_| self.ledger.lock().lease(clock::now()))
    }

    /// A lender answers.
    #[must_use]
    pub fn has_lender(&self) -> bool {
        self.lease().is_some_and(|lease| lease.ends.is_some())
    }

    /// How often requests had to wait for a lender, where there is one.
    #[must_use]
    pub fn waits(&self) -> Option<Waits> {
        self.borrowing.as_ref().map(|borrowing| *borrowing.waits.lock())
    }

    /// Asks the lender for what a hold of `amounts` lacks; `None` where none could help, or what lacked has come meanwhile.
    pub fn ask(&self, in_force: &InForce, ask: &Ask, target: &TargetKey, amounts: Amounts) -> Option<Asked<'_>> {
        let borrowing = self.borrowing.as_ref()?;
        let wait = {
            let mut ledger = self.ledger.lock();
            let asked = asked(&ledger, in_force, ask, target, amounts);
            ledger.wait(&asked, clock::now())?
        };
        borrowing.urgent.notify_one();
        Some(Asked { money: self, borrowing, wait: Some(wait) })
    }
}

impl Asked<'_> {
    /// Waits for the answer; false where there is none within `most`.
    pub async fn answered(&self, most: Duration) -> bool {
        let began = clock::now();
        let is_answered = self.answered_until(clock::instant(began.after(most))).await;
        let mut waits = self.borrowing.waits.lock();
        waits.all += 1;
        waits.answered += u64::from(is_answered);
        waits.waited += clock::now().since(began);
        is_answered
    }

    async fn answered_until(&self, until: Instant) -> bool {
        loop {
            let answered = self.borrowing.answered.notified();
            if self.wait.as_ref().is_none_or(|wait| self.money.ledger.lock().is_answered(wait)) {
                return true;
            }
            if timeout_at(until, answered).await.is_err() {
                return false;
            }
        }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if let Some(wait) = self.wait.take() {
            self.money.ledger.lock().leave(wait);
        }
    }
}

#[cfg(test)]
mod tests;
