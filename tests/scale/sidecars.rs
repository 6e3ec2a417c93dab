//! A thousand sidecars in one process, as far as an operator can tell: each has a connection and a token of its own, says hello,
//! checks the hash of what it is sent, answers and reports, and comes back when it is cut off. A text is judged by the code of
//! the sidecar, once for all: in a cluster each pod does so on a machine of its own, and here there is one for everything.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use control::{
    Speaks, coins,
    v1::{
        Ack, Credentials, FromOperator, FromSidecar, Report, Snapshot, control_client::ControlClient,
        from_operator::Message as Heard, from_sidecar::Message as Say,
    },
};
use harness::many::Named;
use sidecar::adopt::{self, Source};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Streaming,
    transport::{Certificate, ClientTlsConfig, Endpoint},
};

use crate::borrower::{Borrower, Seen};

/// As a sidecar has them.
const REPORT: Duration = Duration::from_secs(30);
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(10);
const WAITING: usize = 16;
/// While all spend: between looks for what is to be said.
const LOOK: Duration = Duration::from_millis(20);
/// It waits at random up to this, doubled for each failure, and no longer than that.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// All of them; they end on drop.
pub struct Sidecars {
    all: Vec<Arc<Sidecar>>,
    tasks: JoinSet<()>,
    /// Counts who spends; 0 for nobody yet.
    round: Arc<AtomicU64>,
    seen: Arc<parking_lot::Mutex<Seen>>,
}

/// The policy, judged once for all, and its hash.
#[derive(Default)]
struct Judged {
    hash: String,
    policy: Option<Arc<policy::snapshot::Snapshot>>,
}

struct Sidecar {
    endpoint: Endpoint,
    bearer: String,
    judged: Arc<Mutex<Judged>>,
    borrower: Borrower,
    round: Arc<AtomicU64>,
    connected: AtomicBool,
    acknowledged: AtomicU64,
    generation: AtomicI64,
}

impl Sidecars {
    /// Starts one for each pod; `ca` is PEM of the operator's CA.
    pub fn start(pods: &[Named], url: &str, ca: &str) -> Sidecars {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)).domain_name("localhost");
        let endpoint = Endpoint::from_shared(url.to_owned()).and_then(|e| e.tls_config(tls)).expect("an endpoint");
        let endpoint = endpoint
            .connect_timeout(ANSWER)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true);
        let (judged, round) = (Arc::default(), Arc::<AtomicU64>::default());
        let of = |pod: &Named| {
            Arc::new(Sidecar {
                endpoint: endpoint.clone(),
                bearer: format!("Bearer {}", pod.token),
                judged: Arc::clone(&judged),
                borrower: Borrower::new(),
                round: round.clone(),
                connected: AtomicBool::new(false),
                acknowledged: AtomicU64::new(0),
                generation: AtomicI64::new(0),
            })
        };
        let all: Vec<_> = pods.iter().map(of).collect();
        let tasks = all.iter().map(|sidecar| sidecar.clone().run()).collect();
        Sidecars { all, tasks, round, seen: Arc::default() }
    }

    /// So many callers in all, spread over the first `pods`, and nobody else from now on. A caller goes on `thinks` after an
    /// answer.
    pub fn spend(&mut self, pods: usize, callers: usize, thinks: Duration) {
        let mine = self.round.fetch_add(1, SeqCst) + 1;
        for n in 0..callers {
            let (sidecar, seen) = (self.all[n % pods].clone(), self.seen.clone());
            self.tasks.spawn(async move {
                sleep(thinks.mul_f64(fastrand::f64())).await;
                while sidecar.round.load(SeqCst) == mine {
                    sidecar.borrower.request(&seen).await;
                    sleep(thinks.mul_f64(0.9 + 0.2 * fastrand::f64())).await;
                }
            });
        }
    }

    /// What these met since it was asked last.
    pub fn seen(&self) -> Seen {
        std::mem::take(&mut self.seen.lock())
    }

    /// How many streams are up.
    pub fn connected(&self) -> usize {
        self.all.iter().filter(|sidecar| sidecar.connected.load(SeqCst)).count()
    }

    /// How many have acknowledged more than so many policies each.
    pub fn beyond(&self, counts: &[u64]) -> usize {
        self.counts().iter().zip(counts).filter(|(now, before)| now > before).count()
    }

    /// How many policies each has acknowledged, one twice where it came back in between.
    pub fn counts(&self) -> Vec<u64> {
        self.all.iter().map(|sidecar| sidecar.acknowledged.load(SeqCst)).collect()
    }

    /// All have acknowledged this generation last.
    #[track_caller]
    pub fn are_all_at(&self, generation: i64) {
        let others = self.all.iter().filter(|sidecar| sidecar.generation.load(SeqCst) != generation).count();
        assert_eq!(others, 0, "not all are at {generation}");
    }
}

