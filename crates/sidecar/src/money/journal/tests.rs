use policy::{
    ledger::{
        self, Amounts, Cap, Denied, Hold, How, Unit,
        lend::{Heard, Lender},
        message::{Answer, Phase},
    },
    money::Usd,
    snapshot::Scope,
};
use tokio::task::JoinHandle;

use super::*;
use crate::{
    memory::Memory,
    store::tests::{Dir, close},
    telemetry::Telemetry,
    upstream::Upstream,
};

const LIMIT: u64 = 1_000_000;
const PERCENT: u64 = LIMIT / 100;
const HORIZON: Duration = Duration::from_secs(120);

/// One life of a process on a state directory.
struct Life {
    state: Arc<State>,
    store: Store,
    ended: CancellationToken,
    running: JoinHandle<()>,
}

fn state() -> Arc<State> {
    with(Money::new(true, false))
}

fn with(money: Money) -> Arc<State> {
    let mut state = State::new(Upstream::from_env().unwrap(), Memory::new(1000), Telemetry::default());
    state.money = money;
    state.money.ledger.lock().configure(vec![cap()], HORIZON, clock::now());
    Arc::new(state)
}

/// All of it is guaranteed, where it is lent.
fn cap() -> Cap {
    Cap {
        unit: Unit::Money,
        name: "hour".into(),
        scope: Scope::Tenant,
        window: Duration::from_secs(3600),
        limit: LIMIT,
        guaranteed: LIMIT,
        warn_at: None,
        degrade_at: None,
    }
}

impl Life {
    async fn begin(dir: &Dir) -> Life {
        Life::of(state(), dir, None).await
    }

    /// In the pod of this UID, under a policy whose caps are lent.
    async fn lent(dir: &Dir, pod: &str, policy: &str) -> Life {
        let money = Money::new(true, true);
        money.borrowing.as_ref().unwrap().follows(&policy.into(), Vec::new);
        Life::of(with(money), dir, Some(pod.to_owned())).await
    }

    async fn of(state: Arc<State>, dir: &Dir, pod: Option<String>) -> Life {
        let store = store(dir);
        let keeper = Keeper::open(&state.money, store.clone(), pod).await.unwrap();
        let ended = CancellationToken::new();
        let running = tokio::spawn(keeper.run(state.clone(), ended.clone()));
        Life { state, store, ended, running }
    }

    fn money(&self) -> &Money {
        &self.state.money
    }

    /// Holds as a request does.
    async fn held(&self, amount: u64) -> Hold {
        loop {
            let write = self.money().next_write();
            match hold(self.money(), amount) {
                Err(Denied::Journal) => assert!(write.durable(clock::now().after(Duration::from_secs(20))).await),
                held => return held.unwrap(),
            }
        }
    }

    fn settle(&self, hold: Hold, cost: u64) {
        self.money().settle(hold, How::Ended(Amounts::request(Usd(cost), 0)), clock::now());
    }

    /// Spent and held.
    fn taken(&self) -> (u64, u64) {
        let view = self.money().nearest(clock::now()).remove(0);
        (view.spent, view.held)
    }

    /// Reports go to the lender of `shop/p`, and its answers come back.
    fn talk(&self, lender: &mut Lender) {
        for _ in 0..4 {
            for (_, report) in self.money().reports() {
                if let Heard::Answer(answer) = lender.hear(&"pod".into(), &report, clock::now()) {
                    self.money().take_answer("shop/p", &answer);
                }
            }
            while let Some(write) = lender.tick(clock::now()) {
                lender.written(write.id, clock::now());
            }
            for (_, answer) in lender.answers(clock::now()) {
                self.money().take_answer("shop/p", &answer);
            }
        }
    }

    /// The pod's part of what is guaranteed, in percent.
    fn share(&self) -> u64 {
        self.money().lease().unwrap().share * 100 / ledger::terms::WHOLE
    }

    async fn end(self) {
        self.ended.cancel();
        self.running.await.unwrap();
    }

    async fn die(self) {
        self.running.abort();
        let _ = self.running.await;
    }
}

fn hold(money: &Money, amount: u64) -> Result<Hold, Denied> {
    let name: Arc<str> = "a".into();
    let mut ledger = money.ledger.lock();
    let model = ledger.model("p", "m");
    let amounts = Amounts::request(Usd(amount), 0);
    let ask =
        ledger::Ask { tenant: Some(&name), scene: &name, tier: &name, provider: &name, model, amounts, later: false };
    let held = ledger.hold(&ask, clock::now());
    let is_low = ledger.wants_checkpoint();
    drop(ledger);
    money.journal.as_ref().unwrap().held(matches!(held, Err(Denied::Journal)), is_low);
    held
}

/// The writer of a store that was dropped lets go of the file a moment later.
fn store(dir: &Dir) -> Store {
    loop {
        match Store::open(&dir.0, Duration::ZERO) {
            Ok((store, _)) => return store,
            Err(_) => std::thread::yield_now(),
        }
    }
}

