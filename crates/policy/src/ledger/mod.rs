//! Caps that are hard in any window: each attempt holds the most it can cost before it is sent, and settles once.
//!
//! A cap of `L` in a window `W` is a set of `L` coins. A coin is taken from before a request is sent until `W` after its
//! bill is final, so no coin is billed twice in any `W`, wherever it starts. What that rests on stands in [`terms`].

mod account;
mod borrow;
mod cap;
mod hold;
mod journal;
pub mod lend;
pub mod message;
mod overrun;
mod restore;
mod ring;
mod rules;
mod share;
pub mod terms;
mod view;

#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;

use std::{hash::RandomState, sync::Arc, time::Duration};

pub use borrow::{LeaseView, Wait};
pub use cap::{Cap, bill_horizon, caps};
pub use hold::{Amounts, Ask, Denied, Hold, How, Key, Pressure, Settled, Unit};
pub use journal::{Checkpoint, Head, Row};
pub use overrun::ModelKey;
pub use restore::{Clock, Past};
pub use share::KeptShare;
pub use view::{Standing, View};

use self::{
    account::{Account, Borrowed},
    borrow::{Borrower, obey},
    cap::Book,
    hold::Part,
    journal::Journal,
    overrun::Overruns,
    rules::{Rule, on},
    share::Share,
    terms::{GUARD, MOST_VALUES, stretched},
};
use crate::Tick;

/// Slots that a new key looks at for idle ones.
const TIDY_AT_NEW: usize = 8;

/// All caps of one policy and what was spent under them. One owner, behind one lock.
#[derive(Debug)]
pub struct Ledger {
    books: Vec<Book>,
    /// Books in force, in the policy's order.
    in_force: Vec<u16>,
    accounts: Vec<Account>,
    vacant: Vec<u32>,
    /// Where the search for idle accounts goes on.
    cursor: usize,
    overruns: Overruns,
    journal: Journal,
    /// Of each cap, what is spent without asking.
    share: Share,
    /// Where caps are shared among pods.
    borrower: Option<Borrower>,
    /// From a hold to its final bill, in nanoseconds of our clock.
    horizon: u64,
    most_values: usize,
    hasher: RandomState,
    nobody: Arc<str>,
}

impl Ledger {
    /// A ledger without caps. Foreign names are hashed with `hasher`, so that nobody can choose ones that collide. With a
    /// `journal` nothing is held that [`Ledger::checkpoint`] has not covered; without one the caps hold for this process.
    #[must_use]
    pub fn new(hasher: RandomState, journal: bool) -> Ledger {
        Ledger {
            books: vec![],
            in_force: vec![],
            accounts: vec![],
            vacant: vec![],
            cursor: 0,
            overruns: Overruns::default(),
            journal: Journal::new(journal),
            share: Share::ALL,
            borrower: None,
            horizon: stretched(GUARD),
            most_values: MOST_VALUES,
            hasher,
            nobody: Arc::default(),
        }
    }

    /// Puts a policy's caps in force; `bill_horizon` is the longest of its providers. Spent money stays with its cap. A
    /// lower limit counts at once; a longer window for windows that begin from now on. A cap that is gone, or counted by
    /// another scope, is no longer asked, and is remembered while coins of it are taken.
    pub fn configure(&mut self, caps: Vec<Cap>, bill_horizon: Duration, now: Tick) {
        self.horizon = horizon(bill_horizon);
        self.in_force.clear();
        if !on(Rule::KeepOnReload) {
            self.accounts.iter_mut().for_each(|a| a.ring = Default::default());
        }
        for cap in caps {
            let index = self.book(cap, now);
            self.in_force.extend(index);
        }
        if let Some(borrower) = &self.borrower {
            obey(&mut self.books, &borrower.terms);
        }
        if !on(Rule::KeepRetired) {
            let in_force = &self.in_force;
            for account in self.accounts.iter_mut().filter(|a| !in_force.contains(&a.cap)) {
                account.ring = Default::default();
            }
        }
    }

