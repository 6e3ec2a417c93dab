//! Follows the API server into the world: lists, then each change, for ever. A watch that breaks is begun again; what is known
//! stays meanwhile.

use std::{collections::BTreeSet, fmt::Debug, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{Namespace, Pod as K8sPod};
use kube::{
    Api, Client, Resource,
    api::ApiResource,
    core::{DynamicObject, PartialObjectMeta},
    runtime::watcher::{self, Event, watcher},
};
use serde::de::DeserializeOwned;
use tokio::time::sleep;

use crate::{
    cluster::{Cluster, Kind},
    metrics::Metrics,
    observe::{self, SeenPod},
    world::{Policy, PolicyKey, Uid, World},
};

/// Between tries, doubling.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// A watch is begun anew after so many seconds, so that a connection that died silently is noticed soon after.
const LIFE: u32 = 30;
/// A connection on which the API server says nothing for so long is dead. The watcher looks after its watches, but not after the
/// call that begins one: without this it would wait for as long as the kernel does.
pub const SILENCE: Duration = Duration::from_secs(LIFE as u64 + 15);

/// One kind of object in the world.
trait Watched: Send + 'static {
    const KIND: Kind;
    type Object: Resource + Clone + DeserializeOwned + Debug + Send + 'static;
    /// Names one of them, for good.
    type Key: Ord + Send;

    /// One is there, or another than before; whether the world is another for it.
    fn apply(world: &mut World, object: &Self::Object) -> Option<(Self::Key, bool)>;
    /// One is gone.
    fn delete(world: &mut World, object: &Self::Object);
    /// All others are gone.
    fn keep(world: &mut World, seen: &BTreeSet<Self::Key>);
}

/// The watch of policies has come so far.
fn watched(world: &mut World, object: &DynamicObject) {
    world.watched = world.watched.max(observe::version(object.metadata.resource_version.as_deref()));
}

struct Policies;
struct Pods;
struct Namespaces;

impl Watched for Policies {
    const KIND: Kind = Kind::Policies;
    type Object = DynamicObject;
    type Key = PolicyKey;

    fn apply(world: &mut World, object: &DynamicObject) -> Option<(PolicyKey, bool)> {
        watched(world, object);
        observe::policy(world, object)
    }

    fn delete(world: &mut World, object: &DynamicObject) {
        watched(world, object);
        let is_it = |policy: &Policy| object.metadata.uid.as_deref().is_none_or(|uid| *policy.uid == *uid);
        // Another one of that name may be there by now.
        if let Some(key) = observe::key(&object.metadata).filter(|key| world.policies.get(key).is_some_and(is_it)) {
            world.policies.remove(&key);
        }
    }

    fn keep(world: &mut World, seen: &BTreeSet<PolicyKey>) {
        world.policies.retain(|key, _| seen.contains(key));
    }
}

impl Watched for Pods {
    const KIND: Kind = Kind::Pods;
    type Object = SeenPod;
    type Key = Uid;

    fn apply(world: &mut World, object: &SeenPod) -> Option<(Uid, bool)> {
        observe::pod(world, object)
    }

    fn delete(world: &mut World, object: &SeenPod) {
        if let Some(uid) = &object.meta().uid {
            world.pods.remove(&**uid);
        }
    }

    fn keep(world: &mut World, seen: &BTreeSet<Uid>) {
        world.pods.retain(|uid, _| seen.contains(uid));
    }
}

impl Watched for Namespaces {
    const KIND: Kind = Kind::Namespaces;
    type Object = PartialObjectMeta<Namespace>;
    type Key = Arc<str>;

    fn apply(world: &mut World, object: &Self::Object) -> Option<(Arc<str>, bool)> {
        Some((observe::namespace(world, object)?, true))
    }

    fn delete(world: &mut World, object: &Self::Object) {
        if let Some(name) = &object.metadata.name {
            let rest = world.opted_in.iter().filter(|n| ***n != **name).cloned().collect();
            observe::keep_namespaces(world, &rest);
        }
    }

    fn keep(world: &mut World, seen: &BTreeSet<Arc<str>>) {
        observe::keep_namespaces(world, seen);
    }
}

/// Watches all that matters; never returns.
pub async fn watch(client: Client, cluster: Arc<Cluster>, metrics: Arc<Metrics>) {
    let policies = Api::all_with(client.clone(), &ApiResource::erase::<api::LLMRoutePolicy>(&()));
    let pods = Api::all_with(client.clone(), &ApiResource::erase::<K8sPod>(&()));
    let namespaces = Api::all(client);
    let config = || watcher::Config::default().timeout(LIFE);
    tokio::join!(
        follow::<Policies>(watcher(policies, config()), &cluster, &metrics),
        follow::<Pods>(watcher(pods, config()), &cluster, &metrics),
        follow::<Namespaces>(watcher(namespaces, config()), &cluster, &metrics),
    );
}

async fn follow<W: Watched>(
    events: impl Stream<Item = watcher::Result<Event<W::Object>>>,
    cluster: &Cluster,
    metrics: &Metrics,
) {
    let mut events = std::pin::pin!(events);
    let (mut seen, mut pause) = (BTreeSet::new(), PAUSE.0);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                take::<W>(cluster, &mut seen, event);
                pause = PAUSE.0;
            }
            Err(error) => {
                let kind = W::KIND.name();
                tracing::warn!(%error, kind, "a watch broke; it is begun again");
                metrics.watch_broke(W::KIND);
                sleep(pause.mul_f64(0.5 + 0.5 * fastrand::f64())).await;
                pause = (pause * 2).min(PAUSE.1);
            }
        }
    }
}

