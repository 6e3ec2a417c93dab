//! The whole life of requests against a model: accepted, run, put back, ended in every way, and the process dies in between.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::later::{
    kept::{End, How, Record, micros},
    pool::CHARGED_RUNS,
};

/// Room for all: what gives way to others has a test of its own.
const LIMITS: Limits =
    Limits { requests: 5, bytes: 1_000, queued_for: Duration::from_secs(40_000), kept_for: Duration::from_secs(3_000) };

/// What may happen, to the request of a number.
#[derive(Clone, Debug)]
enum Step {
    Accept,
    /// Whatever is too late or too old goes, if that `is_written`; then the next ones start, as many as there is room for in
    /// the pool.
    Turn {
        is_written: bool,
    },
    Wait(Wait),
    /// A run comes to its end.
    End(How),
    /// The same, but its end cannot be written.
    Unwritten,
    Cancel,
    Delete,
    Fetch,
    /// The process dies, and another one starts.
    Restart,
    /// Seconds pass.
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let after = prop::option::of((0u64..90).prop_map(s));
    let wait = prop_oneof![
        after.clone().prop_map(Wait::Short),
        after.prop_map(Wait::Again),
        Just(Wait::Charged),
        Just(Wait::Charged)
    ];
    prop_oneof![
        3 => Just(Step::Accept),
        6 => any::<bool>().prop_map(|is_written| Step::Turn { is_written }),
        4 => wait.prop_map(Step::Wait),
        1 => prop_oneof![Just(How::Completed), Just(How::Failed)].prop_map(Step::End),
        1 => Just(Step::Unwritten),
        1 => Just(Step::Cancel),
        1 => Just(Step::Delete),
        1 => Just(Step::Fetch),
        1 => Just(Step::Restart),
        4 => prop_oneof![4 => 0u64..70, 2 => 70u64..2_000, 1 => 2_000u64..20_000].prop_map(Step::Pass),
    ]
}

/// The disk, and what is known of everybody.
struct Model {
    queue: Queue,
    stored: BTreeMap<u128, Record>,
    running: BTreeSet<u128>,
    /// Runs that may have cost something, over all lives of the process.
    paid: BTreeMap<u128, u32>,
    deleted: BTreeSet<u128>,
    now: Duration,
    next: u128,
}

impl Model {
    fn new() -> Model {
        Model {
            queue: Queue::new(LIMITS),
            stored: BTreeMap::new(),
            running: BTreeSet::new(),
            paid: BTreeMap::new(),
            deleted: BTreeSet::new(),
            now: s(100_000),
            next: 1,
        }
    }

    fn accept(&mut self) {
        let n = self.next;
        self.next += 1;
        let Ok(Accepted::New(gone)) = self.queue.accept(id(n), self.now, 10, None) else {
            assert!(self.queue.rows.len() == LIMITS.requests, "there is room");
            return;
        };
        for id in gone {
            let end = self.stored.remove(&id.random).and_then(|r| r.end);
            assert!(end.is_some(), "only what has ended gives way");
        }
        let (path, headers, created) = ("/v1/chat/completions".into(), vec![], micros(self.now));
        self.stored.insert(n, Record { path, headers, created, bytes: 10, key: None, charged: 0, end: None });
        self.queue.wait(id(n), Duration::ZERO);
    }

    fn start(&mut self) {
        while self.running.len() < 4 {
            let Next::Run(Id { random, .. }) = self.queue.next(self.now) else { break };
            assert!(self.running.insert(random), "{random} runs twice at once");
            let record = self.stored.get(&random).unwrap_or_else(|| panic!("{random} is gone"));
            assert_eq!(record.end, None, "{random} has ended");
            let waited = self.now.saturating_sub(Duration::from_micros(record.created));
            assert!(waited < LIMITS.queued_for, "{random} has waited too long");
            if record.charged >= CHARGED_RUNS {
                self.running.remove(&random);
                self.end(random, How::Failed);
            }
        }
    }

    /// Some request that runs.
    fn run(&mut self, nth: usize) -> Option<u128> {
        let n = *self.running.iter().nth(nth % self.running.len().max(1))?;
        self.running.remove(&n);
        Some(n)
    }

    /// Some request that waits.
    fn waiting(&self, nth: usize) -> Option<u128> {
        let waits: Vec<u128> = self.queue.waiting.values().map(|id| id.random).collect();
        waits.get(nth % waits.len().max(1)).copied()
    }

    /// As the pool judges it.
    fn judge(&mut self, n: u128, wait: Wait) {
        let before = self.queue.get(id(n)).map_or(0, |row| row.charged);
        match wait {
            Wait::Charged if before + 1 < CHARGED_RUNS => self.charge(n),
            Wait::Charged => {
                *self.paid.entry(n).or_default() += 1;
                self.end(n, How::Failed);
            }
            wait => self.put_back(n, wait),
        }
    }

    fn charge(&mut self, n: u128) {
        *self.paid.entry(n).or_default() += 1;
        self.stored.get_mut(&n).unwrap().charged += 1;
        self.put_back(n, Wait::Charged);
    }

