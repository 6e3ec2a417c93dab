//! The only reader of clocks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use k8s_openapi::jiff::Timestamp;
use policy::{Tick, ledger::terms::HEAD_START};
use rustix::time::{ClockId, clock_gettime};

/// Since the machine's boot, time asleep included: what leases are measured by.
#[must_use]
pub fn now() -> Duration {
    let boot = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(boot.tv_sec).unwrap_or(0), u32::try_from(boot.tv_nsec).unwrap_or(0))
}

/// That time as the ledger counts it: what was before this boot has room.
#[must_use]
pub fn tick(since_boot: Duration) -> Tick {
    Tick(0).after(HEAD_START.saturating_add(since_boot))
}

/// Wall time since 1970.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one reader of wall time")]
pub fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Wall time as objects have it.
#[must_use]
pub fn timestamp() -> Timestamp {
    let micros = i64::try_from(unix().as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_microsecond(micros).unwrap_or_default()
}
