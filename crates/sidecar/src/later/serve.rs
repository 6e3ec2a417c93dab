//! What callers of requests by id see: the promise, the state, the answer.

use std::time::Duration;

use bytes::Bytes;
use dialect::{Dialect, Edits};
use hyper::{
    Method, StatusCode,
    header::{self, HeaderName, HeaderValue},
};
use policy::{ask::Call, reason::Cause, snapshot::Snapshot};
use serde_json::json;

use super::{
    ANSWERS, Later,
    id::{self, Id, Named},
    kept::{self, How, Record, micros},
    queue::{Key, Phase},
};
use crate::{
    classify, clock, exchange::Exchange, headers::List, memory::Room, refusal::Refusal, reply::Response, respond,
    state::State, wire::Inbound,
};

const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const RESPOND_ASYNC: &str = "respond-async";
const LONGEST_KEY: usize = 255;

/// What is asked of a request by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// State or answer.
    Fetch,
    /// An end.
    Cancel,
    /// To be forgotten.
    Delete,
}

impl Act {
    /// By method and by what follows the id in the path.
    ///
    /// # Errors
    /// The path or the method is none of these.
    pub fn of(method: &Method, more: &str) -> Result<Act, Cause> {
        match (method, more) {
            (&Method::GET, "") => Ok(Act::Fetch),
            (&Method::DELETE, "") => Ok(Act::Delete),
            (&Method::POST, "/cancel") => Ok(Act::Cancel),
            (_, "" | "/cancel") => Err(Cause::MethodNotAllowed),
            _ => Err(Cause::PathNotFound),
        }
    }
}

/// Whether a request is to be accepted by id: its caller asks for it, and there is a state directory.
#[must_use]
pub fn is_asked(state: &State, call: Call, inbound: &Inbound) -> bool {
    state.later.get().is_some()
        && matches!(call, Call::Chat | Call::Responses | Call::Messages)
        && (prefers_async(&inbound.headers) || inbound.head.as_ref().is_some_and(|h| h.background))
}

/// `Prefer: respond-async` (RFC 7240, 4.1), among other preferences.
fn prefers_async(headers: &List) -> bool {
    let listed = headers.get_all(&PREFER).flat_map(|v| v.as_bytes().split(|b| *b == b','));
    let mut names = listed.map(|p| p.split(|b| *b == b';').next().unwrap_or_default().trim_ascii());
    names.any(|name| name.eq_ignore_ascii_case(RESPOND_ASYNC.as_bytes()))
}

/// A Responses request that goes on from a response with an id of ours, made by id or translated, which no provider knows.
#[must_use]
pub fn continues_ours(inbound: &Inbound) -> Option<Refusal> {
    if !inbound.head.as_ref().is_some_and(|h| h.stateful) {
        return None;
    }
    let previous = dialect::read_linked(&inbound.body).previous_response?;
    id::named(Dialect::Responses, &previous)?;
    Some(Refusal::own(Cause::BadRequest).because(
        "previous_response_id names a response of llmroute's own, made later or translated, which no provider keeps; \
         send its input and its output as input items instead",
    ))
}

/// A request as it is kept: the headers that its run needs, and its body, to be answered in the foreground.
///
/// # Errors
/// What is asked of it cannot be done later.
fn as_kept(inbound: &Inbound, snapshot: Option<&Snapshot>) -> Result<(Vec<(String, String)>, Bytes), Refusal> {
    let bad = |why| Err(Refusal::own(Cause::BadRequest).because(why));
    let head = inbound.head.as_ref();
    if head.is_some_and(|h| h.stream) {
        return bad(
            "a request that is answered later cannot be streamed; send stream: false, or ask without background \
                    and Prefer: respond-async",
        );
    }
    if inbound.headers.get(&IDEMPOTENCY_KEY).is_some_and(|key| key.len() > LONGEST_KEY) {
        return bad("an idempotency key is at most 255 bytes long");
    }
    let body = match head.filter(|h| h.background) {
        Some(head) => {
            let mut edits = Edits::default();
            edits.set_foreground(head);
            edits.apply(&inbound.body).concat().into()
        }
        None => inbound.body.clone(),
    };
    let is_hint = |name: &str| {
        let lists = snapshot.map(|s| [&s.classify.scene_headers, &s.classify.tier_headers, &s.classify.tenant_headers]);
        lists.into_iter().flatten().flatten().any(|n| **n == *name)
    };
    Ok((kept::of_request(&inbound.headers, is_hint), body))
}

/// A request by id as it will be run.
///
/// # Errors
/// The refusal that it would meet when it is to be accepted.
pub fn as_run(inbound: Inbound, call: Call, snapshot: &Snapshot) -> Result<Inbound, Refusal> {
    let (headers, body) = as_kept(&inbound, Some(snapshot))?;
    let head = Some(classify::head(call, &body)?);
    Ok(Inbound { headers: kept::header_list(&headers), body, head, ..inbound })
}

