//! The candidates for one request, in order, each with the reason it stands where it does or was left out.

use std::{sync::Arc, time::Duration};

use crate::{
    Tick,
    ask::{Ask, Call},
    breaker::Gate,
    catalogue::Tokens,
    money::Usd,
    reason::{Cause, Reason},
    snapshot::{Api, Objective, ProviderId, Snapshot, Target},
};

/// What a plan may ask of the present; the shell answers from its state.
pub trait View {
    /// The worse of the target's and its provider's circuit.
    fn gate(&self, target: &Target) -> Gate;
    /// Observed p95 to first content, from `least` readings on.
    fn p95(&self, target: &Target, least: u64) -> Option<Duration>;
    /// Whether the provider needs no key or has one.
    fn has_credential(&self, provider: ProviderId) -> bool;
    /// What a translation to `api` would lose; asked only for strict tiers.
    fn loses(&self, api: Api) -> Option<String>;
}

/// Candidates in the order they are tried, and those left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// First to last; may be empty.
    pub candidates: Vec<Candidate>,
    /// The rest, in the policy's order.
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
}

/// Why a candidate stands where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// First by the policy's order or the objective.
    Preferred,
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
}

/// Plans one request.
#[must_use]
pub fn plan(snapshot: &Snapshot, ask: &Ask, view: &dyn View, now: Tick) -> Plan {
    let tier = snapshot.tier(ask.tier);
    let mut order = targets(snapshot, ask);
    match tier.objective {
        Objective::Quality => {}
        // Unknown prices last; the sort is stable, so the scene's order breaks ties.
        Objective::Cost => order.sort_by_key(|t| worst_cost(snapshot, ask, t).map_or((1, Usd::ZERO), |c| (0, c))),
        // A target nobody has measured is worth one look.
        Objective::Latency => order.sort_by_key(|t| view.p95(t, 1).unwrap_or_default()),
    }
    let order = group_by_provider(order);
    let key =
        |t: &Target| TargetKey { provider: t.provider, model: t.model.clone().unwrap_or_else(|| ask.model.clone()) };
    let preferred = order.first().map(&key);

    let mut left_out = vec![];
    let mut shut: Vec<(Target, Gate)> = vec![];
    let mut fit: Vec<Target> = vec![];
    for t in order {
        if let Some((cause, detail)) = unfit(snapshot, ask, view, &t) {
            left_out.push(LeftOut { key: key(&t), reason: Reason::of(t.provider, cause), detail });
            continue;
        }
        match view.gate(&t) {
            gate if gate.lets_in() => fit.push(t),
            gate => shut.push((t, gate)),
        }
    }
    fit = leave_out_the_slow(ask, view, fit, snapshot.health.min_requests.into(), |t, p95| {
        let detail = format!("p95 of {} ms exceeds the request's max latency", p95.as_millis());
        left_out.push(LeftOut { key: key(t), reason: Reason::of(t.provider, Cause::MaxLatencyExceeded), detail });
    });

    let mut candidates: Vec<Candidate> = vec![];
    for t in fit {
        let standing = match candidates.last() {
            None => Standing::Preferred,
            Some(last) if last.key.provider == t.provider => Standing::SameProvider,
            Some(_) => Standing::NextProvider,
        };
        candidates.push(Candidate { key: key(&t), target: t, standing });
    }
    if candidates.is_empty()
        && let Some(due) = (0..shut.len()).min_by_key(|i| shut[*i].1.due())
    {
        let (t, gate) = shut.remove(due);
        let not_before = if let Gate::Held { until } = gate { until } else { now };
        candidates.push(Candidate { key: key(&t), target: t, standing: Standing::LastResort { not_before } });
    }
    for (t, gate) in shut {
        let cause = if matches!(gate, Gate::Held { .. }) { Cause::RateLimited } else { Cause::CircuitOpen };
        let detail = gate.why(now).unwrap_or_default();
        left_out.push(LeftOut { key: key(&t), reason: Reason::of(t.provider, cause), detail });
    }
    Plan { candidates, left_out, preferred }
}

