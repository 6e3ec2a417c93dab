//! One request, top to bottom: accept, classify, plan, execute, respond; settling rides in the answer's body.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use dialect::Dialect;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Body, Incoming},
    header::{self, HeaderName},
    http::request::Parts,
};
use policy::{ask::Call, reason::Cause, snapshot::Api};

use crate::{
    attempt::Answer,
    burst::behind_others,
    cache::Keeping,
    classify, clock,
    exchange::Exchange,
    execute::{Bounds, Executed, execute},
    framing::Heads,
    intake, later,
    memory::Room,
    refusal::Refusal,
    reply::Reply,
    respond,
    route::{Route, route},
    state::{InForce, Present, State},
    upstream::OutBody,
    wire::{Inbound, Streamed},
};

const READ_TIMEOUT: HeaderName = HeaderName::from_static("x-stainless-read-timeout");
const TIMEOUT: HeaderName = HeaderName::from_static("x-stainless-timeout");
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// Answers one request of an app.
///
/// # Errors
/// None: what goes wrong is an answer, too. The type is what the server wants, so that nothing is wrapped around this
/// future, which is moved whole with each request.
pub async fn handle(
    state: Arc<State>,
    request: Request<Incoming>,
    heads: Arc<Heads>,
) -> Result<Response<Reply>, Infallible> {
    let (parts, body) = request.into_parts();
    let mut inbound = Inbound::new(parts);
    let anthropic = inbound.headers.contains_key(&ANTHROPIC_VERSION);
    let pinned = state.in_force.load_full();
    let snapshot = pinned.as_deref().map(|f| &f.snapshot);
    let route = route(&inbound.method, inbound.uri.path(), anthropic, snapshot);
    let mut x = Exchange::new(state, pinned.clone(), &inbound, speaks(&route, anthropic));
    if let Some(refusal) = refused_outright(&x, &inbound.headers, &heads) {
        return Ok(respond::refuse(x, &refusal));
    }
    let call = match route {
        Route::Call(call) => call,
        Route::Through(api) => Call::Through(api),
        Route::Later(_, named, act) => return Ok(Box::pin(later::act(x, named, act)).await),
        Route::Models(id) => return Ok(models(x, id.as_deref(), anthropic)),
        Route::Root => {
            let alive = Bytes::from_static(b"{\"status\":\"ok\",\"service\":\"llmroute\"}");
            return Ok(respond::own(x, StatusCode::OK, alive));
        }
        Route::Refused(cause) => return Ok(respond::refuse(x, &Refusal::own(cause))),
    };
    x.call = label(call);
    let Some(in_force) = pinned else { return Ok(respond::refuse(x, &Refusal::own(Cause::PolicyNotReady))) };
    // Accept: the body is taken in whole, so that it can be sent again; uploads are streamed through.
    let stream = match take_in(&x, call, &mut inbound, body).await {
        Ok(stream) => stream,
        Err(refusal) => return Ok(respond::refuse(x, &refusal)),
    };
    heads.expect_next();
    if let Some(refusal) = later::continues_ours(&inbound) {
        return Ok(respond::refuse(x, &refusal));
    }
    if later::is_asked(&x.state, call, &inbound) {
        return Ok(Box::pin(later::accept(x, inbound)).await);
    }
    let executed = run(&mut x, &in_force, call, &inbound, stream).await;
    let answer = answer(x, &inbound, executed);
    behind_others().await;
    Ok(answer)
}

/// Runs a request that was accepted before.
pub async fn run_kept(state: Arc<State>, call: Call, parts: Parts, body: Bytes, room: Room) -> Response<Reply> {
    let pinned = state.in_force.load_full();
    let mut inbound = Inbound::new(parts);
    let mut x = Exchange::new(state, pinned.clone(), &inbound, classify::dialect_of(call));
    (x.later, x.call) = (true, label(call));
    let Some(in_force) = pinned else { return respond::refuse(x, &Refusal::own(Cause::PolicyNotReady)) };
    inbound.head = match classify::head(call, &body) {
        Ok(head) => Some(head),
        Err(refusal) => return respond::refuse(x, &refusal),
    };
    (inbound.body, inbound.room) = (body, Some(room));
    let executed = run(&mut x, &in_force, call, &inbound, Streamed::No).await;
    answer(x, &inbound, executed)
}

