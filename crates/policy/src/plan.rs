//! The candidates for one request, in order, each with the reason it stands where it does or was left out.

use std::{sync::Arc, time::Duration};

use crate::{
    Tick,
    ask::{Ask, Call, KeptBy},
    bound::{self, Bound, Unbounded, Wire},
    breaker::Gate,
    catalogue::{ModelFacts, Tokens},
    ledger::Amounts,
    money::Usd,
    reason::{Cause, Reason},
    snapshot::{Objective, ProviderId, Snapshot, Target},
};

/// What a plan may ask of the present; the shell answers from its state.
pub trait View {
    /// The worse of the target's and its provider's circuit.
    fn gate(&self, target: &Target) -> Gate;
    /// Observed p95 to first content of streams, or of plain calls, from `least` readings on.
    fn p95(&self, target: &Target, stream: bool, least: u64) -> Option<Duration>;
    /// Whether the provider needs no key or has one.
    fn has_credential(&self, provider: ProviderId) -> bool;
    /// Why the model of that name cannot carry the request at all, if it cannot.
    fn hinders(&self, target: &Target, model: &str) -> Option<&'static str>;
    /// Why the model of that name could not go on from what the request refers to, if it could not.
    fn out_of_reach(&self, target: &Target, model: &str) -> Option<&'static str>;
    /// What of the request would be lost at the model of that name; asked only for strict tiers.
    fn loses(&self, target: &Target, model: &str) -> Option<String>;
}

/// Candidates in the order they are tried, and those left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// First to last; may be empty.
    pub candidates: Vec<Candidate>,
    /// The rest, in the order in which they would have been tried.
    pub left_out: Vec<LeftOut>,
    /// The first target by policy and objective, before anything was left out: an answer from any other is degraded.
    pub preferred: Option<TargetKey>,
}

/// A provider and the model that goes on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetKey {
    /// Whose.
    pub provider: ProviderId,
    /// What; the caller's own where the target names none.
    pub model: Arc<str>,
}

/// One target to try.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The target, as in the scene.
    pub target: Target,
    /// What goes on the wire.
    pub key: TargetKey,
    /// Why it stands here.
    pub standing: Standing,
    /// The most that the request can cost there.
    pub worst: Worst,
}

/// The most that an attempt can take of the policy's caps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Worst {
    /// Money; `None` where nothing bounds it and no budget asks.
    pub bound: Option<Bound>,
    /// Tokens, input and output.
    pub tokens: u64,
}

impl Worst {
    /// What is held for one attempt.
    #[must_use]
    pub fn amounts(&self) -> Amounts {
        Amounts::request(self.bound.map_or(Usd::ZERO, |b| b.usd), self.tokens)
    }
}

/// Why a candidate stands where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// First by the policy's order or the objective.
    Preferred,
    /// The first that is left: whatever stands before it is left out.
    FirstLeft,
    /// Another model of the provider before it.
    SameProvider,
    /// The next provider.
    NextProvider,
    /// Every circuit is open; this one is due soonest and is tried once.
    LastResort {
        /// When it may be tried: now, or after a Retry-After.
        not_before: Tick,
    },
}

impl Standing {
    /// A sentence for `/explain`.
    #[must_use]
    pub fn sentence(self, objective: Objective) -> &'static str {
        match (self, objective) {
            (Standing::Preferred, Objective::Quality) => "first in the scene's order",
            (Standing::Preferred, Objective::Cost) => "cheapest for this request",
            (Standing::Preferred, Objective::Latency) => "fastest by observed p95",
            (Standing::FirstLeft, _) => "first of those that are left",
            (Standing::SameProvider, _) => "another model of the same provider comes before a provider switch",
            (Standing::NextProvider, _) => "next provider",
            (Standing::LastResort { .. }, _) => "every circuit is open; this one is due soonest and is tried once",
        }
    }
}

/// A target that is not tried.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftOut {
    /// The target.
    pub key: TargetKey,
    /// Why, as the header tells it.
    pub reason: Reason,
    /// Why, in words, with the numbers.
    pub detail: String,
    /// Nothing is in its way but what another provider keeps: it could be tried with the whole conversation.
    pub takes_whole: bool,
}

