use serde_json::Value;
use tokio::task::yield_now;

use super::{pool::Made, queue::Wait, *};
use crate::{headers::List, memory::Memory, state::State, store::tests::Dir, telemetry::Telemetry, upstream::Upstream};

const SMALL: Limits =
    Limits { requests: 2, bytes: 100_000, queued_for: Duration::from_secs(100), kept_for: Duration::from_secs(500) };

async fn later(dir: &Dir) -> Later {
    // The writer of a store that was dropped lets go of the file a moment later.
    for _ in 0..50_000 {
        match Store::open(&dir.0, Duration::ZERO) {
            Ok((store, _)) => return Later::bounded(store, SMALL).await.unwrap(),
            Err(_) => std::thread::yield_now(),
        }
    }
    panic!("the store stays locked");
}

fn state() -> State {
    State::new(Upstream::from_env().unwrap(), Memory::new(1000), Telemetry::default())
}

fn id(dialect: Dialect) -> Id {
    Id::draw(dialect).unwrap()
}

fn record(created: u64) -> Record {
    Record {
        path: "/v1/responses".into(),
        headers: vec![("x-llmroute-tier".into(), "gold".into())],
        created: created * 1_000_000,
        bytes: 0,
        key: None,
        charged: 0,
        end: None,
    }
}