/// Accepts a request whose body is held: it is durable when its caller is answered.
pub async fn accept(x: Box<Exchange>, inbound: Inbound) -> Response {
    let Some(later) = x.state.later.get().cloned() else {
        return respond::refuse(x, &Refusal::own(Cause::Internal));
    };
    let prefers = prefers_async(&inbound.headers);
    let (headers, body) = match as_kept(&inbound, x.in_force.as_ref().map(|f| &f.snapshot)) {
        Ok(kept) => kept,
        Err(refusal) => return respond::refuse(x, &refusal),
    };
    let Some(id) = Id::draw(x.dialect) else { return respond::refuse(x, &Refusal::own(Cause::Internal)) };
    let in_background = inbound.head.as_ref().is_some_and(|h| h.background);
    let key = inbound.headers.get(&IDEMPOTENCY_KEY).map(|key| Key {
        name: format!("{} {}", inbound.uri.path(), String::from_utf8_lossy(key.as_bytes())).into(),
        digest: digest(&inbound.body),
    });
    let record = Record {
        path: id::path_of(&inbound.uri).to_owned(),
        headers,
        created: micros(clock::unix()),
        bytes: 0,
        key: None,
        charged: 0,
        end: None,
    };
    // The request is kept even if its caller leaves now: a task of its own sees it through.
    let keeper = later.clone();
    let kept = tokio::spawn(async move {
        let _room = inbound.room;
        keeper.keep(id, record, body, key).await
    });
    let id = match kept.await.unwrap_or_else(|_| Err(Refusal::own(Cause::Internal))) {
        Ok(id) => id,
        Err(refusal) => return respond::refuse(x, &refusal),
    };
    let mut headers = List::with_capacity(12);
    if prefers {
        headers.add(PREFERENCE_APPLIED, HeaderValue::from_static(RESPOND_ASYNC));
    }
    if let Ok(location) = HeaderValue::try_from(id.path()) {
        headers.add(header::LOCATION, location);
    }
    let http = if in_background { StatusCode::OK } else { StatusCode::ACCEPTED };
    told(x, &later, id, Some(http), headers).await
}

fn digest(body: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, body);
    let mut out = [0; 32];
    out.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    out
}

/// Answers what is asked of a request by its id.
pub async fn act(x: Box<Exchange>, named: Named, act: Act) -> Response {
    let (Some(later), Some(id)) = (x.state.later.get().cloned(), named) else {
        return respond::refuse(x, &Refusal::own(Cause::IdNotFound));
    };
    if x.uri.query().is_some_and(|q| q.split('&').any(|p| p == "stream=true")) {
        let why = "a response that was made later cannot be streamed; ask without stream=true";
        return respond::refuse(x, &Refusal::own(Cause::BadRequest).because(why));
    }
    let done = match act {
        Act::Fetch => Ok(()),
        // Seen through even if the caller leaves.
        Act::Cancel | Act::Delete => {
            let (later, state) = (later.clone(), x.state.clone());
            let work = tokio::spawn(async move {
                match act {
                    Act::Delete => later.delete(id).await,
                    _ => later.cancel(id, &state.telemetry.metrics).await,
                }
            });
            work.await.unwrap_or_else(|_| Err(Refusal::own(Cause::Internal)))
        }
    };
    match (done, act) {
        (Err(refusal), _) => respond::refuse(x, &refusal),
        (Ok(()), Act::Delete) => {
            let object = if id.dialect == Dialect::Responses { "response" } else { "llmroute.request" };
            let body = json!({"id": id.to_string(), "object": object, "deleted": true}).to_string();
            respond::own_with(x, StatusCode::OK, List::with_capacity(6), body.into(), None)
        }
        (Ok(()), Act::Cancel) => told(x, &later, id, Some(StatusCode::OK), List::with_capacity(6)).await,
        (Ok(()), Act::Fetch) => told(x, &later, id, None, List::with_capacity(8)).await,
    }
}

