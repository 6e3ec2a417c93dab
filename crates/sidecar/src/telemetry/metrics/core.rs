//! The six core metrics as they stand now; the fallbacks are a plain counter.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use policy::{
    Tick,
    ledger::{Unit, View},
    minute::Minute,
    money::Usd,
    outcome::Class,
};
use prometheus_client::metrics::counter::Counter;

use super::{
    instruments::{COST_PER_MIN, DEGRADE_RATIO, LIMIT_PER_MIN, P95_LATENCY, SUCCESS_RATE, TIMEOUT_RATIO},
    table::{Out, Table},
};
use crate::state::{InForce, LiveProvider};

/// Answers of one scene in the last minute; shared by name over reloads.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers(Arc<Mutex<Minute<Counts>>>);

#[derive(Debug, Default)]
struct Counts {
    all: u64,
    degraded: u64,
}

impl Answers {
    pub(super) fn add(&self, degraded: bool, now: Tick) {
        let mut minute = self.0.lock();
        let counts = minute.at(now);
        counts.all += 1;
        counts.degraded += u64::from(degraded);
    }

    /// 0 for an empty minute.
    fn degraded(&self, now: Tick) -> f64 {
        let minute = self.0.lock();
        let (all, degraded) = minute.live(now).fold((0, 0), |(all, d), c| (all + c.all, d + c.degraded));
        if all == 0 { 0.0 } else { degraded as f64 / all as f64 }
    }
}

/// Writes them.
pub(super) fn write(
    out: &mut Out<'_>,
    fallbacks: &Table<Counter, 3>,
    in_force: Option<&InForce>,
    caps: &[View],
    now: Tick,
) -> fmt::Result {
    let providers = || in_force.into_iter().flat_map(|f| f.snapshot.providers.iter().zip(&f.providers));
    let sums: Vec<_> = providers().map(|(p, live)| ([&p.name], live.cell.with(|h| h.sums(now)))).collect();
    out.rows(&SUCCESS_RATE, sums.iter().map(|(name, s)| (*name, s.success_rate())))?;
    let p95 = |live: &LiveProvider| live.cell.with(|h| h.p95(now, 1)).unwrap_or_default().as_secs_f64();
    out.rows(&P95_LATENCY, providers().map(|(p, live)| ([&p.name], p95(live))))?;
    out.rows(&TIMEOUT_RATIO, sums.iter().map(|(name, s)| (*name, s.ratio(Class::Timeout))))?;

    let budgets = || caps.iter().filter(|v| v.key.unit == Unit::Money);
    out.rows(&COST_PER_MIN, budgets().map(|v| ([&v.key.name], Usd(v.last_minute))))?;
    let per_minute = |v: &View| Usd(v.limit).for_display() * 60.0 / v.window.as_secs_f64();
    out.rows(&LIMIT_PER_MIN, budgets().map(|v| ([&v.key.name], per_minute(v))))?;
    out.table(fallbacks)?;
    let scenes = in_force.into_iter().flat_map(|f| f.snapshot.scenes.iter().zip(&f.series.answers));
    out.rows(&DEGRADE_RATIO, scenes.map(|(s, answers)| ([&s.name], answers.degraded(now))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_minute_is_not_degraded_and_a_minute_slides() {
        let at = |s: u64| Tick(s * 1_000_000_000);
        let answers = Answers::default();
        assert_eq!(answers.degraded(at(1000)), 0.0);
        for (second, degraded) in [(1000, true), (1000, false), (1030, false), (1030, true), (1030, false)] {
            answers.add(degraded, at(second));
        }
        let now = [1030, 1059, 1060, 1089, 1090].map(|s| answers.degraded(at(s)));
        assert_eq!(now, [0.4, 0.4, 1.0 / 3.0, 1.0 / 3.0, 0.0]);
    }
}
