//! A fast pretend provider: one fixed answer in each of the three APIs, plain or as a paced event stream, also behind
//! TLS, and an OTLP receiver.
//!
//! `POST /v1/chat/completions`, `/v1/responses` and `/v1/messages` answer with JSON, or with server-sent events if the
//! body has `"stream":true`; `GET /v1/models` and `/healthz` have small fixed answers. A marker anywhere in the body sets the pace of a stream:
//! `@@mock:chunk_delay_us=1000,chunks=50@@` (timer grain 1 ms). Each content chunk is its own flush and carries
//! `@t<CLOCK_MONOTONIC ns>;`, so that a load generator on the same machine can tell how long it was on its way.

mod ask;
mod otlp;
mod reply;
mod tls;
mod words;

use std::{convert::Infallible, net::SocketAddr, path::PathBuf, sync::Arc};

use bytes::Bytes;
use clap::Parser;
use http_body_util::{Either, Full};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};

use words::{CHAT, MESSAGES, MODELS, RESPONSES, Words};

/// A pretend provider and OTLP receiver for benchmarks.
#[derive(Parser)]
struct Args {
    /// Where the provider listens.
    #[arg(long)]
    listen: SocketAddr,
    /// Where the OTLP receiver (http/protobuf) listens; `GET /otlp/count` there tells what came.
    #[arg(long)]
    otlp: SocketAddr,
    /// Where the provider listens with TLS.
    #[arg(long)]
    tls: SocketAddr,
    /// Where the certificate to be trusted is written.
    #[arg(long)]
    ca: PathBuf,
}

type Body = Either<Full<Bytes>, reply::Stream>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let spans = TcpListener::bind(args.otlp).await?;
    let counts = Arc::new(otlp::Counts::default());
    tokio::spawn(async move {
        while let Ok((socket, _)) = spans.accept().await {
            let counts = counts.clone();
            let service = service_fn(move |request| otlp::receive(counts.clone(), request));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
        }
    });
    let acceptor = tls::acceptor(&args.ca)?;
    let secure = TcpListener::bind(args.tls).await?;
    tokio::spawn(async move {
        while let Ok((socket, _)) = secure.accept().await {
            let _ = socket.set_nodelay(true);
            let handshake = acceptor.accept(socket);
            tokio::spawn(async move {
                if let Ok(socket) = handshake.await {
                    serve(socket).await;
                }
            });
        }
    });
    let provider = TcpListener::bind(args.listen).await?;
    loop {
        let (socket, _) = provider.accept().await?;
        socket.set_nodelay(true)?;
        tokio::spawn(serve(socket));
    }
}

/// One connection; how it ends is its user's business.
async fn serve(socket: impl AsyncRead + AsyncWrite + Unpin) {
    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service_fn(answer)).await;
}

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    Ok(match request.uri().path() {
        "/v1/chat/completions" => say(request, &CHAT).await,
        "/v1/responses" => say(request, &RESPONSES).await,
        "/v1/messages" => say(request, &MESSAGES).await,
        "/v1/models" => fixed(StatusCode::OK, "application/json", MODELS),
        "/healthz" => fixed(StatusCode::OK, "text/plain", "ok"),
        _ => fixed(StatusCode::NOT_FOUND, "application/json", r#"{"error":{"message":"no such path"}}"#),
    })
}

async fn say(request: Request<Incoming>, words: &'static Words) -> Response<Body> {
    let Ok(ask) = ask::read(request.into_body()).await else {
        return fixed(StatusCode::BAD_REQUEST, "text/plain", "the body did not arrive");
    };
    if !ask.stream {
        return fixed(StatusCode::OK, "application/json", words.plain);
    }
    let mut response = Response::new(Either::Right(reply::Stream::new(ask, words)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn fixed(status: StatusCode, content_type: &'static str, body: &'static str) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::from(Bytes::from_static(body.as_bytes()))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
