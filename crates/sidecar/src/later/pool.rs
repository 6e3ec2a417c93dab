//! The pool that runs what is queued, through the pipeline of all requests.

use std::{collections::HashMap, sync::Arc, time::Duration};

use hyper::header;
use tokio::{
    task::{self, JoinError, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    Answer, BODIES, How, Later, Next, Outcome, WRITES,
    again::{Again, again},
    id::Id,
    queue::{Claim, Wait},
};
use crate::{clock, headers::List, memory::Room, pipeline, reply::Response, state::State, store::Batch};

/// Requests that run at once: few, since they can wait and online traffic cannot.
const AT_ONCE: usize = 4;
/// Runs of a request that a provider may charge for: with their waits they outlast a quarter of an hour.
const CHARGED_RUNS: u32 = 5;
/// Longest sleep, so that a clock that was set is noticed.
const LONGEST: Duration = Duration::from_secs(30);
/// After SIGTERM, requests that run have so long; the next start runs them again.
const DRAIN: Duration = Duration::from_secs(20);

/// What a run came to.
enum Made {
    /// An end, and the memory that its answer takes.
    End(Outcome, Option<Room>),
    /// Nothing: its limits leave no room, until then where that is known.
    Short(Option<Duration>),
    /// Nothing, so far; the wait that somebody asked for.
    Again(Option<Duration>),
    /// Nothing, and it may have cost something.
    Charged,
    /// It was given up.
    Cancelled,
}

/// Runs what is queued from the first policy on until `draining`, then lets what runs come to its end.
pub async fn run(state: Arc<State>, draining: CancellationToken) {
    let Some(later) = state.later.get() else { return };
    tokio::select! {
        () = state.first_policy() => {}
        () = draining.cancelled() => return,
    }
    let mut running = JoinSet::new();
    let mut ids = HashMap::new();
    while !draining.is_cancelled() {
        expire(later, &state, clock::unix()).await;
        let mut wait = LONGEST;
        while running.len() < AT_ONCE {
            let now = clock::unix();
            let next = later.next(now);
            match next {
                (Next::Run(id), cancel) => {
                    let task = running.spawn(one(state.clone(), later.clone(), id, cancel));
                    ids.insert(task.id(), id);
                }
                (Next::Wait(until), _) => {
                    wait = until.saturating_sub(now);
                    break;
                }
                (Next::Idle, _) => break,
            }
        }
        tokio::select! {
            () = draining.cancelled() => {}
            Some(done) = running.join_next_with_id() => ended(later, &state, &mut ids, done).await,
            () = later.wake.notified() => {}
            () = tokio::time::sleep(wait.min(LONGEST)) => {}
        }
    }
    let rest = async {
        while let Some(done) = running.join_next_with_id().await {
            ended(later, &state, &mut ids, done).await;
        }
    };
    if timeout(DRAIN, rest).await.is_err() {
        tracing::info!(requests = running.len(), "requests by id are left to the next start");
    }
}

/// A task is over; one that broke ends its request.
async fn ended(later: &Later, state: &State, ids: &mut HashMap<task::Id, Id>, done: Result<(task::Id, ()), JoinError>) {
    let task = done.as_ref().map_or_else(JoinError::id, |(task, ())| *task);
    let Some(id) = ids.remove(&task) else { return };
    if done.is_err() {
        later.finish(id, Made::End(Outcome::of(How::Failed), None), state).await;
    }
}

/// One run, to its end in the store.
async fn one(state: Arc<State>, later: Arc<Later>, id: Id, cancel: CancellationToken) {
    let made = tokio::select! {
        made = make(&state, &later, id) => made,
        () = cancel.cancelled() => Made::Cancelled,
    };
    later.finish(id, made, &state).await;
}

async fn make(state: &Arc<State>, later: &Later, id: Id) -> Made {
    let key = id.to_string();
    let (bytes, charged) = later.taken(id);
    let Ok(room) = state.memory.hold(bytes).await else { return Made::Again(None) };
    let (record, body) = match (later.record(id).await, later.store.get(BODIES, key).await) {
        (Ok(Some(record)), Ok(Some(body))) => (record, body),
        (Ok(_), Ok(_)) => return Made::End(Outcome::of(How::Failed), None),
        _ => return Made::Again(None),
    };
    let target = (record.path.parse().unwrap_or_default(), record.header_list());
    let response = pipeline::run_kept(state.clone(), id.call(), target, body, room).await;
    judge(response, charged)
}

/// An answer, an error that ends the request, or a reason to wait.
fn judge(response: Response, charged: u32) -> Made {
    let Response { status, headers, reply, refused } = response;
    let success = status.is_success();
    let verdict = match refused {
        Some(reason) if !success => again(reason.cause),
        _ => Again::Never,
    };
    match verdict {
        Again::Short => return Made::Short(retry_after(&headers)),
        Again::Waits => return Made::Again(retry_after(&headers)),
        Again::Charged if charged + 1 < CHARGED_RUNS => return Made::Charged,
        Again::Charged | Again::Never => {}
    }
    // Nothing that runs later is streamed.
    let Some((body, room)) = reply.into_whole() else { return Made::End(Outcome::of(How::Failed), None) };
    let how = if success { How::Completed } else { How::Failed };
    let answer = Some(Answer { http: status.as_u16(), headers, body });
    Made::End(Outcome { how, answer }, room)
}

fn retry_after(headers: &List) -> Option<Duration> {
    headers.get(&header::RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// What waited too long gets its end, and what was kept long enough goes.
pub(super) async fn expire(later: &Later, state: &State, now: Duration) {
    loop {
        let late = {
            let queue = &mut later.inner.lock().queue;
            queue.late(now).filter(|id| queue.claim(*id, false) == Claim::Yours)
        };
        let Some(id) = late else { break };
        later.finish(id, Made::End(Outcome::of(How::Expired), None), state).await;
    }
    let old = {
        let queue = &mut later.inner.lock().queue;
        let old = queue.old(now);
        old.iter().for_each(|id| queue.remove(*id));
        old
    };
    if !old.is_empty() {
        let batch = old.into_iter().fold(Batch::default(), super::forget);
        if let Err(why) = later.store.write(batch).await {
            tracing::warn!(error = %why, "expired requests by id stay in the store until the next start");
        }
    }
}

impl Later {
    /// The next request, and what gives up its run.
    pub(super) fn next(&self, now: Duration) -> (Next, CancellationToken) {
        let mut inner = self.inner.lock();
        let next = inner.queue.next(now);
        let cancel = CancellationToken::new();
        if let Next::Run(id) = next {
            inner.cancels.insert(id, cancel.clone());
        }
        (next, cancel)
    }

    /// What a request takes in memory, and the runs of it that may have cost something.
    fn taken(&self, id: Id) -> (usize, u32) {
        let inner = self.inner.lock();
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        inner.queue.get(id).map_or((0, 0), |row| (bytes(row.bytes), row.charged))
    }

    /// Moves a request on that the caller owns. An end that cannot be written is no end: it is run again.
    async fn finish(&self, id: Id, made: Made, state: &State) {
        let metrics = &state.telemetry.metrics;
        let (outcome, _room, wait) = match made {
            Made::End(outcome, room) => (Some(outcome), room, Wait::Charged),
            Made::Cancelled => (Some(Outcome::of(How::Cancelled)), None, Wait::Charged),
            Made::Short(after) => (None, None, Wait::Short(after)),
            Made::Again(after) => (None, None, Wait::Again(after)),
            Made::Charged => (None, None, Wait::Charged),
        };
        if let Some(outcome) = outcome {
            for _ in 0..WRITES.0 {
                if self.end(id, outcome.clone(), metrics).await.is_ok() {
                    return;
                }
                tokio::time::sleep(WRITES.1).await;
            }
        }
        {
            let mut inner = self.inner.lock();
            inner.queue.put_back(id, clock::unix(), wait);
            inner.cancels.remove(&id);
        }
        self.moved();
    }
}
