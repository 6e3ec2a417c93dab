//! What holds for every input: nothing panics, what is accepted is whole, and it is the same after a trip as JSON.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use policy::snapshot::Snapshot;
use proptest::prelude::*;
use serde_json::{Map, Value};

const FULL: &str = include_str!("policies/full.yaml");

/// A change of the full policy: the value at some place becomes another.
#[derive(Clone, Debug)]
struct Change {
    place: usize,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Replace(Value),
    Remove,
    Twice,
    Move(usize),
}

fn json() -> impl Strategy<Value = Value> {
    let words = [
        "",
        "5s",
        "0.5",
        "2",
        "openai",
        "chat",
        "gold",
        "Reject",
        "OpenAI",
        "a b",
        "é",
        "request.tools > 0",
        "http://h",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0i64..200).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|f| serde_json::Number::from_f64(f).map_or(Value::Null, Value::Number)),
        prop::sample::select(words.to_vec()).prop_map(Value::from),
        "\\PC{0,80}".prop_map(Value::from),
    ];
    let keys = ["name", "spec", "providers", "scenes", "targets", "api", "metadata", "kind", "x"];
    leaf.prop_recursive(4, 24, 6, move |inner| {
        let key = prop_oneof![prop::sample::select(keys.to_vec()).prop_map(str::to_owned), "\\PC{0,8}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..5)
                .prop_map(|m| Value::Object(m.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn change() -> impl Strategy<Value = Change> {
    let kind = prop_oneof![
        3 => json().prop_map(Kind::Replace),
        1 => Just(Kind::Remove),
        1 => Just(Kind::Twice),
        1 => any::<usize>().prop_map(Kind::Move),
    ];
    (any::<usize>(), kind).prop_map(|(place, kind)| Change { place, kind })
}

fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(k, v)| (k.replace('~', "~0").replace('/', "~1"), v)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(i, v)| (i.to_string(), v)).collect(),
        _ => return,
    };
    children.into_iter().for_each(|(key, child)| places(child, &format!("{at}/{key}"), found));
}

fn apply(policy: &mut Value, change: Change) {
    let mut all = Vec::new();
    places(policy, "", &mut all);
    let at = &all[change.place % all.len()];
    match change.kind {
        Kind::Replace(value) => *policy.pointer_mut(at).unwrap() = value,
        Kind::Move(from) => *policy.pointer_mut(at).unwrap() = policy.pointer(&all[from % all.len()]).cloned().unwrap(),
        Kind::Remove | Kind::Twice => {
            let Some((parent, key)) = at.rsplit_once('/') else { return };
            match (policy.pointer_mut(parent), change.kind) {
                (Some(Value::Object(members)), Kind::Remove) => drop(members.remove(key)),
                (Some(Value::Array(items)), Kind::Remove) => drop(items.remove(key.parse().unwrap())),
                (Some(Value::Array(items)), _) => items.push(items[key.parse::<usize>().unwrap()].clone()),
                _ => {}
            }
        }
    }
}

fn check(value: &Value) {
    match api::accept(value) {
        Err(faults) => {
            assert!(!faults.is_empty());
            for fault in faults {
                assert!(!fault.message.is_empty() && !fault.remedy.is_empty(), "{fault:?}");
                assert!(!fault.to_string().contains('\n'), "{fault}");
            }
        }
        Ok((policy, snapshot)) => {
            assert!(!snapshot.providers.is_empty() && !snapshot.scenes.is_empty() && !snapshot.tiers.is_empty());
            let Snapshot { providers, scenes, tiers, classify, .. } = &snapshot;
            assert!(
                usize::from(classify.default_scene.0) < scenes.len()
                    && usize::from(classify.default_tier.0) < tiers.len()
            );
            for rule in &classify.rules {
                assert!(rule.scene.is_some() || rule.tier.is_some());
                assert!(rule.scene.is_none_or(|id| usize::from(id.0) < scenes.len()));
                assert!(rule.tier.is_none_or(|id| usize::from(id.0) < tiers.len()));
            }
            for target in scenes.iter().flat_map(|scene| &scene.targets) {
                assert!(usize::from(target.provider.0) < providers.len());
            }
            for tier in &snapshot.tiers {
                let t = tier.timeouts;
                assert!(
                    [t.connect, t.tls, t.first_byte, t.first_byte_plain, t.idle, t.total].iter().all(|d| !d.is_zero())
                );
                assert!(
                    tier.retries.attempts > 0 && tier.retries.base <= tier.retries.cap && !tier.over_budget.is_empty()
                );
            }
            assert!(snapshot.providers.iter().all(|p| !p.base.host.is_empty()));
            assert!(
                snapshot.breaker.close_after <= snapshot.breaker.half_open_probes
                    && snapshot.breaker.failure_ratio.0 > 0
            );
            let again = api::accept(&serde_json::to_value(&policy).unwrap());
            assert_eq!(again, Ok((policy, snapshot)), "the same after a trip as JSON");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn changed_policies(changes in prop::collection::vec(change(), 0..4)) {
        let mut policy: Value = serde_yaml::from_str(FULL).unwrap();
        changes.into_iter().for_each(|change| apply(&mut policy, change));
        check(&policy);
    }

    #[test]
    fn any_json(value in json(), spec in json()) {
        check(&value);
        let wrapped = serde_json::json!({
            "apiVersion": "llmroute.dev/v1alpha1", "kind": "LLMRoutePolicy", "metadata": {"name": "a"}, "spec": spec,
        });
        check(&wrapped);
    }

    #[test]
    fn any_text(text in "\\PC{0,200}", yaml in "[-a-z:{}\\[\\]&*<!|>'\" \n#?0-9.]{0,200}") {
        let _ = (api::load(&text), api::load(&yaml));
    }
}