fn apply<W: Watched>(cluster: &Cluster, object: &W::Object) -> Option<W::Key> {
    cluster.change_if(|world| W::apply(world, object).map_or((None, false), |(key, differs)| (Some(key), differs)))
}

fn take<W: Watched>(cluster: &Cluster, seen: &mut BTreeSet<W::Key>, event: Event<W::Object>) {
    match event {
        Event::Apply(object) => _ = apply::<W>(cluster, &object),
        Event::Delete(object) => cluster.change(|world| W::delete(world, &object)),
        Event::Init => seen.clear(),
        // What is listed is in force as it comes: nobody waits for the last page.
        Event::InitApply(object) => seen.extend(apply::<W>(cluster, &object)),
        Event::InitDone => {
            cluster.change(|world| W::keep(world, seen));
            seen.clear();
            cluster.listed(W::KIND);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(uid: &str, app: &str) -> SeenPod {
        let metadata = json!({"namespace": "shop", "name": "p", "uid": uid, "labels": {"app": app}});
        serde_json::from_value(json!({"metadata": metadata, "spec": {}})).unwrap()
    }

    fn policy(name: &str) -> DynamicObject {
        let metadata = json!({"namespace": "shop", "name": name, "uid": name, "generation": 1});
        serde_json::from_value(json!({"metadata": metadata, "spec": Value::Null})).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_relist_replaces_what_is_known_and_a_broken_watch_keeps_it() {
        let (cluster, metrics) = (Cluster::default(), Metrics::default());
        let (send, receive) = tokio::sync::mpsc::unbounded_channel();
        let events = tokio_stream::wrappers::UnboundedReceiverStream::new(receive);
        let mut following = std::pin::pin!(follow::<Pods>(events, &cluster, &metrics));
        let rows = [
            (vec![Event::Init, Event::InitApply(pod("1", "a")), Event::InitApply(pod("2", "a"))], "1a 2a", false),
            (vec![Event::InitDone], "1a 2a", true),
            (vec![Event::Apply(pod("2", "b")), Event::Delete(pod("1", "a"))], "2b", true),
            (vec![], "2b", true),
            (vec![Event::Init, Event::InitApply(pod("3", "c"))], "2b 3c", true),
            (vec![Event::InitDone], "3c", true),
        ];
        for (events, want, listed) in rows {
            let broke = events.is_empty();
            if broke {
                send.send(Err(watcher::Error::NoResourceVersion)).unwrap();
            }
            events.into_iter().for_each(|event| send.send(Ok(event)).unwrap());
            let until = tokio::time::timeout(PAUSE.1, &mut following).await;
            assert!(until.is_err(), "it goes on");
            let got =
                cluster.read(|w| w.pods.iter().map(|(uid, p)| format!("{uid}{}", p.labels["app"])).collect::<Vec<_>>());
            assert_eq!(got.join(" "), want);
            assert_eq!(!cluster.missing().contains(&Kind::Pods), listed);
        }
    }

    #[test]
    fn a_pod_that_is_as_it_was_wakes_nobody() {
        let cluster = Cluster::default();
        let mut changes = cluster.changes();
        let mut wakes = |event| {
            take::<Pods>(&cluster, &mut BTreeSet::new(), event);
            let woken = changes.has_changed().unwrap();
            changes.mark_unchanged();
            woken
        };
        let rows = [
            (Event::Apply(pod("1", "a")), true),
            (Event::Apply(pod("1", "a")), false),
            (Event::InitApply(pod("1", "a")), false),
            (Event::Apply(pod("1", "b")), true),
            (Event::Delete(pod("1", "b")), true),
        ];
        for (i, (event, want)) in rows.into_iter().enumerate() {
            assert_eq!(wakes(event), want, "row {i}");
        }
    }

    #[test]
    fn each_kind_goes_where_it_belongs() {
        let cluster = Cluster::default();
        let mut seen = BTreeSet::new();
        for event in [Event::Apply(policy("p")), Event::Apply(policy("q")), Event::Delete(policy("p"))] {
            take::<Policies>(&cluster, &mut seen, event);
        }
        let names =
            |cluster: &Cluster| cluster.read(|w| w.policies.keys().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(names(&cluster), ["shop/q"]);
        let mut seen = BTreeSet::new();
        for event in [Event::Init, Event::InitApply(policy("r")), Event::InitDone] {
            take::<Policies>(&cluster, &mut seen, event);
        }
        assert_eq!(names(&cluster), ["shop/r"]);
        let namespace = |name: &str| -> PartialObjectMeta<Namespace> {
            serde_json::from_value(json!({"metadata": {"name": name, "labels": {observe::INJECT: "enabled"}}})).unwrap()
        };
        let mut seen = BTreeSet::new();
        for event in [Event::Apply(namespace("a")), Event::Apply(namespace("b")), Event::Delete(namespace("a"))] {
            take::<Namespaces>(&cluster, &mut seen, event);
        }
        assert_eq!(cluster.read(|w| w.opted_in.iter().map(ToString::to_string).collect::<Vec<_>>()), ["b"]);
    }
}
