//! What a pod may spend without asking: the part of every cap that is never lent, shared out among pods.

use super::{
    Ledger,
    borrow::{Borrower, obey},
    message::{ShareGrant, Terms},
    rules::{Rule, on},
    terms::{SHARE_TTL, WHOLE, parts_of},
};
use crate::Tick;

/// A share as the journal keeps it, for a process that begins while no lender answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptShare {
    /// In [`WHOLE`]ths; 0 for none.
    pub parts: u64,
    /// Of its grant.
    pub number: u64,
    /// When it ends.
    pub until: Tick,
    /// The newest term of a lender that was heard.
    pub term: u64,
    /// What earlier processes of the pod drew is known, or known to be lost.
    pub knows_past: bool,
    /// What all shares together may draw of one key of each cap.
    pub terms: Vec<Terms>,
}

/// What is obeyed of a lender's word.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Obeyed {
    /// Of the lender that counts editions.
    pub(super) term: u64,
    /// The newest terms.
    pub(super) edition: u64,
    /// The newest grant of a share.
    pub(super) number: u64,
}

impl KeptShare {
    /// None, once this is given back.
    pub(super) fn given_back(self) -> KeptShare {
        KeptShare { knows_past: self.knows_past, ..KeptShare::default() }
    }

    /// Says what `newer` says, but for when it ends: a little sooner does no harm.
    pub(super) fn says(&self, newer: &KeptShare) -> bool {
        let what = |kept: &KeptShare| (kept.parts, kept.number, kept.term, kept.knows_past);
        what(self) == what(newer) && self.terms == newer.terms && newer.until.since(self.until) < SHARE_TTL / 24
    }
}

/// A share of what is guaranteed of each cap. Standalone it is the whole of that, for good, and all of each cap is
/// guaranteed.
#[derive(Debug)]
pub(super) struct Share {
    /// In [`WHOLE`]ths.
    parts: u64,
    /// Of the grant that is obeyed; 0 before the first.
    pub(super) number: u64,
    until: Tick,
    /// Another one, obeyed as soon as what is drawn fits it, and until when it is good.
    next: Option<(ShareGrant, Tick)>,
}

impl Share {
    /// Of a sidecar that has no lender.
    pub(super) const ALL: Share = Share { parts: WHOLE, number: 0, until: Tick(u64::MAX), next: None };
    /// Of one that was granted none. How large that of an earlier process was, whose draws may still count, nobody knows.
    pub(super) const NONE: Share = Share { parts: WHOLE, number: 0, until: Tick(0), next: None };

    /// What may be drawn of a key, of which all shares together have `guaranteed`. Nothing more is drawn than fits a smaller
    /// share to come, or it would never come.
    pub(super) fn of(&self, guaranteed: u64, now: Tick) -> u64 {
        let (parts, until) = match self.next {
            Some((next, until)) => (next.parts.min(self.parts), until),
            None => (self.parts, self.until),
        };
        let is_over = now >= until && (on(Rule::ShareEnds) || until == Tick(0));
        if is_over { 0 } else { parts_of(guaranteed, parts) }
    }

    /// Takes the newest grant; it answers a report of `sent`. What it takes the place of is good for no longer than before:
    /// whoever granted that may have waited its end out.
    pub(super) fn grant(&mut self, grant: ShareGrant, sent: Option<Tick>) {
        let later = |known: Tick| sent.map_or(known, |sent| known.max(sent.after(SHARE_TTL)));
        if grant.number == self.number {
            (self.until, self.next) = (later(self.until), None);
        } else {
            let known = self.next.map_or(self.until, |(_, until)| until);
            self.next = Some((grant, later(known)));
        }
    }

    /// Obeys a new grant if every key's draws fit it: `(drawn, guaranteed)`. True if it does.
    pub(super) fn obey(&mut self, mut keys: impl Iterator<Item = (u64, u64)>) -> bool {
        let next = self.next.take_if(|(next, _)| keys.all(|(n, of)| n <= parts_of(of, next.parts)));
        if let Some((next, until)) = next {
            *self = Share { parts: next.parts, number: next.number, until, next: None };
        }
        next.is_some()
    }