impl LeftOut {
    fn of(key: TargetKey, cause: Cause, detail: String) -> LeftOut {
        LeftOut { reason: Reason::of(key.provider, cause), key, detail, takes_whole: false }
    }
}

/// Plans one request.
#[must_use]
pub fn plan(snapshot: &Snapshot, ask: &Ask, view: &dyn View, now: Tick) -> Plan {
    let tier = snapshot.tier(ask.tier);
    let mut order = targets(snapshot, ask);
    match tier.objective {
        Objective::Quality => {}
        // Unknown prices last; the sort is stable, so the scene's order breaks ties.
        Objective::Cost => order.sort_by_key(|t| likely_cost(snapshot, ask, t).map_or((1, Usd::ZERO), |c| (0, c))),
        // A target nobody has measured is worth one look.
        Objective::Latency => order.sort_by_key(|t| view.p95(t, ask.stream, 1).unwrap_or_default()),
    }
    let order = group_by_provider(order);
    let judged = judge(snapshot, ask, view, &order);

    let key = |t: &Target| TargetKey { provider: t.provider, model: model(t, ask) };
    let last_resort = last_resort(&judged, now);
    let mut candidates: Vec<Candidate> = Vec::with_capacity(order.len());
    let mut left_out = vec![];
    for (i, (t, fate)) in order.iter().zip(judged).enumerate() {
        let worst = if let Fate::Fit(worst) | Fate::Shut(_, worst) = &fate { *worst } else { Worst::default() };
        let standing = match (fate, last_resort) {
            (Fate::Fit(_), _) => match candidates.last() {
                None if i == 0 => Standing::Preferred,
                None => Standing::FirstLeft,
                Some(last) if last.key.provider == t.provider => Standing::SameProvider,
                Some(_) => Standing::NextProvider,
            },
            (Fate::Shut(..), Some((at, not_before))) if at == i => Standing::LastResort { not_before },
            (Fate::Shut(gate, _), _) => {
                let cause = if matches!(gate, Gate::Held { .. }) { Cause::RateLimited } else { Cause::CircuitOpen };
                let detail = gate.why(now).unwrap_or_default();
                left_out.push(LeftOut::of(key(t), cause, detail));
                continue;
            }
            (Fate::Unfit(cause, detail), _) => {
                left_out.push(LeftOut::of(key(t), cause, detail));
                continue;
            }
            (Fate::Apart(detail, gate), _) => {
                let left = LeftOut::of(key(t), Cause::CannotCarry, detail);
                left_out.push(LeftOut { takes_whole: gate.lets_in(), ..left });
                continue;
            }
        };
        candidates.push(Candidate { key: key(t), target: t.clone(), standing, worst });
    }
    Plan { candidates, left_out, preferred: order.first().map(key) }
}

/// What becomes of a target.
enum Fate {
    /// It may be tried.
    Fit(Worst),
    /// It could serve the request, but its circuit lets nobody in.
    Shut(Gate, Worst),
    /// It cannot serve this request.
    Unfit(Cause, String),
    /// What the request goes on from is kept elsewhere; else it could be asked, if its circuit lets it.
    Apart(String, Gate),
}

/// Why a target cannot serve a request.
enum Unfit {
    For(Cause, String),
    Apart(String),
}

