//! Peers of other versions: a recorded one of protocol 1, and an operator of tomorrow that says what nobody knows yet.

use std::{
    convert::Infallible,
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use control::{
    Speaks,
    v1::{FromOperator, FromSidecar, Hello, from_operator, from_sidecar, go_away::Reason},
};
use futures_util::{StreamExt, stream};
use harness::{Cluster, Plane, Program, eventually, plane::unix, program::Builder, temp::TempDir, world::loopback};
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    client, server,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use operator::ca::{Certificates, Serving, renew, server_config};
use parking_lot::Mutex;
use prost::Message;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

/// This build.
const VERSION: &str = env!("CARGO_PKG_VERSION");

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
    let text = fs::read_to_string(golden(1)).expect("a record");
    let bytes =
        |hex: &str| (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hex")).collect();
    text.lines().filter_map(|line| line.strip_prefix(mark)).map(|hex| bytes(hex.trim())).collect()
}

/// Where the record of a protocol is.
fn golden(protocol: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("goldens/control-v{protocol}.txt"))
}

/// What the record is about.
fn recorded_spec() -> Value {
    json!({"providers": [{"name": "openai", "api": "OpenAI"}],
        "scenes": [{"name": "chat", "targets": [{"provider": "openai"}]}]})
}

/// The recorded snapshot.
fn recorded_snapshot() -> Vec<u8> {
    let is = |message: &Vec<u8>| {
        let said = FromOperator::decode(&**message).expect("decodes").message;
        matches!(said, Some(from_operator::Message::Snapshot(_)))
    };
    recorded("<").into_iter().find(is).expect("the record holds a snapshot")
}

/// A port that stands for an operator, with the sidecar program that calls it.
struct Front {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    dir: TempDir,
}

impl Front {
    async fn new(token: &str) -> Front {
        let certificates =
            renew(&Certificates::default(), &["localhost".to_owned()], unix()).expect("made").expect("due");
        let serving = Arc::new(Serving::default());
        serving.put(certificates.leaf.as_ref().expect("a leaf")).expect("a pair");
        let acceptor = TlsAcceptor::from(server_config(serving, &["h2"]).expect("a configuration"));
        let dir = TempDir::new();
        dir.write("token", token);
        dir.write("ca.pem", certificates.bundle());
        Front { listener: TcpListener::bind(loopback()).await.expect("a port"), acceptor, dir }
    }

    async fn sidecar(&self) -> Program {
        let path = |name: &str| self.dir.join(name).display().to_string();
        let url = format!("https://localhost:{}", self.listener.local_addr().expect("an address").port());
        let args = ["--control", &url, "--control-ca", &path("ca.pem"), "--control-token", &path("token")];
        Builder::on_free_ports(&args).start().await
    }

    async fn accept(&self) -> TlsStream<TcpStream> {
        let (tcp, _) = self.listener.accept().await.expect("a connection");
        self.acceptor.accept(tcp).await.expect("TLS")
    }
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
    let document = cluster.spec("recorded", 7, &recorded_spec());
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
    assert_eq!(heard[2], recorded_snapshot(), "a snapshot is to the byte what it was then");
    for message in ours {
        peer.say(&message).await;
    }
    plane.acknowledged("old", &document).await;
    let sidecar = eventually("its last report", async || {
        let sidecar = plane.fleet.view()["uid-old"].clone();
        sidecar.report.as_ref().is_some_and(|r| r.generation == 7).then_some(sidecar)
    })
    .await;
    assert_eq!(&*sidecar.version, "0.1.0");
    assert!(sidecar.report.and_then(|r| r.credentials).is_some(), "it tells of its keys");
}

/// A record is written with `LLMROUTE_GENERATE=1` when a protocol is new, and never again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_in_this_protocol_is_on_record() {
    let cluster = Cluster::new();
    let token = cluster.pod("old", "recorded");
    let document = cluster.spec("recorded", 7, &recorded_spec());
    let plane = Plane::start(&cluster).await;
    // The program calls a relay, which calls the operator in its name.
    let front = Front::new(&token).await;
    let _sidecar = front.sidecar().await;
    let tls = front.accept().await;
    let mut peer = Peer::call(&plane, &token).await;
    let said = Arc::new(Mutex::new(String::new()));
    let record = |mark: &str, message: &[u8]| {
        let hex = message.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a string");
            hex
        });
        writeln!(said.lock(), "{mark} {hex}").expect("a string");
    };
    let (to_operator, (to_sidecar, for_sidecar)) = (peer.say.clone(), mpsc::channel(8));
    let (heard, mut hears) = mpsc::channel::<Bytes>(8);
    let for_sidecar = Mutex::new(Some(for_sidecar));
    let answer = service_fn(|request: Request<Incoming>| {
        let (heard, body) = (heard.clone(), ReceiverStream::new(for_sidecar.lock().take().expect("one call")));
        async move {
            tokio::spawn(async move {
                let (mut body, mut buffer) = (request.into_body(), BytesMut::new());
                while let Some(Ok(frame)) = body.frame().await {
                    buffer.extend_from_slice(&frame.into_data().unwrap_or_default());
                    while let Some(message) = unframed(&mut buffer) {
                        let _ = heard.send(message).await;
                    }
                }
            });
            let body = StreamBody::new(body.map(Ok::<_, Infallible>));
            let answer = Response::builder().header("content-type", "application/grpc").body(body);
            Ok::<_, Infallible>(answer.expect("an answer"))
        }
    });
    let connection =
        server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(tls), answer);
    let relay = async {
        loop {
            tokio::select! {
                Some(message) = hears.recv() => {
                    record(">", &message);
                    to_operator.send(framed(&message)).await.expect("said");
                    let said = FromSidecar::decode(message).expect("decodes").message.expect("known");
                    if matches!(said, from_sidecar::Message::Report(report) if report.hash == document.hash) {
                        return;
                    }
                }
                Some(message) = peer.hear() => {
                    record("<", &message);
                    to_sidecar.send(framed(&message)).await.expect("said");
                }
            }
        }
    };
    tokio::select! {
        () = relay => {}
        ended = connection => panic!("the sidecar left: {ended:?}"),
    }
    plane.acknowledged("old", &document).await;

    let protocol = Speaks::HERE.newest;
    let file = golden(protocol);
    if env::var_os("LLMROUTE_GENERATE").is_some() && !file.exists() {
        let head = format!(
            "# What the sidecar {VERSION} (>) and the operator {VERSION} (<) said to each other in protocol {protocol}, until a policy was\n\
             # acknowledged and reported: the bodies of the gRPC messages, as they came. Never written anew.\n"
        );
        fs::write(&file, head + &said.lock()).expect("the record");
    }
    assert!(file.exists(), "protocol {protocol} has no record: LLMROUTE_GENERATE=1 writes it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_of_tomorrow_adds_is_skipped() {
    let front = Front::new("a-token").await;
    let sidecar = front.sidecar().await;
    let tls = front.accept().await;
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
        FromOperator::decode(&*recorded_snapshot())
    else {
        panic!("the record holds a snapshot")
    };
    let snapshot = [snapshot.encode_to_vec(), vec![0x78, 0x05]].concat();
    let mut last = vec![0x12, snapshot.len() as u8 | 0x80, (snapshot.len() >> 7) as u8];
    last.extend(snapshot);
    [first, lease, last].iter().map(|message| framed(message)).collect()
}
