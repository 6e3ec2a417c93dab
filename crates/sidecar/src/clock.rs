//! The only reader of clocks: monotonic ticks from tokio (so that tests can pause them), wall time for dates.

use std::{
    sync::OnceLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use policy::Tick;
use tokio::time::Instant;

static ORIGIN: OnceLock<Instant> = OnceLock::new();

/// Ticks start a day ahead of zero, so that windows never see a time before the beginning.
const HEAD_START: Duration = Duration::from_secs(86_400);

/// Now, on the monotonic clock.
#[must_use]
pub fn now() -> Tick {
    let origin = *ORIGIN.get_or_init(Instant::now);
    Tick(0).after(HEAD_START + origin.elapsed())
}

/// The instant to sleep until for `tick`.
#[must_use]
pub fn instant(tick: Tick) -> Instant {
    let origin = *ORIGIN.get_or_init(Instant::now);
    let after = tick.since(Tick(0)).saturating_sub(HEAD_START);
    origin.checked_add(after).unwrap_or(origin + Duration::from_secs(86_400 * 365))
}

/// Wall time since 1970.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one reader of wall time")]
pub fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The UTC date of `unix` as `YYYYMMDD` (days to civil date: Howard Hinnant, "chrono-compatible low-level date algorithms").
#[must_use]
pub fn date(unix: Duration) -> [u8; 8] {
    let days = (unix.as_secs() / 86_400) as i64 + 719_468;
    let era = days / 146_097;
    let doe = days - era * 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + i64::from(month <= 2);
    let mut out = [b'0'; 8];
    let mut number = year * 10_000 + month * 100 + day;
    for slot in out.iter_mut().rev() {
        *slot = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out
}

/// `unix` as RFC 3339 to the millisecond: `2026-11-24T23:59:59.000Z`.
#[must_use]
pub fn timestamp(unix: Duration) -> String {
    let date = date(unix);
    let date = String::from_utf8_lossy(&date);
    let (secs, ms) = (unix.as_secs() % 86_400, unix.subsec_millis());
    let (h, m, s) = (secs / 3600, secs / 60 % 60, secs % 60);
    format!("{}-{}-{}T{h:02}:{m:02}:{s:02}.{ms:03}Z", &date[..4], &date[4..6], &date[6..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (secs, want) in
            [(0, "19700101"), (951_782_400, "20000229"), (1_795_507_199, "20261124"), (4_102_444_800, "21000101")]
        {
            assert_eq!(std::str::from_utf8(&date(Duration::from_secs(secs))), Ok(want));
        }
        assert_eq!(timestamp(Duration::from_millis(1_795_507_199_070)), "2026-11-24T07:59:59.070Z");
    }
}