/// The fate of each target of `order`.
fn judge(snapshot: &Snapshot, ask: &Ask, view: &dyn View, order: &[Target]) -> Vec<Fate> {
    let one = |t| match (fit(snapshot, ask, view, t), view.gate(t)) {
        (Err(Unfit::For(cause, detail)), _) => Fate::Unfit(cause, detail),
        (Err(Unfit::Apart(detail)), gate) => Fate::Apart(detail, gate),
        (Ok(worst), gate) if gate.lets_in() => Fate::Fit(worst),
        (Ok(worst), gate) => Fate::Shut(gate, worst),
    };
    let mut fates: Vec<Fate> = order.iter().map(one).collect();
    let Some(max) = ask.max_latency else { return fates };
    // The slow are left out only while a faster one is left.
    let least = snapshot.health.min_requests.into();
    let slow = |(t, fate): (&Target, &Fate)| match fate {
        Fate::Fit(_) => Some(view.p95(t, ask.stream, least).filter(|p95| *p95 > max)),
        Fate::Shut(..) | Fate::Unfit(..) | Fate::Apart(..) => None,
    };
    let slow: Vec<Option<Option<Duration>>> = order.iter().zip(&fates).map(slow).collect();
    if slow.contains(&Some(None)) {
        for (fate, slow) in fates.iter_mut().zip(slow) {
            if let Some(Some(p95)) = slow {
                let detail = format!("p95 of {} ms exceeds the request's max latency", p95.as_millis());
                *fate = Fate::Unfit(Cause::MaxLatencyExceeded, detail);
            }
        }
    }
    fates
}

/// Where nobody may be tried, the shut target that is due soonest, and when it may be.
fn last_resort(fates: &[Fate], now: Tick) -> Option<(usize, Tick)> {
    if fates.iter().any(|f| matches!(f, Fate::Fit(_))) {
        return None;
    }
    let shut =
        fates.iter().enumerate().filter_map(|(i, f)| if let Fate::Shut(gate, _) = f { Some((i, *gate)) } else { None });
    let (at, gate) = shut.min_by_key(|(_, gate)| gate.due())?;
    Some((at, if let Gate::Held { until } = gate { until } else { now }))
}

/// What goes on the wire for a target.
fn model(t: &Target, ask: &Ask) -> Arc<str> {
    t.model.clone().unwrap_or_else(|| ask.model.clone())
}

/// The targets that may serve this call at all: the scene's, or for a passed-through path the keeper of what it names, else
/// the first provider of its API, with the caller's model. Where a target sends the caller's model, the facts are those on
/// that one.
fn targets(snapshot: &Snapshot, ask: &Ask) -> Vec<Target> {
    let mut targets = match ask.call {
        Call::Through(api) => {
            let first = || snapshot.providers.iter().position(|p| p.api == api);
            let first = || first().and_then(|i| u16::try_from(i).ok()).map(ProviderId);
            let id = keeper(snapshot, ask).or_else(first);
            id.map(|provider| Target { provider, model: None, facts: None }).into_iter().collect()
        }
        Call::Chat | Call::Responses | Call::Messages | Call::CountTokens => snapshot.scene(ask.scene).targets.clone(),
    };
    for t in targets.iter_mut().filter(|t| t.model.is_none()) {
        t.facts = snapshot.provider(t.provider).facts(&ask.model).map(Arc::new);
    }
    targets
}

/// The provider that alone can serve the request; where it is not known, the first of the API that the scene names:
/// paths of that API lead to the first, too.
fn keeper(snapshot: &Snapshot, ask: &Ask) -> Option<ProviderId> {
    match ask.kept_by? {
        KeptBy::Known(keeper) => Some(keeper),
        KeptBy::OneOf(api) => snapshot.first_of(api, ask.scene),
    }
}

/// Groups by provider in order of first appearance: a lower model of the same provider comes before a provider switch.
fn group_by_provider(order: Vec<Target>) -> Vec<Target> {
    let mut seen: Vec<ProviderId> = vec![];
    for t in &order {
        if !seen.contains(&t.provider) {
            seen.push(t.provider);
        }
    }
    let rank = |p: ProviderId| seen.iter().position(|s| *s == p);
    let mut order = order;
    order.sort_by_key(|t| rank(t.provider));
    order
}

