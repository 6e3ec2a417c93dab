//! Keeps the operator's certificates in their Secret: made and renewed by whichever replica sees that something is due, or by
//! somebody else, and taken up by all.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Context;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, Client, api::PostParams};
use tokio::{sync::watch, time::sleep};

use crate::{
    ca::{Certificates, InUse, Lives, Serving, given, renew_within},
    clock,
    metrics::Metrics,
    reconcile::{MANAGER, call},
};

/// Between looks; more often where an overlap is short.
const LOOK: Duration = Duration::from_secs(60);
/// The same where somebody else makes them: who replaces one by hand waits for it.
const LOOK_GIVEN: Duration = Duration::from_secs(10);
/// After a failure, and after another replica was faster.
const RETRY: Duration = Duration::from_secs(1);

/// Who makes the certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The operator; how long they are good for.
    Operator(Lives),
    /// Somebody else, cert-manager for example.
    Given,
}

/// Where they are kept, and who uses them.
pub struct Keeper {
    /// The Secrets of the operator's namespace.
    pub secrets: Api<Secret>,
    /// The Secret; it must be there, if empty: whoever may create Secrets may have any service account's token.
    pub name: String,
    /// Names of the served certificate.
    pub names: Vec<String>,
    /// Who makes them.
    pub source: Source,
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
        source: Source,
        metrics: Arc<Metrics>,
    ) -> Keeper {
        let (trust, serving) = (watch::Sender::new(Arc::from("")), Arc::default());
        let secrets = Api::namespaced(client, namespace);
        Keeper { secrets, name: name.to_owned(), names, source, serving, trust, metrics }
    }

    /// Never returns.
    pub async fn run(self) {
        let mut used = None;
        let pause = match self.source {
            Source::Operator(lives) => (lives.overlap / 8).clamp(RETRY, LOOK),
            Source::Given => LOOK_GIVEN,
        };
        loop {
            let pause = match self.round(&mut used).await {
                Ok(true) => pause,
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
    async fn round(&self, used: &mut Option<InUse>) -> anyhow::Result<bool> {
        let found = call("read the Secret of certificates", self.secrets.get_opt(&self.name)).await?;
        let maker = match self.source {
            Source::Operator(_) => "the chart creates it, empty",
            Source::Given => "who makes certificates has not made it yet",
        };
        let secret = found.with_context(|| format!("the Secret {} is not there; {maker}", self.name))?;
        let data: BTreeMap<String, Vec<u8>> =
            secret.data.clone().unwrap_or_default().into_iter().map(|(name, bytes)| (name, bytes.0)).collect();
        let fresh = match self.source {
            Source::Given => given(&data, &self.names, used.as_ref(), clock::unix().as_secs())
                .with_context(|| format!("the Secret {} is not used", self.name))?,
            Source::Operator(lives) => {
                let Some(held) = self.renewed(secret, &data, lives).await? else { return Ok(false) };
                held.in_use().context("there is no certificate to serve with")?
            }
        };
        if used.as_ref() != Some(&fresh) {
            // Who is to trust it hears of it first.
            self.trust.send_replace((&*fresh.trust).into());
            self.serving.put(&fresh.leaf)?;
            self.metrics.certificate_ends(fresh.until);
            *used = Some(fresh);
        }
        Ok(true)
    }

    /// What is held, renewed where that is due; `None` where another replica was faster.
    async fn renewed(
        &self,
        mut secret: Secret,
        data: &BTreeMap<String, Vec<u8>>,
        lives: Lives,
    ) -> anyhow::Result<Option<Certificates>> {
        let held = Certificates::from_data(data);
        let Some(fresh) = renew_within(&held, &self.names, lives, clock::unix().as_secs())? else {
            return Ok(Some(held));
        };
        secret.data = Some(fresh.to_data().into_iter().map(|(name, bytes)| (name, ByteString(bytes))).collect());
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        // With the version that was read: two replicas never both write.
        match call("write the Secret of certificates", self.secrets.replace(&self.name, &params, &secret)).await {
            Ok(_) => Ok(Some(fresh)),
            Err(crate::reconcile::Failed::Api { error: kube::Error::Api(status), .. }) if status.code == 409 => {
                Ok(None)
            }
            Err(failed) => Err(failed.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::scripted::Api as Scripted;

    fn keeper(client: Client, source: Source) -> Keeper {
        Keeper::new(client, "llmroute-system", "llmroute-tls", vec!["localhost".to_owned()], source, Arc::default())
    }

    const SECRET: &str = "/api/v1/namespaces/llmroute-system/secrets/llmroute-tls";

    fn empty(version: &str) -> Value {
        json!({"metadata": {"name": "llmroute-tls", "resourceVersion": version, "labels": {"a": "b"}}, "type": "Opaque"})
    }

    #[tokio::test]
    async fn an_empty_secret_is_filled_once_and_used() {
        let (client, mut api) = Scripted::new();
        let keeper = keeper(client, Source::Operator(Lives::default()));
        let trust = keeper.trust.subscribe();
        let mut used = None;
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
        let keeper = keeper(client, Source::Operator(Lives::default()));
        let mut used = None;
        let (failed, ()) = tokio::join!(keeper.round(&mut used), async {
            api.refuses(404).await;
        });
        assert_eq!(
            failed.unwrap_err().to_string(),
            "the Secret llmroute-tls is not there; the chart creates it, empty"
        );
    }
    #[tokio::test]
    async fn what_somebody_else_makes_is_used_and_never_written() {
        let (client, mut api) = Scripted::new();
        let keeper = keeper(client, Source::Given);
        let trust = keeper.trust.subscribe();
        let mut used = None;
        let (early, ()) = tokio::join!(keeper.round(&mut used), async {
            api.refuses(404).await;
        });
        assert!(early.unwrap_err().to_string().ends_with("has not made it yet"));
        let made = || {
            let names = ["localhost".to_owned()];
            let made = renew_within(&Certificates::default(), &names, Lives::default(), clock::unix().as_secs());
            let data = made.unwrap().unwrap().to_data();
            let data: BTreeMap<String, ByteString> = data.into_iter().map(|(n, b)| (n, ByteString(b))).collect();
            (json!({"metadata": {"name": "llmroute-tls"}, "data": data.clone()}), data)
        };
        let ((first, a), (second, b)) = (made(), made());
        for (secret, data, is_rotated) in [(&first, &a, false), (&second, &b, true)] {
            let (done, ()) = tokio::join!(keeper.round(&mut used), async {
                assert_eq!(api.answer(200, secret.clone()).await.0, format!("GET {SECRET}"));
            });
            assert!(done.unwrap());
            let (pem, ca) = (trust.borrow().clone(), String::from_utf8(data["ca.crt"].0.clone()).unwrap());
            assert!(pem.starts_with(&ca) && (pem.len() > ca.len()) == is_rotated, "the one before is trusted still");
        }
        let before = trust.borrow().clone();
        let (unfit, ()) = tokio::join!(keeper.round(&mut used), async {
            api.answer(200, empty("9")).await;
        });
        let told = format!("{:#}", unfit.unwrap_err());
        assert!(told.contains("llmroute-tls is not used: tls.crt and tls.key"), "{told}");
        assert_eq!(*trust.borrow(), before, "what is in use stays");
    }
}
