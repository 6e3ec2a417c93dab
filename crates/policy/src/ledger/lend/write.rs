//! When the ledger object is written, and what it says.

use std::{collections::BTreeSet, time::Duration};

use super::super::{
    cap::Cap,
    rules::{Rule, on},
    terms::{by_other_clock, nanos, part},
};
use super::{
    Lender, Lost, Write, Written, WrittenFund, WrittenPot, WrittenShare, allowed::Allowed, fund::Fund, member::Member,
    pot::Cooling,
};
use crate::Tick;

/// A checkpoint of long windows is due this often, at the least and at the most.
const CHECKPOINTS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// And so many times a window.
const CHECKPOINTS_A_WINDOW: u32 = 720;

/// What may be lent between checkpoints of a key, in percent, if no more was asked for.
const ALLOWANCE_PERCENT: u64 = 1;

/// The object is written this often even if nothing changed, so that its loss is noticed.
const AT_LEAST: Duration = Duration::from_secs(300);

/// One write at a time.
#[derive(Debug)]
pub(super) struct Writes {
    id: u64,
    is_flying: bool,
    is_wanted: bool,
    /// When the last was composed.
    last: Tick,
    /// Everybody obeys the newest terms since.
    obeyed: Option<Tick>,
}

impl Writes {
    pub(super) fn new(now: Tick) -> Writes {
        Writes { id: 0, is_flying: false, is_wanted: true, last: now, obeyed: None }
    }

    pub(super) fn want(&mut self) {
        self.is_wanted = true;
    }
}

impl Lender {
    /// Moves on with time; what is to be written now. One write is under way at a time: it ends with
    /// [`Lender::written`] or [`Lender::unanswered`].
    pub fn tick(&mut self, now: Tick) -> Option<Write> {
        if !self.is_valid(now) {
            return None;
        }
        if self.opening.is_none() {
            self.expire(now);
            self.settle_edits(now);
            if self.shares.balance() || self.funds.iter().any(Fund::wants_write) {
                self.writes.is_wanted = true;
            }
            let since = now.since(self.writes.last);
            let is_due = |f: &Fund| f.is_long && since >= interval(f.cap.window) && self.changed(f);
            self.writes.is_wanted |= since >= AT_LEAST || self.funds.iter().any(is_due);
        }
        if self.writes.is_flying || !self.writes.is_wanted {
            return None;
        }
        Some(self.compose(false, now))
    }

    /// The last write of a lender that gives up its place: nothing is lent after it.
    pub fn last_write(&mut self, now: Tick) -> Option<Write> {
        (self.is_valid(now) && self.opening.is_none()).then(|| self.compose(true, now))
    }

    /// The newest write is in force.
    pub fn written(&mut self, id: u64, now: Tick) {
        if id != self.writes.id || !self.writes.is_flying {
            return;
        }
        self.writes.is_flying = false;
        if let Some(found) = self.opening.take() {
            self.open(*found, now);
            return;
        }
        for fund in &mut self.funds {
            fund.allowed.0.acknowledge();
            fund.allowed.1.acknowledge();
        }
        self.horizon.1.acknowledge();
        self.claim.1.acknowledge();
        self.shares.pods.values_mut().for_each(|p| p.allowed.acknowledge());
        for member in self.members.values_mut().filter(|m| m.is_flying) {
            // From now on it may be lent to.
            if !std::mem::replace(&mut member.on_roll, true) {
                self.due.extend(&member.keys);
                member.is_due = true;
            }
            member.is_flying = false;
        }
        for at in 0..self.pots.len() {
            let Some(pot) = &mut self.pots[at] else { continue };
            pot.room.acknowledge();
            // Others lack nothing that they asked for.
            if pot.lacked > 0 {
                self.due.insert(at);
            }
            if pot.is_omitted && pot.is_empty(now) {
                self.forget(at);
            }
        }
    }

    /// Nobody knows whether the newest write came to be; it may yet. The object is to be read again before the next.
    pub fn unanswered(&mut self, id: u64) {
        if id == self.writes.id {
            (self.writes.is_flying, self.writes.is_wanted) = (false, true);
            if !on(Rule::UnansweredGivesNothing) {
                self.pots.iter_mut().flatten().for_each(|pot| pot.room.acknowledge());
            }
        }
    }

    /// A long key of `fund` differs from what is written.
    fn changed(&self, fund: &Fund) -> bool {
        self.pots.iter().flatten().any(|p| p.is_changed && std::ptr::eq(&self.funds[p.fund], fund))
    }

