use bytes::Bytes;
use control::v1::FromOperator;
use policy::{
    ledger::{
        Cap, Key, Unit,
        lend::{Written, WrittenFund},
        message::{KeyReport, Part},
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
    terms: watch::Sender<Terms>,
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
    lending.desks.lock().insert(key(), Place { words: words.clone(), shown: None, unkept: None });
    let (outgoing, heard) = mpsc::channel(64);
    let seat = lending.seats.take(&"pod".into(), outgoing);
    let object = Object::of(&key(), client, "llmroute-system", None);
    let desk = Desk::new(key(), object, lending.clone(), led, told, spoken);
    let ending = CancellationToken::new();
    let running = tokio::spawn(desk.run(ending.clone()));
    Scene { api, leader, terms, words, heard, _seat: seat, lending, ending, running }
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
        (called, kept::read(&text_of(&body)).unwrap().0)
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
    // Nor is anything lent before the status tells of a ledger.
    sleep(SHOW * 2).await;
    assert!(scene.heard.try_recv().is_err());
    assert_eq!(scene.lending.shown(&key()).map(|shown| shown.term), Some(1), "the status learns it from here");
    scene.terms.send_modify(|terms| terms.term = 1);
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
    scene.api.answer(200, stored(&kept::write(&theirs, 0), 4)).await;
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
        let older = kept::write(&Written { term: 3, ..Written::default() }, 0);
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
    scene.api.answer(200, stored(&kept::write(&written, 0), 2)).await;
    let (_, written) = scene.writes(3).await;
    assert_eq!((written.term, written.lost.is_some()), (41, true));
}

#[tokio::test(start_paused = true)]
async fn that_the_ledger_cannot_be_kept_is_told() {
    let mut scene = start(0);
    scene.api.refuses(404).await;
    scene.api.refuses(403).await;
    // It is read before it is written again.
    scene.api.refuses(404).await;
    let why = scene.lending.unkept(&key()).expect("told at once");
    assert!(why.starts_with("cannot create the ledger: "), "{why}");
    scene.writes(1).await;
    scene.writes(2).await;
    assert_eq!(scene.lending.unkept(&key()), None);
    // What comes and goes is told once it lasts.
    let passing = Failed::Late("write the ledger");
    assert!(!is_worth_telling(&passing, Duration::ZERO) && is_worth_telling(&passing, BEARABLE));
}
