//! What a report changes.

use std::sync::Arc;

use super::super::{
    message::{Answer, Phase, Report},
    terms::by_other_clock,
};
use super::{Lender, member::Member};
use crate::Tick;

/// Incarnations of one pod on the roll, those included that have ended: a container that fails all the time has fewer.
const MOST_OF_A_POD: usize = 32;

/// What is to be done about a report at once; leases come with [`Lender::answers`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing.
    Nothing,
    /// To be answered so.
    Answer(Answer),
    /// The borrower knows a higher term: there is a newer lender, or the ledger object was lost or set back.
    HigherTerm(u64),
}

impl Lender {
    /// Hears a report of `pod`, over a stream that proves it to be that pod's.
    pub fn hear(&mut self, pod: &Arc<str>, report: &Report, now: Tick) -> Heard {
        if self.opening.is_some() || !self.is_valid(now) {
            return Heard::Nothing;
        }
        self.expire(now);
        if report.term > self.term {
            return Heard::HigherTerm(report.term);
        }
        let incarnation = report.incarnation;
        let welcome = Heard::Answer(Answer::Welcome { term: self.term });
        let void = Heard::Answer(Answer::Void { incarnation });
        let takes_claims = self.takes_claims(now);
        let known = self.members.get(&incarnation).map(Member::is_open);
        match known {
            Some(false) => return void,
            _ if report.term < self.term => return welcome,
            Some(true) => {}
            None if report.full.is_none() => return void,
            None => {
                let has_coins = report.keys.iter().any(|k| k.granted > k.ceded || !k.cedes.is_empty());
                if has_coins && !(self.is_lost && takes_claims) {
                    return void;
                }
                if self.members.values().filter(|m| m.pod == *pod).count() >= MOST_OF_A_POD {
                    return Heard::Nothing;
                }
                self.members.insert(incarnation, Member::new(pod.clone()));
                self.writes.want();
            }
        }
        let Some(member) = self.members.get_mut(&incarnation) else { return Heard::Nothing };
        if report.number <= member.last && member.is_live() {
            return Heard::Nothing;
        }
        let was_unheard = member.is_unheard();
        let mut is_complete = !was_unheard;
        if was_unheard {
            match report.full {
                Some(part) if member.takes(part.number, part.is_last) => is_complete = part.is_last,
                _ => return welcome,
            }
        }
        member.last = member.last.max(report.number);
        (member.phase, member.is_due) = (report.phase, true);
        member.edition = report.edition;
        let may_claim = was_unheard && takes_claims && (member.on_roll || self.is_lost);
        let edition = if is_complete { report.edition } else { 0 };
        self.shares.hear(pod, &report.share, edition, now);
        if was_unheard {
            self.shares.begin(pod, incarnation);
        }
        for row in &report.keys {
            let Some(at) = self.pot(&row.key, now) else { continue };
            let Some(pot) = &mut self.pots[at] else { continue };
            if pot.hear(incarnation, row, may_claim, now).is_err() {
                self.close(incarnation, now, now);
                return void;
            }
            self.due.insert(at);
            if let Some(member) = self.members.get_mut(&incarnation) {
                member.keys.insert(at);
                member.tell.insert(at);
            }
        }
        let lease_end = self.lease(now);
        if let Some(member) = self.members.get_mut(&incarnation) {
            member.lease_end = lease_end;
        }
        if is_complete {
            self.heard_of(incarnation);
        }
        let is_last_part = report.full.is_none_or(|part| part.is_last);
        if report.phase == Phase::Last && is_complete && is_last_part {
            self.close(incarnation, now, now);
            let remaining = by_other_clock(super::super::terms::nanos(report.share.remaining));
            let others = self.members.iter().filter(|(_, m)| m.pod == *pod && m.is_open());
            let heir = others.max_by_key(|(_, m)| m.lease_end).map(|(other, _)| *other);
            self.shares.leave(pod, incarnation, heir, Tick(now.0.saturating_add(remaining)));
        }
        Heard::Nothing
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::super::{
            hold::{Key, Unit},
            message::{Incarnation, KeyReport, Part},
            sim::shape::cap,
        },
        *,
    };
    use crate::snapshot::Scope;

    const NOW: Tick = Tick(1_000_000_000);

    fn open() -> Lender {
        let mut lender = Lender::take_over(1, None, false, NOW);
        lender.renewed(Tick(u64::MAX));
        lender.configure(vec![cap(Unit::Money, "all", Scope::Policy, 60, 1_000)], Duration::from_secs(10));
        for _ in 0..2 {
            let write = lender.tick(NOW).unwrap();
            lender.written(write.id, NOW);
        }
        lender
    }

    fn report(incarnation: u64, value: Option<&str>) -> Report {
        let key = Key { unit: Unit::Money, name: "all".into(), scope: Scope::Policy, value: value.map(Arc::from) };
        let row = KeyReport { key, granted: 0, ceded: 0, cedes: vec![], in_use: 0, pend: 10, rate: 0, unit: 10 };
        let full = Some(Part { number: 0, is_last: true });
        let incarnation = Incarnation(incarnation);
        Report { incarnation, term: 1, number: 1, full, keys: vec![row], ..Report::default() }
    }

    #[test]
    fn a_pod_has_so_many_lives_on_the_roll_and_others_are_not_hindered() {
        let mut lender = open();
        for n in 0..2 * MOST_OF_A_POD as u64 {
            assert_eq!(lender.hear(&"a".into(), &report(n, None), NOW), Heard::Nothing);
        }
        lender.hear(&"b".into(), &report(u64::MAX, None), NOW);
        let roll = lender.tick(NOW).unwrap().object.roll;
        let of = |pod: &str| roll.iter().filter(|(p, _)| **p == *pod).count();
        assert_eq!((of("a"), of("b")), (MOST_OF_A_POD, 1));
    }

    /// A lender that was stopped reads what two processes of a pod said meanwhile in any order.
    #[test]
    fn a_share_is_free_once_no_process_of_its_pod_is_left() {
        let mut lender = open();
        let is_free = |lender: &Lender| lender.shares.pods["a"].free_at.is_some();
        let last = |incarnation| Report { number: 2, phase: Phase::Last, ..report(incarnation, None) };
        lender.hear(&"a".into(), &report(2, None), NOW);
        lender.hear(&"a".into(), &report(1, None), NOW);
        lender.hear(&"a".into(), &last(1), NOW);
        assert!(!is_free(&lender), "the second draws on it");
        while let Some(write) = lender.tick(NOW) {
            lender.written(write.id, NOW);
        }
        let tells =
            |(_, answer): &(_, Answer)| matches!(answer, Answer::Lease(l) if l.share.is_some() && l.incarnation.0 == 2);
        assert!(lender.answers(NOW).iter().any(tells), "it goes on with it");
        lender.hear(&"a".into(), &last(2), NOW);
        assert!(is_free(&lender));
    }

    #[test]
    fn a_value_of_what_has_none_is_no_key() {
        for (value, coins) in [(None, true), (Some("mine"), false)] {
            let mut lender = open();
            lender.hear(&"a".into(), &report(7, value), NOW);
            let write = lender.tick(NOW).unwrap();
            lender.written(write.id, NOW);
            let lent =
                |(_, answer): &(_, Answer)| matches!(answer, Answer::Lease(l) if l.keys.iter().any(|k| k.granted > 0));
            assert_eq!(lender.answers(NOW).iter().any(lent), coins, "{value:?}");
        }
    }
}
