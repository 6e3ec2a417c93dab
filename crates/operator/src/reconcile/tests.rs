//! Scenarios over a scripted API server: which calls, in which order, with what in them.

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::*;
use crate::{
    fleet::{Answer, Place},
    observe,
    scripted::Api,
};

struct Scene {
    api: Api,
    cluster: Arc<Cluster>,
    fleet: Arc<Fleet>,
    leader: watch::Sender<Leader>,
    running: JoinHandle<()>,
}

impl Scene {
    fn start(leads: bool) -> Scene {
        let (client, api) = Api::new();
        let (cluster, fleet) = (Arc::new(Cluster::default()), Arc::new(Fleet::default()));
        let (leader, led) = watch::channel(if leads { Leader::Me(Duration::MAX) } else { Leader::Unknown });
        let reconciler = Reconciler {
            events: Events::new(client.clone(), "op-1".to_owned()),
            client,
            cluster: cluster.clone(),
            fleet: fleet.clone(),
            findings: Arc::default(),
            lending: Arc::default(),
            leader: led,
            metrics: Arc::default(),
        };
        Scene { api, cluster, fleet, leader, running: tokio::spawn(reconciler.run()) }
    }

    /// The watch shows a version of the policy `p`.
    fn sees(&self, generation: i64, provider: &str, status: Value) {
        let spec = json!({"podSelector": {"matchLabels": {"app": "a"}}, "providers": [{"name": "openai", "api": "OpenAI"}],
            "scenes": [{"name": "chat", "targets": [{"provider": provider}]}]});
        let metadata = json!({"namespace": "shop", "name": "p", "uid": "u", "generation": generation});
        let object = serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": status})).unwrap();
        self.cluster.change(|world| observe::policy(world, &object));
    }

    /// The watch shows a pod with a sidecar, whose stream begins.
    fn pod(&self, name: &str) -> Place {
        let metadata = json!({"namespace": "shop", "name": name, "uid": name, "labels": {"app": "a"}});
        let spec = json!({"initContainers": [{"name": observe::SIDECAR}]});
        let object = serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap();
        self.cluster.change(|world| observe::pod(world, &object));
        self.fleet.enter(&name.into(), "1").unwrap()
    }

    fn hash(&self) -> String {
        self.cluster.read(|w| w.policies.values().next().unwrap().accepted.as_ref().unwrap().hash.clone())
    }

    /// The ConfigMap is written, where none was.
    async fn keeps(&mut self) -> Value {
        assert_eq!(self.api.refuses(404).await.0, format!("GET {KEPT}"));
        let (called, map) = self.api.takes().await;
        assert_eq!(called, format!("PATCH {MAP}"));
        map
    }

    /// No call within a while.
    async fn is_quiet(&mut self) {
        self.api.is_quiet().await;
        assert!(!self.running.is_finished());
    }
}

const KEPT: &str = "/api/v1/namespaces/shop/configmaps/llmroute-p";
const MAP: &str = "/api/v1/namespaces/shop/configmaps/llmroute-p?&force=true&fieldManager=llmroute-operator";
const STATUS: &str =
    "/apis/llmroute.dev/v1alpha1/namespaces/shop/llmroutepolicies/p/status?&force=true&fieldManager=llmroute-operator";
const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/shop/events?";

