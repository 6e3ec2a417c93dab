//! What a borrower tells, and when.

use std::time::Duration;

use super::super::{
    Ledger,
    account::Account,
    cap::Book,
    message::{Incarnation, KeyReport, Part, Phase, Report, ShareReport},
    rules::{Rule, on},
    terms::{REPORT, REPORT_IDLE, REPORT_URGENT},
};
use super::{MOST_SENT, float::Float};
use crate::{Tick, snapshot::Scope};

/// Keys of one report; more make several, so that the largest, each key with all that cools of it, has some hundred KiB.
const MOST_KEYS: usize = 100;

impl Ledger {
    /// When the next report is due, while the lender can be reached.
    #[must_use]
    pub fn next_report(&self) -> Option<Tick> {
        let borrower = self.borrower.as_ref().filter(|b| !b.is_silent && !self.journal.is_opening())?;
        let (Some(reported), Some(told_all)) = (borrower.reported, borrower.told_all) else { return Some(Tick(0)) };
        // Nothing is agreed to for long where something was lost.
        let is_agreeing = self.share.is_pending() && self.journal.lost.is_none();
        let is_idle = borrower.active.is_empty() && !is_agreeing;
        let due = told_all.after(if is_idle { REPORT_IDLE } else { REPORT });
        let is_urgent = borrower.is_urgent || borrower.wants_full;
        Some(if is_urgent { due.min(reported.after(REPORT_URGENT)) } else { due })
    }

    /// What is to be told now, to be sent in this order at once. `fresh` names the next incarnation, should this one be
    /// over.
    pub fn report(&mut self, fresh: Incarnation, now: Tick) -> Vec<Report> {
        if self.borrower.as_ref().is_some_and(|b| b.is_void(now)) {
            self.void(fresh);
        }
        if self.journal.is_opening() || self.borrower.as_ref().is_none_or(|b| b.is_silent) {
            return vec![];
        }
        self.agree(now);
        let obeyed = self.obeyed_for_good();
        let agreed = if self.unseen_until(now).is_none() { obeyed.number } else { 0 };
        let Some(borrower) = &mut self.borrower else { return vec![] };
        let is_full = borrower.wants_full;
        // Between the whole ones, what somebody waits for here or elsewhere.
        let is_due = borrower.told_all.is_none_or(|at| now.since(at) >= REPORT);
        let is_whole = is_full || is_due || borrower.phase > Phase::Serving;
        if is_whole {
            borrower.told_all = Some(now);
        }
        let mut keys = if is_full { self.all_keys(now) } else { std::mem::take(&mut borrower.active) };
        let float = |index: u32| {
            let account = self.accounts.get(index as usize)?;
            Some((account.float.as_deref()?, &self.books[usize::from(account.cap)]))
        };
        let waits = |index: &u32| float(*index).is_some_and(|(f, _)| f.pend() > 0);
        if is_whole {
            // A hold waits for the answer to the first report from now on.
            keys.sort_by_key(|index| !waits(index));
        } else {
            let recalled = |index: &u32| float(*index).is_some_and(|(f, book)| f.is_recalled(now, &book.grid));
            let (urgent, later) = keys.into_iter().partition(|index| waits(index) || recalled(index));
            keys = urgent;
            if let Some(borrower) = &mut self.borrower {
                borrower.active = later;
            }
        }
        let rows: Vec<KeyReport> = keys.iter().filter_map(|index| self.row(*index, now)).collect();
        let Some(borrower) = &mut self.borrower else { return vec![] };
        let most = if rows.is_empty() { 1 } else { rows.len().div_ceil(MOST_KEYS) };
        let mut reports = Vec::with_capacity(most);
        let mut rows = rows.into_iter();
        for n in 0..most {
            borrower.number += 1;
            if borrower.sent.len() >= MOST_SENT {
                borrower.sent.pop_front();
            }
            borrower.sent.push_back((borrower.number, now));
            reports.push(Report {
                incarnation: borrower.incarnation,
                term: borrower.term,
                number: borrower.number,
                full: is_full.then_some(Part { number: n as u32, is_last: n + 1 == most }),
                keys: rows.by_ref().take(MOST_KEYS).collect(),
                share: ShareReport { number: agreed, remaining: Duration::ZERO },
                edition: obeyed.edition,
                phase: borrower.phase,
            });
        }
        borrower.reported = Some(now);
        borrower.is_urgent = false;
        // It is asked for again if it is not heard.
        borrower.wants_full = false;
        let remaining = self.share_remaining(now);
        reports.iter_mut().for_each(|r| r.share.remaining = remaining);
        reports
    }

    /// The last words: every coin goes back, what cools with its time. What is held is left: the lender waits for it. None
    /// where the disk may still have the share that they give back: it would be found again by the next process.
    pub fn end(&mut self, now: Tick) -> Vec<Report> {
        match &mut self.borrower {
            Some(borrower) if self.journal.keeps_share() => {
                borrower.is_silent = true;
                vec![]
            }
            _ => self.words(now),
        }
    }

    /// The last words, whatever the disk has.
    pub(super) fn words(&mut self, now: Tick) -> Vec<Report> {
        let Some(borrower) = self.borrower.as_mut().filter(|b| !b.is_silent) else { return vec![] };
        (borrower.phase, borrower.wants_full) = (Phase::Last, true);
        let reports = self.report(Incarnation::default(), now);
        if let Some(borrower) = &mut self.borrower {
            borrower.is_silent = true;
            // What still settles is the lender's by now.
            borrower.epoch = borrower.epoch.wrapping_add(1);
        }
        reports
    }

