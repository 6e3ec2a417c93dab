//! The ledger's constants, and the assumptions that they stand for. The guarantee is exactly as good as these.

use std::time::Duration;

use super::rules::{Rule, on};

/// Guard: a hold is sent within so long, or given back. With the bill horizon `B` it makes the hold horizon `H = G + B`.
pub const GUARD: Duration = Duration::from_secs(5);

/// Kept of the guard for what lies between the last look at the clock and the first byte on the wire.
pub const LAST_LOOK: Duration = Duration::from_secs(1);

/// Bill skew: the bill of an answer that we saw end is dated at most so long after that end.
pub const SKEW: Duration = Duration::from_millis(250);

/// A process's clock goes right within `RHO / 1,000`, time asleep included (so `CLOCK_BOOTTIME`, not `CLOCK_MONOTONIC`).
pub const RHO_PER_MILLE: u64 = 2;

/// Added to the longest total timeout for the least bill horizon.
pub const AFTER_TOTAL: Duration = Duration::from_secs(60);

/// Sub-buckets of a window that all share; a wider bucket keeps coins longer, half its width on average.
pub const BUCKETS: u64 = 128;

/// Sub-buckets of a window counted by scope value.
pub const BUCKETS_SCOPED: u64 = 32;

/// Values of one budget's scope that are told apart; further ones share a key.
pub const MOST_VALUES: usize = 100_000;

/// Part of a cap that may be held ahead of the next write of the journal, in percent.
pub const AHEAD_PERCENT: u64 = 10;

/// The same in a long window.
pub const AHEAD_LONG_PERCENT: u64 = 1;

/// A window above this is long.
pub const LONG_WINDOW: Duration = Duration::from_secs(15 * 60);

/// Part of a cap that a key which the journal does not list may hold, in percent. After a crash every such key starts
/// with it spent.
pub const UNLISTED_PERCENT: u64 = 5;

/// The shell's ticks start at least so far from zero: what was spent before a restart is dated before it. On a clock
/// that starts earlier such charges count longer, never shorter.
pub const HEAD_START: Duration = Duration::from_secs(40 * 86_400);

/// `d` in nanoseconds, stretched by the drift of two clocks against true time, rounded up.
pub(super) fn stretched(d: Duration) -> u64 {
    let ns = d.as_nanos();
    u64::try_from(ns + (ns * u128::from(RHO_PER_MILLE)).div_ceil(1_000)).unwrap_or(u64::MAX)
}

/// `percent` of `whole`, rounded down.
pub(super) fn part(whole: u64, percent: u64) -> u64 {
    (u128::from(whole) * u128::from(percent) / 100) as u64
}

/// Of a cap that has no `degradeAt`, what may be taken for requests that can wait, in percent, rounded up.
pub const LATER_PERCENT: u64 = 50;

/// A guaranteed share is counted in so many parts.
pub const WHOLE: u64 = 1_000_000_000;

/// The guaranteed part of a cap whose policy names none, in percent.
pub const GUARANTEED_PERCENT: u64 = 5;

/// A lease is good for so long after the sending of the report that it answers.
pub const TTL: Duration = Duration::from_secs(60);

/// A share is good for so long after it.
pub const SHARE_TTL: Duration = Duration::from_secs(86_400);

/// An expired lease is revived for no longer than this.
pub const MOST_CLAIM: Duration = Duration::from_secs(15 * 60);

/// A borrower that has something to tell does so this often.
pub const REPORT: Duration = Duration::from_secs(1);

/// Others do this often.
pub const REPORT_IDLE: Duration = Duration::from_secs(10);

/// Reports for a hold that waits lie at least so far apart.
pub const REPORT_URGENT: Duration = Duration::from_millis(20);

/// `d`, measured on one of two clocks, as the other must wait for it: `(1 + rho) / (1 - rho)`, rounded up.
pub(super) fn by_other_clock(ns: u64) -> u64 {
    if !on(Rule::WaitsDrift) {
        return ns;
    }
    let (more, less) = (u128::from(1_000 + RHO_PER_MILLE), u128::from(1_000 - RHO_PER_MILLE));
    u64::try_from((u128::from(ns) * more).div_ceil(less)).unwrap_or(u64::MAX)
}

/// A duration in nanoseconds, 584 years at most.
pub(super) fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

/// `parts` of [`WHOLE`] of `amount`, rounded down.
pub(super) fn parts_of(amount: u64, parts: u64) -> u64 {
    (u128::from(amount) * u128::from(parts.min(WHOLE)) / u128::from(WHOLE)) as u64
}
