//! What a process makes of what those before it left.

use super::{
    Ledger,
    account::Account,
    cap::{Book, Cap},
    hold::Key,
    journal::{Head, Row},
    rules::{Rule, on},
    share::KeptShare,
};
use crate::Tick;

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

impl Ledger {
    /// Takes over what a past process left, once; after the first [`Ledger::configure`] and before anything is held. What it
    /// may have sent last counts as sent now. A checkpoint should follow at once.
    pub fn restore(&mut self, past: Past, clock: Clock, now: Tick) {
        if std::mem::replace(&mut self.journal.is_restored, true) {
            return;
        }
        let (head, rows) = match past {
            Past::None => return,
            Past::Lost => {
                self.journal.lost = on(Rule::LostIsSpent).then_some(now);
                self.journal.knows_past = true;
                return;
            }
            Past::Kept(head, rows) => (head, rows),
        };
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
            self.journal.knows_past = head.share.as_ref().is_some_and(|share| share.knows_past);
            match head.share {
                // What is lent is listed before it is spent.
                Some(share) if share.parts > 0 && (is_same || !on(Rule::ShareOfThisBoot)) => {
                    self.restore_share(KeptShare { until: here(share.until), ..share });
                }
                Some(_) => {}
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
            if let Some(lost) = self.journal.lost.filter(|_| self.borrower.is_some() && on(Rule::LostOutlivesRows)) {
                account.share_from = book.grid.free_at(Tick(lost.0.saturating_add(self.horizon)));
            }
            if account.value == row.key.value {
                account.listed = true;
            } else {
                self.journal.gone.insert(row.key);
            }
            self.journal.changed(index, account);
        }
    }

    /// The lender says whether another process of this pod may have drawn on its share: where nothing of that is known, all
    /// of it counts as spent.
    pub(super) fn share_may_be_drawn(&mut self, was_drawn: bool, now: Tick) {
        if std::mem::replace(&mut self.journal.knows_past, true) {
            return;
        }
        self.journal.low = true;
        if !was_drawn || !on(Rule::LostShareIsSpent) {
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