/// The most that this request can take at a target, or why that cannot serve it, whatever its health.
fn fit(snapshot: &Snapshot, ask: &Ask, view: &dyn View, t: &Target) -> Result<Worst, Unfit> {
    let provider = snapshot.provider(t.provider);
    if !view.has_credential(t.provider) {
        let file = provider.credential_key.as_deref().unwrap_or_default();
        let detail = format!("the credentials directory has no file `{file}`");
        return Err(Unfit::For(Cause::CredentialMissing, detail));
    }
    let facts = t.facts.as_ref();
    let model = t.model.as_ref().unwrap_or(&ask.model);
    let is_read = !matches!(ask.call, Call::Through(_));
    if is_read && let Some(why) = view.hinders(t, model) {
        return Err(Unfit::For(Cause::CannotCarry, why.into()));
    }
    if is_read && let Some(why) = view.out_of_reach(t, model) {
        return Err(Unfit::Apart(why.into()));
    }
    if let Some(keeper) = keeper(snapshot, ask).filter(|keeper| *keeper != t.provider) {
        let keeper = &snapshot.provider(keeper).name;
        return Err(Unfit::Apart(format!("the request goes on from what `{keeper}` alone keeps")));
    }
    if let Some(context) = facts.and_then(|f| f.context_tokens)
        && ask.input_estimate > context
    {
        let detail = format!("about {} tokens of input exceed the context of {context}", ask.input_estimate);
        return Err(Unfit::For(Cause::ContextTooLong, detail));
    }
    if is_read
        && snapshot.tier(ask.tier).strict_translation
        && let Some(lost) = view.loses(t, model)
    {
        return Err(Unfit::For(Cause::StrictTranslation, format!("the target would lose {lost}")));
    }
    let worst = worst(snapshot, ask, t).map_err(|why| Unfit::For(why.cause(), why.sentence().into()))?;
    if let Some(max) = ask.max_cost {
        match worst.bound {
            Some(bound) if bound.usd <= max => {}
            Some(bound) => {
                let detail = format!("could cost {} USD, the request allows {max}", bound.usd);
                return Err(Unfit::For(Cause::MaxCostExceeded, detail));
            }
            None => return Err(Unfit::For(Cause::MaxCostExceeded, "nothing bounds what it costs".into())),
        }
    }
    Ok(worst)
}

/// The most that a request can take at `t`.
///
/// # Errors
/// What nothing bounds, where a cap of the policy asks.
pub fn worst(snapshot: &Snapshot, ask: &Ask, t: &Target) -> Result<Worst, Unbounded> {
    let provider = snapshot.provider(t.provider);
    let model = t.model.as_ref().unwrap_or(&ask.model);
    let facts = t.facts.as_deref();
    let wire = Wire { api: provider.api, model, facts, limit: output_limit(snapshot, ask, facts) };
    let bound = match ask.call {
        Call::CountTokens => bound::of_path(Some(Usd::ZERO)),
        Call::Through(_) => bound::of_path(ask.path_cost),
        Call::Chat | Call::Responses | Call::Messages => bound::worst(&ask.content, &wire),
    };
    match bound {
        Ok(bound) => {
            let tokens = bound.input_tokens.saturating_add(bound.output_tokens);
            Ok(Worst { bound: Some(bound), tokens })
        }
        Err(why) if !snapshot.budgets.is_empty() => Err(why),
        Err(_) if provider.limits.tokens_per_minute.is_none() => Ok(Worst::default()),
        Err(_) => Ok(Worst { bound: None, tokens: bound::tokens(&ask.content, &wire)?.total() }),
    }
}

/// The output limit on the wire: the caller's own, or the scene's, as far as the model goes.
#[must_use]
pub fn output_limit(snapshot: &Snapshot, ask: &Ask, facts: Option<&ModelFacts>) -> Option<u64> {
    let scene = || {
        let scene = snapshot.scene(ask.scene).max_output_tokens?;
        Some(facts.and_then(|f| f.max_output_tokens).map_or(scene, |most| most.min(scene)))
    };
    ask.max_tokens.or_else(scene)
}

/// What this request costs if its input is text that nobody has cached and its answer takes all the room it has: good
/// for comparing targets.
fn likely_cost(snapshot: &Snapshot, ask: &Ask, t: &Target) -> Option<Usd> {
    let most = || t.facts.as_ref().and_then(|f| f.max_output_tokens);
    let output = output_limit(snapshot, ask, t.facts.as_deref()).or_else(most)?;
    let output = output.saturating_mul(ask.content.answers.max(1).into());
    let tokens = Tokens { input: ask.input_estimate, output, service_percent: 100, ..Tokens::default() };
    Some(t.price()?.cost(&tokens))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
