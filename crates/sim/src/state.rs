//! Everything that a running simulator knows, shared by its connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::bill::Bill;
use crate::clock::{self, Moment};
use crate::config::Config;
use crate::log::Log;
use crate::memory::Memory;
use crate::script::{Rule, Script};
use crate::vendor::Vendor;

/// How a vendor that is dark behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dark {
    /// It takes connections and requests and never answers.
    Silent,
    /// It resets every connection at its first request.
    Refuses,
}

pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) memory: Memory,
    pub(crate) script: Mutex<Script>,
    pub(crate) log: Mutex<Log>,
    pub(crate) bill: Mutex<Bill>,
    /// Requests that came on a connection that died of it.
    pub(crate) unread: Arc<AtomicU64>,
    dark: Mutex<[Option<Dark>; 2]>,
    seeds: AtomicU64,
    started: Instant,
    /// How often everything was forgotten.
    resets: AtomicU64,
}

impl State {
    pub(crate) fn new(config: Config) -> State {
        State {
            memory: Memory::new(config.seed),
            script: Mutex::new(Script::new(config.rules.clone(), config.seed)),
            log: Mutex::new(Log::new(config.log_entries)),
            bill: Mutex::default(),
            unread: Arc::default(),
            dark: Mutex::default(),
            seeds: AtomicU64::new(config.seed << 32),
            started: Instant::now(),
            resets: AtomicU64::new(0),
            config,
        }
    }

    /// Now, by both clocks.
    pub(crate) fn now(&self) -> Moment {
        clock::since(self.started)
    }

    /// Tells one life from the next.
    pub(crate) fn resets(&self) -> u64 {
        self.resets.load(Ordering::Relaxed)
    }

    /// A new seed for each request.
    pub(crate) fn seed(&self) -> u64 {
        self.seeds.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn set_script(&self, rules: Vec<Rule>, seed: Option<u64>) {
        *self.script.lock() = Script::new(rules, seed.unwrap_or(self.config.seed));
    }

    /// Sets one vendor or both.
    pub(crate) fn set_dark(&self, vendor: Option<Vendor>, dark: Option<Dark>) {
        let mut all = self.dark.lock();
        for which in [Vendor::OpenAi, Vendor::Anthropic] {
            if vendor.is_none_or(|vendor| vendor == which) {
                all[which as usize] = dark;
            }
        }
    }

    pub(crate) fn dark(&self, vendor: Vendor) -> Option<Dark> {
        self.dark.lock()[vendor as usize]
    }

    /// Back to the state after the start.
    pub(crate) fn reset(&self) {
        self.resets.fetch_add(1, Ordering::Relaxed);
        self.unread.store(0, Ordering::Relaxed);
        self.set_dark(None, None);
        self.set_script(self.config.rules.clone(), None);
        self.log.lock().forget();
        *self.bill.lock() = Bill::default();
        self.memory.forget();
    }
}
