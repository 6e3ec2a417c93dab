//! A receiver of traces over OTLP, by HTTP and by gRPC on one port.

use std::{collections::BTreeMap, convert::Infallible, io::Read, net::SocketAddr, sync::Arc};

use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{HeaderMap, Request, Response, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{InstrumentationScope, KeyValue, any_value::Value},
    trace::v1::{Span, span::Event},
};
use parking_lot::Mutex;
use prost::Message;
use tokio::{net::TcpListener, task::JoinHandle};

/// A running receiver.
pub struct Receiver {
    addr: SocketAddr,
    got: Arc<Mutex<Got>>,
    task: JoinHandle<()>,
}

/// What came.
#[derive(Clone, Debug, Default)]
pub struct Got {
    /// Spans, in the order of their end.
    pub spans: Vec<Span>,
    /// Attributes of the last resource.
    pub resource: BTreeMap<String, String>,
    /// The last scope, with its schema.
    pub scope: (InstrumentationScope, String),
    /// Every export's path and headers.
    pub exports: Vec<(String, HeaderMap)>,
    /// Every message as it came, decompressed, to look for what must not be there.
    bytes: Vec<u8>,
}

type Answer = Response<BoxBody<bytes::Bytes, Infallible>>;

impl Receiver {
    /// Listens on a free port.
    pub async fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let got = Arc::new(Mutex::new(Got::default()));
        let kept = got.clone();
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let kept = kept.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let kept = kept.clone();
                    async move { Ok::<_, Infallible>(take(request, &kept).await) }
                });
                tokio::spawn(async move {
                    auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(tcp), service).await
                });
            }
        });
        Receiver { addr, got, task }
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Everything so far.
    pub fn got(&self) -> Got {
        self.got.lock().clone()
    }

    /// Every span so far.
    pub fn spans(&self) -> Vec<Span> {
        self.got.lock().spans.clone()
    }

    /// Every byte so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.got.lock().bytes.clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

const GRPC: &str = "application/grpc";
const GRPC_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

async fn take(request: Request<Incoming>, got: &Mutex<Got>) -> Answer {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    let grpc = head.headers.get("content-type").is_some_and(|v| v.as_bytes().starts_with(GRPC.as_bytes()));
    let message = if grpc { grpc_message(&body) } else { plain_message(&head.headers, &body) };
    let known = head.uri.path() == if grpc { GRPC_PATH } else { "/v1/traces" };
    let mut got = got.lock();
    got.exports.push((head.uri.path().to_owned(), head.headers));
    match ExportTraceServiceRequest::decode(&*message) {
        Ok(export) if known => got.take(export),
        _ => return Response::builder().status(400).body(Full::default().boxed()).expect("a response"),
    }
    got.bytes.extend(message);
    if grpc {
        let trailers = HeaderMap::from_iter([("grpc-status".parse().expect("a name"), "0".parse().expect("a value"))]);
        let empty = Full::from(vec![0; 5]).with_trailers(async { Some(Ok(trailers)) });
        return Response::builder().header("content-type", GRPC).body(empty.boxed()).expect("a response");
    }
    let answer = Response::builder().header("content-type", "application/x-protobuf");
    answer.body(Full::default().boxed()).expect("a response")
}

impl Got {
    fn take(&mut self, export: ExportTraceServiceRequest) {
        for resource in export.resource_spans {
            let attributes = resource.resource.unwrap_or_default().attributes;
            self.resource = attributes.iter().map(|kv| (kv.key.clone(), text(&attributes, &kv.key))).collect();
            for scope in resource.scope_spans {
                self.scope = (scope.scope.unwrap_or_default(), scope.schema_url);
                self.spans.extend(scope.spans);
            }
        }
    }
}

fn plain_message(headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    if headers.get("content-encoding").is_some_and(|v| v == "gzip") { unzip(body) } else { body.to_vec() }
}

/// One message after its flag and length.
fn grpc_message(body: &[u8]) -> Vec<u8> {
    match body.split_at_checked(5) {
        Some(([1, ..], zipped)) => unzip(zipped),
        Some((_, plain)) => plain.to_vec(),
        None => vec![],
    }
}

fn unzip(zipped: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    flate2::read::GzDecoder::new(zipped).read_to_end(&mut out).expect("gzip");
    out
}

/// An attribute as text; "" where it is not set.
pub fn attribute(span: &Span, name: &str) -> String {
    text(&span.attributes, name)
}

/// An event's attribute as text; "" where it is not set.
pub fn event_attribute(event: &Event, name: &str) -> String {
    text(&event.attributes, name)
}

fn text(attributes: &[KeyValue], name: &str) -> String {
    let value = attributes.iter().find(|kv| kv.key == name).and_then(|kv| kv.value.as_ref()?.value.as_ref());
    match value {
        Some(Value::StringValue(s)) => s.clone(),
        Some(Value::IntValue(n)) => n.to_string(),
        Some(Value::BoolValue(b)) => b.to_string(),
        Some(Value::DoubleValue(d)) => d.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

/// An id in hexadecimal.
pub fn hex(id: &[u8]) -> String {
    id.iter().map(|b| format!("{b:02x}")).collect()
}
