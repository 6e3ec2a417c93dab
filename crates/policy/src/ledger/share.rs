//! What a pod may spend without asking: the part of every cap that is never lent, shared out among pods.

use super::{
    message::ShareGrant,
    rules::{Rule, on},
    terms::{SHARE_TTL, WHOLE, parts_of},
};
use crate::Tick;

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
