//! Leader election by a Lease.

mod elect;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use parking_lot::Mutex;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

pub use elect::{DURATION, Elector, FENCE, Me, RETRY, Record};

use crate::{
    clock,
    metrics::Metrics,
    push::Leader,
    reconcile::{Failed, MANAGER, call},
};

const ADDRESS: &str = "llmroute.dev/control-address";
const EPOCH: &str = "llmroute.dev/epoch";

/// Finds out what must be known before this replica leads.
pub type CatchUp = dyn Fn() -> BoxFuture<'static, Result<(), Failed>> + Send + Sync;

/// One replica's part in the election.
pub struct Election {
    leases: Api<Lease>,
    name: String,
    elector: Mutex<Elector>,
    /// As it was found last: what others wrote there stays, for the release that it came with to find it.
    found: Mutex<ObjectMeta>,
    /// Done each time before it leads.
    catch_up: Box<CatchUp>,
    has_caught_up: AtomicBool,
    leader: watch::Sender<Leader>,
    metrics: Arc<Metrics>,
}

impl Election {
    /// For the Lease `name` of a namespace; `leader` is told who leads.
    #[must_use]
    pub fn new(
        client: Client,
        namespace: &str,
        name: &str,
        me: Me,
        catch_up: Box<CatchUp>,
        leader: watch::Sender<Leader>,
        metrics: Arc<Metrics>,
    ) -> Election {
        let (leases, elector) = (Api::namespaced(client, namespace), Mutex::new(Elector::new(me)));
        let (found, has_caught_up) = (Mutex::default(), AtomicBool::new(false));
        Election { leases, name: name.to_owned(), elector, found, catch_up, has_caught_up, leader, metrics }
    }

    /// Takes part until `ending`, and then gives the Lease back. What was told last stays told: who listens ends too.
    pub async fn run(self, ending: CancellationToken) {
        while !ending.is_cancelled() {
            self.round_fenced().await;
            let pause = RETRY.mul_f64(0.9 + 0.2 * fastrand::f64());
            let left = self.elector.lock().left(clock::now()).unwrap_or(pause);
            tokio::select! {
                () = sleep(pause.min(left)) => {}
                () = ending.cancelled() => {}
            }
            self.tell();
        }
        let given = self.elector.lock().release();
        if let Some(given) = given {
            match self.write(given).await {
                Ok(_) => tracing::info!("the lease is given back"),
                Err(error) => tracing::warn!(%error, "the lease runs out by itself"),
            }
        }
    }

    /// One round; while it lasts, the fence is watched.
    async fn round_fenced(&self) {
        let mut round = std::pin::pin!(self.round());
        loop {
            let left = self.elector.lock().left(clock::now());
            tokio::select! {
                result = &mut round => {
                    if let Err(error) = result {
                        tracing::warn!(%error, "the lease could not be looked after");
                    }
                    break;
                }
                () = sleep(left.unwrap_or(Duration::MAX)), if left.is_some() => {}
            }
            self.tell();
        }
        self.tell();
    }

    async fn round(&self) -> Result<(), Failed> {
        let found = call("read the Lease", self.leases.get_opt(&self.name)).await?;
        *self.found.lock() = found.as_ref().map(|lease| lease.metadata.clone()).unwrap_or_default();
        let wants = {
            let (mut elector, now) = (self.elector.lock(), clock::now());
            elector.saw(found.as_ref().map(read), now);
            elector.wants(now)
        };
        let Some(wants) = wants else { return Ok(()) };
        let sent = clock::now();
        match self.write(wants).await {
            Ok(written) => {
                self.elector.lock().wrote(read(&written), sent, clock::now());
                if !self.has_caught_up.load(Ordering::Relaxed) {
                    (self.catch_up)().await?;
                    let leads = matches!(self.elector.lock().leader(clock::now()), Leader::Me(_));
                    self.has_caught_up.store(leads, Ordering::Relaxed);
                }
            }
            // Another one was faster; the next look shows who.
            Err(Failed::Api { error: kube::Error::Api(status), .. }) if status.code == 409 => {}
            Err(failed) => return Err(failed),
        }
        Ok(())
    }

    async fn write(&self, record: Record) -> Result<Lease, Failed> {
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let is_new = record.version.is_empty();
        let lease = written(&self.name, self.found.lock().clone(), record);
        if is_new {
            return call("create the Lease", self.leases.create(&params, &lease)).await;
        }
        call("write the Lease", self.leases.replace(&self.name, &params, &lease)).await
    }

    /// Tells who leads. Nobody is woken where it is told in time that this replica leads on.
    fn tell(&self) {
        let now = clock::now();
        let mut leader = self.elector.lock().leader(now);
        if !matches!(leader, Leader::Me(_)) {
            self.has_caught_up.store(false, Ordering::Relaxed);
        } else if !self.has_caught_up.load(Ordering::Relaxed) {
            leader = Leader::Unknown;
        }
        self.metrics.leads(matches!(leader, Leader::Me(_)));
        self.leader.send_if_modified(|before| {
            let leads_on = matches!((&*before, &leader), (Leader::Me(until), Leader::Me(_)) if now < *until);
            let differs = !leads_on && *before != leader;
            if differs {
                tracing::info!(leader = ?leader, "who leads");
            }
            *before = leader;
            differs
        });
    }
}

