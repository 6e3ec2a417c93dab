//! Which policy selects which pod: of several the oldest, by creation and then by name.

use std::collections::BTreeMap;

use api::types::{PodSelector, SelectorOperator, SelectorRequirement};

use crate::world::{Pod, Policy, PolicyKey, Uid, World};

/// Who selects a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// Whose policy it gets.
    pub by: Option<PolicyKey>,
    /// Younger ones that select it too, and do not get it.
    pub also: Vec<PolicyKey>,
    /// It may be an older one's, of which is not known yet what was accepted, and so whom it selects.
    pub awaits: bool,
}

/// Every pod of a world, and who selects it.
pub type Index = BTreeMap<Uid, Selected>;

/// The index by policy: made once for all, so that a policy costs as much as it has pods.
#[derive(Clone, Debug, Default)]
pub struct Groups<'a> {
    gets: BTreeMap<&'a PolicyKey, Vec<(&'a Uid, &'a Pod)>>,
    loses: BTreeMap<&'a PolicyKey, Vec<(&'a Pod, &'a PolicyKey)>>,
}

impl<'a> Groups<'a> {
    /// Of a world and its index.
    #[must_use]
    pub fn new(world: &'a World, index: &'a Index) -> Groups<'a> {
        let mut groups = Groups::default();
        for (uid, Selected { by, also, .. }) in index {
            let (Some(pod), Some(by)) = (world.pods.get(uid), by) else { continue };
            if !pod.ending {
                groups.gets.entry(by).or_default().push((uid, pod));
            }
            for key in also {
                groups.loses.entry(key).or_default().push((pod, by));
            }
        }
        groups
    }

    /// Pods that get a policy, without those that are being deleted.
    #[must_use]
    pub fn gets(&self, policy: &PolicyKey) -> &[(&'a Uid, &'a Pod)] {
        self.gets.get(policy).map_or(&[], Vec::as_slice)
    }

    /// Pods that it selects and an older one has, with that one.
    #[must_use]
    pub fn loses(&self, policy: &PolicyKey) -> &[(&'a Pod, &'a PolicyKey)] {
        self.loses.get(policy).map_or(&[], Vec::as_slice)
    }
}

/// Of every pod, who selects it.
#[must_use]
pub fn index(world: &World) -> Index {
    let policies = oldest_first(world);
    world.pods.iter().map(|(uid, pod)| (uid.clone(), selected(&policies, pod))).collect()
}

/// Who selects a pod, of this world or none yet.
#[must_use]
pub fn select(world: &World, pod: &Pod) -> Selected {
    selected(&oldest_first(world), pod)
}

fn oldest_first(world: &World) -> Vec<(&PolicyKey, &Policy)> {
    let mut policies: Vec<(&PolicyKey, &Policy)> = world.policies.iter().collect();
    policies.sort_by_key(|(key, policy)| (policy.created, *key));
    policies
}

fn selected(oldest_first: &[(&PolicyKey, &Policy)], pod: &Pod) -> Selected {
    let mut out = Selected::default();
    for (key, policy) in oldest_first.iter().filter(|(key, _)| key.namespace == pod.namespace) {
        out.awaits |= out.by.is_none() && policy.recall;
        match &out.by {
            _ if !selects(&policy.selector, pod) => {}
            None => out.by = Some((*key).clone()),
            Some(_) => out.also.push((*key).clone()),
        }
    }
    out
}

/// Whether a pod of the same namespace is meant. An empty selector means all that have a sidecar or ask for one.
#[must_use]
pub fn selects(selector: &PodSelector, pod: &Pod) -> bool {
    let PodSelector { match_labels, match_expressions } = selector;
    if match_labels.is_empty() && match_expressions.is_empty() {
        return pod.sidecar || pod.opted_in;
    }
    match_labels.iter().all(|(key, value)| pod.labels.get(key).is_some_and(|v| **v == **value))
        && match_expressions.iter().all(|requirement| holds(requirement, &pod.labels))
}

