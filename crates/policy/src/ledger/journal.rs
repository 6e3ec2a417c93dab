//! The journal: rows that the shell keeps on disk, so that no crash forgets money.
//!
//! A row says what a key has spent, what it holds, and how much it may hold until the next row is durable; nothing is held
//! beyond that. So at any moment the row on disk covers every coin that is taken. Keys that it does not list yet may hold a
//! small part of their cap, and after a crash all of those start with that part spent.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Ledger,
    account::Account,
    cap::{Book, Cap},
    hold::Key,
    rules::{Rule, on},
    share::{KeptShare, Obeyed},
    terms::{AHEAD_LONG_PERCENT, AHEAD_PERCENT, LONG_WINDOW, UNLISTED_PERCENT, part},
};
use crate::Tick;

/// What a write says of the whole ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// When it was composed.
    pub at: Tick,
    /// The last write of a process that held nothing after it: keys without a row are untouched.
    pub clean: bool,
    /// When a file was lost, if that may still matter.
    pub lost: Option<Tick>,
    /// When a crash was recovered from, if that may still matter.
    pub crashed: Option<Tick>,
    /// Of a ledger whose caps are lent: the guaranteed share. It belongs to one pod and its lender: the shell finds none for
    /// others.
    pub share: Option<KeptShare>,
}

/// One key on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which.
    pub key: Key,
    /// Window of its cap.
    pub window: Duration,
    /// Stamp and amount of what has not cooled. Stamps may lie ahead of the head's time.
    pub charges: Vec<(Tick, u64)>,
    /// What open holds and those still to come may be billed.
    pub open: u64,
}

/// A write to be made whole or not at all, in the order of the ids: first the head, then the deletions, then the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// For [`Ledger::durable`].
    pub id: u64,
    /// The disk does not say all this yet, or may not.
    pub is_news: bool,
    /// Replaces the head on disk.
    pub head: Head,
    /// Rows to be deleted, where they are.
    pub gone: Vec<Key>,
    /// Rows to be put in place of those of the same key.
    pub rows: Vec<Row>,
}

/// What a process finds of those before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Past {
    /// There was none.
    None,
    /// The head and all rows.
    Kept(Head, Vec<Row>),
    /// There was one, and its file is gone or cannot be read. A bad file stays in its place until the first checkpoint is
    /// durable: a crash before that must find it again, not a first start.
    Lost,
}

/// What ticks on disk mean now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// They are of the clock that goes on, which counts time asleep: the same boot, the same origin, as noted beside the head.
    Same,
    /// They are of another one. How long we were away is unknown, and does not count.
    Other,
}

/// The state of the journal, and the accounts that it is about.
#[derive(Debug, Default)]
pub(super) struct Journal {
    pub(super) on: bool,
    /// A write of this process is durable. Before that the one on disk may say that nothing happened after it.
    opened: bool,
    /// The last write is composed.
    closed: bool,
    low: bool,
    id: u64,
    dirty: Vec<u32>,
    flying: Vec<u32>,
    /// Deleted rows that may still be on disk.
    gone: BTreeSet<Key>,
    gone_flying: BTreeSet<Key>,
    lost: Option<Tick>,
    crashed: Option<Tick>,
    /// What earlier processes spent was found.
    pub(super) is_kept: bool,
    /// What the newest write says of the share, and whether that is durable.
    share: Option<KeptShare>,
    is_durable: bool,
    /// The disk may have a share of our lender,
    has_share: bool,
    /// or of one that we left.
    pub(super) has_left: bool,
    /// What a process that begins on the disk would obey too, and will once a write is durable.
    pub(super) obeyed: Obeyed,
    obeyed_flying: Obeyed,
}

impl Journal {
    pub(super) fn new(on: bool) -> Journal {
        Journal { on, ..Journal::default() }
    }

    /// An account of a key that was not seen yet: what it may have spent unseen, and its first room.
    ///
    /// Of a `lent` cap nothing is spent before it is written; where that is lost, nothing is to be spent of the share until
    /// what was has cooled.
    pub(super) fn open(&self, account: &mut Account, book: &Book, own: u64, lent: bool, horizon: u64, now: Tick) {
        for (event, percent) in [(self.lost, 100), (self.crashed, UNLISTED_PERCENT)] {
            let stamp = event.map(|at| Tick(at.0.saturating_add(horizon)));
            if let Some(stamp) = stamp.filter(|stamp| book.grid.free_at(*stamp) > now) {
                if lent {
                    account.share_from = book.grid.free_at(stamp);
                } else {
                    account.ring.charge(part(own, percent), stamp, now, &book.grid);
                }
            }
        }
        let unseen = account.ring.next_free(now, &book.grid).is_some();
        let unseen = on(Rule::UnlistedOnce) && unseen;
        let unwritten = on(Rule::FirstWrite) && !self.opened;
        // Where an old row of the key is still on disk, that one would be believed.
        let is_listed = || {
            let key = book.key(account.value.clone());
            self.gone.contains(&key) || self.gone_flying.contains(&key)
        };
        let none = !self.on || lent || unseen || unwritten || self.closed || is_listed();
        account.room = if none { 0 } else { part(own, UNLISTED_PERCENT) };
    }

