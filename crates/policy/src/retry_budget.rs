//! Repeats on a provider as a share of its successes, so that retries never multiply an outage.
//!
//! Ten repeats in ten seconds are always allowed, so that a quiet sidecar can retry at all; they are no bonus on top.

use std::time::Duration;

use crate::{Tick, snapshot::Ratio};

const SLOTS: usize = 10;
const SLOT: u64 = Duration::from_secs(1).as_nanos() as u64;
/// Always allowed in ten seconds.
const FLOOR: u64 = 10;

/// Successes and repeats of one provider over the last ten seconds.
#[derive(Clone, Debug, Default)]
pub struct RetryBudget {
    slots: [Slot; SLOTS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    number: u64,
    successes: u32,
    repeats: u32,
}

impl RetryBudget {
    /// A success pays in.
    pub fn deposit(&mut self, now: Tick) {
        self.slot(now).successes += 1;
    }

    /// A repeat is paid for, or refused.
    pub fn withdraw(&mut self, now: Tick, ratio: Ratio) -> bool {
        let number = now.0 / SLOT;
        let (successes, repeats) = self
            .slots
            .iter()
            .filter(|s| s.number + SLOTS as u64 > number)
            .fold((0u64, 0u64), |(s, r), x| (s + u64::from(x.successes), r + u64::from(x.repeats)));
        if repeats >= FLOOR.max(successes * u64::from(ratio.0) / 10_000) {
            return false;
        }
        self.slot(now).repeats += 1;
        true
    }

    fn slot(&mut self, now: Tick) -> &mut Slot {
        let number = now.0 / SLOT;
        let s = &mut self.slots[(number % SLOTS as u64) as usize];
        if s.number != number {
            *s = Slot { number, ..Slot::default() };
        }
        s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spend(b: &mut RetryBudget, now: Tick) -> usize {
        (0..1000).take_while(|_| b.withdraw(now, Ratio(2_000))).count()
    }

    #[test]
    fn a_share_of_the_successes_or_ten() {
        let at = |s: u64| Tick(s * SLOT);
        let mut b = RetryBudget::default();
        assert_eq!(spend(&mut b, at(100)), 10);
        assert_eq!(spend(&mut b, at(109)), 0, "still within ten seconds");
        assert_eq!(spend(&mut b, at(110)), 10);
        for _ in 0..100 {
            b.deposit(at(111));
        }
        assert_eq!(spend(&mut b, at(112)), 10, "a fifth of a hundred successes, ten of them spent already");
        assert_eq!(spend(&mut b, at(120)), 10, "the ten of second 110 are forgotten");
        assert_eq!(spend(&mut b, at(130)), 10, "the successes too; ten are free again");
    }
}
