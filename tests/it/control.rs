//! The control plane over real TLS sockets: the real sidecar program, the operator's push server in this process.

use std::{fs, sync::Arc, time::Duration};

use harness::{
    Cluster, Metrics, Plane, Policy, Program, Speech, eventually,
    plane::unix,
    policy::{PATIENT, QUICK},
    program::Builder,
    temp::TempDir,
    world::key_of,
};
use operator::{ca::CA_LIFE, push::Leader};
use serde_json::{Value, json};
use sim::Sim;

const DAY: u64 = 86_400;

/// A pod: its files and a provider that its policies name.
struct Pod {
    dir: TempDir,
    provider: Sim,
}

impl Pod {
    /// With this token and the CA of the cluster.
    fn new(cluster: &Cluster, token: &str) -> Pod {
        let dir = TempDir::new();
        dir.write("token", token);
        dir.write("ca.pem", cluster.bundle());
        dir.write("keys/openai", key_of("openai"));
        fs::create_dir(dir.join("state")).expect("a directory");
        let provider = Sim::start(sim::Config::default()).expect("a simulator");
        Pod { dir, provider }
    }

    /// A policy whose answers come from this model.
    fn policy(&self, model: &str) -> String {
        let policy = Policy::new().provider("openai", "OpenAI", &self.provider.url()).tier(QUICK).field(PATIENT);
        policy.scene("chat", &[("openai", model)]).yaml()
    }

    fn sidecar(&self, url: &str) -> Builder {
        let path = |name: &str| self.dir.join(name).display().to_string();
        Builder::on_free_ports(&["--control", url])
            .arg("--control-ca")
            .arg(&path("ca.pem"))
            .arg("--control-token")
            .arg(&path("token"))
            .arg("--control-fallback")
            .arg(&path("config-map.json"))
            .arg("--state")
            .arg(&path("state"))
            .credentials(&self.dir.join("keys"))
    }
}

/// One pod `a` of the app `shop`.
fn shop() -> (Arc<Cluster>, Pod) {
    let cluster = Cluster::new();
    let pod = Pod::new(&cluster, &cluster.pod("a", "shop"));
    (cluster, pod)
}

async fn model(sidecar: &Program) -> String {
    let reply = sidecar.app.say(Speech::Chat, "hi", false).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.header("x-llmroute-model").to_owned()
}

async fn config(sidecar: &Program) -> Value {
    sidecar.admin.get("/config").send().await.json()
}

async fn metric(sidecar: &Program, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    Metrics::parse(&sidecar.admin.get("/metrics").send().await.text()).get(name, labels)
}

/// Why the sidecar is not ready, once that is so.
async fn not_ready(sidecar: &Program, why: &str) {
    eventually(&format!("not ready: {why}"), async || {
        let reply = sidecar.admin.get("/readyz").send().await;
        (reply.status == 503 && reply.text().contains(why)).then_some(())
    })
    .await;
    let refused = sidecar.app.say(Speech::Chat, "hi", false).send().await;
    assert_eq!(refused.status, 503, "requests are answered, not kept waiting: {}", refused.text());
}

