//! Leader election by a Lease.

mod elect;

use std::{sync::Arc, time::Duration};

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

/// After a failure to find out what must be known.
const AGAIN: Duration = Duration::from_secs(1);

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
    tenure: watch::Sender<Tenure>,
    leader: watch::Sender<Leader>,
    metrics: Arc<Metrics>,
}

/// Whether the Lease is this replica's, without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tenure {
    None,
    /// It is, and what another one did before is not known yet.
    Begun,
    /// It is, and all is known: this replica leads.
    CaughtUp,
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
        let (found, tenure) = (Mutex::default(), watch::Sender::new(Tenure::None));
        Election { leases, name: name.to_owned(), elector, found, catch_up, tenure, leader, metrics }
    }

    /// Takes part until `ending`, and then gives the Lease back. What was told last stays told: who listens ends too.
    pub async fn run(self, ending: CancellationToken) {
        tokio::select! {
            () = self.rounds(&ending) => {}
            // Beside them: however long it takes, the Lease is renewed.
            never = self.catches_up() => never,
        }
        let given = self.elector.lock().release();
        if let Some(given) = given {
            match self.write(given).await {
                Ok(_) => tracing::info!("the lease is given back"),
                Err(error) => tracing::warn!(%error, "the lease runs out by itself"),
            }
        }
    }

    async fn rounds(&self, ending: &CancellationToken) {
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
    }

    /// Catches up each time that the Lease has become this replica's.
    async fn catches_up(&self) -> ! {
        let mut tenure = self.tenure.subscribe();
        loop {
            // The sender is ours: this waits as long as it takes.
            let _ = tenure.wait_for(|tenure| *tenure == Tenure::Begun).await;
            let caught_up = tokio::select! {
                biased;
                // What is found meanwhile may be old when it is won again.
                _ = tenure.wait_for(|tenure| *tenure == Tenure::None) => continue,
                result = (self.catch_up)() => result,
            };
            match caught_up {
                Ok(()) => {
                    self.tenure.send_replace(Tenure::CaughtUp);
                    self.tell();
                }
                Err(error) => {
                    tracing::warn!(%error, "this replica has the lease, and does not lead before it knows all policies");
                    sleep(AGAIN).await;
                }
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
            Ok(written) => self.elector.lock().wrote(read(&written), sent, clock::now()),
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
        let is_mine = matches!(leader, Leader::Me(_));
        self.tenure.send_if_modified(|tenure| {
            let before = *tenure;
            *tenure = match (is_mine, before) {
                (false, _) => Tenure::None,
                (true, Tenure::None) => Tenure::Begun,
                (true, _) => before,
            };
            *tenure != before
        });
        if is_mine && *self.tenure.borrow() != Tenure::CaughtUp {
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
    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::scripted::Api as Scripted;

    const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/llmroute-system/leases";

    struct Scene {
        api: Scripted,
        led: watch::Receiver<Leader>,
        ending: CancellationToken,
        running: tokio::task::JoinHandle<()>,
    }

    fn start(catch_up: impl FnOnce(Client) -> Box<CatchUp>) -> Scene {
        let (client, api) = Scripted::new();
        let catch_up = catch_up(client.clone());
        let (leader, led) = watch::channel(Leader::Unknown);
        let me = Me { identity: "op-1".into(), epoch: "e1".into(), address: "https://10.0.0.9:8443".into() };
        let lease = "llmroute-operator";
        let election = Election::new(client, "llmroute-system", lease, me, catch_up, leader, Arc::default());
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
        let lists = |client: Client| -> Box<CatchUp> {
            Box::new(move || {
                let client = client.clone();
                let list = async move { client.request_text(Request::get("/policies").body(vec![]).unwrap()).await };
                Box::pin(async move { call("list policies", list).await.map(|_| ()) })
            })
        };
        let mut scene = start(lists);
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
        scene.api.answer(200, stored(ours, "3")).await;
        assert_eq!(scene.api.refuses(403).await.0, "GET /policies");
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

    #[tokio::test(start_paused = true)]
    async fn while_it_catches_up_the_lease_is_kept_and_after_a_gap_it_begins_anew() {
        const LONG: Duration = Duration::from_secs(30);
        let begun = Arc::new(Mutex::new(vec![]));
        let begins = begun.clone();
        let mut scene = start(move |_| {
            Box::new(move || {
                begins.lock().push(Instant::now());
                Box::pin(async {
                    sleep(LONG).await;
                    Ok(())
                })
            })
        });
        let mut version = 0;
        let mut held = |by: &str| {
            version += 1;
            let metadata = json!({"resourceVersion": version.to_string(), "annotations": {EPOCH: "e1"}});
            json!({"metadata": metadata, "spec": {"holderIdentity": by, "leaseDurationSeconds": 15}})
        };
        for _ in 0..10 {
            scene.api.answer(200, held("")).await;
            scene.api.answer(200, held("op-1")).await;
        }
        assert!(!scene.led.borrow().leads());
        for by in ["op-2", "op-2"] {
            scene.api.answer(200, held(by)).await;
        }
        let kept = async {
            loop {
                scene.api.answer(200, held("")).await;
                scene.api.answer(200, held("op-1")).await;
            }
        };
        tokio::select! {
            _ = scene.led.wait_for(Leader::leads) => {}
            () = kept => {}
        }
        let begun = begun.lock();
        assert_eq!((begun.len(), begun[1].elapsed()), (2, LONG), "{begun:?}");
    }
}
