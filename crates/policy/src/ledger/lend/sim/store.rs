//! The API server: one Lease, and a ledger object of several parts, each replaced by who read it last.

use super::super::{Parts, Said, Written, WrittenPot};
use crate::ledger::rules::{Rule, on};

/// Beside the main one.
pub(super) const PARTS: usize = 2;

/// Of each part, the main one last.
pub(super) type Versions = [u64; PARTS + 1];

#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    versions: Versions,
    main: Option<Written>,
    pots: [Option<(u64, Vec<WrittenPot>)>; PARTS],
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
    Put(Box<Put>),
}

/// Part after part, in place of what was read or written last.
#[derive(Clone, Debug)]
pub(super) struct Put {
    pub(super) versions: Versions,
    pub(super) said: [Option<Said>; PARTS],
    pub(super) object: Written,
    /// The operator dies, or is cut off, after so many of them.
    pub(super) most: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Reply {
    Lease(bool, Election),
    Object {
        versions: Versions,
        object: Option<Box<Written>>,
        is_known: bool,
    },
    Put(Result<(Versions, [Option<Said>; PARTS]), ()>),
    /// Nobody is there to hear it.
    Lost,
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
                let (versions, is_known) = (self.versions, self.is_known);
                Reply::Object { versions, object: self.whole().map(Box::new), is_known }
            }
            Call::Put(put) => self.put(*put),
        }
    }

    fn whole(&self) -> Option<Written> {
        let main = self.main.clone()?;
        let pots: Vec<_> = self.pots.iter().cloned().collect::<Option<_>>()?;
        let (terms, pots): (Vec<u64>, Vec<_>) = pots.into_iter().unzip();
        Some(Parts { main, pots }.join(terms))
    }

    fn put(&mut self, put: Put) -> Reply {
        let Put { mut versions, mut said, object, most } = put;
        let (term, mut done) = (object.term, 0);
        let Parts { main, pots } = object.split(PARTS);
        for (at, pots) in pots.into_iter().enumerate() {
            if said[at].is_some_and(|said| said.stands_for(term, &pots)) {
                continue;
            }
            if done == most {
                return Reply::Lost;
            }
            if !self.replaces(at, &mut versions) {
                return Reply::Put(Err(()));
            }
            said[at] = Some(Said::new(term, &pots));
            self.pots[at] = Some((term, pots));
            done += 1;
        }
        if done == most {
            return Reply::Lost;
        }
        if !self.replaces(PARTS, &mut versions) {
            return Reply::Put(Err(()));
        }
        (self.main, self.is_known) = (Some(main), true);
        Reply::Put(Ok((versions, said)))
    }

    fn replaces(&mut self, at: usize, versions: &mut Versions) -> bool {
        let may = versions[at] == self.versions[at] || !on(Rule::Cas);
        self.versions[at] += u64::from(may);
        versions[at] = self.versions[at];
        may
    }

    /// One part of it goes, or all of it where there is none of that number.
    pub(super) fn lose(&mut self, part: usize) {
        match self.pots.get_mut(part) {
            Some(pots) => *pots = None,
            None => (self.main, self.pots) = (None, Default::default()),
        }
        self.versions.iter_mut().for_each(|version| *version += 1);
    }

    pub(super) fn roll(&self) -> usize {
        self.main.as_ref().map_or(0, |o| o.roll.len())
    }
}
