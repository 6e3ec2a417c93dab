//! A fast pretend provider: one fixed OpenAI chat answer, plain or as a paced event stream, and an OTLP receiver.
//!
//! `POST /v1/chat/completions` answers with JSON, or with server-sent events if the body has `"stream":true`;
//! `GET /v1/models` and `/healthz` have small fixed answers. A marker anywhere in the body sets the pace of a stream:
//! `@@mock:chunk_delay_us=1000,chunks=50@@` (timer grain 1 ms). Each content chunk is its own flush and carries
//! `@t<CLOCK_MONOTONIC ns>;`, so that a load generator on the same machine can tell how long it was on its way.

mod ask;
mod otlp;
mod reply;

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

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
use tokio::net::TcpListener;

/// A pretend provider and OTLP receiver for benchmarks.
#[derive(Parser)]
struct Args {
    /// Where the provider listens.
    #[arg(long)]
    listen: SocketAddr,
    /// Where the OTLP receiver (http/protobuf) listens; `GET /otlp/count` there tells what came.
    #[arg(long)]
    otlp: SocketAddr,
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
    let provider = TcpListener::bind(args.listen).await?;
    loop {
        let (socket, _) = provider.accept().await?;
        socket.set_nodelay(true)?;
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service_fn(answer)));
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    Ok(match request.uri().path() {
        "/v1/chat/completions" => chat(request).await,
        "/v1/models" => fixed(StatusCode::OK, "application/json", reply::MODELS),
        "/healthz" => fixed(StatusCode::OK, "text/plain", "ok"),
        _ => fixed(StatusCode::NOT_FOUND, "application/json", r#"{"error":{"message":"no such path"}}"#),
    })
}

async fn chat(request: Request<Incoming>) -> Response<Body> {
    let Ok(ask) = ask::read(request.into_body()).await else {
        return fixed(StatusCode::BAD_REQUEST, "text/plain", "the body did not arrive");
    };
    if !ask.stream {
        return fixed(StatusCode::OK, "application/json", reply::CHAT);
    }
    let mut response = Response::new(Either::Right(reply::Stream::new(ask)));
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
