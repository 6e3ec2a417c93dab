//! The admin port: liveness, readiness, metrics. It changes nothing.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::watch, time::sleep};

use crate::{cluster::Cluster, crowd::Crowd, fleet::Fleet, lend::Lending, metrics::Metrics};

const MAX_HEAD: usize = 16 << 10;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A newcomer takes the place of one of whoever has the most: the kubelet must get in.
const MAX_CONNECTIONS: usize = 64;
/// After `accept` failed, as it does where there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// What is shown.
pub struct Admin {
    /// What is seen of the cluster.
    pub cluster: Arc<Cluster>,
    /// What sidecars answer.
    pub fleet: Arc<Fleet>,
    /// What is lent.
    pub lending: Arc<Lending>,
    /// PEM of the CAs to trust; empty until there is a certificate to serve with.
    pub trust: watch::Receiver<Arc<str>>,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

impl Admin {
    /// Serves until it is dropped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let crowd = Crowd::new(MAX_CONNECTIONS);
        loop {
            let Ok((tcp, peer)) = listener.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            let stranger = crowd.enter(peer.ip());
            let admin = self.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| {
                    let response = admin.answer(&request);
                    async move { Ok::<_, Infallible>(response) }
                });
                let builder = &mut http1::Builder::new();
                let builder =
                    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_header_size(MAX_HEAD);
                tokio::select! {
                    _ = builder.serve_connection(TokioIo::new(tcp), service) => {}
                    () = stranger.sent_away().cancelled_owned() => {}
                }
            });
        }
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/livez") => text(StatusCode::OK, "ok"),
            (&Method::GET, "/readyz") => match self.why_not_ready() {
                None => text(StatusCode::OK, "ok"),
                Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, why),
            },
            (&Method::GET, "/metrics") => {
                let mut response = text(StatusCode::OK, self.page());
                let version = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
                response.headers_mut().insert(CONTENT_TYPE, version);
                response
            }
            (&Method::GET, _) => text(StatusCode::NOT_FOUND, "/livez, /readyz and /metrics are here"),
            _ => text(StatusCode::METHOD_NOT_ALLOWED, "only GET"),
        }
    }

    /// Ready is whoever could lead now: it knows the cluster and has a certificate.
    fn why_not_ready(&self) -> Option<String> {
        let missing: Vec<&str> = self.cluster.missing().into_iter().map(|kind| kind.name()).collect();
        if !missing.is_empty() {
            return Some(format!("not all {} of the cluster are known yet", missing.join(", ")));
        }
        self.trust.borrow().is_empty().then(|| "there is no certificate to serve with yet".to_owned())
    }

    fn page(&self) -> String {
        let (all, refused) = self.cluster.read(|world| {
            let refused = world.policies.values().filter(|policy| !policy.faults.is_empty()).count();
            (world.policies.len(), refused)
        });
        self.metrics.policies(all - refused, refused);
        self.metrics.connected(self.fleet.connected());
        self.metrics.budgets(&self.lending.all());
        self.metrics.render()
    }
}

fn text(status: StatusCode, text: impl Into<String>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text.into())));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Kind;

    #[test]
    fn ready_is_who_knows_the_cluster_and_has_a_certificate() {
        let cluster = Arc::new(Cluster::default());
        let trust = watch::Sender::new(Arc::from(""));
        let admin = Admin {
            cluster: cluster.clone(),
            fleet: Arc::default(),
            lending: Arc::default(),
            trust: trust.subscribe(),
            metrics: Arc::default(),
        };
        let get = |method: Method, path: &str| {
            let request = Request::builder().method(method).uri(path).body(()).unwrap();
            admin.answer(&request).status().as_u16()
        };
        assert_eq!([get(Method::GET, "/livez"), get(Method::GET, "/readyz")], [200, 503]);
        assert_eq!(admin.why_not_ready().unwrap(), "not all policies, pods, namespaces of the cluster are known yet");
        [Kind::Policies, Kind::Pods, Kind::Namespaces].into_iter().for_each(|kind| cluster.listed(kind));
        assert_eq!(admin.why_not_ready().unwrap(), "there is no certificate to serve with yet");
        trust.send_replace("pem".into());
        let got = [
            get(Method::GET, "/readyz"),
            get(Method::GET, "/metrics"),
            get(Method::GET, "/x"),
            get(Method::POST, "/livez"),
        ];
        assert_eq!(got, [200, 200, 404, 405]);
    }
}
