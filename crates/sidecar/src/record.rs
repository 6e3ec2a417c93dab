//! One outcome an attempt, recorded in one place: circuits, windows, retry budget, metrics, span.

use policy::{
    breaker::Verdict,
    outcome::{Blame, Class, Failure, Outcome},
};

use crate::{admit::Permit, clock, telemetry::metrics::Metrics};

/// Takes the end of one attempt.
pub(crate) fn record(permit: &mut Permit, outcome: &Outcome) {
    let now = clock::now();
    let conf = &permit.in_force.snapshot.breaker;
    let live = permit.in_force.live(outcome.provider);
    let (outer, inner) = verdicts(outcome);
    let latency = match outcome.class {
        Class::Success => outcome.first_content,
        Class::Timeout => Some(outcome.duration),
        _ => None,
    };
    let jitter = || fastrand::u32(0..10_000);
    live.cell.with(|h| {
        h.breaker.record(permit.tickets.0, outer, now, conf, jitter());
        h.window(outcome.stream).record(outcome.class, latency, now);
    });
    permit.cell.with(|h| {
        h.breaker.record(permit.tickets.1, inner, now, conf, jitter());
        h.window(outcome.stream).record(outcome.class, latency, now);
    });
    if outcome.class == Class::Success {
        live.cell.repeats(|b| b.deposit(now));
    }
    let cost = outcome.tokens.as_ref().and_then(|t| permit.cost(t));
    Metrics::attempt(&permit.in_force, &permit.payer, permit.model.as_ref(), outcome, cost, now);
    permit.span.end(outcome, cost);
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
