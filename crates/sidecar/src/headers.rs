//! Which headers go on: from the app to a provider, and from a provider to the app.

use hyper::{HeaderMap, header, header::HeaderName, header::HeaderValue};
use policy::snapshot::{Api, Classify, Provider};

use crate::{credentials::Secret, state::LiveProvider};

/// Never forwarded to an app.
const HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::SET_COOKIE,
];

/// About how many headers of our own an answer carries.
const OWN_HEADERS: usize = 12;

const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The version where sampling parameters still exist.
const ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// The head of a same-dialect request: the caller's headers less what is kept back.
#[must_use]
pub fn forward(from: &HeaderMap, classify: &Classify, provider: &Provider) -> HeaderMap {
    let listed = |name: &str| from.get_all(header::CONNECTION).iter().any(|v| names_header(v, name));
    let lists = from.contains_key(header::CONNECTION);
    let mut out = HeaderMap::with_capacity(from.len() + 4);
    for (name, value) in from {
        let text = name.as_str();
        let kept_back = is_kept_back(text, classify, provider.api) || (lists && listed(text));
        if !kept_back {
            out.append(name.clone(), value.clone());
        }
    }
    if provider.api == Api::Anthropic && !out.contains_key(&VERSION) {
        out.insert(VERSION, ANTHROPIC_VERSION);
    }
    out.insert(header::ACCEPT_ENCODING, IDENTITY);
    out
}

/// The head of a translated request: only what we set.
#[must_use]
pub fn translated(provider: &Provider) -> HeaderMap {
    let mut out = HeaderMap::with_capacity(8);
    if provider.api == Api::Anthropic {
        out.insert(VERSION, ANTHROPIC_VERSION);
    }
    out.insert(header::CONTENT_TYPE, JSON);
    out.insert(header::ACCEPT_ENCODING, IDENTITY);
    out
}

/// Adds what every request to a provider carries: its host, its fixed headers, its key.
pub fn sign(out: &mut HeaderMap, provider: &LiveProvider, api: Api, secret: Option<&Secret>) {
    out.insert(header::HOST, provider.host.clone());
    for (name, value) in &provider.headers {
        out.insert(name.clone(), value.clone());
    }
    if let Some(secret) = secret {
        match api {
            Api::OpenAi => out.insert(header::AUTHORIZATION, secret.bearer.clone()),
            Api::Anthropic => out.insert(API_KEY, secret.plain.clone()),
        };
    }
}

/// Keys, hop-by-hop headers, what describes the body as the caller sent it, hints, and the other vendor's headers.
fn is_kept_back(name: &str, classify: &Classify, api: Api) -> bool {
    match name {
        "authorization" | "x-api-key" | "api-key" | "cookie" | "host" | "content-length" | "content-encoding"
        | "accept-encoding" | "connection" | "keep-alive" | "te" | "trailer" | "transfer-encoding" | "upgrade"
        | "expect" | "traceparent" => return true,
        "openai-organization" | "openai-project" => return api != Api::OpenAi,
        _ => {}
    }
    let hints = [&classify.scene_headers, &classify.tier_headers, &classify.tenant_headers];
    name.starts_with("proxy-")
        || name.starts_with("x-llmroute-")
        || (api != Api::Anthropic && name.starts_with("anthropic-"))
        || hints.iter().any(|names| names.iter().any(|n| **n == *name))
}

/// Whether a `Connection` value lists `name`.
fn names_header(value: &HeaderValue, name: &str) -> bool {
    value.as_bytes().split(|b| *b == b',').any(|t| t.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
}

/// The head of a provider's answer as the app gets it: hop-by-hop headers and lengths cut, an echoed key scrubbed.
#[must_use]
pub fn answer(mut from: HeaderMap, secret: Option<&Secret>) -> HeaderMap {
    // Room for what we add, so that the map grows once.
    from.reserve(OWN_HEADERS);
    for name in HOP {
        from.remove(name);
    }
    from.remove(header::CONTENT_LENGTH);
    from.remove(header::CONTENT_ENCODING);
    if let Some(secret) = secret {
        let echoed: Vec<HeaderName> =
            from.iter().filter(|(_, v)| secret.is_in(v.as_bytes())).map(|(n, _)| n.clone()).collect();
        for name in echoed {
            from.remove(name);
        }
    }
    from
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_lists_are_read_by_token() {
        let v = HeaderValue::from_static("close, X-Foo ");
        assert!(names_header(&v, "x-foo"));
        assert!(!names_header(&v, "x-fo"));
    }
}