    fn compose(&mut self, is_last: bool, now: Tick) -> Write {
        self.writes.id += 1;
        (self.writes.is_flying, self.writes.is_wanted, self.writes.last) = (true, false, now);
        if let Some(found) = &self.opening {
            let mut object = Written { term: self.term, ..Written::clone(found) };
            if self.is_lost {
                // Who takes over from this one must know.
                let long = super::super::terms::SHARE_TTL * 2;
                object.lost = Some(Lost { coins: long, shares: long });
            }
            return Write { id: self.writes.id, object };
        }
        let roll = self.members.iter_mut().map(|(incarnation, member)| {
            member.is_flying = true;
            (member.pod.clone(), *incarnation)
        });
        let roll = roll.collect();
        let shares = self.shares.pods.iter_mut().filter_map(|(pod, share)| {
            share.allowed.compose(if share.free_at.is_some() { 0 } else { share.parts });
            let remaining = share.free_at.map(|at| at.since(now));
            (share.parts > 0).then(|| WrittenShare { pod: pod.clone(), parts: share.parts, remaining })
        });
        let shares = shares.collect();
        let funds = self.funds.iter_mut().filter(|f| !f.is_gone()).map(|fund| {
            fund.allowed.0.compose(fund.shares_hi);
            fund.allowed.1.compose(fund.float_hi);
            let (shares_hi, total) = (fund.shares_hi, fund.total());
            let float_hi = if on(Rule::HighestFloat) { fund.float_hi } else { total };
            let (unit, name, scope) = (fund.cap.unit, fund.cap.name.clone(), fund.cap.scope);
            WrittenFund { unit, name, scope, window: fund.cap.window, is_long: fund.is_long, shares_hi, float_hi }
        });
        let funds = funds.collect();
        self.horizon.1.compose(self.horizon.0);
        self.claim.1.compose(self.claim.0);
        let mut pots = vec![];
        for pot in self.pots.iter_mut().flatten() {
            let fund = &self.funds[pot.fund];
            if !fund.is_long || !on(Rule::Checkpoints) {
                pot.is_omitted = pot.is_empty(now);
                continue;
            }
            let is_changed = std::mem::replace(&mut pot.is_changed, false);
            let total = fund.total();
            let most = part(total, ALLOWANCE_PERCENT).max(pot.lacked.saturating_mul(2));
            let allowance = if is_last { 0 } else { pot.pool(total, now).min(most) };
            pot.is_omitted = pot.is_empty(now) && !is_last;
            if pot.is_omitted {
                pot.room.compose(super::pot::unlisted(total));
                continue;
            }
            pot.room.compose(allowance);
            let counted = if on(Rule::AllowanceIsOut) { allowance } else { 0 };
            let out = pot.lent.saturating_add(pot.unknown).saturating_add(counted);
            pots.push(WrittenPot { key: pot.key.clone(), out, cooling: pot.cooling.remaining(now), is_changed });
        }
        let object = Written {
            term: self.term,
            roll,
            shares,
            horizon: Duration::from_nanos(self.horizon.0),
            claim: Duration::from_nanos(self.claim.0),
            funds,
            pots,
            lost: self.lost(now),
        };
        Write { id: self.writes.id, object }
    }

