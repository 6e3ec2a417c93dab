//! How long to wait before the operator is called again: full jitter, so that a thousand sidecars do not come at once
//! (Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).

use std::time::Duration;

const BASE: Duration = Duration::from_millis(500);
/// A new leader is there within 20 s; few of these are left to wait then.
const CAP: Duration = Duration::from_secs(10);
/// A stream that lasted so long was a good one.
pub(super) const GOOD: Duration = Duration::from_secs(10);

/// The wait after `failures` streams in a row that were not good; `draw` is in 0..1.
pub(super) fn wait(failures: u32, draw: f64) -> Duration {
    let most = BASE.saturating_mul(1 << failures.min(16)).min(CAP);
    most.mul_f64(draw.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_range_doubles_up_to_the_cap() {
        let most = [0, 1, 2, 4, 5, 100, u32::MAX].map(|n| wait(n, 1.0).as_millis());
        assert_eq!(most, [500, 1000, 2000, 8000, 10_000, 10_000, 10_000]);
    }

    proptest! {
        #[test]
        fn a_wait_is_within_its_range(failures: u32, draw in 0.0..1.0) {
            prop_assert!(wait(failures, draw) <= wait(failures, 1.0));
            prop_assert_eq!(wait(failures, 0.0), Duration::ZERO);
        }
    }
}
