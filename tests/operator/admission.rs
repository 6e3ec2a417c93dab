//! What a real API server makes of the operator's answers: pods with their sidecar, refusals in the words of the operator, a CA
//! that an upgrade leaves alone. The webhooks are the chart's, but that they are called at an address of this machine.

use std::fs;

use harness::{Operator, temp::TempDir};
use operator::webhooks;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::stage::{Stage, path};

const INJECT: &str = "llmroute.dev/inject";

/// A cluster whose API server asks this replica.
struct Asked {
    stage: Stage,
    operator: Operator,
    dir: TempDir,
}

impl Asked {
    /// With a policy for the app `shop-assistant` of the namespace `shop`, once pods are asked about.
    async fn new() -> Asked {
        let stage = Stage::new().await;
        let operator = stage.operator("op-1").await;
        let asked = Asked { stage, operator, dir: TempDir::new() };
        asked.install();
        asked.stage.kubectl(&["apply", "-n", "shop", "-f", &path("manifests/examples/minimal.yaml")]);
        asked.stage.condition("shop-assistant", "Accepted", "True Accepted", "").await;
        let pod = pod("first", json!({"app": "shop-assistant", INJECT: "enabled"}), json!({}));
        let dry = || asked.create("shop", &pod, &["--dry-run=server"]).ok().filter(has_sidecar);
        asked.stage.until("pods get their sidecar", dry).await;
        asked
    }

    /// The webhooks of the chart, as helm applies them.
    fn install(&self) {
        let text = fs::read_to_string(path("manifests/install.yaml")).expect("the install");
        let all = serde_yaml::Deserializer::from_str(&text).map(|d| Value::deserialize(d).expect("YAML"));
        for mut object in all.filter(|o| o["kind"].as_str().is_some_and(|kind| kind.ends_with("WebhookConfiguration")))
        {
            for webhook in object["webhooks"].as_array_mut().expect("webhooks") {
                let asked = webhook["clientConfig"]["service"]["path"].as_str().expect("a path").to_owned();
                let url = format!("https://localhost:{}{asked}", self.operator.webhook.port());
                webhook["clientConfig"] = json!({"url": url});
            }
            let file = self.dir.write("webhooks.json", object.to_string()).display().to_string();
            self.stage.kubectl(&["apply", "--server-side", "--field-manager=helm", "-f", &file]);
        }
    }

    /// The object as it is stored, or what the server says.
    fn create(&self, namespace: &str, object: &Value, further: &[&str]) -> Result<Value, String> {
        let file = self.dir.write("object.json", object.to_string()).display().to_string();
        let mut args = vec!["create", "-n", namespace, "-f", &file, "--output=json"];
        args.extend(further);
        self.stage.server.kubectl(&args).map(|text| serde_json::from_str(&text).expect("JSON"))
    }

    fn ca_bundles(&self) -> Vec<String> {
        let get = |kind: &str| {
            let text = self.stage.kubectl(&[
                "get",
                kind,
                webhooks::NAME,
                "--output=jsonpath={.webhooks[*].clientConfig.caBundle}",
            ]);
            text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        [get("mutatingwebhookconfiguration"), get("validatingwebhookconfiguration")].concat()
    }
}

/// A pod that Pod Security `restricted` takes, with more in its spec.
fn pod(name: &str, labels: Value, more: Value) -> Value {
    let mut spec = json!({
        // This server gives none by itself, and a token is of one.
        "serviceAccountName": "app",
        "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [container("prepare")],
        "containers": [container("app")],
        "volumes": [{"name": "data", "emptyDir": {}}],
    });
    spec.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec})
}

fn container(name: &str) -> Value {
    json!({"name": name, "image": "example.org/none:1", "env": [{"name": "OPENAI_API_KEY", "value": "own"}],
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}})
}

fn names<'a>(pod: &'a Value, member: &str) -> Vec<&'a str> {
    pod["spec"][member].as_array().into_iter().flatten().filter_map(|c| c["name"].as_str()).collect()
}

