//! One key's coins: spent, held, and how much the journal lets it hold.

use std::sync::Arc;

use super::{
    borrow::float::Float,
    cap::Book,
    ring::Ring,
    rules::{Rule, on},
};
use crate::{Tick, minute::Minute};

/// The account of one key.
///
/// Memory: 230 bytes with its place in the table of its cap and its name, 16 for each bucket with a charge, of which a
/// scoped key has at most 44, and 200 while it was charged in the last minute. So a quiet tenant costs 300 bytes a
/// budget, a busy one 1.1 kB, and 100,000 tenants 30 to 110 MB a budget.
#[derive(Debug)]
pub(super) struct Account {
    /// Index of its book.
    pub(super) cap: u16,
    /// The slot is in use.
    pub(super) live: bool,
    /// It changed since its row was composed.
    pub(super) dirty: bool,
    /// Its row is being written.
    pub(super) flying: bool,
    /// The journal may have a row of it.
    pub(super) listed: bool,
    /// A hold was asked for in this process.
    pub(super) asked: bool,
    /// Open holds.
    pub(super) open: u32,
    /// In open holds, but for borrowed coins.
    pub(super) held: u64,
    /// What may still be held under every row that may be the one on disk.
    pub(super) room: u64,
    /// The same under the newest row, once that is durable.
    pub(super) next_room: u64,
    /// The largest hold that lacked room since the last row.
    pub(super) wanted: u64,
    pub(super) ring: Ring,
    /// Scope value; `None` is the shared key.
    pub(super) value: Option<Arc<str>>,
    /// What was spent of it unseen is not known before: nothing is to be spent of the share until then.
    pub(super) share_from: Tick,
    /// Borrowed coins.
    pub(super) float: Option<Box<Float>>,
    /// What was charged in the last minute.
    pub(super) minute: Option<Box<Minute<u64>>>,
}

impl Account {
    pub(super) fn new(cap: u16, value: Option<Arc<str>>, room: u64) -> Account {
        Account {
            cap,
            live: true,
            dirty: false,
            flying: false,
            listed: false,
            asked: false,
            open: 0,
            held: 0,
            room,
            next_room: room,
            wanted: 0,
            ring: Ring::default(),
            value,
            share_from: Tick(0),
            float: None,
            minute: None,
        }
    }

    /// Coins that are not free, but for borrowed ones.
    pub(super) fn taken(&self, book: &Book, now: Tick) -> u64 {
        let held = if on(Rule::HeldCounts) { self.held } else { 0 };
        self.ring.spent(now, &book.grid).saturating_add(held)
    }

    /// Holds `amount`, of which so much is `borrowed`.
    pub(super) fn hold(&mut self, amount: u64, borrowed: u64) {
        self.asked = true;
        self.open += 1;
        let own = amount - borrowed;
        self.held = self.held.saturating_add(own);
        self.room = self.room.saturating_sub(own);
        if on(Rule::RoomOfPending) {
            self.next_room = self.next_room.saturating_sub(own);
        }
        if let Some(float) = &mut self.float {
            float.hold(amount, borrowed);
        }
    }

    /// Settles a hold of `held`; borrowed coins, which may be over with their lease, are charged first.
    pub(super) fn settle(&mut self, held: u64, borrowed: Borrowed, charge: u64, stamp: Tick, now: Tick, book: &Book) {
        let own = held - borrowed.amount;
        if on(Rule::Release) {
            self.open = self.open.saturating_sub(1);
            self.held = self.held.saturating_sub(own);
        }
        let on_float = charge.min(borrowed.amount);
        if let Some(float) = self.float.as_mut().filter(|_| !borrowed.is_over && borrowed.amount > 0) {
            float.settle(borrowed.amount, on_float, stamp, now, &book.grid);
        }
        self.ring.charge(charge - on_float, stamp, now, &book.grid);
        if charge > 0 {
            let spent = self.minute.get_or_insert_default().at(now);
            *spent = spent.saturating_add(charge);
        }
    }

    /// What was charged in the last minute.
    pub(super) fn last_minute(&self, now: Tick) -> u64 {
        self.minute.iter().flat_map(|m| m.live(now)).fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// Coins of this key that are spent and have not cooled, borrowed ones too.
    pub(super) fn spent(&self, book: &Book, now: Tick) -> u64 {
        let borrowed = self.float.as_ref().map_or(0, |f| f.ring().spent(now, &book.grid));
        self.ring.spent(now, &book.grid).saturating_add(borrowed)
    }

    /// Coins in open holds, borrowed ones too.
    pub(super) fn in_holds(&self) -> u64 {
        self.held.saturating_add(self.float.as_ref().map_or(0, |f| f.held()))
    }

    /// Spent or held: by anybody as far as a lender told, or here.
    pub(super) fn known(&self, book: &Book, now: Tick) -> u64 {
        let told = self.float.as_ref().map_or(0, |f| f.used(now));
        let held = if on(Rule::PressureOfHeld) { self.in_holds() } else { 0 };
        self.spent(book, now).saturating_add(held).max(told)
    }

    /// No less than [`Account::known`], without looking at the charges.
    pub(super) fn at_most(&self) -> u64 {
        let (ring, told) = self.float.as_ref().map_or((0, 0), |f| (f.ring().at_most(), f.used_at_most()));
        self.ring.at_most().saturating_add(ring).saturating_add(self.in_holds()).max(told)
    }

    /// When its oldest charge is free.
    pub(super) fn next_free(&self, book: &Book, now: Tick) -> Option<Tick> {
        let borrowed = self.float.as_ref().and_then(|f| f.ring().next_free(now, &book.grid));
        [self.ring.next_free(now, &book.grid), borrowed].into_iter().flatten().min()
    }

    /// No hold is open, every coin is free, and none is borrowed.
    pub(super) fn is_idle(&self, book: &Book, now: Tick) -> bool {
        let is_own = self.float.as_ref().is_none_or(|f| f.is_empty(now, &book.grid));
        self.open == 0 && self.ring.spent(now, &book.grid) == 0 && is_own
    }
}

/// The borrowed part of a hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Borrowed {
    pub(super) amount: u64,
    /// Its incarnation is over: the lender counts it.
    pub(super) is_over: bool,
}
