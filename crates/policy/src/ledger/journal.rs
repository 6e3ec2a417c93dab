//! The journal: rows that the shell keeps on disk, so that no crash forgets money.
//!
//! A row says what a key has spent, what it holds, and how much it may hold until the next row is durable; nothing is held
//! beyond that. So at any moment the row on disk covers every coin that is taken. Keys that it does not list yet may hold a
//! small part of their cap, and after a crash all of those start with that part spent. Of a share of a lent cap nothing is
//! held that is not listed.

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

/// The state of the journal, and the accounts that it is about.
#[derive(Debug, Default)]
pub(super) struct Journal {
    pub(super) on: bool,
    /// A write of this process is durable. Before that the one on disk may say that nothing happened after it.
    opened: bool,
    /// The last write is composed.
    closed: bool,
    pub(super) low: bool,
    id: u64,
    dirty: Vec<u32>,
    flying: Vec<u32>,
    /// Deleted rows that may still be on disk.
    pub(super) gone: BTreeSet<Key>,
    gone_flying: BTreeSet<Key>,
    pub(super) lost: Option<Tick>,
    pub(super) crashed: Option<Tick>,
    /// Whatever earlier processes left is taken over.
    pub(super) is_restored: bool,
    /// And what they drew of the pod's share is known, or known to be lost.
    pub(super) knows_past: bool,
    /// What the newest write says of the share, and whether that is durable.
    share: Option<KeptShare>,
    is_durable: bool,
    /// The disk may have a share of our lender, as it may before it was read,
    has_share: bool,
    /// or of one that we left.
    pub(super) has_left: bool,
    /// What a process that begins on the disk would obey too, and will once a write is durable.
    pub(super) obeyed: Obeyed,
    obeyed_flying: Obeyed,
}

impl Journal {
    pub(super) fn new(on: bool) -> Journal {
        Journal { on, has_share: on, ..Journal::default() }
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

    /// What earlier processes left is not taken over yet, or would be found again after a crash.
    pub(super) fn is_opening(&self) -> bool {
        self.on && !self.opened
    }

    /// The disk may have a share of our lender.
    pub(super) fn keeps_share(&self) -> bool {
        self.has_share && on(Rule::ShareLeavesTheDisk)
    }

    /// The share is another lender's from now on. A write under way that says otherwise counts for nothing.
    pub(super) fn leave_share(&mut self) {
        self.has_left |= std::mem::take(&mut self.has_share);
        (self.id, self.is_durable, self.knows_past) = (self.id + 1, false, false);
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
        let (in_force, share, is_lent) = (&self.in_force, &self.share, self.borrower.is_some());
        let rows = journal.flying.iter().filter_map(|index| {
            let account = self.accounts.get_mut(*index as usize)?;
            let book = &self.books[usize::from(account.cap)];
            let is_over = closed || !in_force.contains(&account.cap);
            let own = share.of(book.guaranteed, now);
            // A share is drawn seldom: no more is written ahead of it than is left.
            let left = if is_lent { own.saturating_sub(account.taken(book, now)) } else { own };
            Some(row(account, book, (own, left), is_over, now))
        });
        let rows: Vec<Row> = rows.collect();
        let journal = &self.journal;
        let gone: Vec<Key> = journal.gone_flying.iter().cloned().collect();
        // What is given back with the last words is not to be found again; where nobody hears them, it is.
        let is_over = closed && self.borrower.as_ref().is_some_and(|b| b.is_live(now));
        let share = self.share_to_keep().map(|share| if is_over { share.given_back() } else { share });
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
}

/// How much of a cap may be held ahead of the next write. After a crash so much is spent at worst that was not: in a long
/// window for long.
fn ahead(cap: &Cap, own: u64) -> u64 {
    let percent = if cap.window > LONG_WINDOW { AHEAD_LONG_PERCENT } else { AHEAD_PERCENT };
    part(own, percent)
}

/// The row of `account`, and the room that it gives once it is durable, of what is its own and what is left of that.
fn row(account: &mut Account, book: &Book, (own, left): (u64, u64), is_over: bool, now: Tick) -> Row {
    // The last hold that did not fit fits, with as much again for its neighbours. A key that nobody asked for in this
    // process gets nothing: in a loop of crashes it would be spent unused.
    let wanted = std::mem::take(&mut account.wanted).saturating_mul(2);
    let none = is_over || !account.asked;
    let ahead = if none { 0 } else { ahead(&book.cap, own).max(wanted).min(left) };
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