fn told(status: &Value, type_: &str) -> String {
    let all = status["status"]["conditions"].as_array().unwrap();
    let c = all.iter().find(|c| c["type"] == type_).unwrap();
    format!("{} {}", c["status"].as_str().unwrap(), c["reason"].as_str().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_kept_told_and_programmed() {
    let mut scene = Scene::start(true);
    scene.sees(1, "openai", Value::Null);
    let map = scene.keeps().await;
    let owner = &map["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["kind"], &owner["uid"]), (&json!("LLMRoutePolicy"), &json!("u")));
    let document: Value = serde_json::from_str(map["data"]["policy.json"].as_str().unwrap()).unwrap();
    assert_eq!(document["metadata"], json!({"namespace": "shop", "name": "p", "generation": 1}));
    let (called, status) = scene.api.takes().await;
    assert_eq!(called, format!("PATCH {STATUS}"));
    assert_eq!(
        (told(&status, "Accepted"), told(&status, "Programmed")),
        ("True Accepted".into(), "True NoSidecars".into())
    );
    let (called, event) = scene.api.takes().await;
    assert_eq!(called, format!("POST {EVENTS}"));
    assert_eq!(
        (&event["reason"], &event["type"], &event["regarding"]["uid"]),
        (&json!("Accepted"), &json!("Normal"), &json!("u"))
    );
    scene.is_quiet().await;

    let place = scene.pod("a");
    let (_, status) = scene.api.takes().await;
    assert_eq!(told(&status, "Programmed"), "False Pending");
    place.answered(Answer { generation: 1, hash: scene.hash(), error: None });
    let (_, status) = scene.api.takes().await;
    assert_eq!(told(&status, "Ready"), "True Ready");
    assert_eq!(status["status"]["sidecars"], json!({"total": 1, "inSync": 1, "missing": 0}));
    let (_, event) = scene.api.takes().await;
    assert_eq!(
        (&event["reason"], &event["note"]),
        (&json!("Programmed"), &json!("1 of 1 sidecars acknowledged generation 1"))
    );
    scene.is_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_bad_edit_is_told_and_writes_no_document() {
    let mut scene = Scene::start(true);
    scene.sees(1, "openai", Value::Null);
    scene.keeps().await;
    for _ in 0..2 {
        scene.api.takes().await;
    }
    scene.sees(2, "nobody", Value::Null);
    let (called, status) = scene.api.takes().await;
    assert_eq!(called, format!("PATCH {STATUS}"));
    assert_eq!((told(&status, "Accepted"), told(&status, "Stalled")), ("False Invalid".into(), "True Invalid".into()));
    assert_eq!(status["status"]["observedGeneration"], 2);
    let (_, event) = scene.api.takes().await;
    assert_eq!((&event["reason"], &event["type"]), (&json!("Invalid"), &json!("Warning")));
    let note = event["note"].as_str().unwrap();
    assert!(
        note.contains("generation 1 stays in force") && note.contains("spec.scenes[0].targets[0].provider"),
        "{note}"
    );
    scene.is_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_the_last_accepted_document_is_in_force_again() {
    let mut scene = Scene::start(true);
    let key = PolicyKey { namespace: "shop".into(), name: "p".into() };
    let spec = json!({"podSelector": {"matchLabels": {"app": "a"}}, "providers": [{"name": "openai", "api": "OpenAI"}],
        "scenes": [{"name": "chat", "targets": [{"provider": "openai"}]}]});
    let document = crate::world::Document::new(key, 4, &spec);
    scene.sees(5, "nobody", Value::Null);
    let map = json!({"metadata": {"name": "llmroute-p", "ownerReferences": [{"apiVersion": "v1", "kind": "LLMRoutePolicy", "name": "p", "uid": "u"}]},
        "data": {"policy.json": std::str::from_utf8(&document.json).unwrap()}});
    // It could not be read at first.
    let (called, _) = scene.api.refuses(403).await;
    assert_eq!(called, format!("GET {KEPT}"));
    scene.api.answer(200, map).await;
    let written = scene.keeps().await;
    assert_eq!(written["data"]["policy.json"], json!(std::str::from_utf8(&document.json).unwrap()), "the very bytes");
    let (_, status) = scene.api.takes().await;
    assert_eq!(told(&status, "Accepted"), "False Invalid");
    assert_eq!(scene.hash(), document.hash);
}

#[tokio::test(start_paused = true)]
async fn nobody_but_the_leader_writes() {
    let mut scene = Scene::start(false);
    scene.sees(1, "openai", Value::Null);
    scene.is_quiet().await;
    // It was stopped for so long that its time is over, and has not been told.
    scene.leader.send_replace(Leader::Me(Duration::from_nanos(1)));
    scene.is_quiet().await;
    scene.leader.send_replace(Leader::Me(Duration::MAX));
    scene.keeps().await;
    let (_, status) = scene.api.takes().await;
    scene.api.takes().await;
    // Another one leads, and wrote something else; then this one leads again.
    scene.leader.send_replace(Leader::Other(String::new()));
    scene.is_quiet().await;
    scene.sees(1, "openai", status["status"].clone());
    scene.leader.send_replace(Leader::Me(Duration::MAX));
    scene.keeps().await;
    scene.is_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_written_is_written_later() {
    let mut scene = Scene::start(true);
    scene.sees(1, "openai", Value::Null);
    // A write that the API server may take later, though not now.
    scene.api.refuses(404).await;
    scene.api.refuses(503).await;
    assert_eq!(scene.api.refuses(500).await.0, format!("PATCH {STATUS}"));
    scene.keeps().await;
    assert_eq!(scene.api.takes().await.0, format!("PATCH {STATUS}"));
    assert_eq!(scene.api.takes().await.0, format!("POST {EVENTS}"));
    scene.is_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_config_map_that_cannot_be_written_keeps_nothing_from_the_status_and_is_told() {
    let foreign = json!({"metadata": {"name": "llmroute-p", "labels": {"app": "mine"}}});
    for is_foreign in [false, true] {
        let mut scene = Scene::start(true);
        scene.sees(1, "openai", Value::Null);
        let refused = async |api: &mut Api| {
            if is_foreign {
                assert_eq!(api.answer(200, foreign.clone()).await.0, format!("GET {KEPT}"));
            } else {
                assert_eq!(api.refuses(404).await.0, format!("GET {KEPT}"));
                assert_eq!(api.refuses(403).await.0, format!("PATCH {MAP}"));
            }
        };
        refused(&mut scene.api).await;
        let (called, status) = scene.api.takes().await;
        assert_eq!((called, told(&status, "Ready")), (format!("PATCH {STATUS}"), "True Ready".into()));
        assert_eq!(scene.api.takes().await.1["reason"], "Accepted");
        let (called, status) = scene.api.takes().await;
        let said = (told(&status, "Ready"), told(&status, "Stalled"));
        assert_eq!((called, said), (format!("PATCH {STATUS}"), ("True Ready".into(), "True NotKept".into())));
        let (called, event) = scene.api.takes().await;
        assert_eq!(called, format!("POST {EVENTS}"));
        assert_eq!((&event["reason"], &event["type"]), (&json!("NotKept"), &json!("Warning")));
        let note = event["note"].as_str().unwrap();
        let why = if is_foreign { "delete or rename it, or rename the policy" } else { "no" };
        assert!(note.starts_with("cannot write the ConfigMap") && note.contains(why), "{note}");
        // Told once, however often it is tried.
        for _ in 0..3 {
            refused(&mut scene.api).await;
        }
        scene.keeps().await;
        let (called, status) = scene.api.takes().await;
        assert_eq!((called, told(&status, "Stalled")), (format!("PATCH {STATUS}"), "False NotStalled".into()));
        scene.is_quiet().await;
    }
}
