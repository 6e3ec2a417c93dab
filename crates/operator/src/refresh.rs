//! Policies as they are now, asked rather than watched: a watch may be behind, and nothing tells by how much.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use kube::{
    Api, Client,
    api::{ApiResource, ListParams},
    core::DynamicObject,
};
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    cluster::Cluster,
    observe,
    reconcile::{Failed, call},
    world::PolicyKey,
};

/// Policies a page.
const PAGE: u32 = 200;
/// Questions at once.
const AT_ONCE: usize = 8;
/// A pod that is to be created waits no longer for one.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks for policies, and takes them into the world.
#[derive(Clone)]
pub struct Refresh {
    client: Client,
    cluster: Arc<Cluster>,
    places: Arc<Semaphore>,
}

impl Refresh {
    /// Into this world.
    #[must_use]
    pub fn new(client: Client, cluster: Arc<Cluster>) -> Refresh {
        Refresh { client, cluster, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// All policies: what anybody was told before is known then.
    ///
    /// # Errors
    /// The API server refuses it, or does not answer.
    pub async fn all(&self) -> Result<(), Failed> {
        let listed = self.list(Api::all_with(self.client.clone(), &resource())).await?;
        self.drop_absent(&listed, |_| true);
        Ok(())
    }

    /// Those of a namespace; whether they are known now.
    pub async fn namespace(&self, namespace: &str) -> bool {
        let known = async {
            let _place = self.places.acquire().await.ok()?;
            let listed = self.list(Api::namespaced_with(self.client.clone(), namespace, &resource())).await;
            let listed =
                listed.inspect_err(|error| tracing::warn!(namespace, %error, "policies are not known")).ok()?;
            self.drop_absent(&listed, |key| *key.namespace == *namespace);
            Some(())
        };
        timeout(PATIENCE, known).await.ok().flatten().is_some()
    }

    /// What is listed is as the API server has it now: without a resource version it answers for no earlier time.
    async fn list(&self, policies: Api<DynamicObject>) -> Result<Listed, Failed> {
        let (mut keys, mut page) = (BTreeSet::new(), ListParams::default().limit(PAGE));
        loop {
            let listed = call("list policies", policies.list(&page)).await?;
            let version = observe::version(listed.metadata.resource_version.as_deref());
            for policy in &listed.items {
                keys.extend(observe::key(&policy.metadata));
                self.cluster.change_if(|world| {
                    // What the watch knows by now and the list did not may be that this one is gone.
                    let differs = world.watched <= version && observe::policy(world, policy).is_some_and(|(_, is)| is);
                    ((), differs)
                });
            }
            match listed.metadata.continue_ {
                Some(more) if !more.is_empty() => page = page.continue_token(&more),
                _ => return Ok(Listed { keys, version }),
            }
        }
    }

    /// Policies that are not in a list are gone; but what the watch has shown since may be younger.
    fn drop_absent(&self, Listed { keys, version }: &Listed, is_meant: impl Fn(&PolicyKey) -> bool) {
        self.cluster.change_if(|world| {
            let before = world.policies.len();
            if world.watched <= *version {
                world.policies.retain(|key, _| !is_meant(key) || keys.contains(key));
            }
            ((), world.policies.len() != before)
        });
    }
}

/// What there was at a time.
struct Listed {
    keys: BTreeSet<PolicyKey>,
    version: u64,
}

fn resource() -> ApiResource {
    ApiResource::erase::<api::LLMRoutePolicy>(&())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::scripted::Api as Scripted;

    fn policy(namespace: &str, name: &str, generation: i64) -> Value {
        let metadata = json!({"namespace": namespace, "name": name, "uid": name, "generation": generation,
            "resourceVersion": (100 + generation).to_string()});
        let spec = json!({"providers": [{"name": "openai", "api": "OpenAI"}],
            "scenes": [{"name": "chat", "targets": [{"provider": "openai"}]}]});
        json!({"apiVersion": "llmroute.dev/v1alpha1", "kind": "LLMRoutePolicy", "metadata": metadata, "spec": spec})
    }

    fn page(more: &str, items: Value) -> Value {
        page_at(200, more, items)
    }

    fn page_at(version: u64, more: &str, items: Value) -> Value {
        let metadata = json!({"continue": more, "resourceVersion": version.to_string()});
        json!({"apiVersion": "llmroute.dev/v1alpha1", "kind": "LLMRoutePolicyList", "metadata": metadata, "items": items})
    }

    fn known(cluster: &Cluster) -> String {
        let one = |(key, policy): (&PolicyKey, &crate::world::Policy)| format!("{key} {}", policy.generation);
        cluster.read(|world| world.policies.iter().map(one).collect::<Vec<_>>().join(", "))
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_listed_is_known_and_what_is_not_is_gone() {
        let (client, mut api) = Scripted::new();
        let cluster = Arc::new(Cluster::default());
        let refresh = Refresh::new(client, cluster.clone());
        let all = tokio::spawn({
            let refresh = refresh.clone();
            async move { refresh.all().await.is_ok() }
        });
        let pages = [("next", json!([policy("a", "p", 3)])), ("", json!([policy("b", "q", 1)]))];
        for (more, items) in pages {
            let (called, _) = api.answer(200, page(more, items)).await;
            assert!(called.starts_with("GET /apis/llmroute.dev/v1alpha1/llmroutepolicies?"), "{called}");
            assert!(!called.contains("resourceVersion"), "{called}");
        }
        assert!(all.await.unwrap());
        assert_eq!(known(&cluster), "a/p 3, b/q 1");

        let asked = |namespace: &'static str| {
            let refresh = refresh.clone();
            tokio::spawn(async move { refresh.namespace(namespace).await })
        };
        // The watch of another replica was behind: what is older than what is known is not taken.
        let a = asked("a");
        let (called, _) = api.answer(200, page("", json!([policy("a", "p", 2), policy("a", "r", 1)]))).await;
        assert!(called.starts_with("GET /apis/llmroute.dev/v1alpha1/namespaces/a/llmroutepolicies?"), "{called}");
        assert!(a.await.unwrap());
        assert_eq!(known(&cluster), "a/p 3, a/r 1, b/q 1");
        let a = asked("a");
        api.answer(200, page("", json!([]))).await;
        assert!(a.await.unwrap());
        assert_eq!(known(&cluster), "b/q 1", "another namespace's stay");

        // The watch shows the end of one and the beginning of another while the list is on its way.
        let mut changes = cluster.changes();
        let a = asked("a");
        cluster.change(|world| {
            world.watched = 301;
            observe::policy(world, &serde_json::from_value(policy("a", "young", 1)).unwrap())
        });
        changes.mark_unchanged();
        api.answer(200, page_at(300, "", json!([policy("a", "p", 3)]))).await;
        assert!(a.await.unwrap());
        assert_eq!(known(&cluster), "a/young 1, b/q 1");
        assert!(!changes.has_changed().unwrap(), "nobody is woken by what is known");
        let a = asked("a");
        api.answer(200, page_at(301, "", json!([]))).await;
        assert!(a.await.unwrap());
        assert_eq!(known(&cluster), "b/q 1");

        let refused = asked("b");
        api.refuses(403).await;
        assert!(!refused.await.unwrap());
        let silent = asked("b");
        assert!(!silent.await.unwrap(), "a pod does not wait for ever");
        assert_eq!(known(&cluster), "b/q 1");
    }
}
