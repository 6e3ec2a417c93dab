//! One key's coins: spent, held, and how much the journal lets it hold.

use std::sync::Arc;

use super::{
    cap::Book,
    ring::Ring,
    rules::{Rule, on},
};
use crate::{Tick, minute::Minute};

/// The account of one key.
///
/// Memory: 200 bytes with its place in the table of its cap and its name, 16 for each bucket with a charge, of which a
/// scoped key has at most 44, and 200 while it was charged in the last minute. So a quiet tenant costs some 270 bytes a
/// budget, a busy one 1.1 KiB, and 100,000 tenants 27 to 110 MB a budget.
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
    /// In open holds.
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
            minute: None,
        }
    }

    /// Coins that are not free.
    pub(super) fn taken(&self, book: &Book, now: Tick) -> u64 {
        let held = if on(Rule::HeldCounts) { self.held } else { 0 };
        self.ring.spent(now, &book.grid).saturating_add(held)
    }

    pub(super) fn hold(&mut self, amount: u64) {
        self.asked = true;
        self.open += 1;
        self.held = self.held.saturating_add(amount);
        self.room = self.room.saturating_sub(amount);
        if on(Rule::RoomOfPending) {
            self.next_room = self.next_room.saturating_sub(amount);
        }
    }

    pub(super) fn settle(&mut self, held: u64, charge: u64, stamp: Tick, now: Tick, book: &Book) {
        if on(Rule::Release) {
            self.open = self.open.saturating_sub(1);
            self.held = self.held.saturating_sub(held);
        }
        self.ring.charge(charge, stamp, now, &book.grid);
        if charge > 0 {
            let spent = self.minute.get_or_insert_default().at(now);
            *spent = spent.saturating_add(charge);
        }
    }

    /// What was charged in the last minute.
    pub(super) fn last_minute(&self, now: Tick) -> u64 {
        self.minute.iter().flat_map(|m| m.live(now)).fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// No hold is open and every coin is free.
    pub(super) fn is_idle(&self, book: &Book, now: Tick) -> bool {
        self.open == 0 && self.ring.spent(now, &book.grid) == 0
    }
}
