//! Requests by id: accepted at once, kept in the store, run when money and limits allow, fetched later.
//!
//! A request is durable before its caller has the id. It has one owner at a time: the queue, a run, or the task that
//! ends or removes it; only the owner writes its record, so that the store never sees two ends. What runs is queued in
//! the store until it has ended, so a process that dies runs it again.

mod again;
mod id;
mod kept;
mod pool;
mod queue;
mod serve;

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bytes::Bytes;
use dialect::Dialect;
use parking_lot::Mutex;
use policy::reason::Cause;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    headers::List,
    refusal::Refusal,
    store::{Batch, Store, StoreError, Table},
    telemetry::metrics::Metrics,
};
use id::Id;
use kept::{End, How, KeptKey, Record, micros};
use queue::{Accepted, Claim, Key, Limits, Next, Queue, Unfit};

pub use pool::run;

pub(crate) use again::Why;
pub(crate) use id::{Named, below, told_path};
pub(crate) use serve::{Act, accept, act, as_run, continues_ours, is_asked};

const RECORDS: Table = Table::new("later");
const BODIES: Table = Table::new("later_bodies");
const ANSWERS: Table = Table::new("later_answers");

/// Bytes of all requests by id that are kept, their answers included.
pub const KEPT_BYTES: u64 = 256 << 20;
/// What the README says of requests by id.
const LIMITS: Limits = Limits {
    requests: 1000,
    bytes: KEPT_BYTES,
    queued_for: Duration::from_secs(24 * 3600),
    kept_for: Duration::from_secs(24 * 3600),
};
/// A caller that found no room may come back then.
const FULL: Duration = Duration::from_secs(30);

/// The requests of this sidecar.
pub struct Later {
    store: Store,
    inner: Mutex<Inner>,
    /// For the pool: something may run.
    wake: Notify,
    /// For those who wait until a request has another owner.
    moved: Notify,
    /// The last end could not be written.
    is_stuck: AtomicBool,
}

struct Inner {
    queue: Queue,
    /// Of those that run.
    cancels: HashMap<Id, CancellationToken>,
}

/// What a run or a decision came to.
#[derive(Clone)]
struct Outcome {
    how: How,
    answer: Option<Answer>,
}

/// An answer as its caller would have got it.
#[derive(Clone)]
struct Answer {
    http: u16,
    headers: List,
    body: Bytes,
}

impl Outcome {
    fn of(how: How) -> Outcome {
        Outcome { how, answer: None }
    }
}

