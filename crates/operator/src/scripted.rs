//! An API server that is told what to answer, for scenarios beside the code: which calls come, and what is in them.

use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::time::timeout;
use tower_test::mock::Handle;

/// A call: its method and path with its query, and its body.
pub(crate) type Call = (String, Value);

/// The server's end.
pub(crate) struct Api(Handle<Request<Body>, Response<Body>>);

impl Api {
    /// With a client that calls it.
    pub(crate) fn new() -> (Client, Api) {
        let (service, handle) = tower_test::mock::pair();
        (Client::new(service, "default"), Api(handle))
    }

    /// The next call is answered as `by` says of it: with a status and a body.
    pub(crate) async fn serve(&mut self, by: impl FnOnce(&Call) -> (u16, Value)) -> Call {
        let (request, send) = self.0.next_request().await.expect("a call");
        let (head, sent) = request.into_parts();
        let sent = sent.collect().await.unwrap().to_bytes();
        let call = (format!("{} {}", head.method, head.uri), serde_json::from_slice(&sent).unwrap_or_default());
        let (status, body) = by(&call);
        let body = Body::from(body.to_string().into_bytes());
        send.send_response(Response::builder().status(status).body(body).unwrap());
        call
    }

    /// The next call is answered with a status and a body.
    pub(crate) async fn answer(&mut self, status: u16, body: Value) -> Call {
        self.serve(|_| (status, body)).await
    }

    /// What was sent is stored, under this version.
    pub(crate) async fn stores(&mut self, version: u64) -> Call {
        let stored = |(_, sent): &Call| {
            let mut stored = sent.clone();
            stored["metadata"]["resourceVersion"] = json!(version.to_string());
            (200, stored)
        };
        self.serve(stored).await
    }

    /// It is taken.
    pub(crate) async fn takes(&mut self) -> Call {
        self.answer(200, json!({"metadata": {"name": "x"}})).await
    }

    /// It is refused.
    pub(crate) async fn refuses(&mut self, code: u16) -> Call {
        let reason = if code == 404 { "NotFound" } else { "No" };
        let body = json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": "no"});
        self.answer(code, body).await
    }

    /// No call comes within a while.
    pub(crate) async fn is_quiet(&mut self) {
        let next = timeout(Duration::from_secs(20), self.0.next_request()).await;
        assert!(next.is_err(), "an unexpected call: {:?}", next.unwrap().map(|(request, _)| request.uri().clone()));
    }
}
