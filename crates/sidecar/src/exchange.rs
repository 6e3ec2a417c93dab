//! One request on its way: what is known of it so far, told once when it ends.

use std::{sync::Arc, time::Duration};

use dialect::Dialect;
use hyper::{
    Uri,
    header::{HeaderName, HeaderValue},
};
use policy::{
    Tick,
    ask::Ask,
    catalogue::Tokens,
    ledger::Key,
    matching::Matched,
    money::Usd,
    outcome::Class,
    plan::{Plan, TargetKey},
    reason::{Cause, Reason},
    snapshot::{ProviderId, Rung},
};

use crate::{
    cache::Keeping,
    clock,
    headers::List,
    keepers::Keeper,
    state::{InForce, State},
    telemetry::{
        Trace,
        decision::{Ending, Facts, Status},
        metrics::Open,
    },
    wire::Inbound,
};

const STATUS: HeaderName = HeaderName::from_static("x-llmroute-status");
const TRACE_ID: HeaderName = HeaderName::from_static("x-llmroute-trace-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-llmroute-attempts");
const REASON: HeaderName = HeaderName::from_static("x-llmroute-reason");
const SCENE: HeaderName = HeaderName::from_static("x-llmroute-scene");
const TIER: HeaderName = HeaderName::from_static("x-llmroute-tier");
const BUDGET: HeaderName = HeaderName::from_static("x-llmroute-budget");
const DROPPED: HeaderName = HeaderName::from_static("x-llmroute-dropped");
const PROVIDER: HeaderName = HeaderName::from_static("x-llmroute-provider");
const MODEL: HeaderName = HeaderName::from_static("x-llmroute-model");

/// Adds what can stand in a header.
fn put(headers: &mut List, name: HeaderName, value: impl TryInto<HeaderValue>) {
    if let Ok(value) = value.try_into() {
        headers.add(name, value);
    }
}

/// One request.
pub struct Exchange {
    /// Shared state.
    pub state: Arc<State>,
    /// The policy pinned at accept; a reload never splits a request.
    pub in_force: Option<Arc<InForce>>,
    /// Ids and spans.
    pub trace: Trace,
    /// When it was accepted.
    pub accepted: Tick,
    /// Path label.
    pub call: &'static str,
    /// The path itself.
    pub uri: Uri,
    /// What the caller speaks.
    pub dialect: Dialect,
    /// Its caller has an id and fetches the answer later: it must not take what online traffic needs.
    pub later: bool,
    /// What is asked, once understood.
    pub ask: Option<Arc<Ask>>,
    /// What settled scene and tier.
    pub matched: Option<Matched>,
    /// Facts of the body, for the record.
    pub facts: Facts,
    /// The plan, once made.
    pub plan: Option<Arc<Plan>>,
    /// Each try: target, class, reason of its failure, duration.
    pub tries: Vec<Try>,
    /// Candidates that were passed over before a try, and why.
    pub passed: Vec<(TargetKey, Reason)>,
    /// Losses in translation to the target that answered.
    pub dropped: Vec<String>,
    /// What was done because money is short.
    pub squeeze: Option<Squeeze>,
    /// Keys of caps for which it waited for the lender, which it does once each, and how long in all.
    pub lender_asked: (Vec<Key>, Duration),
    /// How its answer is kept, where its scene keeps answers.
    pub keeping: Option<Keeping>,
    _open: Open,
    ended: bool,
}

/// What was done because money is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Squeeze {
    /// The rung of the tier's ladder.
    pub rung: Rung,
    /// It did not fit, or the rest is spared.
    pub cause: Cause,
}

/// One try.
#[derive(Clone, Debug)]
pub struct Try {
    /// Whom.
    pub key: TargetKey,
    /// How it ended.
    pub class: Class,
    /// Why it failed.
    pub reason: Option<Reason>,
    /// It failed, and the provider may charge for it.
    pub may_cost: bool,
    /// How long it took to fail or to commit.
    pub took: Duration,
}

