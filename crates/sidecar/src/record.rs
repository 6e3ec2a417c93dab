//! One outcome an attempt, recorded in one place: circuits, windows, retry budget, metrics, span.

use policy::{
    Tick,
    breaker::{Gate, Verdict},
    ledger::Settled,
    money::Usd,
    outcome::{Blame, Class, Failure, Outcome},
};

use crate::{admit::Permit, state::Health, telemetry::metrics::Metrics};

/// Takes the end of one attempt.
pub(crate) fn record(permit: &mut Permit, outcome: &Outcome, settled: Settled, now: Tick) {
    let conf = &permit.in_force.snapshot.breaker;
    let live = permit.in_force.live(outcome.provider);
    let (outer, inner) = verdicts(outcome);
    let latency = match outcome.class {
        Class::Success => outcome.first_content,
        Class::Timeout => Some(outcome.duration),
        _ => None,
    };
    let jitter = || fastrand::u32(0..10_000);
    let take = |h: &mut Health, ticket, verdict| {
        let before = h.breaker.gate(now, conf);
        h.breaker.record(ticket, verdict, now, conf, jitter());
        h.window(outcome.stream).record(outcome.class, latency, now);
        let after = h.breaker.gate(now, conf);
        (before.label() != after.label()).then_some(after)
    };
    let outer = live.cell.with(|h| take(h, permit.tickets.0, outer));
    let inner = permit.cell.with(|h| take(h, permit.tickets.1, inner));
    for (gate, of_model) in [(outer, false), (inner, true)] {
        if let Some(gate) = gate {
            tell(permit, gate, of_model, outcome, now);
        }
    }
    if outcome.class == Class::Success {
        live.cell.repeats(|b| b.deposit(now));
    }
    // What is charged by a bound is told as that alone.
    let known = outcome.tokens.as_ref().filter(|_| !settled.estimated);
    let cost = known.and_then(|t| permit.cost(t));
    Metrics::attempt(&permit.in_force, permit.model.as_ref(), outcome, cost, &settled);
    if settled.debt.usd > Usd::ZERO {
        let model = permit.model.as_deref().unwrap_or_default();
        let provider = &*permit.in_force.snapshot.provider(outcome.provider).name;
        let debt_usd = settled.debt.usd.to_string();
        permit.span.log(|trace_id| {
            tracing::warn!(trace_id, provider, model, debt_usd, "the provider billed more than was asked of it");
        });
    }
    if tracing::event_enabled!(tracing::Level::TRACE) {
        let (class, ms) = (outcome.class.label(), outcome.duration.as_millis() as u64);
        let provider = &*permit.in_force.snapshot.provider(outcome.provider).name;
        permit.span.log(|trace_id| tracing::trace!(trace_id, provider, class, ms, "attempt ended"));
    }
    permit.span.end(&permit.in_force.snapshot, outcome, cost);
}

/// A circuit changed: one line, and an event of the attempt's span where it has one.
fn tell(permit: &Permit, gate: Gate, of_model: bool, outcome: &Outcome, now: Tick) {
    let provider = &*permit.in_force.snapshot.provider(outcome.provider).name;
    let model = if of_model { permit.model.as_deref().unwrap_or_default() } else { "" };
    let (circuit, why) = (gate.label(), gate.why(now).unwrap_or_default());
    permit.span.log(|trace_id| match gate {
        Gate::Open { .. } | Gate::Held { .. } => {
            tracing::warn!(trace_id, provider, model, circuit, why, "circuit opened");
        }
        _ => tracing::info!(trace_id, provider, model, circuit, why, "circuit changed"),
    });
}

/// What the outcome says to the provider's circuit and to the target's.
fn verdicts(outcome: &Outcome) -> (Verdict, Verdict) {
    let Some(failure) = &outcome.failure else {
        let verdict = if outcome.class == Class::Success { Verdict::Good } else { Verdict::Neutral };
        return (verdict, verdict);
    };
    let retry_after = if let Failure::RateLimited { retry_after } = failure { *retry_after } else { None };
    let bad = Verdict::Bad { class: outcome.class, retry_after };
    match failure.row().blame {
        // A provider that is away says nothing of the model, and its circuit alone keeps callers off.
        Blame::Provider => (bad, Verdict::Neutral),
        // Silence says nothing of the provider's other models; any answer says that the provider is there.
        Blame::Target if outcome.class == Class::Timeout => (Verdict::Neutral, bad),
        Blame::Target => (Verdict::Good, bad),
        Blame::Nobody => (Verdict::Good, Verdict::Good),
    }
}
