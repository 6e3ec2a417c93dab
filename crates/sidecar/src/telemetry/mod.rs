//! What the sidecar says of itself: spans, metrics, decision records, log lines.

pub mod decision;
pub mod metrics;

mod collector;
mod context;
mod count;
mod export;
mod lines;
mod logs;
mod sampler;
mod semconv;
mod settings;
mod spans;
mod trace;

use anyhow::Context;
use policy::Tick;

use crate::upstream::Upstream;
use count::Counter;
use decision::{Ending, Status};
use metrics::Metrics;
use sampler::Share;

pub use lines::Lines;
pub use spans::Spans;
pub use trace::{AttemptSpan, Trace};

/// Share of the plainly ok requests that leave a decision record, 0 to 1; 0 writes none of the others either.
const RATIO: &str = "LLMROUTE_DECISION_RATIO";

/// All of it; by default spans and records are off.
#[derive(Default)]
pub struct Telemetry {
    /// Sampler and exporter.
    pub spans: Spans,
    /// Counters and histograms.
    pub metrics: Metrics,
    /// Of the plainly ok requests, those that leave a record.
    share: Share,
    lines: Option<Lines>,
}

/// What was delivered and what was lost on the way, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Spans that the collector took.
    pub spans_exported: u64,
    /// Spans lost because the queue was full.
    pub queue_full: u64,
    /// Spans lost because an export failed.
    pub export_failed: u64,
    /// Decision records written.
    pub decisions: u64,
    /// Decision records lost because standard error was slow.
    pub decisions_lost: u64,
    /// Log lines lost for the same reason.
    pub lines_lost: u64,
}

impl Telemetry {
    /// By the environment; also makes `lines` the log of the process.
    ///
    /// # Errors
    /// A variable that cannot be used, by name.
    pub fn from_env(upstream: &Upstream, lines: Lines) -> anyhow::Result<Telemetry> {
        let set = |name: &str| std::env::var(name).ok().filter(|v| !v.trim().is_empty());
        let share = Share::parse(set(RATIO).as_deref().unwrap_or("0.01")).context(RATIO)?;
        let spans = Spans::from_env(upstream)?;
        logs::init(&spans, lines.clone(), &set("RUST_LOG").unwrap_or_else(|| "info".into()))?;
        Ok(Telemetry { spans, metrics: Metrics::default(), share, lines: Some(lines) })
    }

    /// The request has ended: metrics, spans, and the decision record, of every request that was not plainly ok and of a
    /// share of the others.
    pub(crate) fn ended(&self, trace: &mut Trace, ending: Ending, now: Tick) {
        self.metrics.request(&ending, now);
        trace.end(&ending);
        let told = ending.status != Status::Ok && self.share != Share::NONE || self.share.holds(trace.trace_id());
        if let Some(lines) = self.lines.as_ref().filter(|_| told) {
            lines.decision(Box::new(ending));
        }
    }

    /// What was delivered and what was lost, for metrics.
    #[must_use]
    pub fn lost(&self) -> Lost {
        let spans = self.spans.counts();
        let lines = self.lines.as_ref().map(|l| &l.counts);
        let of = |counter: Option<&Counter>| counter.map_or(0, Counter::get);
        Lost {
            spans_exported: of(spans.map(|c| &c.exported)),
            queue_full: of(spans.map(|c| &c.queue_full)),
            export_failed: of(spans.map(|c| &c.export_failed)),
            decisions: of(lines.map(|c| &c.decisions)),
            decisions_lost: of(lines.map(|c| &c.decisions_lost)),
            lines_lost: of(lines.map(|c| &c.lines_lost)),
        }
    }
}
