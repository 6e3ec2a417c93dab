//! Base URLs, taken apart once.

use std::net::Ipv6Addr;

use policy::snapshot::BaseUrl;

/// `https://host[:port][/prefix][/v1]`: no user, no query, no fragment.
pub(crate) fn base_url(text: &str) -> Option<BaseUrl> {
    let (tls, rest) = match text.strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix("http://")?),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => {
            let (host, port) = v6.split_once(']')?;
            host.parse::<Ipv6Addr>().ok().filter(|_| !host.contains('.'))?;
            (host, port)
        }
        None => {
            let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            (Some(host).filter(|h| is_host(h))?, port)
        }
    };
    let port = match port.strip_prefix(':') {
        Some(digits) if !digits.starts_with(['0', '+']) => digits.parse().ok()?,
        None if port.is_empty() => {
            if tls {
                443
            } else {
                80
            }
        }
        _ => return None,
    };
    if !path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~".contains(&b)) {
        return None;
    }
    let prefix = path.trim_end_matches('/');
    let prefix = prefix.strip_suffix("/v1").unwrap_or(prefix).trim_end_matches('/');
    Some(BaseUrl { tls, host: host.into(), port, prefix: prefix.into() })
}

/// Letters, digits, and inside of the name also `-`, `_` and `.`.
fn is_host(host: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = host.as_bytes();
    edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}
