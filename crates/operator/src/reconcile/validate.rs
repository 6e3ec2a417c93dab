//! Step 2, pure: whether a version of a policy is accepted. It is the document that sidecars get which is judged, as they
//! judge it.

use std::sync::Arc;

use ::policy::ledger;
use api::types::PodSelector;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::world::{Caps, Document, PolicyKey, World};

/// An accepted version.
#[derive(Clone, Debug)]
pub struct Judged {
    /// As sidecars get it.
    pub document: Document,
    /// Which pods it is for.
    pub selector: PodSelector,
    /// The Secret with its providers' keys.
    pub secret: Option<Arc<str>>,
    /// One of its providers has a key.
    pub needs_keys: bool,
    /// What its pods share.
    pub caps: Caps,
}

/// A version that is not.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Why: all faults, each with its path and remedy.
    pub faults: Vec<String>,
    /// Which pods it is for, as far as that can be read; else none.
    pub selector: PodSelector,
}

/// Judges a version of a policy.
///
/// # Errors
/// All its faults.
pub fn validate(key: &PolicyKey, generation: i64, spec: &Value) -> Result<Judged, Refused> {
    judge(Document::new(key.clone(), generation, spec)).map_err(|faults| Refused { faults, selector: selector(spec) })
}

fn judge(document: Document) -> Result<Judged, Vec<String>> {
    let manifest: Value = serde_json::from_slice(&document.json).map_err(|e| vec![e.to_string()])?;
    let (policy, snapshot) =
        api::accept(&manifest).map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    Ok(Judged {
        document,
        selector: policy.spec.pod_selector.unwrap_or_default(),
        secret: policy.spec.credentials.map(|c| Arc::from(&*c.secret_name)),
        needs_keys: policy.spec.providers.iter().any(|p| p.credential_key.is_some()),
        caps: Caps { all: ledger::caps(&snapshot), bill_horizon: ledger::bill_horizon(&snapshot) },
    })
}

fn selector(spec: &Value) -> PodSelector {
    let Some(spec) = spec.as_object() else { return nothing() };
    spec.get("podSelector")
        .map_or_else(|| Ok(PodSelector::default()), PodSelector::deserialize)
        .unwrap_or_else(|_| nothing())
}

/// Selects no pod.
fn nothing() -> PodSelector {
    let never = json!({"matchExpressions": [{"key": "llmroute.dev/none", "operator": "In", "values": []}]});
    serde_json::from_value(never).unwrap_or_default()
}

/// Takes what was accepted without this process seeing it, if that is what is missed: a policy of that name, refused, of which
/// no version is known that was accepted, or only an older one. `kept` is what stands in its ConfigMap. Whether the world is
/// another now.
pub fn recall(world: &mut World, key: &PolicyKey, uid: &str, kept: Option<&str>) -> bool {
    let Some(policy) = world.policies.get_mut(key).filter(|p| p.recall && *p.uid == *uid) else { return false };
    policy.recall = false;
    let known = policy.accepted.as_ref().map_or(0, |known| known.generation);
    let document = kept.and_then(|json| Document::read(key, json));
    let document = document.filter(|d| (known + 1..policy.generation).contains(&d.generation));
    let Some(Ok(Judged { document, selector, secret, needs_keys, caps })) = document.map(judge) else { return false };
    tracing::info!(policy = %key, generation = document.generation, "the last accepted version is in force again");
    (policy.accepted, policy.selector) = (Some(Arc::new(document)), selector);
    (policy.secret, policy.needs_keys, policy.caps) = (secret, needs_keys, Arc::new(caps));
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Policy;

    #[test]
    fn what_was_accepted_before_comes_back_only_where_it_is_missed() {
        let key = PolicyKey { namespace: "shop".into(), name: "p".into() };
        let spec = json!({"podSelector": {"matchLabels": {"app": "a"}}, "providers": [{"name": "openai", "api": "OpenAI"}],
            "scenes": [{"name": "chat", "targets": [{"provider": "openai"}]}]});
        let document = |generation| Document::new(key.clone(), generation, &spec);
        let text = |document: &Document| String::from_utf8(document.json.to_vec()).unwrap();
        let other = PolicyKey { namespace: "shop".into(), name: "q".into() };
        let missed =
            Policy { uid: "u".into(), generation: 3, recall: true, faults: vec!["no".into()], ..Policy::default() };
        let has = Policy { accepted: Some(Arc::new(document(2))), recall: false, ..missed.clone() };
        let older = Policy { accepted: Some(Arc::new(document(1))), ..missed.clone() };
        let newer = Policy { recall: true, ..has.clone() };
        let good = text(&document(2));
        let rows = [
            ("missed", &missed, "u", Some(good.clone()), Some(2)),
            ("nothing was kept", &missed, "u", None, None),
            ("another object by now", &missed, "v", Some(good.clone()), None),
            ("one is known", &has, "u", Some(text(&document(1))), Some(2)),
            ("an older one is known", &older, "u", Some(good.clone()), Some(2)),
            ("this one is known", &newer, "u", Some(good.clone()), Some(2)),
            ("a newer one is known", &newer, "u", Some(text(&document(1))), Some(2)),
            ("of another policy", &missed, "u", Some(text(&Document::new(other, 2, &spec))), None),
            ("not older than what was refused", &missed, "u", Some(text(&document(3))), None),
            ("no longer accepted", &missed, "u", Some(good.replace("OpenAI", "Closed")), None),
            ("no document", &missed, "u", Some("{".to_owned()), None),
        ];
        for (what, policy, uid, kept, want) in rows {
            let mut world = World { policies: [(key.clone(), policy.clone())].into(), ..World::default() };
            let changed = recall(&mut world, &key, uid, kept.as_deref());
            let after = &world.policies[&key];
            assert_eq!(after.accepted.as_ref().map(|d| d.generation), want, "{what}");
            let before = policy.accepted.as_ref().map(|d| d.generation);
            assert_eq!(changed, want != before, "{what}");
            assert_eq!(after.recall, uid == "v", "{what}: asked once");
            if changed {
                assert_eq!(after.accepted.as_ref().unwrap().hash, document(2).hash, "{what}: the very bytes");
                assert_eq!(after.selector.match_labels.len(), 1);
            }
        }
    }
}
