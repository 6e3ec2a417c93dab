//! `HTTPS_PROXY` and `NO_PROXY`: a CONNECT tunnel for providers reached by https.

use std::io;

use anyhow::{Context, bail};
use base64::{Engine, prelude::BASE64_STANDARD};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest head of a proxy's answer.
const MAX_HEAD: usize = 16 << 10;

/// A forward proxy.
#[derive(Debug, PartialEq)]
pub(super) struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    /// `Basic` credentials of the URL, encoded.
    auth: Option<String>,
    /// Hosts reached directly, lower case; `.example.com` and `example.com` cover subdomains, `*` covers all.
    except: Vec<String>,
}

impl Proxy {
    pub(super) fn from_env() -> anyhow::Result<Option<Proxy>> {
        let var = |upper: &str| {
            let set = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
            set(upper).or_else(|| set(&upper.to_lowercase()))
        };
        let Some(url) = var("HTTPS_PROXY") else { return Ok(None) };
        Proxy::parse(&url, &var("NO_PROXY").unwrap_or_default()).context("HTTPS_PROXY").map(Some)
    }

    fn parse(url: &str, except: &str) -> anyhow::Result<Proxy> {
        let uri: hyper::Uri = url.parse().context("is not a URL; write http://host:port")?;
        if uri.scheme_str().is_some_and(|s| s != "http") {
            bail!("only http:// proxies are supported");
        }
        let authority = uri.authority().context("has no host; write http://host:port")?;
        let auth = authority.as_str().rsplit_once('@').map(|(user, _)| BASE64_STANDARD.encode(user));
        let except = except.split(',').map(|s| s.trim().to_lowercase()).filter(|s| !s.is_empty()).collect();
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        Ok(Proxy { host, port: authority.port_u16().unwrap_or(80), auth, except })
    }

    pub(super) fn applies_to(&self, host: &str) -> bool {
        let host = host.to_lowercase();
        !self.except.iter().any(|e| {
            let e = e.trim_start_matches('.');
            e == "*" || host == e || host.strip_suffix(e).is_some_and(|rest| rest.ends_with('.'))
        })
    }

    /// Asks for a tunnel to `host:port` and reads exactly the head of the answer.
    pub(super) async fn tunnel<S>(&self, mut tcp: S, host: &str, port: u16) -> io::Result<S>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let auth = self.auth.as_ref().map(|a| format!("proxy-authorization: Basic {a}\r\n")).unwrap_or_default();
        let ask = format!("CONNECT {host}:{port} HTTP/1.1\r\nhost: {host}:{port}\r\n{auth}\r\n");
        tcp.write_all(ask.as_bytes()).await?;
        let mut head = Vec::with_capacity(256);
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() > MAX_HEAD {
                return Err(io::Error::other("the proxy's answer is too long"));
            }
            head.push(tcp.read_u8().await?);
        }
        if is_grant(&head) { Ok(tcp) } else { Err(io::Error::other("the proxy refused the tunnel")) }
    }
}

/// Any 2xx opens a tunnel (RFC 9110 section 9.3.6).
fn is_grant(head: &[u8]) -> bool {
    let status = head.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(1..6));
    matches!(status, Some([b' ', b'2', b'0'..=b'9', b'0'..=b'9', b' ' | b'\r']))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tunnel is what a whole head grants, and begins right behind it.
    #[test]
    fn fuzz_tunnel_replies() {
        let seeds = [
            "HTTP/1.1 200 Connection established\r\n\r\n\x16\x03\x01hello",
            "HTTP/1.0 200\r\nproxy-agent: x\r\nvia: 1.1 proxy\r\n\r\n",
            "HTTP/1.1 204 Fine\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\n\r\n<html>",
            "HTTP/1.1 2000 No\r\n\r\n",
        ];
        let proxy = Proxy::parse("http://proxy:1", "").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        crate::fuzz::run_over(
            "tunnel replies",
            |mutator| mutator.raw(&seeds),
            |input, _| {
                let end = memchr::memmem::find(input, b"\r\n\r\n").map(|at| at + 4);
                let left = runtime.block_on(async {
                    let (near, mut far) = tokio::io::duplex(64 << 10);
                    far.write_all(input).await.unwrap();
                    far.shutdown().await.unwrap();
                    let mut tunnel = proxy.tunnel(near, "api.openai.com", 443).await.ok()?;
                    let mut left = vec![];
                    tunnel.read_to_end(&mut left).await.unwrap();
                    Some(left)
                });
                let status = input.get(9..12).and_then(|s| str::from_utf8(s).ok()?.parse::<u16>().ok());
                let granted = end.is_some()
                    && input.starts_with(b"HTTP/1.")
                    && input[8] == b' '
                    && status.is_some_and(|s| (200..300).contains(&s))
                    && !input[12].is_ascii_digit();
                if left.is_some() {
                    assert!(granted);
                    assert_eq!(left.as_deref(), end.map(|end| &input[end..]));
                }
                end.is_some()
            },
        );
        let rows: [(&[u8], bool); 6] = [
            (b"HTTP/1.1 200 OK\r\n\r\n", true),
            (b"HTTP/1.0 200\r\n\r\n", true),
            (b"HTTP/1.1 204 None\r\n\r\n", true),
            (b"HTTP/1.1 2000 OK\r\n\r\n", false),
            (b"HTTP/1.1 407 No\r\n\r\n", false),
            (b"HTTP/1.1\r\n\r\n", false),
        ];
        for (head, granted) in rows {
            assert_eq!(is_grant(head), granted, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn urls_and_exceptions() {
        let p = Proxy::parse("http://me:pw@proxy.corp:3128", "localhost, .internal,example.com").unwrap();
        assert_eq!((p.host.as_str(), p.port, p.auth.as_deref()), ("proxy.corp", 3128, Some("bWU6cHc=")));
        for (host, through) in [
            ("api.openai.com", true),
            ("localhost", false),
            ("llm.internal", false),
            ("example.com", false),
            ("eu.example.com", false),
            ("notexample.com", true),
        ] {
            assert_eq!(p.applies_to(host), through, "{host}");
        }
        assert!(Proxy::parse("socks5://x:1", "").is_err());
        assert!(Proxy::parse("http:///", "").is_err());
    }
}
