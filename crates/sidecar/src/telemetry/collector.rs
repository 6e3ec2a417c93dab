//! The way to the collector: OTLP over HTTP or gRPC, on connections of the same kind as the providers', so that proxy,
//! extra roots and IPv6 hold for it too.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{Request, Response, Uri, header::HOST};
use hyper_util::rt::TokioIo;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig};
use policy::snapshot::BaseUrl;
use tonic::transport::Endpoint;
use tower_service::Service;

use super::settings::{Protocol, Settings};
use crate::{
    clock,
    upstream::{ConnectError, ConnectLimits, Io, Network, OutBody, Outgoing, Pool, Upstream},
};

/// Longest answer of a collector that is read.
const MAX_ANSWER: usize = 64 << 10;
const LIMITS: ConnectLimits = ConnectLimits { connect: Duration::from_secs(5), tls: Duration::from_secs(5) };

/// The exporter of one protocol.
///
/// # Errors
/// A variable that the exporter reads itself cannot be used.
pub(super) fn exporter(settings: &Settings, upstream: &Upstream) -> anyhow::Result<SpanExporter> {
    let base = base(&settings.endpoint);
    let built = match settings.protocol {
        Protocol::Http => SpanExporter::builder()
            .with_http()
            .with_endpoint(settings.endpoint.to_string())
            .with_timeout(settings.timeout)
            .with_http_client(Http { pool: upstream.pool(&base, false), timeout: settings.timeout })
            .build(),
        Protocol::Grpc => {
            // The connector speaks TLS, not the channel.
            let plain = format!("http://{}:{}", bracketed(&base.host), base.port);
            let channel = Endpoint::from_shared(plain)?
                .timeout(settings.timeout)
                .connect_with_connector_lazy(Grpc { base, connector: upstream.connector() });
            SpanExporter::builder().with_tonic().with_timeout(settings.timeout).with_channel(channel).build()
        }
    };
    built.context("the exporter of traces")
}

fn base(endpoint: &Uri) -> BaseUrl {
    let tls = endpoint.scheme_str() == Some("https");
    let host = endpoint.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = endpoint.port_u16().unwrap_or(if tls { 443 } else { 80 });
    BaseUrl { tls, host: host.into(), port, prefix: "".into() }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// OTLP over HTTP/1.1, on a pool of its own.
struct Http {
    pool: Arc<Pool>,
    timeout: Duration,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Http")
    }
}

#[async_trait]
impl HttpClient for Http {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (mut parts, body) = request.into_parts();
        if let Some(authority) = parts.uri.authority() {
            parts.headers.insert(HOST, authority.as_str().try_into()?);
        }
        let headers = parts.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let mut build = |_| {
            let body = OutBody::Rope([body.clone()].into());
            Some(Outgoing { method: &parts.method, uri: &parts.uri, headers: &headers, body })
        };
        let until = clock::now().after(self.timeout);
        let answer = self.pool.send(&mut build, LIMITS, until).await.map_err(|e| format!("{e:?}"))?;
        let mut response = Response::new(Limited::new(answer.body, MAX_ANSWER).collect().await?.to_bytes());
        *response.status_mut() = answer.head.status;
        *response.headers_mut() = answer.head.headers.map();
        Ok(response)
    }
}

/// Opens the connections of a gRPC channel.
struct Grpc {
    base: BaseUrl,
    connector: Arc<Network>,
}

impl Service<Uri> for Grpc {
    type Response = TokioIo<Io>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Io>, std::io::Error>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (base, connector) = (self.base.clone(), self.connector.clone());
        Box::pin(async move {
            let failed = |e: ConnectError| std::io::Error::other(format!("{e:?}"));
            connector.connect(&base, true, LIMITS).await.map(TokioIo::new).map_err(failed)
        })
    }
}
