//! Given what happened so far: try, wait, or stop (DESIGN section 2, "Attempts"; section 4, rule 2).

use std::time::Duration;

use crate::{
    Tick,
    outcome::{Blame, Failure, Next, Same},
    snapshot::{ProviderId, Retries},
};

/// What the course of a request needs to know of a candidate.
#[derive(Clone, Copy, Debug)]
pub struct Leg {
    /// Whose.
    pub provider: ProviderId,
    /// Context length of its model, where known.
    pub context_tokens: Option<u64>,
}

/// The course of one request over its candidates.
#[derive(Clone, Debug)]
pub struct Course {
    legs: Vec<Standing>,
    retries: Retries,
    /// Tries made, the first included.
    made: u32,
    /// Repeats of the present target; exponent of its backoff.
    repeats: u32,
}

#[derive(Clone, Copy, Debug)]
struct Standing {
    leg: Leg,
    tried: bool,
    out: bool,
    /// A fault blamed its provider: once left, it is not come back to.
    blamed: bool,
    /// Rate limited until then.
    held: Option<Tick>,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Try the candidate at this index after this pause.
    Try {
        /// Index into the plan's candidates.
        candidate: usize,
        /// Pause before it.
        wait: Duration,
    },
    /// Nothing is left.
    Stop,
}

/// What the present says when a step is chosen.
pub struct Present<'a> {
    /// Now.
    pub now: Tick,
    /// When the request must be committed.
    pub deadline: Tick,
    /// Uniform in 0..=9999, for the jitter.
    pub random: u32,
    /// Asks for one repeat on a provider from its retry budget; called only for a step that is otherwise chosen.
    pub repeat: &'a mut dyn FnMut(ProviderId) -> bool,
}

impl Course {
    /// A course over the plan's candidates.
    #[must_use]
    pub fn new(legs: impl IntoIterator<Item = Leg>, retries: Retries) -> Course {
        let legs =
            legs.into_iter().map(|leg| Standing { leg, tried: false, out: false, blamed: false, held: None }).collect();
        Course { legs, retries, made: 0, repeats: 0 }
    }

    /// Tries made so far.
    #[must_use]
    pub fn made(&self) -> u32 {
        self.made
    }

    /// Whether another try could still follow a failure of `candidate`; while it could, a stream's preamble is held.
    #[must_use]
    pub fn could_go_on(&self) -> bool {
        self.made < self.retries.attempts && self.legs.iter().any(|l| !l.out)
    }

    /// Whether the candidate at this index can still be tried, and was not yet.
    #[must_use]
    pub fn is_open(&self, candidate: usize) -> bool {
        self.legs.get(candidate).is_some_and(|l| !l.out && !l.tried)
    }

    /// The first try.
    #[must_use]
    pub fn first(&self) -> Step {
        if self.legs.is_empty() { Step::Stop } else { Step::Try { candidate: 0, wait: Duration::ZERO } }
    }

    /// A try of `candidate` starts; it counts from here.
    pub fn begin(&mut self, candidate: usize) {
        self.made += 1;
        self.legs[candidate].tried = true;
    }

    /// `candidate` could not be entered (its circuit shut meanwhile, or no permit): costs no try.
    pub fn skip(&mut self, candidate: usize, present: &mut Present<'_>) -> Step {
        self.legs[candidate].out = true;
        self.onward(candidate, Next::Yes, present)
    }

    /// `candidate` failed.
    pub fn after(&mut self, candidate: usize, failure: &Failure, present: &mut Present<'_>) -> Step {
        let row = failure.row();
        let leg = self.legs[candidate].leg;
        if row.blame == Blame::Provider {
            self.legs[candidate].blamed = true;
            // The target itself stays in while its row allows a repeat; its siblings are out.
            for (i, l) in self.legs.iter_mut().enumerate() {
                l.out |= l.leg.provider == leg.provider && i != candidate;
            }
        }
        if row.same == Same::No {
            self.legs[candidate].out = true;
        }
        let left = self.retries.attempts.saturating_sub(self.made);
        if left == 0 {
            return Step::Stop;
        }
        let wait = self.pause(failure, present.random);
        match row.same {
            Same::Yes if left > self.untried_providers() => {
                if present.now.after(wait) < present.deadline && (present.repeat)(leg.provider) {
                    self.repeats += 1;
                    return Step::Try { candidate, wait };
                }
            }
            Same::Yes | Same::No => {}
            Same::IfLast => self.legs[candidate].held = Some(present.now.after(wait)),
        }
        if row.next == Next::No {
            return Step::Stop;
        }
        // Moving on is final, but for a rate limit, which may be waited out once nobody else is left.
        if row.same != Same::IfLast {
            self.legs[candidate].out = true;
        }
        self.onward(candidate, row.next, present)
    }

    /// The next candidate in order that may be tried, at once; where none is left, the rate-limited one due soonest.
    fn onward(&mut self, from: usize, next: Next, present: &mut Present<'_>) -> Step {
        let left = self.retries.attempts.saturating_sub(self.made);
        if left == 0 || present.now >= present.deadline {
            return Step::Stop;
        }
        // The last tries are kept for providers nobody has tried.
        let only_untried = left <= self.untried_providers();
        let floor = self.legs[from].leg.context_tokens;
        let fits = |leg: &Leg| next != Next::LargerContext || leg.context_tokens > floor;
        let order = (from + 1..self.legs.len()).chain(0..from);
        for i in order {
            let Standing { leg, tried, out, .. } = self.legs[i];
            let fresh = !self.provider_tried(leg.provider);
            if out || tried || !fits(&leg) || (only_untried && !fresh) {
                continue;
            }
            if fresh || (present.repeat)(leg.provider) {
                self.repeats = 0;
                return Step::Try { candidate: i, wait: Duration::ZERO };
            }
        }
        let held = self.legs.iter().enumerate().filter(|(i, l)| !l.out && fits(&l.leg) && (*i == from || !l.blamed));
        let soonest = held.filter_map(|(i, l)| Some((l.held?, i, l.leg.provider))).min();
        match soonest {
            Some((due, candidate, provider)) if due < present.deadline && (present.repeat)(provider) => {
                self.repeats += 1;
                Step::Try { candidate, wait: due.since(present.now) }
            }
            _ => Step::Stop,
        }
    }

    fn provider_tried(&self, provider: ProviderId) -> bool {
        self.legs.iter().any(|l| l.tried && l.leg.provider == provider)
    }

    fn untried_providers(&self) -> u32 {
        let mut seen: Vec<ProviderId> = vec![];
        for l in &self.legs {
            if !l.out && !self.provider_tried(l.leg.provider) && !seen.contains(&l.leg.provider) {
                seen.push(l.leg.provider);
            }
        }
        seen.len() as u32
    }

    /// Full jitter: uniform below the exponential bound; a Retry-After is obeyed as given.
    fn pause(&self, failure: &Failure, random: u32) -> Duration {
        if let Some(wait) = failure.retry_after() {
            return wait;
        }
        let Retries { base, cap, .. } = self.retries;
        let bound = base.saturating_mul(1 << self.repeats.min(16)).min(cap);
        bound.mul_f64(f64::from(random.min(9_999)) / 10_000.0)
    }
}

#[cfg(test)]
#[path = "attempt_tests.rs"]
mod tests;
