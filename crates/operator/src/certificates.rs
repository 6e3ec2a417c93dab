//! Keeps the operator's certificates in their Secret: made and renewed by whichever replica sees that something is due, taken
//! up by all.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Context;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, Client, api::PostParams};
use tokio::{sync::watch, time::sleep};

use crate::{
    ca::{Certificates, Lives, Serving, renew_within},
    clock,
    metrics::Metrics,
    reconcile::{MANAGER, call},
};

/// Between looks; more often where an overlap is short.
const LOOK: Duration = Duration::from_secs(60);
/// After a failure, and after another replica was faster.
const RETRY: Duration = Duration::from_secs(1);

/// Where they are kept, and who uses them.
pub struct Keeper {
    /// The Secrets of the operator's namespace.
    pub secrets: Api<Secret>,
    /// The Secret; it must be there, if empty: whoever may create Secrets may have any service account's token.
    pub name: String,
    /// Names of the served certificate.
    pub names: Vec<String>,
    /// How long they are good for.
    pub lives: Lives,
    /// What ports serve with.
    pub serving: Arc<Serving>,
    /// PEM of the CAs to trust.
    pub trust: watch::Sender<Arc<str>>,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

impl Keeper {
    /// For a Secret of a namespace.
    #[must_use]
    pub fn new(
        client: Client,
        namespace: &str,
        name: &str,
        names: Vec<String>,
        lives: Lives,
        metrics: Arc<Metrics>,
    ) -> Keeper {
        let (trust, serving) = (watch::Sender::new(Arc::from("")), Arc::default());
        let secrets = Api::namespaced(client, namespace);
        Keeper { secrets, name: name.to_owned(), names, lives, serving, trust, metrics }
    }

    /// Never returns.
    pub async fn run(self) {
        let mut used = Certificates::default();
        loop {
            let pause = match self.round(&mut used).await {
                Ok(true) => (self.lives.overlap / 8).clamp(RETRY, LOOK),
                Ok(false) => RETRY,
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(error, "the operator's certificates could not be looked after");
                    RETRY
                }
            };
            sleep(pause.mul_f64(0.8 + 0.4 * fastrand::f64())).await;
        }
    }

    /// Does what is due, and takes up what is new; false where another replica was faster.
    async fn round(&self, used: &mut Certificates) -> anyhow::Result<bool> {
        let found = call("read the Secret of certificates", self.secrets.get_opt(&self.name)).await?;
        let mut secret =
            found.with_context(|| format!("the Secret {} is not there; the chart creates it, empty", self.name))?;
        let data: BTreeMap<String, Vec<u8>> =
            secret.data.clone().unwrap_or_default().into_iter().map(|(name, bytes)| (name, bytes.0)).collect();
        let mut held = Certificates::from_data(&data);
        if let Some(fresh) = renew_within(&held, &self.names, self.lives, clock::unix().as_secs())? {
            secret.data = Some(fresh.to_data().into_iter().map(|(name, bytes)| (name, ByteString(bytes))).collect());
            let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
            // With the version that was read: two replicas never both write.
            match call("write the Secret of certificates", self.secrets.replace(&self.name, &params, &secret)).await {
                Ok(_) => held = fresh,
                Err(crate::reconcile::Failed::Api { error: kube::Error::Api(status), .. }) if status.code == 409 => {
                    return Ok(false);
                }
                Err(failed) => return Err(failed.into()),
            }
        }
        if *used != held {
            self.use_now(&held)?;
            *used = held;
        }
        Ok(true)
    }

    fn use_now(&self, held: &Certificates) -> anyhow::Result<()> {
        let leaf = held.leaf.as_ref().context("there is no certificate to serve with")?;
        // Who is to trust it hears of it first.
        self.trust.send_replace(held.bundle().into());
        self.serving.put(leaf)?;
        self.metrics.certificate_ends(held.dates(&self.names).leaf.map_or(0, |leaf| leaf.span.until));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::scripted::Api as Scripted;

    fn keeper(client: Client) -> Keeper {
        Keeper::new(
            client,
            "llmroute-system",
            "llmroute-tls",
            vec!["localhost".to_owned()],
            Lives::default(),
            Arc::default(),
        )
    }

    const SECRET: &str = "/api/v1/namespaces/llmroute-system/secrets/llmroute-tls";

    fn empty(version: &str) -> Value {
        json!({"metadata": {"name": "llmroute-tls", "resourceVersion": version, "labels": {"a": "b"}}, "type": "Opaque"})
    }

    #[tokio::test]
    async fn an_empty_secret_is_filled_once_and_used() {
        let (client, mut api) = Scripted::new();
        let keeper = keeper(client);
        let trust = keeper.trust.subscribe();
        let mut used = Certificates::default();
        // Another replica is faster at first.
        let (faster, ()) = tokio::join!(keeper.round(&mut used), async {
            assert_eq!(api.answer(200, empty("7")).await.0, format!("GET {SECRET}"));
            let (called, sent) = api.refuses(409).await;
            assert!(called.starts_with(&format!("PUT {SECRET}?")), "{called}");
            assert_eq!(
                (&sent["metadata"]["resourceVersion"], &sent["metadata"]["labels"]["a"]),
                (&json!("7"), &json!("b"))
            );
        });
        assert!(!faster.unwrap() && trust.borrow().is_empty(), "what is not written is not used");

        let (done, written) = tokio::join!(keeper.round(&mut used), async {
            api.answer(200, empty("8")).await;
            let (_, sent) = api.takes().await;
            sent
        });
        assert!(done.unwrap() && trust.borrow().contains("BEGIN CERTIFICATE"));
        let (done, ()) = tokio::join!(keeper.round(&mut used), async {
            api.answer(200, written.clone()).await;
        });
        assert!(done.unwrap(), "and nothing is written again");

        // A Secret that somebody emptied while nobody can write: what is in use stays.
        let before = trust.borrow().clone();
        let (failed, ()) = tokio::join!(keeper.round(&mut used), async {
            api.answer(200, empty("9")).await;
            api.refuses(403).await;
        });
        assert!(failed.is_err() && *trust.borrow() == before);
    }

    #[tokio::test]
    async fn a_secret_that_is_not_there_is_told_and_not_created() {
        let (client, mut api) = Scripted::new();
        let keeper = keeper(client);
        let mut used = Certificates::default();
        let (failed, ()) = tokio::join!(keeper.round(&mut used), async {
            api.refuses(404).await;
        });
        assert_eq!(
            failed.unwrap_err().to_string(),
            "the Secret llmroute-tls is not there; the chart creates it, empty"
        );
    }
}
