//! The two ends as tests play them: a call of the operator, and a port that a sidecar calls.

use std::{convert::Infallible, sync::Arc};

use bytes::{Bytes, BytesMut};
use control::v1::{FromOperator, from_operator, go_away::Reason};
use futures_util::{Stream, StreamExt};
use harness::{Plane, Program, plane::unix, program::Builder, temp::TempDir, world::loopback};
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
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};

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

/// A port that stands for an operator, with the sidecar program that calls it.
pub struct Front {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    dir: TempDir,
}

impl Front {
    pub async fn new(token: &str) -> Front {
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

    pub async fn sidecar(&self) -> Program {
        let path = |name: &str| self.dir.join(name).display().to_string();
        let url = format!("https://localhost:{}", self.listener.local_addr().expect("an address").port());
        let args = ["--control", &url, "--control-ca", &path("ca.pem"), "--control-token", &path("token")];
        Builder::on_free_ports(&args).start().await
    }

    /// Takes one call of the sidecar, and answers it with these messages.
    pub async fn answer(&self, says: impl Stream<Item = Vec<u8>> + Send + 'static) -> Call {
        let (tcp, _) = self.listener.accept().await.expect("a connection");
        let tls = self.acceptor.accept(tcp).await.expect("TLS");
        let says = Mutex::new(Some(says.map(|message| Ok::<_, Infallible>(framed(&message)))));
        let (heard, hears) = mpsc::channel(64);
        let answer = service_fn(move |request: Request<Incoming>| {
            let (heard, says) = (heard.clone(), says.lock().take().expect("one call"));
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
                let answer = Response::builder().header("content-type", "application/grpc").body(StreamBody::new(says));
                Ok::<_, Infallible>(answer.expect("an answer"))
            }
        });
        let ended = CancellationToken::new();
        let connection =
            server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(tls), answer);
        tokio::spawn(ended.clone().run_until_cancelled_owned(connection));
        Call { hears, _held: ended.drop_guard() }
    }
}

/// A call of a sidecar; its connection breaks on drop.
pub struct Call {
    hears: mpsc::Receiver<Bytes>,
    _held: DropGuard,
}

impl Call {
    /// What the sidecar says next.
    pub async fn hear(&mut self) -> Bytes {
        self.hears.recv().await.expect("the sidecar stays")
    }
}

/// A call of the operator, message by message.
pub struct Peer {
    say: mpsc::Sender<Frame<Bytes>>,
    answer: Incoming,
    buffer: BytesMut,
}

impl Peer {
    pub async fn call(plane: &Plane, token: &str) -> Peer {
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

    pub async fn say(&self, message: &[u8]) {
        self.say.send(framed(message)).await.expect("said");
    }

    /// The next message; none when the stream has ended.
    pub async fn hear(&mut self) -> Option<Bytes> {
        loop {
            if let Some(message) = unframed(&mut self.buffer) {
                return Some(message);
            }
            let frame = self.answer.frame().await?.expect("whole");
            self.buffer.extend_from_slice(&frame.into_data().ok()?);
        }
    }

    /// The next message, which must be a go-away with which the stream ends.
    pub async fn sent_away(&mut self) -> (Reason, String) {
        let last = self.hear().await.expect("last words");
        assert_eq!(self.hear().await, None, "nothing follows");
        match FromOperator::decode(last).expect("decodes").message {
            Some(from_operator::Message::GoAway(away)) => (away.reason(), away.message),
            other => panic!("{other:?}"),
        }
    }
}
