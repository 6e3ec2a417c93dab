//! An operator in this process: its CA, its push server over real TLS, and what the cluster would tell it.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use operator::{
    ca::{Certificates, Serving, renew, server_config},
    fleet::{Answer, Fleet},
    index::index,
    publish::{Published, served},
    push::{Caller, Denied, Identify, Leader, Push, serve},
    world::{Document, Pod, Policy, PolicyKey, Uid, World},
};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::eventually;

/// What replicas share: the cluster, and the operator's certificates.
pub struct Cluster {
    world: Mutex<World>,
    tokens: Mutex<HashMap<String, Caller>>,
    certificates: Mutex<Certificates>,
}

/// One replica.
pub struct Plane {
    /// The cluster that it sees.
    pub cluster: Arc<Cluster>,
    /// What sidecars answered.
    pub fleet: Arc<Fleet>,
    /// Where it listens.
    pub addr: SocketAddr,
    published: Arc<Published>,
    leader: watch::Sender<Leader>,
    trust: watch::Sender<Arc<str>>,
    serving: Arc<Serving>,
    ending: CancellationToken,
    task: JoinHandle<()>,
}

struct Tokens(Arc<Cluster>);

#[async_trait::async_trait]
impl Identify for Tokens {
    async fn identify(&self, token: &str) -> Result<Caller, Denied> {
        let known = self.0.tokens.lock().get(token).cloned();
        known.ok_or_else(|| Denied::Refused("invalid bearer token".to_owned()))
    }
}

/// Seconds since 1970.
pub fn unix() -> u64 {
    sidecar::clock::unix().as_secs()
}

impl Cluster {
    /// An empty one, with fresh certificates.
    pub fn new() -> Arc<Cluster> {
        Cluster::made_at(unix())
    }

    /// The same with certificates made then, seconds since 1970.
    pub fn made_at(then: u64) -> Arc<Cluster> {
        let cluster = Cluster { world: Mutex::default(), tokens: Mutex::default(), certificates: Mutex::default() };
        cluster.renew(then);
        Arc::new(cluster)
    }

    /// Does what is due for the certificates at `now`.
    pub fn renew(&self, now: u64) {
        let mut held = self.certificates.lock();
        if let Some(fresh) = renew(&held, &["localhost".to_owned()], now).expect("certificates") {
            *held = fresh;
        }
    }

    /// PEM of the CAs to trust.
    pub fn bundle(&self) -> String {
        self.certificates.lock().bundle()
    }

    /// A pod of the namespace `shop` with the label `app`; gives the token of its sidecar.
    pub fn pod(&self, name: &str, app: &str) -> String {
        let (uid, namespace) = (Uid::from(format!("uid-{name}")), Arc::from("shop"));
        let labels = [("app".to_owned(), app.to_owned())].into();
        let pod = Pod { namespace: Arc::clone(&namespace), name: name.into(), labels, sidecar: true, ..Pod::default() };
        self.world.lock().pods.insert(uid.clone(), pod);
        let token = format!("token-of-{name}-0123456789");
        self.tokens.lock().insert(token.clone(), Caller { namespace, name: name.into(), uid });
        token
    }

    /// The pod is deleted; its token stays good, as it does for a while.
    pub fn delete_pod(&self, name: &str) {
        self.world.lock().pods.remove(&*format!("uid-{name}"));
    }

    /// An accepted version of the policy `app`, for the pods with that label; `yaml` is a manifest.
    pub fn policy(&self, app: &str, generation: i64, yaml: &str) -> Arc<Document> {
        let manifest: Value = serde_yaml::from_str(yaml).expect("YAML");
        self.spec(app, generation, &manifest["spec"])
    }

    /// The same from its spec alone, which nobody judges here.
    pub fn spec(&self, app: &str, generation: i64, spec: &Value) -> Arc<Document> {
        let key = PolicyKey { namespace: "shop".into(), name: app.into() };
        let document = Arc::new(Document::new(key.clone(), generation, spec));
        let selector = serde_json::from_value(serde_json::json!({"matchLabels": {"app": app}})).expect("a selector");
        let policy = Policy { created: 1, selector, accepted: Some(document.clone()), ..Policy::default() };
        self.world.lock().policies.insert(key, policy);
        document
    }
}

impl Plane {
    /// A replica that leads.
    pub async fn start(cluster: &Arc<Cluster>) -> Plane {
        Plane::start_at(cluster, crate::world::loopback()).await
    }

    /// The same at an address of its own, which an earlier one may just have left.
    pub async fn start_at(cluster: &Arc<Cluster>, addr: SocketAddr) -> Plane {
        let listener = eventually("the port is free", async || TcpListener::bind(addr).await.ok()).await;
        let addr = listener.local_addr().expect("an address");
        let (published, fleet) = (Arc::new(Published::default()), Arc::new(Fleet::default()));
        let (leader, led) = watch::channel(Leader::Me(Duration::MAX));
        let (trust, trusted) = watch::channel(Arc::from(""));
        let (serving, ending) = (Arc::new(Serving::default()), CancellationToken::new());
        let push = Push {
            identify: Arc::new(Tokens(cluster.clone())),
            calls_from: Arc::new(|_, _| true),
            published: published.clone(),
            fleet: fleet.clone(),
            findings: Arc::default(),
            lending: Arc::default(),
            leader: led,
            trust: trusted,
            ending: ending.clone(),
        };
        let tls = server_config(serving.clone(), &["h2"]).expect("a configuration");
        let task = tokio::spawn(serve(listener, tls, push));
        let cluster = cluster.clone();
        let plane = Plane { cluster, fleet, addr, published, leader, trust, serving, ending, task };
        plane.swap_certificates();
        plane.publish();
        plane
    }

    /// Its address as sidecars are told.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.addr.port())
    }

    /// Tells what the cluster holds now.
    pub fn publish(&self) {
        let world = self.cluster.world.lock();
        let index = index(&world);
        self.published.publish(served(&world, &index));
        self.fleet.retain(&index);
    }

    /// Serves with, and tells, the certificates that the cluster holds now.
    pub fn swap_certificates(&self) {
        let held = self.cluster.certificates.lock();
        self.serving.put(held.leaf.as_ref().expect("a leaf")).expect("a pair");
        self.trust.send_replace(held.bundle().into());
    }

    /// Another one leads, or this one again.
    pub fn leads(&self, leader: Leader) {
        self.leader.send_replace(leader);
    }

    /// What a pod's sidecar said of the newest policy that it got.
    pub fn answer(&self, pod: &str) -> Option<Answer> {
        self.fleet.view().get(&*format!("uid-{pod}"))?.answer.clone()
    }

    /// Whether a pod's stream is up.
    pub fn is_connected(&self, pod: &str) -> bool {
        self.fleet.view().get(&*format!("uid-{pod}")).is_some_and(|s| s.connected)
    }

    /// Waits until a pod's sidecar has this in force.
    pub async fn acknowledged(&self, pod: &str, document: &Document) {
        let want = Answer { generation: document.generation, hash: document.hash.clone(), error: None };
        let what = format!("{pod} acknowledges generation {}", document.generation);
        eventually(&what, async || self.answer(pod).filter(|a| *a == want)).await;
    }

    /// Ends it as SIGTERM does, and frees its port.
    pub async fn end(self) {
        self.ending.cancel();
        self.task.await.expect("no panic");
    }
}
