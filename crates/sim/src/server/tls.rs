//! TLS for the listener.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::Tls;

/// Reads the certificate and offers HTTP/2 if wanted.
pub(super) fn acceptor(tls: &Tls, http2: bool) -> io::Result<TlsAcceptor> {
    let bad = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
    let cert = tls.cert.display();
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&tls.cert)
        .and_then(Iterator::collect)
        .map_err(|e| bad(format!("certificate {cert}: {e}")))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|e| bad(format!("key {}: {e}", tls.key.display())))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|e| bad(format!("certificate {cert}: {e}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if http2 {
        config.alpn_protocols.insert(0, b"h2".to_vec());
    }
    Ok(TlsAcceptor::from(Arc::new(config)))
}
