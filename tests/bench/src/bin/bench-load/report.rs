//! What is counted during a run, and the JSON made of it.

use std::collections::BTreeMap;

use llmroute_bench::{monotonic_ns, own_cpu_ns};
use serde_json::{Value, json};

use crate::{Config, conn::Exchange, machine};

/// Durations in nanoseconds: all, or of a long run evenly one in so many.
#[derive(Default)]
struct Samples {
    kept: Vec<u64>,
    seen: usize,
    /// One in `1 << thinned` is kept.
    thinned: u32,
}

impl Samples {
    const MOST: usize = 1 << 22;

    fn push(&mut self, ns: u64) {
        if self.seen.trailing_zeros() >= self.thinned {
            self.kept.push(ns);
        }
        self.seen += 1;
        if self.kept.len() == Self::MOST {
            let mut nth = 0;
            self.kept.retain(|_| {
                nth += 1;
                nth % 2 == 1
            });
            self.thinned += 1;
        }
    }

    fn report(&mut self) -> Value {
        self.kept.sort_unstable();
        let n = self.kept.len();
        if n == 0 {
            return Value::Null;
        }
        let us = |ns: u64| tenths(ns as f64 / 1000.0);
        let q = |q: f64| us(self.kept[((q * n as f64).ceil() as usize).clamp(1, n) - 1]);
        json!({"p50": q(0.5), "p90": q(0.9), "p99": q(0.99), "p999": q(0.999), "max": q(1.0), "n": self.seen})
    }
}

#[derive(Default)]
struct Mean {
    sum: u64,
    n: u64,
}

impl Mean {
    fn add(&mut self, kib: u64) {
        self.sum += kib;
        self.n += 1;
    }

    fn value(&self) -> Option<u64> {
        self.sum.checked_div(self.n)
    }
}

/// CPU clocks at one moment, in microseconds but for `at`.
#[derive(Default)]
pub(crate) struct Clocks {
    at: u64,
    tested: u64,
    mock: u64,
    own: u64,
    ignored: u64,
    busy: u64,
    stolen: u64,
}

impl Clocks {
    pub(crate) fn read(config: &Config, tree: &[u32]) -> Self {
        let (busy, stolen) = machine::busy_and_stolen_us();
        Clocks {
            at: monotonic_ns(),
            tested: machine::cpu_us(tree),
            mock: machine::cpu_us(config.mock.as_slice()),
            own: own_cpu_ns() / 1000,
            ignored: machine::cpu_us(&config.ignored),
            busy,
            stolen,
        }
    }
}

/// The count of a whole run; samples and the window's counts are of the time from `from` to `to` only.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    pub(crate) reconnects: u64,
    pub(crate) peak_in_flight: usize,
    rss_start_kib: u64,
    rss_peak_kib: u64,
    /// Of the first and of the last tenth of the window.
    rss_first: Mean,
    rss_last: Mean,
    ended_in_window: u64,
    chunks_in_window: u64,
    errors: BTreeMap<String, u64>,
    latency: Samples,
    first_byte: Samples,
    first_chunk: Samples,
    transit: Samples,
}

impl Tally {
    pub(crate) fn new(from: u64, to: u64, rss_start_kib: u64) -> Self {
        Tally { from, to, rss_start_kib, ..Tally::default() }
    }

    /// Resident memory of the processes under test, now.
    pub(crate) fn rss(&mut self, at: u64, kib: u64) {
        self.rss_peak_kib = self.rss_peak_kib.max(kib);
        let part = self.to.saturating_sub(self.from) / 10;
        if (self.from..self.from + part).contains(&at) {
            self.rss_first.add(kib);
        } else if (self.to - part..self.to).contains(&at) {
            self.rss_last.add(kib);
        }
    }

    pub(crate) fn error(&mut self, kind: impl Into<String>, count: u64) {
        *self.errors.entry(kind.into()).or_default() += count;
    }

    pub(crate) fn chunk(&mut self, at: u64, stamp: u64) {
        if (self.from..self.to).contains(&at) {
            self.chunks_in_window += 1;
            self.transit.push(at.saturating_sub(stamp));
        }
    }

