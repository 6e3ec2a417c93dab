//! The lender's side of shared caps: whoever leads lends coins to sidecars, and nothing that it forgets is spent twice.
//!
//! LEDGER: coins are lent from what is left of a cap, to incarnations on the written roll, booked before they are sent. A
//! borrower that falls silent is waited for: its lease, the last bill of what it held, and the window. A new lender takes
//! what it does not know for lent, until it was claimed or has been waited for.

mod allowed;
mod demand;
mod fund;
mod hear;
mod member;
mod parts;
mod pot;
mod push;
mod shares;
mod unknown;
mod view;
mod write;
mod written;

#[cfg(test)]
mod sim;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::RandomState,
    sync::Arc,
    time::Duration,
};

use self::{allowed::Allowed, fund::Fund, member::Member, pot::Pot, shares::Shares, unknown::Unknown};
pub use self::{
    hear::Heard,
    parts::{Parts, Said, part_of},
    view::Stand,
    written::{Lost, Write, Written, WrittenFund, WrittenPot, WrittenShare},
};
use super::{
    cap::Cap,
    hold::Key,
    horizon,
    message::Incarnation,
    rules::{Rule, on},
    terms::{MOST_CLAIM, TTL, by_other_clock, nanos},
};
use crate::{Tick, snapshot::Scope};

/// A leader acts for so long after it sent its last successful renewal.
pub const VALID: Duration = Duration::from_secs(15);

/// Lends the coins of one policy while it leads. Begun by reading the ledger object; nothing is done before the first write
/// is acknowledged.
#[derive(Debug)]
pub struct Lender {
    term: u64,
    /// It acts before this.
    valid: Tick,
    /// What was found, until the first write is in force.
    opening: Option<Box<Written>>,
    /// There was an object, and it is lost.
    is_lost: bool,
    /// What it said matters until then.
    lost_until: Tick,
    funds: Vec<Fund>,
    pots: Vec<Option<Pot>>,
    places: HashMap<Key, usize, RandomState>,
    vacant: Vec<usize>,
    /// Pots to be looked at.
    due: BTreeSet<usize>,
    members: BTreeMap<Incarnation, Member>,
    shares: Shares,
    unknown: Unknown,
    /// From a hold to its final bill, in nanoseconds: the longest that anybody may go by, and what is written.
    horizon: (u64, Allowed),
    /// What the policy says of it.
    horizon_now: u64,
    /// How long an expired lease may be revived, the same.
    claim: (u64, Allowed),
    /// Counts what borrowers are to obey.
    edition: u64,
    writes: write::Writes,
    most_keys: usize,
}

impl Lender {
    /// Takes over as the lender of `term`, higher than all before. `found` is the ledger object, in which the term is to be
    /// written before anything else; none at a first start, when the policy's status knows of none. With `is_lost` there was
    /// one: all is unknown then.
    #[must_use]
    pub fn take_over(term: u64, found: Option<Written>, is_lost: bool, now: Tick) -> Lender {
        let is_lost = is_lost && on(Rule::LostLedgerIsUnknown);
        Lender {
            term,
            valid: Tick(0),
            opening: Some(Box::new(found.unwrap_or_default())),
            is_lost,
            lost_until: Tick(u64::MAX),
            funds: vec![],
            pots: vec![],
            places: HashMap::default(),
            vacant: vec![],
            due: BTreeSet::new(),
            members: BTreeMap::new(),
            shares: Shares::new(term),
            unknown: Unknown::default(),
            horizon: (0, Allowed::of(0)),
            horizon_now: 0,
            claim: (0, Allowed::of(0)),
            edition: 1,
            writes: write::Writes::new(now),
            most_keys: super::terms::MOST_VALUES,
        }
    }

    /// The election was won again by a renewal sent so that it is good until `valid`.
    pub fn renewed(&mut self, valid: Tick) {
        self.valid = self.valid.max(valid);
    }

    /// It may act.
    #[must_use]
    pub fn is_valid(&self, now: Tick) -> bool {
        now < self.valid || !on(Rule::Fence)
    }

