//! Which headers go on: from the app to a provider, and from a provider to the app.

use hyper::{HeaderMap, header, header::HeaderName, header::HeaderValue};
use policy::snapshot::{Api, Classify, Provider};

use crate::credentials::Secret;

/// Never forwarded to a provider, besides hints and their aliases.
const KEPT_BACK: [HeaderName; 17] = [
    header::AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    header::COOKIE,
    header::HOST,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
    HeaderName::from_static("traceparent"),
];

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

const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The version where sampling parameters still exist.
const ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");
const VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// The head of a same-dialect request: the caller's headers less what is kept back.
#[must_use]
pub fn forward(from: &HeaderMap, classify: &Classify, provider: &Provider) -> HeaderMap {
    let mut out = HeaderMap::with_capacity(from.len() + 4);
    for (name, value) in from {
        if !is_kept_back(name, from, classify, provider.api) {
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

/// Adds what every request to `provider` carries: its host, its fixed headers, its key.
pub fn sign(out: &mut HeaderMap, provider: &Provider, host: &HeaderValue, secret: Option<&Secret>) {
    out.insert(header::HOST, host.clone());
    for (name, value) in &provider.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(&**name), HeaderValue::try_from(&**value)) {
            out.insert(name, value);
        }
    }
    if let Some(secret) = secret {
        match provider.api {
            Api::OpenAi => out.insert(header::AUTHORIZATION, secret.bearer.clone()),
            Api::Anthropic => out.insert(HeaderName::from_static("x-api-key"), secret.plain.clone()),
        };
    }
}

fn is_kept_back(name: &HeaderName, from: &HeaderMap, classify: &Classify, api: Api) -> bool {
    let text = name.as_str();
    let hints = [&classify.scene_headers, &classify.tier_headers, &classify.tenant_headers];
    KEPT_BACK.contains(name)
        || text.starts_with("proxy-")
        || text.starts_with("x-llmroute-")
        || (api != Api::OpenAi && (text == "openai-organization" || text == "openai-project"))
        || (api != Api::Anthropic && text.starts_with("anthropic-"))
        || hints.iter().any(|names| names.iter().any(|n| **n == *text))
        || from.get_all(header::CONNECTION).iter().any(|v| names_header(v, text))
}

/// Whether a `Connection` value lists `name`.
fn names_header(value: &HeaderValue, name: &str) -> bool {
    value.as_bytes().split(|b| *b == b',').any(|t| t.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
}

/// The head of a provider's answer as the app gets it: hop-by-hop headers and lengths cut, an echoed key scrubbed.
#[must_use]
pub fn answer(mut from: HeaderMap, secret: Option<&Secret>) -> HeaderMap {
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
