//! Which requests are traced, and where their spans go.

use hyper::{Method, Uri};
use opentelemetry::{InstrumentationScope, SpanId, TraceId, trace::TracerProvider};
use opentelemetry_sdk::trace::{IdGenerator, Sampler as SdkSampler, SdkTracer, SdkTracerProvider, SpanExporter};

use super::{
    collector, context,
    export::{self, Counts, Exporting},
    sampler::{Sampler, Share},
    semconv,
    settings::Settings,
    trace::Trace,
};
use crate::{clock, headers::List, upstream::Upstream};

/// Target of the spans that are exported.
pub(super) const SPAN: &str = "llmroute::span";

/// Sampler and exporter, by the standard `OTEL_*` variables; by default nothing is sampled or exported.
#[derive(Default)]
pub struct Spans(Option<Exporter>);

struct Exporter {
    sampler: Sampler,
    provider: SdkTracerProvider,
    exporting: Exporting,
}

impl Spans {
    /// By the environment; must be called on a runtime, where the exporter then runs.
    ///
    /// # Errors
    /// A variable that cannot be used.
    pub fn from_env(upstream: &Upstream) -> anyhow::Result<Spans> {
        let Some(settings) = Settings::read(&|name| std::env::var(name).ok())? else { return Ok(Spans(None)) };
        let mut exporter = collector::exporter(&settings, upstream)?;
        exporter.set_resource(&settings.resource);
        let (queue, exporting) = export::start(exporter, settings.batch, settings.timeout);
        let provider = SdkTracerProvider::builder()
            .with_resource(settings.resource)
            // Who is not sampled never comes here.
            .with_sampler(SdkSampler::AlwaysOn)
            .with_id_generator(Ids(settings.sampler.root()))
            .with_span_processor(queue)
            .build();
        Ok(Spans(Some(Exporter { sampler: settings.sampler, provider, exporting })))
    }

    /// Makes the spans, where they are exported.
    pub(super) fn tracer(&self) -> Option<SdkTracer> {
        let scope = InstrumentationScope::builder("llmroute").with_version(env!("CARGO_PKG_VERSION"));
        let scope = scope.with_schema_url(semconv::SCHEMA_URL).build();
        self.0.as_ref().map(|e| e.provider.tracer_with_scope(scope))
    }

    pub(super) fn counts(&self) -> Option<&Counts> {
        self.0.as_ref().map(|e| &*e.exporting.counts)
    }

    /// Exports what is queued, within a bound.
    pub async fn shutdown(&self) {
        if let Some(e) = &self.0 {
            e.exporting.shutdown().await;
        }
    }

    /// A request arrives: joins the app's `traceparent` and decides on sampling before any span exists.
    #[must_use]
    pub fn begin(&self, method: &Method, uri: &Uri, headers: &List) -> Trace {
        let parent = context::parent(headers);
        let trace_id = parent.map_or_else(|| fastrand::u128(1..), |p| p.trace_id);
        let began = clock::unix();
        let Some(exporter) = &self.0 else {
            // Nobody would ever see a span of ours: the caller's own goes onward.
            let span_id = parent.map_or_else(|| fastrand::u64(1..), |p| p.span_id);
            return Trace::unseen(trace_id, span_id, parent.is_some_and(|p| p.sampled), parent, began);
        };
        let seen = exporter.sampler.samples(trace_id, parent);
        let seen = seen.then(|| Trace::seen(method, uri, headers, parent, began)).flatten();
        seen.unwrap_or_else(|| Trace::unseen(trace_id, fastrand::u64(1..), false, parent, began))
    }
}

/// Ids that agree with the decision, which was made on another random one: a trace that begins here is in its share.
#[derive(Debug)]
struct Ids(Share);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        TraceId::from(self.0.draw())
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from(fastrand::u64(1..))
    }
}
