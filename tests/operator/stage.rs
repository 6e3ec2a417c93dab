//! A cluster without nodes: a real API server, the operator's program under its own account, and pods that are objects alone,
//! whose sidecars are programs here.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use harness::{
    Caller, Gate, Metrics, Operator, Policy, Program, Speech,
    apiserver::ApiServer,
    many,
    policy::{PATIENT, QUICK},
    program::Builder,
    temp::TempDir,
    world::{key_of, loopback},
};
use serde_json::{Value, json};
use sim::{Act, Rule, Sim};
use tokio::time::{Instant, sleep};

/// What a cluster may take to show.
const PATIENCE: Duration = Duration::from_secs(45);

/// All of it.
pub struct Stage {
    pub server: ApiServer,
    pub provider: Sim,
    dir: TempDir,
}

/// A pod of the namespace `shop`, and what its sidecar has.
pub struct Pod {
    dir: TempDir,
}

impl Stage {
    /// With everything that an install brings, but nobody who runs.
    pub async fn new() -> Stage {
        let server = ApiServer::start().await;
        let stage =
            Stage { server, provider: Sim::start(sim::Config::default()).expect("a simulator"), dir: TempDir::new() };
        stage.kubectl(&["apply", "--server-side", "-f", &path("crds")]);
        stage.kubectl(&["wait", "--for=condition=Established", "crd/llmroutepolicies.llmroute.dev", "--timeout=30s"]);
        for namespace in ["llmroute-system", "shop"] {
            stage.kubectl(&["create", "namespace", namespace]);
        }
        stage.kubectl(&["apply", "-f", &path("manifests/rbac.yaml")]);
        stage.kubectl(&["create", "secret", "generic", "llmroute-tls", "-n", "llmroute-system"]);
        stage.kubectl(&["create", "service", "clusterip", "llmroute-control", "--tcp=8443", "-n", "llmroute-system"]);
        stage.kubectl(&["create", "serviceaccount", "app", "-n", "shop"]);
        stage.dir.write("operator.json", stage.kubeconfig());
        stage
    }

    /// What kubectl prints.
    #[track_caller]
    pub fn kubectl(&self, args: &[&str]) -> String {
        self.server.kubectl(args).unwrap_or_else(|e| panic!("kubectl {args:?}: {e}"))
    }

    /// Applies an object.
    #[track_caller]
    pub fn apply(&self, manifest: &str) {
        let file = self.dir.write("manifest.yaml", manifest);
        self.kubectl(&["apply", "-f", &file.display().to_string()]);
    }

    /// As the operator's service account.
    fn kubeconfig(&self) -> String {
        let view = self.kubectl(&["config", "view", "--raw", "--minify", "--flatten", "--output=json"]);
        let mut config: Value = serde_json::from_str(&view).expect("JSON");
        let token = self.kubectl(&["create", "token", "llmroute-operator", "-n", "llmroute-system", "--duration=1h"]);
        config["users"][0]["user"] = json!({"token": token.trim()});
        config.to_string()
    }

    /// A replica on a free port.
    pub async fn operator(&self, name: &str) -> Operator {
        self.operator_at(name, loopback()).await
    }

    /// A replica at an address that one before may have left.
    pub async fn operator_at(&self, name: &str, control: SocketAddr) -> Operator {
        self.operator_with(name, control, &[]).await
    }

    /// The same with further arguments.
    pub async fn operator_with(&self, name: &str, control: SocketAddr, more: &[&str]) -> Operator {
        Operator::start_with(&self.dir.join("operator.json"), name, control, more).await
    }

    /// A replica that reaches the API server through a gate of its own.
    pub async fn operator_behind_a_gate(&self, name: &str) -> (Operator, Gate) {
        let direct = fs::read_to_string(self.dir.join("operator.json")).expect("a kubeconfig");
        let mut config: Value = serde_json::from_str(&direct).expect("JSON");
        let server = config["clusters"][0]["cluster"]["server"].as_str().expect("a server");
        let at = server.trim_start_matches("https://").parse().expect("an address of our own server");
        let gate = Gate::to(at).await;
        config["clusters"][0]["cluster"]["server"] = format!("https://{}", gate.addr()).into();
        let file = self.dir.write(&format!("{name}.json"), config.to_string());
        (Operator::start_with(&file, name, loopback(), &[]).await, gate)
    }

