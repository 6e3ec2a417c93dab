//! One request's trace: a SERVER span that joins the caller's, one GenAI CLIENT span below it, one HTTP CLIENT span an
//! attempt below that. They exist for sampled requests only; all others carry a few numbers.

use std::time::Duration;

use hyper::{
    Method, Uri,
    header::{HeaderName, HeaderValue},
};
use opentelemetry::{
    Context, KeyValue, SpanId, StringValue, TraceFlags, TraceId, Value,
    trace::{SpanContext, Status as SpanStatus, TraceContextExt, TraceState},
};
use policy::{
    ask::{Ask, Call},
    matching::Matched,
    money::Usd,
    outcome::{Class, Failure, Outcome},
    plan::{Plan, TargetKey},
    reason::Reason,
    snapshot::{Api, Provider, Snapshot},
};
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::{
    context::{self, Parent},
    decision::{Ending, Status, cut, source},
    semconv as at,
};
use crate::headers::List;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// One request's ids, and its spans where it is sampled.
pub struct Trace {
    trace_id: u128,
    span_id: u64,
    sampled: bool,
    parent: Option<Parent>,
    /// Wall time since 1970.
    began: Duration,
    live: Option<Box<Live>>,
}

/// The spans of a sampled request.
struct Live {
    server: Span,
    /// For calls of a model.
    inference: Option<Span>,
    embeddings: bool,
}

impl Trace {
    /// Nothing is exported of it.
    pub(super) fn unseen(
        trace_id: u128,
        span_id: u64,
        sampled: bool,
        parent: Option<Parent>,
        began: Duration,
    ) -> Trace {
        Trace { trace_id, span_id, sampled, parent, began, live: None }
    }

    /// Its SERVER span starts; `None` where nobody takes spans.
    pub(super) fn seen(
        method: &Method,
        uri: &Uri,
        headers: &List,
        parent: Option<Parent>,
        began: Duration,
    ) -> Option<Trace> {
        let path = crate::later::told_path(uri.path());
        let route = route(path);
        let name = route.map_or_else(|| method.to_string(), |r| format!("{method} {r}"));
        let server =
            info_span!(target: super::spans::SPAN, parent: None, "server", otel.name = name, otel.kind = "server");
        if let Some(p) = parent {
            let _ = server.set_parent(Context::new().with_remote_span_context(remote(p, headers)));
        }
        let (trace_id, span_id) = ids(&server)?;
        server.set_attribute(at::HTTP_METHOD, method.to_string());
        server.set_attribute(at::URL_PATH, cut(path).to_owned());
        server.set_attribute(at::URL_SCHEME, "http");
        if let Some(route) = route {
            server.set_attribute(at::HTTP_ROUTE, route);
        }
        let embeddings = path == "/v1/embeddings";
        let live = Some(Box::new(Live { server, inference: None, embeddings }));
        Some(Trace { trace_id, span_id, sampled: true, parent, began, live })
    }

    pub(super) fn trace_id(&self) -> u128 {
        self.trace_id
    }

    /// `rt_YYYYMMDD_<32 hex>`.
    #[must_use]
    pub fn id(&self) -> String {
        String::from_utf8_lossy(&self.id_bytes()).into_owned()
    }

    /// The same in ASCII, for those who may never print it.
    #[must_use]
    pub fn id_bytes(&self) -> [u8; 44] {
        context::id(self.trace_id, self.began)
    }

    /// For the answer.
    #[must_use]
    pub fn traceparent(&self) -> Option<HeaderValue> {
        context::traceparent(self.trace_id, self.span_id, self.sampled)
    }

    /// The request is understood: the GenAI span starts, named and described at its end, when the target is known.
    pub fn classified(&mut self, snapshot: &Snapshot, ask: &Ask, matched: &Matched) {
        let Some(live) = &mut self.live else { return };
        if operation(ask.call, live.embeddings).is_some() {
            let server = &live.server;
            let span = info_span!(target: super::spans::SPAN, parent: server, "inference", otel.kind = "client");
            live.inference = Some(span);
        }
        let settled = vec![
            KeyValue::new(at::SCENE, snapshot.scene(ask.scene).name.clone()),
            KeyValue::new(at::SCENE_BY, source(matched.scene.1)),
            KeyValue::new(at::TIER, snapshot.tier(ask.tier).name.clone()),
            KeyValue::new(at::TIER_BY, source(matched.tier.1)),
        ];
        live.decisions().add_event(at::EVENT_CLASSIFIED, settled);
    }

