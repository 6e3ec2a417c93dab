//! The dry run of a real request body: which scene and tier, which candidates in which order and why, who was left out
//! and why. Calls nobody and changes nothing.

use std::sync::Arc;

use bytes::Bytes;
use hyper::{Method, Uri, header::HeaderName};
use policy::{ask::Call, ledger::Denied, plan::TargetKey, reason::Cause, snapshot::Snapshot};
use serde_json::{Value, json};

use crate::{
    classify, clock,
    enter::never,
    headers::List,
    later,
    refusal::Refusal,
    route::{Route, route},
    state::{Present, State},
    telemetry::decision::source,
    wire::Inbound,
};

/// Explains what would become of `body` sent to `path` with `headers`.
///
/// # Errors
/// The refusal that the request itself would meet before a plan is made.
pub fn explain(state: &Arc<State>, path: &str, headers: &List, body: Bytes) -> Result<Value, Refusal> {
    let in_force = state.in_force.load_full().ok_or_else(|| Refusal::own(Cause::PolicyNotReady))?;
    let snapshot = &in_force.snapshot;
    let anthropic = headers.has(&HeaderName::from_static("anthropic-version"));
    let call = match route(&Method::POST, path, anthropic, Some(snapshot)) {
        Route::Call(call) => call,
        Route::Through(api) => Call::Through(api),
        Route::Refused(cause) => return Err(Refusal::own(cause)),
        Route::Models(_) | Route::Later(..) | Route::Root => return Err(Refusal::own(Cause::PathNotFound)),
    };
    let (uri, head) = (Uri::try_from(path).unwrap_or_default(), Some(classify::head(call, &body)?));
    let bytes = body.len() as u64;
    let mut inbound = Inbound { method: Method::POST, uri, headers: headers.clone(), body, head, room: None };
    if let Some(refusal) = later::continues_ours(&inbound) {
        return Err(refusal);
    }
    let by_id = later::is_asked(state, call, &inbound);
    if by_id {
        inbound = later::as_run(inbound, call, snapshot)?;
    }
    let (head, body) = (inbound.head.as_ref(), &inbound.body);
    let kept_by = in_force.keepers.kept_by(snapshot, call, path, head, body);
    let (mut ask, matched) = classify::ask(snapshot, call, path, &inbound.headers, head, body, kept_by)?;
    ask.later = by_id;
    let keys = state.keys.load();
    let caller = classify::dialect_of(call);
    let present = Present { in_force: &in_force, keys: &keys, now: clock::now(), inbound: &inbound, ask: &ask, caller };
    let plan = policy::plan::plan(snapshot, &ask, &present, present.now);

    let tier = snapshot.tier(ask.tier);
    let candidates = plan.candidates.iter().map(|c| {
        let mut row = target(snapshot, &c.key);
        row["why"] = c.standing.sentence(tier.objective).into();
        row["money"] = match state.money.check(&in_force, &ask, &c.key, c.worst.amounts()) {
            Ok(()) => "fits".into(),
            Err(denied) => why_not(&denied, by_id).into(),
        };
        row["worst_cost_usd"] = c.worst.bound.map_or(Value::Null, |b| b.usd.to_string().into());
        row
    });
    let left_out = plan.left_out.iter().map(|l| {
        let mut row = target(snapshot, &l.key);
        row["reason"] = l.reason.text(snapshot).into();
        row["why"] = l.detail.clone().into();
        row
    });
    Ok(json!({
        "policy": &*snapshot.name,
        "generation": snapshot.generation,
        "scene": {"name": &*snapshot.scene(ask.scene).name, "by": source(matched.scene.1)},
        "tier": {"name": &*tier.name, "by": source(matched.tier.1), "objective": format!("{:?}", tier.objective)},
        "tenant": ask.tenant.as_deref(),
        "unknown_hints": matched.unknown_hints,
        "failed_rules": matched.failed_rules,
        "request": {
            "model": &*ask.model, "by_id": by_id, "stream": ask.stream, "images": ask.images, "bytes": bytes,
            "estimated_input_tokens": ask.input_estimate, "max_tokens": ask.max_tokens,
        },
        "candidates": candidates.collect::<Vec<_>>(),
        "left_out": left_out.collect::<Vec<_>>(),
    }))
}

/// Why the money or the rate for a target cannot be had now.
fn why_not(denied: &Denied, by_id: bool) -> String {
    match denied {
        Denied::Short { key, retry_after, .. } => {
            format!("`{}` has no room for it; it will in {} s", key.name, retry_after.as_millis().div_ceil(1000))
        }
        Denied::Spared { key, .. } => format!("what is left of `{}` is for those who cannot wait", key.name),
        Denied::Impossible { key, .. } if !by_id => format!("it is more than the whole of `{}`", key.name),
        Denied::Impossible { key, limit } => never(key, *limit, by_id),
        Denied::Journal => "the ledger's journal must be written first".into(),
    }
}

fn target(snapshot: &Snapshot, key: &TargetKey) -> Value {
    json!({"provider": &*snapshot.provider(key.provider).name, "model": &*key.model})
}
