//! The typed policy to the snapshot: names become indexes, strings numbers, what is unset its default; every fault of
//! meaning on the way is noted, so that the checks stand where the values are made.
//!
//! Where a fault is noted the value beside it is a stand-in; the caller then throws the snapshot away.

mod capability;
mod classify;
mod not_in_force;
mod provider;
mod resilience;
mod scene;
mod tier;

use std::{sync::Arc, time::Duration};

use policy::{
    money::Usd,
    snapshot::{Ratio, Snapshot},
};

use crate::{
    fault::Faults,
    form::{nearest, quoted},
    text::{self, Name},
    types::{LLMRoutePolicy, LLMRoutePolicySpec, PodSelector, SelectorOperator},
};

/// The snapshot of `policy`.
pub(crate) fn policy(policy: &LLMRoutePolicy, faults: &mut Faults) -> Snapshot {
    let LLMRoutePolicy { metadata, spec, status: _ } = policy;
    let LLMRoutePolicySpec {
        pod_selector,
        credentials: _,
        providers,
        classify,
        tiers,
        scenes,
        budgets,
        breaker,
        health,
        cutover,
        overrides,
    } = spec;
    if let Some(selector) = pod_selector {
        check_selector(selector, faults);
    }
    resilience::check_cutover(cutover.as_ref(), faults);
    resilience::check_overrides(overrides, faults);
    let providers = provider::all(providers, faults);
    let tiers = tier::all(tiers, faults);
    let scenes = scene::all(scenes, &providers, faults);
    let namespace = metadata.namespace.as_deref().unwrap_or("default");
    let name = metadata.name.as_deref().unwrap_or_default();
    Snapshot {
        name: format!("{namespace}/{name}").into(),
        generation: metadata.generation,
        classify: classify::classify(classify.clone().unwrap_or_default(), &scenes, &tiers, faults),
        budgets: resilience::budgets(budgets, faults),
        breaker: resilience::breaker(breaker.clone().unwrap_or_default(), faults),
        health: resilience::health(health.clone().unwrap_or_default()),
        not_in_force: not_in_force::list(spec),
        providers,
        tiers,
        scenes,
    }
}

fn check_selector(selector: &PodSelector, faults: &mut Faults) {
    let PodSelector { match_labels, match_expressions } = selector;
    for key in match_labels.keys() {
        if !text::is_label_key(key) {
            let path = format!("spec.podSelector.matchLabels[{}]", quoted(key));
            faults.add(path, "the key is not a label key", "write a name such as app or example.com/team");
        }
    }
    for (i, requirement) in match_expressions.iter().enumerate() {
        let takes_values = matches!(requirement.operator, SelectorOperator::In | SelectorOperator::NotIn);
        if takes_values == requirement.values.is_empty() {
            let path = format!("spec.podSelector.matchExpressions[{i}].values");
            faults.add(path, "do not fit the operator", "In and NotIn need values, Exists and DoesNotExist have none");
        }
    }
}

/// Duration of a text whose form was judged.
fn span(text: &str) -> Duration {
    text::duration(text).unwrap_or_default()
}

/// Share of a text whose form was judged.
fn ratio(text: &str) -> Ratio {
    text::ratio(text).unwrap_or_default()
}

/// Amount of a text whose form was judged.
fn usd(text: &str) -> Usd {
    Usd::parse(text).unwrap_or_default()
}

/// A count whose bounds were judged.
fn count<T: TryFrom<N> + Default, N>(n: N) -> T {
    T::try_from(n).unwrap_or_default()
}

/// Index of the thing called `name` in a list of the policy; noted as a fault where there is none.
fn resolve(name: &Name, defined: &[Arc<str>], list: &str, path: &str, faults: &mut Faults) -> u16 {
    if let Some(i) = defined.iter().position(|d| **d == **name) {
        return count(i);
    }
    // Where the list itself has faults, one of its broken names may be the one that is meant.
    let broken = faults.known(list) || (0..defined.len()).any(|i| faults.known(&format!("{list}[{i}].name")));
    if !broken {
        let remedy = match nearest(name, defined.iter().map(|d| &**d)) {
            Some(near) => format!("did you mean {near}?"),
            None if defined.len() > 8 => format!("write one of the names in {list}"),
            None => format!("{list} has {}", defined.join(", ")),
        };
        faults.add(path, format!("{} is not defined in {list}", quoted(name)), remedy);
    }
    0
}
