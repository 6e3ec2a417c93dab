//! The page. Prometheus' own text format 0.0.4 rather than OpenMetrics, which forbids a counter without `_total`.

use std::{fmt, sync::Arc};

use policy::{Tick, breaker::Gate, snapshot::ProviderId};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text::encode_registry},
    registry::Registry,
};

use super::{
    caps, core,
    instruments::{
        BODY_BUDGET, BODY_BYTES, BUILD, BY_ID, BY_ID_BYTES, CIRCUIT, CONTROL_CONNECTED, CONTROL_SNAPSHOTS,
        CREDENTIAL_MISSING, CREDENTIAL_VANISHED, DECISIONS, DECISIONS_LOST, DRAINING, JOURNAL_FAILING, JOURNAL_WAITS,
        JOURNAL_WRITES, LEASE_CUT_OFF, LEASE_WAITED, LEASE_WAITS, LINES_LOST, NOT_IN_FORCE, POLICY, POLICY_GENERATION,
        POLICY_REFUSED, POLICY_SINCE, PROVIDER_CIRCUIT, SPANS_EXPORTED, SPANS_LOST, WAITING,
    },
    table::Out,
};
use crate::{
    control::Link,
    state::{InForce, State},
};

/// Writes it.
pub(super) fn render(state: &Arc<State>, now: Tick) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page { state: state.clone(), now }));
    let mut text = String::new();
    if encode_registry(&mut text, &registry).is_err() {
        tracing::error!("the metrics page is cut short: a value could not be written");
    }
    text
}

struct Page {
    state: Arc<State>,
    now: Tick,
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Page")
    }
}

impl Collector for Page {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (state, made) = (&*self.state, &self.state.telemetry.metrics.instruments);
        let in_force = state.in_force.load_full();
        let out = &mut Out(encoder);
        let caps = if in_force.is_some() { state.money.nearest(self.now) } else { vec![] };
        core::write(out, &made.fallbacks, in_force.as_deref(), &caps, self.now)?;

        out.table(&made.requests)?;
        out.table(&made.request_duration)?;
        out.table(&made.first_content)?;
        out.single(&made.requests_open)?;
        out.single(&made.streams_open)?;
        out.single(&made.connections_open)?;
        out.single(&made.unknown_hints)?;
        out.single(&made.failed_rules)?;

        let (queued, running, bytes) = state.later.get().map_or((0, 0, 0), |later| later.counts());
        out.rows(&BY_ID, [(["queued"], queued as f64), (["running"], running as f64)])?;
        out.one(&BY_ID_BYTES, bytes as f64)?;
        out.table(&made.by_id_ended)?;

        out.table(&made.attempts)?;
        out.table(&made.attempt_duration)?;
        out.table(&made.attempt_first_content)?;
        out.table(&made.retries)?;
        circuits(out, in_force.as_deref(), self.now)?;

        out.table(&made.tokens)?;
        out.table(&made.cost)?;
        out.table(&made.estimated)?;
        out.table(&made.overrun)?;
        caps::write(out, &caps)?;
        out.one(&WAITING, state.money.waiting() as f64)?;
        let journal = state.money.journal().unwrap_or_default();
        out.rows(&JOURNAL_WRITES, [(["ok"], journal.writes as f64), (["failed"], journal.failures as f64)])?;
        out.one(&JOURNAL_WAITS, journal.waits as f64)?;
        out.one(&JOURNAL_FAILING, flag(journal.failing.is_some()))?;
        let (lease, waits) = (state.money.lease(), state.money.waits().unwrap_or_default());
        out.one(&LEASE_CUT_OFF, flag(!caps.is_empty() && lease.is_some_and(|lease| lease.ends.is_none())))?;
        let unanswered = waits.all.saturating_sub(waits.answered);
        out.rows(&LEASE_WAITS, [(["answered"], waits.answered as f64), (["unanswered"], unanswered as f64)])?;
        out.one(&LEASE_WAITED, waits.waited.as_secs_f64())?;