async fn ready(sidecar: &Program) {
    eventually("ready", async || (sidecar.admin.get("/readyz").send().await.status == 200).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_is_pushed_and_so_is_its_edit() {
    let (cluster, pod) = shop();
    let first = cluster.policy("shop", 1, &pod.policy("gpt-6-sol"));
    let plane = Plane::start(&cluster).await;
    let sidecar = pod.sidecar(&plane.url()).start().await;
    plane.acknowledged("a", &first).await;
    ready(&sidecar).await;
    assert_eq!(model(&sidecar).await, "gpt-6-sol");

    let second = cluster.policy("shop", 2, &pod.policy("gpt-6-luna"));
    plane.publish();
    plane.acknowledged("a", &second).await;
    assert_eq!(model(&sidecar).await, "gpt-6-luna", "what is acknowledged is in force");
    let page = config(&sidecar).await;
    let policy = &page["policy"];
    assert_eq!((&policy["name"], &policy["generation"]), (&json!("shop/shop"), &json!(2)));
    assert_eq!((&policy["source"], &policy["hash"]), (&json!("Stream"), &json!(second.hash)));
    assert_eq!(
        (&page["control"]["connected"], &page["control"]["acknowledged"]["generation"]),
        (&json!(true), &json!(2))
    );
    assert_eq!(metric(&sidecar, "llmroute_control_connected", &[]).await, Some(1.0));
    assert_eq!(metric(&sidecar, "llmroute_control_snapshots_total", &[("result", "accepted")]).await, Some(2.0));
    let report = eventually("a report of the second", async || {
        let view = plane.fleet.view();
        view.get("uid-a")?.report.clone().filter(|r| r.generation == 2)
    })
    .await;
    assert_eq!((report.hash, report.version), (second.hash.clone(), env!("CARGO_PKG_VERSION").to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_push_is_rejected_and_told_and_the_old_one_stays() {
    let (cluster, pod) = shop();
    let good = cluster.policy("shop", 1, &pod.policy("gpt-6-sol"));
    let plane = Plane::start(&cluster).await;
    let sidecar = pod.sidecar(&plane.url()).start().await;
    plane.acknowledged("a", &good).await;

    let bad = pod.policy("gpt-6-sol").replace("targets: [{provider: openai", "colour: red, targets: [{provider: opnai");
    let bad = cluster.policy("shop", 2, &bad);
    plane.publish();
    let answer = eventually("a nack", async || plane.answer("a").filter(|a| a.generation == 2)).await;
    let error = answer.error.expect("a rejection");
    assert_eq!(answer.hash, bad.hash);
    for part in ["spec.scenes[0].colour", "spec.scenes[0].targets[0].provider"] {
        assert!(error.contains(part), "all faults are told: {error}");
    }
    assert_eq!(model(&sidecar).await, "gpt-6-sol");
    let page = config(&sidecar).await;
    assert!(page["refused"]["faults"].to_string().contains("colour"), "{page}");
    assert_eq!(page["policy"]["generation"], 1);
    assert_eq!(metric(&sidecar, "llmroute_control_snapshots_total", &[("result", "rejected")]).await, Some(1.0));
    ready(&sidecar).await;

    // Back to the very version that is in force.
    cluster.policy("shop", 1, &pod.policy("gpt-6-sol"));
    plane.publish();
    plane.acknowledged("a", &good).await;
    assert_eq!(config(&sidecar).await["refused"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_go_on_without_the_operator_and_the_stream_comes_back() {
    let (cluster, pod) = shop();
    let first = cluster.policy("shop", 1, &pod.policy("gpt-6-sol"));
    let plane = Plane::start(&cluster).await;
    let sidecar = pod.sidecar(&plane.url()).start().await;
    plane.acknowledged("a", &first).await;
    let addr = plane.addr;
    plane.end().await;
    eventually("the loss is told", async || (config(&sidecar).await["control"]["connected"] == false).then_some(()))
        .await;
    assert_eq!(model(&sidecar).await, "gpt-6-sol");
    ready(&sidecar).await;
    let second = cluster.policy("shop", 2, &pod.policy("gpt-6-luna"));
    let plane = Plane::start_at(&cluster, addr).await;
    plane.acknowledged("a", &second).await;
    assert_eq!(model(&sidecar).await, "gpt-6-luna");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_the_operator_takes_the_disk_then_the_config_map() {
    let (cluster, pod) = shop();
    let kept = cluster.policy("shop", 1, &pod.policy("gpt-6-sol"));
    let plane = Plane::start(&cluster).await;
    let mut sidecar = pod.sidecar(&plane.url()).start().await;
    plane.acknowledged("a", &kept).await;
    let file = pod.dir.join("state/policy.json");
    eventually("kept", async || file.exists().then_some(())).await;
    sidecar.kill().await;
    let (url, addr) = (plane.url(), plane.addr);
    plane.end().await;
    assert_eq!(fs::read(&file).expect("a file"), kept.json, "the disk holds the document and nothing else");

    // The disk comes before the ConfigMap.
    let mapped = cluster.policy("shop", 2, &pod.policy("gpt-6-luna"));
    pod.dir.write("config-map.json", &mapped.json);
    let mut sidecar = pod.sidecar(&url).start().await;
    ready(&sidecar).await;
    let page = config(&sidecar).await;
    assert_eq!((&page["policy"]["source"], &page["policy"]["hash"]), (&json!("Disk"), &json!(kept.hash)));
    assert_eq!(model(&sidecar).await, "gpt-6-sol");
    sidecar.kill().await;

    // A disk that holds nothing good is as none.
    pod.dir.write("state/policy.json", &kept.json[..100]);
    let mut sidecar = pod.sidecar(&url).start().await;
    ready(&sidecar).await;
    assert_eq!(config(&sidecar).await["policy"]["source"], "ConfigMap");
    assert_eq!(model(&sidecar).await, "gpt-6-luna");
    sidecar.kill().await;

    // Neither is there: it stays up and says why, until the ConfigMap comes.
    fs::remove_file(&file).expect("a file");
    fs::remove_file(pod.dir.join("config-map.json")).expect("a file");
    let sidecar = pod.sidecar(&url).start().await;
    not_ready(&sidecar, "is not reached").await;
    pod.dir.rename_over("config-map.json", &mapped.json).expect("a rename");
    ready(&sidecar).await;
    assert_eq!(model(&sidecar).await, "gpt-6-luna");

    // What the operator confirms is kept as what it sends.
    let plane = Plane::start_at(&cluster, addr).await;
    plane.acknowledged("a", &mapped).await;
    eventually("kept", async || fs::read(&file).is_ok_and(|kept| kept == mapped.json).then_some(())).await;
    assert_eq!(config(&sidecar).await["policy"]["source"], "ConfigMap");
    plane.end().await;

    // The operator's word comes before all.
    let newest = cluster.policy("shop", 3, &pod.policy("gpt-5.4"));
    let plane = Plane::start_at(&cluster, addr).await;
    plane.acknowledged("a", &newest).await;
    assert_eq!(model(&sidecar).await, "gpt-5.4");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_or_a_wrong_token_gets_nothing_until_the_right_one_is_there() {
    let (cluster, pod) = shop();
    let document = cluster.policy("shop", 1, &pod.policy("gpt-6-sol"));
    let plane = Plane::start(&cluster).await;
    let right = fs::read_to_string(pod.dir.join("token")).expect("a token");
    fs::remove_file(pod.dir.join("token")).expect("a file");
    let sidecar = pod.sidecar(&plane.url()).start().await;
    not_ready(&sidecar, "there is no such file").await;
    pod.dir.write("token", "a-token-of-nobody");
    not_ready(&sidecar, "invalid bearer token").await;
    assert!(plane.fleet.view().is_empty(), "nothing is known of who has no name");
    pod.dir.write("token", &right);
    plane.acknowledged("a", &document).await;
    ready(&sidecar).await;
    for token in ["a-token-of-nobody", &right] {
        let told = [sidecar.output(), config(&sidecar).await.to_string()].concat();
        assert!(!told.contains(token), "a token is a secret: {told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_of_another_ca_is_not_talked_to() {
    let (cluster, pod) = shop();
    cluster.policy("shop", 1, &pod.policy("gpt-6-sol"));
    let plane = Plane::start(&cluster).await;
    pod.dir.write("ca.pem", Cluster::new().bundle());
    let sidecar = pod.sidecar(&plane.url()).start().await;
    not_ready(&sidecar, "certificate").await;
    pod.dir.write("ca.pem", "no PEM");
    not_ready(&sidecar, "LLMROUTE_CA").await;
    pod.dir.write("ca.pem", cluster.bundle());
    ready(&sidecar).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_pod_gets_its_own_policy_and_nothing_when_it_has_none() {
    let (cluster, a) = shop();
    let b = Pod::new(&cluster, &cluster.pod("b", "desk"));
    let c = Pod::new(&cluster, &cluster.pod("c", "alone"));
    let shop = cluster.policy("shop", 1, &a.policy("gpt-6-sol"));
    let desk = cluster.policy("desk", 1, &b.policy("gpt-6-luna"));
    let plane = Plane::start(&cluster).await;
    let (url, at) = (plane.url(), |pod: &Pod| pod.sidecar(&plane.url()));
    let (first, second, third) = (at(&a).start().await, at(&b).start().await, at(&c).start().await);
    plane.acknowledged("a", &shop).await;
    plane.acknowledged("b", &desk).await;
    assert_eq!((model(&first).await, model(&second).await), ("gpt-6-sol".into(), "gpt-6-luna".into()));
    not_ready(&third, "no policy selects this pod").await;

    // An edit of one wakes nobody else.
    let desk = cluster.policy("desk", 2, &b.policy("gpt-5.4"));
    plane.publish();
    plane.acknowledged("b", &desk).await;
    assert_eq!(metric(&first, "llmroute_control_snapshots_total", &[("result", "accepted")]).await, Some(1.0));

    // The stream of a pod that is deleted ends, though its token would still be good.
    cluster.delete_pod("b");
    plane.publish();
    eventually("its stream ends", async || (!plane.is_connected("b")).then_some(())).await;
    eventually("it is told why", async || {
        config(&second).await["control"]["why_not"].as_str()?.contains("the pod is gone").then_some(())
    })
    .await;
    assert_eq!(model(&second).await, "gpt-5.4", "what is in force stays in force");
    assert!(plane.is_connected("a") && plane.is_connected("c"), "{url}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ca_is_replaced_under_connected_sidecars() {
    // The last two weeks and a day in one go, from the day before the CA is old.
    let day = |n: u64| unix() - 15 * DAY + n * DAY;
    let cluster = Cluster::made_at(day(0) - CA_LIFE.as_secs() * 2 / 3);
    cluster.renew(day(0) - DAY);
    let pod = Pod::new(&cluster, &cluster.pod("a", "shop"));
    let document = cluster.policy("shop", 1, &pod.policy("gpt-6-sol"));
    let plane = Plane::start(&cluster).await;
    let mut sidecar = pod.sidecar(&plane.url()).start().await;
    plane.acknowledged("a", &document).await;
    let knows = async || {
        let (kept, bundle) = (pod.dir.join("state/control-ca.pem"), cluster.bundle());
        eventually("the bundle is kept", async || (fs::read_to_string(&kept).ok()? == bundle).then_some(())).await;
        bundle.matches("BEGIN").count()
    };
    assert_eq!(knows().await, 1);
    let old = cluster.bundle();

    // The next CA is told; an overlap later it signs.
    for (today, certificates) in [(0, 2), (7, 2)] {
        cluster.renew(day(today));
        plane.swap_certificates();
        assert_eq!(knows().await, certificates, "day {today}");
        assert!(plane.is_connected("a"), "day {today}");
    }
    // Whoever connects now sees a certificate of a CA that the stream alone told of: the file still holds the old one.
    let addr = plane.addr;
    plane.end().await;
    let edit = cluster.policy("shop", 2, &pod.policy("gpt-6-luna"));
    let plane = Plane::start_at(&cluster, addr).await;
    plane.acknowledged("a", &edit).await;
    assert_eq!(fs::read_to_string(pod.dir.join("ca.pem")).expect("a file"), old);

    // Another overlap later the old one goes; a restart knows the new one.
    cluster.renew(day(14));
    plane.swap_certificates();
    assert_eq!(knows().await, 1);
    assert_ne!(cluster.bundle(), old);
    sidecar.kill().await;
    let edit = cluster.policy("shop", 3, &pod.policy("gpt-5.4"));
    plane.publish();
    let _sidecar = pod.sidecar(&plane.url()).start().await;
    plane.acknowledged("a", &edit).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_go_away_is_followed_to_the_leader() {
    let (cluster, pod) = shop();
    let document = cluster.policy("shop", 1, &pod.policy("gpt-6-sol"));
    let (one, other) = (Plane::start(&cluster).await, Plane::start(&cluster).await);
    // As pods are: by their IP, under the name of the first address.
    let ip = |plane: &Plane| format!("https://{}", plane.addr);
    one.leads(Leader::Other(ip(&other)));
    let sidecar = pod.sidecar(&one.url()).start().await;
    other.acknowledged("a", &document).await;
    assert!(one.fleet.view().is_empty());
    assert_eq!(config(&sidecar).await["control"]["connected_to"], format!("{}/", ip(&other)));

    // The lease moves; one that was told too late that its time is over serves nobody.
    other.leads(Leader::Me(Duration::ZERO));
    eventually("it is left", async || (!other.is_connected("a")).then_some(())).await;
    other.leads(Leader::Unknown);
    one.leads(Leader::Me(Duration::MAX));
    one.acknowledged("a", &document).await;
    eventually("the former leader is left", async || (!other.is_connected("a")).then_some(())).await;
    assert_eq!(model(&sidecar).await, "gpt-6-sol");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flags_that_cannot_be_used_end_it_and_a_missing_policy_does_not() {
    let rows: [(&[&str], &str); 4] = [
        (&[], "--policy"),
        (&["--control", "http://localhost:1"], "https://"),
        (&["--control", "https://localhost:1", "--policy", "p.yaml"], "cannot be used with"),
        (&["--policy", "p.yaml", "--control-ca", "ca.pem"], "cannot be used with"),
    ];
    for (args, want) in rows {
        let ended = Builder::bare(args).run().await;
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.output);
        assert!(ended.output.contains(want), "{args:?}: {}", ended.output);
    }
    let mut sidecar = Builder::on_free_ports(&["--control", "https://localhost:1"]).start().await;
    not_ready(&sidecar, "there is no CA certificate").await;
    sidecar.terminate();
    assert_eq!(sidecar.wait().await.code(), Some(0), "a clean drain");
}
