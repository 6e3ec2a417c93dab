//! The least a hyper reverse proxy can be: the floor that the sidecar is compared with.
//!
//! It parses nothing: both bodies are forwarded frame by frame. With `--inspect` it does the least an LLM proxy must:
//! reads the whole request body, finds `model` and `stream` with a borrowing parse that skips the rest, sends the same
//! bytes on, and looks for `usage` in the answer while forwarding it untouched.

mod tee;

use std::{borrow::Cow, convert::Infallible, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt, Either, Full};
use hyper::{
    Request, Response, StatusCode, Uri,
    body::Incoming,
    header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING},
    http::uri::{Authority, Scheme},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tokio::net::TcpListener;

use tee::Tee;

/// A bare hyper forwarder, one thread.
#[derive(Parser)]
struct Args {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// ADDRESS:PORT of the upstream, plain HTTP/1.1.
    #[arg(long)]
    upstream: Authority,
    /// Read the request body and look for usage in the answer.
    #[arg(long)]
    inspect: bool,
}

type Sent = Either<Incoming, Full<Bytes>>;
type Given = Either<Either<Incoming, Tee>, Full<Bytes>>;

struct Proxy {
    client: Client<HttpConnector, Sent>,
    upstream: Authority,
    host: HeaderValue,
    inspect: bool,
}

/// What `--inspect` wants of a request; everything else is skipped.
#[derive(serde::Deserialize)]
struct Peek<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(default)]
    stream: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let Args { listen, upstream, inspect } = Args::parse();
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let proxy = Arc::new(Proxy {
        client: Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector),
        host: HeaderValue::from_str(upstream.as_str())?,
        upstream,
        inspect,
    });
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let proxy = proxy.clone();
        let service = service_fn(move |request| answer(proxy.clone(), request));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
    }
}

async fn answer(proxy: Arc<Proxy>, request: Request<Incoming>) -> Result<Response<Given>, Infallible> {
    Ok(forward(&proxy, request).await.unwrap_or_else(|error| {
        let mut response = Response::new(Either::Right(Full::from(format!("{error:#}"))));
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response
    }))
}

async fn forward(proxy: &Proxy, request: Request<Incoming>) -> anyhow::Result<Response<Given>> {
    let (mut head, body) = request.into_parts();
    let mut uri = head.uri.into_parts();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(proxy.upstream.clone());
    head.uri = Uri::from_parts(uri)?;
    strip_hop_by_hop(&mut head.headers);
    head.headers.insert(HOST, proxy.host.clone());
    let body = if proxy.inspect {
        let whole = body.collect().await?.to_bytes();
        let Peek { model, stream } = serde_json::from_slice(&whole)?;
        std::hint::black_box((model, stream));
        head.headers.remove(CONTENT_LENGTH);
        Either::Right(Full::new(whole))
    } else {
        Either::Left(body)
    };

    let (mut head, body) = proxy.client.request(Request::from_parts(head, body)).await?.into_parts();
    strip_hop_by_hop(&mut head.headers);
    let body = if proxy.inspect { Either::Right(Tee::new(body)) } else { Either::Left(body) };
    Ok(Response::from_parts(head, Either::Left(body)))
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
    for name in [CONNECTION, TRANSFER_ENCODING, KEEP_ALIVE, PROXY_CONNECTION] {
        headers.remove(name);
    }
}