    /// Takes what one attempt may cost from every key that applies, or from none.
    ///
    /// # Errors
    /// The key that is short for longest, an amount above a whole cap, or a journal to be written first.
    pub fn hold(&mut self, ask: &Ask<'_>, now: Tick) -> Result<Hold, Denied> {
        let held = self.overruns.raised(ask.model, ask.amounts);
        let mut parts = Vec::with_capacity(self.in_force.len());
        let (mut fits, mut has_room) = (true, true);
        for (index, at) in self.places(ask, now) {
            let need = held.of(self.books[usize::from(index)].cap.unit);
            let state = self.state(index, at, now);
            let borrowed = need.min(state.float);
            if on(Rule::EveryKey) || parts.is_empty() {
                fits &= need - borrowed <= state.own && self.above_later(ask, index, at, need, now) == 0;
                has_room &= need - borrowed <= state.room;
            }
            parts.push(Part { at: at.unwrap_or(MISSING), borrowed });
        }
        if !fits {
            if !on(Rule::AllOrNone) {
                self.take(ask, &held, &mut parts[..1], now);
            }
            return Err(self.why(ask, &held, now));
        }
        if !has_room && on(Rule::JournalAhead) {
            self.want(ask, &held, &mut parts, now);
            return Err(Denied::Journal);
        }
        self.take(ask, &held, &mut parts, now);
        let final_at = Tick(now.0.saturating_add(self.horizon));
        let epoch = self.borrower.as_ref().map_or(0, |b| b.epoch);
        Ok(Hold { at: now, final_at, asked: ask.amounts, held, model: ask.model, epoch, parts })
    }

    /// What [`Ledger::hold`] would say, the journal apart. Changes nothing.
    ///
    /// # Errors
    /// As for a hold.
    pub fn check(&self, ask: &Ask<'_>, now: Tick) -> Result<(), Denied> {
        let held = self.overruns.raised(ask.model, ask.amounts);
        let fits = self.places(ask, now).all(|(index, at)| {
            let need = held.of(self.books[usize::from(index)].cap.unit);
            let state = self.state(index, at, now);
            need.saturating_sub(state.float) <= state.own && self.above_later(ask, index, at, need, now) == 0
        });
        if fits { Ok(()) } else { Err(self.why(ask, &held, now)) }
    }

    /// Gives a hold back for what was billed, or may still be.
    pub fn settle(&mut self, hold: Hold, how: How, now: Tick) -> Settled {
        let (charged, stamp, estimated) = hold.charge(how, now);
        let debt = charged.zip(&hold.held, u64::saturating_sub);
        let charged = if on(Rule::Debt) { charged } else { charged.zip(&hold.held, u64::min) };
        let is_over = self.borrower.is_some() && self.is_over(hold.epoch);
        for Part { at: index, borrowed } in &hold.parts {
            let Some(account) = self.accounts.get_mut(*index as usize) else { continue };
            let book = &self.books[usize::from(account.cap)];
            let unit = book.cap.unit;
            // A provider counts a request when it comes; there is nothing to wait for.
            let stamp = if unit == Unit::Requests { stamp.min(now) } else { stamp };
            let (held, charge) = (hold.held.of(unit), charged.of(unit));
            account.settle(held, Borrowed { amount: *borrowed, is_over }, charge, stamp, now, book);
            // Borrowed coins are the lender's to remember.
            if held.max(charge) > *borrowed {
                self.journal.changed(*index, account);
            }
        }
        for unit in [Unit::Money, Unit::Tokens] {
            if debt.of(unit) > 0 {
                self.overruns.note(hold.model, unit, hold.asked.of(unit), charged.of(unit));
            }
        }
        Settled { charged, estimated, debt }
    }

    /// The key of `model` at `provider`, for [`Ask::model`].
    #[must_use]
    pub fn model(&self, provider: &str, model: &str) -> ModelKey {
        ModelKey::new(&self.hasher, provider, model)
    }

    /// Looks at the next `slots` accounts and drops those that are idle. New keys do so too, eight slots each; a shell
    /// that calls it now and then gives memory back in quiet times.
    pub fn tidy(&mut self, slots: usize, now: Tick) {
        for _ in 0..slots.min(self.accounts.len()) {
            self.cursor = if self.cursor + 1 < self.accounts.len() { self.cursor + 1 } else { 0 };
            let Some(account) = self.accounts.get_mut(self.cursor) else { return };
            if !account.live {
                continue;
            }
            if account.last_minute(now) == 0 {
                account.minute = None;
            }
            let book = &mut self.books[usize::from(account.cap)];
            account.ring.cool(now, &book.grid);
            let written = !account.dirty && !account.flying;
            let empty = account.is_idle(book, now) && account.minute.is_none() || !on(Rule::DropEmptyOnly);
            if !written || !empty || account.open > 0 {
                continue;
            }
            self.journal.dropped(account, book);
            match account.value.take() {
                Some(value) => _ = book.keys.remove(&value),
                None => book.shared = None,
            }
            *account = Account { live: false, ..Account::new(account.cap, None, 0) };
            self.vacant.push(self.cursor as u32);
        }
    }

