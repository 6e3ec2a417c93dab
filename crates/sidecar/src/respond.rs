//! What the app gets: the answer in its dialect, every degradation said in headers and body.

use std::time::Duration;

use bytes::Bytes;
use dialect::{ErrorShape, Signal, sse::Frame};
use hyper::{
    StatusCode,
    header::{self, HeaderName, HeaderValue},
};
use policy::{
    money::Usd,
    plan::{Candidate, TargetKey},
    reason::Reason,
};

use crate::{
    attempt::{Failed, Plain, Raw, Stream, Told as ProviderSaid},
    clock,
    exchange::{Exchange, Told},
    headers::List,
    later::Why,
    memory::Room,
    refusal::Refusal,
    reply::{RawReply, Reply, Response},
    stream::{StreamReply, Told as Streaming},
    telemetry::decision::Status,
    wire::Inbound,
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
const COST: HeaderName = HeaderName::from_static("x-llmroute-cost-usd");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// A whole answer.
pub fn plain(mut x: Box<Exchange>, candidate: &Candidate, answer: Plain) -> Response {
    let Plain { status: http, headers, body, room, tokens, cost, dropped, spoken } = answer;
    let mut headers = told_in(&x, headers, spoken, JSON);
    x.dropped = dropped;
    let (status, reason) = x.standing(&candidate.key);
    x.went_to(&candidate.key, reason);
    x.sign(&mut headers, status, reason);
    x.sign_served(&mut headers, &candidate.key);
    let cost_text = cost.map(|c| c.to_string());
    if let Some(v) = cost_text.clone().and_then(|c| HeaderValue::try_from(c).ok()) {
        headers.set(COST, v);
    }
    let pieces = match status {
        Status::Ok => vec![body.clone()],
        _ => {
            with_signal(&x, status, reason, &candidate.key, cost_text.as_deref(), |s| dialect::add_to_answer(&body, s))
        }
    };
    if let (Some(keeping), None, Some(in_force)) = (x.keeping.take(), x.squeeze, &x.in_force) {
        let provider = &in_force.snapshot.provider(candidate.key.provider).name;
        x.state.answers.keep(keeping, x.dialect, body.clone(), provider, &candidate.key.model);
    }
    if x.keeps_items() {
        x.state.items.keep(dialect::items_of_answer(&body));
    }
    if let Some(keeper) = x.keeper(candidate.key.provider, spoken) {
        keeper.see(&body);
    }
    let mut told = Told::new(status, http.as_u16(), reason);
    told.served = Some(candidate.key.clone());
    told.tokens = tokens;
    told.cost = cost;
    told.first_content = Some(clock::now().since(x.accepted));
    x.end(told);
    response(http, headers, Reply::whole(pieces, Some(room)))
}

/// A stream from its first content on.
pub fn stream(mut x: Box<Exchange>, candidate: &Candidate, mut answer: Stream) -> Response {
    x.dropped = std::mem::take(&mut answer.dropped);
    let mut headers = told_in(&x, std::mem::take(&mut answer.headers), answer.dialect, EVENTS);
    let (status, reason) = x.standing(&candidate.key);
    x.went_to(&candidate.key, reason);
    x.sign(&mut headers, status, reason);
    x.sign_served(&mut headers, &candidate.key);
    let first_content = clock::now().since(x.accepted);
    let told = Streaming { status, reason, key: candidate.key.clone(), first_content };
    response(StatusCode::OK, headers, Reply::Stream(Box::new(StreamReply::new(x, told, answer))))
}

/// An answer from before, made ready for this request.
pub struct Again {
    pieces: Vec<Bytes>,
    streamed: bool,
    key: TargetKey,
}

impl Again {
    /// The answer to an equal request: as a stream where one was asked.
    #[must_use]
    pub fn find(x: &Exchange, inbound: &Inbound) -> Option<Again> {
        let (kept, key) = x.state.answers.get(&x.keeping.as_ref()?.key, &x.in_force.as_ref()?.snapshot)?;
        let answer = dialect::echo_request(x.dialect, &kept.answer, &inbound.body);
        let head = inbound.head.as_ref()?;
        let pieces = match head.stream {
            true => dialect::stream_of_answer(x.dialect, &answer, head.include_usage).ok()?,
            false => vec![answer],
        };
        Some(Again { pieces, streamed: head.stream, key })
    }
}

/// Gives an answer from before.
pub fn again(x: Box<Exchange>, kept: Again, reason: Option<Reason>) -> Response {
    let Again { mut pieces, streamed, key } = kept;
    let mut headers = List::with_capacity(16);
    headers.set(header::CONTENT_TYPE, if streamed { EVENTS } else { JSON });
    x.sign(&mut headers, Status::Cached, reason);
    x.sign_served(&mut headers, &key);
    let cost = if streamed { None } else { Some("0") };
    if !streamed {
        headers.set(COST, HeaderValue::from_static("0"));
    }
    if let Some(first) = pieces.first().cloned() {
        let signed = with_signal(&x, Status::Cached, reason, &key, cost, |s| match streamed {
            true => vec![dialect::add_to_event(x.dialect, &Frame::parse(first), s)],
            false => dialect::add_to_answer(&first, s),
        });
        pieces.splice(..1, signed);
    }
    let mut told = Told::new(Status::Cached, 200, reason);
    told.served = Some(key);
    told.cost = Some(Usd::ZERO);
    told.first_content = Some(clock::now().since(x.accepted));
    x.end(told);
    response(StatusCode::OK, headers, Reply::whole(pieces, None))
}

/// An answer passed on unread.
pub fn raw(x: Box<Exchange>, candidate: &Candidate, answer: Raw) -> Response {
    let Raw { status: http, mut headers, body, permit, idle } = answer;
    let (status, reason) = x.standing(&candidate.key);
    x.went_to(&candidate.key, reason);
    x.sign(&mut headers, status, reason);
    x.sign_served(&mut headers, &candidate.key);
    let mut told = Told::new(status, http.as_u16(), reason);
    told.served = Some(candidate.key.clone());
    told.first_content = Some(clock::now().since(x.accepted));
    response(http, headers, Reply::Raw(Box::new(RawReply::new(x, told, body, permit, idle))))
}

/// All tries failed: the first candidate's failure, in the caller's dialect.
pub fn failed(x: Box<Exchange>, failed: Failed) -> Response {
    let Failed { failure, reason, told, message, .. } = failed;
    if let Some(last) = x.tries.last() {
        x.went_to(&last.key, Some(reason));
    }
    let row = failure.row();
    let retry_after = match failure {
        policy::outcome::Failure::RateLimited { retry_after } => retry_after,
        _ => None,
    };
    match told {
        Some(said) if said.status >= 400 && row.cause == reason.cause => {
            passed_on(x, said, row.status, reason, retry_after)
        }
        _ => {
            let refusal = Refusal { retry_after, ..Refusal::of(reason).with_status(row.status) };
            let refusal = match message {
                Some(m) => refusal.because(m),
                None => refusal,
            };
            // Where nobody was asked it is our own no.
            let status = if x.tries.is_empty() { Status::Refused } else { Status::Failed };
            error(x, &refusal, status)
        }
    }
}

/// Our own no.
pub fn refuse(x: Box<Exchange>, refusal: &Refusal) -> Response {
    error(x, refusal, Status::Refused)
}

/// A provider's error: its own body in the same dialect, ours around its words in another.
fn passed_on(
    x: Box<Exchange>,
    said: ProviderSaid,
    status: u16,
    reason: Reason,
    retry_after: Option<Duration>,
) -> Response {
    let ProviderSaid { status: _, mut headers, body, dialect: spoken, fault } = said;
    let same = spoken == x.dialect && fault.is_envelope && !headers.is_empty();
    let (http, body) = if same {
        (status, body)
    } else {
        let http = dialect::map_status(spoken, x.dialect, status);
        headers = dialect_headers(&headers, spoken, x.dialect);
        let mut shape = ErrorShape::of_fault(&fault, http);
        shape.request_id.get_or_insert_with(|| x.trace.id());
        (http, dialect::write_error(x.dialect, &shape))
    };
    headers.set(header::CONTENT_TYPE, JSON);
    headers.set(SHOULD_RETRY, HeaderValue::from_static("false"));
    put_retry_after(&mut headers, retry_after);
    x.sign(&mut headers, Status::Failed, Some(reason));
    if let Some(t) = x.tries.first() {
        let key = t.key.clone();
        x.sign_served(&mut headers, &key);
    }
    let http = StatusCode::from_u16(http).unwrap_or(StatusCode::BAD_GATEWAY);
    end_in_error(x, Status::Failed, http, reason, headers, body)
}

fn error(x: Box<Exchange>, refusal: &Refusal, status: Status) -> Response {
    let row = refusal.reason.cause.row();
    let reason = x.reason_text(refusal.reason);
    let shape = ErrorShape {
        status: refusal.status,
        openai_type: row.openai_type.into(),
        anthropic_type: row.anthropic_type.into(),
        code: Some(refusal.code.map_or_else(|| reason.clone(), str::to_owned)),
        message: format!("llmroute: {}", refusal.message),
        param: None,
        request_id: Some(x.trace.id()),
    };
    let mut headers = List::with_capacity(12);
    headers.set(header::CONTENT_TYPE, JSON);
    headers.set(SHOULD_RETRY, HeaderValue::from_static(if row.should_retry { "true" } else { "false" }));
    put_retry_after(&mut headers, refusal.retry_after);
    if refusal.close || x.state.is_draining() {
        headers.set(header::CONNECTION, HeaderValue::from_static("close"));
    }
    x.sign(&mut headers, status, Some(refusal.reason));
    let body = dialect::write_error(x.dialect, &shape);
    let http = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    end_in_error(x, status, http, refusal.reason, headers, body)
}

/// Who runs a request by id reads why it failed, to run it again or not.
fn end_in_error(
    x: Box<Exchange>,
    status: Status,
    http: StatusCode,
    reason: Reason,
    headers: List,
    body: Bytes,
) -> Response {
    let refused = x.later.then(|| Why { cause: reason.cause, may_cost: x.tries.iter().any(|t| t.may_cost) });
    x.end(Told::new(status, http.as_u16(), Some(reason)));
    Response { refused, ..response(http, headers, Reply::whole(vec![body], None)) }
}

/// A provider's headers: as they are in the caller's dialect, the counterparts of what it said in another.
fn told_in(x: &Exchange, headers: List, spoken: dialect::Dialect, content_type: HeaderValue) -> List {
    if spoken == x.dialect {
        return headers;
    }
    let mut out = dialect_headers(&headers, spoken, x.dialect);
    out.set(header::CONTENT_TYPE, content_type);
    out
}

/// Rate-limit, request-id and retry headers under the caller's names.
fn dialect_headers(from: &List, spoken: dialect::Dialect, caller: dialect::Dialect) -> List {
    let pairs = from.iter().filter_map(|(n, v)| Some((n.as_str(), v.to_str().ok()?)));
    let mut out = List::default();
    for (name, value) in dialect::map_headers(spoken, caller, pairs) {
        if let (Ok(n), Ok(v)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            out.set(n, v);
        }
    }
    out
}

fn put_retry_after(headers: &mut List, wait: Option<Duration>) {
    if let Some(wait) = wait {
        headers.set(header::RETRY_AFTER, HeaderValue::from(wait.as_millis().div_ceil(1000) as u64));
    }
}

/// Builds the degraded member and hands it to `put`.
pub(crate) fn with_signal<T>(
    x: &Exchange,
    status: Status,
    reason: Option<Reason>,
    key: &TargetKey,
    cost: Option<&str>,
    put: impl FnOnce(&Signal<'_>) -> T,
) -> T {
    let reason = reason.map(|r| x.reason_text(r));
    let trace_id = x.trace.id();
    let provider = x.in_force.as_ref().map_or("", |f| &*f.snapshot.provider(key.provider).name);
    let asked = x.ask.as_ref().map(|a| &*a.model).filter(|m| **m != *key.model && !m.is_empty());
    put(&Signal {
        status: status.label(),
        provider,
        model: &key.model,
        reason: reason.as_deref(),
        trace_id: &trace_id,
        attempts: x.tries.len() as u32,
        requested_model: asked,
        cost_usd: cost,
    })
}

/// A small JSON answer of our own, such as the list of models.
pub fn own(x: Box<Exchange>, http: StatusCode, body: Bytes) -> Response {
    own_with(x, http, List::with_capacity(6), body, None)
}

/// The same with further headers, and the memory that the body takes.
pub fn own_with(x: Box<Exchange>, http: StatusCode, mut headers: List, body: Bytes, room: Option<Room>) -> Response {
    headers.set(header::CONTENT_TYPE, JSON);
    x.sign(&mut headers, Status::Ok, None);
    let told = Told::new(Status::Ok, http.as_u16(), None);
    x.end(told);
    response(http, headers, Reply::whole(vec![body], room))
}

/// An answer that was made before, as it was made.
pub fn kept(x: Box<Exchange>, http: StatusCode, headers: List, body: Bytes, room: Room) -> Response {
    x.end(Told::new(Status::Ok, http.as_u16(), None));
    response(http, headers, Reply::whole(vec![body], Some(room)))
}

fn response(status: StatusCode, headers: List, reply: Reply) -> Response {
    Response { status, headers, reply, refused: None }
}
