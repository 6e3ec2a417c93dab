//! What a request asks: the head of its body read once, then scene, tier and tenant.

use std::{sync::Arc, time::Duration};

use dialect::{Dialect, Head};
use hyper::header::HeaderName;
use policy::{
    ask::{Ask, Call, Facts, Headers, KeptBy},
    bound::Content,
    matching::{self, Matched},
    money::Usd,
    reason::Cause,
    snapshot::Snapshot,
};

use crate::{bill, headers::List, refusal::Refusal, route::is_below};

const MAX_COST: HeaderName = HeaderName::from_static("x-llmroute-max-cost-usd");
const MAX_LATENCY: HeaderName = HeaderName::from_static("x-llmroute-max-latency-ms");

/// Headers as the pure core reads them.
struct View<'a>(&'a List);

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
    headers: &List,
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

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use policy::snapshot::ProviderId;

    use super::*;
    use crate::headers::forward;

    const POLICY: &str = "{apiVersion: llmroute.dev/v1alpha1, kind: LLMRoutePolicy, metadata: {name: p}, spec: {
        podSelector: {}, credentials: {secretName: s}, providers: [{name: openai, api: OpenAI}],
        classify: {headers: {scene: [x-intent], tier: [x-sla-tier], tenant: [x-team]}, rules: [
            {scene: code, when: 'request.headers[\"x-kind\"] == \"code\" || request.tools > 0'}]},
        tiers: [{name: gold}, {name: silver, maxCostUsd: '0.5'}],
        scenes: [{name: chat, targets: [{provider: openai}]}, {name: code, targets: [{provider: openai}]}]}}";

    /// Headers of an app, line by line: a request is classified within the policy or refused with a sentence, and no hint
    /// goes on.
    #[test]
    fn fuzz_hints() {
        let seeds = [
            "x-llmroute-scene: code\nx-llmroute-tier: gold\nx-llmroute-tenant: a",
            "x-llmroute-max-cost-usd: 0.02\nx-llmroute-max-latency-ms: 1500\nauthorization: Bearer x",
            "x-intent: code\nx-sla-tier: silver\nx-team: Z\nx-kind: code\nconnection: close, x-kind",
            "x-llmroute-max-cost-usd: 99999999999999999999\nx-llmroute-scene: nobody\nx-llmroute-scene: chat",
        ];
        let snapshot = api::load(POLICY).unwrap();
        crate::fuzz::run_over(
            "hints",
            |mutator| mutator.raw(&seeds),
            |input, _| {
                let mut headers = List::default();
                for line in input.split(|b| *b == b'\n') {
                    let colon = line.iter().position(|b| *b == b':').unwrap_or(line.len());
                    let value = line.get(colon + 1..).unwrap_or_default().trim_ascii();
                    let name = HeaderName::from_bytes(&line[..colon]);
                    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
                        headers.add(name, value);
                    }
                }
                match ask(&snapshot, Call::Chat, "/v1/chat/completions", &headers, None, b"", None) {
                    Ok((ask, matched)) => {
                        let scenes = [&*snapshot.scene(ask.scene).name, &*snapshot.tier(ask.tier).name];
                        assert!(["chat", "code"].contains(&scenes[0]) && ["gold", "silver"].contains(&scenes[1]));
                        assert!(matched.unknown_hints as usize <= headers.len());
                    }
                    Err(refusal) => {
                        assert_eq!(refusal.reason.cause, Cause::BadRequest);
                        assert!(headers.has(&MAX_COST) || headers.has(&MAX_LATENCY));
                    }
                }
                let sent = forward(&headers, &snapshot.classify, snapshot.provider(ProviderId(0)));
                for (name, _) in sent.iter() {
                    let name = name.as_str();
                    assert!(!name.starts_with("x-llmroute-"), "{name}");
                    assert!(
                        !["x-intent", "x-sla-tier", "x-team", "authorization", "connection"].contains(&name),
                        "{name}"
                    );
                }
                headers.iter().any(|(name, _)| name.as_str().starts_with("x-"))
            },
        );
    }
}