fn has_sidecar(pod: &Value) -> bool {
    names(pod, "initContainers").contains(&"llmroute-sidecar")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_gets_a_sidecar_and_nobody_else() {
    let asked = Asked::new().await;
    let mine = || json!({"app": "shop-assistant"});
    let with = |value: &str| json!({"app": "shop-assistant", INJECT: value});
    asked.stage.kubectl(&["label", "namespace", "shop", "pod-security.kubernetes.io/enforce=restricted"]);

    let stored = asked.create("shop", &pod("own-label", with("enabled"), json!({})), &[]).expect("is taken");
    assert_eq!(names(&stored, "initContainers"), ["llmroute-sidecar", "prepare"]);
    let volumes = ["data", "llmroute-identity", "llmroute-policy", "llmroute-credentials", "llmroute-state"];
    assert_eq!(names(&stored, "volumes"), volumes);
    let sidecar = &stored["spec"]["initContainers"][0];
    assert_eq!((&sidecar["restartPolicy"], &sidecar["image"]), (&json!("Always"), &json!("llmroute.dev/sidecar:dev")));
    assert!(sidecar["env"][0]["value"].as_str().is_some_and(|ca| ca.contains("BEGIN CERTIFICATE")), "{sidecar}");
    for container in [&stored["spec"]["initContainers"][1], &stored["spec"]["containers"][0]] {
        let env: Vec<(&str, &str)> = container["env"]
            .as_array()
            .expect("env")
            .iter()
            .map(|e| (e["name"].as_str().expect("a name"), e["value"].as_str().expect("a value")))
            .collect();
        let want = [
            ("OPENAI_API_KEY", "own"),
            ("OPENAI_BASE_URL", "http://127.0.0.1:15080/v1"),
            ("ANTHROPIC_BASE_URL", "http://127.0.0.1:15080"),
            ("ANTHROPIC_API_KEY", "llmroute"),
        ];
        assert_eq!(env, want);
    }

    let quiet = asked.create("shop", &pod("silent", mine(), json!({})), &[]).expect("is taken");
    assert!(!has_sidecar(&quiet), "its namespace is not opted in");
    asked.stage.kubectl(&["label", "namespace", "shop", &format!("{INJECT}=enabled")]);
    let dry = || {
        asked.create("shop", &pod("by-namespace", mine(), json!({})), &["--dry-run=server"]).ok().filter(has_sidecar)
    };
    let shown = asked.stage.until("the namespace is opted in", dry).await;
    assert_eq!(names(&shown, "initContainers"), ["llmroute-sidecar", "prepare"]);
    assert!(
        asked.stage.server.kubectl(&["get", "pod", "by-namespace", "-n", "shop"]).is_err(),
        "a dry run leaves nothing"
    );
    let rows = [
        ("by-namespace", mine(), true),
        ("twice", with("enabled"), true),
        ("not-me", with("disabled"), false),
        ("unselected", json!({"app": "other"}), false),
    ];
    for (name, labels, want) in rows {
        let stored = asked.create("shop", &pod(name, labels, json!({})), &[]).expect("is taken");
        assert_eq!(has_sidecar(&stored), want, "{name}");
        assert_eq!(names(&stored, "initContainers").len(), 1 + usize::from(want), "{name}: never two");
    }
    let own = asked.create("llmroute-system", &pod("replica", with("enabled"), json!({})), &[]).expect("is taken");
    assert!(!has_sidecar(&own), "never in the operator's own namespace");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_and_pods_that_others_change_stay_right() {
    let asked = Asked::new().await;
    let labels = json!({"app": "shop-assistant", INJECT: "enabled"});
    let limits = json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "limits"},
        "spec": {"limits": [{"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"}}]}});
    asked.create("shop", &limits, &[]).expect("is taken");
    // The server's own plugins see it a moment later.
    let limited = || {
        let shown = asked.create("shop", &pod("limited", labels.clone(), json!({})), &["--dry-run=server"]).ok()?;
        (shown["spec"]["containers"][0]["resources"]["limits"]["cpu"] == "500m").then_some(shown)
    };
    let shown = asked.stage.until("the LimitRange is in force", limited).await;
    let resources = &shown["spec"]["initContainers"][0]["resources"];
    assert_eq!(resources["requests"], json!({"cpu": "20m", "memory": "32Mi"}));
    assert_eq!(resources["limits"], json!({"cpu": "500m", "memory": "128Mi"}), "what was added stays");

    let mut copy = asked.create("shop", &pod("original", labels, json!({})), &[]).expect("is taken");
    let want = copy["spec"].clone();
    copy["metadata"] = json!({"name": "copy", "labels": copy["metadata"]["labels"]});
    copy["spec"]["initContainers"][0]["image"] = "llmroute.dev/sidecar:old".into();
    copy["spec"]["initContainers"].as_array_mut().expect("containers").swap(0, 1);
    let copy = asked.create("shop", &copy, &[]).expect("is taken");
    assert_eq!(copy["spec"], want, "as the original");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_refused_in_our_words() {
    let asked = Asked::new().await;
    let labels = |app: &str| json!({"app": app, INJECT: "enabled"});
    let keys = json!([{"secretRef": {"name": "llm-keys"}}]);
    let mut taker = container("app");
    taker["envFrom"] = keys;
    let rows = [
        (pod("a", labels("shop-assistant"), json!({"hostNetwork": true})), "it uses hostNetwork"),
        (pod("b", labels("other"), json!({})), "no LLMRoutePolicy in the namespace shop selects it"),
        (pod("c", labels("shop-assistant"), json!({"containers": [taker]})), "uses the Secret llm-keys"),
    ];
    for (pod, why) in rows {
        let told = asked.create("shop", &pod, &[]).expect_err(why);
        assert!(
            told.contains("admission webhook \"pod.inject.llmroute.dev\" denied the request: llmroute: ")
                && told.contains(why),
            "{told}"
        );
    }

    let minimal = fs::read_to_string(path("manifests/examples/minimal.yaml")).expect("the example");
    let rules =
        "  classify: {rules: [{scene: chat, when: 'request.tools >'}, {scene: chat, when: 'request.body'}]}\n  scenes:";
    let bad = minimal.replace("  scenes:", rules).replace("{name: shop-assistant}", "{name: bad}");
    let file = asked.dir.write("bad.yaml", &bad).display().to_string();
    let told =
        asked.stage.server.kubectl(&["apply", "-n", "shop", "-f", &file]).expect_err("a when that does not compile");
    assert!(told.contains("spec.classify.rules[0].when") && told.contains("spec.classify.rules[1].when"), "{told}");
    asked.stage.kubectl(&["label", "lrp", "shop-assistant", "-n", "shop", "team=shop"]);
    let warned = fs::read_to_string(path("manifests/examples/everything.yaml")).expect("the example");
    let file = asked.dir.write("warned.yaml", &warned).display().to_string();
    asked.stage.kubectl(&["apply", "-f", &file]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ca_is_the_operators_and_without_a_replica_those_who_ask_are_refused() {
    let mut asked = Asked::new().await;
    let all = webhooks::PODS.len() + webhooks::POLICIES.len();
    let written = || Some(asked.ca_bundles()).filter(|bundles| bundles.len() == all);
    let bundles = asked.stage.until("all webhooks have the CA", written).await;
    asked.install();
    assert_eq!(asked.ca_bundles(), bundles, "an upgrade leaves it");

    asked.operator.kill().await;
    let refused = asked.create("shop", &pod("a", json!({"app": "shop-assistant", INJECT: "enabled"}), json!({})), &[]);
    let why = refused.expect_err("nobody answers");
    assert!(why.contains("failed calling webhook \"pod.inject.llmroute.dev\""), "{why}");
    asked
        .create("shop", &pod("b", json!({"app": "shop-assistant"}), json!({})), &[])
        .expect("who does not ask is let through");
    asked.stage.kubectl(&["annotate", "lrp", "shop-assistant", "-n", "shop", "note=x"]);
    let edit = r#"{"spec": {"podSelector": {"matchLabels": {"app": "another"}}}}"#;
    asked.stage.kubectl(&["patch", "lrp", "shop-assistant", "-n", "shop", "--type=merge", "--patch", edit]);
}
