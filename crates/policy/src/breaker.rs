//! The circuit breaker of one target or one provider: failures in a row or a failure ratio open it, a bounded number
//! of probes closes it.
//!
//! A count of consecutive failures trips within a handful of requests when a provider goes dark; a ratio over a window
//! catches one that fails half the time. Each try carries the [`Ticket`] it entered with, so an answer that was sent
//! before the circuit changed says nothing about the circuit as it is now.

use std::time::Duration;

use crate::{Tick, outcome::Class, snapshot};

const BUCKETS: usize = 10;
const BUCKET: Duration = Duration::from_secs(3);
/// Open time doubles at most so often: 30 s, 1, 2, 4, 8 min.
const DOUBLINGS: u32 = 4;

/// State of one circuit.
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    state: State,
    /// Raised at each change of state; tickets of an earlier one are stale.
    epoch: u64,
    consecutive: u32,
    buckets: [Bucket; BUCKETS],
    /// Times opened since it was last closed.
    opens: u32,
    /// Until when a Retry-After forbids any try.
    held_until: Tick,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    number: u64,
    good: u32,
    bad: u32,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Closed,
    Open {
        until: Tick,
        why: Class,
    },
    HalfOpen {
        /// Probes let through and not yet given back.
        issued: u32,
        good: u32,
        bad: u32,
    },
}

/// What the circuit says to a plan; asking changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Go.
    Closed,
    /// A probe may go.
    HalfOpen,
    /// Not before this moment, because of failures of this class.
    Open {
        /// When a probe may go.
        until: Tick,
        /// The class that opened it.
        why: Class,
    },
    /// The provider asked to wait until this moment.
    Held {
        /// End of the Retry-After.
        until: Tick,
    },
    /// All probes are under way.
    Probing,
}

impl Gate {
    /// Whether a try may enter now.
    #[must_use]
    pub fn lets_in(self) -> bool {
        matches!(self, Gate::Closed | Gate::HalfOpen)
    }

    /// When it is due, for those that do not let in; `Probing` is due at once after the open ones.
    #[must_use]
    pub fn due(self) -> Tick {
        match self {
            Gate::Closed | Gate::HalfOpen | Gate::Probing => Tick(0),
            Gate::Open { until, .. } | Gate::Held { until } => until,
        }
    }

    /// Why it is not closed, in words.
    #[must_use]
    pub fn why(self, now: Tick) -> Option<String> {
        let secs = |until: Tick| until.since(now).as_millis().div_ceil(1000);
        match self {
            Gate::Closed => None,
            Gate::HalfOpen => Some("half-open, a probe may go".into()),
            Gate::Probing => Some("half-open, all probes are under way".into()),
            Gate::Held { until } => Some(format!("asked to wait {} s more", secs(until))),
            Gate::Open { until, why } => {
                Some(format!("open after {}, a probe is due in {} s", why.label(), secs(until)))
            }
        }
    }

    /// `closed`, `half_open`, `open`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Gate::Closed => "closed",
            Gate::HalfOpen | Gate::Probing => "half_open",
            Gate::Open { .. } | Gate::Held { .. } => "open",
        }
    }
}

/// Permission for one try; give it back with [`Breaker::record`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    epoch: u64,
    probe: bool,
}

/// What a try says about the circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It works.
    Good,
    /// It does not.
    Bad {
        /// How it failed.
        class: Class,
        /// The provider's own wish.
        retry_after: Option<Duration>,
    },
    /// Nothing: the caller left, or the request was at fault.
    Neutral,
}

impl Breaker {
    /// What a try would meet now.
    #[must_use]
    pub fn gate(&self, now: Tick, conf: &snapshot::Breaker) -> Gate {
        if now < self.held_until {
            return Gate::Held { until: self.held_until };
        }
        match self.state {
            State::Closed => Gate::Closed,
            State::Open { until, why } if now < until => Gate::Open { until, why },
            State::Open { .. } => Gate::HalfOpen,
            State::HalfOpen { issued, .. } if issued < conf.half_open_probes => Gate::HalfOpen,
            State::HalfOpen { .. } => Gate::Probing,
        }
    }

    /// Lets one try in, or says what stands in its way. `force` is for the one try that is made when every circuit is
    /// open; it never overrides a Retry-After.
    ///
    /// # Errors
    /// The gate that is shut.
    pub fn enter(&mut self, now: Tick, conf: &snapshot::Breaker, force: bool) -> Result<Ticket, Gate> {
        let gate = self.gate(now, conf);
        let forced = force && matches!(gate, Gate::Open { .. } | Gate::Probing);
        if !gate.lets_in() && !forced {
            return Err(gate);
        }
        if matches!(gate, Gate::HalfOpen) && matches!(self.state, State::Open { .. }) {
            self.change(State::HalfOpen { issued: 0, good: 0, bad: 0 });
        }
        let probe = match &mut self.state {
            State::HalfOpen { issued, .. } if !forced => {
                *issued += 1;
                true
            }
            _ => false,
        };
        Ok(Ticket { epoch: self.epoch, probe })
    }

