//! What is to be done about the certificates, and when. Times are seconds since 1970.

use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
/// Life of a CA.
pub const CA_LIFE: Duration = Duration::from_secs(365 * DAY.as_secs());
/// Life of the certificate that the operator serves with.
pub const LEAF_LIFE: Duration = Duration::from_secs(30 * DAY.as_secs());
/// So long a new CA is trusted before anything is signed by it, and an old one after that: connected sidecars hear of it at
/// once, those that are away when they come back.
pub const OVERLAP: Duration = Duration::from_secs(7 * DAY.as_secs());

/// How long things are good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lives {
    /// A CA; no certificate outlives the one that signed it.
    pub ca: Duration,
    /// As [`OVERLAP`] says; at most a tenth of `ca`, or there is no time between two changes.
    pub overlap: Duration,
}

impl Default for Lives {
    fn default() -> Lives {
        Lives { ca: CA_LIFE, overlap: OVERLAP }
    }
}

/// A certificate's validity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// From then on.
    pub from: u64,
    /// Until then.
    pub until: u64,
}

impl Span {
    /// Less than a third of its life is left.
    fn is_old(self, now: u64) -> bool {
        now >= self.until - self.until.saturating_sub(self.from) / 3
    }

    fn is_over(self, now: u64) -> bool {
        now >= self.until
    }
}

/// What the certificates say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dates {
    /// The CA that signs.
    pub issuer: Option<Span>,
    /// The CA that will sign.
    pub next: Option<Span>,
    /// The CA that signed before.
    pub old: Option<Span>,
    /// The certificate that is served with.
    pub leaf: Option<LeafDates>,
}

/// What the served certificate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafDates {
    /// Its validity.
    pub span: Span,
    /// It is signed by the issuer and has the names that are wanted.
    pub fits: bool,
}

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is no CA, or none that is valid: begin anew. Who trusted the one before must be told by other means.
    MakeIssuer,
    /// Make the CA that will follow, to be trusted from now on.
    MakeNext,
    /// Let it sign.
    Promote,
    /// Trust the one before no longer.
    DropOld,
    /// Sign a new certificate to serve with.
    MakeLeaf,
}

/// The first thing that is to be done, if anything is.
#[must_use]
pub fn due(dates: &Dates, overlap: Duration, now: u64) -> Option<Step> {
    let Dates { issuer, next, old, leaf } = *dates;
    let valid = |span: Span| !span.is_over(now);
    let next = next.filter(|span| valid(*span));
    let Some(issuer) = issuer.filter(|span| valid(*span)) else {
        return Some(if next.is_some() { Step::Promote } else { Step::MakeIssuer });
    };
    let after = |from: u64, overlaps: u64| now >= from.saturating_add(overlap.as_secs() * overlaps);
    if next.is_some_and(|next| after(next.from, 1)) {
        return Some(Step::Promote);
    }
    if next.is_none() && issuer.is_old(now) {
        return Some(Step::MakeNext);
    }
    // It signs from one overlap after its beginning on.
    if old.is_some_and(|old| !valid(old) || after(issuer.from, 2)) {
        return Some(Step::DropOld);
    }
    // No life of a leaf is longer than its issuer's: near that one's end a new leaf would be no younger.
    let is_old = |leaf: LeafDates| leaf.span.is_over(now) || leaf.span.is_old(now) && leaf.span.until < issuer.until;
    let serves = leaf.is_some_and(|leaf| leaf.fits && !is_old(leaf));
    (!serves).then_some(Step::MakeLeaf)
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: u64 = DAY.as_secs();

    fn ca(day: u64) -> Span {
        Span { from: day * D, until: day * D + CA_LIFE.as_secs() }
    }

    fn leaf(day: u64) -> Option<LeafDates> {
        Some(LeafDates { span: Span { from: day * D, until: day * D + LEAF_LIFE.as_secs() }, fits: true })
    }

    #[test]
    fn each_thing_has_its_day() {
        let unfit = leaf(100).map(|l| LeafDates { fits: false, ..l });
        let late = Some(LeafDates { span: Span { from: 350 * D, until: 365 * D }, fits: true });
        let d = |issuer: Option<u64>, next: Option<u64>, old: Option<u64>, leaf| Dates {
            issuer: issuer.map(ca),
            next: next.map(ca),
            old: old.map(ca),
            leaf,
        };
        let rows = [
            ("nothing is there", d(None, None, None, None), 0, Some(Step::MakeIssuer)),
            ("a CA alone", d(Some(0), None, None, None), 0, Some(Step::MakeLeaf)),
            ("all is young", d(Some(0), None, None, leaf(0)), 19, None),
            ("the leaf is old", d(Some(0), None, None, leaf(0)), 20, Some(Step::MakeLeaf)),
            ("another name, or another issuer", d(Some(0), None, None, unfit), 101, Some(Step::MakeLeaf)),
            ("the CA is young still", d(Some(0), None, None, leaf(240)), 243, None),
            ("the CA is old", d(Some(0), None, None, leaf(240)), 244, Some(Step::MakeNext)),
            ("the next one is trusted first", d(Some(0), Some(244), None, leaf(240)), 250, None),
            ("and signs then", d(Some(0), Some(244), None, leaf(240)), 251, Some(Step::Promote)),
            ("the old one is trusted on", d(Some(244), None, Some(0), leaf(251)), 257, None),
            ("and then no longer", d(Some(244), None, Some(0), leaf(251)), 258, Some(Step::DropOld)),
            ("an old one that is over", d(Some(100), None, Some(0), leaf(364)), 365, Some(Step::MakeNext)),
            ("the CA is over", d(Some(0), None, None, leaf(350)), 365, Some(Step::MakeIssuer)),
            ("the CA is over, the next one is there", d(Some(0), Some(360), None, leaf(350)), 365, Some(Step::Promote)),
            ("both are over", d(Some(0), Some(1), None, leaf(350)), 400, Some(Step::MakeIssuer)),
            ("a leaf up to the issuer's end", d(Some(0), Some(360), None, late), 361, None),
        ];
        for (what, dates, day, want) in rows {
            assert_eq!(due(&dates, OVERLAP, day * D), want, "{what}");
        }
    }
}
