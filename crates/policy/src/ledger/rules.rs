//! The rules of the ledger by name. Each is always in force; tests break one at a time and must notice.

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// A charge is stamped when it is settled, not when it was held.
    StampAtSettle,
    /// A charge cools for the skew of bills too.
    Skew,
    /// A charge cools longer by the drift of the clock.
    Drift,
    /// A bucket is as young as its newest charge.
    NewestInBucket,
    /// A window begins anywhere, not at a mark of the calendar.
    Sliding,
    /// What may still be billed unseen keeps its whole hold.
    WholeHold,
    /// And is stamped when its bill is final at the latest.
    Horizon,
    /// The horizon is stretched by the drift of the clock.
    HorizonDrift,
    /// Or now, if it ran on for longer than that.
    HorizonOrNow,
    /// A stamp that lies ahead is rounded up, never down.
    CoarseUp,
    /// What was refused clearly costs nothing.
    RefusedIsFree,
    /// Settling gives the hold back.
    Release,
    /// What is held is not there to be held again.
    HeldCounts,
    /// Every key that applies is asked, not the first alone.
    EveryKey,
    /// All keys are charged or none.
    AllOrNone,
    /// A cost above the hold is charged in full.
    Debt,
    /// And raises later holds of that model.
    Raise,
    /// A key is dropped only when all its coins are free.
    DropEmptyOnly,
    /// Values beyond the table share one key.
    Overflow,
    /// No value leaves the shared key while a coin of that is taken.
    OverflowCools,
    /// What was spent survives a reload.
    KeepOnReload,
    /// And the absence of its budget from the policy.
    KeepRetired,
    /// No hold without room in the journal.
    JournalAhead,
    /// Room is there once the write is durable, not when it is begun.
    RoomWhenDurable,
    /// What is held while a write is under way counts against that write too.
    RoomOfPending,
    /// A write that got no answer is written again.
    RewriteUnanswered,
    /// Restored: what had cooled only in part.
    RestoreRing,
    /// Restored: holds that were open.
    RestoreOpen,
    /// Restored: what may have been held since the write.
    RestoreAhead,
    /// Restored: what keys may have held that the journal does not list.
    RestoreUnlisted,
    /// The same, while such a key is new again after the restart: it waits to be listed.
    UnlistedOnce,
    /// Time away on a clock that does not span it is not time.
    UnknownAway,
    /// After a lost file all is spent.
    LostIsSpent,
    /// The loss of a file is not forgotten with the next restart.
    LostIsKept,
    /// Nothing unlisted is held before the first write of this process.
    FirstWrite,
    /// Of the caller: a hold too old is not sent.
    SendGuard,
    /// Of the caller: a stream that we closed is charged with some slack.
    #[cfg(test)]
    Slack,
    /// Of the caller: a retry takes a hold of its own.
    #[cfg(test)]
    OwnHold,
}

/// Whether `rule` is in force.
#[cfg(not(test))]
pub(super) const fn on(_: Rule) -> bool {
    true
}

#[cfg(test)]
pub(super) use breakable::{ALL, breaking, on};

#[cfg(test)]
mod breakable {
    use std::cell::Cell;

    use super::Rule;

    thread_local! {
        static BROKEN: Cell<Option<Rule>> = const { Cell::new(None) };
    }

    pub(in crate::ledger) fn on(rule: Rule) -> bool {
        BROKEN.get() != Some(rule)
    }

    /// Runs `body` without `rule`.
    pub(in crate::ledger) fn breaking<T>(rule: Option<Rule>, body: impl FnOnce() -> T) -> T {
        BROKEN.set(rule);
        let out = body();
        BROKEN.set(None);
        out
    }

    /// In the order of the declaration.
    pub(in crate::ledger) const ALL: &[Rule] = &[
        Rule::StampAtSettle,
        Rule::Skew,
        Rule::Drift,
        Rule::NewestInBucket,
        Rule::Sliding,
        Rule::WholeHold,
        Rule::Horizon,
        Rule::HorizonDrift,
        Rule::HorizonOrNow,
        Rule::CoarseUp,
        Rule::RefusedIsFree,
        Rule::Release,
        Rule::HeldCounts,
        Rule::EveryKey,
        Rule::AllOrNone,
        Rule::Debt,
        Rule::Raise,
        Rule::DropEmptyOnly,
        Rule::Overflow,
        Rule::OverflowCools,
        Rule::KeepOnReload,
        Rule::KeepRetired,
        Rule::JournalAhead,
        Rule::RoomWhenDurable,
        Rule::RoomOfPending,
        Rule::RewriteUnanswered,
        Rule::RestoreRing,
        Rule::RestoreOpen,
        Rule::RestoreAhead,
        Rule::RestoreUnlisted,
        Rule::UnlistedOnce,
        Rule::UnknownAway,
        Rule::LostIsSpent,
        Rule::LostIsKept,
        Rule::FirstWrite,
        Rule::SendGuard,
        Rule::Slack,
        Rule::OwnHold,
    ];
}
