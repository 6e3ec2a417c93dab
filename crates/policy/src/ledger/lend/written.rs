//! What must outlast a lender: one object, replaced whole by whoever read it last.

use std::{sync::Arc, time::Duration};

use super::super::{
    hold::{Key, Unit},
    message::Incarnation,
};
use crate::snapshot::Scope;

/// The ledger object of a policy. Times are durations from its composing on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Of the lender that wrote it.
    pub term: u64,
    /// Who may hold coins or obey an older lender.
    pub roll: Vec<(Arc<str>, Incarnation)>,
    /// Guaranteed shares.
    pub shares: Vec<WrittenShare>,
    /// The longest time from a hold to its final bill that anybody may still go by.
    pub horizon: Duration,
    /// How long an expired lease may be revived, at most.
    pub claim: Duration,
    /// Caps.
    pub funds: Vec<WrittenFund>,
    /// Keys of long windows.
    pub pots: Vec<WrittenPot>,
    /// An object before this one was lost.
    pub lost: Option<Lost>,
}

/// How long what a lost object said may still matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Coins of anybody may be anywhere; over once there is none of these.
    pub coins: Duration,
    /// Shares may be anybody's.
    pub shares: Duration,
}

/// A pod's share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenShare {
    /// The pod's UID.
    pub pod: Arc<str>,
    /// In [`super::super::terms::WHOLE`]ths, the most that it may go by.
    pub parts: u64,
    /// Until it is free again, of a pod that ended.
    pub remaining: Option<Duration>,
}

/// A cap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenFund {
    /// Identity of the cap.
    pub unit: Unit,
    /// Identity of the cap.
    pub name: Arc<str>,
    /// Identity of the cap.
    pub scope: Scope,
    /// The longest window that anybody may still go by.
    pub window: Duration,
    /// Its keys have checkpoints.
    pub is_long: bool,
    /// The highest guaranteed part of a key that some pod may still draw on.
    pub shares_hi: u64,
    /// The most coins of a key that may be lent or unheard of.
    pub float_hi: u64,
}

/// The checkpoint of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenPot {
    /// Which.
    pub key: Key,
    /// Coins that are lent, of unknown whereabouts, or may be lent under this checkpoint.
    pub out: u64,
    /// Coins that cool.
    pub cooling: Vec<(Duration, u64)>,
    /// It says something else than when it was composed last, but for the time that went by. Nobody writes this down.
    pub is_changed: bool,
}

/// A write: to be put in place of the object that was read or written last, and of no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// For [`super::Lender::written`].
    pub id: u64,
    /// What to write.
    pub object: Written,
}
