//! Who is lent what, and told so.

use std::{sync::Arc, time::Duration};

use super::super::{
    message::{Answer, Incarnation, KeyLease, Lease, Phase, Terms},
    rules::{Rule, on},
    terms::{REPORT, TTL},
};
use super::{
    Lender,
    demand::{Stand, share_out},
    fund::Fund,
    member::Member,
    pot::Pot,
};
use crate::{Tick, snapshot::Scope};

/// Keys of one lease; further ones are told with the next.
const MOST_KEYS: usize = 1_000;

impl Lender {
    /// Lends what is there to who needs it, and gives the leases that follow: to those who reported, and to those whose part
    /// changed. To be sent at once; each pod has its own stream.
    pub fn answers(&mut self, now: Tick) -> Vec<(Arc<str>, Answer)> {
        if self.opening.is_some() || !self.is_valid(now) {
            return vec![];
        }
        self.expire(now);
        for at in std::mem::take(&mut self.due) {
            self.lend(at, now);
        }
        let due =
            self.members.iter().filter(|(_, m)| m.is_live() && (m.is_due || !m.tell.is_empty()) && m.may_be_told());
        let due: Vec<Incarnation> = due.map(|(i, _)| *i).collect();
        due.into_iter().filter_map(|incarnation| self.compose_lease(incarnation, now)).collect()
    }

    /// Shares out one pot.
    fn lend(&mut self, at: usize, now: Tick) {
        let Some(pot) = &mut self.pots[at] else { return };
        let fund = &self.funds[pot.fund];
        pot.cooling.cool(now);
        let members = &self.members;
        let may_lend = |i: &Incarnation| members.get(i).is_some_and(|m| m.may_borrow(now));
        let stands: Vec<Stand> =
            pot.loans.iter().filter(|(i, _)| may_lend(i)).map(|(i, loan)| loan.stand(*i)).collect();
        let total = fund.total();
        let pool = pot.pool(total, now);
        let can = if fund.is_long && on(Rule::LendWithinCheckpoint) { pool.min(pot.room.now()) } else { pool };
        let there = total.saturating_sub(pot.cooling.sum(now)).saturating_sub(pot.unknown);
        let is_over = (pot.lent > there).then_some((there, pot.lent));
        let spread = !fund.is_long && pot.key.scope == Scope::Policy;
        let parts = share_out(&stands, can, is_over, spread);
        let mut lacked = 0u64;
        for (stand, part) in stands.iter().zip(parts) {
            let Some(loan) = pot.loans.get_mut(&stand.by) else { continue };
            let lack = stand.in_use.saturating_add(stand.pend).saturating_sub(stand.coins);
            lacked = lacked.saturating_add(lack.saturating_sub(part.more));
            let coins = stand.coins.saturating_add(part.more);
            let cedes = coins > part.limit || coins.saturating_sub(stand.in_use) > part.keep;
            let is_news = part.more > 0 || differs(loan.limit, part.limit) || cedes && differs(loan.keep, part.keep);
            loan.granted = loan.granted.saturating_add(part.more);
            (loan.limit, loan.keep) = (part.limit, part.keep);
            if part.more > 0 && stand.pend > 0 {
                loan.served = now;
            }
            pot.lent = pot.lent.saturating_add(part.more);
            pot.room.spend(part.more);
            pot.is_changed |= part.more > 0;
            if is_news && let Some(member) = self.members.get_mut(&stand.by) {
                member.tell.insert(at);
            }
        }
        pot.lacked = lacked;
        if lacked > 0 {
            // What only waits for a checkpoint is there.
            if can >= pool {
                pot.lacked_at = Some(now);
            }
            // Coins that cool here, or that others give back, are looked for at each turn.
            self.due.insert(at);
            if can < pool {
                self.writes.want();
            }
        }
    }

    fn compose_lease(&mut self, incarnation: Incarnation, now: Tick) -> Option<(Arc<str>, Answer)> {
        let horizon = Duration::from_nanos(self.horizon.1.now());
        let claim = Duration::from_nanos(self.claim.1.now());
        let member = self.members.get_mut(&incarnation)?;
        member.is_due = false;
        member.seq += 1;
        let mut tell = std::mem::take(&mut member.tell);
        if let Some(next) = tell.iter().nth(MOST_KEYS).copied() {
            member.tell = tell.split_off(&next);
        }
        let is_told = member.edition >= self.edition;
        let keys = tell.into_iter().filter_map(|at| {
            let pot = self.pots[at].as_ref()?;
            Some(row(pot, incarnation, now))?
        });
        let keys = keys.collect();
        let terms = if is_told { vec![] } else { self.funds.iter().filter(|f| f.in_force).map(terms).collect() };
        let lease = Lease {
            term: self.term,
            incarnation,
            seq: member.seq,
            echo: member.last,
            ttl: TTL,
            claim,
            horizon,
            keys,
            share: self.shares.grant(&member.pod, incarnation),
            edition: self.edition,
            terms,
        };
        Some((member.pod.clone(), Answer::Lease(lease)))
    }
}

/// More than an eighth apart.
fn differs(a: u64, b: u64) -> bool {
    a.abs_diff(b) > a.min(b) / 8
}

fn terms(fund: &Fund) -> Terms {
    let (unit, name, scope) = (fund.cap.unit, fund.cap.name.clone(), fund.cap.scope);
    Terms { unit, name, scope, guaranteed: fund.told, is_long: fund.is_long }
}

fn row(pot: &Pot, by: Incarnation, now: Tick) -> Option<KeyLease> {
    let loan = pot.loans.get(&by)?;
    let next = pot.cooling.next(now).map(|at| at.since(now));
    Some(KeyLease {
        key: pot.key.clone(),
        granted: loan.granted,
        ceded: loan.ceded,
        limit: loan.limit,
        keep: loan.keep,
        used: pot.used(now),
        retry_after: next,
    })
}

impl super::pot::Loan {
    fn stand(&self, by: Incarnation) -> Stand {
        // LEDGER: two intervals of its rate.
        let soon = self.rate.saturating_mul(REPORT.as_secs() * 2);
        let (coins, in_use, pend, unit, served) = (self.coins(), self.in_use, self.pend, self.unit, self.served);
        Stand { by, coins, in_use, pend, soon, unit, served }
    }
}

impl Member {
    /// Coins may be given to it.
    fn may_borrow(&self, now: Tick) -> bool {
        let is_written = self.on_roll || !on(Rule::LendToTheRoll);
        self.is_live() && is_written && now < self.lease_end && self.phase == Phase::Serving
    }

    /// A lease may be sent to it.
    fn may_be_told(&self) -> bool {
        self.on_roll || !on(Rule::LendToTheRoll)
    }
}