/// What became of a request, for its ending.
pub struct Told {
    /// Status.
    pub status: Status,
    /// HTTP status sent.
    pub http: u16,
    /// Why, where it is not plainly ok.
    pub reason: Option<Reason>,
    /// Who answered.
    pub served: Option<TargetKey>,
    /// Tokens of the answer.
    pub tokens: Option<Tokens>,
    /// What it cost.
    pub cost: Option<Usd>,
    /// From accept to first content or whole answer.
    pub first_content: Option<Duration>,
    /// The caller went away.
    pub client_gone: bool,
}

impl Told {
    /// An answer of this status, nothing else known.
    #[must_use]
    pub fn new(status: Status, http: u16, reason: Option<Reason>) -> Told {
        Told { status, http, reason, served: None, tokens: None, cost: None, first_content: None, client_gone: false }
    }
}

impl Exchange {
    /// A request that was just accepted.
    #[must_use]
    pub fn new(
        state: Arc<State>,
        in_force: Option<Arc<InForce>>,
        inbound: &Inbound,
        dialect: Dialect,
    ) -> Box<Exchange> {
        Box::new(Exchange {
            in_force,
            trace: state.telemetry.spans.begin(&inbound.method, &inbound.uri, &inbound.headers),
            _open: state.telemetry.metrics.request_open(),
            state,
            accepted: clock::now(),
            call: "none",
            uri: inbound.uri.clone(),
            dialect,
            later: false,
            ask: None,
            matched: None,
            facts: Facts::default(),
            plan: None,
            tries: vec![],
            passed: vec![],
            dropped: vec![],
            squeeze: None,
            lender_asked: (vec![], Duration::ZERO),
            keeping: None,
            ended: false,
        })
    }

    /// `ok`, `degraded` or `queued`, and why, for an answer from `served`.
    #[must_use]
    pub fn standing(&self, served: &TargetKey) -> (Status, Option<Reason>) {
        if let Some(Squeeze { rung, cause }) = self.squeeze {
            let status = if rung == Rung::Queue { Status::Queued } else { Status::Degraded };
            return (status, Some(Reason::own(cause)));
        }
        let Some(preferred) = self.plan.as_ref().and_then(|p| p.preferred.as_ref()).filter(|p| *p != served) else {
            return (Status::Ok, None);
        };
        let failed = || self.tries.iter().find(|t| t.key == *preferred).and_then(|t| t.reason);
        let passed = || self.passed.iter().find(|(key, _)| key == preferred).map(|(_, reason)| *reason);
        let left_out = || {
            let plan = self.plan.as_ref()?;
            plan.left_out.iter().find(|l| l.key == *preferred).map(|l| l.reason)
        };
        let any = || self.tries.iter().find_map(|t| t.reason);
        (Status::Degraded, failed().or_else(passed).or_else(left_out).or_else(any))
    }

    /// Whether its caller may name items of the answer by their ids: it asked for them to be stored, and who answers stores
    /// none.
    #[must_use]
    pub fn keeps_items(&self) -> bool {
        self.dialect == Dialect::Responses && self.dropped.iter().any(|member| member == "store")
    }

    /// For an answer of `provider` in `spoken`: remembers what it leaves behind there, if anybody else could be asked to go
    /// on from it.
    #[must_use]
    pub fn keeper(&self, provider: ProviderId, spoken: Dialect) -> Option<Keeper> {
        let in_force = self.in_force.as_ref().filter(|_| self.dialect == spoken && spoken == Dialect::Responses)?;
        in_force.keepers.keeper(&in_force.snapshot, provider)
    }

    /// The request went to `target`: a fallback, if another one is preferred.
    pub fn went_to(&self, target: &TargetKey, reason: Option<Reason>) {
        let preferred = self.plan.as_ref().and_then(|p| p.preferred.as_ref()).filter(|p| *p != target);
        if let (Some(preferred), Some(reason), Some(in_force)) = (preferred, reason, &self.in_force) {
            self.state.telemetry.metrics.fallback(in_force, preferred.provider, target.provider, reason);
        }
    }

