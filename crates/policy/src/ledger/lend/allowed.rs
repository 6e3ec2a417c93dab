//! What a write allows, once it is in force.

/// An amount that every write allows which may be in force: the newest that was acknowledged, and all after it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Allowed {
    now: u64,
    next: u64,
}

impl Allowed {
    pub(super) fn of(amount: u64) -> Allowed {
        Allowed { now: amount, next: amount }
    }

    pub(super) fn now(&self) -> u64 {
        self.now
    }

    /// A write is composed that allows `amount`.
    pub(super) fn compose(&mut self, amount: u64) {
        (self.now, self.next) = (self.now.min(amount), amount);
    }

    /// It is in force.
    pub(super) fn acknowledge(&mut self) {
        self.now = self.next;
    }

    /// Uses some of it up, under all of them.
    pub(super) fn spend(&mut self, amount: u64) {
        (self.now, self.next) = (self.now.saturating_sub(amount), self.next.saturating_sub(amount));
    }
}
