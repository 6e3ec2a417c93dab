//! The way into one attempt: its request built, its circuits entered, its money held; and where money is short, down the
//! tier's ladder.

mod shortage;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use dialect::{BadBody, Dialect};
use policy::{
    Tick,
    ask::Ask,
    attempt::Course,
    bound::Unbounded,
    breaker::Gate,
    ladder::{self, Leg, Offer},
    ledger::{Amounts, Denied, Key, Unit},
    outcome::Failure,
    plan::{Candidate, Plan, Worst},
    reason::{Cause, Reason},
    snapshot::{Budget, Rung, Tier, Trim},
};

use self::shortage::Shortage;
pub use self::shortage::never;
use crate::{
    admit::{Closed, Permit, admit},
    attempt::Failed,
    bill, clock,
    credentials::Secret,
    exchange::{Exchange, Squeeze},
    money,
    refusal::Refusal,
    state::InForce,
    wire::{Inbound, Wire},
};

/// An attempt that may be made.
pub struct Entry {
    /// Index into the plan's candidates.
    pub index: usize,
    /// The request to it.
    pub wire: Wire,
    /// Settles once.
    pub permit: Box<Permit>,
    /// Its key.
    pub secret: Option<Arc<Secret>>,
}

/// What came of trying to enter a candidate.
pub enum Entered {
    /// It, or another one that the ladder chose, may be asked.
    In(Entry),
    /// Nobody is asked: there is an answer from before.
    Kept(Cause),
    /// It is passed over.
    Over(Box<Failed>),
    /// Nobody is asked.
    Refused(Refusal),
}

/// Why one offer of the ladder is not taken.
enum No {
    /// The candidate is out, whatever the money.
    Out(Box<Failed>),
    /// What is left is spared for cheaper ways.
    Spared,
    /// A cap leaves no room for so much.
    Short(Denied, Amounts),
}

/// How long a hold waits for a lender's answer where it is a rate that lacks.
const RATE_WAIT: Duration = Duration::from_millis(100);

/// One request at the entrance.
pub struct Entrance<'a> {
    /// The policy pinned by the request.
    pub in_force: &'a Arc<InForce>,
    /// What the caller sent.
    pub inbound: &'a Inbound,
    /// Its candidates.
    pub plan: &'a Plan,
    /// What is asked.
    pub ask: &'a Ask,
    /// The tier in force.
    pub tier: &'a Tier,
}