/// The targets that may serve this call at all: the scene's, or for a passed-through path the first provider of its API
/// with the caller's model.
fn targets(snapshot: &Snapshot, ask: &Ask) -> Vec<Target> {
    let through = |api| {
        let first = snapshot.providers.iter().position(|p| p.api == api);
        let id = first.and_then(|i| u16::try_from(i).ok()).map(ProviderId);
        id.map(|provider| Target { provider, model: None, facts: None }).into_iter().collect()
    };
    match ask.call {
        Call::Through(api) => through(api),
        Call::Chat | Call::Responses | Call::Messages | Call::CountTokens => snapshot.scene(ask.scene).targets.clone(),
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

/// Why a target cannot serve this request, whatever its health.
fn unfit(snapshot: &Snapshot, ask: &Ask, view: &dyn View, t: &Target) -> Option<(Cause, String)> {
    let provider = snapshot.provider(t.provider);
    let foreign = match ask.call {
        Call::Responses if provider.api != Api::OpenAi => {
            return Some((Cause::CannotCarry, "the Responses API is served by OpenAI providers only".into()));
        }
        Call::CountTokens if provider.api != Api::Anthropic => {
            return Some((Cause::CannotCarry, "count_tokens is served by Anthropic providers only".into()));
        }
        Call::Chat => provider.api != Api::OpenAi,
        Call::Messages => provider.api != Api::Anthropic,
        Call::Responses | Call::CountTokens | Call::Through(_) => false,
    };
    if !view.has_credential(t.provider) {
        let file = provider.credential_key.as_deref().unwrap_or_default();
        return Some((Cause::CredentialMissing, format!("the credentials directory has no file `{file}`")));
    }
    let facts = t.facts.as_ref();
    if ask.images > 0 && facts.is_some_and(|f| f.images == Some(false)) {
        return Some((Cause::CannotCarry, format!("{} images, and the model takes none", ask.images)));
    }
    if let Some(context) = facts.and_then(|f| f.context_tokens)
        && ask.input_estimate > context
    {
        let detail = format!("about {} tokens of input exceed the context of {context}", ask.input_estimate);
        return Some((Cause::ContextTooLong, detail));
    }
    if foreign
        && snapshot.tier(ask.tier).strict_translation
        && let Some(lost) = view.loses(provider.api)
    {
        return Some((Cause::StrictTranslation, format!("translation would lose {lost}")));
    }
    if let Some(max) = ask.max_cost {
        match worst_cost(snapshot, ask, t) {
            Some(worst) if worst <= max => {}
            Some(worst) => {
                return Some((Cause::MaxCostExceeded, format!("could cost {worst} USD, the request allows {max}")));
            }
            None => return Some((Cause::MaxCostExceeded, "the model has no known price".into())),
        }
    }
    None
}

/// The most that this request can cost at `t`: input bounded by bytes, output by its limit; `None` without a price.
#[must_use]
pub fn worst_cost(snapshot: &Snapshot, ask: &Ask, t: &Target) -> Option<Usd> {
    let facts = t.facts.as_ref()?;
    let price = facts.price.as_ref()?;
    let limit = ask.max_tokens.or(snapshot.scene(ask.scene).max_output_tokens).or(facts.max_output_tokens)?;
    Some(price.cost(&Tokens { input: ask.input_bound, output: limit, service_percent: 100, ..Tokens::default() }))
}

/// Leaves out targets slower than the request's hint while a faster one is left.
fn leave_out_the_slow(
    ask: &Ask,
    view: &dyn View,
    fit: Vec<Target>,
    least: u64,
    mut left_out: impl FnMut(&Target, Duration),
) -> Vec<Target> {
    let Some(max) = ask.max_latency else { return fit };
    let slow: Vec<Option<Duration>> = fit.iter().map(|t| view.p95(t, least).filter(|p| *p > max)).collect();
    if slow.iter().all(Option::is_some) {
        return fit;
    }
    fit.into_iter()
        .zip(slow)
        .filter_map(|(t, slow)| match slow {
            None => Some(t),
            Some(p95) => {
                left_out(&t, p95);
                None
            }
        })
        .collect()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
