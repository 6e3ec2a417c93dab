//! The admin port: liveness, readiness and metrics for everyone; health, the policy and explanations for loopback
//! callers. It changes nothing.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use policy::{
    ledger::{Unit, View, terms::WHOLE},
    money::Usd,
    outcome::Class,
    snapshot::{Api, ProviderId},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{
    clock, explain,
    intake::MAX_BODY,
    state::{Health, InForce, State},
};

/// All pages: nothing else is served.
pub const PAGES: [&str; 7] =
    ["/livez", "/readyz", "/metrics", "/health/providers", "/health/budgets", "/config", "/explain"];
/// Those for everyone.
const OPEN: [&str; 3] = ["/livez", "/readyz", "/metrics"];

const MAX_HEAD: usize = 16 << 10;
const HEAD_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);
const MAX_CONNECTIONS: usize = 64;

/// Serves until `shutdown`.
pub async fn serve(state: Arc<State>, listener: TcpListener, shutdown: CancellationToken) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => return,
        };
        let Ok((tcp, from)) = accepted else { continue };
        let Ok(place) = room.clone().try_acquire_owned() else { continue };
        let (state, shutdown) = (state.clone(), shutdown.clone());
        tokio::spawn(async move {
            let _place = place;
            let service = service_fn(|request| {
                let state = state.clone();
                async move { Ok::<_, Infallible>(answer(&state, request, from).await) }
            });
            let serving = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .max_header_size(MAX_HEAD)
                .serve_connection(TokioIo::new(tcp), service);
            tokio::select! {
                _ = serving => {}
                () = shutdown.cancelled() => {}
            }
        });
    }
}

async fn answer(state: &Arc<State>, request: Request<Incoming>, from: SocketAddr) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if !PAGES.contains(&path) {
        return told(StatusCode::NOT_FOUND, &json!({"error": "no such page"}));
    }
    if !OPEN.contains(&path) && !from.ip().to_canonical().is_loopback() {
        return told(StatusCode::FORBIDDEN, &json!({"error": "only loopback callers; use kubectl port-forward"}));
    }
    match (request.method(), path) {
        (&Method::GET, "/livez") => text("ok"),
        (&Method::GET, "/readyz") => match why_not_ready(state) {
            None => text("ok"),
            Some(why) => told(StatusCode::SERVICE_UNAVAILABLE, &json!({"ready": false, "why": why})),
        },
        (&Method::GET, "/metrics") => {
            let mut response = text(state.telemetry.metrics.render(state, clock::now()));
            let version = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, version);
            response
        }
        (&Method::GET, "/health/providers") => told(StatusCode::OK, &health(state)),
        (&Method::GET, "/health/budgets") => told(StatusCode::OK, &budgets(state)),
        (&Method::GET, "/config") => told(StatusCode::OK, &config(state)),
        (&Method::POST, "/explain") => explained(state, request).await,
        _ => told(StatusCode::METHOD_NOT_ALLOWED, &json!({"error": "wrong method"})),
    }
}

/// Ready is who has a policy, and of budgets that pods share the first coins, should they come at all.
fn why_not_ready(state: &State) -> Option<String> {
    match &*state.in_force.load() {
        Some(in_force) if state.money.awaits_first(in_force) => {
            Some("the operator has not lent anything of the budgets yet".to_owned())
        }
        Some(_) => None,
        None => {
            let why = state.control.as_ref().map(|link| link.why_none());
            Some(why.map_or("no policy is in force".to_owned(), |why| format!("no policy is in force: {why}")))
        }
    }
}

/// `POST /explain?path=/v1/messages`: the dry run of a request body under its headers.
async fn explained(state: &Arc<State>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let path = parts
        .uri
        .query()
        .and_then(|q| q.split('&').find_map(|p| p.strip_prefix("path=")))
        .map(|p| p.replace("%2F", "/"));
    let fallback =
        if parts.headers.contains_key("anthropic-version") { "/v1/messages" } else { "/v1/chat/completions" };
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return told(StatusCode::PAYLOAD_TOO_LARGE, &json!({"error": "the body exceeds 32 MiB or ended early"}));
    };
    match explain::explain(state, path.as_deref().unwrap_or(fallback), &(&parts.headers).into(), body.to_bytes()) {
        Ok(plan) => told(StatusCode::OK, &plan),
        Err(refusal) => {
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
            let reason = refusal.reason.cause.row().label;
            told(status, &json!({"refused": {"reason": reason, "message": refusal.message, "status": refusal.status}}))
        }
    }
}

/// One row a provider with its models inside.
fn health(state: &State) -> Value {
    let Some(in_force) = state.in_force.load_full() else { return json!({"providers": []}) };
    let snapshot = &in_force.snapshot;
    let rows = snapshot.providers.iter().enumerate().map(|(i, provider)| {
        let id = ProviderId(i as u16);
        let models = in_force.snapshot.models(id).into_iter().map(|model| {
            let mut row = in_force.cell(id, Some(model)).with(|h| numbers(h, &in_force));
            row["name"] = (&**model).into();
            row
        });
        let models: Vec<Value> = models.collect();
        let mut row = in_force.live(id).cell.with(|h| numbers(h, &in_force));
        row["name"] = (&*provider.name).into();
        row["models"] = models.into();
        row
    });
    json!({"providers": rows.collect::<Vec<_>>()})
}