    /// The term is written: what was found is what there is.
    fn open(&mut self, found: Written, now: Tick) {
        for written in found.funds {
            let WrittenFund { unit, name, scope, window, is_long, shares_hi, float_hi } = written;
            let (warn_at, degrade_at) = (None, None);
            let cap = Cap { unit, name, scope, window, limit: 0, guaranteed: 0, warn_at, degrade_at };
            let at = self.funds.iter().position(|f| super::same(&f.cap, &cap)).unwrap_or_else(|| {
                self.funds.push(Fund { in_force: false, ..Fund::new(cap) });
                self.funds.len() - 1
            });
            let fund = &mut self.funds[at];
            fund.is_long = is_long;
            (fund.shares_hi, fund.float_hi, fund.found_hi) = (shares_hi, float_hi, float_hi);
            fund.allowed = (Allowed::of(shares_hi), Allowed::of(float_hi));
        }
        let lost_here = self.is_lost;
        self.is_lost |= found.lost.is_some_and(|lost| !lost.coins.is_zero());
        self.horizon = (nanos(found.horizon), Allowed::of(nanos(found.horizon)));
        self.claim = (nanos(found.claim), Allowed::of(nanos(found.claim)));
        if self.is_lost {
            self.horizon.0 = self.horizon.0.max(self.horizon_now);
            self.claim.0 = nanos(super::super::terms::MOST_CLAIM);
        }
        let unheard: BTreeSet<_> = found.roll.iter().map(|(_, incarnation)| *incarnation).collect();
        for (pod, incarnation) in found.roll {
            self.members.insert(incarnation, Member::unheard(pod));
        }
        // They may have heard the lender before until it lost its place.
        let contact = Tick(now.0.saturating_add(by_other_clock(nanos(super::VALID))));
        let contact = if on(Rule::SharesOutlastLenders) { contact } else { Tick(0) };
        for share in found.shares {
            let free_at = share.remaining.map(|d| now.after(d));
            self.shares.found(share.pod, share.parts, contact, free_at);
        }
        let silent = by_other_clock(nanos(super::super::terms::SHARE_TTL));
        let until = silent.saturating_add(self.settled_after(self.longest()));
        // And shares be renewed as long.
        let until = until.saturating_add(by_other_clock(nanos(super::VALID)));
        let left = if lost_here { Some(until) } else { found.lost.map(|lost| nanos(lost.shares)) };
        self.shares.unknown_until = left.filter(|left| *left > 0).map(|left| Tick(now.0.saturating_add(left)));
        self.begin(unheard, now);
        for written in found.pots {
            let Some(at) = self.pot(&written.key, now) else { continue };
            let Some(pot) = &mut self.pots[at] else { continue };
            (pot.unknown, pot.room) = (written.out, Allowed::of(0));
            let mut cooling = Cooling::new(self.funds[pot.fund].cap.window, pot.key.scope);
            written.cooling.iter().for_each(|(remaining, n)| cooling.add(*n, now.after(*remaining), now));
            pot.cooling = cooling;
        }
        self.raise();
        // What pods were told is not known: no more than what leaves room for what may be out.
        self.settle_edits(now);
    }

    /// What of a lost object still matters.
    fn lost(&self, now: Tick) -> Option<Lost> {
        let coins = if self.is_lost { self.lost_until.since(now) } else { Duration::ZERO };
        let shares = self.shares.unknown_until.map(|until| until.since(now)).unwrap_or_default();
        (!coins.is_zero() || !shares.is_zero()).then_some(Lost { coins, shares })
    }

    /// Ends what an edit left behind, as far as everybody obeys the newest terms.
    fn settle_edits(&mut self, now: Tick) {
        if self.horizon.0 == self.horizon_now && !self.funds.iter().any(Fund::is_edited) {
            self.writes.obeyed = None;
            return;
        }
        let mut most = vec![0u64; self.funds.len()];
        for pot in self.pots.iter().flatten() {
            most[pot.fund] = most[pot.fund].max(pot.out(now));
        }
        for (at, most) in most.iter_mut().enumerate() {
            *most = (*most).max(self.unseen(at));
        }
        let mut is_news = false;
        for (fund, most) in self.funds.iter_mut().zip(&most) {
            is_news |= fund.tell(*most);
        }
        if is_news {
            self.edition += 1;
            self.members.values_mut().for_each(|m| m.is_due = true);
        }
        let edition = self.edition;
        let obeys = self.members.values().filter(|m| m.is_open()).all(|m| m.edition >= edition)
            && self.shares.pods.values().filter(|p| p.parts > 0).all(|p| p.edition >= edition);
        // After a lost ledger there may be others.
        if !obeys || self.shares.unknown_until.is_some() {
            self.writes.obeyed = None;
            return;
        }
        let since = *self.writes.obeyed.get_or_insert(now);
        for (fund, most) in self.funds.iter_mut().zip(&most) {
            self.writes.is_wanted |= fund.lower(*most);
        }
        // Holds that were taken by the longer one may be open for so long.
        if self.horizon.0 > self.horizon_now && now.since(since) > Duration::from_nanos(by_other_clock(self.horizon.0))
        {
            self.horizon.0 = self.horizon_now;
            self.writes.is_wanted = true;
        }
    }
}

/// How often a window's checkpoint is written while it changes.
fn interval(window: Duration) -> Duration {
    (window / CHECKPOINTS_A_WINDOW).clamp(CHECKPOINTS.0, CHECKPOINTS.1)
}
