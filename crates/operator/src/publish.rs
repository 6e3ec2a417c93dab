//! What each pod is served, for those who wait for it to change: compare, wake.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    index::{Index, Selected},
    world::{Document, PolicyKey, Uid, World},
};

/// What a pod is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Served {
    /// No such pod was seen yet: the watch of pods may be behind the pod itself.
    #[default]
    Unknown,
    /// The pod was there and is gone.
    Gone,
    /// No policy selects it.
    Unselected,
    /// The policy that selects it has no accepted version yet, or is not known yet.
    Awaited,
    /// This.
    Policy(Arc<Document>),
}

/// What every pod of `world` is served.
#[must_use]
pub fn served(world: &World, index: &Index) -> HashMap<Uid, Served> {
    let of = |policy: &PolicyKey| match world.policies.get(policy).and_then(|p| p.accepted.clone()) {
        Some(document) => Served::Policy(document),
        None => Served::Awaited,
    };
    let served = |s: &Selected| if s.awaits { Served::Awaited } else { s.by.as_ref().map_or(Served::Unselected, of) };
    index.iter().map(|(uid, selected)| (uid.clone(), served(selected))).collect()
}

/// The table; who waits is woken only by a difference.
#[derive(Debug, Default)]
pub struct Published(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    now: HashMap<Uid, Served>,
    watched: HashMap<Uid, watch::Sender<Served>>,
}

impl Published {
    /// Takes the place of what was published before.
    pub fn publish(&self, now: HashMap<Uid, Served>) {
        let mut table = self.0.lock();
        let Table { now: before, watched } = &mut *table;
        watched.retain(|_, waiting| waiting.receiver_count() > 0);
        for (uid, waiting) in watched {
            let fresh = now.get(uid).cloned();
            waiting.send_if_modified(|old| {
                // Who was never there is not gone.
                let missing = if *old == Served::Unknown { Served::Unknown } else { Served::Gone };
                let fresh = fresh.unwrap_or(missing);
                let differs = *old != fresh;
                *old = fresh;
                differs
            });
        }
        *before = now;
    }

    /// What a pod is served, now and from now on.
    #[must_use]
    pub fn watch(&self, pod: &Uid) -> watch::Receiver<Served> {
        let mut table = self.0.lock();
        let now = table.now.get(pod).cloned().unwrap_or_default();
        table.watched.entry(pod.clone()).or_insert_with(|| watch::Sender::new(now)).subscribe()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        index::index,
        world::{Pod, Policy, PolicyKey},
    };

    fn key(name: &str) -> PolicyKey {
        PolicyKey { namespace: "shop".into(), name: name.into() }
    }

    fn document(name: &str, generation: i64) -> Arc<Document> {
        Arc::new(Document::new(key(name), generation, &json!({"n": generation})))
    }

    fn world(pods: &[&str], policies: &[(&str, Option<i64>)]) -> World {
        let pod = Pod { namespace: "shop".into(), sidecar: true, ..Pod::default() };
        let policy = |name: &str, generation: Option<i64>| Policy {
            created: 1,
            accepted: generation.map(|g| document(name, g)),
            ..Policy::default()
        };
        World {
            pods: pods.iter().map(|uid| ((*uid).into(), pod.clone())).collect(),
            policies: policies.iter().map(|(name, g)| (key(name), policy(name, *g))).collect(),
            ..World::default()
        }
    }

    #[test]
    fn only_a_difference_wakes() {
        let published = Published::default();
        let put = |pods: &[&str], policies: &[(&str, Option<i64>)]| {
            let world = world(pods, policies);
            published.publish(served(&world, &index(&world)));
        };
        let (one, other): (Uid, Uid) = ("1".into(), "2".into());
        let mut waits = published.watch(&one);
        assert_eq!(*waits.borrow(), Served::Unknown);
        type Row<'a> = (&'a [&'a str], &'a [(&'a str, Option<i64>)], Option<Served>);
        let rows: [Row<'_>; 11] = [
            (&["2"], &[("p", Some(1))], None),
            (&["1", "2"], &[("p", Some(1))], Some(Served::Policy(document("p", 1)))),
            (&["1", "2"], &[("p", Some(1))], None),
            (&["1"], &[("p", Some(1)), ("q", Some(7))], None),
            (&["1"], &[("p", Some(2)), ("q", Some(7))], Some(Served::Policy(document("p", 2)))),
            (&["1"], &[("q", Some(7))], Some(Served::Policy(document("q", 7)))),
            (&["1"], &[("p", None), ("q", Some(7))], Some(Served::Awaited)),
            (&["1"], &[], Some(Served::Unselected)),
            (&["2"], &[], Some(Served::Gone)),
            (&[], &[], None),
            (&["1"], &[("p", Some(2))], Some(Served::Policy(document("p", 2)))),
        ];
        for (i, (pods, policies, want)) in rows.into_iter().enumerate() {
            put(pods, policies);
            let woken = waits.has_changed().unwrap();
            assert_eq!(woken.then(|| waits.borrow_and_update().clone()), want, "row {i}");
        }
        assert_eq!(*published.watch(&one).borrow(), Served::Policy(document("p", 2)));
        assert_eq!(*published.watch(&other).borrow(), Served::Unknown);
    }

    #[test]
    fn whose_policy_is_not_known_yet_waits() {
        let mut world = world(&["1"], &[("p", Some(1)), ("q", Some(1))]);
        world.policies.get_mut(&key("p")).unwrap().recall = true;
        assert_eq!(served(&world, &index(&world))[&Uid::from("1")], Served::Awaited);
    }

    #[test]
    fn nobody_who_left_is_remembered() {
        let published = Published::default();
        (0..100).for_each(|i| drop(published.watch(&format!("{i}").into())));
        let kept = published.watch(&"kept".into());
        published.publish(HashMap::new());
        assert_eq!(published.0.lock().watched.len(), 1);
        drop(kept);
    }
}
