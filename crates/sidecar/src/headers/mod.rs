//! Which headers go on: from the app to a provider, and from a provider to the app.

mod list;

use hyper::{header, header::HeaderName, header::HeaderValue};
use policy::snapshot::{Api, Classify, Provider};

pub use self::list::List;
use crate::{credentials::Secret, state::LiveProvider};

/// About how many headers an answer carries, the provider's and ours.
pub(crate) const MOST_HEADERS: usize = 24;

const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The version where sampling parameters still exist.
const ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");
/// From this version on there are none (platform.claude.com/docs/en/api/versioning). Versions are dates.
const NO_SAMPLING: &str = "2026-10-21";
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// The head of a same-dialect request: the caller's headers less what is kept back.
#[must_use]
pub fn forward(from: &List, classify: &Classify, provider: &Provider) -> List {
    let listed = |name: &str| from.get_all(&header::CONNECTION).any(|v| names_token(v, name));
    let lists = from.has(&header::CONNECTION);
    let mut out = List::with_capacity(from.len() + 6);
    for (name, value) in from.iter() {
        let text = name.as_str();
        let kept_back = is_kept_back(text, classify, provider.api) || (lists && listed(text));
        if !kept_back {
            out.add(name.clone(), value.clone());
        }
    }
    if provider.api == Api::Anthropic && !out.has(&VERSION) {
        out.add(VERSION, ANTHROPIC_VERSION);
    }
    out.add(header::ACCEPT_ENCODING, IDENTITY);
    out
}

/// The head of a translated request: only what we set.
#[must_use]
pub fn translated(provider: &Provider) -> List {
    let mut out = List::with_capacity(8);
    if provider.api == Api::Anthropic {
        out.add(VERSION, ANTHROPIC_VERSION);
    }
    out.add(header::CONTENT_TYPE, JSON);
    out.add(header::ACCEPT_ENCODING, IDENTITY);
    out
}

/// Whether an Anthropic `provider` is asked in a version that refuses sampling parameters; `from` are the headers that are
/// passed on.
#[must_use]
pub fn refuse_sampling(from: Option<&List>, provider: &Provider) -> bool {
    let fixed =
        provider.headers.iter().find(|(name, _)| **name == *VERSION.as_str()).map(|(_, version)| version.as_bytes());
    let version = fixed.or_else(|| from?.get(&VERSION).map(HeaderValue::as_bytes));
    version.is_some_and(|version| version >= NO_SAMPLING.as_bytes())
}

/// Adds what every request to a provider carries: its host, its fixed headers, its key.
pub fn sign(out: &mut List, provider: &LiveProvider, api: Api, secret: Option<&Secret>) {
    out.add(header::HOST, provider.host.clone());
    for (name, value) in &provider.headers {
        out.set(name.clone(), value.clone());
    }
    if let Some(secret) = secret {
        match api {
            Api::OpenAi => out.set(header::AUTHORIZATION, secret.bearer.clone()),
            Api::Anthropic => out.set(API_KEY, secret.plain.clone()),
        };
    }
}

/// Keys, hop-by-hop headers, what describes the body as the caller sent it, hints, and the other vendor's headers.
fn is_kept_back(name: &str, classify: &Classify, api: Api) -> bool {
    match name {
        "authorization" | "x-api-key" | "api-key" | "cookie" | "host" | "content-length" | "content-encoding"
        | "accept-encoding" | "connection" | "keep-alive" | "te" | "trailer" | "transfer-encoding" | "upgrade"
        | "expect" | "traceparent" | "tracestate" => return true,
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
pub(crate) fn names_token(value: &HeaderValue, name: &str) -> bool {
    value.as_bytes().split(|b| *b == b',').any(|t| t.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
}

/// The head of a provider's answer as the app gets it: hop-by-hop headers and lengths cut, an echoed key scrubbed.
#[must_use]
pub fn answer(mut headers: List, secret: Option<&Secret>) -> List {
    let tells = |value: &HeaderValue| secret.is_some_and(|s| s.is_in(value.as_bytes()));
    headers.retain(|name, value| !is_cut(name) && !tells(value));
    headers
}

/// Hop-by-hop headers, what describes the body as the provider sent it, and what only we say.
fn is_cut(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-llmroute-")
        || matches!(
            name,
            "connection"
                | "keep-alive"
                | "proxy-connection"
                | "proxy-authenticate"
                | "te"
                | "trailer"
                | "transfer-encoding"
                | "upgrade"
                | "set-cookie"
                | "content-length"
                | "content-encoding"
                | "traceparent"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_no_header_of_the_hop_and_none_that_tells_the_key() {
        let secret = Secret::read(b"sk-planted-key").unwrap();
        let rows = [
            ("content-type", "application/json"),
            ("content-length", "5"),
            ("x-echo", "plain"),
            ("x-echo", "Bearer sk-planted-key"),
            ("set-cookie", "a=b"),
            ("set-cookie", "c=d"),
            ("x-twice", "1"),
            ("x-twice", "2"),
            ("x-llmroute-status", "ok"),
        ];
        let mut from = List::default();
        rows.iter().for_each(|(n, v)| from.add(HeaderName::from_static(n), v.parse().unwrap()));
        let out = answer(from, Some(&secret));
        let mut left: Vec<_> = out.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        left.sort_unstable();
        let plain = ("x-echo", "plain");
        assert_eq!(left, [("content-type", "application/json"), plain, ("x-twice", "1"), ("x-twice", "2")]);
    }

    #[test]
    fn connection_lists_are_read_by_token() {
        let v = HeaderValue::from_static("close, X-Foo ");
        assert!(names_token(&v, "x-foo"));
        assert!(!names_token(&v, "x-fo"));
    }
}
