//! Money, and providers' rates: the ledger behind its lock, and the line of those who wait for coins.

mod borrow;
mod journal;
mod kept;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    hash::RandomState,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use policy::{
    Tick,
    ask::Ask,
    ledger::{self, Amounts, Denied, Hold, How, Key, Ledger, ModelKey, Pressure, Settled, Standing, View},
    plan::TargetKey,
    snapshot::Snapshot,
};
use tokio::{
    sync::{Notify, OwnedMutexGuard},
    time::{sleep_until, timeout_at},
};

use self::{borrow::Borrowing, journal::Journal};
pub use self::{
    borrow::{Addressed, Asked, Waits},
    journal::{Keeper, NextWrite, Status},
};
use crate::{clock, state::InForce};

/// Requests that wait in line at most; further ones go on down the ladder.
const MOST_WAITING: usize = 1_000;

/// All caps of the policy in force, with what was spent and held under them.
pub struct Money {
    ledger: Mutex<Ledger>,
    /// Coins came back, or the caps changed.
    freed: Notify,
    /// Of a ledger that survives the process.
    journal: Option<Journal>,
    /// Of one whose caps all pods of the policy share.
    borrowing: Option<Borrowing>,
    waiting: AtomicUsize,
    /// By the key that is short: one line each, so that a tenant without money keeps no other one waiting.
    lines: Mutex<HashMap<Key, Weak<tokio::sync::Mutex<()>>>>,
}

impl Default for Money {
    fn default() -> Self {
        Money::new(false, false)
    }
}

impl Money {
    /// One that survives the process, if it is `journalled`: nothing can be held until a [`Keeper`] has written what earlier
    /// ones left. One that is `shared` with other pods has what a lender gives.
    #[must_use]
    pub fn new(journalled: bool, shared: bool) -> Money {
        let mut ledger = Ledger::new(RandomState::new(), journalled);
        if shared {
            ledger.borrow(borrow::incarnation());
        }
        Money {
            ledger: Mutex::new(ledger),
            freed: Notify::new(),
            journal: journalled.then(Journal::default),
            borrowing: shared.then(Borrowing::default),
            waiting: AtomicUsize::new(0),
            lines: Mutex::default(),
        }
    }

    /// Puts a policy's caps in force; what was spent stays with its cap.
    pub fn configure(&self, snapshot: &Snapshot) {
        let (caps, horizon) = (ledger::caps(snapshot), ledger::bill_horizon(snapshot));
        let mut ledger = self.ledger.lock();
        if let Some(borrowing) = &self.borrowing {
            borrowing.follows(&snapshot.name, || ledger.move_on(borrow::incarnation(), clock::now()));
        }
        ledger.configure(caps, horizon, clock::now());
        drop(ledger);
        self.freed.notify_waiters();
    }

    /// How the ledger knows a model.
    #[must_use]
    pub fn model(&self, provider: &str, model: &str) -> ModelKey {
        self.ledger.lock().model(provider, model)
    }

    /// Takes what one attempt at `target` may cost, of every cap that applies or of none. With `sparing` nothing is taken
    /// where a budget is spent up to its `degradeAt`.
    ///
    /// # Errors
    /// See [`No`].
    pub fn hold(
        &self,
        in_force: &InForce,
        ask: &Ask,
        target: &TargetKey,
        amounts: Amounts,
        sparing: bool,
        now: Tick,
    ) -> Result<Hold, No> {
        let mut ledger = self.ledger.lock();
        let asked = asked(&ledger, in_force, ask, target, amounts);
        if sparing && ledger.pressure(&asked, now) >= Pressure::Degrade {
            return Err(No::Spared);
        }
        let held = ledger.hold(&asked, now);
        let is_low = ledger.wants_checkpoint();
        drop(ledger);
        if let Some(journal) = &self.journal {
            journal.held(matches!(held, Err(Denied::Journal)), is_low);
        }
        held.map_err(No::Denied)
    }

    /// What [`Money::hold`] would say; changes nothing.
    ///
    /// # Errors
    /// See [`Denied`].
    pub fn check(&self, in_force: &InForce, ask: &Ask, target: &TargetKey, amounts: Amounts) -> Result<(), Denied> {
        let ledger = self.ledger.lock();
        ledger.check(&asked(&ledger, in_force, ask, target, amounts), clock::now())
    }

