//! Peers of other versions: a recorded one of protocol 1, and an operator of tomorrow that says what nobody knows yet.

use std::{convert::Infallible, sync::Arc};

use bytes::{Bytes, BytesMut};
use control::v1::{FromOperator, FromSidecar, Hello, from_operator, from_sidecar, go_away::Reason};
use futures_util::{StreamExt, stream};
use harness::{Cluster, Plane, eventually, plane::unix, program::Builder, temp::TempDir, world::loopback};
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    client, server,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use operator::ca::{Certificates, Serving, renew, server_config};
use prost::Message;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

/// A message as gRPC frames it: not compressed, length, bytes.
fn framed(message: &[u8]) -> Frame<Bytes> {
    let mut out = BytesMut::from(&[0][..]);
    out.extend_from_slice(&(message.len() as u32).to_be_bytes());
    out.extend_from_slice(message);
    Frame::data(out.freeze())
}

/// Takes one whole message from the front.
fn unframed(buffer: &mut BytesMut) -> Option<Bytes> {
    let length = buffer.get(1..5)?.try_into().map(u32::from_be_bytes).ok()? as usize;
    (buffer.len() >= 5 + length).then(|| buffer.split_to(5 + length).freeze().slice(5..))
}

/// The lines of the record that begin with `mark`.
fn recorded(mark: &str) -> Vec<Vec<u8>> {
    let text = include_str!("../goldens/control-v1.txt");
    let bytes =
        |hex: &str| (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hex")).collect();
    text.lines().filter_map(|line| line.strip_prefix(mark)).map(|hex| bytes(hex.trim())).collect()
}

/// A call of the operator, message by message.
struct Peer {
    say: mpsc::Sender<Frame<Bytes>>,
    answer: Incoming,
    buffer: BytesMut,
}

impl Peer {
    async fn call(plane: &Plane, token: &str) -> Peer {
        let mut roots = RootCertStore::empty();
        let ca = plane.cluster.bundle();
        roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("PEM")).expect("a root");
        let mut tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let tcp = TcpStream::connect(plane.addr).await.expect("a connection");
        let name = ServerName::try_from("localhost").expect("a name");
        let tls = TlsConnector::from(Arc::new(tls)).connect(name, tcp).await.expect("TLS");
        let (mut calls, connection) =
            client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.expect("HTTP/2");
        tokio::spawn(connection);
        let (say, said) = mpsc::channel(8);
        let call = Request::post(format!("{}/llmroute.control.v1.Control/Sync", plane.url()))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", format!("Bearer {token}"))
            .body(StreamBody::new(ReceiverStream::new(said).map(Ok::<_, Infallible>)))
            .expect("a call");
        let answer = calls.send_request(call).await.expect("an answer").into_body();
        Peer { say, answer, buffer: BytesMut::new() }
    }

    async fn say(&self, message: &[u8]) {
        self.say.send(framed(message)).await.expect("said");
    }

    /// The next message; none when the stream has ended.
    async fn hear(&mut self) -> Option<Bytes> {
        loop {
            if let Some(message) = unframed(&mut self.buffer) {
                return Some(message);
            }
            let frame = self.answer.frame().await?.expect("whole");
            self.buffer.extend_from_slice(&frame.into_data().ok()?);
        }
    }

    /// The next message, which must be a go-away with which the stream ends.
    async fn sent_away(&mut self) -> (Reason, String) {
        let last = self.hear().await.expect("last words");
        assert_eq!(self.hear().await, None, "nothing follows");
        match FromOperator::decode(last).expect("decodes").message {
            Some(from_operator::Message::GoAway(away)) => (away.reason(), away.message),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_keep_to_the_protocol_is_told_and_sent_away() {
    let cluster = Cluster::new();
    let token = cluster.pod("a", "shop");
    let plane = Plane::start(&cluster).await;
    let hello = |oldest: u32, newest: u32| {
        let hello = Hello { protocol: newest, oldest_protocol: oldest, version: "0.0.0".to_owned() };
        FromSidecar { message: Some(from_sidecar::Message::Hello(hello)) }.encode_to_vec()
    };
    let rows = [
        (hello(9, 11), "this end speaks 1 to 1, the other 9 to 11"),
        (hello(0, 0), "names no protocol"),
        (FromSidecar { message: None }.encode_to_vec(), "begins with a hello"),
        (b"\x0a\xff".to_vec(), "begins with a hello"),
    ];
    for (first, want) in rows {
        let mut peer = Peer::call(&plane, &token).await;
        peer.say(&first).await;
        let (reason, message) = peer.sent_away().await;
        assert!(reason == Reason::Protocol && message.contains(want), "{reason:?} {message}");
    }
    assert!(plane.fleet.view().is_empty());

    // Of two streams of one pod the newer one stays, and one hello is enough.
    let (mut older, mut newer) = (Peer::call(&plane, &token).await, Peer::call(&plane, &token).await);
    for peer in [&mut older, &mut newer] {
        peer.say(&hello(1, 1)).await;
        for _ in ["hello", "trust", "unselected"] {
            peer.hear().await.expect("a message");
        }
    }
    assert_eq!(older.sent_away().await.0, Reason::Replaced);
    newer.say(&hello(1, 1)).await;
    assert_eq!(newer.sent_away().await, (Reason::Protocol, "a stream has one hello".to_owned()));

    // A replica that ends says so.
    let mut last = Peer::call(&plane, &token).await;
    last.say(&hello(1, 1)).await;
    for _ in ["hello", "trust", "unselected"] {
        last.hear().await.expect("a message");
    }
    plane.end().await;
    assert_eq!(last.sent_away().await.0, Reason::Ending);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_sidecar_of_protocol_1_is_served() {
    let cluster = Cluster::new();
    let token = cluster.pod("old", "recorded");
    let spec = json!({"providers": [{"name": "openai", "api": "OpenAI"}],
        "scenes": [{"name": "chat", "targets": [{"provider": "openai"}]}]});
    let document = cluster.spec("recorded", 7, &spec);
    let plane = Plane::start(&cluster).await;

    let mut peer = Peer::call(&plane, &token).await;
    let mut ours = recorded(">").into_iter();
    peer.say(&ours.next().expect("a hello")).await;
    let heard = [peer.hear().await, peer.hear().await, peer.hear().await].map(|m| m.expect("a message"));
    let known = heard.iter().map(|m| FromOperator::decode(&**m).expect("decodes").message.expect("known"));
    let known: Vec<_> = known.collect();
    let [from_operator::Message::Hello(hello), from_operator::Message::Trust(_), from_operator::Message::Snapshot(_)] =
        &known[..]
    else {
        panic!("{known:?}")
    };
    assert!(hello.oldest_protocol <= 1, "protocol 1 is spoken: {hello:?}");
    assert_eq!(heard[2], recorded("<")[1], "a snapshot is to the byte what it was then");
    for message in ours {
        peer.say(&message).await;
    }
    plane.acknowledged("old", &document).await;
    let view = plane.fleet.view();
    let sidecar = &view["uid-old"];
    assert_eq!((&*sidecar.version, sidecar.report.as_ref().map(|r| r.generation)), ("0.1.0", Some(7)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_of_tomorrow_adds_is_skipped() {
    let certificates = renew(&Certificates::default(), &["localhost".to_owned()], unix()).expect("made").expect("due");
    let serving = Arc::new(Serving::default());
    serving.put(certificates.leaf.as_ref().expect("a leaf")).expect("a pair");
    let acceptor = TlsAcceptor::from(server_config(serving, &["h2"]).expect("a configuration"));
    let listener = TcpListener::bind(loopback()).await.expect("a port");
    let url = format!("https://localhost:{}", listener.local_addr().expect("an address").port());

    let dir = TempDir::new();
    let path = |name: &str| dir.join(name).display().to_string();
    dir.write("token", "a-token");
    dir.write("ca.pem", certificates.bundle());
    let args = ["--control", &url, "--control-ca", &path("ca.pem"), "--control-token", &path("token")];
    let sidecar = Builder::on_free_ports(&args).start().await;

    let (tcp, _) = listener.accept().await.expect("a connection");
    let tls = acceptor.accept(tcp).await.expect("TLS");
    let (heard, mut hears) = mpsc::channel(64);
    let answer = service_fn(move |request: Request<Incoming>| {
        let heard = heard.clone();
        async move {
            tokio::spawn(async move {
                let (mut body, mut buffer) = (request.into_body(), BytesMut::new());
                while let Some(Ok(frame)) = body.frame().await {
                    buffer.extend_from_slice(&frame.into_data().unwrap_or_default());
                    while let Some(message) = unframed(&mut buffer) {
                        let _ = heard.send(FromSidecar::decode(message).expect("decodes").message).await;
                    }
                }
            });
            let body = StreamBody::new(stream::iter(tomorrow()).chain(stream::pending()).map(Ok::<_, Infallible>));
            let answer = Response::builder().header("content-type", "application/grpc").body(body);
            Ok::<_, Infallible>(answer.expect("an answer"))
        }
    });
    let ended = CancellationToken::new();
    let connection =
        server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(tls), answer);
    tokio::spawn(ended.clone().run_until_cancelled_owned(connection));

    let hash = "fddcb353f63b9a559dd53f88eed474ed248cdcd3593f71ab0a505c2ee314ac25";
    loop {
        match hears.recv().await.expect("the stream goes on") {
            Some(from_sidecar::Message::Ack(ack)) => break assert_eq!((ack.generation, &*ack.hash), (7, hash)),
            Some(from_sidecar::Message::Nack(nack)) => panic!("{nack:?}"),
            _ => {}
        }
    }
    eventually("ready", async || (sidecar.admin.get("/readyz").send().await.status == 200).then_some(())).await;
    ended.cancel();
}

/// A hello of protocol 3 with a field of its own, a message nobody knows, and then a snapshot with a field too many.
fn tomorrow() -> Vec<Frame<Bytes>> {
    let hello = Hello { protocol: 3, oldest_protocol: 1, version: "9.0.0".to_owned() };
    let hello = [hello.encode_to_vec(), vec![0x7a, 0x01, b'x']].concat();
    let mut first = vec![0x0a, hello.len() as u8];
    first.extend(hello);
    let lease = vec![0x7a, 0x02, 0x08, 0x07];
    let Ok(FromOperator { message: Some(from_operator::Message::Snapshot(snapshot)) }) =
        FromOperator::decode(&*recorded("<")[1])
    else {
        panic!("the record holds a snapshot")
    };
    let snapshot = [snapshot.encode_to_vec(), vec![0x78, 0x05]].concat();
    let mut last = vec![0x12, snapshot.len() as u8 | 0x80, (snapshot.len() >> 7) as u8];
    last.extend(snapshot);
    [first, lease, last].iter().map(|message| framed(message)).collect()
}