    /// A pod as the webhook leaves it, with the token of its sidecar.
    pub fn pod(&self, name: &str, app: &str) -> Pod {
        let pod = many::pod(name, app);
        self.apply(&pod.to_string());
        let uid = self.kubectl(&["get", "pod", name, "-n", "shop", "--output=jsonpath={.metadata.uid}"]);
        let dir = TempDir::new();
        let token = self.kubectl(&[
            "create",
            "token",
            "app",
            "-n",
            "shop",
            "--audience=llmroute",
            "--duration=1h",
            "--bound-object-kind=Pod",
            &format!("--bound-object-name={name}"),
            &format!("--bound-object-uid={uid}"),
        ]);
        dir.write("token", token.trim());
        dir.write("keys/openai", key_of("openai"));
        fs::create_dir(dir.join("state")).expect("a directory");
        Pod { dir }
    }

    /// A policy for pods of an app, whose answers come from this model.
    pub fn policy(&self, name: &str, app: &str, model: &str) -> String {
        let policy = Policy::new().provider("openai", "OpenAI", &self.provider.url()).tier(QUICK).field(PATIENT);
        let yaml = policy.scene("chat", &[("openai", model)]).yaml();
        let yaml = yaml.replace("{name: story}", &format!("{{name: {name}, namespace: shop}}"));
        yaml.replace("{app: story}", &format!("{{app: {app}}}"))
    }

    /// The same for stories under load: no answer is late, whatever else the machine does; and streams that take a second.
    pub fn unhurried(&self, name: &str, app: &str, model: &str) -> String {
        self.provider.script(vec![Rule::act(Act { event_ms: Some(40), ..Act::default() }).stream(true)]);
        self.policy(name, app, model).replace(QUICK, "{name: unhurried}")
    }

    /// What the kubelet does: the policy's ConfigMap becomes a file of the pod's sidecar.
    pub fn mount(&self, pod: &Pod, policy: &str) {
        let (name, get) = (format!("llmroute-{policy}"), "--template={{index .data \"policy.json\"}}");
        pod.dir.write("config-map.json", self.kubectl(&["get", "configmap", &name, "-n", "shop", get]));
    }

