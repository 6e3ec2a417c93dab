//! The same provider behind TLS 1.3, with an ECDSA P-256 certificate of a CA that is made for the run.

use std::{fs, path::Path, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::{ServerConfig, pki_types::PrivateKeyDer, version::TLS13};
use tokio_rustls::TlsAcceptor;

/// Makes CA and certificate, writes the CA's certificate to `ca` for those who are to trust it.
pub(crate) fn acceptor(ca: &Path) -> anyhow::Result<TlsAcceptor> {
    let key = || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256);
    let mut authority = CertificateParams::default();
    // OpenSSL takes a certificate with the name of its issuer for one that signed itself.
    authority.distinguished_name.push(DnType::CommonName, "bench CA");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, key()?)?;
    let own = key()?;
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let cert = CertificateParams::new(names)?.signed_by(&own, &authority)?;
    fs::write(ca, authority.pem())?;
    let secret = PrivateKeyDer::try_from(own.serialize_der()).map_err(anyhow::Error::msg)?;
    let mut config = ServerConfig::builder_with_protocol_versions(&[&TLS13])
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], secret)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
