//! One policy's lender at work: what sidecars report goes in, leases go out, and the ledger object is written ahead of both.

use std::{pin::Pin, sync::Arc, time::Duration};

use control::{coins, v1::from_operator::Message as Say};
use policy::{
    Tick,
    ledger::{
        lend::{Heard, Lender},
        message::{Answer, Phase, Report},
    },
};
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    Ended, Lending, Shown, Terms,
    object::{Found, Object, Unwritten},
};
use crate::{
    clock,
    push::Leader,
    reconcile::Failed,
    world::{PolicyKey, Uid},
};

/// With nothing to do, it looks again after that.
const LOOK: Duration = Duration::from_millis(200);
/// After a call of the API server that failed.
const AGAIN: Duration = Duration::from_secs(1);
/// Reports that are heard before it answers.
const MOST_WORDS: usize = 500;
/// How caps stand is shown so often.
const SHOW: Duration = Duration::from_secs(2);
/// Terms count takeovers; a borrower that says more tells no truth.
const MOST_TERMS: u64 = 1 << 31;

/// What comes to a desk.
pub(super) enum Word {
    /// A report of a pod.
    Report(Uid, Report),
    /// The kubelet says that all of the pod has ended.
    Ended(Uid),
}

/// How an API call about the object ended.
enum Done {
    Read(Result<Found, Failed>),
    Wrote(u64, Result<Option<String>, Unwritten>),
}

type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

/// One policy's lender.
pub(super) struct Desk {
    policy: PolicyKey,
    object: Arc<Object>,
    lending: Arc<Lending>,
    leader: watch::Receiver<Leader>,
    terms: watch::Receiver<Terms>,
    words: mpsc::Receiver<Word>,
    lender: Option<Lender>,
    /// Of the object, as it was read or written last.
    version: Option<String>,
    /// This replica leads until then, as far as is known here.
    valid: Duration,
    /// A borrower knows this term, and the object knows less: it was lost or set back.
    above: Option<u64>,
    work: Option<Work>,
    /// No call before that.
    again: Duration,
    /// When it is looked how caps stand.
    look: Duration,
    /// Pods that ended for sure.
    ended: Ended,
}

impl Desk {
    pub(super) fn new(
        policy: PolicyKey,
        object: Object,
        lending: Arc<Lending>,
        leader: watch::Receiver<Leader>,
        terms: watch::Receiver<Terms>,
        words: mpsc::Receiver<Word>,
    ) -> Desk {
        Desk {
            policy,
            object: Arc::new(object),
            lending,
            leader,
            terms,
            words,
            lender: None,
            version: None,
            valid: Duration::ZERO,
            above: None,
            work: None,
            again: Duration::ZERO,
            look: Duration::ZERO,
            ended: Ended::default(),
        }
    }

    /// Lends while this replica leads, until `ending`: then it writes once more that nothing is lent any more.
    pub(super) async fn run(mut self, ending: CancellationToken) {
        while self.leads() {
            self.begin();
            self.tell();
            self.show();
            tokio::select! {
                word = self.words.recv() => match word {
                    Some(word) => self.hear_all(word),
                    // Its policy is gone.
                    None => return,
                },
                done = done(&mut self.work) => {
                    self.work = None;
                    self.take(done);
                }
                Ok(()) = self.terms.changed() => self.configure(),
                () = sleep(LOOK) => {}
                () = ending.cancelled() => return self.end().await,
            }
        }
    }

    /// Whether this replica leads, and has ever since it was asked last: in a gap another one may have lent.
    fn leads(&mut self) -> bool {
        let now = clock::now();
        let Leader::Me(until) = *self.leader.borrow() else { return false };
        if until <= now {
            return false;
        }
        if self.valid <= now {
            (self.lender, self.work) = (None, None);
        }
        self.valid = until;
        if let Some(lender) = &mut self.lender {
            lender.renewed(clock::tick(until));
        }
        true
    }

    /// Begins what is to be done with the object: reads it, or writes what is due.
    fn begin(&mut self) {
        let now = clock::now();
        if self.work.is_some() || now < self.again {
            return;
        }
        let object = self.object.clone();
        let Some(lender) = self.lender.as_mut().filter(|_| self.above.is_none()) else {
            self.work = Some(Box::pin(async move { Done::Read(object.read().await) }));
            return;
        };
        if let Some(write) = lender.tick(clock::tick(now)) {
            let version = self.version.clone();
            self.work =
                Some(Box::pin(async move { Done::Wrote(write.id, object.write(version, &write.object).await) }));
        }
    }