    /// Takes one try's verdict. `jitter` is uniform in 0..=9999 and spreads the end of the open time by a tenth.
    pub fn record(&mut self, ticket: Ticket, verdict: Verdict, now: Tick, conf: &snapshot::Breaker, jitter: u32) {
        if let Verdict::Bad { retry_after: Some(wait), .. } = verdict {
            self.held_until = self.held_until.max(now.after(wait));
        }
        if ticket.epoch != self.epoch {
            return;
        }
        match (&mut self.state, verdict) {
            (State::Closed, Verdict::Good) => {
                self.consecutive = 0;
                self.bucket(now).good += 1;
            }
            (State::Closed, Verdict::Bad { class, .. }) => {
                self.consecutive += 1;
                self.bucket(now).bad += 1;
                if self.trips(now, conf) {
                    self.open(now, conf, class, jitter);
                }
            }
            (State::HalfOpen { issued, good, bad }, verdict) if ticket.probe => match verdict {
                Verdict::Neutral => *issued = issued.saturating_sub(1),
                Verdict::Good => {
                    *good += 1;
                    if *good >= conf.close_after {
                        self.close();
                    }
                }
                Verdict::Bad { class, .. } => {
                    *bad += 1;
                    // Too few probes are left for `close_after` successes.
                    if *bad + conf.close_after > conf.half_open_probes {
                        self.open(now, conf, class, jitter);
                    }
                }
            },
            // A forced try that worked is news worth having: let probes in at once.
            (State::Open { until, .. }, Verdict::Good) => *until = now,
            _ => {}
        }
    }

    fn trips(&self, now: Tick, conf: &snapshot::Breaker) -> bool {
        if self.consecutive >= conf.consecutive_failures {
            return true;
        }
        let number = now.0 / nanos(BUCKET);
        let live = |b: &&Bucket| b.number + BUCKETS as u64 > number;
        let (good, bad) = self
            .buckets
            .iter()
            .filter(live)
            .fold((0u64, 0u64), |(g, b), x| (g + u64::from(x.good), b + u64::from(x.bad)));
        good + bad >= u64::from(conf.min_requests) && conf.failure_ratio.reached(bad, good + bad)
    }

    fn open(&mut self, now: Tick, conf: &snapshot::Breaker, why: Class, jitter: u32) {
        let base = conf.open_for * (1 << self.opens.min(DOUBLINGS));
        let until = now.after(base + base / 10 * jitter / 10_000).max(self.held_until);
        self.opens += 1;
        self.change(State::Open { until, why });
    }

    fn close(&mut self) {
        self.opens = 0;
        self.change(State::Closed);
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.epoch += 1;
        self.consecutive = 0;
        self.buckets = Default::default();
    }

    fn bucket(&mut self, now: Tick) -> &mut Bucket {
        let number = now.0 / nanos(BUCKET);
        let b = &mut self.buckets[(number % BUCKETS as u64) as usize];
        if b.number != number {
            *b = Bucket { number, ..Bucket::default() };
        }
        b
    }
}

