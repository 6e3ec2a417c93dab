//! A permit before every attempt: the circuits entered, the money and the rates held. It settles exactly once, with the
//! attempt's end, or as cancelled when it is dropped.

use std::{sync::Arc, time::Duration};

use dialect::Usage;
use policy::{
    Tick,
    ask::Ask,
    breaker::{Gate, Ticket, Verdict},
    catalogue::{Price, ServiceTiers, Tokens},
    ledger::{Amounts, Hold, How},
    money::Usd,
    outcome::{Class, Failure, Outcome},
    plan::{Candidate, TargetKey, Worst},
    snapshot::CancelBilling,
};

use crate::{
    clock,
    money::No,
    record::record,
    state::{Cell, InForce, State},
    telemetry::{AttemptSpan, metrics::Metrics},
    usage::tokens,
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
    price: Option<Price>,
    key: TargetKey,
    stream: bool,
    /// Inference was asked to stay in one region.
    regional: bool,
    /// Coins taken; `None` where no cap is in force, and once it is settled.
    hold: Option<Hold>,
    worst: Worst,
    progress: Progress,
    /// It was sent before, on a connection that died, and may be billed for that.
    sent_before: bool,
    /// Bytes of the answer's content so far.
    received: u64,
    admitted: Tick,
    first_content: Option<Duration>,
    settled: bool,
}

/// How far the request got, as far as its bill goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// No byte of it left.
    Unsent,
    /// It left, and what became of it is not known.
    Sent,
    /// The provider refused it by its status.
    Refused,
}

/// Why an attempt may not be made.
#[derive(Debug)]
pub enum Closed {
    /// The circuit shut between plan and attempt.
    Shut(Gate),
    /// No money, or no room under a rate.
    Money(No),
}

/// Asks for one attempt of `candidate` that may take `worst`; see [`Money::hold`](crate::money::Money::hold) for `sparing`.
///
/// # Errors
/// A circuit that lets nobody in, or a cap without room.
pub fn admit(
    state: &Arc<State>,
    in_force: &Arc<InForce>,
    candidate: &Candidate,
    ask: &Ask,
    worst: &Worst,
    sparing: bool,
) -> Result<Box<Permit>, Closed> {
    let now = clock::now();
    let conf = &in_force.snapshot.breaker;
    let provider = candidate.key.provider;
    let force = matches!(candidate.standing, policy::plan::Standing::LastResort { .. });
    let cell = in_force.cell(provider, candidate.target.model.as_ref()).clone();
    let live = in_force.live(provider);
    let outer = live.cell.with(|h| h.breaker.enter(now, conf, force)).map_err(Closed::Shut)?;
    let leave_outer = || live.cell.with(|h| h.breaker.record(outer, Verdict::Neutral, now, conf, 0));
    let inner = match cell.with(|h| h.breaker.enter(now, conf, force)) {
        Ok(ticket) => ticket,
        Err(gate) => {
            leave_outer();
            return Err(Closed::Shut(gate));
        }
    };
    let hold = match in_force.has_caps {
        true => state.money.hold(in_force, ask, &candidate.key, worst.amounts(), sparing, now).map(Some),
        false => Ok(None),
    };
    let hold = match hold {
        Ok(hold) => hold,
        Err(no) => {
            leave_outer();
            cell.with(|h| h.breaker.record(inner, Verdict::Neutral, now, conf, 0));
            return Err(Closed::Money(no));
        }
    };
    Ok(Box::new(Permit {
        state: state.clone(),
        in_force: in_force.clone(),
        cell,
        tickets: (outer, inner),
        span: AttemptSpan::none(),
        model: candidate.target.model.clone(),
        price: candidate.target.price().copied(),
        key: candidate.key.clone(),
        stream: ask.stream,
        regional: ask.content.regional,
        hold,
        worst: *worst,
        progress: Progress::Unsent,
        sent_before: false,
        received: 0,
        admitted: now,
        first_content: None,
        settled: false,
    }))
}

impl Permit {
    /// The request is about to leave. False if the hold is too old by now: nothing may be sent on it.
    #[must_use]
    pub fn send(&mut self) -> bool {
        let may = self.hold.as_ref().is_none_or(|h| h.may_send(clock::now()));
        if may {
            self.progress = Progress::Sent;
        }
        may
    }