    /// Gives a hold back for what was billed, or may still be.
    pub fn settle(&self, hold: Hold, how: How, now: Tick) -> Settled {
        let settled = self.ledger.lock().settle(hold, how, now);
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.freed.notify_waiters();
        }
        settled
    }

    /// Tells how each budget stands that the request is counted under, in the policy's order.
    pub fn standing(&self, in_force: &InForce, ask: &Ask, target: &TargetKey, tell: impl FnMut(Standing<'_>)) {
        let ledger = self.ledger.lock();
        let asked = asked(&ledger, in_force, ask, target, Amounts::default());
        ledger.standing(&asked, clock::now(), tell);
    }

    /// One row a cap, in the policy's order: of its keys the one nearest the limit.
    #[must_use]
    pub fn nearest(&self, now: Tick) -> Vec<View> {
        self.ledger.lock().nearest(now)
    }

    /// The next write of the journal, to wait for where a hold that is asked for after this call is [`Denied::Journal`].
    #[must_use]
    pub fn next_write(&self) -> NextWrite<'_> {
        NextWrite::of(self.journal.as_ref())
    }

    /// What became of the journal, where there is one.
    #[must_use]
    pub fn journal(&self) -> Option<Status> {
        self.journal.as_ref().map(Journal::status)
    }

    /// Drops some keys that hold nothing and remember nothing; called now and then.
    pub fn tidy(&self) {
        const SLOTS: usize = 4_096;
        self.ledger.lock().tidy(SLOTS, clock::now());
    }

    /// A place in the line of `key`, once all who came before have theirs; `None` if the line is full or it takes until
    /// `until`.
    pub async fn turn(&self, key: &Key, until: Tick) -> Option<Turn<'_>> {
        let place = Place::take(&self.waiting)?;
        let line = {
            let mut lines = self.lines.lock();
            lines.retain(|_, line| line.strong_count() > 0);
            let line = lines.get(key).and_then(Weak::upgrade).unwrap_or_default();
            lines.insert(key.clone(), Arc::downgrade(&line));
            line
        };
        let first = timeout_at(clock::instant(until), line.lock_owned()).await.ok()?;
        Some(Turn { _place: place, _first: first, money: self })
    }

    /// Requests in line.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// Why nothing is held.
#[derive(Debug)]
pub enum No {
    /// What is left is spared for cheaper ways.
    Spared,
    /// A cap leaves no room.
    Denied(Denied),
}

/// The head of a line.
pub struct Turn<'a> {
    _place: Place<'a>,
    _first: OwnedMutexGuard<()>,
    money: &'a Money,
}

impl Turn<'_> {
    /// Tries until it fits: when coins came back, when the ledger said they would be free, and when the journal, where
    /// that is what lacks, was written. `None` at `until`.
    pub async fn wait<T>(&self, until: Tick, mut attempt: impl FnMut() -> Result<T, Denied>) -> Option<T> {
        loop {
            // Whatever comes back from here on wakes it.
            let (freed, write) = (self.money.freed.notified(), self.money.next_write());
            let denied = match attempt() {
                Ok(done) => return Some(done),
                Err(Denied::Impossible { .. }) => return None,
                Err(denied) => denied,
            };
            let now = clock::now();
            if now >= until {
                return None;
            }
            let wake = match denied {
                Denied::Short { retry_after, .. } => now.after(retry_after).min(until),
                _ => until,
            };
            tokio::select! {
                () = freed => {}
                () = write.ended(), if denied == Denied::Journal => {}
                () = sleep_until(clock::instant(wake)) => {}
            }
        }
    }
}

/// One of those who wait.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Place<'a>> {
        let place = Place(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < MOST_WAITING).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn asked<'a>(
    ledger: &Ledger,
    in_force: &'a InForce,
    ask: &'a Ask,
    target: &TargetKey,
    amounts: Amounts,
) -> ledger::Ask<'a> {
    let snapshot = &in_force.snapshot;
    let provider = &snapshot.provider(target.provider).name;
    ledger::Ask {
        tenant: ask.tenant.as_ref(),
        scene: &snapshot.scene(ask.scene).name,
        tier: &snapshot.tier(ask.tier).name,
        provider,
        model: in_force.model_key(target).unwrap_or_else(|| ledger.model(provider, &target.model)),
        amounts,
        later: ask.later,
    }
}
