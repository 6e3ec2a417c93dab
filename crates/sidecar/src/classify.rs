//! What a request asks: the head of its body read once, then scene, tier and tenant.

use std::{sync::Arc, time::Duration};

use dialect::{Dialect, Head};
use hyper::{HeaderMap, header::HeaderName};
use policy::{
    ask::{Ask, Call, Facts, Headers, KeptBy},
    bound::Content,
    matching::{self, Matched},
    money::Usd,
    reason::Cause,
    snapshot::Snapshot,
};

use crate::{bill, refusal::Refusal, route::is_below};

const MAX_COST: HeaderName = HeaderName::from_static("x-llmroute-max-cost-usd");
const MAX_LATENCY: HeaderName = HeaderName::from_static("x-llmroute-max-latency-ms");

/// Headers as the pure core reads them.
struct View<'a>(&'a HeaderMap);

impl Headers for View<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        // A request has few headers; hashing a name that is no constant costs more than looking at them all.
        let (_, value) = self.0.iter().find(|(n, _)| n.as_str() == name)?;
        value.to_str().ok()
    }
}

/// The format of a call's body.
#[must_use]
pub fn dialect_of(call: Call) -> Dialect {
    use policy::snapshot::Api;
    match call {
        Call::Chat | Call::Through(Api::OpenAi) => Dialect::Chat,
        Call::Responses => Dialect::Responses,
        Call::Messages | Call::CountTokens | Call::Through(Api::Anthropic) => Dialect::Messages,
    }
}

/// Reads what decisions use.
///
/// # Errors
/// 400 with the member and the remedy.
pub fn head(call: Call, body: &[u8]) -> Result<Head, Refusal> {
    dialect::read_head(dialect_of(call), body).map_err(|bad| Refusal::own(Cause::BadRequest).because(bad.to_string()))
}

/// Classifies; `head` is absent for passed-through bodies that are not read. `kept_by`: see [`Ask::kept_by`].
///
/// # Errors
/// 400 for a hint with a value that is no number.
pub fn ask(
    snapshot: &Snapshot,
    call: Call,
    path: &str,
    headers: &HeaderMap,
    head: Option<&Head>,
    body: &[u8],
    kept_by: Option<KeptBy>,
) -> Result<(Ask, Matched), Refusal> {
    let bytes = body.len() as u64;
    let model = head.and_then(|h| h.model.as_deref()).unwrap_or_default();
    let facts = Facts {
        path,
        model,
        // A count is answered whole, whatever its body says.
        stream: call != Call::CountTokens && head.is_some_and(|h| h.stream),
        tools: head.map_or(0, |h| h.tools),
        images: head.map_or(0, |h| h.images),
        documents: head.map_or(0, |h| h.documents),
        messages: head.map_or(0, |h| h.messages),
        input_bytes: bytes,
        max_tokens: head.and_then(|h| h.max_tokens),
        json_schema: head.is_some_and(|h| h.json_schema),
        headers: &View(headers),
    };
    let matched = matching::classify(snapshot, &facts);
    let trusted = |name: &HeaderName| if snapshot.classify.trust_hints { headers.get(name) } else { None };
    let hinted_cost = match trusted(&MAX_COST).map(|v| v.to_str().ok().and_then(|t| Usd::parse(t.trim()).ok())) {
        None => None,
        Some(Some(cost)) => Some(cost),
        Some(None) => return Err(bad_hint(&MAX_COST, "a decimal number of dollars, such as 0.02")),
    };
    let max_latency = match trusted(&MAX_LATENCY).map(|v| v.to_str().ok().and_then(|t| t.trim().parse::<u32>().ok())) {
        None => None,
        Some(Some(ms)) if ms > 0 => Some(Duration::from_millis(ms.into())),
        Some(_) => return Err(bad_hint(&MAX_LATENCY, "a whole number of milliseconds above 0")),
    };
    let tier_cost = snapshot.tier(matched.tier.0).max_cost;
    let ask = Ask {
        call,
        model: Arc::from(model),
        stream: facts.stream,
        images: facts.images,
        input_bytes: bytes,
        input_estimate: bytes.saturating_sub(head.map_or(0, |h| h.media_bytes)) / 4,
        max_tokens: facts.max_tokens,
        content: head.map_or_else(Content::default, |h| bill::content(dialect_of(call), body, h)),
        path_cost: path_cost(snapshot, call, path, kept_by),
        scene: matched.scene.0,
        tier: matched.tier.0,
        tenant: matched.tenant.clone(),
        max_cost: [hinted_cost, tier_cost].into_iter().flatten().min(),
        max_latency,
        kept_by,
        later: false,
    };
    Ok((ask, matched))
}

/// What the policy says that a passed-through path costs, at the provider that it goes to.
fn path_cost(snapshot: &Snapshot, call: Call, path: &str, kept_by: Option<KeptBy>) -> Option<Usd> {
    let Call::Through(api) = call else { return None };
    let first = || snapshot.providers.iter().find(|p| p.api == api);
    let provider = match kept_by {
        Some(KeptBy::Known(keeper)) => snapshot.provider(keeper),
        _ => first()?,
    };
    provider.paths.iter().find(|rule| is_below(path, &rule.path)).and_then(|rule| rule.cost)
}

fn bad_hint(name: &HeaderName, want: &str) -> Refusal {
    Refusal::own(Cause::BadRequest).because(format!("header {name} must be {want}"))
}