fn read(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let annotation =
        |name: &str| lease.metadata.annotations.as_ref().and_then(|a| a.get(name)).cloned().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok());
    Record {
        holder: spec.holder_identity.unwrap_or_default(),
        epoch: annotation(EPOCH),
        address: annotation(ADDRESS),
        duration: seconds.map_or(DURATION, Duration::from_secs),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        transitions: spec.lease_transitions.unwrap_or_default(),
    }
}

fn written(name: &str, found: ObjectMeta, record: Record) -> Lease {
    let Record { holder, epoch, address, duration, version, transitions } = record;
    let now = MicroTime(clock::timestamp());
    let mut annotations = found.annotations.unwrap_or_default();
    annotations.extend([(EPOCH.to_owned(), epoch), (ADDRESS.to_owned(), address)]);
    Lease {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            resource_version: Some(version).filter(|v| !v.is_empty()),
            annotations: Some(annotations),
            labels: found.labels,
            owner_references: found.owner_references,
            finalizers: found.finalizers,
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(holder),
            // The API server refuses none; one that is given back may be taken at once.
            lease_duration_seconds: Some(i32::try_from(duration.as_secs().max(1)).unwrap_or(i32::MAX)),
            lease_transitions: Some(transitions),
            renew_time: Some(now),
            ..LeaseSpec::default()
        }),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use serde_json::{Value, json};
    use tokio::time::timeout;

    use super::*;
    use crate::scripted::Api as Scripted;

    const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/llmroute-system/leases";

    struct Scene {
        api: Scripted,
        led: watch::Receiver<Leader>,
        ending: CancellationToken,
        running: tokio::task::JoinHandle<()>,
    }

    fn start() -> Scene {
        let (client, api) = Scripted::new();
        let leases = client.clone();
        let (leader, led) = watch::channel(Leader::Unknown);
        let me = Me { identity: "op-1".into(), epoch: "e1".into(), address: "https://10.0.0.9:8443".into() };
        let catch_up: Box<CatchUp> = Box::new(move || {
            let client = client.clone();
            let list = async move { client.request_text(Request::get("/policies").body(vec![]).unwrap()).await };
            Box::pin(async move { call("list policies", list).await.map(|_| ()) })
        });
        let lease = "llmroute-operator";
        let election = Election::new(leases, "llmroute-system", lease, me, catch_up, leader, Arc::default());
        let ending = CancellationToken::new();
        let running = tokio::spawn(election.run(ending.clone()));
        Scene { api, led, ending, running }
    }

    /// A Lease as the API server has it once it is written.
    fn stored(mut lease: Value, version: &str) -> Value {
        lease["metadata"]["resourceVersion"] = json!(version);
        lease
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_created_renewed_and_given_back() {
        let mut scene = start();
        scene.api.refuses(404).await;
        let (called, lease) = scene.api.refuses(409).await;
        assert!(called.starts_with(&format!("POST {LEASES}?")), "{called}");
        assert_eq!(*scene.led.borrow(), Leader::Unknown, "another one was faster");
        let mut theirs = stored(lease, "1");
        theirs["spec"]["holderIdentity"] = json!("op-2");
        theirs["metadata"]["annotations"] = json!({ADDRESS: "https://10.0.0.8:8443", EPOCH: "e2", "release": "r"});
        theirs["metadata"]["labels"] = json!({"of": "the chart"});
        scene.api.answer(200, theirs.clone()).await;
        scene.led.wait_for(|l| *l == Leader::Other("https://10.0.0.8:8443".into())).await.unwrap();
        // It is given back.
        theirs["spec"]["holderIdentity"] = json!("");
        scene.api.answer(200, stored(theirs, "2")).await;
        let (request, ours) = scene.api.refuses(500).await;
        assert!(request.starts_with(&format!("PUT {LEASES}/llmroute-operator?")), "{request}");
        assert!(!scene.led.borrow_and_update().leads(), "not before it is written");
        let kept = (&ours["metadata"]["labels"], &ours["metadata"]["annotations"]["release"]);
        assert_eq!(kept, (&json!({"of": "the chart"}), &json!("r")), "what others wrote stays");
        scene.api.answer(200, stored(ours.clone(), "2")).await;
        scene.api.answer(200, stored(ours.clone(), "3")).await;
        assert_eq!(scene.api.refuses(403).await.0, "GET /policies");
        scene.api.answer(200, stored(ours.clone(), "3")).await;
        scene.api.answer(200, stored(ours, "4")).await;
        assert!(!scene.led.borrow_and_update().leads(), "not before it knows all that another one may have sent");
        assert_eq!(scene.api.takes().await.0, "GET /policies");
        scene.led.wait_for(Leader::leads).await.unwrap();

        scene.ending.cancel();
        // Whatever is under way comes first.
        let given = loop {
            let (called, sent) = scene.api.answer(200, json!({"metadata": {"resourceVersion": "4"}, "spec": {}})).await;
            if called.starts_with("PUT") {
                break sent;
            }
        };
        assert_eq!(given["spec"]["holderIdentity"], json!(""));
        assert_eq!(given["metadata"]["annotations"][ADDRESS], json!(""));
        assert_eq!(given["metadata"]["annotations"]["release"], json!("r"));
        timeout(Duration::from_secs(5), scene.running).await.unwrap().unwrap();
        assert!(scene.led.borrow().leads(), "who listens is told to end by other means");
    }
}
