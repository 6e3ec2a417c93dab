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
    /// Says what `newer` says, but for when it ends: a little sooner does no harm.
    pub(super) fn says(&self, newer: &KeptShare) -> bool {
        let is_same = (self.parts, self.number, &self.terms) == (newer.parts, newer.number, &newer.terms);
        is_same && newer.until.since(self.until) < SHARE_TTL / 24
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
    /// A smaller one, obeyed as soon as what is drawn fits it.
    next: Option<ShareGrant>,
}

impl Share {
    /// Of a sidecar that has no lender.
    pub(super) const ALL: Share = Share { parts: WHOLE, number: 0, until: Tick(u64::MAX), next: None };
    /// Of one that no lender has heard.
    pub(super) const NONE: Share = Share { parts: 0, number: 0, until: Tick(0), next: None };

    /// What may be drawn of a key, of which all shares together have `guaranteed`. Nothing more is drawn than fits a smaller
    /// share to come, or it would never come.
    pub(super) fn of(&self, guaranteed: u64, now: Tick) -> u64 {
        let parts = self.next.map_or(self.parts, |next| next.parts.min(self.parts));
        if now < self.until || !on(Rule::ShareEnds) { parts_of(guaranteed, parts) } else { 0 }
    }

    /// Takes the newest grant; it answers a report of `sent`.
    pub(super) fn grant(&mut self, grant: ShareGrant, sent: Option<Tick>) {
        if let Some(sent) = sent {
            self.until = self.until.max(sent.after(SHARE_TTL));
        }
        if grant.parts >= self.parts {
            (self.parts, self.number, self.next) = (grant.parts, grant.number, None);
        } else {
            self.next = Some(grant);
        }
    }

    /// Obeys a smaller share if every key's draws fit it: `(drawn, guaranteed)`.
    pub(super) fn shrink(&mut self, mut keys: impl Iterator<Item = (u64, u64)>) {
        if let Some(next) = self.next.take_if(|next| keys.all(|(n, of)| n <= parts_of(of, next.parts))) {
            (self.parts, self.number) = (next.parts, next.number);
        }
    }

    /// A smaller share waits to be obeyed.
    pub(super) fn is_shrinking(&self) -> bool {
        self.next.is_some()
    }
}

impl Ledger {
    /// What the journal is to say of the share; `None` where no caps are lent.
    pub(super) fn share_to_keep(&self) -> Option<KeptShare> {
        self.borrower.as_ref()?;
        let Share { parts, number, until, next: _ } = self.share;
        if parts == 0 {
            return Some(KeptShare::default());
        }
        let terms = self.books.iter().filter(|book| book.guaranteed > 0).map(|book| Terms {
            unit: book.cap.unit,
            name: book.cap.name.clone(),
            scope: book.cap.scope,
            guaranteed: book.guaranteed,
            is_long: book.is_long,
        });
        Some(KeptShare { parts, number, until, terms: terms.collect() })
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
        let KeptShare { parts, number, until, terms } = kept;
        self.share = Share { parts, number, until, next: None };
        obey(&mut self.books, &terms);
    }
}