impl Drop for Sidecars {
    fn drop(&mut self) {
        self.tasks.abort_all();
    }
}

impl Sidecar {
    async fn run(self: Arc<Sidecar>) {
        let mut failures = 0;
        loop {
            let ended = self.talk().await;
            failures = if self.connected.swap(false, SeqCst) { 1 } else { failures + 1 };
            if let Err(why) = ended.as_ref().map_err(|e| e.to_string())
                && why.contains("refused the policy")
            {
                panic!("{why}");
            }
            let most = BACKOFF.0.saturating_mul(1 << failures.min(16)).min(BACKOFF.1);
            sleep(most.mul_f64(fastrand::f64())).await;
        }
    }

    /// One stream, to its end.
    async fn talk(&self) -> anyhow::Result<()> {
        let (say, outgoing) = mpsc::channel(WAITING);
        let said = |message: Say| say.try_send(FromSidecar { message: Some(message) }).context("nothing is taken");
        said(Say::Hello(Speaks::HERE.hello("1.0.0")))?;
        let channel = timeout(ANSWER, self.endpoint.connect()).await??;
        let mut request = Request::new(ReceiverStream::new(outgoing));
        request.metadata_mut().insert("authorization", self.bearer.parse()?);
        let mut stream = timeout(ANSWER, ControlClient::new(channel).sync(request)).await??.into_inner();
        ensure!(matches!(next(&mut stream).await?, Heard::Hello(_)), "no hello");
        let mut hash = String::new();
        let mut reports = interval(REPORT);
        reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.connected.store(true, SeqCst);
        self.borrower.reconnected();
        loop {
            let look = if self.round.load(SeqCst) > 0 { LOOK } else { LOOK * 50 };
            let heard = tokio::select! {
                heard = next(&mut stream) => heard?,
                () = sleep(look) => {
                    for report in self.borrower.reports() {
                        said(report)?;
                    }
                    continue;
                }
                _ = reports.tick() => {
                    said(Say::Report(self.report(&hash)))?;
                    continue;
                }
            };
            match heard {
                Heard::Snapshot(snapshot) => {
                    let generation = snapshot.generation;
                    hash.clone_from(&snapshot.hash);
                    self.judge(snapshot).await?;
                    said(Say::Ack(Ack { generation, hash: hash.clone() }))?;
                    self.generation.store(generation, SeqCst);
                    self.acknowledged.fetch_add(1, SeqCst);
                    reports.reset_immediately();
                }
                Heard::Lending(lent) => {
                    if let Some(answer) = coins::answer(lent) {
                        self.borrower.hear(&answer);
                    }
                }
                Heard::Trust(_) | Heard::Findings(_) => {}
                other => bail!("{other:?}"),
            }
        }
    }

    async fn judge(&self, snapshot: Snapshot) -> anyhow::Result<()> {
        ensure!(adopt::hash(&snapshot.document) == snapshot.hash, "refused the policy: another hash");
        let mut judged = self.judged.lock().await;
        if judged.hash != snapshot.hash {
            let document = snapshot.document;
            let result = tokio::task::spawn_blocking(move || adopt::judge(&document, Source::Stream)).await?;
            let policy = result.map_err(|faults| anyhow::anyhow!("refused the policy: {faults:?}"))?;
            ensure!(policy.generation == Some(snapshot.generation), "refused the policy: another generation");
            *judged = Judged { hash: snapshot.hash, policy: Some(Arc::new(policy)) };
        }
        if let Some(policy) = &judged.policy {
            self.borrower.configure(policy);
        }
        Ok(())
    }

    fn report(&self, hash: &str) -> Report {
        Report {
            generation: self.generation.load(SeqCst),
            hash: hash.to_owned(),
            version: "1.0.0".to_owned(),
            credentials: Some(Credentials::default()),
            ..Report::default()
        }
    }
}

async fn next(stream: &mut Streaming<FromOperator>) -> anyhow::Result<Heard> {
    stream.message().await?.and_then(|said| said.message).context("the stream ended")
}