#[test]
fn nothing_is_held_before_the_first_write() {
    let state = state();
    assert_eq!(hold(&state.money, 1).unwrap_err(), Denied::Journal);
}

#[tokio::test]
async fn an_end_in_peace_forgets_nothing_and_adds_nothing() {
    let dir = Dir::new();
    let life = Life::begin(&dir).await;
    let hold = life.held(40 * PERCENT).await;
    let status = life.money().journal().unwrap();
    assert_eq!((status.waits > 0, status.failing), (true, None), "more than a new key may hold at once");
    life.settle(hold, 33 * PERCENT + 1);
    let spent = life.taken();
    assert_eq!(spent, (33 * PERCENT + 1, 0));
    life.end().await;
    let life = Life::begin(&dir).await;
    assert_eq!(life.taken(), spent);
    life.end().await;
    let life = Life::begin(&dir).await;
    assert_eq!(life.taken(), spent, "an idle life changes nothing");
}

#[tokio::test]
async fn a_death_counts_what_may_have_been_sent() {
    let dir = Dir::new();
    let life = Life::begin(&dir).await;
    let first = life.held(20 * PERCENT).await;
    life.settle(first, 15 * PERCENT);
    let _open = life.held(30 * PERCENT).await;
    let room = 60 * PERCENT;
    life.die().await;
    let life = Life::begin(&dir).await;
    let (spent, held) = life.taken();
    assert!(held == 0 && spent >= 45 * PERCENT && spent <= 45 * PERCENT + room, "{spent}");
    // What is left can be spent, and no more.
    let left = LIMIT - spent;
    let rest = life.held(left).await;
    assert!(matches!(self::hold(life.money(), 1), Err(Denied::Short { .. })));
    life.settle(rest, left);
    life.end().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_spent_until_it_is_over() {
    let dir = Dir::new();
    let life = Life::begin(&dir).await;
    let held = life.held(PERCENT).await;
    life.settle(held, PERCENT);
    let store = life.store.clone();
    life.end().await;
    store.write(Batch::default().put(ROWS, "no key", "no row")).await.unwrap();
    drop(store);
    // The loss is still known after the bad row is gone.
    for _ in 0..2 {
        let life = Life::begin(&dir).await;
        assert_eq!(life.store.all(ROWS).await.unwrap().iter().filter(|(key, _)| key == "no key").count(), 0);
        assert!(matches!(hold(life.money(), 1), Err(Denied::Short { .. })));
        life.die().await;
    }
}

#[tokio::test]
async fn a_disk_that_takes_nothing_is_told_and_tried_again() {
    let dir = Dir::new();
    let life = Life::begin(&dir).await;
    let away = dir.0.with_extension("away");
    std::fs::rename(&dir.0, &away).unwrap();
    close(&life.store);
    let soon = || clock::now().after(Duration::from_secs(20));
    let write = life.money().next_write();
    assert_eq!(hold(life.money(), 90 * PERCENT).unwrap_err(), Denied::Journal);
    assert!(!write.durable(soon()).await);
    let status = life.money().journal().unwrap();
    assert!(status.failures > 0 && status.failing.is_some(), "{status:?}");
    assert!(!life.money().next_write().durable(soon()).await, "nobody waits for a disk that takes nothing");
    std::fs::rename(&away, &dir.0).unwrap();
    while life.money().journal().unwrap().failing.is_some() {
        tokio::time::timeout(Duration::from_secs(20), life.money().next_write().ended()).await.unwrap();
    }
    let held = life.held(90 * PERCENT).await;
    life.settle(held, 0);
    life.end().await;
}

#[tokio::test]
async fn the_first_in_line_waits_for_a_write_too() {
    let dir = Dir::new();
    let life = Life::begin(&dir).await;
    let until = clock::now().after(Duration::from_secs(20));
    let key = life.money().nearest(clock::now()).remove(0).key;
    let turn = life.money().turn(&key, until).await.unwrap();
    let held = turn.wait(until, || hold(life.money(), 50 * PERCENT)).await.unwrap();
    assert!(life.money().journal().unwrap().waits > 0);
    drop(turn);
    life.settle(held, 0);
    life.end().await;
}

fn lender() -> Lender {
    let now = clock::now();
    let mut lender = Lender::take_over(1, None, false, now);
    lender.renewed(now.after(Duration::from_secs(3_600)));
    lender.configure(vec![cap()], HORIZON);
    lender
}

#[tokio::test]
async fn a_share_outlives_its_process_in_the_same_pod_under_the_same_policy() {
    let dir = Dir::new();
    let mut lender = lender();
    let life = Life::lent(&dir, "u-1", "shop/p").await;
    assert!(matches!(hold(life.money(), 1), Err(Denied::Short { .. })), "nobody has lent or granted anything");
    life.talk(&mut lender);
    let number = |life: &Life| life.money().reports()[0].1.share.number;
    assert_eq!((life.share(), number(&life)), (80, 0), "it is not on the disk yet");
    let held = life.held(30 * PERCENT).await;
    assert!(number(&life) > 0);
    life.settle(held, 20 * PERCENT);
    let _open = life.held(10 * PERCENT).await;
    life.die().await;

    // No operator answers.
    let life = Life::lent(&dir, "u-1", "shop/p").await;
    assert_eq!(life.share(), 80);
    let (spent, _) = life.taken();
    assert!((30 * PERCENT..70 * PERCENT).contains(&spent), "{spent}");
    let rest = life.held(80 * PERCENT - spent).await;
    assert!(matches!(hold(life.money(), 1), Err(Denied::Short { .. })), "the share and no more");
    life.settle(rest, 0);
    life.die().await;

    let life = Life::lent(&dir, "u-1", "shop/p").await;
    assert_eq!(life.share(), 80, "a second time");
    life.die().await;
    for (pod, policy) in [("u-2", "shop/p"), ("u-1", "shop/q")] {
        let other = Dir::new();
        std::fs::create_dir_all(&other.0).unwrap();
        for file in std::fs::read_dir(&dir.0).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), other.0.join(file.file_name())).unwrap();
        }
        let life = Life::lent(&other, pod, policy).await;
        assert_eq!(life.share(), 0, "{pod} {policy}");
        life.die().await;
    }
}