impl Entrance<'_> {
    /// Enters the candidate at `base`, or goes down the ladder. Only the `first` attempt of a request waits, or refuses
    /// it; a later one that has no money is passed over. Waits until `until` at most.
    pub async fn enter(&self, x: &mut Exchange, base: usize, course: &Course, first: bool, until: Tick) -> Entered {
        let mut shortage = Shortage::default();
        let spared = match self.offered(x, base, false, self.spares(), until).await {
            Ok(entry) => return Entered::In(entry),
            Err(No::Out(failed)) => return Entered::Over(failed),
            Err(No::Spared) => true,
            Err(No::Short(denied, _)) => {
                shortage.note(denied);
                false
            }
        };
        let candidates = &self.plan.candidates;
        let legs: Vec<Leg> = candidates
            .iter()
            .enumerate()
            .map(|(i, c)| Leg { worst: c.worst.bound.map(|b| b.usd), open: course.is_open(i) })
            .collect();
        let offers = ladder::offers(&self.tier.over_budget, base, &legs, spared);
        let as_sent = Offer::Ask { candidate: base, trimmed: false };
        for (i, offer) in offers.iter().enumerate() {
            match *offer {
                // Where nothing is spared it was asked above.
                offer if offer == as_sent && !spared => {}
                Offer::Ask { candidate, trimmed } => match self.offered(x, candidate, trimmed, false, until).await {
                    Ok(entry) => {
                        let spares = if shortage.is_empty() { spared } else { shortage.is_spared() };
                        x.squeeze = squeeze(base, candidate, trimmed, spares);
                        return Entered::In(entry);
                    }
                    Err(No::Out(failed)) if candidate == base && !trimmed => return Entered::Over(failed),
                    Err(No::Out(_) | No::Spared) => {}
                    Err(No::Short(denied, _)) => shortage.note(denied),
                },
                Offer::Wait if first && !x.later => {
                    if let Some(entry) = Box::pin(self.in_line(x, &offers[..i], &shortage, until)).await {
                        x.squeeze = Some(Squeeze { rung: Rung::Queue, cause: Cause::BudgetExhausted });
                        return Entered::In(entry);
                    }
                }
                Offer::Cached if first && self.is_kept(x) => return Entered::Kept(Cause::BudgetExhausted),
                Offer::Cached | Offer::Wait | Offer::Refuse => {}
            }
        }
        let cut_off = x.state.money.lease().is_some_and(|lease| lease.ends.is_none());
        let refusal = shortage.refusal(cut_off, x.later);
        if first { Entered::Refused(refusal) } else { Entered::Over(Box::new(Failed::refused(refusal.reason))) }
    }

    fn is_kept(&self, x: &Exchange) -> bool {
        x.keeping.as_ref().is_some_and(|k| x.state.answers.get(&k.key, &self.in_force.snapshot).is_some())
    }

    /// Whether cheaper ways come first once a budget is spent up to its `degradeAt`.
    fn spares(&self) -> bool {
        let spares = |rung: &Rung| matches!(rung, Rung::CheaperModel | Rung::Trim);
        self.in_force.has_thresholds && self.tier.over_budget.iter().any(spares)
    }

    /// One offer. Where only the journal stands in the way, its next write is waited for; where others may hold what
    /// lacks, once a request and key, the lender's answer.
    async fn offered(
        &self,
        x: &mut Exchange,
        index: usize,
        trimmed: bool,
        sparing: bool,
        until: Tick,
    ) -> Result<Entry, No> {
        // Until what came is held: what nobody waits for goes back.
        let mut asked;
        loop {
            let write = x.state.money.next_write();
            let offered = self.offer(x, index, trimmed, sparing);
            let again = match &offered {
                Err(No::Short(Denied::Journal, _)) => Box::pin(write.durable(until)).await,
                Err(No::Short(Denied::Short { key, .. }, amounts)) if !x.lender_asked.0.contains(key) => {
                    x.lender_asked.0.push(key.clone());
                    let candidate = &self.plan.candidates[index].key;
                    asked = x.state.money.ask(self.in_force, self.ask, candidate, *amounts);
                    match &asked {
                        Some(asked) => {
                            let (most, began) = (self.lease_wait(key, x.lender_asked.1, until), clock::now());
                            let is_answered = Box::pin(asked.answered(most)).await;
                            x.lender_asked.1 += clock::now().since(began);
                            is_answered
                        }
                        // It may have come since.
                        None => x.state.money.has_lender(),
                    }
                }
                _ => false,
            };
            if !again {
                return offered.map_err(|no| no.told(x.later));
            }
        }
    }

    /// How long a hold waits for a lender, of a request that has waited for so long.
    fn lease_wait(&self, key: &Key, waited: Duration, until: Tick) -> Duration {
        let is = |b: &&Budget| key.unit == Unit::Money && b.name == key.name;
        let wait = self.in_force.snapshot.budgets.iter().find(is).map_or(RATE_WAIT, |b| b.lease_wait);
        wait.saturating_sub(waited).min(until.since(clock::now()))
    }

    fn offer(&self, x: &Exchange, index: usize, trimmed: bool, sparing: bool) -> Result<Entry, No> {
        let candidate = &self.plan.candidates[index];
        if !trimmed {
            return self.one(x, index, (self.inbound, self.ask), &candidate.worst, sparing);
        }
        let (inbound, ask) = self.trimmed(x, candidate).ok_or_else(|| No::Out(not_smaller(candidate)))?;
        let worst = policy::plan::worst(&self.in_force.snapshot, &ask, &candidate.target);
        let worst = worst.map_err(|why| No::Out(unbounded(candidate, why)))?;
        self.one(x, index, (&inbound, &ask), &worst, sparing)
    }

    /// The smaller request for `candidate`; `None` if nothing of it can be trimmed.
    fn trimmed(&self, x: &Exchange, candidate: &Candidate) -> Option<(Inbound, Ask)> {
        let Trim { keep_messages, max_output_tokens, temperature_milli } =
            self.in_force.snapshot.scene(self.ask.scene).trim?;
        let to = dialect::Trim { keep_messages, max_output_tokens, temperature_milli };
        let whole = self.inbound;
        let (key, facts) = (&candidate.key, candidate.target.facts.as_deref());
        let provider = self.in_force.snapshot.provider(key.provider);
        let can = whole.capability(x.dialect, provider, &key.model, facts);
        let trimmed = dialect::trim(x.dialect, whole.head.as_ref()?, &whole.body, &to, &can)?;
        let body = Bytes::from(trimmed.edits.apply(&whole.body).concat());
        let head = dialect::read_head(x.dialect, &body).ok()?;
        let ask =
            Ask { max_tokens: head.max_tokens, content: bill::content(x.dialect, &body, &head), ..self.ask.clone() };
        let (method, uri, headers) = (whole.method.clone(), whole.uri.clone(), whole.headers.clone());
        Some((Inbound { method, uri, headers, body, head: Some(head), room: None }, ask))
    }

    fn one(
        &self,
        x: &Exchange,
        index: usize,
        (inbound, ask): (&Inbound, &Ask),
        worst: &Worst,
        sparing: bool,
    ) -> Result<Entry, No> {
        let candidate = &self.plan.candidates[index];
        let provider = candidate.key.provider;
        let keys = x.state.keys.load();
        let key = self.in_force.snapshot.provider(provider).credential_key.as_ref();
        let secret = key.and_then(|k| keys.get(k)).cloned();
        let wire = inbound
            .wire(self.in_force, ask, x.dialect, candidate, secret.as_deref())
            .map_err(|why| No::Out(Box::new(Failed::untranslatable(provider, why.to_string()))))?;
        let worst = match wire.translated_body().filter(|_| self.in_force.has_caps) {
            Some((outline, more)) => self.worst_of(outline, more, wire.dialect, ask, candidate)?,
            None => *worst,
        };
        match admit(&x.state, self.in_force, candidate, ask, &worst, sparing) {
            Ok(permit) => Ok(Entry { index, wire, permit, secret }),
            Err(Closed::Shut(gate)) => {
                let cause = if matches!(gate, Gate::Held { .. }) { Cause::RateLimited } else { Cause::CircuitOpen };
                Err(No::Out(Box::new(Failed::refused(Reason::of(provider, cause)))))
            }
            Err(Closed::Money(money::No::Spared)) => Err(No::Spared),
            Err(Closed::Money(money::No::Denied(denied))) => Err(No::Short(denied, worst.amounts())),
        }
    }

    /// The most that a translated request can take: what the provider reads of it is not what the caller wrote. `more`
    /// bytes of text are left out of the outline.
    fn worst_of(
        &self,
        outline: &[u8],
        more: usize,
        dialect: Dialect,
        ask: &Ask,
        candidate: &Candidate,
    ) -> Result<Worst, No> {
        let untranslatable =
            |why: BadBody| No::Out(Box::new(Failed::untranslatable(candidate.key.provider, why.to_string())));
        let head = dialect::read_head(dialect, outline).map_err(untranslatable)?;
        let mut content = bill::content(dialect, outline, &head);
        content.text_bytes += more as u64;
        let ask = Ask { max_tokens: head.max_tokens, content, ..ask.clone() };
        let worst = policy::plan::worst(&self.in_force.snapshot, &ask, &candidate.target);
        worst.map_err(|why| No::Out(unbounded(candidate, why)))
    }

    /// Waits in line until one of `offers` fits.
    async fn in_line(&self, x: &Exchange, offers: &[Offer], short: &Shortage, until: Tick) -> Option<Entry> {
        let Some(Denied::Short { key, .. }) = &short.soonest else { return None };
        let turn = x.state.money.turn(key, until).await?;
        // The lender knows of it while it waits.
        let mut asked = None;
        let any = || {
            let mut short = Shortage::default();
            for offer in offers {
                let Offer::Ask { candidate, trimmed } = *offer else { continue };
                match self.offer(x, candidate, trimmed, false).map_err(|no| no.told(x.later)) {
                    Ok(entry) => return Ok(entry),
                    Err(No::Short(denied, amounts)) => {
                        let key = &self.plan.candidates[candidate].key;
                        let ask = || x.state.money.ask(self.in_force, self.ask, key, amounts);
                        asked = asked.take().or_else(ask);
                        short.note(denied);
                    }
                    Err(No::Out(_) | No::Spared) => {}
                }
            }
            Err(short.soonest.unwrap_or(Denied::Journal))
        };
        turn.wait(until, any).await
    }
}