    pub(super) fn held(&mut self, index: u32, account: &mut Account, cap: &Cap, own: u64) {
        self.low |= account.room < ahead(cap, own) / 2;
        self.changed(index, account);
    }

    pub(super) fn changed(&mut self, index: u32, account: &mut Account) {
        if self.on && !account.dirty {
            account.dirty = true;
            self.dirty.push(index);
        }
    }

    /// The disk may have a share of our lender.
    pub(super) fn keeps_share(&self) -> bool {
        self.has_share && on(Rule::ShareLeavesTheDisk)
    }

    /// The share is another lender's from now on. A write under way that says otherwise counts for nothing.
    pub(super) fn leave_share(&mut self) {
        self.has_left |= std::mem::take(&mut self.has_share);
        self.id += 1;
        (self.obeyed, self.obeyed_flying) = (Obeyed::default(), Obeyed::default());
    }

    pub(super) fn dropped(&mut self, account: &Account, book: &Book) {
        if account.listed {
            self.gone.insert(book.key(account.value.clone()));
        }
    }
}

impl Ledger {
    /// Whether a key has used half of its room. A checkpoint taken now spares the next hold the wait for the disk.
    #[must_use]
    pub fn wants_checkpoint(&self) -> bool {
        self.journal.on && self.journal.low
    }

    /// The rows that changed. One write at a time; what a failed one held is in the next. The `last` one, taken when
    /// nobody is admitted any more, has all rows and gives no room, so that the next process loses nothing.
    ///
    /// The first one is to be durable before the first request: until then nothing can be held.
    pub fn checkpoint(&mut self, last: bool, now: Tick) -> Checkpoint {
        let journal = &mut self.journal;
        journal.id += 1;
        journal.low = false;
        journal.closed |= last;
        // Unanswered: it may be on disk or not.
        let unanswered = std::mem::take(&mut journal.flying);
        if on(Rule::RewriteUnanswered) {
            for index in unanswered {
                if let Some(account) = self.accounts.get_mut(index as usize) {
                    journal.changed(index, account);
                }
            }
        }
        journal.gone_flying.append(&mut journal.gone);
        if last {
            for (index, account) in self.accounts.iter_mut().enumerate().filter(|(_, a)| a.live) {
                journal.changed(index as u32, account);
            }
        }
        journal.flying = std::mem::take(&mut journal.dirty);
        let closed = journal.closed;
        let (in_force, share) = (&self.in_force, &self.share);
        let rows = journal.flying.iter().filter_map(|index| {
            let account = self.accounts.get_mut(*index as usize)?;
            let book = &self.books[usize::from(account.cap)];
            let is_over = closed || !in_force.contains(&account.cap);
            Some(row(account, book, share.of(book.guaranteed, now), is_over, now))
        });
        let rows: Vec<Row> = rows.collect();
        let journal = &self.journal;
        let gone: Vec<Key> = journal.gone_flying.iter().cloned().collect();
        // What is given back with the last words is not to be found again.
        let share = self.share_to_keep().map(|share| if closed { KeptShare::default() } else { share });
        let obeyed = self.obeyed();
        let journal = &mut self.journal;
        journal.obeyed_flying = obeyed;
        let is_told = match (&journal.share, &share) {
            (Some(told), Some(share)) => journal.is_durable && told.says(share),
            (_, share) => share.is_none(),
        };
        let is_news = last || !journal.opened || !is_told || !gone.is_empty() || !rows.is_empty();
        if is_news {
            journal.has_share |= share.as_ref().is_some_and(|share| share.parts > 0);
            (journal.share, journal.is_durable) = (share.clone(), false);
        }
        let head = Head { at: now, clean: closed, lost: journal.lost, crashed: journal.crashed, share };
        Checkpoint { id: journal.id, is_news, head, gone, rows }
    }

    /// The newest checkpoint is on disk, and will be found there whatever happens. Others are ignored.
    pub fn durable(&mut self, id: u64) {
        let journal = &mut self.journal;
        if id != journal.id {
            return;
        }
        (journal.opened, journal.is_durable, journal.has_left) = (true, true, false);
        journal.has_share = journal.share.as_ref().is_some_and(|share| share.parts > 0);
        journal.obeyed = journal.obeyed_flying;
        journal.gone_flying.clear();
        for index in journal.flying.drain(..) {
            if let Some(account) = self.accounts.get_mut(index as usize) {
                account.flying = false;
                account.room = account.next_room;
            }
        }
    }

