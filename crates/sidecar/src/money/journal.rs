//! The ledger's journal on the disk, written beside the requests: one write at a time, ahead of what may be held.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use policy::{
    Tick,
    ledger::{Clock, Past},
};
use tokio::{
    sync::{Notify, futures::Notified},
    time::{Instant, sleep, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    Money,
    kept::{self, HEAD, HEAD_KEY, Owner, ROWS},
};
use crate::{
    clock,
    state::State,
    store::{Batch, Store, StoreError},
};

/// Between writes while rooms run low. A hold that has none does not wait for that.
const APART: Duration = Duration::from_millis(20);
/// What changed is written this often, and a write that failed is tried again.
const EVERY: Duration = Duration::from_secs(1);
/// Of the last write.
const LAST_TRIES: u32 = 3;

/// The journal as requests and pages see it.
#[derive(Default)]
pub(super) struct Journal {
    /// A key runs low of room.
    low: Notify,
    /// A hold has none.
    short: Notify,
    /// A write is durable, or failed.
    done: Notify,
    waits: AtomicU64,
    writes: AtomicU64,
    failures: AtomicU64,
    failing: Mutex<Option<String>>,
}

/// What became of it so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Writes that are durable.
    pub writes: u64,
    /// Writes that failed.
    pub failures: u64,
    /// Holds that had to wait for a write.
    pub waits: u64,
    /// Why the last write failed, if it did.
    pub failing: Option<String>,
}

/// A write of the journal that is still to come.
pub struct NextWrite<'a>(Option<(&'a Journal, Notified<'a>)>);

/// Keeps the journal of one ledger in a store.
pub struct Keeper {
    store: Store,
    boot: Option<String>,
    /// UID of this pod, where it is known.
    pod: Option<String>,
}

impl Journal {
    /// A hold was answered, or the share changed.
    pub(super) fn held(&self, is_short: bool, is_low: bool) {
        if is_short {
            self.waits.fetch_add(1, Ordering::Relaxed);
            self.short.notify_one();
        } else if is_low {
            self.low.notify_one();
        }
    }

    pub(super) fn status(&self) -> Status {
        Status {
            writes: self.writes.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            waits: self.waits.load(Ordering::Relaxed),
            failing: self.failing.lock().clone(),
        }
    }

    fn is_failing(&self) -> bool {
        self.failing.lock().is_some()
    }

    /// A write ended; the first of several that fail is told.
    fn ended(&self, written: &Result<(), StoreError>) {
        let failing = written.as_ref().err().map(ToString::to_string);
        let count = if failing.is_some() { &self.failures } else { &self.writes };
        count.fetch_add(1, Ordering::Relaxed);
        let before = std::mem::replace(&mut *self.failing.lock(), failing.clone());
        match (before, failing) {
            (None, Some(why)) => tracing::error!(
                error = why,
                "what is spent cannot be written down: requests under a budget are refused once the room of the last write is used up"
            ),
            (Some(_), None) => tracing::info!("what is spent is written down again"),
            _ => {}
        }
        self.done.notify_waiters();
    }
}

