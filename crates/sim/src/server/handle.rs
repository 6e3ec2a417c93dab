//! One request: read, log, decide, answer.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Request, Response, Version};
use serde_json::Value;
use tokio::time::Instant;

use super::body::{After, SimBody, Tracker};
use super::conn::Control;
use super::control;
use crate::answer::{Answer, Body, Ctx};
use crate::check::Checked;
use crate::fault::{self, Act, Fault, Head, Opening, Reply, Step, Wire};
use crate::ids::Ids;
use crate::log::{Ended, Entry};
use crate::marker::Marker;
use crate::refusal::{self, Refusal};
use crate::script::Facts;
use crate::state::{Dark, State};
use crate::vendor::{self, Endpoint, Vendor};
use crate::{chat, clock, headers, messages, responses, side};

const BODY_LIMIT: usize = 64 * 1024 * 1024;
/// The real limit of Messages.
const MESSAGES_LIMIT: usize = 32 * 1024 * 1024;

/// A request as it came.
struct Call {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Bytes,
    vendor: Vendor,
    json: Result<Value, String>,
}

impl Call {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn text(&self, member: &str) -> &str {
        self.json.as_ref().ok().and_then(|json| json[member].as_str()).unwrap_or_default()
    }

    fn streams(&self) -> bool {
        self.json.as_ref().is_ok_and(|json| json["stream"] == true)
    }

    /// The key that was sent, by either header.
    fn key(&self) -> Option<&str> {
        let bearer = self.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let key = match self.vendor {
            Vendor::OpenAi => bearer,
            Vendor::Anthropic => self.header("x-api-key").or(bearer),
        };
        key.map(str::trim).filter(|key| !key.is_empty())
    }
}

/// Answers one request, or breaks the connection.
pub(super) async fn handle(
    state: Arc<State>,
    conn: Arc<Control>,
    number: u64,
    request: Request<Incoming>,
) -> Result<Response<SimBody>, io::Error> {
    let began = Instant::now();
    let version = request.version();
    let call = read(request).await?;
    if call.path.starts_with("/sim/") {
        let (head, steps) = control::answer(&state, &call.method, &call.path, &call.body);
        return Ok(respond((head, steps), None, conn, version));
    }
    let seq = log(&state, &call, number, version);
    let mut tracker = Tracker::new(state.clone(), seq, call.vendor, began);
    match state.dark(call.vendor) {
        Some(Dark::Refuses) => return Err(broken(&conn, &mut tracker, Opening::Reset)),
        Some(Dark::Silent) => return silent().await,
        None => {}
    }
    let marker = order(&call);
    let act = decide(&state, &call, &marker);
    let seed = state.seed();
    let request_id = request_id(call.vendor, seed);
    let wire = plan(&state, &call, &act, &marker, seed, &request_id);
    let fault = act.fault.map(Fault::name);
    state.log.lock().change(seq, |entry| entry.fault = fault);
    tracker.bill(wire.billing, wire.before);
    if !wire.before.is_zero() {
        tokio::time::sleep(wire.before).await;
    }
    let head = match wire.opening {
        Opening::Answer(head) => head,
        Opening::Silence => return silent().await,
        opening => return Err(broken(&conn, &mut tracker, opening)),
    };
    tracker.status(head.status);
    let took_ms = began.elapsed().as_millis() as u64;
    let steps = if call.method == "HEAD" { Vec::new() } else { wire.steps };
    let is_html = head.content_type.is_some_and(|kind| kind.starts_with("text/html"));
    let mut response = respond((head, steps), Some(tracker), conn, version);
    if !is_html {
        headers::standard(call.vendor, &request_id, clock::unix_ms() / 1000, took_ms, response.headers_mut());
    }
    Ok(response)
}

