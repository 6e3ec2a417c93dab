//! What happened in the last minute: outcomes by class and latencies.

use std::time::Duration;

use crate::{Tick, minute::Minute, outcome::Class};

const CLASSES: usize = Class::ALL.len();
/// Latency buckets: 1 ms times 1.2 to the power of the index, so 2.8 min at the last; a reading is off by 20% at most.
const BUCKETS: usize = 67;

/// A sliding minute of one target or provider.
#[derive(Clone, Debug, Default)]
pub struct Window {
    minute: Box<Minute<Counts>>,
}

#[derive(Clone, Debug)]
struct Counts {
    classes: [u32; CLASSES],
    latency: [u32; BUCKETS],
}

impl Default for Counts {
    fn default() -> Self {
        Counts { classes: [0; CLASSES], latency: [0; BUCKETS] }
    }
}

/// Sums over the minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// By [`Class::ALL`].
    pub classes: [u64; CLASSES],
}

impl Sums {
    /// Outcomes of a class.
    #[must_use]
    pub fn of(&self, class: Class) -> u64 {
        self.classes[class as usize]
    }

    /// Outcomes that say something about the provider: not the caller's faults, not cancelled ones.
    #[must_use]
    pub fn judged(&self) -> u64 {
        Class::ALL.iter().filter(|c| !matches!(c, Class::Caller | Class::Cancelled)).map(|c| self.of(*c)).sum()
    }

    /// Share of the judged outcomes in `class`, 0 for an empty minute.
    #[must_use]
    pub fn ratio(&self, class: Class) -> f64 {
        match self.judged() {
            0 => 0.0,
            all => self.of(class) as f64 / all as f64,
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(mut self, other: Sums) -> Sums {
        for (sum, n) in self.classes.iter_mut().zip(other.classes) {
            *sum += n;
        }
        self
    }

    /// Share of the judged outcomes that were no answers, 0 for an empty minute.
    #[must_use]
    pub fn error_ratio(&self) -> f64 {
        match self.judged() {
            0 => 0.0,
            all => (all - self.of(Class::Success)) as f64 / all as f64,
        }
    }

    /// Share of successes, 1 for an empty minute.
    #[must_use]
    pub fn success_rate(&self) -> f64 {
        if self.judged() == 0 { 1.0 } else { self.ratio(Class::Success) }
    }
}

impl Window {
    /// Counts one outcome; `latency` (to first content, or to the failure) for those that say how slow the target is.
    pub fn record(&mut self, class: Class, latency: Option<Duration>, now: Tick) {
        let counts = self.minute.at(now);
        counts.classes[class as usize] += 1;
        if let Some(latency) = latency {
            counts.latency[bucket(latency)] += 1;
        }
    }

    /// Sums of the last minute.
    #[must_use]
    pub fn sums(&self, now: Tick) -> Sums {
        let mut sums = Sums::default();
        for counts in self.minute.live(now) {
            for (sum, n) in sums.classes.iter_mut().zip(counts.classes) {
                *sum += u64::from(n);
            }
        }
        sums
    }

    /// The 95th percentile of the last minute's latencies, rounded up to its bucket; `None` below `least` readings.
    #[must_use]
    pub fn p95(&self, now: Tick, least: u64) -> Option<Duration> {
        let mut all = [0u64; BUCKETS];
        for counts in self.minute.live(now) {
            for (sum, n) in all.iter_mut().zip(counts.latency) {
                *sum += u64::from(n);
            }
        }
        let count: u64 = all.iter().sum();
        if count == 0 || count < least {
            return None;
        }
        let rank = (count * 95).div_ceil(100);
        let mut seen = 0;
        let index = all.iter().position(|n| {
            seen += n;
            seen >= rank
        })?;
        Some(upper(index))
    }
}

/// Upper bound of bucket `index`.
fn upper(index: usize) -> Duration {
    Duration::from_secs_f64(0.001 * 1.2f64.powi(index as i32))
}

/// The first bucket whose upper bound is not below `latency`.
fn bucket(latency: Duration) -> usize {
    let ms = latency.as_secs_f64() * 1000.0;
    let index = (ms.max(1.0).ln() / 1.2f64.ln() - 1e-9).ceil();
    (index as usize).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Tick {
        Tick(s * 1_000_000_000)
    }

    #[test]
    fn a_minute_slides() {
        let mut w = Window::default();
        for s in 0..60 {
            w.record(Class::Success, None, at(1000 + s));
        }
        assert_eq!(w.sums(at(1059)).of(Class::Success), 60);
        assert_eq!(w.sums(at(1064)).of(Class::Success), 55);
        assert_eq!(w.sums(at(1200)), Sums::default());
    }

    #[test]
    fn ratios_leave_out_the_callers_faults() {
        let mut w = Window::default();
        for class in [Class::Success, Class::Success, Class::Timeout, Class::Server, Class::Caller, Class::Cancelled] {
            w.record(class, None, at(1000));
        }
        let s = w.sums(at(1000));
        assert_eq!((s.judged(), s.ratio(Class::Timeout), s.success_rate(), s.error_ratio()), (4, 0.25, 0.5, 0.5));
        assert_eq!((Sums::default().success_rate(), Sums::default().error_ratio()), (1.0, 0.0));
        let both = s.plus(s);
        assert_eq!((both.judged(), both.of(Class::Success), both.ratio(Class::Timeout)), (8, 4, 0.25));
    }

    #[test]
    fn p95_is_within_a_fifth_and_speaks_from_enough_readings() {
        let mut w = Window::default();
        for i in 1..=100u64 {
            w.record(Class::Success, Some(Duration::from_millis(i * 10)), at(1000));
        }
        let p95 = w.p95(at(1000), 20).unwrap().as_secs_f64();
        assert!((0.95..0.95 * 1.2).contains(&p95), "{p95}");
        assert_eq!(w.p95(at(1000), 101), None);
        assert_eq!(Window::default().p95(at(1), 0), None);
    }

    proptest::proptest! {
        #[test]
        fn every_latency_lies_in_its_bucket(us in 0u64..400_000_000) {
            let d = Duration::from_micros(us);
            let i = bucket(d);
            proptest::prop_assert!(d.as_secs_f64() <= upper(i).as_secs_f64() * 1.0001 || i == BUCKETS - 1);
            proptest::prop_assert!(i == 0 || d.as_secs_f64() >= upper(i - 1).as_secs_f64() * 0.9999);
        }
    }
}