    /// The book of `cap`: the one that has its identity, edited, or a new one.
    fn book(&mut self, cap: Cap, now: Tick) -> Option<u16> {
        let known = self.books.iter().position(|b| b.is(&cap));
        // A retired book without keys has nothing to remember.
        let in_force = &self.in_force;
        let unused = || (0..self.books.len()).find(|i| self.books[*i].is_empty() && !in_force.contains(&(*i as u16)));
        let Some(at) = known else {
            let book = Book::new(cap, self.borrower.is_some(), self.horizon, &self.hasher);
            let at = unused().unwrap_or(self.books.len());
            match self.books.get_mut(at) {
                Some(old) => *old = book,
                None => self.books.push(book),
            }
            return u16::try_from(at).ok();
        };
        let index = u16::try_from(at).ok()?;
        let book = &mut self.books[at];
        if book.edit(cap, self.borrower.is_some(), self.horizon) {
            for account in self.accounts.iter_mut().filter(|a| a.live && a.cap == index) {
                account.ring.regrid(now, &book.grid);
                account.float.iter_mut().for_each(|f| f.regrid(now, &book.grid));
            }
        }
        Some(index)
    }

    /// The caps that apply, each with the account of its key, where there is one.
    fn places<'a>(&'a self, ask: &'a Ask<'a>, now: Tick) -> impl Iterator<Item = (u16, Option<u32>)> + 'a {
        self.in_force.iter().filter_map(move |&index| {
            let book = &self.books[usize::from(index)];
            let own = |value: &Arc<str>| match book.keys.get(value) {
                None if self.is_beyond(book, now) => book.shared,
                own => own.copied(),
            };
            let place = || book.value(ask, &self.nobody).map_or(book.shared, own);
            book.cap.applies(ask).then(|| (index, place()))
        })
    }

    /// Whether a new value of the book's scope shares a key with others: the table is full, or it was, and the value may
    /// have spent there what has not cooled.
    fn is_beyond(&self, book: &Book, now: Tick) -> bool {
        let full = on(Rule::Overflow) && book.keys.len() >= self.most_values;
        let shared = || book.shared.is_some_and(|i| !self.accounts[i as usize].is_idle(book, now));
        full || (on(Rule::OverflowCools) && shared())
    }

    /// What may be held of a key.
    fn state(&self, index: u16, at: Option<u32>, now: Tick) -> State {
        let book = &self.books[usize::from(index)];
        let fresh;
        let account = match at {
            Some(at) => &self.accounts[at as usize],
            None => {
                fresh = self.untouched(index, None, now);
                &fresh
            }
        };
        let float = account.float.as_ref().filter(|_| self.may_borrow(now)).map_or(0, |f| f.free(now, &book.grid));
        let own = self.may_spend(book, account, now).saturating_sub(account.taken(book, now));
        State { float, own, room: if self.journal.on { account.room } else { u64::MAX } }
    }

    /// How much `need` would take of what is left to those who cannot wait, where `ask` can.
    fn above_later(&self, ask: &Ask<'_>, index: u16, at: Option<u32>, need: u64, now: Tick) -> u64 {
        if !ask.later || need == 0 || !on(Rule::SpareForOnline) {
            return 0;
        }
        let taken = self.known(index, at, now).saturating_add(need);
        taken.saturating_sub(self.books[usize::from(index)].cap.for_later())
    }

    /// Borrowed coins may be held now.
    fn may_borrow(&self, now: Tick) -> bool {
        self.borrower.as_ref().is_some_and(|b| b.may_hold(self.horizon, now))
    }

    /// What may be spent and held of a key without a lender, in a window.
    fn may_spend(&self, book: &Book, account: &Account, now: Tick) -> u64 {
        if now < account.share_from { 0 } else { self.share.of(book.guaranteed, now) }
    }

    /// The account of a key that was not seen yet.
    fn untouched(&self, index: u16, value: Option<Arc<str>>, now: Tick) -> Account {
        let book = &self.books[usize::from(index)];
        let mut account = Account::new(index, value, 0);
        let own = self.share.of(book.guaranteed, now);
        self.journal.open(&mut account, book, own, self.borrower.is_some(), self.horizon, now);
        account
    }

    /// Holds on every account, those that are missing made first. `accounts` stand in the order of [`Ledger::places`].
    fn take(&mut self, ask: &Ask<'_>, held: &Amounts, parts: &mut [Part], now: Tick) {
        let is_new = self.make(ask, parts, now);
        for Part { at: index, borrowed } in parts {
            let account = &mut self.accounts[*index as usize];
            let book = &self.books[usize::from(account.cap)];
            if let Some(borrower) = &mut self.borrower {
                account.borrow(*index, book, borrower, now);
            }
            let need = held.of(book.cap.unit);
            account.hold(need, *borrowed);
            if need > *borrowed {
                let own = self.share.of(book.guaranteed, now);
                self.journal.held(*index, account, &book.cap, own);
            }
        }
        // Not sooner: an account without a hold is idle.
        if is_new {
            self.tidy(TIDY_AT_NEW, now);
        }
    }

    /// Remembers what lacked room, for the next checkpoint to give.
    fn want(&mut self, ask: &Ask<'_>, held: &Amounts, parts: &mut [Part], now: Tick) {
        self.make(ask, parts, now);
        for Part { at: index, borrowed } in parts {
            let account = &mut self.accounts[*index as usize];
            let need = held.of(self.books[usize::from(account.cap)].cap.unit) - *borrowed;
            account.asked = true;
            if need > account.room {
                account.wanted = need.max(account.wanted);
                self.journal.changed(*index, account);
            }
        }
    }

    /// The accounts that apply, where they exist.
    fn parts(&self, ask: &Ask<'_>, now: Tick) -> Vec<Part> {
        self.places(ask, now).map(|(_, at)| Part { at: at.unwrap_or(MISSING), borrowed: 0 }).collect()
    }

    /// Makes the accounts that are missing; true if there were any.
    fn make(&mut self, ask: &Ask<'_>, parts: &mut [Part], now: Tick) -> bool {
        if parts.iter().all(|part| part.at != MISSING) {
            return false;
        }
        let indexes: Vec<u16> = self.places(ask, now).map(|(index, _)| index).collect();
        for (part, index) in parts.iter_mut().zip(indexes).filter(|(part, _)| part.at == MISSING) {
            let book = &self.books[usize::from(index)];
            let value = book.value(ask, &self.nobody).filter(|_| !self.is_beyond(book, now)).cloned();
            let account = self.untouched(index, value, now);
            part.at = self.insert(account);
        }
        true
    }

    fn insert(&mut self, account: Account) -> u32 {
        let book = &mut self.books[usize::from(account.cap)];
        let value = account.value.clone();
        let at = self.vacant.pop().unwrap_or(self.accounts.len() as u32);
        match self.accounts.get_mut(at as usize) {
            Some(slot) => *slot = account,
            None => self.accounts.push(account),
        }
        match value {
            Some(value) => _ = book.keys.insert(value, at),
            None => book.shared = Some(at),
        }
        at
    }

    /// Why `held` does not fit.
    #[cold]
    fn why(&self, ask: &Ask<'_>, held: &Amounts, now: Tick) -> Denied {
        let mut worst: Option<(Tick, u64, Key)> = None;
        let mut is_short = false;
        for (index, at) in self.places(ask, now) {
            let book = &self.books[usize::from(index)];
            let need = held.of(book.cap.unit);
            let limit = if ask.later { book.cap.for_later() } else { book.cap.limit };
            let fresh;
            let account = match at {
                Some(at) => &self.accounts[at as usize],
                None => {
                    fresh = self.untouched(index, book.value(ask, &self.nobody).cloned(), now);
                    &fresh
                }
            };
            let key = || book.key(account.value.clone());
            if need > limit {
                return Denied::Impossible { key: key(), limit };
            }
            let state = self.state(index, at, now);
            let short = need.saturating_sub(state.float).saturating_sub(state.own);
            let above = self.above_later(ask, index, at, need, now);
            let missing = short.max(above);
            if missing == 0 {
                continue;
            }
            // Coins that lack here may be there for one that cannot wait, as far as is known.
            let is_spared = above > 0 && need.saturating_add(self.known(index, at, now)) <= book.cap.limit;
            is_short |= short > 0 && !is_spared;
            // An open hold is free at the latest when its bill would be final, and has cooled.
            let latest = || book.grid.free_at(book.grid.ahead(Tick(now.0.saturating_add(self.horizon))));
            let own = account.ring.frees(missing, now, &book.grid);
            let at =
                account.float.as_ref().and_then(|f| f.frees(missing, now, &book.grid)).or(own).unwrap_or_else(latest);
            if worst.as_ref().is_none_or(|(worst, ..)| at > *worst) {
                worst = Some((at, missing, key()));
            }
        }
        match worst {
            Some((at, missing, key)) if is_short => Denied::Short { key, missing, retry_after: at.since(now) },
            Some((at, _, key)) => Denied::Spared { key, retry_after: at.since(now) },
            None => Denied::Journal,
        }
    }
}

/// What may be held of a key now.
struct State {
    /// Borrowed coins.
    float: u64,
    /// Without asking.
    own: u64,
    /// Of that, under the journal.
    room: u64,
}

/// An account to be made.
const MISSING: u32 = u32::MAX;

fn horizon(bill_horizon: Duration) -> u64 {
    let true_time = GUARD.saturating_add(bill_horizon);
    let exact = u64::try_from(true_time.as_nanos()).unwrap_or(u64::MAX);
    if on(Rule::HorizonDrift) { stretched(true_time) } else { exact }
}