async fn read(request: Request<Incoming>) -> Result<Call, io::Error> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_LIMIT).collect().await.map_err(|e| io::Error::other(e.to_string()))?.to_bytes();
    let headers: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let encoding = headers.iter().find(|(name, _)| name == "content-encoding").map(|(_, value)| value.as_str());
    let json = decoded(&body, encoding).and_then(|text| serde_json::from_slice(&text).map_err(|e| e.to_string()));
    let version = headers.iter().any(|(name, _)| name == "anthropic-version");
    let vendor = vendor::vendor(path.split('?').next().unwrap_or_default(), version);
    Ok(Call { method: head.method.as_str().to_owned(), path, headers, body, vendor, json })
}

/// The body without its content encoding.
fn decoded(body: &Bytes, encoding: Option<&str>) -> Result<Bytes, String> {
    use std::io::Read as _;
    let mut out = Vec::new();
    let limit = BODY_LIMIT as u64;
    match encoding {
        None | Some("identity") => return Ok(body.clone()),
        Some("gzip") => flate2::read::MultiGzDecoder::new(&body[..]).take(limit).read_to_end(&mut out),
        Some("zstd") => zstd::Decoder::new(&body[..]).and_then(|decoder| decoder.take(limit).read_to_end(&mut out)),
        Some(other) => return Err(format!("content-encoding {other}")),
    }
    .map_err(|e| e.to_string())?;
    Ok(out.into())
}

fn log(state: &State, call: &Call, connection: u64, version: Version) -> u64 {
    let entry = Entry {
        seq: 0,
        time_ms: clock::unix_ms(),
        vendor: call.vendor,
        method: call.method.clone(),
        path: call.path.clone(),
        headers: call.headers.clone(),
        body: match call.body.len() <= state.config.log_body {
            true => call.body.clone(),
            // A slice would keep the whole body alive.
            false => Bytes::copy_from_slice(&call.body[..state.config.log_body]),
        },
        body_len: call.body.len() as u64,
        model: call.text("model").to_owned(),
        stream: call.streams(),
        connection,
        http: if version == Version::HTTP_2 { "HTTP/2.0" } else { "HTTP/1.1" },
        fault: None,
        status: 0,
        ended: None,
        took_ms: 0,
    };
    state.log.lock().add(entry)
}

/// The order in the header, else the one in the prompt.
fn order(call: &Call) -> Marker {
    match call.header("x-sim-fault") {
        Some(text) => Marker::parse(text),
        None => Marker::in_body(&call.body).unwrap_or_default(),
    }
}

fn decide(state: &State, call: &Call, marker: &Marker) -> Act {
    let facts = Facts {
        vendor: call.vendor,
        path: &call.path,
        model: call.text("model"),
        stream: call.streams(),
        headers: &call.headers,
    };
    state.script.lock().decide(&facts, Some(marker).filter(|marker| !marker.is_empty()))
}

fn request_id(vendor: Vendor, seed: u64) -> String {
    let mut ids = Ids::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    match vendor {
        Vendor::OpenAi => ids.hex("req_", 32),
        Vendor::Anthropic => ids.alnum("req_011C", 20),
    }
}

/// The answer and its fault, as steps.
fn plan(state: &State, call: &Call, act: &Act, marker: &Marker, seed: u64, request_id: &str) -> Wire {
    let ctx = Ctx {
        now: clock::unix_ms() / 1000,
        seed,
        words: act.words.map_or(state.config.words, |words| words as usize),
        fault: act.fault,
        marker,
        memory: &state.memory,
        version: call.header("anthropic-version"),
        betas: call.header("anthropic-beta"),
    };
    let swapped = matches!(act.fault, Some(Fault::JsonForStream | Fault::StreamForJson));
    let other = swapped.then(|| flipped(call)).flatten();
    let reply = Reply {
        vendor: call.vendor,
        model: call.text("model"),
        key: call.key().unwrap_or_default(),
        request_id,
        answer: permitted(state, call).and_then(|()| answer(call, &call.json, &ctx)),
        other: other.and_then(|json| answer(call, &Ok(json), &ctx).ok()),
    };
    fault::wire(reply, act, &state.config.delays, seed)
}