    fn put_back(&mut self, n: u128, wait: Wait) {
        self.queue.put_back(id(n), self.now, wait);
        let Some(Phase::Queued { not_before }) = self.queue.get(id(n)).map(|row| row.phase) else { panic!("it waits") };
        assert!(not_before > self.now && not_before <= self.now + LONGEST);
    }

    fn end(&mut self, n: u128, how: How) {
        self.stored.get_mut(&n).unwrap().end = Some(End { how, at: micros(self.now), http: None });
        self.queue.end(id(n), self.now, 10);
    }

    fn expire(&mut self, is_written: bool) {
        let mut tries = 0;
        while let Some(Id { random, .. }) = self.queue.late(self.now) {
            tries += 1;
            assert!(tries <= LIMITS.requests, "it goes round and round");
            assert_eq!(self.queue.claim(id(random), false), Claim::Yours);
            if is_written {
                self.end(random, How::Expired);
            } else {
                self.queue.not_ended(id(random), self.now);
            }
        }
        assert!(is_written || tries <= 1, "one try, then a pause");
        for id in self.queue.old(self.now) {
            let end = self.stored.remove(&id.random).and_then(|record| record.end);
            assert!(end.is_some_and(|end| self.now >= Duration::from_micros(end.at) + LIMITS.kept_for));
            self.queue.remove(id);
        }
    }

    fn restart(&mut self) {
        self.running.clear();
        self.queue = Queue::new(LIMITS);
        for (n, record) in &self.stored {
            self.queue.restore(id(*n), record.row());
        }
    }

    fn step(&mut self, step: Step, nth: usize) {
        match step {
            Step::Accept => self.accept(),
            Step::Turn { is_written } => {
                self.expire(is_written);
                self.start();
            }
            Step::Wait(wait) => _ = self.run(nth).map(|n| self.judge(n, wait)),
            Step::End(how) => _ = self.run(nth).map(|n| self.end(n, how)),
            // It is held in the pool, or somebody wants the request and gets it back instead.
            Step::Unwritten => {
                if let Some(n) = self.run(nth) {
                    self.charge(n);
                }
            }
            Step::Cancel => {
                if let Some(n) = self.waiting(nth) {
                    assert_eq!(self.queue.claim(id(n), false), Claim::Yours);
                    self.end(n, How::Cancelled);
                }
            }
            Step::Delete => {
                let all: Vec<u128> = self.stored.keys().copied().collect();
                let Some(n) = all.get(nth % all.len().max(1)).copied() else { return };
                match self.queue.claim(id(n), true) {
                    Claim::Taken => assert!(self.running.remove(&n), "it runs, and is given up"),
                    claim => assert_eq!(claim, Claim::Yours),
                }
                self.stored.remove(&n);
                self.queue.remove(id(n));
                self.deleted.insert(n);
            }
            Step::Fetch => self.stored.keys().for_each(|n| self.queue.fetched(id(*n))),
            Step::Restart => self.restart(),
            Step::Pass(seconds) => self.now += s(seconds),
        }
    }

    fn check(&self) {
        let known: BTreeSet<u128> = self.queue.rows.keys().map(|id| id.random).collect();
        assert_eq!(known, self.stored.keys().copied().collect(), "what is stored is known, and nothing else");
        assert!(known.len() <= LIMITS.requests);
        for (n, record) in &self.stored {
            let row = self.queue.get(id(*n)).unwrap();
            assert_eq!(matches!(row.phase, Phase::Ended { .. }), record.end.is_some(), "{n}: {row:?}");
            assert_eq!(row.phase == Phase::Running, self.running.contains(n), "{n}: {row:?}");
            assert_eq!(row.charged, record.charged, "{n}");
        }
        assert!(self.running.len() <= 4);
        assert_eq!(self.queue.counts(), (self.queue.waiting.len(), self.running.len()));
        assert!(self.paid.values().all(|runs| *runs <= CHARGED_RUNS), "{:?}", self.paid);
        assert!(self.deleted.is_disjoint(&known), "what was deleted is back");
    }
}

proptest! {
    /// Nothing runs twice at once, and nothing after its end, its time or its removal; nothing is lost; what may have cost
    /// something runs five times at most, whatever dies in between.
    #[test]
    fn whatever_happens_a_request_is_run_and_ended_once(
        steps in prop::collection::vec((step(), 0usize..8), 0..150),
    ) {
        let mut model = Model::new();
        for (step, nth) in steps {
            model.step(step, nth);
            model.check();
        }
        // All that have no end yet come to one.
        let mut rounds = 0;
        while model.stored.values().any(|record| record.end.is_none()) {
            rounds += 1;
            prop_assert!(rounds < 100, "{:?}", model.queue);
            while let Some(n) = model.run(0) {
                model.end(n, How::Completed);
            }
            model.now += LONGEST;
            model.step(Step::Turn { is_written: true }, 0);
            model.check();
        }
    }
}