const fn nanos(d: Duration) -> u64 {
    d.as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::snapshot::tests::snapshot;

    const BAD: Verdict = Verdict::Bad { class: Class::Server, retry_after: None };

    fn at(s: u64) -> Tick {
        Tick(s * 1_000_000_000)
    }

    fn conf() -> snapshot::Breaker {
        snapshot().breaker
    }

    fn run(b: &mut Breaker, now: Tick, verdict: Verdict) {
        let t = b.enter(now, &conf(), false).unwrap();
        b.record(t, verdict, now, &conf(), 0);
    }

    fn opened() -> Breaker {
        let mut b = Breaker::default();
        for _ in 0..5 {
            run(&mut b, at(100), BAD);
        }
        b
    }

    #[test]
    fn consecutive_failures_open_it_and_a_success_between_does_not_count() {
        let mut b = Breaker::default();
        for v in [BAD, BAD, BAD, BAD, Verdict::Good, BAD, BAD, BAD, BAD] {
            run(&mut b, at(100), v);
        }
        assert_eq!(b.gate(at(100), &conf()), Gate::Closed);
        run(&mut b, at(100), BAD);
        assert_eq!(b.gate(at(100), &conf()), Gate::Open { until: at(130), why: Class::Server });
    }

    #[test]
    fn a_ratio_opens_it_once_there_are_enough_outcomes() {
        let mut b = Breaker::default();
        for i in 0..19 {
            run(&mut b, at(100), if i % 2 == 0 { BAD } else { Verdict::Good });
        }
        assert_eq!(b.gate(at(100), &conf()), Gate::Closed, "19 of 20");
        run(&mut b, at(100), BAD);
        assert!(!b.gate(at(100), &conf()).lets_in());
    }

    #[test]
    fn failures_older_than_the_window_are_forgotten() {
        let mut b = Breaker::default();
        for i in 0..19 {
            run(&mut b, at(100), if i % 2 == 0 { BAD } else { Verdict::Good });
        }
        run(&mut b, at(140), BAD);
        assert_eq!(b.gate(at(140), &conf()), Gate::Closed);
    }

    #[test]
    fn half_open_lets_three_in_and_closes_after_two() {
        let mut b = opened();
        assert!(b.enter(at(129), &conf(), false).is_err());
        let tickets: Vec<_> = (0..3).map(|_| b.enter(at(130), &conf(), false).unwrap()).collect();
        assert_eq!(b.enter(at(130), &conf(), false), Err(Gate::Probing));
        b.record(tickets[0], BAD, at(131), &conf(), 0);
        b.record(tickets[1], Verdict::Good, at(131), &conf(), 0);
        assert_eq!(b.gate(at(131), &conf()), Gate::Probing);
        b.record(tickets[2], Verdict::Good, at(131), &conf(), 0);
        assert_eq!(b.gate(at(131), &conf()), Gate::Closed);
        for _ in 0..4 {
            run(&mut b, at(131), BAD);
        }
        assert_eq!(b.gate(at(131), &conf()), Gate::Closed, "its window started afresh");
    }

    #[test]
    fn a_probe_that_says_nothing_gives_its_place_back() {
        let mut b = opened();
        for _ in 0..9 {
            run(&mut b, at(130), Verdict::Neutral);
        }
        assert_eq!(b.gate(at(130), &conf()), Gate::HalfOpen);
    }

    #[test]
    fn it_opens_longer_each_time_with_a_bound() {
        let mut b = opened();
        let mut now = at(130);
        let mut spans = vec![];
        for _ in 0..6 {
            run(&mut b, now, BAD);
            run(&mut b, now, BAD);
            let Gate::Open { until, .. } = b.gate(now, &conf()) else { panic!("open") };
            spans.push(until.since(now).as_secs());
            now = until;
        }
        assert_eq!(spans, [60, 120, 240, 480, 480, 480]);
    }

    #[test]
    fn late_verdicts_of_an_earlier_state_are_ignored() {
        let mut b = Breaker::default();
        let old = b.enter(at(100), &conf(), false).unwrap();
        for _ in 0..5 {
            run(&mut b, at(100), BAD);
        }
        b.record(old, Verdict::Good, at(101), &conf(), 0);
        assert!(!b.gate(at(101), &conf()).lets_in());
        let probe = b.enter(at(130), &conf(), false).unwrap();
        b.record(old, BAD, at(130), &conf(), 0);
        b.record(old, BAD, at(130), &conf(), 0);
        b.record(probe, Verdict::Good, at(130), &conf(), 0);
        run(&mut b, at(130), Verdict::Good);
        assert_eq!(b.gate(at(130), &conf()), Gate::Closed);
    }

    #[test]
    fn a_retry_after_holds_a_closed_circuit_and_extends_an_open_one() {
        let mut b = Breaker::default();
        let slow_down = Verdict::Bad { class: Class::RateLimited, retry_after: Some(Duration::from_secs(50)) };
        run(&mut b, at(100), slow_down);
        assert_eq!(b.enter(at(149), &conf(), true), Err(Gate::Held { until: at(150) }), "even when forced");
        assert_eq!(b.gate(at(150), &conf()), Gate::Closed);
        let mut b = Breaker::default();
        let tickets: Vec<_> = (0..5).map(|_| b.enter(at(100), &conf(), false).unwrap()).collect();
        for t in tickets {
            b.record(t, slow_down, at(100), &conf(), 0);
        }
        assert_eq!(b.gate(at(149), &conf()).due(), at(150));
    }

    #[test]
    fn a_forced_try_that_works_lets_probes_in() {
        let mut b = opened();
        let t = b.enter(at(101), &conf(), true).unwrap();
        b.record(t, Verdict::Good, at(102), &conf(), 0);
        assert_eq!(b.gate(at(102), &conf()), Gate::HalfOpen);
    }

    proptest! {
        /// Whatever happens in whatever order: never more than the bound of probes at once, and the circuit is never
        /// stuck: with every ticket given back and time passing, a try gets in.
        #[test]
        fn probes_are_bounded_and_it_always_recovers(steps in proptest::collection::vec((0u8..4, 0u64..40), 1..300)) {
            let conf = conf();
            let mut b = Breaker::default();
            let mut now = at(1000);
            let mut out: Vec<Ticket> = vec![];
            for (what, secs) in steps {
                match what {
                    0 => if let Ok(t) = b.enter(now, &conf, false) { out.push(t) },
                    1 => if let Some(t) = out.pop() { b.record(t, BAD, now, &conf, 5_000) },
                    2 => if let Some(t) = out.pop() { b.record(t, Verdict::Good, now, &conf, 5_000) },
                    _ => now = now.after(Duration::from_secs(secs)),
                }
                let probes = out.iter().filter(|t| t.probe && t.epoch == b.epoch).count();
                prop_assert!(probes <= conf.half_open_probes as usize);
            }
            for t in out { b.record(t, Verdict::Neutral, now, &conf, 0) }
            let now = now.after(Duration::from_secs(3600));
            prop_assert!(b.enter(now, &conf, false).is_ok());
        }
    }
}