/// The request with `stream` turned round.
fn flipped(call: &Call) -> Option<Value> {
    let mut json = call.json.clone().ok()?;
    let map = json.as_object_mut()?;
    let streams = map.get("stream") == Some(&Value::Bool(true));
    map.remove("stream_options");
    map.insert("stream".to_owned(), Value::Bool(!streams));
    Some(json)
}

fn permitted(state: &State, call: &Call) -> Checked<()> {
    if call.vendor == Vendor::Anthropic && call.body.len() > MESSAGES_LIMIT {
        return Err(Refusal::new(413, "request_too_large", "Request exceeds the maximum size"));
    }
    let keys = match call.vendor {
        Vendor::OpenAi => &state.config.openai_keys,
        Vendor::Anthropic => &state.config.anthropic_keys,
    };
    match call.key() {
        Some(key) if keys.is_empty() || keys.iter().any(|known| known == key) => Ok(()),
        key => Err(refusal::unauthorized(call.vendor, key)),
    }
}

fn answer(call: &Call, json: &Result<Value, String>, ctx: &Ctx<'_>) -> Checked<Answer> {
    let path = call.path.split('?').next().unwrap_or_default();
    let body = || json.as_ref().map_err(|why| refusal::not_json(call.vendor, why));
    let free = |text: Checked<String>| text.map(|text| Answer::free(Body::Plain(text)));
    match vendor::endpoint(&call.method, path) {
        Endpoint::Chat => chat::answer(body()?, ctx),
        Endpoint::Responses => responses::answer(body()?, ctx),
        Endpoint::InputTokens => free(responses::count(body()?, ctx)),
        Endpoint::StoredResponse(id) => free(responses::stored(&id, ctx)),
        Endpoint::DeleteResponse(id) => free(responses::delete(&id, ctx)),
        Endpoint::Embeddings => side::embeddings(body()?, ctx),
        Endpoint::Moderations => side::moderations(body()?, ctx),
        Endpoint::Messages => messages::answer(body()?, ctx),
        Endpoint::CountTokens => free(messages::count(body()?, ctx)),
        Endpoint::Models => free(Ok(side::models(call.vendor))),
        Endpoint::Model(id) => free(side::model(call.vendor, &id)),
        Endpoint::WrongMethod => Err(no_path(call, path, true)),
        Endpoint::Unknown => Err(no_path(call, path, false)),
    }
}

fn no_path(call: &Call, path: &str, known: bool) -> Refusal {
    refusal::no_path(call.vendor, &call.method, path, known)
}

/// Nothing, until the caller leaves; then this future is dropped.
async fn silent() -> Result<Response<SimBody>, io::Error> {
    std::future::pending().await
}

fn broken(conn: &Control, tracker: &mut Tracker, opening: Opening) -> io::Error {
    match opening {
        Opening::Reset => conn.reset(),
        _ => conn.close(),
    }
    tracker.end(Ended::Broken);
    io::Error::new(io::ErrorKind::ConnectionAborted, "broken on purpose")
}

fn respond(
    (head, steps): (Head, Vec<Step>),
    tracker: Option<Tracker>,
    conn: Arc<Control>,
    version: Version,
) -> Response<SimBody> {
    let Head { status, content_type, headers, length, close_after, stale_after } = head;
    let after = match (close_after, stale_after) {
        (true, _) => After::Close,
        (_, true) => After::Stale,
        _ => After::KeepAlive,
    };
    let mut response = Response::new(SimBody::new(steps, tracker, conn, after, version == Version::HTTP_2));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    let out = response.headers_mut();
    if let Some(content_type) = content_type {
        out.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    if let Some(length) = length {
        out.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            out.insert(HeaderName::from_static(name), value);
        }
    }
    response
}