    fn take(&mut self, done: Done) {
        let now = clock::tick(clock::now());
        match done {
            Done::Read(Ok(found)) => self.found(found, now),
            Done::Read(Err(error)) => self.failed(&error),
            Done::Wrote(id, Ok(version)) => {
                self.version = version;
                if let Some(lender) = &mut self.lender {
                    let was_open = lender.is_open();
                    lender.written(id, now);
                    if !was_open && lender.is_open() {
                        tracing::info!(policy = %self.policy, term = lender.term(), "lends what pods share of caps");
                        self.look = Duration::ZERO;
                        // What was told of pods while it was not open yet.
                        self.ended.all().for_each(|pod| lender.pod_ended(pod, now));
                    }
                }
            }
            Done::Wrote(id, Err(unwritten)) => {
                if let Some(lender) = &mut self.lender {
                    lender.unanswered(id);
                }
                if let Unwritten::Failed(error) = unwritten {
                    self.failed(&error);
                }
                // What stands there now is read before more is written.
                let object = self.object.clone();
                let pause = self.again.saturating_sub(clock::now());
                self.work = Some(Box::pin(async move {
                    sleep(pause).await;
                    Done::Read(object.read().await)
                }));
            }
        }
    }

    fn failed(&mut self, error: &Failed) {
        tracing::warn!(policy = %self.policy, %error, "the ledger cannot be kept; what needs it is not lent meanwhile");
        self.again = clock::now() + AGAIN;
    }

    /// The object was read: it is taken over, or written on.
    fn found(&mut self, found: Found, now: Tick) {
        let term = found.object.as_ref().map_or(0, |o| o.term);
        let known = self.terms.borrow().term;
        let is_lost = known > term || found.version.is_some() && found.object.is_none();
        let above = self.above.take().filter(|above| *above > term);
        self.version = found.version;
        let (base, is_lost) = match &self.lender {
            Some(lender) if is_lost || above.is_some() => (lender.term().max(term), true),
            // Another one has lent since; or the first write is still to come, and what it replaces is what was read last.
            Some(lender) if term > lender.term() || !lender.is_open() => (term, false),
            Some(_) => return,
            None => (term, is_lost || above.is_some()),
        };
        let term = base.max(known).max(term).max(above.unwrap_or(0)) + 1;
        if is_lost {
            tracing::error!(policy = %self.policy, term,
                "the ledger of this policy is lost: coins may be anywhere, and only what sidecars claim is lent until all others have been waited out");
        }
        let mut lender = Lender::take_over(term, found.object, is_lost, now);
        lender.renewed(clock::tick(self.valid));
        self.lender = Some(lender);
        self.configure();
    }

    fn configure(&mut self) {
        let terms = self.terms.borrow_and_update().clone();
        if let Some(lender) = &mut self.lender {
            lender.configure(terms.caps.all.clone(), terms.caps.bill_horizon);
        }
    }

    /// Takes what has come, so much of it that it still leads when it answers.
    fn hear_all(&mut self, first: Word) {
        self.hear(first);
        for _ in 1..MOST_WORDS {
            let Ok(word) = self.words.try_recv() else { return };
            self.hear(word);
        }
    }

    fn hear(&mut self, word: Word) {
        let now = clock::tick(clock::now());
        if let Word::Ended(pod) = &word {
            self.ended.note(pod.clone());
        }
        let Some(lender) = &mut self.lender else { return };
        match word {
            Word::Ended(pod) => lender.pod_ended(&pod, now),
            Word::Report(pod, report) if report.term >= MOST_TERMS && report.term > lender.term() => {
                tracing::warn!(policy = %self.policy, %pod, term = report.term, "a sidecar names a term that none had");
            }
            Word::Report(pod, report) => match lender.hear(&pod, &report, now) {
                Heard::Nothing => {}
                Heard::Answer(answer) => self.send(&pod, answer),
                // Last words may be of a pod that another policy selects by now.
                Heard::HigherTerm(_) if report.phase == Phase::Last => {}
                Heard::HigherTerm(term) => self.above = self.above.max(Some(term)),
            },
        }
    }

    /// Sends what is due.
    fn tell(&mut self) {
        let now = clock::tick(clock::now());
        let Some(lender) = &mut self.lender else { return };
        for (pod, answer) in lender.answers(now) {
            self.send(&pod, answer);
        }
    }