    /// A reason's text.
    #[must_use]
    pub fn reason_text(&self, reason: Reason) -> String {
        match &self.in_force {
            Some(in_force) => reason.text(&in_force.snapshot),
            None => reason.cause.row().label.to_owned(),
        }
    }

    /// Headers that every answer carries.
    pub fn sign(&self, headers: &mut List, status: Status, reason: Option<Reason>) {
        headers.add(STATUS, HeaderValue::from_static(status.label()));
        put(headers, TRACE_ID, &self.trace.id_bytes()[..]);
        if let Some(v) = self.trace.traceparent() {
            headers.add(TRACEPARENT, v);
        }
        // Nearly every request has made so few.
        const FEW: [&str; 4] = ["0", "1", "2", "3"];
        let made = self.tries.len();
        let made = FEW.get(made).map_or_else(|| HeaderValue::from(made as u64), |n| HeaderValue::from_static(n));
        headers.add(ATTEMPTS, made);
        if let Some(reason) = reason {
            put(headers, REASON, self.reason_text(reason));
        }
        if let (Some(ask), Some(in_force)) = (&self.ask, &self.in_force) {
            headers.add(SCENE, in_force.scene_name(ask.scene));
            headers.add(TIER, in_force.tier_name(ask.tier));
        }
        if !self.dropped.is_empty() {
            put(headers, DROPPED, self.dropped.join(","));
        }
        if let Some(text) = self.budgets() {
            put(headers, BUDGET, text);
        }
    }

    /// How the budgets stand that the request is counted under: `minute;spent=0.012;held=0.001;limit=2;free=12`, the last
    /// in seconds until the oldest money spent is free again.
    fn budgets(&self) -> Option<String> {
        let (ask, in_force) = (self.ask.as_ref()?, self.in_force.as_ref()?);
        let target = self.tries.last().map(|t| &t.key).or(self.plan.as_ref()?.preferred.as_ref())?;
        if in_force.snapshot.budgets.is_empty() {
            return None;
        }
        let mut text = String::with_capacity(80 * in_force.snapshot.budgets.len());
        self.state.money.standing(in_force, ask, target, |budget| {
            if !text.is_empty() {
                text.push_str(", ");
            }
            text.push_str(budget.name);
            for (name, amount) in [(";spent=", budget.spent), (";held=", budget.held), (";limit=", budget.limit)] {
                text.push_str(name);
                text.push_str(amount.decimal(&mut [0; Usd::LONGEST]));
            }
            text.push_str(";free=");
            let seconds = budget.next_free.unwrap_or_default().as_secs();
            text.push_str(Usd(seconds.saturating_mul(1_000_000_000)).decimal(&mut [0; Usd::LONGEST]));
        });
        Some(text)
    }

    /// Names who answered.
    pub fn sign_served(&self, headers: &mut List, served: &TargetKey) {
        let Some(in_force) = &self.in_force else { return };
        headers.add(PROVIDER, in_force.live(served.provider).name.clone());
        put(headers, MODEL, &*served.model);
    }

    /// The request has ended: tells metrics, spans and the decision record, once.
    pub fn end(mut self: Box<Self>, told: Told) {
        self.tell(told);
    }

    fn tell(&mut self, told: Told) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let Told { status, http, reason, served, tokens, cost, first_content, client_gone } = told;
        let now = clock::now();
        let ending = Ending {
            id: self.trace.id_bytes(),
            in_force: self.in_force.take(),
            call: self.call,
            uri: std::mem::take(&mut self.uri),
            ask: self.ask.take(),
            matched: self.matched.take(),
            facts: self.facts,
            plan: self.plan.take(),
            status,
            http,
            reason,
            served,
            tries: std::mem::take(&mut self.tries),
            tokens,
            cost,
            dropped: std::mem::take(&mut self.dropped),
            first_content,
            duration: now.since(self.accepted),
            client_gone,
        };
        self.state.telemetry.ended(&mut self.trace, ending, now);
    }
}

impl Drop for Exchange {
    /// The app went away before there was an answer.
    fn drop(&mut self) {
        if !self.ended {
            self.tell(Told { client_gone: true, ..Told::new(Status::Failed, 499, None) });
        }
    }
}