    /// The plan is made: who was left out, and why.
    pub fn planned(&self, snapshot: &Snapshot, plan: &Plan) {
        let Some(live) = &self.live else { return };
        for l in &plan.left_out {
            let mut why = target(snapshot, &l.key);
            why.push(KeyValue::new(at::REASON, l.reason.text(snapshot)));
            why.push(KeyValue::new(at::DETAIL, l.detail.clone()));
            live.decisions().add_event(at::EVENT_LEFT_OUT, why);
        }
    }

    /// The `number`th try starts, from 1, with a request for `path`.
    #[must_use]
    pub fn attempt(&self, number: u32, snapshot: &Snapshot, key: &TargetKey, method: &str, path: &str) -> AttemptSpan {
        let unseen = AttemptSpan { trace_id: self.trace_id, span_id: self.span_id, sampled: self.sampled, live: None };
        let Some(live) = &self.live else { return unseen };
        let above = live.decisions();
        let span =
            info_span!(target: super::spans::SPAN, parent: above, "attempt", otel.name = method, otel.kind = "client");
        let Some((_, span_id)) = ids(&span) else { return unseen };
        let provider = snapshot.provider(key.provider);
        span.set_attribute(at::HTTP_METHOD, method.to_owned());
        span.set_attribute(at::URL_FULL, url(provider, path));
        span.set_attribute(at::SERVER_ADDRESS, provider.base.host.to_string());
        span.set_attribute(at::SERVER_PORT, i64::from(provider.base.port));
        if number > 1 {
            span.set_attribute(at::HTTP_RESEND_COUNT, i64::from(number - 1));
        }
        let about = target(snapshot, key);
        about.iter().cloned().for_each(|kv| span.set_attribute(kv.key, kv.value));
        let live = Some(Box::new(LiveAttempt { span, above: above.clone(), about }));
        AttemptSpan { span_id, live, ..unseen }
    }

    /// The headers that join a call to the trace: `traceparent`, and the caller's `tracestate` where it sent a trace.
    pub fn join(&self, attempt: &AttemptSpan, caller: &List, out: &mut List) {
        if let Some(v) = context::traceparent(self.trace_id, attempt.span_id, attempt.sampled) {
            out.set(TRACEPARENT, v);
        }
        if self.parent.is_some() {
            for v in caller.get_all(&TRACESTATE) {
                out.add(TRACESTATE, v.clone());
            }
        }
    }

    /// The request ended.
    pub fn end(&mut self, ending: &Ending) {
        let Some(live) = self.live.take() else { return };
        let Live { server, inference, embeddings } = *live;
        let failed = matches!(ending.status, Status::Failed | Status::Refused);
        let reason = ending.reason.map(|r| ending.reason_text(r));
        if let (Some(span), Some(ask)) = (&inference, &ending.ask) {
            describe(span, ending, ask, operation(ask.call, embeddings).unwrap_or_default());
            if failed {
                span.set_attribute(at::ERROR_TYPE, reason.clone().unwrap_or_else(|| "_OTHER".into()));
                span.set_status(SpanStatus::error(""));
            }
        }
        server.set_attribute(at::HTTP_STATUS, i64::from(ending.http));
        server.set_attribute(at::STATUS, ending.status.label());
        if let Some(f) = &ending.in_force {
            server.set_attribute(at::POLICY, f.snapshot.name.clone());
        }
        if let Some(reason) = &reason {
            server.set_attribute(at::REASON, reason.clone());
        }
        if ending.client_gone {
            server.set_attribute(at::CLIENT_GONE, true);
        }
        // A server's own error is a 5xx, or a stream that broke after its 200.
        if ending.http >= 500 || ending.http < 400 && failed {
            let kind =
                if ending.http >= 500 { ending.http.to_string() } else { reason.unwrap_or_else(|| "_OTHER".into()) };
            server.set_attribute(at::ERROR_TYPE, kind);
            server.set_status(SpanStatus::error(""));
        }
    }
}

impl Live {
    /// The span that decisions are told on.
    fn decisions(&self) -> &Span {
        self.inference.as_ref().unwrap_or(&self.server)
    }
}

