//! JSON lines on standard error, of our own crates only, since others would print what goes over the wire; and the bridge
//! that turns spans of sampled requests, with what is logged inside them, into exported ones.

use anyhow::Context;
use tracing::{Metadata, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, filter_fn},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use super::{
    lines::Lines,
    spans::{SPAN, Spans},
};

/// Makes `lines` the log of the process; `levels` in the form of `RUST_LOG`.
///
/// # Errors
/// Levels that cannot be read.
pub(super) fn init(spans: &Spans, lines: Lines, levels: &str) -> anyhow::Result<()> {
    // A filter without a level hint would have every disabled line made up before it is thrown away.
    let levels = EnvFilter::try_new(levels).context("RUST_LOG")?;
    let log = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(lines)
        .with_filter(levels.and(filter_fn(|m| m.is_event() && is_ours(m)).with_max_level_hint(LevelFilter::TRACE)));
    let bridge = spans.tracer().map(|tracer| {
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(of_spans).with_max_level_hint(LevelFilter::TRACE).and(LevelFilter::INFO))
    });
    tracing_subscriber::registry().with(log).with(bridge).try_init().context("the log")
}

fn of_spans(m: &Metadata<'_>) -> bool {
    m.target() == SPAN || (m.is_event() && is_ours(m))
}

fn is_ours(m: &Metadata<'_>) -> bool {
    m.target().split("::").next().is_some_and(|root| matches!(root, "sidecar" | "llmroute_sidecar" | "llmroute"))
}