/// What the app gets.
fn answer(x: Box<Exchange>, inbound: &Inbound, executed: Result<Executed, Refusal>) -> Response<Reply> {
    let executed = match executed {
        Ok(executed) => executed,
        Err(refusal) => return respond::refuse(x, &refusal),
    };
    // An answer from before: before anybody is asked, at its rung, or when no provider answers.
    if let Some(reason) = executed.may_be_kept()
        && let Some(kept) = respond::Again::find(&x, inbound)
    {
        return respond::again(x, kept, reason);
    }
    match executed {
        Executed::Answer(candidate, Answer::Plain(answer)) => respond::plain(x, &candidate, answer),
        Executed::Answer(candidate, Answer::Stream(answer)) => respond::stream(x, &candidate, *answer),
        Executed::Answer(candidate, Answer::Raw(answer)) => respond::raw(x, &candidate, *answer),
        Executed::Failed(failed) => respond::failed(x, *failed),
        Executed::Refused(refusal) => respond::refuse(x, &refusal),
        // It went between two looks.
        Executed::Kept(reason) => respond::refuse(x, &Refusal::own(reason.map_or(Cause::NoCandidate, |r| r.cause))),
    }
}

async fn run(
    x: &mut Exchange,
    in_force: &Arc<InForce>,
    call: Call,
    inbound: &Inbound,
    stream: Streamed,
) -> Result<Executed, Refusal> {
    // Classify.
    let snapshot = &in_force.snapshot;
    let (path, head, body) = (inbound.uri.path(), inbound.head.as_ref(), &inbound.body);
    let kept_by = in_force.keepers.kept_by(snapshot, call, path, head, body);
    let (mut ask, matched) = classify::ask(snapshot, call, path, &inbound.headers, head, body, kept_by)?;
    ask.later = x.later;
    x.state.telemetry.metrics.ignored(matched.unknown_hints, matched.failed_rules);
    x.trace.classified(snapshot, &ask, &matched);

    // Plan.
    let plan = {
        let keys = x.state.keys.load();
        let present = Present { in_force, keys: &keys, now: clock::now(), inbound, ask: &ask, caller: x.dialect };
        policy::plan::plan(snapshot, &ask, &present, present.now)
    };
    let bounds = Bounds::new(x.accepted, snapshot.tier(ask.tier), &ask, client_timeout(&inbound.headers));
    x.trace.planned(snapshot, &plan);
    // The request is told by them, even if the app leaves during a try.
    let (ask, plan) = (Arc::new(ask), Arc::new(plan));
    x.ask = Some(ask.clone());
    x.matched = Some(matched);
    x.facts = inbound.head.as_ref().map(Into::into).unwrap_or_default();
    x.plan = Some(plan.clone());
    x.keeping = Keeping::of(x, snapshot, inbound);
    if let Some(keeping) = x.keeping.as_ref().filter(|k| k.always)
        && x.state.answers.get(&keeping.key, snapshot).is_some()
    {
        return Ok(Executed::Kept(None));
    }

    // Execute.
    Ok(execute(x, in_force, inbound, stream, (&plan, &ask), bounds).await)
}

/// What cannot be served whatever it asks.
fn refused_outright(x: &Exchange, headers: &HeaderMap, heads: &Heads) -> Option<Refusal> {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        let bad = |why| Some(Refusal::own(Cause::BadRequest).because(why).closing());
        if heads.are_ambiguous() {
            return bad("the request has both Content-Length and Transfer-Encoding; send one");
        }
        let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
        let first = codings.next().is_some_and(|v| v.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"));
        if !first || codings.next().is_some() {
            return bad("of transfer codings only chunked is undone, and once; compress with Content-Encoding");
        }
    }
    if headers.contains_key(header::UPGRADE) {
        return Some(Refusal::own(Cause::UpgradeRefused).closing());
    }
    x.state.is_draining().then(|| Refusal::own(Cause::SidecarDraining).closing())
}

