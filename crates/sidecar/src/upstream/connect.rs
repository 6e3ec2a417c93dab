//! Opening one connection: names, addresses raced family against family, TLS, a proxy between; each phase bounded.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use policy::snapshot::BaseUrl;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{ConnectLimits, proxy::Proxy, tls};

/// A head start for each address before the next is tried beside it (RFC 8305 section 5).
const ADDRESS_HEAD_START: Duration = Duration::from_millis(250);

/// Why a connection could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// The name did not resolve.
    Dns,
    /// Refused, unreachable, or closed at once.
    Refused,
    /// TCP or TLS took longer than its limit.
    Timeout,
    /// The handshake failed or the certificate is not trusted.
    Tls,
}

/// An open connection.
pub enum Io {
    /// Plain.
    Tcp(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Opens connections; the one seam between the data plane and the network.
pub struct Network {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    proxy: Option<Proxy>,
}

impl Network {
    pub(super) fn new(roots: RootCertStore, proxy: Option<Proxy>) -> Network {
        Network { http1: tls::config(roots.clone(), b"http/1.1"), http2: tls::config(roots, b"h2"), proxy }
    }

    /// TCP, proxy and TLS, each within its limit.
    ///
    /// # Errors
    /// Which of them failed.
    pub async fn connect(&self, base: &BaseUrl, http2: bool, limits: ConnectLimits) -> Result<Io, ConnectError> {
        let proxy = self.proxy.as_ref().filter(|p| base.tls && p.applies_to(&base.host));
        let tcp = async {
            let Some(proxy) = proxy else { return dial(&base.host, base.port).await };
            let tcp = dial(&proxy.host, proxy.port).await?;
            proxy.tunnel(tcp, &base.host, base.port).await.map_err(|_| ConnectError::Refused)
        };
        let tcp = timeout(limits.connect, tcp).await.map_err(|_| ConnectError::Timeout)??;
        tcp.set_nodelay(true).map_err(|_| ConnectError::Refused)?;
        if !base.tls {
            return Ok(Io::Tcp(tcp));
        }
        let name = ServerName::try_from(base.host.to_string()).map_err(|_| ConnectError::Tls)?;
        let config = if http2 { &self.http2 } else { &self.http1 };
        let shake = TlsConnector::from(config.clone()).connect(name, tcp);
        match timeout(limits.tls, shake).await {
            Err(_) => Err(ConnectError::Timeout),
            Ok(Err(_)) => Err(ConnectError::Tls),
            Ok(Ok(stream)) => Ok(Io::Tls(Box::new(stream))),
        }
    }
}

/// Resolves and connects, addresses of both families interleaved, each with a head start on the next.
async fn dial(host: &str, port: u16) -> Result<TcpStream, ConnectError> {
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await.map_err(|_| ConnectError::Dns)?.collect();
    if found.is_empty() {
        return Err(ConnectError::Dns);
    }
    let mut running = tokio::task::JoinSet::new();
    let mut rest = interleave(found).into_iter();
    loop {
        let more = match rest.next() {
            Some(addr) => {
                running.spawn(TcpStream::connect(addr));
                rest.len() > 0
            }
            None => false,
        };
        tokio::select! {
            done = running.join_next() => match done {
                Some(Ok(Ok(tcp))) => return Ok(tcp),
                Some(_) => {}
                None => return Err(ConnectError::Refused),
            },
            () = sleep(ADDRESS_HEAD_START), if more => {}
        }
    }
}

/// Alternates between families, the resolver's first one first.
fn interleave(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let six_first = found.first().is_some_and(SocketAddr::is_ipv6);
    let (a, b): (Vec<_>, Vec<_>) = found.into_iter().partition(|s| s.is_ipv6() == six_first);
    let mut out = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.into_iter(), b.into_iter());
    loop {
        match (a.next(), b.next()) {
            (None, None) => return out,
            (x, y) => out.extend(x.into_iter().chain(y)),
        }
    }
}

macro_rules! each {
    ($self:expr, $io:ident => $do:expr) => {
        match $self.get_mut() {
            Io::Tcp($io) => $do,
            Io::Tls($io) => $do,
        }
    };
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, io => Pin::new(io).poll_read(cx, buf))
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, io => Pin::new(io).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, io => Pin::new(io).poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, io => Pin::new(io).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Io::Tcp(io) => io.is_write_vectored(),
            Io::Tls(io) => io.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_alternate() {
        let list = |s: &[&str]| s.iter().map(|a| a.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let found = list(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"]);
        assert_eq!(interleave(found), list(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]));
    }
}