    /// A policy as the cluster shows it.
    pub fn shown(&self, name: &str) -> Value {
        let text = self.server.kubectl(&["get", "lrp", name, "-n", "shop", "--output=json"]);
        text.ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    /// The status alone.
    pub fn status(&self, name: &str) -> Value {
        self.shown(name)["status"].clone()
    }

    /// Waits until a policy is in force with so many sidecars, all of which have told of their keys; gives its status.
    pub async fn settled(&self, policy: &str, generation: i64, sidecars: usize) -> Value {
        let keys = if sidecars == 1 { "1 sidecar has".to_owned() } else { format!("{sidecars} sidecars have") };
        self.condition(policy, "CredentialsReady", "True KeysPresent", &keys).await;
        let message = format!("{sidecars} of {sidecars} sidecars acknowledged generation {generation}");
        self.condition(policy, "Ready", "True Ready", &message).await["status"].clone()
    }

    /// Waits until a condition of a policy says this, its message in part.
    pub async fn condition(&self, policy: &str, type_: &str, want: &str, message: &str) -> Value {
        let what = format!("{policy}: {type_} is {want}, {message}");
        self.until(&what, || {
            let shown = self.shown(policy);
            let c = shown["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == type_)?.clone();
            let says = format!("{} {}", c["status"].as_str()?, c["reason"].as_str()?);
            (says == want && c["message"].as_str()?.contains(message)).then_some(shown)
        })
        .await
    }

    /// Waits for something; the operator's words do not help here, so the policies are shown where it never comes.
    pub async fn until<T>(&self, what: &str, look: impl Fn() -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            let all = || self.server.kubectl(&["get", "lrp", "-A", "--output=yaml"]);
            assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}\n{}", all().unwrap_or_else(|e| e));
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Reasons of the events of a policy, each with how it is meant.
    pub fn events(&self, policy: &str) -> Vec<String> {
        self.events_of("LLMRoutePolicy", policy)
    }

    /// The same of any object.
    pub fn events_of(&self, kind: &str, name: &str) -> Vec<String> {
        let text = self.kubectl(&["get", "events.v1.events.k8s.io", "-n", "shop", "--output=json"]);
        let all: Value = serde_json::from_str(&text).expect("JSON");
        let of = |e: &&Value| e["regarding"]["name"] == name && e["regarding"]["kind"] == kind;
        let mut all: Vec<(String, String)> = all["items"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(of)
            .map(|e| {
                let told = |name: &str| e[name].as_str().unwrap_or_default().to_owned();
                (told("eventTime"), format!("{} {}", told("type"), told("reason")))
            })
            .collect();
        all.sort();
        all.into_iter().map(|(_, told)| told).collect()
    }

    /// PEM of the operator's CA, once there is one.
    pub async fn ca(&self) -> String {
        let get = [
            "get",
            "secret",
            "llmroute-tls",
            "-n",
            "llmroute-system",
            "--template={{index .data \"ca.crt\" | base64decode}}",
        ];
        self.until("the operator has a CA", || self.server.kubectl(&get).ok().filter(|pem| pem.contains("BEGIN"))).await
    }

    /// The sidecar of a pod.
    pub async fn sidecar(&self, pod: &Pod, operator: &Operator) -> Program {
        self.sidecar_of(pod, &operator.url()).await.start().await
    }

    /// The same in the making.
    pub async fn sidecar_of(&self, pod: &Pod, url: &str) -> Builder {
        pod.dir.write("ca.pem", self.ca().await);
        let path = |name: &str| pod.dir.join(name).display().to_string();
        let flags = [
            ("--control-ca", "ca.pem"),
            ("--control-token", "token"),
            ("--control-fallback", "config-map.json"),
            ("--state", "state"),
        ];
        let builder = Builder::on_free_ports(&["--control", url]).credentials(&pod.dir.join("keys"));
        flags.into_iter().fold(builder, |builder, (flag, file)| builder.arg(flag).arg(&path(file)))
    }
}

impl Pod {
    /// Its directory.
    pub fn dir(&self) -> &TempDir {
        &self.dir
    }
}

/// Waits for something of a program.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until so many sidecars have a stream with this replica.
pub async fn streams(operator: &Operator, n: usize) {
    until(&format!("{n} streams"), async || {
        let page = Metrics::parse(&operator.admin.get("/metrics").send().await.text());
        (page.get("llmroute_operator_streams", &[]) == Some(n as f64)).then_some(())
    })
    .await;
}

/// What a sidecar tells of itself.
pub async fn config(sidecar: &Program) -> Value {
    sidecar.admin.get("/config").send().await.json()
}

/// A status, but for the times at which these conditions went from one state to another.
pub fn but_for_times(status: &Value, of: &[&str]) -> Value {
    let mut status = status.clone();
    for condition in status["conditions"].as_array_mut().expect("conditions") {
        if of.iter().any(|name| condition["type"] == **name) {
            condition["lastTransitionTime"] = Value::Null;
        }
    }
    status
}

/// A status as it is right for another generation, if this one is right for `from`.
pub fn of_generation(status: &Value, from: i64, to: i64) -> Value {
    let text = status.to_string().replace(&format!("generation {from}"), &format!("generation {to}"));
    let text = text.replace(&format!("\"observedGeneration\":{from}"), &format!("\"observedGeneration\":{to}"));
    serde_json::from_str(&text).expect("JSON")
}

/// The model that answers an app.
pub async fn model(app: &Caller) -> String {
    let reply = app.say(Speech::Chat, "hi", false).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.header("x-llmroute-model").to_owned()
}

/// A path of the repository.
pub fn path(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name(name).display().to_string()
}
