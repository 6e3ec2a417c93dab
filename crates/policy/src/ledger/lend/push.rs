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

/// Keys of one lease; further ones have one of their own.
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
        due.into_iter().flat_map(|incarnation| self.leases(incarnation, now)).collect()
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
            let lacks = lack.saturating_sub(part.more);
            lacked = lacked.saturating_add(lacks);
            let coins = stand.coins.saturating_add(part.more);
            let cedes = coins > part.limit || coins.saturating_sub(stand.in_use) > part.keep;
            let is_coming = lacks > 0 && can < pool;
            let was_coming = std::mem::replace(&mut loan.is_coming, is_coming);
            let is_news = part.more > 0
                || is_coming != was_coming
                || differs(loan.limit, part.limit)
                || cedes && differs(loan.keep, part.keep);
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

    /// A lease was not sent: the next one tells of all keys.
    pub fn unsaid(&mut self, incarnation: Incarnation) {
        if let Some(member) = self.members.get_mut(&incarnation) {
            member.tell = member.keys.clone();
            member.is_due = true;
        }
    }

    fn leases(&mut self, incarnation: Incarnation, now: Tick) -> Vec<(Arc<str>, Answer)> {
        let Some(member) = self.members.get_mut(&incarnation) else { return vec![] };
        member.is_due = false;
        let tell = std::mem::take(&mut member.tell);
        let rows = tell.into_iter().filter_map(|at| row(self.pots[at].as_ref()?, incarnation, now));
        let rows: Vec<_> = rows.collect();
        let is_told = member.edition >= self.edition;
        let terms = if is_told { vec![] } else { self.funds.iter().filter(|f| f.in_force).map(terms).collect() };
        let mut lease = Lease {
            term: self.term,
            incarnation,
            ttl: TTL,
            claim: Duration::from_nanos(self.claim.1.now()),
            horizon: Duration::from_nanos(self.horizon.1.now()),
            share: self.shares.grant(&member.pod, incarnation),
            edition: self.edition,
            terms,
            ..Lease::default()
        };
        let count = rows.len().div_ceil(MOST_KEYS).max(1);
        let mut rows = rows.into_iter();
        let leases = (1..=count).map(|n| {
            member.seq += 1;
            // A report is answered once all its keys are.
            let echo = if n < count { member.echoed } else { member.last };
            (lease.seq, lease.echo, member.echoed) = (member.seq, echo, echo);
            lease.keys = rows.by_ref().take(MOST_KEYS).collect();
            (member.pod.clone(), Answer::Lease(lease.clone()))
        });
        leases.collect()
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
    let next = || pot.cooling.next(now).map(|at| at.since(now));
    Some(KeyLease {
        key: pot.key.clone(),
        granted: loan.granted,
        ceded: loan.ceded,
        limit: loan.limit,
        keep: loan.keep,
        used: pot.used(now),
        retry_after: if loan.is_coming { Some(Duration::ZERO) } else { next() },
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
