//! The pool that runs what is queued, through the pipeline of all requests.

use std::{collections::HashMap, sync::Arc, time::Duration};

use hyper::header;
use tokio::{
    task::{self, JoinError, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Answer, BODIES, How, Later, Next, Outcome, RECORDS,
    again::{Again, again},
    id::Id,
    queue::{Claim, Wait},
};
use crate::{clock, headers::List, memory::Room, pipeline, reply::Response, state::State, store::Batch};

/// Requests that run at once: few, since they can wait and online traffic cannot.
const AT_ONCE: usize = 4;
/// Runs of a request that a provider may charge for: with their waits they outlast a quarter of an hour.
pub(super) const CHARGED_RUNS: u32 = 5;
/// The pause before an end that could not be written is written again; it doubles up to the second.
const REWRITE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Longest sleep, so that a clock that was set is noticed.
const LONGEST: Duration = Duration::from_secs(30);
/// After SIGTERM, requests that run have so long; the next start runs them again.
const DRAIN: Duration = Duration::from_secs(20);

/// What a run came to.
pub(super) enum Made {
    /// An end, and the memory that its answer takes.
    End(Outcome, Option<Room>),
    /// Nothing, so far.
    Nothing(Wait),
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
            () = sleep(wait.min(LONGEST)) => {}
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
    // Here nobody may be kept waiting until it can be written.
    if done.is_err() && later.end(id, Outcome::of(How::Failed), &state.telemetry.metrics).await.is_err() {
        later.put_back(id, Wait::Charged).await;
    }
}

/// One run, to its end in the store.
async fn one(state: Arc<State>, later: Arc<Later>, id: Id, cancel: CancellationToken) {
    let made = tokio::select! {
        made = make(&state, &later, id) => made,
        () = cancel.cancelled() => Made::End(Outcome::of(How::Cancelled), None),
    };
    later.finish(id, made, &state, &cancel).await;
}

async fn make(state: &Arc<State>, later: &Later, id: Id) -> Made {
    let key = id.to_string();
    let (bytes, charged) = later.taken(id);
    if charged >= CHARGED_RUNS {
        return Made::End(Outcome::of(How::Failed), None);
    }
    let Ok(room) = state.memory.hold(bytes).await else { return Made::Nothing(Wait::Again(None)) };
    let (record, body) = match (later.record(id).await, later.store.get(BODIES, key).await) {
        (Ok(Some(record)), Ok(Some(body))) => (record, body),
        (Ok(_), Ok(_)) => return Made::End(Outcome::of(How::Failed), None),
        _ => return Made::Nothing(Wait::Again(None)),
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
        Some(why) if !success => again(why),
        _ => Again::Never,
    };
    match verdict {
        Again::Short => return Made::Nothing(Wait::Short(retry_after(&headers))),
        Again::Waits => return Made::Nothing(Wait::Again(retry_after(&headers))),
        Again::Charged if charged + 1 < CHARGED_RUNS => return Made::Nothing(Wait::Charged),
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
        if later.end(id, Outcome::of(How::Expired), &state.telemetry.metrics).await.is_err() {
            later.inner.lock().queue.not_ended(id, now);
            later.moved();
        }
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

    /// Moves a request on after its run. An end that cannot be written is held, and its place in the pool with it, until
    /// it can be, or until somebody else wants the request: one more run would be one more bill.
    pub(super) async fn finish(&self, id: Id, made: Made, state: &State, cancel: &CancellationToken) {
        let (outcome, _room) = match made {
            Made::End(outcome, room) => (outcome, room),
            Made::Nothing(wait) => return self.put_back(id, wait).await,
        };
        let mut pause = REWRITE.0;
        while self.end(id, outcome.clone(), &state.telemetry.metrics).await.is_err() {
            tokio::select! {
                () = cancel.cancelled() => return self.put_back(id, Wait::Charged).await,
                () = sleep(pause) => pause = (pause * 2).min(REWRITE.1),
            }
        }
    }

    /// A request that the caller owns waits again.
    pub(super) async fn put_back(&self, id: Id, wait: Wait) {
        if wait == Wait::Charged {
            self.charged(id).await;
        }
        {
            let mut inner = self.inner.lock();
            inner.queue.put_back(id, clock::unix(), wait);
            inner.cancels.remove(&id);
        }
        self.moved();
    }

    /// A restart does not forget what may have been paid for. What cannot be written counts in this process alone.
    async fn charged(&self, id: Id) {
        if let Ok(Some(mut record)) = self.record(id).await {
            record.charged += 1;
            let _ = self.store.write(Batch::default().put(RECORDS, id.to_string(), record.write())).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use policy::reason::Cause;

    use super::*;
    use crate::{later::Why, reply::Reply};

    /// An error as the pipeline hands it on.
    fn failed(cause: Cause, may_cost: bool) -> Response {
        Response {
            status: hyper::StatusCode::TOO_MANY_REQUESTS,
            headers: List::from_iter([(header::RETRY_AFTER, 7.into())]),
            reply: Reply::Whole(VecDeque::new(), None),
            refused: Some(Why { cause, may_cost }),
        }
    }

    #[test]
    fn every_run_that_may_have_cost_something_counts() {
        let after = Some(Duration::from_secs(7));
        // The failure that is told, whether any try may have cost something, such runs before; the wait, none for an end.
        let rows = [
            (Cause::RateLimitExceeded, false, 4, Some(Wait::Short(after))),
            (Cause::RateLimited, false, 4, Some(Wait::Again(after))),
            (Cause::RateLimitExceeded, true, 0, Some(Wait::Charged)),
            (Cause::RateLimited, true, 3, Some(Wait::Charged)),
            (Cause::CircuitOpen, true, 4, None),
            (Cause::TimeoutBudgetExceeded, true, 3, Some(Wait::Charged)),
            (Cause::TimeoutBudgetExceeded, true, 4, None),
            (Cause::RequestRejected, false, 0, None),
        ];
        for (cause, may_cost, before, want) in rows {
            let wait = match judge(failed(cause, may_cost), before) {
                Made::Nothing(wait) => Some(wait),
                Made::End(outcome, _) => {
                    assert_eq!(outcome.how, How::Failed);
                    None
                }
            };
            assert_eq!(wait, want, "{cause:?} {may_cost} {before}");
        }
    }
}