    /// Its first write is in force.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.opening.is_none()
    }

    /// Its term.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.term
    }

    /// Puts a policy's caps in force; `bill_horizon` is the longest of its providers. What grows is used once it is written,
    /// what shrinks once nobody goes by more.
    pub fn configure(&mut self, caps: Vec<Cap>, bill_horizon: Duration) {
        for fund in &mut self.funds {
            fund.in_force = false;
        }
        for cap in caps {
            match self.funds.iter_mut().find(|f| same(&f.cap, &cap)) {
                Some(fund) => (fund.cap, fund.in_force) = (cap, true),
                None => self.funds.push(Fund::new(cap)),
            }
        }
        self.horizon_now = horizon(bill_horizon);
        self.edition += 1;
        if self.opening.is_none() {
            self.raise();
        }
    }

    /// Takes the policy's words into what is to be written.
    fn raise(&mut self) {
        self.funds.iter_mut().for_each(Fund::raise);
        self.horizon.0 = self.horizon.0.max(self.horizon_now);
        let shortest = self.funds.iter().filter(|f| f.in_force).map(|f| f.cap.window).min().unwrap_or_default();
        let claim = self.horizon.0.saturating_add(nanos(shortest)).min(nanos(MOST_CLAIM));
        self.claim.0 = self.claim.0.max(claim);
        self.due.extend((0..self.pots.len()).filter(|at| self.pots[*at].is_some()));
        self.members.values_mut().for_each(|m| m.is_due = true);
        self.writes.want();
    }

    /// The pod ended for sure: the kubelet says so. It sends nothing more, and what it sent is final in time.
    pub fn pod_ended(&mut self, pod: &Arc<str>, now: Tick) {
        if self.opening.is_some() || !self.is_valid(now) {
            return;
        }
        let of_pod = self.members.iter().filter(|(_, m)| m.pod == *pod && m.is_open()).map(|(i, _)| *i);
        for incarnation in of_pod.collect::<Vec<_>>() {
            self.close(incarnation, now, now);
        }
        let free = Tick(now.0.saturating_add(self.settled_after(self.longest())));
        self.shares.end(pod, if on(Rule::SharesOutlastPods) { free } else { now });
        self.writes.want();
    }

    /// From the last possible hold of a silent borrower until its coins are free, in a window that `cools` so long.
    fn settled_after(&self, cools: u64) -> u64 {
        let horizon = if on(Rule::CloseWaitsHorizon) { by_other_clock(self.horizon.0) } else { 0 };
        horizon.saturating_add(if on(Rule::CloseWaitsWindow) { cools } else { 0 })
    }

    /// The longest a charge cools.
    fn longest(&self) -> u64 {
        self.funds.iter().map(Fund::cools).max().unwrap_or(0)
    }

    /// The same of what nothing is written of.
    fn longest_short(&self) -> u64 {
        self.funds.iter().filter(|f| !f.is_long).map(Fund::cools).max().unwrap_or(0)
    }

    /// Closes an incarnation whose last hold was before `end`.
    fn close(&mut self, incarnation: Incarnation, end: Tick, now: Tick) {
        let leaves = Tick(now.0.saturating_add(self.settled_after(self.longest_short())));
        let Some(member) = self.members.get_mut(&incarnation) else { return };
        let keys = std::mem::take(&mut member.keys);
        member.close(if on(Rule::RollOutlastsAccounts) { leaves } else { now });
        for at in keys {
            let cools = self.pots[at].as_ref().map_or(0, |p| self.funds[p.fund].cools());
            let release = Tick(end.0.saturating_add(self.settled_after(cools)));
            if let Some(pot) = &mut self.pots[at] {
                pot.close(incarnation, release, now);
                self.due.insert(at);
            }
        }
    }

    /// Ends what has run out: leases that were not revived, shares nobody was heard of for long, roll entries.
    fn expire(&mut self, now: Tick) {
        let claim = by_other_clock(self.claim.0);
        let over = |m: &Member| m.is_live() && m.lease_end.0.saturating_add(claim) < now.0;
        let closed: Vec<_> = self.members.iter().filter(|(_, m)| over(m)).map(|(i, m)| (*i, m.lease_end)).collect();
        for (incarnation, end) in closed {
            self.close(incarnation, end, now);
        }
        let before = self.members.len();
        self.members.retain(|_, m| m.leaves.is_none_or(|leaves| now < leaves));
        let silent_for =
            by_other_clock(nanos(super::terms::SHARE_TTL)).saturating_add(self.settled_after(self.longest()));
        if self.shares.expire(silent_for, now) || self.members.len() < before {
            self.writes.want();
        }
        self.unknown_runs_out(now);
        self.is_lost &= now < self.lost_until;
    }

    /// The pot of a key; made where there is none yet, of a cap that is known.
    fn pot(&mut self, key: &Key, now: Tick) -> Option<usize> {
        if let Some(at) = self.places.get(key) {
            return Some(*at);
        }
        if key.value.is_some() != (key.scope != Scope::Policy) {
            return None;
        }
        let is = |f: &Fund| f.cap.unit == key.unit && f.cap.name == key.name && f.cap.scope == key.scope;
        let fund = self.funds.iter().position(is)?;
        if key.scope != Scope::Policy && self.places.len() >= self.most_keys {
            return None;
        }
        let pot = self.untouched(key.clone(), fund, now);
        let at = self.vacant.pop().unwrap_or(self.pots.len());
        match self.pots.get_mut(at) {
            Some(slot) => *slot = Some(pot),
            None => self.pots.push(Some(pot)),
        }
        self.places.insert(key.clone(), at);
        Some(at)
    }

    /// Forgets a pot.
    fn forget(&mut self, at: usize) {
        if let Some(pot) = self.pots[at].take() {
            self.places.remove(&pot.key);
            self.vacant.push(at);
            self.due.remove(&at);
            for incarnation in pot.loans.keys() {
                if let Some(member) = self.members.get_mut(incarnation) {
                    member.keys.remove(&at);
                }
            }
        }
    }

    /// A lease's length on this clock, as the borrower may take it.
    fn lease(&self, now: Tick) -> Tick {
        Tick(now.0.saturating_add(by_other_clock(nanos(TTL))))
    }
}

fn same(a: &Cap, b: &Cap) -> bool {
    a.unit == b.unit && a.name == b.name && a.scope == b.scope
}

#[cfg(test)]
impl Lender {
    /// Nothing is lent to the dead, unknown or cooling.
    fn is_calm(&self, now: Tick) -> Result<(), String> {
        for pot in self.pots.iter().flatten() {
            if pot.unknown > 0 || pot.cooling.sum(now) > 0 || pot.over > 0 {
                return Err(format!("not calm: {pot:?}"));
            }
        }
        match self.members.iter().find(|(_, m)| !m.is_live()) {
            Some((incarnation, member)) => Err(format!("not calm: {incarnation:?} {member:?}")),
            None => Ok(()),
        }
    }
}
