//! A permit before every attempt: the circuits entered, and with budgets the money held. It settles exactly once, with
//! the attempt's end, or as cancelled when it is dropped.

use std::{sync::Arc, time::Duration};

use policy::{
    Tick,
    ask::Ask,
    breaker::{Gate, Ticket},
    catalogue::{Price, Tokens},
    money::Usd,
    outcome::{Class, Failure, Outcome},
    plan::Candidate,
};

use crate::{
    clock,
    record::record,
    state::{Cell, InForce, State},
    telemetry::{AttemptSpan, metrics::Payer},
};

/// Permission for one attempt.
pub struct Permit {
    /// Shared state, for `record`.
    pub(crate) state: Arc<State>,
    /// The policy pinned by the request.
    pub(crate) in_force: Arc<InForce>,
    pub(crate) cell: Arc<Cell>,
    pub(crate) tickets: (Ticket, Ticket),
    pub(crate) span: AttemptSpan,
    /// The target's own model; `None` where the caller's goes on the wire.
    pub(crate) model: Option<Arc<str>>,
    pub(crate) payer: Payer,
    price: Option<Price>,
    candidate: policy::snapshot::ProviderId,
    stream: bool,
    sent: Tick,
    first_content: Option<Duration>,
    settled: bool,
}

/// The circuit shut between plan and attempt.
#[derive(Debug)]
pub struct Shut(pub Gate);

/// Asks for one attempt of `candidate`.
///
/// # Errors
/// A circuit that lets nobody in; the course skips the candidate.
pub fn admit(
    state: &Arc<State>,
    in_force: &Arc<InForce>,
    candidate: &Candidate,
    ask: &Ask,
    force: bool,
) -> Result<Permit, Shut> {
    let now = clock::now();
    let conf = &in_force.snapshot.breaker;
    let provider = candidate.key.provider;
    let cell = in_force.cell(provider, candidate.target.model.as_ref()).clone();
    let live = in_force.live(provider);
    let outer = live.cell.with(|h| h.breaker.enter(now, conf, force)).map_err(Shut)?;
    let inner = match cell.with(|h| h.breaker.enter(now, conf, force)) {
        Ok(ticket) => ticket,
        Err(gate) => {
            let neutral = policy::breaker::Verdict::Neutral;
            live.cell.with(|h| h.breaker.record(outer, neutral, now, conf, 0));
            return Err(Shut(gate));
        }
    };
    Ok(Permit {
        state: state.clone(),
        in_force: in_force.clone(),
        cell,
        tickets: (outer, inner),
        span: AttemptSpan::none(),
        model: candidate.target.model.clone(),
        payer: Payer::from(ask),
        price: candidate.target.price().copied(),
        candidate: provider,
        stream: ask.stream,
        sent: now,
        first_content: None,
        settled: false,
    })
}

impl Permit {
    /// The first content of a stream, or the head of a plain answer, is here.
    pub fn first_content(&mut self) {
        self.first_content.get_or_insert(clock::now().since(self.sent));
    }

    /// What `tokens` cost at this target, where it has a price.
    #[must_use]
    pub fn cost(&self, tokens: &Tokens) -> Option<Usd> {
        self.price.map(|p| p.cost(tokens))
    }

    /// The attempt gave an answer.
    pub fn settle(mut self, tokens: Option<Tokens>) {
        self.end(Class::Success, None, tokens);
    }

    /// The attempt failed; a committed stream that was cut may have told its usage.
    pub fn fail(mut self, failure: Failure, tokens: Option<Tokens>) {
        self.end(failure.class(), Some(failure), tokens);
    }

    fn end(&mut self, class: Class, failure: Option<Failure>, tokens: Option<Tokens>) {
        self.settled = true;
        let outcome = Outcome {
            provider: self.candidate,
            class,
            failure,
            first_content: self.first_content,
            duration: clock::now().since(self.sent),
            stream: self.stream,
            tokens,
        };
        record(self, &outcome);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.settled {
            self.end(Class::Cancelled, None, None);
        }
    }
}