    /// The request is about to leave once more, on another connection. Where the first one may have reached the
    /// provider, that is charged, and the second takes coins of its own; false if there are none.
    #[must_use]
    pub fn send_again(&mut self, ask: &Ask, first_may_be_billed: bool) -> bool {
        self.sent_before |= first_may_be_billed;
        if first_may_be_billed && let Some(first) = self.hold.take() {
            let now = clock::now();
            let settled = self.state.money.settle(first, How::Unseen, now);
            Metrics::charged(&self.in_force, self.key.provider, self.model.as_ref(), &settled);
            let again = self.state.money.hold(&self.in_force, ask, &self.key, self.worst.amounts(), false, now);
            self.progress = Progress::Unsent;
            match again {
                Ok(hold) => self.hold = Some(hold),
                Err(_) => return false,
            }
        }
        self.send()
    }

    /// It did not leave after all.
    pub fn unsent(&mut self) {
        self.progress = Progress::Unsent;
    }

    /// The provider may charge for it, even if no answer comes.
    #[must_use]
    pub fn may_cost(&self) -> bool {
        self.sent_before || self.progress == Progress::Sent
    }

    /// The provider answered with an error status: a clear refusal, which costs nothing.
    pub fn refused(&mut self) {
        self.progress = Progress::Refused;
    }

    /// So many bytes of a stream's content arrived.
    pub fn received(&mut self, bytes: usize) {
        self.received = self.received.saturating_add(bytes as u64);
    }

    /// The first content of a stream, or the head of a plain answer, is here.
    pub fn first_content(&mut self) {
        self.first_content.get_or_insert(clock::now().since(self.admitted));
    }

    /// What the provider counted, with the multiplier of its tier.
    #[must_use]
    pub fn tokens(&self, usage: &Usage) -> Tokens {
        tokens(usage, self.price.as_ref().map_or(&ServiceTiers::NONE, |p| &p.tiers), self.regional)
    }

    /// What `tokens` cost at this target, where it has a price.
    #[must_use]
    pub fn cost(&self, tokens: &Tokens) -> Option<Usd> {
        let cost = self.price.map(|p| p.cost(tokens))?;
        Some(self.worst.bound.map_or(cost, |b| b.settled(cost)))
    }

    /// The attempt gave an answer.
    pub fn settle(mut self: Box<Self>, tokens: Option<Tokens>) {
        self.end(Class::Success, None, tokens);
    }

    /// The attempt failed; a committed stream that was cut may have told its usage.
    pub fn fail(mut self: Box<Self>, failure: Failure, tokens: Option<Tokens>) {
        self.end(failure.class(), Some(failure), tokens);
    }

    fn end(&mut self, class: Class, failure: Option<Failure>, tokens: Option<Tokens>) {
        self.settled = true;
        let now = clock::now();
        let how = self.how(class, tokens.as_ref());
        let settled = self.hold.take().map(|hold| self.state.money.settle(hold, how, now));
        let outcome = Outcome {
            provider: self.key.provider,
            class,
            failure,
            first_content: self.first_content,
            duration: now.since(self.admitted),
            stream: self.stream,
            tokens,
        };
        record(self, &outcome, settled.unwrap_or_default(), now);
    }

    /// How the attempt ended, as far as its bill goes.
    fn how(&self, class: Class, tokens: Option<&Tokens>) -> How {
        let provider = self.in_force.snapshot.provider(self.key.provider);
        match (self.progress, class, tokens) {
            (Progress::Unsent, ..) => How::Unsent,
            (Progress::Refused, ..) => How::Refused,
            (Progress::Sent, Class::Success, _) if self.price.is_none() => self.whole(),
            // Every prompt has tokens: a usage of zero is none.
            (Progress::Sent, Class::Success, Some(t)) if t.input > 0 => {
                let cost = self.cost(t).unwrap_or_default();
                How::Ended(Amounts::request(cost, t.input.saturating_add(t.output)))
            }
            (Progress::Sent, Class::Success, _) => How::EndedWithoutUsage,
            (Progress::Sent, Class::Cancelled | Class::Timeout, _)
                if self.stream && provider.cancel_billing == CancelBilling::Stops =>
            {
                let bound = self.worst.bound.as_ref();
                let usd = bound.map_or(Usd::ZERO, |b| b.closed_early(self.received));
                let tokens = bound.map_or(self.worst.tokens, |b| b.input_tokens.saturating_add(self.received));
                How::Closed(Amounts::request(usd, tokens))
            }
            (Progress::Sent, ..) => How::Unseen,
        }
    }

    /// A call whose price the policy gives as a whole.
    fn whole(&self) -> How {
        How::Ended(self.worst.amounts())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.settled {
            self.end(Class::Cancelled, None, None);
        }
    }
}

#[cfg(test)]
#[path = "admit_tests.rs"]
mod tests;
