//! The budgets' side of a sidecar, as its program has it: a ledger that borrows, and requests that hold, settle and wait.

use std::{sync::Arc, time::Duration};

use control::{coins, v1::from_sidecar::Message as Say};
use parking_lot::Mutex;
use policy::{
    ledger::{
        self, Amounts, Ask, Hold, How, Ledger,
        message::{Answer, Incarnation},
    },
    money::Usd,
    snapshot::Snapshot,
};
use sidecar::clock;

/// A request's hold; it costs nine tenths of that, after a second.
const HOLD: u64 = 50_000_000;
const COST: u64 = 45_000_000;
const TAKES: Duration = Duration::from_secs(1);
/// Of whom requests are.
const TENANTS: usize = 50;
/// As policies have it by default.
const LEASE_WAIT: Duration = Duration::from_millis(100);
/// Kept of waits.
const MOST: usize = 100_000;

/// One sidecar's money.
pub struct Borrower {
    ledger: Mutex<Ledger>,
    tenants: Vec<Arc<str>>,
    /// Scene, tier, provider.
    names: [Arc<str>; 3],
}

/// What requests of all met.
#[derive(Default)]
pub struct Seen {
    /// Held at once, held after an answer, refused.
    pub counts: [u64; 3],
    /// How long those waited that were answered, in milliseconds.
    pub waits: Vec<f64>,
}

impl Borrower {
    /// One that no lender has heard.
    pub fn new() -> Borrower {
        let mut ledger = Ledger::new(Default::default(), false);
        ledger.borrow(fresh());
        let tenants = (0..TENANTS).map(|n| format!("tenant-{n}").into()).collect();
        Borrower { ledger: Mutex::new(ledger), tenants, names: ["scene", "tier", "openai"].map(Arc::from) }
    }

    /// A policy comes into force.
    pub fn configure(&self, policy: &Snapshot) {
        self.ledger.lock().configure(ledger::caps(policy), ledger::bill_horizon(policy), clock::now());
    }

    /// The stream is a new one.
    pub fn reconnected(&self) {
        self.ledger.lock().reconnected();
    }

    /// What is to be said now, if anything is.
    pub fn reports(&self) -> Vec<Say> {
        let mut ledger = self.ledger.lock();
        let now = clock::now();
        if !ledger.has_caps() || ledger.next_report().is_none_or(|due| due > now) {
            return vec![];
        }
        let reports = ledger.report(fresh(), now);
        reports.into_iter().map(|report| Say::Borrowing(coins::borrowing("shop", "shop", report))).collect()
    }

    /// The lender answered.
    pub fn hear(&self, answer: &Answer) {
        self.ledger.lock().take_answer(answer, fresh(), clock::now());
    }

    /// One request, to its end.
    pub async fn request(&self, seen: &Mutex<Seen>) {
        let tenant = fastrand::choice(&self.tenants);
        let (held, how) = match self.hold(tenant) {
            Some(hold) => (Some(hold), 0),
            None => (self.wait(tenant, seen).await, 1),
        };
        let Some(hold) = held else {
            seen.lock().counts[2] += 1;
            return;
        };
        seen.lock().counts[how] += 1;
        tokio::time::sleep(TAKES).await;
        self.ledger.lock().settle(hold, How::Ended(Amounts::request(Usd(COST), 0)), clock::now());
    }

    fn ask<'a>(&'a self, tenant: Option<&'a Arc<str>>, ledger: &Ledger) -> Ask<'a> {
        let [scene, tier, provider] = &self.names;
        let model = ledger.model("openai", "model");
        Ask { tenant, scene, tier, provider, model, amounts: Amounts::request(Usd(HOLD), 0), later: false }
    }

    fn hold(&self, tenant: Option<&Arc<str>>) -> Option<Hold> {
        let mut ledger = self.ledger.lock();
        let ask = self.ask(tenant, &ledger);
        ledger.hold(&ask, clock::now()).ok()
    }

    /// Waits for the answer that may bring what lacks, and holds it.
    async fn wait(&self, tenant: Option<&Arc<str>>, seen: &Mutex<Seen>) -> Option<Hold> {
        let wait = {
            let mut ledger = self.ledger.lock();
            let ask = self.ask(tenant, &ledger);
            ledger.wait(&ask, clock::now())?
        };
        let began = clock::now();
        let is_answered = loop {
            let is_answered = self.ledger.lock().is_answered(&wait);
            if is_answered || clock::now().since(began) > LEASE_WAIT {
                break is_answered;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        let waited = clock::now().since(began);
        // What came is held before the wait ends: what nobody waits for goes back.
        let held = self.hold(tenant);
        self.ledger.lock().leave(wait);
        let mut seen = seen.lock();
        if is_answered && seen.waits.len() < MOST {
            seen.waits.push(waited.as_secs_f64() * 1000.0);
        }
        held
    }
}

fn fresh() -> Incarnation {
    Incarnation(fastrand::u64(..))
}