    pub(crate) fn exchange(&mut self, x: &Exchange) {
        match (x.status, x.complete, x.right) {
            (200, true, true) => self.answered += 1,
            (200, true, false) => return self.error("wrong answer", 1),
            (200, false, _) => return self.error("cut short", 1),
            (0, ..) => return self.error("no answer", 1),
            (status, ..) => return self.error(format!("status {status}"), 1),
        }
        let window = self.from..self.to;
        self.ended_in_window += u64::from(window.contains(&x.end));
        if window.contains(&x.due) {
            self.latency.push(x.end - x.due);
            self.first_byte.push(x.first_byte - x.due);
            if x.first_chunk > 0 {
                self.first_chunk.push(x.first_chunk - x.due);
            }
        }
    }

    pub(crate) fn report(mut self, a: &Clocks, b: &Clocks) -> Value {
        let wall_us = (b.at - a.at) as f64 / 1000.0;
        let tested = (b.tested - a.tested) as f64;
        let mock = (b.mock - a.mock) as f64;
        let own = (b.own - a.own) as f64;
        let ignored = (b.ignored - a.ignored) as f64;
        let other = (b.busy - a.busy) as f64 - tested - mock - own - ignored;
        let percent = |us: f64| tenths(us / wall_us * 100.0);
        let a_second = |n: u64| tenths(n as f64 / wall_us * 1e6);
        let each = |n: u64| if n == 0 { Value::Null } else { json!((tested / n as f64 * 100.0).round() / 100.0) };
        json!({
            "sent": self.sent,
            "answered": self.answered,
            "errors": self.errors,
            "reconnects": self.reconnects,
            "peak_in_flight": self.peak_in_flight,
            "rps": a_second(self.ended_in_window),
            "chunks_per_s": a_second(self.chunks_in_window),
            "latency_us": self.latency.report(),
            "first_byte_us": self.first_byte.report(),
            "first_chunk_us": self.first_chunk.report(),
            "chunk_transit_us": self.transit.report(),
            "cpu_us_per_request": each(self.ended_in_window),
            "cpu_us_per_chunk": each(self.chunks_in_window),
            "cpu_pct": percent(tested),
            "mock_cpu_pct": percent(mock),
            "own_cpu_pct": percent(own),
            "other_cpu_pct": percent(other.max(0.0)),
            "stolen_pct": percent((b.stolen - a.stolen) as f64),
            "rss_start_kib": self.rss_start_kib,
            "rss_peak_kib": self.rss_peak_kib,
            "rss_first_kib": self.rss_first.value(),
            "rss_last_kib": self.rss_last.value(),
        })
    }
}

fn tenths(n: f64) -> f64 {
    (n * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_keeps_an_even_part_of_its_samples() {
        let mut samples = Samples::default();
        let all = Samples::MOST as u64 * 5;
        (0..all).for_each(|ns| samples.push(ns * 1000));
        assert!(samples.kept.len() <= Samples::MOST && samples.kept.len() > Samples::MOST / 2);
        let step = samples.kept[1] - samples.kept[0];
        assert!(samples.kept.windows(2).all(|w| w[1] - w[0] == step));
        let report = samples.report();
        assert_eq!(report["n"], all);
        assert!((report["p50"].as_f64().unwrap() / (all as f64 / 2.0) - 1.0).abs() < 0.001);
    }

    #[test]
    fn memory_is_told_of_both_ends_of_the_window() {
        let mut tally = Tally::new(1000, 2000, 1);
        for (at, kib) in [(900, 9), (1000, 10), (1099, 20), (1500, 99), (1900, 30), (1999, 50), (2000, 70)] {
            tally.rss(at, kib);
        }
        assert_eq!((tally.rss_first.value(), tally.rss_last.value(), tally.rss_peak_kib), (Some(15), Some(40), 99));
        assert_eq!(Tally::new(0, 10, 0).rss_first.value(), None);
    }
}