/// As `metav1.LabelSelectorRequirement` has it: NotIn holds where the label is absent.
fn holds(requirement: &SelectorRequirement, labels: &BTreeMap<String, String>) -> bool {
    let SelectorRequirement { key, operator, values } = requirement;
    let label = labels.get(&**key);
    let is_one = || label.is_some_and(|label| values.iter().any(|v| **v == **label));
    match operator {
        SelectorOperator::In => is_one(),
        SelectorOperator::NotIn => !is_one(),
        SelectorOperator::Exists => label.is_some(),
        SelectorOperator::DoesNotExist => label.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(labels: &[(&str, &str)]) -> Pod {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Pod { namespace: "shop".into(), name: "pod".into(), labels, sidecar: true, ..Pod::default() }
    }

    fn selector(text: Value) -> PodSelector {
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn labels_and_expressions_must_all_hold() {
        let is = |operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": "tier", "operator": operator, "values": values}]});
        let gold = [("app", "shop"), ("tier", "gold")];
        let rows = [
            (json!({"matchLabels": {"app": "shop"}}), true, false),
            (json!({"matchLabels": {"app": "shop", "tier": "gold"}}), true, false),
            (json!({"matchLabels": {"app": "shop", "tier": "silver"}}), false, false),
            (json!({"matchLabels": {"team": ""}}), false, false),
            (is("In", &["gold", "silver"]), true, false),
            (is("In", &["silver"]), false, false),
            (is("NotIn", &["silver"]), true, true),
            (is("NotIn", &["gold"]), false, true),
            (is("Exists", &[]), true, false),
            (is("DoesNotExist", &[]), false, true),
            (
                json!({"matchLabels": {"app": "shop"}, "matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}),
                false,
                false,
            ),
            (json!({}), true, true),
        ];
        for (text, labelled, bare) in rows {
            let selector = selector(text.clone());
            assert_eq!((selects(&selector, &pod(&gold)), selects(&selector, &pod(&[]))), (labelled, bare), "{text}");
        }
    }

    #[test]
    fn an_older_policy_of_which_too_little_is_known_may_select_any_pod() {
        let key = |name: &str| PolicyKey { namespace: "shop".into(), name: name.into() };
        let policy = |created, app: &str, recall| {
            let selector = selector(json!({"matchLabels": {"app": app}}));
            Policy { created, selector, recall, ..Policy::default() }
        };
        let rows = [
            ("it is known", policy(1, "other", false), false),
            ("it is older", policy(1, "other", true), true),
            ("it is older, and selects it as it is now", policy(1, "shop", true), true),
            ("it is younger", policy(3, "other", true), false),
        ];
        for (what, other, want) in rows {
            let policies = [(key("p"), policy(2, "shop", false)), (key("q"), other)].into();
            let world = World { policies, ..World::default() };
            assert_eq!(select(&world, &pod(&[("app", "shop")])).awaits, want, "{what}");
            let elsewhere = Pod { namespace: "elsewhere".into(), ..pod(&[("app", "shop")]) };
            assert!(!select(&world, &elsewhere).awaits, "{what}");
        }
    }

    #[test]
    fn an_empty_selector_means_those_that_are_opted_in() {
        let rows = [(false, false, false), (true, false, true), (false, true, true)];
        for (opted_in, sidecar, want) in rows {
            let pod = Pod { opted_in, sidecar, ..pod(&[]) };
            assert_eq!(selects(&PodSelector::default(), &pod), want);
        }
    }

    #[test]
    fn the_oldest_policy_of_the_namespace_wins_and_the_others_are_told() {
        let key = |namespace: &str, name: &str| PolicyKey { namespace: namespace.into(), name: name.into() };
        let policy = |created, text| Policy { created, selector: selector(text), ..Policy::default() };
        let all = || json!({"matchLabels": {"app": "shop"}});
        let policies = [
            (key("shop", "young"), policy(30, all())),
            (key("shop", "b"), policy(20, all())),
            (key("shop", "a"), policy(20, all())),
            (key("shop", "first"), policy(10, json!({"matchLabels": {"app": "other"}}))),
            (key("elsewhere", "oldest"), policy(1, all())),
        ];
        let there = |namespace: &str, app: &str| Pod { namespace: namespace.into(), ..pod(&[("app", app)]) };
        let pods = [
            ("1", there("shop", "shop")),
            ("2", there("shop", "other")),
            ("3", there("elsewhere", "shop")),
            ("4", there("none", "shop")),
        ];
        let pods = pods.map(|(uid, pod)| (uid.into(), pod)).into();
        let world = World { policies: policies.into(), pods, ..World::default() };
        let of = |by: Option<PolicyKey>, also: &[PolicyKey]| Selected { by, also: also.to_vec(), awaits: false };
        let want: Index = [
            ("1".into(), of(Some(key("shop", "a")), &[key("shop", "b"), key("shop", "young")])),
            ("2".into(), of(Some(key("shop", "first")), &[])),
            ("3".into(), of(Some(key("elsewhere", "oldest")), &[])),
            ("4".into(), of(None, &[])),
        ]
        .into();
        assert_eq!(index(&world), want);
        for (uid, pod) in &world.pods {
            assert_eq!(select(&world, pod), want[uid], "one alone");
        }
    }
}