async fn take_in(x: &Exchange, call: Call, inbound: &mut Inbound, body: Incoming) -> Result<Streamed, Refusal> {
    if body.is_end_stream() && inbound.method != Method::POST {
        return Ok(Streamed::No);
    }
    if matches!(call, Call::Through(_)) && !is_json(&inbound.headers) {
        return Ok(Streamed::Waiting(OutBody::Stream(body)));
    }
    let held = intake::read(&inbound.headers, body, &x.state.memory).await?;
    inbound.body = held.bytes;
    inbound.room = Some(held.room);
    if !matches!(call, Call::Through(_)) || !inbound.body.is_empty() {
        inbound.head = Some(classify::head(call, &inbound.body)?);
    }
    if inbound.head.as_ref().is_some_and(|head| head.references) {
        put_items(x, call, inbound)?;
    }
    Ok(Streamed::No)
}

/// Puts items into the body that it only names, as far as they are here and there is room for them.
fn put_items(x: &Exchange, call: Call, inbound: &mut Inbound) -> Result<(), Refusal> {
    let Some(body) = x.state.items.put_into(&inbound.body) else { return Ok(()) };
    let Ok(more) = x.state.memory.try_hold(body.len()) else { return Ok(()) };
    inbound.head = Some(classify::head(call, &body)?);
    (inbound.body, inbound.room) = (body, Some(more));
    Ok(())
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("application/json");
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// The caller's own patience, in seconds: Python SDKs tell their read timeout, TypeScript ones their whole timeout.
fn client_timeout(headers: &HeaderMap) -> Option<Duration> {
    let seconds = |name| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok().filter(|s| *s > 0.0 && *s < 1e6);
    [READ_TIMEOUT, TIMEOUT].iter().filter_map(seconds).map(Duration::from_secs_f64).min()
}

fn speaks(route: &Route, anthropic: bool) -> Dialect {
    match route {
        Route::Call(call) => classify::dialect_of(*call),
        Route::Later(dialect, ..) => *dialect,
        Route::Through(Api::Anthropic) => Dialect::Messages,
        Route::Through(Api::OpenAi) => Dialect::Chat,
        _ if anthropic => Dialect::Messages,
        _ => Dialect::Chat,
    }
}

fn label(call: Call) -> &'static str {
    match call {
        Call::Chat => "chat",
        Call::Responses => "responses",
        Call::Messages => "messages",
        Call::CountTokens => "count_tokens",
        Call::Through(_) => "through",
    }
}

/// The models of the policy's targets, in the caller's shape; no provider is asked.
fn models(mut x: Box<Exchange>, id: Option<&str>, anthropic: bool) -> Response<Reply> {
    x.call = "models";
    let Some(in_force) = x.in_force.clone() else { return respond::refuse(x, &Refusal::own(Cause::PolicyNotReady)) };
    let snapshot = &in_force.snapshot;
    let mut rows: Vec<(&str, &str)> = vec![];
    for target in snapshot.scenes.iter().flat_map(|s| &s.targets) {
        if let Some(model) = target.model.as_deref()
            && !rows.iter().any(|(m, _)| *m == model)
        {
            rows.push((model, &snapshot.provider(target.provider).name));
        }
    }
    let shape = if anthropic { Dialect::Messages } else { Dialect::Chat };
    match id {
        None => respond::own(x, StatusCode::OK, dialect::models_list(shape, &rows)),
        Some(id) => match rows.iter().find(|(m, _)| *m == id) {
            Some(row) => respond::own(x, StatusCode::OK, dialect::model_entry(shape, row.0, row.1)),
            None => {
                respond::refuse(x, &Refusal::own(Cause::PathNotFound).because("no target of the policy has this model"))
            }
        },
    }
}
