//! The one place that reads the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// A moment, by both clocks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moment {
    /// Microseconds since the start, by a clock that never steps.
    pub(crate) us: u64,
    /// Milliseconds since 1970.
    pub(crate) unix_ms: u64,
}

/// Now, for a simulator that began at `start`.
pub(crate) fn since(start: Instant) -> Moment {
    Moment { us: start.elapsed().as_micros() as u64, unix_ms: unix_ms() }
}

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the simulator's single reader of wall time")]
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

/// A Unix time in seconds as RFC 3339, which is how Anthropic writes times.
pub(crate) fn rfc3339(unix: u64) -> String {
    let (days, second) = (unix / 86_400, unix % 86_400);
    // Civil date from a day count: years run from March, so that the leap day comes last.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z", second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (unix, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_827_696, "2000-02-29T12:34:56Z"),
            (1_795_508_207, "2026-11-24T08:16:47Z"),
        ] {
            assert_eq!(rfc3339(unix), text);
        }
    }
}