    /// The stream to the lender is a new one: it may have missed something.
    pub fn reconnected(&mut self) {
        if let Some(borrower) = &mut self.borrower {
            borrower.wants_full = true;
            (borrower.reported, borrower.told_all) = (None, None);
        }
    }

    /// Every key with coins, and those that all share.
    fn all_keys(&mut self, now: Tick) -> Vec<u32> {
        for at in 0..self.in_force.len() {
            let index = self.in_force[at];
            let book = &self.books[usize::from(index)];
            if book.cap.scope == Scope::Policy && book.shared.is_none() {
                let account = self.untouched(index, None, now);
                self.insert(account);
            }
        }
        let mut all = vec![];
        let Some(borrower) = &mut self.borrower else { return all };
        borrower.active.clear();
        for (index, account) in self.accounts.iter_mut().enumerate().filter(|(_, a)| a.live) {
            let is_policy_wide = self.books[usize::from(account.cap)].cap.scope == Scope::Policy;
            if is_policy_wide && account.float.is_none() {
                account.float = Some(Box::new(Float::new(now)));
            }
            if let Some(float) = &mut account.float {
                float.is_active = false;
                float.calm_since = None;
                all.push(index as u32);
            }
        }
        all
    }

    /// One key's row; what goes back with it goes for good.
    fn row(&mut self, index: u32, now: Tick) -> Option<KeyReport> {
        let (books, horizon) = (&self.books, self.horizon);
        let account = self.accounts.get_mut(index as usize)?;
        let book = &books[usize::from(account.cap)];
        let borrower = self.borrower.as_mut()?;
        let Account { float, ring, .. } = account;
        let float = float.as_deref_mut()?;
        if borrower.may_hold(horizon, now) && borrower.phase < Phase::Last {
            let eased = float.ease(ring, now, &book.grid);
            if eased {
                self.journal.changed(index, account);
            }
        }
        let Account { float, value, .. } = account;
        let float = float.as_deref_mut()?;
        // Never into the void: what is given to a lender that is gone is nobody's until it is counted as lost.
        let is_heard = borrower.heard.is_some_and(|heard| now.since(heard) <= REPORT * 3);
        let cedes = is_heard || !on(Rule::CedeToTheLiving);
        match borrower.phase {
            Phase::Last => float.end(now, &book.grid),
            phase if cedes => float.cede(phase == Phase::Draining, book.is_long, now, &book.grid),
            _ => {}
        }
        let (rate, unit) = float.demand(now);
        let row = KeyReport {
            key: book.key(value.clone()),
            granted: float.granted(),
            ceded: float.ceded(),
            cedes: float.cedes(now),
            in_use: float.in_use(now, &book.grid),
            pend: float.pend(),
            rate,
            unit,
        };
        let number = borrower.number + 1;
        let since = if float.is_calm(now, &book.grid) { float.calm_since.or(Some(number)) } else { None };
        float.is_active = false;
        borrower.activate(index, float);
        float.calm_since = since;
        // Every report since then said that nothing goes on, and one of them was heard.
        if since.is_some_and(|since| borrower.echo >= since) {
            float.is_active = false;
            borrower.active.pop();
        }
        Some(row)
    }

    /// Until the last charge of the share has cooled, if nothing more is drawn.
    fn share_remaining(&self, now: Tick) -> Duration {
        let horizon = Tick(now.0.saturating_add(self.horizon));
        let last = |account: &Account| {
            let book = &self.books[usize::from(account.cap)];
            let held = (account.held > 0).then(|| book.grid.free_at(horizon));
            let unseen = Some(account.share_from).filter(|at| *at > now);
            account.ring.last_free(now, &book.grid).max(held).max(unseen)
        };
        if self.borrower.as_ref().is_none_or(|b| b.phase < Phase::Last) {
            return Duration::ZERO;
        }
        let known = self.accounts.iter().filter(|a| a.live).filter_map(last).max();
        // Who finds nothing does not know what a process before it drew, until it is told.
        let before =
            self.books.iter().filter(|_| !self.journal.knows_past).map(|book| book.grid.free_at(horizon)).max();
        known.max(before).max(self.unseen_until(now)).map(|at| at.since(now)).unwrap_or_default()
    }

    /// Obeys a new share and newer terms, where what is drawn of every key allows.
    fn agree(&mut self, now: Tick) {
        // What an earlier process drew may be more than fits, and nothing is known of it.
        let is_seen = self.journal.knows_past && self.unseen_until(now).is_none();
        let Some(borrower) = self.borrower.as_mut().filter(|_| is_seen) else { return };
        let books = &self.books;
        let drawn = || {
            self.accounts.iter().filter(|a| a.live).map(|account| {
                let book: &Book = &books[usize::from(account.cap)];
                (account.taken(book, now), book)
            })
        };
        if self.share.is_pending() && self.share.obey(drawn().map(|(n, book)| (n, book.guaranteed_hi))) {
            self.journal.low = true;
        }
        if borrower.edition < borrower.next_edition && drawn().all(|(n, book)| n <= self.share.of(book.guaranteed, now))
        {
            borrower.edition = borrower.next_edition;
            self.books.iter_mut().for_each(|book| book.guaranteed_hi = book.guaranteed);
        }
    }
}
