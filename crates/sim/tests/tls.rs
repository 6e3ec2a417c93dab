//! The simulator behind TLS.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use sim::{Config, Sim, Tls};

#[test]
fn answers_over_tls_and_offers_http2() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let dir = std::env::temp_dir().join(format!("llmroute-sim-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let sim = Sim::start(Config { tls: Some(Tls { cert, key }), ..Config::default() }).unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(sim.url().starts_with("https://"));

    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    for (offered, chosen) in [("h2", "h2"), ("http/1.1", "http/1.1")] {
        let mut config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![offered.as_bytes().to_vec()];
        let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
        let mut stream = StreamOwned::new(connection, TcpStream::connect(sim.addr()).unwrap());
        if offered == "h2" {
            // The preface and empty settings: the server answers with its own settings frame.
            stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
            let mut frame = [0; 9];
            stream.read_exact(&mut frame).unwrap();
            assert_eq!(frame[3], 4, "a settings frame");
        } else {
            let head = "GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\nconnection: close\r\n\r\n";
            stream.write_all(head.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("gpt-6-sol"), "{answer}");
        }
        assert_eq!(stream.conn.alpn_protocol(), Some(chosen.as_bytes()));
    }
}

#[test]
fn a_bad_certificate_is_an_error() {
    let tls = Tls { cert: "/nowhere/cert.pem".into(), key: "/nowhere/key.pem".into() };
    let error = Sim::start(Config { tls: Some(tls), ..Config::default() }).err().unwrap();
    assert!(error.to_string().contains("/nowhere/cert.pem"), "{error}");
}
