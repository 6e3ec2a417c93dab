//! One request, top to bottom: accept, classify, plan, execute, respond; settling rides in the answer's body.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use dialect::Dialect;
use http_body_util::BodyExt;
use hyper::{
    Method, StatusCode, Uri,
    header::{self, HeaderName},
};
use policy::{ask::Call, reason::Cause, snapshot::Api};

use crate::{
    attempt::Answer,
    cache::Keeping,
    classify, clock,
    exchange::Exchange,
    execute::{Bounds, Executed, execute},
    framing::Framing,
    headers::List,
    intake, later,
    memory::Room,
    refusal::Refusal,
    reply::Response,
    respond,
    route::{Route, route},
    serve::{BadHead, Head, Inlet},
    state::{InForce, Present, State},
    upstream::OutBody,
    wire::{Inbound, Streamed},
};

const READ_TIMEOUT: HeaderName = HeaderName::from_static("x-stainless-read-timeout");
const TIMEOUT: HeaderName = HeaderName::from_static("x-stainless-timeout");
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// Answers one request of an app; `None` if it went away.
pub(crate) async fn handle(state: &Arc<State>, head: Head, inlet: &mut Inlet) -> Option<Response> {
    let mut inbound = Inbound::new(head.method, head.uri, head.headers);
    let anthropic = inbound.headers.has(&ANTHROPIC_VERSION);
    let pinned = state.in_force.load_full();
    let snapshot = pinned.as_deref().map(|f| &f.snapshot);
    let route = route(&inbound.method, inbound.uri.path(), anthropic, snapshot);
    let mut x = Exchange::new(state.clone(), pinned.clone(), &inbound, speaks(&route, anthropic));
    if let Some(refusal) = refused_outright(&x, &inbound.headers, head.framing) {
        return Some(respond::refuse(x, &refusal));
    }
    let call = match route {
        Route::Call(call) => call,
        Route::Through(api) => Call::Through(api),
        Route::Later(_, named, act) => return Some(Box::pin(later::act(x, named, act)).await),
        Route::Models(id) => return Some(models(x, id.as_deref(), anthropic)),
        Route::Root => {
            let alive = Bytes::from_static(b"{\"status\":\"ok\",\"service\":\"llmroute\"}");
            return Some(respond::own(x, StatusCode::OK, alive));
        }
        Route::Refused(cause) => return Some(respond::refuse(x, &Refusal::own(cause))),
    };
    x.call = label(call);
    let Some(in_force) = pinned else { return Some(respond::refuse(x, &Refusal::own(Cause::PolicyNotReady))) };
    // Accept: the body is taken in whole, so that it can be sent again; uploads are streamed through.
    let stream = match take_in(&x, call, &mut inbound, inlet).await {
        Ok(stream) => stream,
        Err(refusal) => return Some(respond::refuse(x, &refusal)),
    };
    if let Some(refusal) = later::continues_ours(&inbound) {
        return Some(respond::refuse(x, &refusal));
    }
    if later::is_asked(&x.state, call, &inbound) {
        return Some(Box::pin(later::accept(x, inbound)).await);
    }
    tokio::select! {
        biased;
        executed = run(&mut x, &in_force, call, &inbound, stream) => Some(answer(x, &inbound, executed)),
        // Its exchange tells so, and the provider's connection closes.
        () = inlet.gone() => None,
    }
}

/// Answers what is no request.
pub(crate) fn malformed(state: &Arc<State>, bad: BadHead) -> Response {
    let inbound = Inbound::new(Method::GET, Uri::default(), List::default());
    let x = Exchange::new(state.clone(), state.in_force.load_full(), &inbound, Dialect::Chat);
    let refusal = Refusal::own(Cause::BadRequest).closing();
    let refusal = match bad {
        BadHead::NotHttp(why) => refusal.because(why),
        BadHead::TooLarge | BadHead::OtherVersion => refusal
            .with_status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.as_u16())
            .because("the head of the request exceeds 64 KiB or 100 headers"),
    };
    respond::refuse(x, &refusal)
}

/// Runs a request that was accepted before.
pub async fn run_kept(state: Arc<State>, call: Call, (uri, headers): (Uri, List), body: Bytes, room: Room) -> Response {
    let pinned = state.in_force.load_full();
    let mut inbound = Inbound::new(Method::POST, uri, headers);
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
fn answer(x: Box<Exchange>, inbound: &Inbound, executed: Result<Executed, Refusal>) -> Response {
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
fn refused_outright(x: &Exchange, headers: &List, framing: Result<Framing, &'static str>) -> Option<Refusal> {
    if let Err(why) = framing {
        return Some(Refusal::own(Cause::BadRequest).because(why).closing());
    }
    if headers.has(&header::UPGRADE) {
        return Some(Refusal::own(Cause::UpgradeRefused).closing());
    }
    x.state.is_draining().then(|| Refusal::own(Cause::SidecarDraining).closing())
}

async fn take_in(x: &Exchange, call: Call, inbound: &mut Inbound, inlet: &mut Inlet) -> Result<Streamed, Refusal> {
    if inlet.framing() == Framing::Over && inbound.method != Method::POST {
        return Ok(Streamed::No);
    }
    if matches!(call, Call::Through(_)) && !is_json(&inbound.headers) {
        return Ok(Streamed::Waiting(OutBody::Stream(inlet.lend().boxed_unsync())));
    }
    let held = intake::read(&inbound.headers, inlet, &x.state.memory).await?;
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

fn is_json(headers: &List) -> bool {
    let value = headers.get(&header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("application/json");
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// The caller's own patience, in seconds: Python SDKs tell their read timeout, TypeScript ones their whole timeout.
fn client_timeout(headers: &List) -> Option<Duration> {
    let seconds = |name: &HeaderName| {
        headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok().filter(|s| *s > 0.0 && *s < 1e6)
    };
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
fn models(mut x: Box<Exchange>, id: Option<&str>, anthropic: bool) -> Response {
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