        policy(out, state, in_force.as_deref())?;
        credentials(out, state, in_force.as_deref())?;
        operator(out, state)?;

        out.rows(&BUILD, [([env!("CARGO_PKG_VERSION")], 1.0)])?;
        let lost = state.telemetry.lost();
        out.one(&SPANS_EXPORTED, lost.spans_exported as f64)?;
        out.rows(
            &SPANS_LOST,
            [(["queue_full"], lost.queue_full as f64), (["export_failed"], lost.export_failed as f64)],
        )?;
        out.one(&DECISIONS, lost.decisions as f64)?;
        out.one(&DECISIONS_LOST, lost.decisions_lost as f64)?;
        out.one(&LINES_LOST, lost.lines_lost as f64)?;
        out.one(&DRAINING, flag(state.is_draining()))?;
        out.one(&BODY_BYTES, state.memory.held() as f64)?;
        out.one(&BODY_BUDGET, state.memory.total() as f64)
    }
}

fn circuits(out: &mut Out<'_>, in_force: Option<&InForce>, now: Tick) -> fmt::Result {
    let providers = || in_force.into_iter().flat_map(|f| f.snapshot.providers.iter().enumerate().map(move |p| (f, p)));
    let own = providers().map(|(f, (i, p))| {
        let live = f.live(ProviderId(i as u16));
        ([&*p.name], number(live.cell.with(|h| h.breaker.gate(now, &f.snapshot.breaker))))
    });
    out.rows(&PROVIDER_CIRCUIT, own)?;
    let targets = providers().flat_map(|(f, (i, p))| {
        let id = ProviderId(i as u16);
        f.snapshot.models(id).into_iter().map(move |model| {
            let gate = f.cell(id, Some(model)).with(|h| h.breaker.gate(now, &f.snapshot.breaker));
            ([&*p.name, &**model], number(gate))
        })
    });
    out.rows(&CIRCUIT, targets)
}

fn number(gate: Gate) -> f64 {
    match gate {
        Gate::Closed => 0.0,
        Gate::HalfOpen | Gate::Probing => 1.0,
        Gate::Open { .. } | Gate::Held { .. } => 2.0,
    }
}

fn policy(out: &mut Out<'_>, state: &State, in_force: Option<&InForce>) -> fmt::Result {
    let snapshot = in_force.map(|f| &f.snapshot);
    out.rows(&POLICY, snapshot.map(|s| ([&s.name], 1.0)))?;
    out.one(&POLICY_GENERATION, snapshot.and_then(|s| s.generation).unwrap_or(0) as f64)?;
    out.one(&POLICY_SINCE, in_force.map_or(0, |f| f.since.as_secs()) as f64)?;
    out.one(&POLICY_REFUSED, state.refused.load().as_ref().map_or(0, |r| r.faults.len()) as f64)?;
    out.rows(&NOT_IN_FORCE, snapshot.into_iter().flat_map(|s| &s.not_in_force).map(|f| ([&f.path], 1.0)))
}

fn operator(out: &mut Out<'_>, state: &State) -> fmt::Result {
    let link = state.control.as_deref();
    let (accepted, rejected) = link.map_or((0, 0), Link::counts);
    out.one(&CONTROL_CONNECTED, flag(link.is_some_and(Link::is_up)))?;
    out.rows(&CONTROL_SNAPSHOTS, [(["accepted"], accepted as f64), (["rejected"], rejected as f64)])
}

fn credentials(out: &mut Out<'_>, state: &State, in_force: Option<&InForce>) -> fmt::Result {
    let keys = state.keys.load();
    let providers = in_force.into_iter().flat_map(|f| &f.snapshot.providers);
    let missing = providers.filter_map(|p| {
        let key = p.credential_key.as_ref()?;
        Some(([&p.name], flag(keys.get(key).is_none())))
    });
    out.rows(&CREDENTIAL_MISSING, missing)?;
    out.rows(&CREDENTIAL_VANISHED, keys.names().map(|(name, gone)| ([name], flag(gone))))
}

fn flag(on: bool) -> f64 {
    if on { 1.0 } else { 0.0 }
}
