//! The API server's questions over real TLS.

use std::{net::SocketAddr, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;
use crate::{
    ca::{Certificates, Serving, renew, server_config},
    world::PolicyKey,
};

const NAME: &str = "llmroute-webhook.llmroute-system.svc";

struct Server {
    addr: SocketAddr,
    bundle: String,
    ending: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

/// What a replica knows of policies.
#[derive(Clone, Copy, PartialEq)]
enum Knows {
    All,
    /// All after it has asked.
    Asking,
    /// Nothing, since it is not answered.
    Nothing,
}

/// A replica in whose world one policy selects the pods of the app `shop`.
async fn server(knows: Knows) -> Server {
    let now = u64::try_from(time::OffsetDateTime::now_utc().unix_timestamp()).unwrap();
    let certificates = renew(&Certificates::default(), &[NAME.to_owned()], now).unwrap().unwrap();
    let serving = Arc::new(Serving::default());
    serving.put(certificates.leaf.as_ref().unwrap()).unwrap();
    let settings = Settings {
        namespace: "llmroute-system".into(),
        image: "sidecar:1".to_owned(),
        pull_policy: None,
        control: "https://llmroute-control.llmroute-system.svc:8443".to_owned(),
        resources: json!({}),
        env: Vec::new(),
    };
    let policy = PolicyKey { namespace: "shop".into(), name: "p".into() };
    let chosen = Chosen { policy, accepted: true, secret: Some("llm-keys".into()) };
    let asked = Arc::new(Mutex::new(false));
    let seen = asked.clone();
    let choose = move |pod: &Pod| {
        let is_its = &*pod.namespace == "shop" && pod.labels.get("app").is_some_and(|app| app == "shop");
        let is_known = knows != Knows::Asking || *seen.lock();
        if knows == Knows::Nothing { Err(NotYet) } else { Ok((is_its && is_known).then(|| chosen.clone())) }
    };
    let refresh = move |namespace: String| -> BoxFuture<'static, bool> {
        assert_eq!(namespace, "shop");
        *asked.lock() = true;
        Box::pin(async move { knows != Knows::Nothing })
    };
    let ending = CancellationToken::new();
    let (_, trust) = watch::channel(certificates.bundle().into());
    let (settings, choose, refresh) = (Arc::new(settings), Arc::new(choose), Arc::new(refresh));
    let admission = Admission { settings, choose, refresh, trust, metrics: Arc::default(), ending: ending.clone() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let tls = server_config(serving, &["http/1.1"]).unwrap();
    let task = tokio::spawn(serve(listener, tls, admission));
    Server { addr, bundle: certificates.bundle(), ending, task }
}

impl Server {
    async fn connect(&self) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        for cert in CertificateDer::pem_slice_iter(self.bundle.as_bytes()) {
            roots.add(cert.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let tcp = TcpStream::connect(self.addr).await.unwrap();
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(NAME).unwrap(), tcp).await.unwrap()
    }

    /// On a connection of its own; the status and the text.
    async fn ask(&self, method: &str, path: &str, body: Vec<u8>) -> (u16, String) {
        let tls = self.connect().await;
        let (mut send, connection) = http1::handshake(TokioIo::new(tls)).await.unwrap();
        let driven = tokio::spawn(connection);
        let request =
            Request::builder().method(method).uri(path).header("host", NAME).body(Full::new(Bytes::from(body)));
        let response = send.send_request(request.unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let text = response.into_body().collect().await.unwrap().to_bytes();
        driven.abort();
        (status, String::from_utf8(text.to_vec()).unwrap())
    }

    /// The `response` of an answered review.
    async fn review(&self, path: &str, request: Value) -> Value {
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
        let (status, text) = self.ask("POST", path, review.to_string().into_bytes()).await;
        assert_eq!(status, 200, "{text}");
        let answered: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&answered["apiVersion"], &answered["kind"]), (&review["apiVersion"], &review["kind"]));
        answered["response"].clone()
    }
}

fn pod_of(labels: Value) -> Value {
    // As the API server asks of a pod of a ReplicaSet: without a name and a namespace of its own.
    json!({"uid": "42", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE", "namespace": "shop",
        "object": {"metadata": {"generateName": "a-", "labels": labels}, "spec": {"containers": [{"name": "app"}]}}})
}

#[tokio::test]
async fn a_pod_gets_its_sidecar_in_a_dry_run_too() {
    let server = server(Knows::All).await;
    let response = server.review(MUTATE, pod_of(json!({"app": "shop"}))).await;
    assert_eq!((&response["uid"], &response["allowed"]), (&json!("42"), &json!(true)));
    assert_eq!(response["patchType"], "JSONPatch");
    let patch: Value = serde_json::from_slice(&STANDARD.decode(response["patch"].as_str().unwrap()).unwrap()).unwrap();
    assert_eq!(patch[0]["path"], "/spec/initContainers");
    assert_eq!(patch[0]["value"][0]["image"], "sidecar:1");
    assert_eq!(patch[0]["value"][0]["env"][0], json!({"name": "LLMROUTE_CA", "value": server.bundle}));
    let mut dry = pod_of(json!({"app": "shop"}));
    dry["dryRun"] = true.into();
    assert_eq!(server.review(MUTATE, dry).await, response);
    server.ending.cancel();
    server.task.await.unwrap();
}

#[tokio::test]
async fn others_are_let_through_or_refused() {
    let server = server(Knows::All).await;
    let allowed = json!({"uid": "42", "allowed": true});
    assert_eq!(server.review(MUTATE, pod_of(json!({"app": "other"}))).await, allowed);
    let mut update = pod_of(json!({"app": "shop"}));
    update["operation"] = "UPDATE".into();
    assert_eq!(server.review(MUTATE, update).await, allowed);
    let refused = server.review(MUTATE, pod_of(json!({"llmroute.dev/inject": "enabled"}))).await;
    assert_eq!((&refused["allowed"], &refused["status"]["code"]), (&json!(false), &json!(403)));
    assert!(refused["status"]["message"].as_str().unwrap().starts_with("llmroute: this pod asks"), "{refused}");

    let policy =
        json!({"apiVersion": "llmroute.dev/v1alpha1", "kind": "LLMRoutePolicy", "metadata": {"name": "p"}, "spec": {}});
    let request = json!({"uid": "7", "kind": {"kind": "LLMRoutePolicy"}, "operation": "CREATE", "namespace": "shop", "object": policy});
    let refused = server.review(VALIDATE, request).await;
    assert_eq!(refused["status"]["details"]["causes"][0]["field"], "spec.providers");
}

#[tokio::test]
async fn who_does_not_know_all_policies_asks_and_refuses_pods_if_it_is_not_told() {
    let asking = server(Knows::Asking).await;
    let response = asking.review(MUTATE, pod_of(json!({"app": "shop"}))).await;
    assert_eq!((&response["allowed"], &response["patchType"]), (&json!(true), &json!("JSONPatch")));
    let server = server(Knows::Nothing).await;
    let refused = server.review(MUTATE, pod_of(json!({"app": "other"}))).await;
    assert_eq!((&refused["allowed"], &refused["status"]["code"]), (&json!(false), &json!(503)));
}

#[tokio::test]
async fn what_is_no_question_is_told_so() {
    let server = server(Knows::All).await;
    let review = |request: Value| {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
            .to_string()
            .into_bytes()
    };
    let old = json!({"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview", "request": {"uid": "1"}});
    let rows: [(&str, &str, Vec<u8>, u16); 9] = [
        ("GET", MUTATE, Vec::new(), 405),
        ("POST", "/", Vec::new(), 404),
        ("POST", MUTATE, Vec::new(), 400),
        ("POST", MUTATE, b"{}".to_vec(), 400),
        ("POST", VALIDATE, old.to_string().into_bytes(), 400),
        ("POST", VALIDATE, review(Value::Null), 400),
        ("POST", VALIDATE, review(json!({"uid": 7})), 400),
        ("POST", MUTATE, vec![b' '; (4 << 20) + 1], 413),
        // Each byte of it would become forty.
        ("POST", MUTATE, [&b"["[..], &b"0,".repeat(2 << 20), &b"0]"[..]].concat()[..4 << 20].to_vec(), 400),
    ];
    for (method, path, body, want) in rows {
        let (status, text) = server.ask(method, path, body).await;
        assert_eq!(status, want, "{method} {path}: {text}");
    }
}

#[tokio::test]
async fn who_sends_slowly_takes_the_place_of_nobody() {
    let server = server(Knows::All).await;
    let begun = Instant::now();
    let mut stalled = vec![];
    for _ in 0..20 {
        let mut stream = server.connect().await;
        let head = format!("POST {MUTATE} HTTP/1.1\r\nhost: {NAME}\r\ncontent-length: {}\r\n\r\n", 4 << 20);
        stream.write_all(head.as_bytes()).await.unwrap();
        // The rest does not come. Of those that are too much together some are cut off while they are sent.
        let sent = stream.write_all(&vec![b' '; 3 << 20]).await;
        stalled.push((stream, sent.is_ok()));
    }
    let review = timeout(Duration::from_secs(5), server.review(MUTATE, pod_of(json!({"app": "shop"})))).await;
    assert_eq!(review.unwrap()["allowed"], true, "{:?} after the first", begun.elapsed());
    assert!(stalled.iter().any(|(_, whole)| *whole));
}