    /// Shows how caps stand, now and then.
    fn show(&mut self) {
        let now = clock::now();
        if let Some(lender) = self.lender.as_ref().filter(|l| l.is_open() && now >= self.look) {
            self.look = now + SHOW;
            let shown =
                Shown { term: lender.term(), is_lost: lender.is_lost(), stands: lender.stands(clock::tick(now)) };
            self.lending.show(&self.policy, shown);
        }
    }

    fn send(&self, pod: &Uid, answer: Answer) {
        let said = coins::lending(&self.policy.namespace, &self.policy.name, answer);
        self.lending.seats.say(pod, Say::Lending(said));
    }

    /// Writes that nothing is lent any more.
    async fn end(mut self) {
        if let Some(work) = self.work.take() {
            let done = work.await;
            self.take(done);
        }
        let write = self.lender.as_mut().and_then(|lender| lender.last_write(clock::tick(clock::now())));
        self.lender = None;
        let Some(write) = write else { return };
        if let Err(unwritten) = self.object.write(self.version.take(), &write.object).await {
            tracing::warn!(policy = %self.policy, ?unwritten, "the last state of the ledger could not be written");
        }
    }
}

/// The end of the work under way; never where there is none.
async fn done(work: &mut Option<Work>) -> Done {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use control::v1::FromOperator;
    use policy::{
        ledger::{
            Cap, Key, Unit,
            lend::{Written, WrittenFund},
            message::{Incarnation, KeyReport, Part},
        },
        snapshot::Scope,
    };
    use prost::Message;
    use serde_json::{Value, json};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::{
        lend::{Place, kept},
        scripted::Api as Scripted,
        world::Caps,
    };

    const LIMIT: u64 = 1_000_000;

    struct Scene {
        api: Scripted,
        leader: watch::Sender<Leader>,
        _terms: watch::Sender<Terms>,
        words: mpsc::Sender<Word>,
        heard: mpsc::Receiver<Bytes>,
        _seat: crate::lend::Seat,
        lending: Arc<Lending>,
        ending: CancellationToken,
        running: JoinHandle<()>,
    }

    fn key() -> PolicyKey {
        PolicyKey { namespace: "shop".into(), name: "p".into() }
    }

    fn cap() -> Cap {
        Cap {
            unit: Unit::Money,
            name: "minute".into(),
            scope: Scope::Policy,
            window: Duration::from_secs(60),
            limit: LIMIT,
            guaranteed: LIMIT / 20,
            warn_at: None,
            degrade_at: None,
        }
    }

    /// A desk of a policy whose status knows of `term`.
    fn start(term: u64) -> Scene {
        let (client, api) = Scripted::new();
        let (leader, led) = watch::channel(Leader::Me(Duration::MAX));
        let caps = Caps { all: vec![cap()], bill_horizon: Duration::from_secs(120) };
        let (terms, told) = watch::channel(Terms { caps: Arc::new(caps), term });
        let (words, spoken) = mpsc::channel(64);
        let lending = Arc::new(Lending::default());
        lending.desks.lock().insert(key(), Place { words: words.clone(), shown: None });
        let (outgoing, heard) = mpsc::channel(64);
        let seat = lending.seats.take(&"pod".into(), outgoing);
        let object = Object::of(&key(), client, "llmroute-system", None);
        let desk = Desk::new(key(), object, lending.clone(), led, told, spoken);
        let ending = CancellationToken::new();
        let running = tokio::spawn(desk.run(ending.clone()));
        Scene { api, leader, _terms: terms, words, heard, _seat: seat, lending, ending, running }
    }

    fn stored(text: &str, version: u64) -> Value {
        json!({"metadata": {"name": "llmroute-ledger.shop.p", "resourceVersion": version.to_string(),
            "labels": {"app.kubernetes.io/managed-by": "llmroute-operator"}}, "data": {"ledger.json": text}})
    }

    fn text_of(body: &Value) -> String {
        body["data"]["ledger.json"].as_str().unwrap_or_default().to_owned()
    }

    impl Scene {
        /// The next write of the object is stored.
        async fn writes(&mut self, version: u64) -> (String, Written) {
            let (called, body) = self.api.stores(version).await;
            (called, kept::read(&text_of(&body)).unwrap())
        }

        async fn answer(&mut self) -> Answer {
            let framed = self.heard.recv().await.unwrap();
            let said = FromOperator::decode(&framed[5..]).unwrap().message;
            let Some(Say::Lending(said)) = said else { panic!("{said:?}") };
            assert_eq!((&*said.namespace, &*said.name), ("shop", "p"));
            coins::answer(said).unwrap()
        }

        async fn reports(&self, term: u64, number: u64, pend: u64) {
            let key = Key { unit: Unit::Money, name: "minute".into(), scope: Scope::Policy, value: None };
            let row = KeyReport { key, granted: 0, ceded: 0, cedes: vec![], in_use: 0, pend, rate: 0, unit: pend };
            let full = Some(Part { number: 0, is_last: true });
            let incarnation = Incarnation(7);
            let report = Report { incarnation, term, number, full, keys: vec![row], ..Report::default() };
            self.words.send(Word::Report("pod".into(), report)).await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_sidecar_is_lent_to_once_it_is_written_down() {
        let mut scene = start(0);
        let (read, _) = scene.api.refuses(404).await;
        assert_eq!(read, "GET /api/v1/namespaces/llmroute-system/configmaps/llmroute-ledger.shop.p");
        let (called, written) = scene.writes(1).await;
        assert!(called.starts_with("POST "), "{called}");
        assert_eq!((written.term, written.lost, written.roll.len()), (1, None, 0));
        // What the policy says is written before it is used.
        let (called, written) = scene.writes(2).await;
        assert!(called.starts_with("PUT "), "{called}");
        let WrittenFund { shares_hi, float_hi, .. } = written.funds[0];
        assert_eq!(shares_hi + float_hi, LIMIT);

        scene.reports(0, 1, 10).await;
        assert_eq!(scene.answer().await, Answer::Welcome { term: 1 });
        scene.reports(1, 2, 10).await;
        let (_, written) = scene.writes(3).await;
        assert_eq!(written.roll, [("pod".into(), Incarnation(7))]);
        let lease = loop {
            match scene.answer().await {
                Answer::Lease(lease) if lease.keys.iter().any(|k| k.granted > 0) => break lease,
                Answer::Lease(_) => {}
                other => panic!("{other:?}"),
            }
        };
        assert!(lease.keys[0].granted >= 10 && lease.keys[0].granted <= LIMIT, "{lease:?}");
        assert_eq!((lease.term, lease.incarnation, lease.echo), (1, Incarnation(7), 2));
        assert_eq!(scene.lending.shown(&key()).map(|shown| (shown.term, shown.stands.len())), Some((1, 1)));

        scene.ending.cancel();
        let ended = async {
            loop {
                scene.api.stores(9).await;
            }
        };
        tokio::select! {
            biased;
            ended = &mut scene.running => ended.unwrap(),
            () = ended => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_overtaken_begins_above_the_newer_term() {
        let mut scene = start(0);
        scene.api.refuses(404).await;
        scene.api.refuses(409).await;
        let theirs = Written { term: 6, ..Written::default() };
        scene.api.answer(200, stored(&kept::write(&theirs), 4)).await;
        let (called, written) = scene.writes(5).await;
        assert!(called.starts_with("PUT "), "{called}");
        assert_eq!((written.term, written.lost), (7, None));
        scene.leader.send_replace(Leader::Unknown);
        let gone = async {
            loop {
                scene.api.stores(9).await;
            }
        };
        tokio::select! {
            biased;
            ended = &mut scene.running => ended.unwrap(),
            () = gone => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_that_should_be_there_is_lost() {
        for (found, known) in [(None, 5), (Some("{}"), 0), (Some("of a term before"), 5)] {
            let mut scene = start(known);
            let older = kept::write(&Written { term: 3, ..Written::default() });
            match found {
                None => scene.api.refuses(404).await,
                Some("{}") => scene.api.answer(200, stored("{}", 4)).await,
                Some(_) => scene.api.answer(200, stored(&older, 4)).await,
            };
            let (_, written) = scene.writes(5).await;
            assert_eq!((written.term, written.lost.is_some()), (known + 1, true), "{found:?}");
            scene.running.abort();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_sidecar_that_knows_a_higher_term_tells_of_a_lost_ledger() {
        let mut scene = start(0);
        scene.api.refuses(404).await;
        scene.writes(1).await;
        let (_, written) = scene.writes(2).await;
        scene.reports(u64::MAX, 1, 10).await;
        scene.reports(40, 1, 10).await;
        scene.api.answer(200, stored(&kept::write(&written), 2)).await;
        let (_, written) = scene.writes(3).await;
        assert_eq!((written.term, written.lost.is_some()), (41, true));
    }
}