/// What the GenAI span says of the whole call.
fn describe(span: &Span, ending: &Ending, ask: &Ask, operation: &'static str) {
    let Some(in_force) = &ending.in_force else { return };
    let snapshot = &in_force.snapshot;
    let tried = ending.served.as_ref().or_else(|| ending.tries.last().map(|t| &t.key));
    let tried = tried.or_else(|| ending.plan.as_ref().and_then(|p| p.preferred.as_ref()));
    let model = tried.map_or(&ask.model, |key| &key.model);
    span.context().span().update_name(format!("{operation} {}", cut(model)).trim_end().to_owned());
    span.set_attribute(at::OPERATION_NAME, operation);
    span.set_attribute(at::REQUEST_MODEL, cut(model).to_owned());
    if let Some(key) = tried {
        let provider = snapshot.provider(key.provider);
        span.set_attribute(at::PROVIDER_NAME, system(provider.api));
        span.set_attribute(at::PROVIDER, provider.name.clone());
        span.set_attribute(at::SERVER_ADDRESS, provider.base.host.to_string());
        span.set_attribute(at::SERVER_PORT, i64::from(provider.base.port));
    }
    if ask.stream {
        span.set_attribute(at::REQUEST_STREAM, true);
        if let Some(first) = ending.first_content {
            span.set_attribute(at::RESPONSE_TIME_TO_FIRST_CHUNK, first.as_secs_f64());
        }
    }
    if ask.stream && ending.status == Status::Failed && ending.served.is_some() {
        // The stream was cut, whatever its own reason to finish would have been.
        span.set_attribute(at::RESPONSE_FINISH_REASONS, Value::Array(vec![StringValue::from("error")].into()));
    }
    if let Some(limit) = ask.max_tokens {
        span.set_attribute(at::REQUEST_MAX_TOKENS, int(limit));
    }
    if let Some(t) = &ending.tokens {
        span.set_attribute(at::USAGE_INPUT, int(t.input));
        span.set_attribute(at::USAGE_OUTPUT, int(t.output));
        span.set_attribute(at::USAGE_CACHE_READ, int(t.cached));
        span.set_attribute(at::USAGE_CACHE_WRITE, int(t.cache_write + t.cache_write_long));
    }
    span.set_attribute(at::STATUS, ending.status.label());
    if let Some(reason) = ending.reason {
        span.set_attribute(at::REASON, ending.reason_text(reason));
    }
    span.set_attribute(at::SCENE, snapshot.scene(ask.scene).name.clone());
    span.set_attribute(at::TIER, snapshot.tier(ask.tier).name.clone());
    span.set_attribute(at::REQUESTED_MODEL, cut(&ask.model).to_owned());
    span.set_attribute(at::ATTEMPTS, ending.tries.len() as i64);
    if let Some(cost) = ending.cost {
        span.set_attribute(at::COST_USD, cost.for_display());
    }
    if !ending.dropped.is_empty() {
        span.set_attribute(at::DROPPED, cut(&ending.dropped.join(",")).to_owned());
    }
}

/// The span of one attempt; ids alone where the trace is not sampled.
pub struct AttemptSpan {
    trace_id: u128,
    span_id: u64,
    sampled: bool,
    live: Option<Box<LiveAttempt>>,
}

struct LiveAttempt {
    span: Span,
    /// Where a failure is told as a decision.
    above: Span,
    /// Provider and model.
    about: Vec<KeyValue>,
}

impl AttemptSpan {
    /// Before it has begun.
    #[must_use]
    pub fn none() -> AttemptSpan {
        AttemptSpan { trace_id: 0, span_id: 0, sampled: false, live: None }
    }

    /// The provider's status is here.
    pub fn answered(&self, status: u16) {
        if let Some(live) = &self.live {
            live.span.set_attribute(at::HTTP_STATUS, i64::from(status));
        }
    }

    /// Logs within it, so that the line is an event of the span too.
    pub fn log(&self, say: impl FnOnce(&str)) {
        let id = format!("{:032x}", self.trace_id);
        match &self.live {
            Some(live) => live.span.in_scope(|| say(&id)),
            None => say(&id),
        }
    }

