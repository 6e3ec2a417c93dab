//! The CA by which the API server knows the webhooks of this operator: written into their configurations by the one who leads,
//! under a field manager of its own, so that an upgrade of the chart leaves it.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::{sync::watch, time::sleep};

use crate::{
    push::Leader,
    reconcile::{Failed, MANAGER, call},
};

/// Name of both configurations.
pub const NAME: &str = "llmroute";
/// Webhooks that judge pods: asked by their own label, and by their namespace's.
pub const PODS: [&str; 2] = ["pod.inject.llmroute.dev", "namespace.inject.llmroute.dev"];
/// Webhooks that judge policies.
pub const POLICIES: [&str; 1] = ["policies.llmroute.dev"];
/// After a failure, doubling.
const RETRY: Duration = Duration::from_secs(1);
/// So often it is written again: somebody may have changed it.
const REFRESH: Duration = Duration::from_secs(60);

/// Writes it whenever this replica begins to lead or the CA is another one, and now and then.
pub async fn follow(client: Client, mut trust: watch::Receiver<Arc<str>>, mut leader: watch::Receiver<Leader>) {
    let mut retry = RETRY;
    while leader.wait_for(Leader::leads).await.is_ok() {
        let pem = trust.borrow_and_update().clone();
        let pause = match write(&client, &pem, &leader).await {
            Ok(()) => {
                retry = RETRY;
                REFRESH
            }
            Err(error) => {
                tracing::warn!(%error, "the API server does not know this operator's webhooks yet");
                let pause = retry;
                retry = (retry * 2).min(REFRESH);
                pause
            }
        };
        tokio::select! {
            changed = trust.changed() => if changed.is_err() { return },
            changed = leader.changed() => if changed.is_err() { return },
            () = sleep(pause) => {}
        }
    }
}

/// Writes PEM into both configurations, while this replica leads; none into none. That one cannot be written keeps nothing
/// from the other.
async fn write(client: &Client, pem: &str, leader: &watch::Receiver<Leader>) -> Result<(), Failed> {
    if pem.is_empty() {
        return Ok(());
    }
    let pods = apply::<MutatingWebhookConfiguration>(client, &PODS, pem).await;
    // That took its time; what another leader writes must not be undone.
    if !leader.borrow().leads() {
        return pods;
    }
    pods.and(apply::<ValidatingWebhookConfiguration>(client, &POLICIES, pem).await)
}

async fn apply<K>(client: &Client, webhooks: &[&str], pem: &str) -> Result<(), Failed>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let configurations: Api<K> = Api::all(client.clone());
    let params = PatchParams::apply(MANAGER).force();
    let body = body(&K::kind(&()), webhooks, pem);
    call("write the webhooks' CA", configurations.patch(NAME, &params, &Patch::Apply(body))).await.map(|_| ())
}

/// Nothing but the CA: all else is the chart's.
fn body(kind: &str, webhooks: &[&str], pem: &str) -> Value {
    let ca = STANDARD.encode(pem);
    let webhooks: Vec<Value> =
        webhooks.iter().map(|name| json!({"name": name, "clientConfig": {"caBundle": ca}})).collect();
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": NAME}, "webhooks": webhooks})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Api as Scripted;

    const PATH: &str = "PATCH /apis/admissionregistration.k8s.io/v1";

    #[tokio::test(start_paused = true)]
    async fn the_leader_writes_the_ca_and_nothing_else_and_again_when_it_is_another() {
        let (client, mut api) = Scripted::new();
        let (leader, led) = watch::channel(Leader::Unknown);
        let (trust, trusted) = watch::channel(Arc::from("one"));
        let following = tokio::spawn(follow(client, trusted, led));
        api.is_quiet().await;
        leader.send_replace(Leader::Me(Duration::MAX));
        let query = "llmroute?&force=true&fieldManager=llmroute-operator";
        // One is not installed; the other gets it all the same.
        api.refuses(422).await;
        assert_eq!(api.takes().await.0, format!("{PATH}/validatingwebhookconfigurations/{query}"));
        let (called, body) = api.takes().await;
        assert_eq!(called, format!("{PATH}/mutatingwebhookconfigurations/{query}"));
        let webhook = |name: &str| json!({"name": name, "clientConfig": {"caBundle": STANDARD.encode("one")}});
        assert_eq!(body["webhooks"], json!(PODS.map(webhook)));
        let (called, body) = api.takes().await;
        assert_eq!(called, format!("{PATH}/validatingwebhookconfigurations/{query}"));
        assert_eq!(body["webhooks"], json!(POLICIES.map(webhook)));
        api.is_quiet().await;
        trust.send_replace("two".into());
        assert_eq!(api.takes().await.1["webhooks"][1]["clientConfig"]["caBundle"], STANDARD.encode("two"));
        // The lead is lost between the two.
        leader.send_replace(Leader::Other(String::new()));
        tokio::time::advance(REFRESH * 3).await;
        trust.send_replace("three".into());
        api.is_quiet().await;
        drop(leader);
        following.await.unwrap();
    }
}
