//! Strangers open thousands of connections and say nothing: the operator stays, and whoever belongs there gets in.

use std::{fs, io::ErrorKind, net::SocketAddr, slice, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use harness::{Operator, eventually};
use rustls::{ClientConfig, RootCertStore, pki_types::pem::PemObject};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::stage::{Stage, model};

/// As an operator has it for control connections on which no sidecar is known.
const STRANGERS: usize = 1024;
/// The same for the webhooks.
const WEBHOOKS: usize = 1024;
const MANY: usize = 5000;

/// So many connections of one peer, which is not where sidecars are.
async fn open(to: SocketAddr, peer: u8, many: usize) -> Vec<TcpStream> {
    let one = |_| async move {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 0, peer], 0)))?;
        socket.connect(to).await
    };
    let all: Vec<_> = stream::iter(0..many).map(one).buffer_unordered(64).collect().await;
    all.into_iter().map(|tcp| tcp.expect("a connection")).collect()
}

/// How many of them are still open.
fn are_open(all: &[TcpStream]) -> usize {
    let is_open = |tcp: &&TcpStream| match tcp.try_read(&mut [0; 4096]) {
        Ok(read) => read > 0,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    };
    all.iter().filter(is_open).count()
}

/// A handshake, and nothing said after it.
async fn secure(tcp: TcpStream, ca: &str, protocol: &str) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(PemObject::from_pem_slice(ca.as_bytes()).expect("PEM")).expect("a CA");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.into()];
    let name = "localhost".try_into().expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("TLS")
}

fn files(operator: &Operator) -> usize {
    fs::read_dir(format!("/proc/{}/fd", operator.pid())).expect("a process").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_silent_connections_lock_nobody_out() {
    operator::files::raise();
    let stage = Stage::new().await;
    let operator = stage.operator("op-1").await;
    let (first, second) = (stage.pod("a", "shop"), stage.pod("b", "shop"));
    stage.apply(&stage.policy("shop", "shop", "gpt-6-sol"));
    let connected = stage.sidecar(&first, &operator).await;
    stage.condition("shop", "Programmed", "False Pending", "1 of 2 sidecars").await;
    let before = operator.memory_kib("VmRSS:");

    let control = open(operator.control, 2, MANY).await;
    let (webhook, admin) = (open(operator.webhook, 2, 1500).await, open(operator.admin.addr(), 2, 500).await);
    eventually("the newest of them are kept", async || (are_open(&control) <= STRANGERS).then_some(())).await;
    eventually("at the other ports too", async || {
        (are_open(&webhook) <= WEBHOOKS && are_open(&admin) <= 64).then_some(())
    })
    .await;
    let files = files(&operator);
    assert!(files < STRANGERS + WEBHOOKS + 64 + 128, "{files} files are open");

    // Whoever belongs here.
    assert_eq!(operator.admin.get("/livez").send().await.status, 200);
    let late = stage.sidecar(&second, &operator).await;
    stage.condition("shop", "Programmed", "True Programmed", "2 of 2 sidecars acknowledged generation 1").await;
    let ca = stage.ca().await;
    let silent = secure(open(operator.control, 3, 1).await.remove(0), &ca, "h2").await;
    let api_server = TcpStream::connect(operator.webhook).await.expect("a connection");
    assert_eq!(answer(api_server, &ca).await, 404, "the webhooks answer");
    stage.apply(&stage.policy("shop", "shop", "gpt-6-luna"));
    stage.condition("shop", "Programmed", "True Programmed", "2 of 2 sidecars acknowledged generation 2").await;
    for sidecar in [&connected, &late] {
        assert_eq!(model(&sidecar.app).await, "gpt-6-luna");
    }
    let grown = operator.memory_kib("VmRSS:").saturating_sub(before);
    assert!(grown < 128 << 10, "{grown} KiB for connections that say nothing");

    // None of them stays, whatever it has done.
    let all_end = async {
        while are_open(&control) + are_open(slice::from_ref(silent.get_ref().0)) > 0 {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(60), all_end).await.expect("they are closed");
    stage.condition("shop", "Programmed", "True Programmed", "2 of 2 sidecars acknowledged generation 2").await;
    assert_eq!(operator.admin.get("/livez").send().await.status, 200);
}

/// What a port with HTTP/1.1 over TLS says to a path that it does not have.
async fn answer(tcp: TcpStream, ca: &str) -> u16 {
    let tls = secure(tcp, ca, "http/1.1").await;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(tls)).await.expect("HTTP");
    tokio::spawn(connection);
    let request = hyper::Request::get("/").header("host", "localhost").body(String::new()).expect("a request");
    sender.send_request(request).await.expect("an answer").status().as_u16()
}