impl<'a> NextWrite<'a> {
    /// Of the moment: a write that ends from here on is not missed, however late it is awaited.
    pub(super) fn of(journal: Option<&'a Journal>) -> NextWrite<'a> {
        NextWrite(journal.map(|journal| (journal, journal.done.notified())))
    }

    /// True once it is durable; false where the disk takes nothing, or not until `until`.
    pub async fn durable(self, until: Tick) -> bool {
        let Some((journal, done)) = self.0 else { return false };
        !journal.is_failing() && timeout_at(clock::instant(until), done).await.is_ok() && !journal.is_failing()
    }

    /// It is durable, or failed; never where there is no journal.
    pub(super) async fn ended(self) {
        match self.0 {
            Some((_, done)) => done.await,
            None => pending().await,
        }
    }
}

impl Keeper {
    /// Takes over what earlier processes left for `money`, whose policy is in force, in the pod of this UID. The first write
    /// is durable when this returns; before, nothing can be held and no lender is talked to.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn open(money: &Money, store: Store, pod: Option<String>) -> Result<Keeper, StoreError> {
        let keeper = Keeper { store, boot: clock::boot(), pod };
        let Keeper { store, boot, .. } = &keeper;
        let (head, rows) = (store.get(HEAD, HEAD_KEY).await?, store.all(ROWS).await?);
        let is_replacement = store.is_replacement().await?;
        let mut batch = Batch::default();
        let (first, owner) = {
            // A policy comes into force under this lock.
            let mut ledger = money.ledger.lock();
            let owner = keeper.owner(money);
            let found = kept::read(head.as_deref(), &rows, is_replacement, boot.as_deref(), owner.as_ref());
            let (past, ticks) = found.unwrap_or_else(|why| {
                tracing::error!(
                    why,
                    "what was spent is lost: every budget counts as spent until what may have been spent has left its window"
                );
                batch = rows.into_iter().fold(Batch::default(), |batch, (key, _)| batch.delete(ROWS, key));
                (Past::Lost, Clock::Same)
            });
            tell(&past, ticks);
            let now = clock::now();
            ledger.restore(past, ticks, now);
            (ledger.checkpoint(false, now), owner)
        };
        store.write(kept::write(batch, &first, boot.as_deref(), owner.as_ref())).await?;
        money.ledger.lock().durable(first.id);
        if let Some(borrowing) = &money.borrowing {
            if keeper.pod.is_none() {
                tracing::warn!("the control token names no pod: a guaranteed share is not kept over a restart");
            }
            borrowing.due_now();
        }
        Ok(keeper)
    }

    /// Whose a share is that the ledger has now.
    fn owner(&self, money: &Money) -> Option<Owner> {
        let policy = money.borrowing.as_ref()?.policy()?.to_string();
        Some(Owner { pod: self.pod.clone()?, policy })
    }

    /// Writes what changed until `ended`, when no request is under way any more, and then the last time.
    pub async fn run(self, state: Arc<State>, ended: CancellationToken) {
        let Some(journal) = &state.money.journal else { return };
        let mut began = Instant::now();
        while !ended.is_cancelled() {
            let low = async {
                journal.low.notified().await;
                sleep_until(began + APART).await;
            };
            let wanted = async {
                // A disk that takes nothing is not asked again at once.
                if journal.is_failing() {
                    pending().await
                }
                tokio::select! {
                    () = journal.short.notified() => {}
                    () = low => {}
                }
            };
            tokio::select! {
                () = wanted => {}
                () = sleep_until(began + EVERY) => {}
                () = ended.cancelled() => break,
            }
            began = Instant::now();
            self.write(&state.money, journal, false).await;
        }
        // What it leaves is the next process's, or goes back: a disk that is busy gets a second chance.
        for _ in 0..LAST_TRIES {
            if self.write(&state.money, journal, true).await {
                return;
            }
            sleep(EVERY).await;
        }
    }

    /// True once what there is to say is on the disk.
    async fn write(&self, money: &Money, journal: &Journal, last: bool) -> bool {
        let (checkpoint, owner) = {
            let mut ledger = money.ledger.lock();
            (ledger.checkpoint(last, clock::now()), self.owner(money))
        };
        // With nothing to say, what is on the disk says it.
        if !checkpoint.is_news {
            money.ledger.lock().durable(checkpoint.id);
            return true;
        }
        let batch = kept::write(Batch::default(), &checkpoint, self.boot.as_deref(), owner.as_ref());
        let written = self.store.write(batch).await;
        if written.is_ok() {
            money.ledger.lock().durable(checkpoint.id);
        }
        journal.ended(&written);
        written.is_ok()
    }
}

/// What was found, for the log.
fn tell(past: &Past, clock: Clock) {
    let Past::Kept(head, rows) = past else { return };
    let (keys, is_clean) = (rows.len(), head.clean);
    tracing::info!(keys, is_clean, "what earlier runs spent is remembered");
    if !is_clean {
        tracing::warn!("the last run ended without notice: what it may have sent counts as spent");
    }
    if clock == Clock::Other {
        tracing::warn!("the machine was started anew, or is another one: the time since the last run does not count");
    }
}

#[cfg(test)]
mod tests;
