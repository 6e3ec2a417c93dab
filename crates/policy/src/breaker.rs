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
/// Who had an answer himself so lately needs nobody's word.
const OWN: Duration = Duration::from_secs(10);
/// A Retry-After that another pod met keeps callers off no longer.
const MOST_ADVISED: Duration = Duration::from_secs(600);
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
    /// The same of a Retry-After that another pod met.
    advised_until: Tick,
    /// When a try worked last.
    good_at: Option<Tick>,
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
        /// By the word of other pods.
        advised: bool,
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

    /// When it is due, for those that do not let in; `Probing` was due before the probes under way went.
    #[must_use]
    pub fn due(self) -> Tick {
        match self {
            Gate::Closed | Gate::HalfOpen | Gate::Probing => Tick(0),
            Gate::Open { until, .. } | Gate::Held { until } => until,
        }
    }

    /// What two circuits in a row come to: a Retry-After before all, else the one that is due later.
    #[must_use]
    pub fn and(self, other: Gate) -> Gate {
        let rank = |gate: Gate| match gate {
            Gate::Closed => (0, Tick(0)),
            Gate::HalfOpen => (1, Tick(0)),
            Gate::Probing => (2, Tick(0)),
            Gate::Open { until, .. } => (3, until),
            Gate::Held { until } => (4, until),
        };
        if rank(other) > rank(self) { other } else { self }
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

/// What a pod knows of a provider or a target by its own tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It answered lately.
    Works,
    /// Its circuit is open.
    Fails {
        /// Until a probe is due.
        left: Duration,
        /// The class that opened it.
        why: Class,
    },
    /// It asked to wait.
    Held {
        /// Until that is over.
        left: Duration,
    },
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
        let held = self.held_until.max(self.advised_until);
        if now < held {
            return Gate::Held { until: held };
        }
        match self.state {
            State::Closed => Gate::Closed,
            State::Open { until, why, .. } if now < until => Gate::Open { until, why },
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
        if verdict == Verdict::Good {
            self.good_at = self.good_at.max(Some(now));
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

    /// What this pod can say to others; `None` where it knows nothing by itself.
    #[must_use]
    pub fn finding(&self, now: Tick) -> Option<Finding> {
        if now < self.held_until {
            return Some(Finding::Held { left: self.held_until.since(now) });
        }
        match self.state {
            State::Open { until, why, advised: false } if now < until => {
                Some(Finding::Fails { left: until.since(now), why })
            }
            State::Closed if self.is_fresh(now) => Some(Finding::Works),
            _ => None,
        }
    }

    /// Takes what most other pods find. Who has had an answer lately, or found by himself that there is none, needs it not;
    /// a Retry-After is obeyed by all, since it is of the account.
    ///
    /// Nobody's word keeps callers off for longer than a circuit that opens: then a probe finds out.
    pub fn advise(&mut self, finding: Finding, now: Tick, conf: &snapshot::Breaker) {
        let is_fresh = self.is_fresh(now);
        match (finding, &mut self.state) {
            (Finding::Held { left }, _) => {
                self.advised_until = self.advised_until.max(now.after(left.min(MOST_ADVISED)));
            }
            (Finding::Fails { left, why }, State::Closed) if !is_fresh => {
                let until = now.after(left.min(conf.open_for));
                self.change(State::Open { until, why, advised: true });
            }
            (Finding::Fails { left, .. }, State::Open { until, advised: true, .. }) => {
                *until = (*until).max(now.after(left.min(conf.open_for)));
            }
            // It works for them: a probe finds out whether it does from here.
            (Finding::Works, State::Open { until, advised: true, .. }) => *until = (*until).min(now),
            _ => {}
        }
    }

    fn is_fresh(&self, now: Tick) -> bool {
        self.good_at.is_some_and(|at| now.since(at) < OWN)
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
        self.change(State::Open { until, why, advised: false });
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
#[path = "breaker_tests.rs"]
mod tests;
