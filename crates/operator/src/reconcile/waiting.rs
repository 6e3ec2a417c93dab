//! Pods whose sidecar waits for a policy that does not come: the pod is not ready, and nothing that the kubelet tells of it
//! says why.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    time::Duration,
};

use k8s_openapi::api::core::v1::ObjectReference;

use crate::{
    index::Index,
    status::News,
    world::{Pod, PolicyKey, Uid, World},
};

/// A policy that is applied together with its pods comes soon.
const SOON: Duration = Duration::from_secs(10);
/// Pods that are told in one round; the others are in the next.
const MOST: usize = 100;

/// Why a sidecar waits.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    Unselected,
    NotAccepted(PolicyKey),
}

#[derive(Clone, Debug)]
struct Wait {
    why: Why,
    since: Duration,
    told: bool,
}

/// All that wait.
#[derive(Debug, Default)]
pub(super) struct Waiting(BTreeMap<Uid, Wait>);

impl Waiting {
    /// What is to be told of pods at `now`, until it is.
    pub(super) fn look(&mut self, world: &World, index: &Index, now: Duration) -> Vec<(ObjectReference, News)> {
        let why = |uid: &Uid, pod: &Pod| why(world, index, uid, pod);
        self.0.retain(|uid, wait| world.pods.get(uid).and_then(|pod| why(uid, pod)).as_ref() == Some(&wait.why));
        let mut news = vec![];
        for (uid, pod) in &world.pods {
            let Some(why) = why(uid, pod) else { continue };
            let wait = match self.0.entry(uid.clone()) {
                Entry::Occupied(wait) => wait.into_mut(),
                Entry::Vacant(place) => place.insert(Wait { why, since: now, told: false }),
            };
            if !wait.told && news.len() < MOST && now.saturating_sub(wait.since) >= SOON {
                news.push((reference(uid, pod), told(&wait.why, pod)));
            }
        }
        news
    }

    /// It is told of a pod.
    pub(super) fn told(&mut self, pod: &str) {
        if let Some(wait) = self.0.get_mut(pod) {
            wait.told = true;
        }
    }

    /// Until one that waits is to be told.
    pub(super) fn next(&self, now: Duration) -> Option<Duration> {
        let untold = self.0.values().filter(|wait| !wait.told);
        untold.map(|wait| (wait.since + SOON).saturating_sub(now)).min()
    }
}

/// Why the sidecar of a pod has nothing to begin with, if that is so.
fn why(world: &World, index: &Index, uid: &Uid, pod: &Pod) -> Option<Why> {
    if !pod.sidecar || pod.ending {
        return None;
    }
    let selected = index.get(uid).filter(|selected| !selected.awaits)?;
    let Some(key) = selected.by.clone() else { return Some(Why::Unselected) };
    let policy = world.policies.get(&key)?;
    let waits = policy.accepted.is_none() && !policy.recall;
    waits.then_some(Why::NotAccepted(key))
}

fn told(why: &Why, pod: &Pod) -> News {
    let (reason, message) = match why {
        Why::Unselected => (
            "NoPolicy",
            format!("no LLMRoutePolicy of the namespace {} selects this pod; its sidecar waits for one", pod.namespace),
        ),
        Why::NotAccepted(PolicyKey { namespace, name }) => (
            "PolicyNotAccepted",
            format!(
                "the LLMRoutePolicy {name} selects this pod and no version of it was accepted, so its sidecar waits; `kubectl describe lrp {name} -n {namespace}` says why"
            ),
        ),
    };
    News { warning: true, reason: reason.to_owned(), message }
}

fn reference(uid: &Uid, pod: &Pod) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        name: Some(pod.name.to_string()),
        namespace: Some(pod.namespace.to_string()),
        uid: Some(uid.to_string()),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::{
        index::index,
        world::{Document, Policy},
    };

    #[test]
    fn a_pod_that_waits_is_told_why_once_and_not_at_once() {
        let key = PolicyKey { namespace: "shop".into(), name: "p".into() };
        let pod = |name: &str, app: &str, sidecar: bool| Pod {
            namespace: "shop".into(),
            name: name.into(),
            labels: [("app".to_owned(), app.to_owned())].into(),
            sidecar,
            ..Pod::default()
        };
        let mut world = World::default();
        for (name, app, sidecar) in [("a", "a", true), ("other", "b", true), ("bare", "b", false)] {
            world.pods.insert(name.into(), pod(name, app, sidecar));
        }
        let selector = serde_json::from_value(json!({"matchLabels": {"app": "a"}})).unwrap();
        world.policies.insert(key.clone(), Policy { selector, recall: true, ..Policy::default() });
        let mut waiting = Waiting::default();
        let mut look = |world: &World, second: u64| {
            let now = Duration::from_secs(second);
            let news = waiting.look(world, &index(world), now);
            assert_eq!(news, waiting.look(world, &index(world), now), "until it is told");
            news.iter().for_each(|(pod, _)| waiting.told(pod.uid.as_ref().unwrap()));
            let told = news.into_iter().map(|(pod, n)| format!("{} {}", pod.name.unwrap(), n.reason));
            (told.collect::<Vec<_>>().join(", "), waiting.next(now).map(|d| d.as_secs()))
        };
        let none = String::new;
        assert_eq!(look(&world, 0), (none(), None), "an earlier version may be in force, for either");
        world.policies.get_mut(&key).unwrap().recall = false;
        assert_eq!(look(&world, 15), (none(), Some(10)));
        assert_eq!(look(&world, 25), ("a PolicyNotAccepted, other NoPolicy".into(), None));
        assert_eq!(look(&world, 35), (none(), None));
        world.policies.get_mut(&key).unwrap().accepted = Some(Arc::new(Document::new(key.clone(), 1, &json!({}))));
        assert_eq!(look(&world, 36), (none(), None));
        world.policies.clear();
        assert_eq!(look(&world, 40), (none(), Some(10)), "another reason: told anew");
        assert_eq!(look(&world, 50), ("a NoPolicy".into(), None));
    }
}
