//! The only reader of clocks: ticks of the machine's boot, which count time asleep, and wall time for dates.

use std::{
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use policy::{Tick, ledger::terms::HEAD_START};
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

/// Now: `CLOCK_BOOTTIME` and a head start. A tick means the same to every process of one boot, which is what the ledger's
/// journal builds on.
#[must_use]
pub fn now() -> Tick {
    let boot = clock_gettime(ClockId::Boottime);
    let since_boot = Duration::new(u64::try_from(boot.tv_sec).unwrap_or(0), u32::try_from(boot.tv_nsec).unwrap_or(0));
    Tick(0).after(HEAD_START + since_boot)
}

/// The instant to sleep until for `tick`. Timers stand still while the machine sleeps, so they are for waits, not for
/// what must be over.
#[must_use]
pub fn instant(tick: Tick) -> Instant {
    // Read first, so that the timer is late rather than early.
    let left = tick.since(now());
    let here = Instant::now();
    here.checked_add(left).unwrap_or(here + Duration::from_secs(86_400 * 365))
}

/// Names the boot that ticks belong to; `None` where the kernel does not say.
#[must_use]
pub fn boot() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

/// Wall time since 1970.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one reader of wall time")]
pub fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// `unix` as HTTP says it (RFC 9110 section 5.6.7).
#[must_use]
pub fn http_date(unix: Duration) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + unix)
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
    fn a_tick_is_a_moment_of_the_boot_for_every_process() {
        let up = fs::read_to_string("/proc/uptime").unwrap();
        let up: f64 = up.split(' ').next().unwrap().parse().unwrap();
        let tick = now().since(Tick(0)) - HEAD_START;
        assert!((tick.as_secs_f64() - up).abs() < 5.0, "{tick:?} {up}");
        let ahead = now().after(Duration::from_secs(100));
        let left = instant(ahead) - Instant::now();
        assert!(left <= Duration::from_secs(100) && left > Duration::from_secs(95), "{left:?}");
        assert!(instant(Tick(0)) <= Instant::now(), "what is over is now");
        assert!(instant(Tick(u64::MAX)) > Instant::now() + Duration::from_secs(86_400 * 300));
        assert_eq!(boot(), boot());
    }

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
