//! What people and meters see.

use std::{sync::Arc, time::Duration};

use super::{
    Ledger,
    account::Account,
    cap::{Book, Cap},
    hold::{Ask, Key, Pressure, Unit},
    rules::{Rule, on},
};
use crate::{Tick, money::Usd};

/// One key now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Which.
    pub key: Key,
    /// Window of its cap.
    pub window: Duration,
    /// The cap, in the key's unit.
    pub limit: u64,
    /// What has not cooled.
    pub spent: u64,
    /// In open holds.
    pub held: u64,
    /// What is spent and held above the cap: providers billed more than was asked of them, or the cap was lowered.
    pub debt: u64,
    /// Against the cap's thresholds.
    pub pressure: Pressure,
    /// Until the oldest charge is free.
    pub next_free: Option<Duration>,
    /// Charged in the last minute.
    pub last_minute: u64,
}

/// How one budget stands for a request, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing<'a> {
    /// The budget's name.
    pub name: &'a Arc<str>,
    /// The cap.
    pub limit: Usd,
    /// What has not cooled.
    pub spent: Usd,
    /// In open holds.
    pub held: Usd,
    /// Until the oldest charge is free.
    pub next_free: Option<Duration>,
}

impl Ledger {
    /// Tells how each budget stands that `ask` is counted under, in the policy's order.
    pub fn standing(&self, ask: &Ask<'_>, now: Tick, mut tell: impl FnMut(Standing<'_>)) {
        for (index, at) in self.places(ask, now) {
            let book = &self.books[usize::from(index)];
            if book.cap.unit != Unit::Money {
                continue;
            }
            let fresh;
            let account = match at {
                Some(at) => &self.accounts[at as usize],
                None => {
                    fresh = self.untouched(index, None, now);
                    &fresh
                }
            };
            tell(Standing {
                name: &book.cap.name,
                limit: Usd(book.cap.limit),
                spent: Usd(account.spent(book, now)),
                held: Usd(account.in_holds()),
                next_free: account.next_free(book, now).map(|at| at.since(now)),
            });
        }
    }

    /// How full the fullest budget is that `ask` would be counted under.
    #[must_use]
    pub fn pressure(&self, ask: &Ask<'_>, now: Tick) -> Pressure {
        let places = self.places(ask, now);
        let books = places.map(|(index, at)| (&self.books[usize::from(index)], self.known(index, at, now)));
        let budgets = books.filter(|(b, _)| b.cap.unit == Unit::Money);
        let mut each = budgets.map(|(b, taken)| pressure(&b.cap, taken));
        if on(Rule::PressureOfFullest) { each.max() } else { each.next() }.unwrap_or_default()
    }

    /// Spent or held of a key: by anybody as far as the lender told, or here.
    pub(super) fn known(&self, index: u16, at: Option<u32>, now: Tick) -> u64 {
        let book = &self.books[usize::from(index)];
        match at {
            Some(at) => self.accounts[at as usize].known(book, now),
            None => self.untouched(index, None, now).known(book, now),
        }
    }

    /// One row a cap, in the policy's order: of its keys the one nearest the limit. It goes once over all accounts, in the
    /// order of memory: some milliseconds for 100,000 of them, so for a scrape and not for a request.
    #[must_use]
    pub fn nearest(&self, now: Tick) -> Vec<View> {
        let mut nearest: Vec<Option<(u64, &Account)>> = vec![None; self.books.len()];
        for account in self.accounts.iter().filter(|a| a.live) {
            let most = account.at_most();
            let Some(best) = nearest.get_mut(usize::from(account.cap)) else { continue };
            // Only one that could be nearer is looked at in earnest.
            if best.is_none_or(|(best, _)| most > best) {
                let taken = account.known(&self.books[usize::from(account.cap)], now);
                if best.is_none_or(|(best, _)| taken > best) {
                    *best = Some((taken, account));
                }
            }
        }
        let row = |index: &u16| {
            let book = &self.books[usize::from(*index)];
            match nearest.get(usize::from(*index)).copied().flatten() {
                Some((_, account)) => view(book, account, now),
                None => view(book, &self.untouched(*index, None, now), now),
            }
        };
        self.in_force.iter().map(row).collect()
    }
}

fn view(book: &Book, account: &Account, now: Tick) -> View {
    let (limit, spent) = (book.cap.limit, account.spent(book, now));
    let taken = spent.saturating_add(account.in_holds());
    View {
        key: book.key(account.value.clone()),
        window: book.cap.window,
        limit,
        spent,
        held: account.in_holds(),
        debt: taken.saturating_sub(limit),
        pressure: pressure(&book.cap, account.known(book, now).max(taken)),
        next_free: account.next_free(book, now).map(|at| at.since(now)),
        last_minute: account.last_minute(now),
    }
}

/// How near its limit a cap is.
pub(super) fn pressure(cap: &Cap, taken: u64) -> Pressure {
    let limit = cap.limit;
    let reached = |at: Option<crate::snapshot::Ratio>| at.is_some_and(|at| at.reached(taken, limit));
    if taken >= limit && on(Rule::IsFull) {
        Pressure::Full
    } else if reached(cap.degrade_at) && on(Rule::Degrades) {
        Pressure::Degrade
    } else if reached(cap.warn_at) && on(Rule::Warns) {
        Pressure::Warn
    } else {
        Pressure::Normal
    }
}
