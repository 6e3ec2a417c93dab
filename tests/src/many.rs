//! What kubectl is too slow for, at a tenth of a second a call: pods and tokens by the thousand, edits by the second.

use std::path::Path;

use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::{Pod, ServiceAccount},
};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

/// Calls at once.
const AT_ONCE: usize = 16;
/// Where pods are, and whose account they have.
const NAMESPACE: &str = "shop";
const ACCOUNT: &str = "app";

/// Speaks to an API server.
#[derive(Clone)]
pub struct Kube(Client);

/// A pod that is an object alone, and the token of its sidecar.
pub struct Named {
    /// The pod's name.
    pub name: String,
    /// For the operator, bound to the pod.
    pub token: String,
}

/// A pod as the webhook leaves it, as far as the operator reads it.
pub fn pod(name: &str, app: &str) -> Value {
    let image = "example.org/none:1";
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": app}},
        "spec": {
            "serviceAccountName": ACCOUNT,
            "initContainers": [{"name": "llmroute-sidecar", "image": image, "restartPolicy": "Always"}],
            "containers": [{"name": "app", "image": image}],
            "volumes": [{"name": "llmroute-credentials", "secret": {"secretName": "llm-keys", "optional": true}}],
        },
    })
}

impl Kube {
    /// As whoever is named in this file.
    pub async fn new(kubeconfig: &Path) -> Kube {
        let file = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
        let mut config =
            kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("a configuration");
        config.proxy_url = None;
        Kube(Client::try_from(config).expect("a client"))
    }

    /// So many pods of an app in the namespace `shop`.
    pub async fn pods(&self, app: &str, n: usize) -> Vec<Named> {
        let made = stream::iter(0..n).map(|i| self.named(format!("{app}-{i:04}"), app)).buffered(AT_ONCE);
        made.try_collect().await.expect("pods")
    }

    async fn named(&self, name: String, app: &str) -> kube::Result<Named> {
        let (pods, accounts): (Api<Pod>, Api<ServiceAccount>) =
            (Api::namespaced(self.0.clone(), NAMESPACE), Api::namespaced(self.0.clone(), NAMESPACE));
        let object = serde_json::from_value(pod(&name, app)).expect("a pod");
        let made = pods.create(&PostParams::default(), &object).await?;
        let bound = BoundObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: Some(name.clone()),
            uid: made.uid(),
        };
        let spec = TokenRequestSpec {
            audiences: Some(vec!["llmroute".to_owned()]),
            bound_object_ref: Some(bound),
            expiration_seconds: Some(3600),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
        let answer = accounts.create_token_request(ACCOUNT, &PostParams::default(), &request).await?;
        Ok(Named { name, token: answer.status.and_then(|status| status.token).expect("a token") })
    }

    /// Puts this in a policy's spec; gives its generation from then on, when the server has replied.
    pub async fn edit(&self, policy: &str, spec: Value) -> i64 {
        let patch = Patch::Merge(json!({"spec": spec}));
        let edited = self.policies().patch(policy, &PatchParams::default(), &patch).await.expect("an edit");
        edited.metadata.generation.expect("a generation")
    }

    /// A policy as the cluster shows it.
    pub async fn policy(&self, name: &str) -> Value {
        let shown = self.policies().get(name).await.expect("a policy");
        serde_json::to_value(shown).expect("JSON")
    }

    /// What the server answers at a path, as text.
    pub async fn raw(&self, path: &str) -> String {
        let request = hyper::Request::get(path).body(vec![]).expect("a request");
        self.0.request_text(request).await.expect("an answer")
    }

    fn policies(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.0.clone(), NAMESPACE, &ApiResource::erase::<api::LLMRoutePolicy>(&()))
    }
}
