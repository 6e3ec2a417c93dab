//! TLS towards providers: built-in roots and those of `SSL_CERT_FILE`.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// Mozilla's roots, and those in the file that `SSL_CERT_FILE` names.
pub(super) fn roots() -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(file) = std::env::var_os("SSL_CERT_FILE").filter(|f| !f.is_empty()) {
        extra_roots(&mut roots, Path::new(&file))?;
    }
    Ok(roots)
}

/// Adds every certificate of a PEM file.
///
/// # Errors
/// The file cannot be read or holds no valid certificate.
pub fn extra_roots(roots: &mut RootCertStore, file: &Path) -> anyhow::Result<()> {
    let name = || format!("SSL_CERT_FILE {}", file.display());
    let before = roots.len();
    for cert in CertificateDer::pem_file_iter(file).with_context(name)? {
        roots.add(cert.with_context(name)?).with_context(name)?;
    }
    anyhow::ensure!(roots.len() > before, "{} holds no certificate", name());
    Ok(())
}

/// A client configuration that speaks one protocol.
pub(super) fn config(roots: RootCertStore, alpn: &[u8]) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    Arc::new(config)
}
