//! The budgets' side of a sidecar, as its program has it: a ledger that borrows, and requests that hold, settle and wait.

use std::{sync::Arc, time::Duration};

use control::{coins, v1::from_sidecar::Message as Say};
use parking_lot::Mutex;
use policy::{
    ledger::{
        self, Amounts, Ask, Denied, How, Ledger, Wait,
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
/// As policies have it by default.
const LEASE_WAIT: Duration = Duration::from_millis(100);
/// Kept of waits.
const MOST: usize = 100_000;

/// One sidecar's money.
pub struct Borrower {
    ledger: Mutex<Ledger>,
    names: [Arc<str>; 4],
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
    pub fn new(n: usize) -> Borrower {
        let mut ledger = Ledger::new(Default::default(), false);
        ledger.borrow(fresh());
        let names = [&*format!("tenant-{}", n % 50), "scene", "tier", "openai"].map(Arc::from);
        Borrower { ledger: Mutex::new(ledger), names }
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
        let held = match self.hold() {
            Ok(hold) => Ok((hold, 0)),
            Err(wait) => {
                self.wait(wait, seen).await.ok_or(()).and_then(|()| self.hold().map_err(|_| ())).map(|h| (h, 1))
            }
        };
        let Ok((hold, how)) = held else {
            seen.lock().counts[2] += 1;
            return;
        };
        seen.lock().counts[how] += 1;
        tokio::time::sleep(TAKES).await;
        self.ledger.lock().settle(hold, How::Ended(Amounts::request(Usd(COST), 0)), clock::now());
    }

    fn ask<'a>(&'a self, ledger: &Ledger) -> Ask<'a> {
        let [tenant, scene, tier, provider] = &self.names;
        let model = ledger.model("openai", "model");
        Ask { tenant: Some(tenant), scene, tier, provider, model, amounts: Amounts::request(Usd(HOLD), 0) }
    }

    fn hold(&self) -> Result<ledger::Hold, Option<Wait>> {
        let mut ledger = self.ledger.lock();
        let (ask, now) = (self.ask(&ledger), clock::now());
        ledger.hold(&ask, now).map_err(|denied| match denied {
            Denied::Short { .. } => ledger.wait(&ask, now),
            _ => None,
        })
    }

    /// Waits for the answer that may bring what lacks.
    async fn wait(&self, wait: Option<Wait>, seen: &Mutex<Seen>) -> Option<()> {
        let wait = wait?;
        let began = clock::now();
        let is_answered = loop {
            let is_answered = self.ledger.lock().is_answered(&wait);
            if is_answered || clock::now().since(began) > LEASE_WAIT {
                break is_answered;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        let waited = clock::now().since(began);
        self.ledger.lock().leave(wait);
        let mut seen = seen.lock();
        if is_answered && seen.waits.len() < MOST {
            seen.waits.push(waited.as_secs_f64() * 1000.0);
        }
        is_answered.then_some(())
    }
}

fn fresh() -> Incarnation {
    Incarnation(fastrand::u64(..))
}