impl No {
    /// A rate that leaves no room rules the candidate out: money does not help.
    fn told(self, by_id: bool) -> No {
        let out = |retry_after, message| {
            let (failure, reason) = (Failure::RateLimited { retry_after }, Reason::own(Cause::RateLimitExceeded));
            No::Out(Box::new(Failed { failure, message, ..Failed::refused(reason) }))
        };
        match self {
            No::Short(Denied::Short { key, retry_after, .. } | Denied::Spared { key, retry_after }, _)
                if key.unit != Unit::Money =>
            {
                out(Some(retry_after), None)
            }
            No::Short(Denied::Impossible { key, limit }, _) if key.unit != Unit::Money => {
                out(None, Some(never(&key, limit, by_id)))
            }
            no => no,
        }
    }
}

/// What the ladder did, where it did anything.
fn squeeze(base: usize, candidate: usize, trimmed: bool, spares: bool) -> Option<Squeeze> {
    let cause = if spares { Cause::BudgetNearLimit } else { Cause::BudgetExhausted };
    match (candidate == base, trimmed) {
        (true, false) => None,
        (_, true) => Some(Squeeze { rung: Rung::Trim, cause }),
        (false, false) => Some(Squeeze { rung: Rung::CheaperModel, cause }),
    }
}

fn not_smaller(candidate: &Candidate) -> Box<Failed> {
    Box::new(Failed::refused(Reason::of(candidate.key.provider, Cause::RequestRejected)))
}

fn unbounded(candidate: &Candidate, why: Unbounded) -> Box<Failed> {
    Box::new(Failed::refused(Reason::of(candidate.key.provider, why.cause())))
}

#[cfg(test)]
#[path = "enter_tests.rs"]
mod tests;
