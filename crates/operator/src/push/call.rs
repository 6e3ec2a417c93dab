//! As much of gRPC as one call needs. Not tonic's server: that one copies each message into a buffer of each stream and keeps
//! the buffer, and a thousand streams share one text here.

use std::sync::Arc;

use bytes::Bytes;
use control::v1::{FromOperator, FromSidecar};
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, Empty, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    HeaderMap, Method, Request, Response,
    body::{Frame, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Status, Streaming,
    codec::BufferSettings,
    metadata::{GRPC_CONTENT_TYPE, MetadataMap},
};
use tonic_prost::ProstCodec;

use super::{Push, visit::Visit};

/// The one call, of `proto/control.proto`.
const SYNC: &str = "/llmroute.control.v1.Control/Sync";
/// An answer with its text of faults has 16 KiB; what a sidecar borrows of a hundred keys, some hundred.
const MAX_MESSAGE: usize = 1 << 20;
/// Answers and reports are short; longer ones make it grow.
const BUFFER: usize = 1 << 10;

pub(super) type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// Answers a request on a connection.
pub(super) async fn answer(push: &Push, visit: &Arc<Visit>, request: Request<Incoming>) -> Response<Body> {
    let called = match read(request) {
        Ok((metadata, incoming)) => push.sync(&metadata, visit, incoming).await,
        Err(status) => Err(status),
    };
    called.map_or_else(refused, said)
}

/// Who calls, and what it says.
fn read(request: Request<Incoming>) -> Result<(MetadataMap, Streaming<FromSidecar>), Status> {
    let (head, body) = request.into_parts();
    if head.method != Method::POST || head.uri.path() != SYNC {
        return Err(Status::unimplemented(format!("POST {SYNC} is here")));
    }
    let is_other = |value: &HeaderValue| value != "identity";
    if head.headers.get("grpc-encoding").is_some_and(is_other) {
        return Err(Status::unimplemented("messages come as they are"));
    }
    let decoder = ProstCodec::<FromOperator, FromSidecar>::raw_decoder(BufferSettings::new(BUFFER, MAX_MESSAGE));
    let incoming = Streaming::new_request(decoder, body, None, Some(MAX_MESSAGE));
    Ok((MetadataMap::from_headers(head.headers), incoming))
}

/// What comes out of `outgoing`, and then a good end.
fn said(outgoing: mpsc::Receiver<Bytes>) -> Response<Body> {
    let messages = ReceiverStream::new(outgoing).map(Frame::data);
    let mut trailers = HeaderMap::new();
    trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
    let body = StreamBody::new(messages.chain(stream::iter([Frame::trailers(trailers)])).map(Ok));
    let mut response = Response::new(body.boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, GRPC_CONTENT_TYPE);
    response
}

fn refused(status: Status) -> Response<Body> {
    status.into_http::<Empty<Bytes>>().map(BodyExt::boxed_unsync)
}
