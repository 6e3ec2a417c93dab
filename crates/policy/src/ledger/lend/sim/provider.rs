//! Providers, who bill as badly as they may.

use fastrand::Rng;

use super::{shape::Shape, world::MS};
use crate::ledger::{
    Amounts, How,
    rules::{Rule, on},
    sim::oracle::S,
    terms::{LAST_LOOK, SKEW},
};
use crate::money::Usd;

const SKEW_NS: u64 = SKEW.as_nanos() as u64;

/// What becomes of one attempt, if nothing ends it before.
#[derive(Clone, Debug)]
pub(super) struct Fate {
    pub(super) sent: u64,
    pub(super) ends: u64,
    pub(super) how: How,
    /// Billed in all.
    pub(super) billed: u64,
    /// Of that, above the hold.
    pub(super) surprise: u64,
    /// The latest date of a bill.
    pub(super) until: u64,
}

pub(super) fn amounts(n: u64) -> Amounts {
    Amounts::request(Usd(n), n / 100)
}

/// Decides on an attempt that leaves about now.
pub(super) fn fate(shape: &Shape, rng: &mut Rng, now: u64, asked: u64, held: u64) -> Fate {
    let guard = LAST_LOOK.as_nanos() as u64 - 1;
    let sent = now + if shape.is_late { rng.u64(..2) * guard } else { rng.u64(..20 * MS) };
    let takes = rng.u64(shape.takes.clone()) * MS;
    let mut pick = rng.u32(..shape.ends.iter().sum::<u32>().max(1));
    let end = shape.ends.iter().position(|w| pick.checked_sub(*w).map(|left| pick = left).is_none()).unwrap_or(0);
    let cost = asked * rng.u64(shape.costs_from..=shape.surprise.max(shape.costs_from)) / 100;
    let in_hold = cost.min(held);
    let (how, billed, until) = match end {
        0 => (How::Ended(amounts(cost)), cost, sent + takes + SKEW_NS),
        1 => (How::EndedWithoutUsage, in_hold, sent + takes + SKEW_NS),
        2 => {
            let received = in_hold * rng.u64(..=100) / 100;
            let slack = held / 20;
            let told = received + if on(Rule::Slack) { slack } else { 0 };
            (How::Closed(amounts(told)), (received + slack).min(held), sent + takes + SKEW_NS)
        }
        3 => (How::Unseen, in_hold, sent + shape.bill_horizon),
        _ => (How::Refused, 0, sent),
    };
    Fate { sent, ends: sent + takes, how, billed, surprise: billed.saturating_sub(held), until }
}

impl Fate {
    /// An attempt of a pod that is about to lose its lease: it leaves as late as it may, nobody sees its end, and the bill
    /// comes last.
    pub(super) fn last(shape: &Shape, now: u64, held: u64) -> Fate {
        let sent = now + LAST_LOOK.as_nanos() as u64 - 1;
        let (ends, until) = (sent + S, sent + shape.bill_horizon);
        Fate { sent, ends, how: How::Unseen, billed: held, surprise: 0, until }
    }

    /// The attempt's process died: its provider runs on, and may bill all that was held.
    pub(super) fn orphaned(&mut self, shape: &Shape, held: u64) {
        if self.how != How::Refused {
            (self.billed, self.surprise) = (held, 0);
            self.until = self.sent + shape.bill_horizon;
        }
    }

    /// The bill, in parts, each with whether it is above the hold.
    pub(super) fn bill(&self, shape: &Shape, rng: &mut Rng) -> Vec<(u64, u64, bool)> {
        let in_hold = self.billed - self.surprise;
        let mut parts = vec![(self.until, self.surprise, true)];
        let comes_last = self.how == How::Unseen && self.ends == self.sent + S;
        match if comes_last {
            2
        } else if shape.is_late {
            rng.u32(..3) * 2
        } else {
            rng.u32(..3)
        } {
            0 => parts.push((self.sent, in_hold, false)),
            1 => {
                let third = in_hold / 3;
                let middle = rng.u64(self.sent..=self.until);
                parts.extend([(self.sent, third, false), (middle, third, false)]);
                parts.push((self.until, in_hold - 2 * third, false));
            }
            _ => parts.push((self.until, in_hold, false)),
        }
        parts
    }
}