    /// The attempt ended.
    pub fn end(&mut self, snapshot: &Snapshot, outcome: &Outcome, cost: Option<Usd>) {
        let Some(live) = self.live.take() else { return };
        let LiveAttempt { span, above, mut about } = *live;
        span.set_attribute(at::CLASS, outcome.class.label());
        if let Some(cost) = cost {
            span.set_attribute(at::COST_USD, cost.for_display());
        }
        let Some(failure) = &outcome.failure else {
            if outcome.class == Class::Cancelled {
                span.set_attribute(at::ERROR_TYPE, outcome.class.label());
            }
            return;
        };
        let reason = Reason::of(outcome.provider, failure.row().cause).text(snapshot);
        span.set_attribute(
            at::ERROR_TYPE,
            status_of(failure).map_or_else(|| outcome.class.label().into(), |s| s.to_string()),
        );
        span.set_attribute(at::REASON, reason.clone());
        span.set_status(SpanStatus::error(""));
        about.push(KeyValue::new(at::REASON, reason));
        about.push(KeyValue::new(at::CLASS, outcome.class.label()));
        above.add_event(at::EVENT_FAILED, about);
    }
}

/// The provider's status, for failures that have one.
fn status_of(failure: &Failure) -> Option<u16> {
    match failure {
        Failure::Server { status, .. }
        | Failure::OutOfCredit { status }
        | Failure::Credential { status }
        | Failure::TooLong { status }
        | Failure::Rejected { status } => Some(*status),
        Failure::RateLimited { .. } => Some(429),
        Failure::NotFound => Some(404),
        Failure::Connect
        | Failure::Tls
        | Failure::Dns
        | Failure::Lost
        | Failure::ConnectTimeout
        | Failure::Timeout
        | Failure::NoAnswer => None,
    }
}

/// The ids of a span that is recorded.
fn ids(span: &Span) -> Option<(u128, u64)> {
    let cx = span.context();
    let sc = cx.span().span_context().clone();
    let number = |bytes: &[u8]| bytes.iter().fold(0u128, |n, b| n << 8 | u128::from(*b));
    sc.is_valid().then(|| (number(&sc.trace_id().to_bytes()), number(&sc.span_id().to_bytes()) as u64))
}

fn remote(p: Parent, headers: &List) -> SpanContext {
    let states: Vec<&str> = headers.get_all(&TRACESTATE).filter_map(|v| v.to_str().ok()).collect();
    let state = states.join(",").parse::<TraceState>().unwrap_or_default();
    let flags = TraceFlags::default().with_sampled(p.sampled);
    SpanContext::new(TraceId::from(p.trace_id), SpanId::from(p.span_id), flags, true, state)
}

fn target(snapshot: &Snapshot, key: &TargetKey) -> Vec<KeyValue> {
    let provider = KeyValue::new(at::PROVIDER, snapshot.provider(key.provider).name.clone());
    vec![provider, KeyValue::new(at::MODEL, cut(&key.model).to_owned())]
}

/// The provider's URL without the query, which may hold anything.
fn url(provider: &Provider, path: &str) -> String {
    let base = &provider.base;
    let scheme = if base.tls { "https" } else { "http" };
    let host = if base.host.contains(':') { format!("[{}]", base.host) } else { base.host.to_string() };
    let default = if base.tls { 443 } else { 80 };
    let port = if base.port == default { String::new() } else { format!(":{}", base.port) };
    format!("{scheme}://{host}{port}{}", cut(path))
}

/// `gen_ai.provider.name`: whose API it is.
fn system(api: Api) -> &'static str {
    match api {
        Api::OpenAi => "openai",
        Api::Anthropic => "anthropic",
    }
}

/// `gen_ai.operation.name`; `None` for what is passed through and no call of a model.
fn operation(call: Call, embeddings: bool) -> Option<&'static str> {
    match call {
        Call::Chat | Call::Responses | Call::Messages => Some("chat"),
        Call::CountTokens => Some("count_tokens"),
        Call::Through(_) => embeddings.then_some("embeddings"),
    }
}

/// The template of a known path: what stands in a span's name must not come from callers.
fn route(path: &str) -> Option<&'static str> {
    const EXACT: [&str; 10] = [
        "/",
        "/v1/chat/completions",
        "/v1/responses",
        "/v1/chat/completions/{id}",
        "/v1/messages",
        "/v1/messages/{id}",
        "/v1/messages/count_tokens",
        "/v1/embeddings",
        "/v1/moderations",
        "/v1/models",
    ];
    let below = |prefix: &str| path.starts_with(prefix);
    EXACT.into_iter().find(|e| *e == path).or_else(|| match path {
        _ if below("/v1/models/") => Some("/v1/models/{id}"),
        _ if below("/v1/responses/") => Some("/v1/responses/{id}"),
        _ => None,
    })
}

fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
