//! An OTLP receiver over http/protobuf that decodes what it is sent and counts the spans.

use std::{
    convert::Infallible,
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    trace::v1::span::SpanKind,
};
use prost::Message;

const PROTOBUF: &str = "application/x-protobuf";

/// What has been received since the start.
#[derive(Default)]
pub(crate) struct Counts {
    exports: AtomicU64,
    refused: AtomicU64,
    spans: AtomicU64,
    server: AtomicU64,
    client: AtomicU64,
}

impl Counts {
    fn add(&self, export: &ExportTraceServiceRequest) {
        self.exports.fetch_add(1, Relaxed);
        for span in export.resource_spans.iter().flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans) {
            self.spans.fetch_add(1, Relaxed);
            match span.kind() {
                SpanKind::Server => self.server.fetch_add(1, Relaxed),
                SpanKind::Client => self.client.fetch_add(1, Relaxed),
                _ => continue,
            };
        }
    }

    fn json(&self) -> String {
        let n = |counter: &AtomicU64| counter.load(Relaxed);
        serde_json::json!({"exports": n(&self.exports), "refused": n(&self.refused), "spans": n(&self.spans),
            "server": n(&self.server), "client": n(&self.client)})
        .to_string()
    }
}

pub(crate) async fn receive(
    counts: Arc<Counts>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    if (&head.method, head.uri.path()) == (&Method::GET, "/otlp/count") {
        return Ok(response(StatusCode::OK, "application/json", counts.json().into()));
    }
    let protobuf = head.headers.get(CONTENT_TYPE).is_some_and(|v| v == PROTOBUF);
    let status = if (&head.method, head.uri.path()) != (&Method::POST, "/v1/traces") {
        StatusCode::NOT_FOUND
    } else if !protobuf || head.headers.contains_key("content-encoding") {
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    } else {
        let export = body.collect().await.ok().map(|whole| ExportTraceServiceRequest::decode(whole.to_bytes()));
        if let Some(Ok(export)) = export {
            counts.add(&export);
            let taken = ExportTraceServiceResponse::default().encode_to_vec();
            return Ok(response(StatusCode::OK, PROTOBUF, taken.into()));
        }
        StatusCode::BAD_REQUEST
    };
    counts.refused.fetch_add(1, Relaxed);
    Ok(response(status, "text/plain", Bytes::new()))
}

fn response(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