    /// A grant waits to be obeyed.
    pub(super) fn is_pending(&self) -> bool {
        self.next.is_some()
    }
}

impl Ledger {
    /// What the journal is to say of the share; `None` where no caps are lent.
    pub(super) fn share_to_keep(&self) -> Option<KeptShare> {
        let (term, _) = self.borrower.as_ref()?.obeys();
        let Share { parts, number, until, next: _ } = self.share;
        let knows_past = self.journal.knows_past;
        if number == 0 {
            return Some(KeptShare { knows_past, ..KeptShare::default() });
        }
        let terms = self.books.iter().filter(|book| book.guaranteed > 0).map(|book| Terms {
            unit: book.cap.unit,
            name: book.cap.name.clone(),
            scope: book.cap.scope,
            guaranteed: book.guaranteed,
            is_long: book.is_long,
        });
        Some(KeptShare { parts, number, until, term, knows_past, terms: terms.collect() })
    }

    /// What is obeyed by now.
    pub(super) fn obeyed(&self) -> Obeyed {
        let (term, edition) = self.borrower.as_ref().map_or((0, 0), Borrower::obeys);
        Obeyed { term, edition, number: self.share.number }
    }

    /// What a lender may be told to be obeyed: a crash must not bring back more.
    pub(super) fn obeyed_for_good(&self) -> Obeyed {
        let (now, kept) = (self.obeyed(), self.journal.obeyed);
        if !self.journal.on || !on(Rule::AgreedWhenDurable) {
            return now;
        }
        Obeyed { edition: if kept.term == now.term { kept.edition.min(now.edition) } else { 0 }, ..kept }
    }

    /// The disk may have a share of a lender that we left: it is not to hear of that yet.
    #[must_use]
    pub fn keeps_left_share(&self) -> bool {
        self.journal.has_left
    }

    /// Goes on with the share that an earlier process of this pod had of this lender.
    pub(super) fn restore_share(&mut self, kept: KeptShare) {
        let KeptShare { parts, number, until, term, terms, knows_past: _ } = kept;
        self.share = Share { parts, number, until, next: None };
        if let Some(borrower) = &mut self.borrower {
            borrower.knows(term);
        }
        obey(&mut self.books, &terms);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PART: u64 = WHOLE / 10;

    fn granted(number: u64, parts: u64) -> ShareGrant {
        ShareGrant { number, parts: parts * PART, is_known: false }
    }

    #[test]
    fn a_grant_is_obeyed_once_what_is_drawn_fits() {
        let (day, now) = (SHARE_TTL, Tick(0).after(SHARE_TTL * 50));
        let mut share = Share::NONE;
        assert_eq!(share.of(1_000, now), 0);
        share.grant(granted(1, 8), Some(now));
        assert_eq!((share.of(1_000, now), share.number), (800, 0), "it is drawn on at once");
        share.obey([(900, 1_000)].into_iter());
        assert_eq!(share.number, 0, "an earlier process drew more");
        share.obey([(0, 0), (800, 1_000)].into_iter());
        assert_eq!((share.number, share.is_pending()), (1, false));

        // Smaller ones count at once, larger ones when they are obeyed.
        share.grant(granted(2, 5), Some(now));
        assert_eq!((share.of(1_000, now), share.number), (500, 1));
        share.grant(granted(3, 9), Some(now));
        assert_eq!((share.of(1_000, now), share.number), (800, 1));
        share.obey([(500, 1_000)].into_iter());
        assert_eq!((share.of(1_000, now), share.number), (900, 3));

        // The same one again is good for longer; one in its place does not make it so.
        let later = now.after(Duration::from_secs(60));
        share.grant(granted(3, 9), Some(later));
        assert_eq!(share.until, later.after(day));
        let back = later.after(day * 2);
        assert_eq!(share.of(1_000, back), 0, "it is over");
        share.grant(granted(9, 4), Some(back));
        assert_eq!((share.of(1_000, back), share.until), (400, later.after(day)));
    }
}
