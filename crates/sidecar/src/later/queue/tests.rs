use dialect::Dialect;
use proptest::prelude::*;

use super::*;

const LIMITS: Limits =
    Limits { requests: 3, bytes: 100, queued_for: Duration::from_secs(1000), kept_for: Duration::from_secs(500) };

fn id(n: u128) -> Id {
    Id { dialect: Dialect::Chat, random: n }
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn key(name: &str, body: u8) -> Option<Key> {
    Some(Key { name: name.into(), digest: [body; 32] })
}

/// Requests 1, 2, … accepted a second apart, of 10 bytes each.
fn queue(count: u128) -> Queue {
    let mut queue = Queue::new(LIMITS);
    for n in 1..=count {
        assert_eq!(queue.accept(id(n), s(n as u64), 10, None), Ok(Accepted::New(vec![])));
        queue.wait(id(n), Duration::ZERO);
    }
    queue
}

#[test]
fn the_oldest_that_is_due_runs_first() {
    let mut q = queue(3);
    assert_eq!((q.next(s(10)), q.next(s(10))), (Next::Run(id(1)), Next::Run(id(2))));
    q.put_back(id(1), s(10), Wait::Again(Some(s(30))));
    assert_eq!(q.next(s(10)), Next::Wait(s(10) + PAUSE.0), "a start that came to nothing slows the next");
    assert_eq!(q.next(s(11)), Next::Run(id(3)));
    assert_eq!(q.next(s(11)), Next::Wait(s(40)), "it said when");
    assert_eq!(q.next(s(40)), Next::Run(id(1)), "still before the younger one");
    assert_eq!((q.next(s(41)), q.counts()), (Next::Idle, (0, 3)));
}

#[test]
fn waits_grow_and_are_bounded() {
    let mut q = queue(1);
    let mut now = s(10);
    let mut waits = vec![];
    for _ in 0..9 {
        assert_eq!(q.next(now), Next::Run(id(1)));
        q.put_back(id(1), now, Wait::Again(None));
        let Phase::Queued { not_before } = q.get(id(1)).unwrap().phase else { panic!() };
        waits.push((not_before - now).as_secs());
        now = not_before.max(q.quiet_until);
        assert!(q.quiet_until - (not_before - s(waits.last().copied().unwrap())) <= PAUSE.1);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    q.next(now);
    q.put_back(id(1), now, Wait::Again(Some(s(86_400))));
    let Phase::Queued { not_before } = q.get(id(1)).unwrap().phase else { panic!() };
    assert_eq!(not_before - now, BACKOFF.1, "a policy may be changed before a day is over");
}

#[test]
fn who_lacks_money_keeps_nobody_waiting() {
    let mut q = queue(3);
    for (n, after) in [(1, Some(s(30))), (2, None)] {
        assert_eq!(q.next(s(10)), Next::Run(id(n)));
        q.put_back(id(n), s(10), Wait::Short(after));
    }
    assert_eq!(q.next(s(10)), Next::Run(id(3)), "at once");
    assert_eq!((q.next(s(10)), q.next(s(11))), (Next::Wait(s(11)), Next::Run(id(2))));
    q.put_back(id(2), s(11), Wait::Short(None));
    assert_eq!((q.next(s(11)), q.next(s(13))), (Next::Wait(s(13)), Next::Run(id(2))), "longer each time");
    assert_eq!(q.next(s(40)), Next::Run(id(1)), "as it was told");
}

#[test]
fn a_run_that_may_have_cost_something_waits_long() {
    let mut q = queue(1);
    let mut now = s(10);
    for want in [60, 120, 240, 480] {
        assert_eq!(q.next(now), Next::Run(id(1)));
        q.put_back(id(1), now, Wait::Charged);
        assert_eq!(q.next(now + PAUSE.1), Next::Wait(now + s(want)));
        now += s(want);
    }
    assert_eq!(q.get(id(1)).map(|r| (r.runs, r.charged)), Some((0, 4)));
}

#[test]
fn the_number_and_the_bytes_are_bounded_and_what_was_fetched_gives_way() {
    let mut q = queue(3);
    assert_eq!(q.accept(id(4), s(9), 1, None), Err(Unfit::Full));
    for n in [2, 1] {
        assert_eq!(q.claim(id(n), false), Claim::Yours);
        q.end(id(n), s(20 - n as u64), 5);
    }
    assert_eq!(q.accept(id(4), s(20), 1, None), Err(Unfit::Full), "nobody has seen them yet");
    q.fetched(id(1));
    q.fetched(id(2));
    assert_eq!(q.accept(id(4), s(20), 1, None), Ok(Accepted::New(vec![id(2)])), "the one that ended first");
    assert_eq!(q.bytes(), 10 + 5 + 1);
    assert_eq!(q.accept(id(5), s(20), 90, None), Err(Unfit::Full), "it would not fit even then");
    assert!(q.get(id(1)).is_some(), "so nothing gives way");
}

#[test]
fn nothing_starts_beyond_the_bytes() {
    let mut q = queue(2);
    assert_eq!(q.next(s(5)), Next::Run(id(1)));
    q.end(id(1), s(6), 100);
    assert_eq!(q.next(s(7)), Next::Idle);
    q.remove(id(1));
    assert_eq!(q.next(s(7)), Next::Run(id(2)));
}

#[test]
fn a_key_names_one_body() {
    let mut q = Queue::new(LIMITS);
    assert_eq!(q.accept(id(1), s(1), 1, key("k", 1)), Ok(Accepted::New(vec![])));
    assert_eq!(q.accept(id(2), s(1), 1, key("k", 1)), Err(Unfit::Conflict), "it is not stored yet");
    q.wait(id(1), Duration::ZERO);
    assert_eq!(q.accept(id(2), s(1), 1, key("k", 1)), Ok(Accepted::Known(id(1))));
    assert_eq!(q.accept(id(2), s(1), 1, key("k", 2)), Err(Unfit::Conflict));
    assert_eq!(q.accept(id(2), s(1), 1, key("l", 2)), Ok(Accepted::New(vec![])));
    q.remove(id(1));
    assert_eq!(q.accept(id(3), s(1), 1, key("k", 2)), Ok(Accepted::New(vec![])));
}

#[test]
fn times_run_out() {
    let mut q = queue(2);
    assert_eq!(q.late(s(1000)), None);
    assert_eq!(q.late(s(1001)), Some(id(1)));
    assert_eq!(q.claim(id(1), false), Claim::Yours);
    assert_eq!(q.late(s(1001)), None, "the other was accepted a second later");
    q.end(id(1), s(1001), 0);
    assert_eq!(q.old(s(1500)), []);
    assert_eq!(q.old(s(1501)), [id(1)]);
    assert_eq!(q.next(s(1501)), Next::Run(id(2)));
    assert_eq!(q.late(s(9000)), None, "what runs is let run");
    q.put_back(id(2), s(1502), Wait::Short(Some(s(60))));
    assert_eq!(q.late(s(1502)), Some(id(2)), "there was no money in all that time");
}

#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    let mut q = queue(1);
    assert_eq!(q.next(s(90_000)), Next::Run(id(1)));
    q.put_back(id(1), s(90_000), Wait::Again(None));
    assert_eq!(q.next(s(50)), Next::Run(id(1)));
    assert_eq!((q.late(s(0)), q.old(s(0))), (None, vec![]));
}

#[test]
fn one_task_has_a_request() {
    let mut q = queue(2);
    assert_eq!(q.next(s(5)), Next::Run(id(1)));
    assert_eq!((q.claim(id(1), true), q.claim(id(9), true)), (Claim::Taken, Claim::Unknown));
    assert_eq!((q.claim(id(2), false), q.claim(id(2), false)), (Claim::Yours, Claim::Taken));
    assert_eq!(q.next(s(5)), Next::Idle, "it is held");
    q.end(id(2), s(5), 1);
    assert_eq!((q.claim(id(2), false), q.claim(id(2), true)), (Claim::Ended, Claim::Yours));
}

#[test]
fn one_that_cannot_be_ended_stops_none() {
    let mut q = queue(3);
    // The time of all has run out.
    let (mut at, mut tried) = (s(1003), vec![]);
    for _ in 0..4 {
        let late = q.late(at).unwrap();
        assert_eq!(q.claim(late, false), Claim::Yours);
        q.not_ended(late, at);
        tried.push(late.random);
        assert_eq!(q.late(at), None, "not again at once");
        assert_eq!(q.next(at), Next::Wait(at + PAUSE.1), "and none of them runs");
        assert_eq!(q.late(at + PAUSE.1 - Duration::from_nanos(1)), None);
        at += PAUSE.1;
    }
    assert_eq!(tried, [1, 2, 3, 1], "the turn goes round");
    assert_eq!(q.late(s(1001)), Some(id(1)), "the clock was set back");
}

#[test]
fn the_others_go_on_while_ends_cannot_be_written() {
    let mut q = queue(2);
    let now = s(1001);
    assert_eq!((q.late(now), q.claim(id(1), false)), (Some(id(1)), Claim::Yours));
    q.not_ended(id(1), now);
    assert_eq!(q.next(now), Next::Run(id(2)));
    assert_eq!(q.next(now), Next::Wait(now + PAUSE.1), "until it may be tried again");
    assert_eq!(q.late(now + PAUSE.1), Some(id(1)));
}

mod life;
proptest! {
    /// Whatever happens in whatever order: bytes and counts are those of the rows, bounds hold at acceptance, only one
    /// task has a request, and all that wait run in the end.
    #[test]
    fn books_balance(steps in prop::collection::vec((0u8..7, 0u128..6, 0u64..60), 0..120)) {
        let mut q = Queue::new(LIMITS);
        for (t, (what, n, size)) in steps.into_iter().enumerate() {
            let now = s(t as u64);
            let phase = q.get(id(n)).map(|r| r.phase);
            match what {
                0 if phase.is_none() => {
                    let name = format!("{}", n % 2);
                    if let Ok(Accepted::New(_)) = q.accept(id(n), now, size, key(&name, 0)) {
                        prop_assert!(q.bytes() <= LIMITS.bytes && q.rows.len() <= LIMITS.requests);
                    }
                }
                1 if phase == Some(Phase::Held) => q.wait(id(n), now),
                2 => {
                    if let Next::Run(id) = q.next(now) {
                        prop_assert_eq!(q.get(id).map(|r| r.phase), Some(Phase::Running));
                    }
                }
                3 if phase == Some(Phase::Running) => q.put_back(id(n), now, Wait::Again(None)),
                4 if matches!(phase, Some(Phase::Running | Phase::Held)) => q.end(id(n), now, size),
                5 => {
                    let claim = q.claim(id(n), true);
                    prop_assert_eq!(claim == Claim::Taken, matches!(phase, Some(Phase::Running | Phase::Held)));
                }
                6 => q.remove(id(n)),
                _ => {}
            }
            prop_assert_eq!(q.bytes(), q.rows.values().map(|r| r.bytes).sum::<u64>());
            let waits = q.rows.values().filter(|r| matches!(r.phase, Phase::Queued { .. })).count();
            prop_assert_eq!(q.waiting.len(), waits);
            prop_assert!(q.keys.values().all(|id| q.rows.contains_key(id)));
        }
        q.limits.bytes = u64::MAX;
        let waits = q.waiting.len();
        let ran = (0..waits).filter(|_| matches!(q.next(s(10_000)), Next::Run(_))).count();
        prop_assert_eq!(ran, waits);
    }
}
