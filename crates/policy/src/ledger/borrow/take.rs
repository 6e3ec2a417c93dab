//! What a borrower makes of an answer.

use std::time::Duration;

use super::super::{
    Ledger,
    cap::Book,
    hold::Key,
    message::{Answer, Incarnation, KeyLease, Lease, Terms},
    rules::{Rule, on},
    terms::{REPORT, nanos},
};
use super::{Borrower, float::Float};
use crate::{Tick, snapshot::Scope};

impl Ledger {
    /// Takes an answer of the lender; `fresh` names the next incarnation, should this one be over. Answers to another
    /// incarnation, of another term or overtaken by a newer one change nothing.
    pub fn take_answer(&mut self, answer: &Answer, fresh: Incarnation, now: Tick) {
        let Some(borrower) = self.borrower.as_mut().filter(|_| !self.journal.is_opening()) else { return };
        let is_of_our_lender = |term: u64| term == borrower.term || !on(Rule::NewestTerm);
        match answer {
            Answer::Welcome { term } if *term > borrower.term => {
                self.follow(*term, fresh, now);
            }
            Answer::Welcome { term } if *term == borrower.term => borrower.wants_full = true,
            Answer::Void { incarnation } if *incarnation == borrower.incarnation => self.void(fresh),
            Answer::Lease(lease) if lease.incarnation == borrower.incarnation && is_of_our_lender(lease.term) => {
                if borrower.is_void(now) {
                    self.void(fresh);
                } else if lease.seq > borrower.seq || !on(Rule::NewestLease) {
                    self.take_lease(lease, now);
                }
            }
            _ => {}
        }
    }

    /// A new lender counts from what is here.
    fn follow(&mut self, term: u64, fresh: Incarnation, now: Tick) {
        let Some(borrower) = &mut self.borrower else { return };
        if borrower.is_void(now) {
            self.void(fresh);
        }
        let Some(borrower) = &mut self.borrower else { return };
        (borrower.term, borrower.seq, borrower.echo) = (term, 0, 0);
        (borrower.edition, borrower.next_edition) = (0, 0);
        borrower.sent.clear();
        borrower.wants_full = true;
        self.accounts.iter_mut().filter_map(|a| a.float.as_deref_mut()).for_each(Float::follow);
    }

    fn take_lease(&mut self, lease: &Lease, now: Tick) {
        let Some(borrower) = &mut self.borrower else { return };
        let sent = borrower.heard(lease, now);
        obey(&mut self.books, &borrower.terms);
        if let Some(grant) = lease.share {
            self.share_may_be_drawn(grant.is_known, now);
            self.share.grant(grant, sent);
        }
        for row in &lease.keys {
            self.take_key(row, now);
        }
    }

    fn take_key(&mut self, row: &KeyLease, now: Tick) {
        let Some(index) = self.account_of(&row.key) else { return };
        let account = &mut self.accounts[index as usize];
        let book = &self.books[usize::from(account.cap)];
        let float = account.float.get_or_insert_with(|| Box::new(Float::new(now)));
        let before = float.coins();
        float.take(row.granted, row.ceded, row.limit, row.keep);
        float.used = (row.used, now);
        float.is_coming = row.retry_after == Some(Duration::ZERO);
        float.retry_at = row.retry_after.map(|after| now.after(if float.is_coming { REPORT } else { after }));
        let is_news = float.coins() != before || float.is_above(now, &book.grid);
        if let Some(borrower) = self.borrower.as_mut().filter(|_| is_news) {
            borrower.is_urgent |= float.is_recalled(now, &book.grid);
            borrower.activate(index, float);
        }
    }

    /// The account of a key that the lender names. It is one that was told of.
    fn account_of(&self, key: &Key) -> Option<u32> {
        let at = self.books.iter().position(|b| b.is_named(key.unit, &key.name, key.scope))?;
        let book = &self.books[at];
        match &key.value {
            Some(value) => book.keys.get(value).copied(),
            None if key.scope == Scope::Policy => book.shared,
            None => None,
        }
    }
}

/// Goes by what a lender says of all caps, if it does.
pub(in crate::ledger) fn obey(books: &mut [Book], terms: &[Terms]) {
    for book in books.iter_mut().filter(|_| !terms.is_empty()) {
        let said = terms.iter().find(|t| book.is_named(t.unit, &t.name, t.scope));
        book.guaranteed = said.map_or(0, |t| t.guaranteed);
        book.guaranteed_hi = book.guaranteed_hi.max(book.guaranteed);
        book.is_long = said.map_or(book.is_long, |t| t.is_long);
    }
}

impl Borrower {
    /// Takes what a lease says of itself; when the report was sent that it answers.
    fn heard(&mut self, lease: &Lease, now: Tick) -> Option<Tick> {
        self.seq = lease.seq;
        self.echo = self.echo.max(lease.echo);
        self.heard = Some(now);
        self.horizon = nanos(lease.horizon);
        self.claim = lease.claim;
        if !lease.terms.is_empty() {
            (self.next_edition, self.terms) = (lease.edition, lease.terms.clone());
        }
        let sent = self.sent.iter().find(|(number, _)| *number == lease.echo).map(|(_, sent)| *sent);
        let from = if on(Rule::LeaseFromSending) { sent } else { Some(now) };
        if let Some(from) = from {
            self.lease_end = self.lease_end.max(Some(from.after(lease.ttl)));
        }
        sent
    }
}