/// A process that was granted a share and drew on it.
async fn drawn(dir: &Dir) -> (Life, Lender) {
    let mut lender = lender();
    let life = Life::lent(dir, "u-1", "shop/p").await;
    life.talk(&mut lender);
    let held = life.held(PERCENT).await;
    life.settle(held, PERCENT);
    (life, lender)
}

#[tokio::test]
async fn a_share_is_given_back_once_the_disk_has_none() {
    let dir = Dir::new();
    let (life, _) = drawn(&dir).await;
    let state = life.state.clone();
    life.die().await;
    assert_eq!(state.money.last_words(), [], "the disk still has it");

    for _ in 0..2 {
        let life = Life::lent(&dir, "u-1", "shop/p").await;
        assert_eq!(life.share(), 80, "nobody heard of an end in peace");
        let state = life.state.clone();
        life.end().await;
        assert_eq!(state.money.last_words(), []);
    }
    let life = Life::lent(&dir, "u-1", "shop/p").await;
    // Another policy: the words for the lender before wait for the disk.
    let words = |money: &Money| {
        let all = money.reports();
        all.iter().filter(|(to, report)| **to == *"shop/p" && report.phase == Phase::Last).count()
    };
    {
        let money = life.money();
        let mut ledger = money.ledger.lock();
        let leave = || ledger.move_on(super::super::borrow::incarnation(), clock::now());
        money.borrowing.as_ref().unwrap().follows(&"shop/q".into(), leave);
    }
    assert_eq!(words(life.money()), 0, "the disk still has it");
    let (state, ended) = (life.state.clone(), life.ended.clone());
    life.end().await;
    assert!(ended.is_cancelled());
    assert_eq!(words(&state.money), 1);
    assert!(state.money.last_words().iter().all(|(to, _)| **to == *"shop/q"));

    let life = Life::lent(&dir, "u-1", "shop/p").await;
    assert_eq!(life.share(), 0, "it was given back");
    life.end().await;
}

#[tokio::test]
async fn an_end_in_peace_gives_the_share_back_to_a_lender_that_hears_it() {
    let dir = Dir::new();
    let (life, mut lender) = drawn(&dir).await;
    let state = life.state.clone();
    life.end().await;
    let words = state.money.last_words();
    assert_eq!(words.iter().map(|(_, report)| report.phase).collect::<Vec<_>>(), [Phase::Last]);
    for (_, report) in words {
        lender.hear(&"pod".into(), &report, clock::now());
    }
    let life = Life::lent(&dir, "u-1", "shop/p").await;
    assert_eq!(life.share(), 0);
    life.talk(&mut lender);
    assert_eq!(life.share(), 80, "the pod has it anew, and what was drawn counts");
    let (spent, _) = life.taken();
    assert_eq!(spent, PERCENT);
    let rest = life.held(79 * PERCENT).await;
    assert!(matches!(hold(life.money(), 1), Err(Denied::Short { .. })));
    life.settle(rest, 0);
    life.end().await;
}

#[tokio::test]
async fn no_lender_is_talked_to_before_the_disk_was_read() {
    let state = with(Money::new(true, true));
    let money = &state.money;
    money.borrowing.as_ref().unwrap().follows(&"shop/p".into(), Vec::new);
    assert_eq!(money.reports(), []);
    money.take_answer("shop/p", &Answer::Welcome { term: 7 });
    assert_eq!(money.lease().unwrap().term, 0);
    assert_eq!(money.last_words(), [], "the disk may have a share");
}
