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
        let seen = self.list(Api::all_with(self.client.clone(), &resource())).await?;
        self.cluster.change(|world| world.policies.retain(|key, _| seen.contains(key)));
        Ok(())
    }

    /// Those of a namespace; whether they are known now.
    pub async fn namespace(&self, namespace: &str) -> bool {
        let known = async {
            let _place = self.places.acquire().await.ok()?;
            let seen = self.list(Api::namespaced_with(self.client.clone(), namespace, &resource())).await;
            let seen = seen.inspect_err(|error| tracing::warn!(namespace, %error, "policies are not known")).ok()?;
            let is_gone = |key: &PolicyKey| *key.namespace == *namespace && !seen.contains(key);
            if self.cluster.read(|world| world.policies.keys().any(is_gone)) {
                self.cluster.change(|world| world.policies.retain(|key, _| !is_gone(key)));
            }
            Some(())
        };
        timeout(PATIENCE, known).await.ok().flatten().is_some()
    }

    /// What is listed is as the API server has it now: without a resource version it answers for no earlier time.
    async fn list(&self, policies: Api<DynamicObject>) -> Result<BTreeSet<PolicyKey>, Failed> {
        let (mut seen, mut page) = (BTreeSet::new(), ListParams::default().limit(PAGE));
        loop {
            let listed = call("list policies", policies.list(&page)).await?;
            for policy in &listed.items {
                seen.extend(self.cluster.change(|world| observe::policy(world, policy)));
            }
            match listed.metadata.continue_ {
                Some(more) if !more.is_empty() => page = page.continue_token(&more),
                _ => return Ok(seen),
            }
        }
    }
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
        let metadata = json!({"namespace": namespace, "name": name, "uid": name, "generation": generation});
        let spec = json!({"providers": [{"name": "openai", "api": "OpenAI"}],
            "scenes": [{"name": "chat", "targets": [{"provider": "openai"}]}]});
        json!({"apiVersion": "llmroute.dev/v1alpha1", "kind": "LLMRoutePolicy", "metadata": metadata, "spec": spec})
    }

    fn page(more: &str, items: Value) -> Value {
        json!({"apiVersion": "llmroute.dev/v1alpha1", "kind": "LLMRoutePolicyList", "metadata": {"continue": more}, "items": items})
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

        let refused = asked("b");
        api.refuses(403).await;
        assert!(!refused.await.unwrap());
        let silent = asked("b");
        assert!(!silent.await.unwrap(), "a pod does not wait for ever");
        assert_eq!(known(&cluster), "b/q 1");
    }
}
