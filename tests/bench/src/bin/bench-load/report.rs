//! What is counted during a run, and the JSON made of it.

use std::collections::BTreeMap;

use llmroute_bench::{monotonic_ns, own_cpu_ns};
use serde_json::{Value, json};

use crate::{Config, conn::Exchange, machine};

/// Durations in nanoseconds.
#[derive(Default)]
struct Samples(Vec<u64>);

impl Samples {
    fn report(&mut self) -> Value {
        self.0.sort_unstable();
        let n = self.0.len();
        if n == 0 {
            return Value::Null;
        }
        let us = |ns: u64| tenths(ns as f64 / 1000.0);
        let q = |q: f64| us(self.0[((q * n as f64).ceil() as usize).clamp(1, n) - 1]);
        json!({"p50": q(0.5), "p90": q(0.9), "p99": q(0.99), "p999": q(0.999), "max": q(1.0), "n": n})
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
    pub(crate) rss_peak_kib: u64,
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

    pub(crate) fn error(&mut self, kind: impl Into<String>, count: u64) {
        *self.errors.entry(kind.into()).or_default() += count;
    }

    pub(crate) fn chunk(&mut self, at: u64, stamp: u64) {
        if (self.from..self.to).contains(&at) {
            self.chunks_in_window += 1;
            self.transit.0.push(at.saturating_sub(stamp));
        }
    }

    pub(crate) fn exchange(&mut self, x: &Exchange) {
        match (x.status, x.complete) {
            (200, true) => self.answered += 1,
            (200, false) => return self.error("cut short", 1),
            (0, _) => return self.error("no answer", 1),
            (status, _) => return self.error(format!("status {status}"), 1),
        }
        let window = self.from..self.to;
        self.ended_in_window += u64::from(window.contains(&x.end));
        if window.contains(&x.due) {
            self.latency.0.push(x.end - x.due);
            self.first_byte.0.push(x.first_byte - x.due);
            if x.first_chunk > 0 {
                self.first_chunk.0.push(x.first_chunk - x.due);
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
        })
    }
}

fn tenths(n: f64) -> f64 {
    (n * 10.0).round() / 10.0
}
