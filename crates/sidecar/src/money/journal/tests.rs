use policy::{
    ledger::{self, Amounts, Cap, Denied, Hold, How, Unit},
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

/// One life of a process on a state directory.
struct Life {
    state: Arc<State>,
    store: Store,
    ended: CancellationToken,
    running: JoinHandle<()>,
}

fn state() -> Arc<State> {
    let mut state = State::new(Upstream::from_env().unwrap(), Memory::new(1000), Telemetry::default());
    state.money = Money::new(true, false);
    let state = Arc::new(state);
    let cap = Cap {
        unit: Unit::Money,
        name: "hour".into(),
        scope: Scope::Tenant,
        window: Duration::from_secs(3600),
        limit: LIMIT,
        guaranteed: 0,
        warn_at: None,
        degrade_at: None,
    };
    state.money.ledger.lock().configure(vec![cap], Duration::from_secs(120), clock::now());
    state
}

impl Life {
    async fn begin(dir: &Dir) -> Life {
        let state = state();
        let store = store(dir);
        let keeper = Keeper::open(&state.money, store.clone()).await.unwrap();
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
    let ask = ledger::Ask { tenant: Some(&name), scene: &name, tier: &name, provider: &name, model, amounts };
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
