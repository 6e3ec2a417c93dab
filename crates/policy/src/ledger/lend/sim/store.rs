//! The API server: one Lease and one ledger object, replaced by who read them last.

use super::super::Written;
use crate::ledger::rules::{Rule, on};

#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    version: u64,
    object: Option<Written>,
    /// The policy's status tells of a ledger.
    pub(super) is_known: bool,
    pub(super) lease: Election,
}

/// The Lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Election {
    pub(super) holder: Option<usize>,
    pub(super) renewals: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Call {
    /// Takes or renews the Lease as it was seen.
    Renew(usize, Election),
    Get,
    Put(u64, Box<Written>),
}

#[derive(Clone, Debug)]
pub(super) enum Reply {
    Lease(bool, Election),
    Object { version: u64, object: Option<Box<Written>>, is_known: bool },
    Put(Result<u64, ()>),
}

impl Store {
    pub(super) fn serve(&mut self, call: Call) -> Reply {
        match call {
            Call::Renew(by, seen) => {
                let may = self.lease == seen;
                if may {
                    self.lease = Election { holder: Some(by), renewals: self.lease.renewals + 1 };
                }
                Reply::Lease(may, self.lease)
            }
            Call::Get => {
                let (version, is_known) = (self.version, self.is_known);
                Reply::Object { version, object: self.object.clone().map(Box::new), is_known }
            }
            Call::Put(version, object) => {
                if version != self.version && on(Rule::Cas) {
                    return Reply::Put(Err(()));
                }
                self.version += 1;
                self.object = Some(*object);
                self.is_known = true;
                Reply::Put(Ok(self.version))
            }
        }
    }

    pub(super) fn lose(&mut self) {
        self.object = None;
        self.version += 1;
    }

    pub(super) fn roll(&self) -> usize {
        self.object.as_ref().map_or(0, |o| o.roll.len())
    }
}