/// Tells the state of a request, or, where no `http` is set for that, the answer that it has.
async fn told(x: Box<Exchange>, later: &Later, id: Id, http: Option<StatusCode>, headers: List) -> Response {
    let row = later.inner.lock().queue.get(id).map(|row| (row.phase, row.created, row.bytes));
    let Some((phase, created, bytes)) = row else { return respond::refuse(x, &Refusal::own(Cause::IdNotFound)) };
    // What is read from the store is held in memory until it is sent.
    let Ok(room) = x.state.memory.hold(usize::try_from(bytes).unwrap_or(usize::MAX)).await else {
        return respond::refuse(x, &Refusal::own(Cause::SidecarOverloaded));
    };
    let told = match (id.dialect, phase) {
        (Dialect::Responses, _) => response(later, id, phase).await,
        (_, Phase::Ended { .. }) if http.is_none() => return answer(x, later, id, room).await,
        _ => Some(request(later, id, phase, created).await),
    };
    let Some((ended, body)) = told else { return respond::refuse(x, &Refusal::own(Cause::StateUnavailable)) };
    let mut headers = headers;
    let http = match http {
        Some(http) => http,
        None if id.dialect == Dialect::Responses => StatusCode::OK,
        None => StatusCode::ACCEPTED,
    };
    if ended {
        later.inner.lock().queue.fetched(id);
    } else {
        headers.add(header::RETRY_AFTER, HeaderValue::from(retry_after(phase, clock::unix())));
    }
    respond::own_with(x, http, headers, body, Some(room))
}

/// Seconds until it may be worth asking again.
fn retry_after(phase: Phase, now: Duration) -> u64 {
    match phase {
        Phase::Queued { not_before } => not_before.saturating_sub(now).as_secs().max(1),
        _ => 1,
    }
}

/// The response object, and whether it is the last.
async fn response(later: &Later, id: Id, phase: Phase) -> Option<(bool, Bytes)> {
    let object = later.store.get(ANSWERS, id.to_string()).await.ok()??;
    Some(match phase {
        Phase::Ended { .. } => (true, object),
        Phase::Running => (false, dialect::restate_response(&object, "in_progress")),
        Phase::Queued { .. } | Phase::Held => (false, object),
    })
}

/// The object that stands for a Chat or a Messages request.
async fn request(later: &Later, id: Id, phase: Phase, created: Duration) -> (bool, Bytes) {
    let (ended, status) = match phase {
        Phase::Queued { .. } | Phase::Held => (false, "queued"),
        Phase::Running => (false, "in_progress"),
        Phase::Ended { .. } => {
            let end = later.record(id).await.ok().flatten().and_then(|r| r.end);
            let how = end.map_or(How::Failed, |end| end.how);
            (true, if how == How::Expired { "failed" } else { how.label() })
        }
    };
    let object = json!({
        "id": id.to_string(), "object": "llmroute.request", "status": status, "created_at": created.as_secs(),
    });
    (ended, object.to_string().into())
}

/// The answer of a Chat or a Messages request, as it was made.
async fn answer(x: Box<Exchange>, later: &Later, id: Id, room: Room) -> Response {
    let (Ok(record), Ok(body)) = (later.record(id).await, later.store.get(ANSWERS, id.to_string()).await) else {
        return respond::refuse(x, &Refusal::own(Cause::StateUnavailable));
    };
    let Some((record, end)) = record.and_then(|r| r.end.map(|end| (r, end))) else {
        return respond::refuse(x, &Refusal::own(Cause::IdNotFound));
    };
    later.inner.lock().queue.fetched(id);
    let http = end.http.and_then(|http| StatusCode::from_u16(http).ok());
    match (end.how, http, body) {
        (How::Completed | How::Failed, Some(http), Some(body)) => {
            respond::kept(x, http, record.header_list(), body, room)
        }
        (How::Cancelled, ..) => respond::refuse(x, &Refusal::own(Cause::Cancelled)),
        (How::Expired, ..) => respond::refuse(x, &Refusal::own(Cause::Expired)),
        _ => respond::refuse(x, &Refusal::own(Cause::Internal)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences() {
        let rows = [
            (&["respond-async"][..], true),
            (&["return=minimal, Respond-Async; wait=10"], true),
            (&["wait=5", "handling=lenient,respond-async"], true),
            (&["respond-asynchronously"], false),
            (&["wait=respond-async"], false),
            (&[], false),
        ];
        for (values, want) in rows {
            let headers = values.iter().map(|v| (PREFER, HeaderValue::from_static(v))).fold(
                List::default(),
                |mut all, (name, value)| {
                    all.add(name, value);
                    all
                },
            );
            assert_eq!(prefers_async(&headers), want, "{values:?}");
        }
    }

    #[test]
    fn acts() {
        assert_eq!(Act::of(&Method::GET, ""), Ok(Act::Fetch));
        assert_eq!(Act::of(&Method::POST, "/cancel"), Ok(Act::Cancel));
        assert_eq!(Act::of(&Method::DELETE, ""), Ok(Act::Delete));
        assert_eq!(Act::of(&Method::POST, ""), Err(Cause::MethodNotAllowed));
        assert_eq!(Act::of(&Method::GET, "/input_items"), Err(Cause::PathNotFound));
    }
}