async fn answer(later: &Later, id: Id) -> Value {
    let text = later.store.get(ANSWERS, id.to_string()).await.unwrap().unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

#[tokio::test]
async fn a_request_is_durable_before_its_id_is_told_and_found_after_a_restart() {
    let dir = Dir::new();
    let (first, second) = (id(Dialect::Responses), id(Dialect::Chat));
    let before = later(&dir).await;
    let key = Key { name: "k".into(), digest: [1; 32] };
    let body = Bytes::from_static(b"{\"model\":\"m\"}");
    assert_eq!(before.keep(first, record(10), body.clone(), Some(key.clone())).await.unwrap(), first);
    assert_eq!(before.keep(second, record(11), body.clone(), None).await.unwrap(), second);
    let held = before.counts();
    assert_eq!(before.next(Duration::from_secs(12)).0, Next::Run(first));
    drop(before);

    let after = later(&dir).await;
    assert_eq!(after.counts(), held, "what ran is queued again");
    assert_eq!(after.keep(id(Dialect::Chat), record(13), body.clone(), Some(key)).await.unwrap(), first);
    assert_eq!(after.next(Duration::from_secs(14)).0, Next::Run(first), "the oldest first");
    assert_eq!(after.store.get(BODIES, first.to_string()).await.unwrap().unwrap(), body);
    assert_eq!(after.record(first).await.unwrap().unwrap().headers, record(10).headers);
    assert_eq!(answer(&after, first).await["status"], "queued");
}

#[tokio::test]
async fn a_full_queue_says_so_and_when_to_come_back() {
    let dir = Dir::new();
    let later = later(&dir).await;
    let body = Bytes::from_static(b"{}");
    for n in 0..2 {
        later.keep(id(Dialect::Chat), record(n), body.clone(), None).await.unwrap();
    }
    let refused = later.keep(id(Dialect::Chat), record(3), body.clone(), None).await.unwrap_err();
    assert_eq!((refused.reason.cause, refused.status, refused.retry_after), (Cause::QueueFull, 503, Some(FULL)));
    let rows = later.store.all(RECORDS).await.unwrap();
    later.delete(Id::parse(std::str::from_utf8(&rows[0].0).unwrap()).unwrap()).await.unwrap();
    later.keep(id(Dialect::Chat), record(4), body, None).await.unwrap();
    for table in [RECORDS, BODIES] {
        assert_eq!(later.store.all(table).await.unwrap().len(), 2, "{table:?}");
    }
    let (other, own) = (Dir::new(), record(1).size());
    let empty = self::later(&other).await;
    let large = |bytes: usize| Bytes::from(vec![b' '; bytes]);
    assert!(empty.keep(id(Dialect::Chat), record(1), large(100_001 - own), None).await.is_err());
    assert!(empty.keep(id(Dialect::Chat), record(1), large(100_000 - own), None).await.is_ok(), "to the byte");
}

#[tokio::test]
async fn what_waits_too_long_fails_and_what_is_kept_too_long_goes() {
    let dir = Dir::new();
    let (later, state) = (later(&dir).await, state());
    let now = clock::unix().as_secs();
    let responses = id(Dialect::Responses);
    later.keep(responses, record(now), Bytes::from_static(b"{\"model\":\"m\"}"), None).await.unwrap();
    pool::expire(&later, &state, Duration::from_secs(now + 99)).await;
    assert_eq!(later.counts().0, 1);
    pool::expire(&later, &state, Duration::from_secs(now + 100)).await;
    let object = answer(&later, responses).await;
    assert_eq!((&object["status"], &object["error"]["code"]), (&"failed".into(), &"server_error".into()), "{object}");
    assert!(object["error"]["message"].as_str().is_some_and(|why| why.starts_with("expired: ")), "{object}");
    assert_eq!(later.store.all(BODIES).await.unwrap(), [], "the prompt goes with the end");
    assert_eq!(later.record(responses).await.unwrap().unwrap().headers, []);
    // The end came now, whatever the test says of the time.
    pool::expire(&later, &state, Duration::from_secs(now + 400)).await;
    assert_eq!(later.store.all(RECORDS).await.unwrap().len(), 1);
    pool::expire(&later, &state, Duration::from_secs(now + 600)).await;
    for table in [RECORDS, BODIES, ANSWERS] {
        assert_eq!(later.store.all(table).await.unwrap(), [], "{table:?}");
    }
    assert_eq!(later.counts(), (0, 0, 0));
}

#[tokio::test]
async fn an_end_is_given_once() {
    let dir = Dir::new();
    let (later, state) = (later(&dir).await, state());
    let metrics = &state.telemetry.metrics;
    let chat = id(Dialect::Chat);
    later.keep(chat, record(1), Bytes::from_static(b"{}"), None).await.unwrap();
    later.cancel(chat, metrics).await.unwrap();
    let end = later.record(chat).await.unwrap().unwrap().end.unwrap();
    assert_eq!((end.how, end.http), (How::Cancelled, None));
    later.cancel(chat, metrics).await.unwrap();
    assert_eq!(later.record(chat).await.unwrap().unwrap().end, Some(end));
    assert_eq!(later.next(Duration::from_secs(9)).0, Next::Idle);
    later.delete(chat).await.unwrap();
    for gone in [later.cancel(chat, metrics).await, later.delete(chat).await] {
        assert_eq!(gone.unwrap_err().reason.cause, Cause::IdNotFound);
    }
}

#[tokio::test]
async fn records_that_cannot_be_read_are_forgotten() {
    let dir = Dir::new();
    let before = later(&dir).await;
    let chat = id(Dialect::Chat);
    let batch = Batch::default().put(RECORDS, "strange", "x").put(RECORDS, chat.to_string(), "{}");
    before.store.write(batch.put(BODIES, chat.to_string(), "{}")).await.unwrap();
    drop(before);
    let after = later(&dir).await;
    for table in [RECORDS, BODIES] {
        assert_eq!(after.store.all(table).await.unwrap(), [], "{table:?}");
    }
}

/// A request that was accepted long ago, ten seconds before the one after it.
async fn aged(later: &Later, age: u64) -> Id {
    let (id, now) = (id(Dialect::Chat), clock::unix().as_secs());
    later.keep(id, record(now - age), Bytes::from_static(b"{}"), None).await.unwrap();
    id
}

async fn end_of(later: &Later, id: Id) -> Option<How> {
    later.record(id).await.unwrap().unwrap().end.map(|end| end.how)
}

#[tokio::test]
async fn an_end_that_cannot_be_written_is_tried_again_after_a_pause() {
    let dir = Dir::new();
    let (later, state) = (later(&dir).await, state());
    let (first, second) = (aged(&later, 300).await, aged(&later, 200).await);
    later.store.fill(true);
    let now = clock::unix();
    pool::expire(&later, &state, now).await;
    assert!(later.is_stuck.load(Ordering::Relaxed), "it was said");
    assert_eq!(later.counts().0, 2, "both wait");
    assert!(matches!(later.next(now).0, Next::Wait(until) if until > now), "neither runs, and nobody asks at once");
    later.store.fill(false);
    pool::expire(&later, &state, now).await;
    assert_eq!(end_of(&later, first).await, None, "not yet");
    pool::expire(&later, &state, now + Duration::from_secs(5)).await;
    assert_eq!([end_of(&later, first).await, end_of(&later, second).await], [Some(How::Expired); 2]);
    assert!(!later.is_stuck.load(Ordering::Relaxed));
}

fn completed() -> Made {
    let answer = Answer { http: 200, headers: List::default(), body: Bytes::from_static(b"{}") };
    Made::End(Outcome { how: How::Completed, answer: Some(answer) }, None)
}

#[tokio::test(start_paused = true)]
async fn what_was_paid_for_is_held_until_it_can_be_written() {
    let dir = Dir::new();
    let (later, state) = (later(&dir).await, state());
    let id = aged(&later, 1).await;
    let (Next::Run(_), cancel) = later.next(clock::unix()) else { panic!("it runs") };
    later.store.fill(true);
    tokio::join!(later.finish(id, completed(), &state, &cancel), async {
        while !later.is_stuck.load(Ordering::Relaxed) {
            yield_now().await;
        }
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        assert_eq!((end_of(&later, id).await, later.counts().1), (None, 1), "it keeps its place");
        later.store.fill(false);
    });
    assert_eq!((end_of(&later, id).await, later.counts().1), (Some(How::Completed), 0));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_held_is_given_up_for_who_wants_it() {
    let dir = Dir::new();
    let (later, state) = (later(&dir).await, state());
    let id = aged(&later, 1).await;
    let (Next::Run(_), cancel) = later.next(clock::unix()) else { panic!("it runs") };
    later.store.fill(true);
    let (cancelled, ()) =
        tokio::join!(later.cancel(id, &state.telemetry.metrics), later.finish(id, completed(), &state, &cancel));
    assert_eq!(cancelled.unwrap_err().reason.cause, Cause::StateUnavailable);
    assert_eq!(later.counts(), (1, 0, later.counts().2), "it waits again");
    later.store.fill(false);
    later.cancel(id, &state.telemetry.metrics).await.unwrap();
    assert_eq!(end_of(&later, id).await, Some(How::Cancelled));
}

#[tokio::test]
async fn what_may_have_been_paid_for_is_counted_over_restarts() {
    let dir = Dir::new();
    let mut id = None;
    for runs in 1..=3 {
        let later = later(&dir).await;
        let id = match id {
            Some(id) => id,
            None => *id.insert(aged(&later, 1).await),
        };
        assert_eq!(later.next(clock::unix()).0, Next::Run(id));
        later.put_back(id, Wait::Charged).await;
        assert_eq!(later.inner.lock().queue.get(id).map(|row| row.charged), Some(runs));
    }
    assert_eq!(later(&dir).await.inner.lock().queue.get(id.unwrap()).map(|row| row.charged), Some(3));
}
