//! The last minute of anything that is counted, in twelve slots of five seconds.

use std::time::Duration;

use crate::Tick;

const SLOTS: usize = 12;
const SLOT: u64 = Duration::from_secs(5).as_nanos() as u64;

/// What was counted in a sliding minute: the slot under way and the eleven before it.
#[derive(Clone, Debug)]
pub struct Minute<T> {
    slots: [Slot<T>; SLOTS],
}

#[derive(Clone, Debug, Default)]
struct Slot<T> {
    number: u64,
    counts: T,
}

impl<T: Default> Default for Minute<T> {
    fn default() -> Self {
        Minute { slots: std::array::from_fn(|_| Slot::default()) }
    }
}

impl<T: Default> Minute<T> {
    /// The counts under way; what a minute ago stood in their place is gone.
    pub fn at(&mut self, now: Tick) -> &mut T {
        let number = now.0 / SLOT;
        let slot = &mut self.slots[(number % SLOTS as u64) as usize];
        if slot.number != number {
            *slot = Slot { number, counts: T::default() };
        }
        &mut slot.counts
    }

    /// The counts of the last minute, in no order.
    pub fn live(&self, now: Tick) -> impl Iterator<Item = &T> {
        let number = now.0 / SLOT;
        self.slots.iter().filter(move |s| s.number + SLOTS as u64 > number).map(|s| &s.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_slides() {
        let at = |s: u64| Tick(s * 1_000_000_000);
        let mut m = Minute::<u32>::default();
        for s in 0..60 {
            *m.at(at(1000 + s)) += 1;
        }
        let sum = |s| m.live(at(s)).sum::<u32>();
        assert_eq!((sum(1059), sum(1064), sum(1114), sum(1115), sum(2000)), (60, 55, 5, 0, 0));
    }
}