fn numbers(h: &mut Health, in_force: &InForce) -> Value {
    let now = clock::now();
    let sums = h.sums(now);
    let gate = h.breaker.gate(now, &in_force.snapshot.breaker);
    json!({
        "attempts": sums.judged(),
        "p95_seconds": h.p95(now, 1).map(|d| d.as_secs_f64()),
        "error_ratio": sums.error_ratio(),
        "rate_limited_ratio": sums.ratio(Class::RateLimited),
        "server_error_ratio": sums.ratio(Class::Server),
        "timeout_ratio": sums.ratio(Class::Timeout),
        "circuit": gate.label(),
        "why": gate.why(now),
    })
}

/// One row a budget and a rate, of the value of its scope that is nearest the limit.
fn budgets(state: &State) -> Value {
    if state.in_force.load().is_none() {
        return json!({"budgets": [], "rates": []});
    }
    let views = state.money.nearest(clock::now());
    let row = |v: &View| {
        let amount = |n: u64| if v.key.unit == Unit::Money { Usd(n).to_string().into() } else { Value::from(n) };
        json!({
            "name": &*v.key.name, "scope": format!("{:?}", v.key.scope), "value": v.key.value.as_deref(),
            "unit": format!("{:?}", v.key.unit), "window_seconds": v.window.as_secs(), "limit": amount(v.limit),
            "spent": amount(v.spent), "held": amount(v.held), "debt": amount(v.debt),
            "last_minute": amount(v.last_minute), "pressure": format!("{:?}", v.pressure),
            "next_free_seconds": v.next_free.map(|d| d.as_secs_f64()),
        })
    };
    let of = |money: bool| views.iter().filter(|v| (v.key.unit == Unit::Money) == money).map(row).collect::<Vec<_>>();
    let journal = state
        .money
        .journal()
        .map(|j| json!({"writes": j.writes, "failed_writes": j.failures, "waits": j.waits, "failing": j.failing}));
    let lease = state.money.lease().map(|lease| {
        let waits = state.money.waits().unwrap_or_default();
        json!({
            "live": lease.ends.is_some(), "term": lease.term, "ends_in_seconds": lease.ends.map(|d| d.as_secs()),
            "guaranteed_share": lease.share as f64 / WHOLE as f64,
            "waited_for": {"requests": waits.all, "answered": waits.answered},
        })
    });
    json!({"budgets": of(true), "rates": of(false), "waiting": state.money.waiting(), "journal": journal, "lease": lease})
}

/// What is in force and why the newest version is not, if it is not; no secret.
fn config(state: &State) -> Value {
    let refused = state.refused.load_full().map(|r| json!({"faults": r.faults, "at": r.at.as_secs()}));
    let keys: Vec<Value> =
        state.keys.load().names().map(|(n, gone)| json!({"name": n, "file_vanished": gone})).collect();
    let policy = state.in_force.load_full().map(|in_force| {
        let s = &in_force.snapshot;
        let providers = s.providers.iter().map(|p| {
            let base = &p.base;
            let scheme = if base.tls { "https" } else { "http" };
            json!({
                "name": &*p.name,
                "api": match p.api {
                    Api::OpenAi if p.chat_only => "ChatCompletions",
                    Api::OpenAi => "OpenAI",
                    Api::Anthropic => "Anthropic",
                },
                "base_url": format!("{scheme}://{}:{}{}", base.host, base.port, base.prefix),
                "credential_key": p.credential_key.as_deref(),
                "headers": p.headers.iter().map(|(n, _)| &**n).collect::<Vec<_>>(),
                "http2": p.http2,
            })
        });
        let tiers = s.tiers.iter().map(|t| {
            let ms = |d: std::time::Duration| d.as_millis() as u64;
            json!({
                "name": &*t.name,
                "objective": format!("{:?}", t.objective),
                "timeouts_ms": {
                    "connect": ms(t.timeouts.connect), "tls": ms(t.timeouts.tls), "first_byte": ms(t.timeouts.first_byte),
                    "first_byte_plain": ms(t.timeouts.first_byte_plain), "idle": ms(t.timeouts.idle), "total": ms(t.timeouts.total),
                },
                "attempts": t.retries.attempts,
                "max_cost_usd": t.max_cost.map(|c| c.to_string()),
                "strict_translation": t.strict_translation,
            })
        });
        let scenes = s.scenes.iter().map(|sc| {
            let targets = sc.targets.iter().map(|t| json!({"provider": &*s.provider(t.provider).name, "model": t.model.as_deref()}));
            json!({"name": &*sc.name, "targets": targets.collect::<Vec<_>>(), "max_output_tokens": sc.max_output_tokens})
        });
        let budgets = s.budgets.iter().map(|b| {
            json!({"name": &*b.name, "window_seconds": b.window.as_secs(), "limit_usd": b.limit.to_string()})
        });
        let waiting = s.not_in_force.iter().map(|n| json!({"field": n.path, "effect": n.effect}));
        json!({
            "name": &*s.name, "generation": s.generation, "since": in_force.since.as_secs(),
            "source": format!("{:?}", in_force.origin.source), "hash": in_force.origin.hash,
            "providers": providers.collect::<Vec<_>>(), "tiers": tiers.collect::<Vec<_>>(),
            "scenes": scenes.collect::<Vec<_>>(), "budgets": budgets.collect::<Vec<_>>(),
            "not_in_force": waiting.collect::<Vec<_>>(),
        })
    });
    let control = state.control.as_ref().map(|link| link.page());
    json!({"policy": policy, "refused": refused, "credentials": keys, "control": control})
}

fn text(body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::new(Full::new(body.into()))
}

fn told(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = text(body.to_string());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