impl Later {
    /// Finds the requests of earlier runs; those that have no end are queued.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn open(store: Store) -> Result<Later, StoreError> {
        Later::bounded(store, LIMITS).await
    }

    async fn bounded(store: Store, limits: Limits) -> Result<Later, StoreError> {
        let mut queue = Queue::new(limits);
        let mut foreign = Batch::default();
        for (key, value) in store.all(RECORDS).await? {
            let id = std::str::from_utf8(&key).ok().and_then(Id::parse);
            match (id, Record::read(&value)) {
                (Some(id), Some(record)) => queue.restore(id, record.row()),
                _ => foreign = foreign.delete(RECORDS, key.clone()).delete(BODIES, key.clone()).delete(ANSWERS, key),
            }
        }
        store.write(foreign).await?;
        let inner = Mutex::new(Inner { queue, cancels: HashMap::new() });
        let (wake, moved, is_stuck) = (Notify::new(), Notify::new(), AtomicBool::new(false));
        Ok(Later { store, inner, wake, moved, is_stuck })
    }

    /// How many wait, how many run, and the bytes of all that are kept.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, u64) {
        let inner = self.inner.lock();
        let (queued, running) = inner.queue.counts();
        (queued, running, inner.queue.bytes())
    }

    /// Keeps a request whose id nobody has yet, or finds the one that came before under its key.
    async fn keep(&self, id: Id, mut record: Record, body: Bytes, key: Option<Key>) -> Result<Id, Refusal> {
        let object = pending_object(id, &body, record.created);
        record.bytes = (record.size() + body.len() + object.as_ref().map_or(0, Bytes::len)) as u64;
        record.key = key.as_ref().map(KeptKey::from);
        let created = Duration::from_micros(record.created);
        let accepted = self.inner.lock().queue.accept(id, created, record.bytes, key);
        let gone = match accepted {
            Ok(Accepted::Known(known)) => return Ok(known),
            Ok(Accepted::New(gone)) => gone,
            Err(Unfit::Full) => return Err(Refusal::own(Cause::QueueFull).after(FULL)),
            Err(Unfit::Conflict) => return Err(Refusal::own(Cause::IdempotencyConflict)),
        };
        let mut batch = Batch::default().put(RECORDS, id.to_string(), record.write()).put(BODIES, id.to_string(), body);
        if let Some(object) = object {
            batch = batch.put(ANSWERS, id.to_string(), object);
        }
        let batch = gone.into_iter().fold(batch, forget);
        if let Err(why) = self.store.write(batch).await {
            tracing::error!(error = %why, "a request by id is not accepted");
            self.inner.lock().queue.remove(id);
            self.moved();
            return Err(Refusal::own(Cause::StateUnavailable));
        }
        self.inner.lock().queue.wait(id, Duration::ZERO);
        self.moved();
        Ok(id)
    }

    /// Gives a request an end that still waits or runs; one that has ended keeps its end.
    async fn cancel(&self, id: Id, metrics: &Metrics) -> Result<(), Refusal> {
        match self.own(id, false).await? {
            Claim::Yours if self.end(id, Outcome::of(How::Cancelled), metrics).await.is_err() => {
                self.inner.lock().queue.wait(id, Duration::ZERO);
                self.moved();
                Err(Refusal::own(Cause::StateUnavailable))
            }
            _ => Ok(()),
        }
    }

    /// Removes a request, whatever its state.
    async fn delete(&self, id: Id) -> Result<(), Refusal> {
        self.own(id, true).await?;
        let written = self.store.write(forget(Batch::default(), id)).await;
        self.inner.lock().queue.remove(id);
        self.moved();
        // Without the write it comes back with the next start, to expire then.
        written.map_err(|_| Refusal::own(Cause::StateUnavailable))
    }

    /// Becomes the owner of a request; a run of it is given up first.
    async fn own(&self, id: Id, ended: bool) -> Result<Claim, Refusal> {
        loop {
            let moved = self.moved.notified();
            {
                let mut inner = self.inner.lock();
                match inner.queue.claim(id, ended) {
                    Claim::Unknown => return Err(Refusal::own(Cause::IdNotFound)),
                    Claim::Taken => {
                        if let Some(run) = inner.cancels.get(&id) {
                            run.cancel();
                        }
                    }
                    claim => return Ok(claim),
                }
            }
            moved.await;
        }
    }

    /// Writes the end of a request that the caller owns. Where none can be written that is said once.
    async fn end(&self, id: Id, outcome: Outcome, metrics: &Metrics) -> Result<(), StoreError> {
        let ended = self.write_end(id, outcome, metrics).await;
        match (&ended, self.is_stuck.swap(ended.is_err(), Ordering::Relaxed)) {
            (Err(why), false) => {
                tracing::error!(error = %why, "ends of requests by id cannot be written; they are held, and written once they can be");
            }
            (Ok(()), true) => tracing::info!("ends of requests by id are written again"),
            _ => {}
        }
        ended
    }

    async fn write_end(&self, id: Id, outcome: Outcome, metrics: &Metrics) -> Result<(), StoreError> {
        let Outcome { how, answer } = outcome;
        let key = id.to_string();
        let Some(mut record) = self.record(id).await? else {
            // Nothing is left that could have an end.
            self.inner.lock().queue.remove(id);
            self.moved();
            return Ok(());
        };
        let now = clock::unix();
        record.headers = answer.as_ref().map_or_else(Vec::new, |a| kept::of_answer(&a.headers));
        record.end = Some(End { how, at: micros(now), http: answer.as_ref().map(|a| a.http) });
        let body = match id.dialect {
            Dialect::Responses => {
                let pending = self.store.get(ANSWERS, key.clone()).await?.unwrap_or_default();
                Some(final_response(id, &pending, how, answer.as_ref()))
            }
            _ => answer.map(|a| a.body),
        };
        record.bytes = (record.size() + body.as_ref().map_or(0, Bytes::len)) as u64;
        let batch = Batch::default().put(RECORDS, key.clone(), record.write()).delete(BODIES, key.clone());
        let batch = match body {
            Some(body) => batch.put(ANSWERS, key, body),
            None => batch.delete(ANSWERS, key),
        };
        self.store.write(batch).await?;
        {
            let mut inner = self.inner.lock();
            inner.queue.end(id, now, record.bytes);
            inner.cancels.remove(&id);
        }
        metrics.later_ended(how.label());
        self.moved();
        Ok(())
    }

    async fn record(&self, id: Id) -> Result<Option<Record>, StoreError> {
        Ok(self.store.get(RECORDS, id.to_string()).await?.and_then(|text| Record::read(&text)))
    }

    /// A request has another owner, or none: those who wait for it look again, and the pool too.
    fn moved(&self) {
        self.moved.notify_waiters();
        self.wake.notify_one();
    }
}

fn forget(batch: Batch, id: Id) -> Batch {
    let key = Bytes::from(id.to_string());
    batch.delete(RECORDS, key.clone()).delete(BODIES, key.clone()).delete(ANSWERS, key)
}

/// Responses have an object from the start.
fn pending_object(id: Id, body: &[u8], created: u64) -> Option<Bytes> {
    let seconds = created / 1_000_000;
    (id.dialect == Dialect::Responses).then(|| dialect::pending_response(body, &id.to_string(), seconds))
}

/// The response object at its end.
fn final_response(id: Id, pending: &[u8], how: How, answer: Option<&Answer>) -> Bytes {
    match (how, answer) {
        (How::Completed, Some(answer)) => dialect::adopt_response(&answer.body, &id.to_string()),
        (How::Failed, Some(Answer { http, body, .. })) => {
            let fault = dialect::read_error(Dialect::Responses, *http, body);
            dialect::fail_response(pending, *http, &fault.message)
        }
        (How::Cancelled, _) => dialect::restate_response(pending, "cancelled"),
        (How::Expired, _) => failed_by(pending, Cause::Expired),
        (How::Completed | How::Failed, None) => failed_by(pending, Cause::Internal),
    }
}

fn failed_by(pending: &[u8], cause: Cause) -> Bytes {
    let row = cause.row();
    dialect::fail_response(pending, row.status, &format!("{}: {}", row.label, row.message))
}

#[cfg(test)]
mod tests;
