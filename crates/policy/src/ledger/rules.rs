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
    /// Who can wait leaves the last part of a cap to those who cannot.
    SpareForOnline,
    /// What is held counts against the thresholds too.
    PressureOfHeld,
    /// Of all budgets that apply the fullest counts.
    PressureOfFullest,
    /// From `warnAt` on it is told.
    Warns,
    /// From `degradeAt` on it is told.
    Degrades,
    /// And when nothing is left.
    IsFull,
    /// Of the caller: from `degradeAt` on cheaper ways come first.
    #[cfg(test)]
    CheaperFirst,
    /// Of the caller: a hold too old is not sent.
    SendGuard,
    /// Of the caller: a stream that we closed is charged with some slack.
    #[cfg(test)]
    Slack,
    /// Of the caller: a retry takes a hold of its own.
    #[cfg(test)]
    OwnHold,
    // Of caps that are shared.
    /// A share ends a day after the lender was heard.
    ShareEnds,
    /// What another process of the pod drew of its share is not forgotten with its journal.
    LostShareIsSpent,
    /// Nothing borrowed is held after the end of a lease.
    LeaseEnds,
    /// A lease counts from the sending of the report that it answers.
    LeaseFromSending,
    /// A lease that ended long ago is not revived.
    VoidAfterClaim,
    /// A grant says how much there was in all, not how much is added.
    CumulativeCredit,
    /// What was given back is gone, whoever heard of it.
    CedeIsFinal,
    /// What is given back has the time with it that it must cool.
    CoolingGoesWithItsTime,
    /// A lender acts only while its renewal is good.
    Fence,
    /// It waits for the last bill of who fell silent,
    CloseWaitsHorizon,
    /// and for the window after it.
    CloseWaitsWindow,
    /// Claims are taken of those on the roll, in time.
    ClaimsInTime,
    /// Nothing is lent before its borrower is on the written roll.
    LendToTheRoll,
    /// Who left stays on the roll until its coins have cooled.
    RollOutlastsAccounts,
    /// Who was not heard holds everything.
    UnheardIsUnknown,
    /// A new lender waits for the old one's validity,
    TakeoverWaitsValid,
    /// and for the leases that it gave.
    TakeoverWaitsLease,
    /// Coins of long windows cooled with the old lender; a roll call does not free them.
    LongOutlastsRollCall,
    /// A lost ledger is not a first start.
    LostLedgerIsUnknown,
    /// Long windows are written.
    Checkpoints,
    /// No more is lent than the checkpoint allows, whatever came back.
    LendWithinCheckpoint,
    /// A key that no checkpoint lists may have been lent.
    UnlistedIsUnknown,
    /// A new lender leaves their shares to those whom it has not heard.
    SharesOutlastLenders,
    /// The share of a dead pod is free once its last charge has cooled.
    SharesOutlastPods,
    /// A share is smaller once its pod says so.
    ShrunkWhenAgreed,
    /// The highest float of the past is written.
    HighestFloat,
    /// What is guaranteed is the most that anybody may still draw on.
    HighestShares,
    /// A larger cap is lent once it is written.
    RaiseWhenWritten,
    /// Nothing is given back to a lender that does not answer.
    CedeToTheLiving,
    /// Under contention no surplus is spread.
    Contention,
    /// Of the shell: a write replaces the object that was read, and no other.
    #[cfg(test)]
    Cas,
    /// Of the shell: a pod whose object is gone may live on.
    #[cfg(test)]
    VanishedIsNotEnded,
    /// Of the shell: a container's end is not its pod's.
    #[cfg(test)]
    SuccessorIsNotEnd,
    /// Of the shell: clocks count time asleep.
    #[cfg(test)]
    AsleepCounts,
    /// A lease that a newer one overtook changes nothing.
    NewestLease,
    /// What another lender than the newest says changes nothing.
    NewestTerm,
    /// A wait for what another clock measures is longer by the drift of both.
    WaitsDrift,
    /// What a checkpoint allows to be lent counts as lent under it.
    AllowanceIsOut,
    /// A write that nobody answered allows nothing.
    UnansweredGivesNothing,
    /// A larger share is told once it is written.
    ShareWhenWritten,
    /// What may have been lent of an unlisted key before counts against what may be.
    UnlistedOverTerms,
    /// A pod agrees to less once its disk says so.
    AgreedWhenDurable,
    /// And gives its share back once the disk has none.
    ShareLeavesTheDisk,
    /// The share on the disk is over where the time away is not known.
    ShareOfThisBoot,
    /// What was drawn before a loss is not known after the next restart either.
    LostOutlivesRows,
    /// Of a pod's processes the one that was granted its share last gives it back.
    HolderGivesBack,
}

/// Whether `rule` is in force.
#[cfg(not(test))]
pub(super) const fn on(_: Rule) -> bool {
    true
}

#[cfg(test)]
pub(super) use breakable::{ALL, SHARED, breaking, on};

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
        Rule::SpareForOnline,
        Rule::PressureOfHeld,
        Rule::PressureOfFullest,
        Rule::Warns,
        Rule::Degrades,
        Rule::IsFull,
        Rule::CheaperFirst,
        Rule::SendGuard,
        Rule::Slack,
        Rule::OwnHold,
    ];
    /// Those of caps that are shared, in the order of the declaration.
    pub(in crate::ledger) const SHARED: &[Rule] = &[
        Rule::ShareEnds,
        Rule::LostShareIsSpent,
        Rule::LeaseEnds,
        Rule::LeaseFromSending,
        Rule::VoidAfterClaim,
        Rule::CumulativeCredit,
        Rule::CedeIsFinal,
        Rule::CoolingGoesWithItsTime,
        Rule::Fence,
        Rule::CloseWaitsHorizon,
        Rule::CloseWaitsWindow,
        Rule::ClaimsInTime,
        Rule::LendToTheRoll,
        Rule::RollOutlastsAccounts,
        Rule::UnheardIsUnknown,
        Rule::TakeoverWaitsValid,
        Rule::TakeoverWaitsLease,
        Rule::LongOutlastsRollCall,
        Rule::LostLedgerIsUnknown,
        Rule::Checkpoints,
        Rule::LendWithinCheckpoint,
        Rule::UnlistedIsUnknown,
        Rule::SharesOutlastLenders,
        Rule::SharesOutlastPods,
        Rule::ShrunkWhenAgreed,
        Rule::HighestFloat,
        Rule::HighestShares,
        Rule::RaiseWhenWritten,
        Rule::CedeToTheLiving,
        Rule::Contention,
        Rule::Cas,
        Rule::VanishedIsNotEnded,
        Rule::SuccessorIsNotEnd,
        Rule::AsleepCounts,
        Rule::NewestLease,
        Rule::NewestTerm,
        Rule::WaitsDrift,
        Rule::AllowanceIsOut,
        Rule::UnansweredGivesNothing,
        Rule::ShareWhenWritten,
        Rule::UnlistedOverTerms,
        Rule::AgreedWhenDurable,
        Rule::ShareLeavesTheDisk,
        Rule::ShareOfThisBoot,
        Rule::LostOutlivesRows,
        Rule::HolderGivesBack,
    ];
}
