//! What a lender and its borrowers say to each other.
//!
//! All values are absolute or cumulative, so that a message which is lost, doubled, late or overtaken does no harm.

use std::{sync::Arc, time::Duration};

use super::hold::{Key, Unit};
use crate::snapshot::Scope;

/// One life of a borrower: a random number, new at the start of its process and when its coins are void.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// How far a borrower's life has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It takes requests.
    #[default]
    Serving,
    /// It takes no new ones.
    Draining,
    /// It says its last: every coin goes back.
    Last,
}

/// What a borrower tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Whose coins these are.
    pub incarnation: Incarnation,
    /// The newest term it knows; 0 for none.
    pub term: u64,
    /// Counts its reports.
    pub number: u64,
    /// This is a part of a report on every key with coins, as the first one of a term must be. Else keys that are absent
    /// are unchanged.
    pub full: Option<Part>,
    /// Keys.
    pub keys: Vec<KeyReport>,
    /// Of the pod's guaranteed share.
    pub share: ShareReport,
    /// The newest [`Lease::edition`] that it obeys, of this term.
    pub edition: u64,
    /// How far its life has come.
    pub phase: Phase,
}

/// Which part of a full report; nothing counts as heard before the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// From 0.
    pub number: u32,
    /// None follows.
    pub is_last: bool,
}

/// One key of a [`Report`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyReport {
    /// Which.
    pub key: Key,
    /// Coins received in this incarnation and term.
    pub granted: u64,
    /// Coins given back since.
    pub ceded: u64,
    /// Of those, what the lender has not acknowledged, in order.
    pub cedes: Vec<Cede>,
    /// Coins in open holds, or cooling.
    pub in_use: u64,
    /// Holds that wait for coins.
    pub pend: u64,
    /// Held a second, of late.
    pub rate: u64,
    /// The largest hold of late.
    pub unit: u64,
}

/// Coins given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cede {
    /// [`KeyReport::ceded`] after it.
    pub after: u64,
    /// How much.
    pub amount: u64,
    /// Until it has cooled.
    pub remaining: Duration,
}

/// What a pod holds as its guaranteed share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShareReport {
    /// Of the newest [`ShareGrant`] that it obeys; 0 for none.
    pub number: u64,
    /// Until its last charge has cooled, if nothing more is drawn.
    pub remaining: Duration,
}

/// What a lender answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Coins, and how long they are good for.
    Lease(Lease),
    /// The lender's term is higher, or it has not heard of every key yet: a full report is due.
    Welcome {
        /// The lender's term.
        term: u64,
    },
    /// The incarnation is unknown or closed: its coins are void, a new one begins with none.
    Void {
        /// Which.
        incarnation: Incarnation,
    },
}

/// Coins, and how long they are good for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// The lender's.
    pub term: u64,
    /// Whose.
    pub incarnation: Incarnation,
    /// Counts this term's leases of the incarnation.
    pub seq: u64,
    /// The newest report heard.
    pub echo: u64,
    /// It ends so long after the sending of that report.
    pub ttl: Duration,
    /// And may be revived for so long after its end.
    pub claim: Duration,
    /// The lender waits so long, from a hold to its final bill, for coins that nobody gives back.
    pub horizon: Duration,
    /// Keys that changed.
    pub keys: Vec<KeyLease>,
    /// The pod's share, where there is one.
    pub share: Option<ShareGrant>,
    /// Counts changes of `terms`.
    pub edition: u64,
    /// Budgets, all of them or none.
    pub terms: Vec<Terms>,
}

/// One key of a [`Lease`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyLease {
    /// Which.
    pub key: Key,
    /// Coins given in this incarnation and term.
    pub granted: u64,
    /// Of [`KeyReport::ceded`], what is booked.
    pub ceded: u64,
    /// Free coins above so many in all go back.
    pub limit: u64,
    /// And free ones above so many.
    pub keep: u64,
    /// Spent or held of the key by anybody.
    pub used: u64,
    /// When more may be there, if nobody else takes it. Zero: what is asked for is there, and comes once it is written down.
    pub retry_after: Option<Duration>,
}

/// A guaranteed share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareGrant {
    /// Tells grants apart; they grow.
    pub number: u64,
    /// In [`super::terms::WHOLE`]ths of the guaranteed part of every key.
    pub parts: u64,
    /// Another process of this pod may have drawn on it.
    pub is_known: bool,
}

/// A cap as the lender counts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Identity of the cap.
    pub unit: Unit,
    /// Identity of the cap.
    pub name: Arc<str>,
    /// Identity of the cap.
    pub scope: Scope,
    /// What all shares together may draw of one key.
    pub guaranteed: u64,
    /// Charges are given back as they are settled: the window is long.
    pub is_long: bool,
}