    /// Takes over what a past process left; after the first [`Ledger::configure`] and before anything is held. What it may
    /// have sent last counts as sent now. A checkpoint should follow at once.
    pub fn restore(&mut self, past: Past, clock: Clock, now: Tick) {
        let (head, rows) = match past {
            Past::None => return,
            Past::Lost => {
                self.journal.lost = on(Rule::LostIsSpent).then_some(now);
                return;
            }
            Past::Kept(head, rows) => (head, rows),
        };
        self.journal.is_kept = true;
        let is_same = clock == Clock::Same && head.at <= now || !on(Rule::UnknownAway);
        let here = |tick: Tick| match tick.0.checked_sub(head.at.0) {
            _ if is_same => tick,
            Some(ahead) => Tick(now.0.saturating_add(ahead)),
            None => Tick(now.0.saturating_sub(head.at.0 - tick.0)),
        };
        self.journal.lost = head.lost.filter(|_| on(Rule::LostIsKept)).map(here);
        self.journal.crashed = if head.clean { head.crashed.map(here) } else { Some(now) };
        if self.borrower.is_some() {
            let unlisted = self.journal.crashed.take();
            match head.share {
                // What is lent is listed before it is spent.
                Some(share) => {
                    self.journal.has_share = share.parts > 0;
                    if is_same || !on(Rule::ShareOfThisBoot) {
                        self.restore_share(KeptShare { until: here(share.until), ..share });
                    }
                }
                None => self.journal.lost = self.journal.lost.max(unlisted),
            }
        }
        if !on(Rule::RestoreUnlisted) {
            self.journal.crashed = None;
        }
        let final_at = Tick(now.0.saturating_add(self.horizon));
        for row in rows {
            let Some(index) = self.restored(&row) else { continue };
            let account = &mut self.accounts[index as usize];
            let book = &self.books[usize::from(account.cap)];
            if on(Rule::RestoreRing) {
                row.charges.iter().for_each(|(stamp, n)| account.ring.charge(*n, here(*stamp), now, &book.grid));
            }
            account.ring.charge(row.open, final_at, now, &book.grid);
            if account.value == row.key.value {
                account.listed = true;
            } else {
                self.journal.gone.insert(row.key);
            }
            self.journal.changed(index, account);
        }
    }

    /// Another process of this pod may have drawn on its share: where nothing of that is kept, all of it counts as spent.
    pub(super) fn share_was_drawn(&mut self, now: Tick) {
        if self.journal.is_kept || self.share.number > 0 || !on(Rule::LostShareIsSpent) {
            return;
        }
        self.journal.lost = Some(now);
        let stamp = Tick(now.0.saturating_add(self.horizon));
        for account in self.accounts.iter_mut().filter(|a| a.live) {
            account.share_from = self.books[usize::from(account.cap)].grid.free_at(stamp);
        }
    }

    /// Until the last charge has cooled that earlier processes made and nothing is known of.
    pub(super) fn unseen_until(&self, now: Tick) -> Option<Tick> {
        let event = self.journal.lost.max(self.journal.crashed)?;
        let stamp = Tick(event.0.saturating_add(self.horizon));
        self.books.iter().map(|b| b.grid.free_at(stamp)).max().filter(|at| *at > now)
    }

    /// The account of a row's key, made where there is none; its cap may be in no policy any more.
    fn restored(&mut self, row: &Row) -> Option<u32> {
        let Key { unit, name, scope, value } = row.key.clone();
        let (warn_at, degrade_at) = (None, None);
        let cap = Cap { unit, name, scope, window: row.window, limit: 0, guaranteed: 0, warn_at, degrade_at };
        let at = self.books.iter().position(|b| b.is(&cap)).unwrap_or_else(|| {
            self.books.push(Book::new(cap, self.borrower.is_some(), self.horizon, &self.hasher));
            self.books.len() - 1
        });
        let book = &self.books[at];
        let value = value.filter(|v| book.keys.contains_key(v) || book.keys.len() < self.most_values);
        let known = value.as_ref().map_or(book.shared, |v| book.keys.get(v).copied());
        let cap = u16::try_from(at).ok()?;
        Some(known.unwrap_or_else(|| self.insert(Account::new(cap, value, 0))))
    }
}

/// How much of a cap may be held ahead of the next write. After a crash so much is spent at worst that was not: in a long
/// window for long.
fn ahead(cap: &Cap, own: u64) -> u64 {
    let percent = if cap.window > LONG_WINDOW { AHEAD_LONG_PERCENT } else { AHEAD_PERCENT };
    part(own, percent)
}

/// The row of `account`, and the room that it gives once it is durable.
fn row(account: &mut Account, book: &Book, own: u64, is_over: bool, now: Tick) -> Row {
    // The last hold that did not fit fits, with as much again for its neighbours. A key that nobody asked for in this
    // process gets nothing: in a loop of crashes it would be spent unused.
    let wanted = std::mem::take(&mut account.wanted).saturating_mul(2);
    let none = is_over || !account.asked;
    let ahead = if none { 0 } else { ahead(&book.cap, own).max(wanted).min(own) };
    account.next_room = ahead;
    account.room = if on(Rule::RoomWhenDurable) { account.room.min(ahead) } else { ahead };
    (account.dirty, account.flying, account.listed) = (false, true, true);
    let held = if on(Rule::RestoreOpen) { account.held } else { 0 };
    let ahead = if on(Rule::RestoreAhead) { ahead } else { 0 };
    Row {
        key: book.key(account.value.clone()),
        window: book.cap.window,
        charges: account.ring.live(now, &book.grid).to_vec(),
        open: held.saturating_add(ahead),
    }
}
