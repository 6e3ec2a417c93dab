//! What is counted: the six core metrics and `llmroute_*`, in Prometheus' text format.

mod caps;
mod core;
mod instruments;
mod names;
mod page;
mod series;
mod table;

use std::sync::Arc;

use parking_lot::Mutex;
use policy::{
    Tick,
    ledger::Settled,
    money::Usd,
    outcome::Outcome,
    reason::Reason,
    snapshot::{ProviderId, Snapshot},
};
use prometheus_client::metrics::gauge::Gauge;

use super::decision::{Ending, Status};
use crate::state::{InForce, State};
use instruments::Instruments;
use names::Names;
pub use series::Series;
use series::{Request, RequestKey};

/// All counters and histograms of the process.
#[derive(Debug, Default)]
pub struct Metrics {
    instruments: Instruments,
    /// Held while rows are made or dropped, so that a name that is no longer in force cannot come back.
    names: Mutex<Names>,
}

/// Something that is open until it is dropped.
#[derive(Debug)]
pub struct Open(Gauge);

impl Open {
    fn new(gauge: &Gauge) -> Open {
        gauge.inc();
        Open(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// A policy comes into force: its rows exist from now on, and those of names that are gone vanish.
    #[must_use]
    pub fn policy_in_force(&self, snapshot: &Snapshot) -> Series {
        let mut names = self.names.lock();
        *names = Names::of(snapshot);
        self.instruments.retain(&names);
        Series::new(snapshot, &names, &self.instruments)
    }

    /// The page.
    #[must_use]
    pub fn render(&self, state: &Arc<State>, now: Tick) -> String {
        page::render(state, now)
    }

    /// An app connected.
    #[must_use]
    pub fn connection(&self) -> Open {
        Open::new(&self.instruments.connections_open.value)
    }

    /// A request was accepted.
    #[must_use]
    pub fn request_open(&self) -> Open {
        Open::new(&self.instruments.requests_open.value)
    }

    /// A stream was committed.
    #[must_use]
    pub fn stream_open(&self) -> Open {
        Open::new(&self.instruments.streams_open.value)
    }

    /// A request by id ended.
    pub fn later_ended(&self, how: &'static str) {
        self.instruments.by_id_ended.of([how]).inc();
    }

    /// A hint that named nothing, or a rule that failed, was ignored.
    pub fn ignored(&self, unknown_hints: u32, failed_rules: u32) {
        if unknown_hints > 0 {
            self.instruments.unknown_hints.value.inc_by(unknown_hints.into());
        }
        if failed_rules > 0 {
            self.instruments.failed_rules.value.inc_by(failed_rules.into());
        }
    }

    /// A request went from the provider it preferred to a target of another standing.
    pub fn fallback(&self, in_force: &InForce, from: ProviderId, to: ProviderId, reason: Reason) {
        let snapshot = &in_force.snapshot;
        let make = || {
            let names = self.names.lock();
            let (from, to) = (&snapshot.provider(from).name, &snapshot.provider(to).name);
            let known = names.provider(from) && names.provider(to);
            if known { self.instruments.fallbacks.of([from, to, &reason.text(snapshot)]) } else { Default::default() }
        };
        in_force.series.fallbacks.with((from, to, reason), make, |count| {
            count.inc();
        });
    }

    /// One attempt ended; `model` as its target names it.
    pub fn attempt(
        in_force: &InForce,
        model: Option<&Arc<str>>,
        outcome: &Outcome,
        cost: Option<Usd>,
        settled: &Settled,
    ) {
        let Some(target) = in_force.series.target(outcome.provider, model) else { return };
        target.class(outcome.class).inc();
        target.duration.observe(outcome.duration);
        if let Some(first_content) = outcome.first_content {
            target.first_content.observe(first_content);
        }
        if let Some(tokens) = &outcome.tokens {
            target.count(tokens);
        }
        if let Some(cost) = cost {
            target.cost.add(cost);
        }
        if settled.estimated {
            target.estimated.add(settled.charged.usd);
        }
        target.overrun.add(settled.debt.usd);
    }

    /// A first send of an attempt is charged, and it is sent once more.
    pub fn charged(in_force: &InForce, provider: ProviderId, model: Option<&Arc<str>>, settled: &Settled) {
        if let Some(target) = in_force.series.target(provider, model) {
            target.estimated.add(settled.charged.usd);
        }
    }

    /// One request ended.
    pub fn request(&self, ending: &Ending, now: Tick) {
        let key = RequestKey {
            call: ending.call,
            classified: ending.ask.as_ref().map(|a| (a.scene, a.tier, a.stream)),
            status: if ending.client_gone { "client_gone" } else { ending.status.label() },
            reason: ending.reason,
        };
        let count = |row: &Request| {
            row.count.inc();
            row.duration.observe(ending.duration);
            if let Some(first_content) = ending.first_content {
                row.first_content.observe(first_content);
            }
        };
        let Some(in_force) = &ending.in_force else { return count(&self.request_rows(None, &key)) };
        in_force.series.requests.with(key, || self.request_rows(Some(&in_force.snapshot), &key), count);
        // A caller that left before there was an answer says nothing of how answers are.
        let answered = ending.served.is_some() || !ending.client_gone;
        if let (Some(ask), true) = (&ending.ask, answered) {
            in_force.series.answers[usize::from(ask.scene.0)].add(ending.status == Status::Degraded, now);
        }
    }

    /// Rows by name; those of names that are no longer in force count into the void, as do the times of requests that
    /// were refused before they were understood.
    fn request_rows(&self, snapshot: Option<&Snapshot>, key: &RequestKey) -> Request {
        let reason = match (key.reason, snapshot) {
            (None, _) => String::new(),
            (Some(reason), Some(snapshot)) => reason.text(snapshot),
            (Some(reason), None) => reason.cause.row().label.to_owned(),
        };
        let made = &self.instruments;
        let names = self.names.lock();
        let (Some((scene, tier, stream)), Some(snapshot)) = (key.classified, snapshot) else {
            let count = made.requests.of([key.call, "", "", key.status, &reason]);
            return Request { count, ..Request::default() };
        };
        let (scene, tier) = (&snapshot.scene(scene).name, &snapshot.tier(tier).name);
        if !names.scene(scene) || !names.tier(tier) {
            return Request::default();
        }
        let times = [&**scene, &**tier, if stream { "true" } else { "false" }];
        Request {
            count: made.requests.of([key.call, scene, tier, key.status, &reason]),
            duration: made.request_duration.of(times),
            first_content: made.first_content.of(times),
        }
    }
}

#[cfg(test)]
mod tests;
