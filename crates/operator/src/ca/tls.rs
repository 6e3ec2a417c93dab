//! What the operator's ports serve with, swapped while they do.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::Pair;

/// The certificate in use; none until the first is put.
#[derive(Debug, Default)]
pub struct Serving(ArcSwapOption<CertifiedKey>);

impl Serving {
    /// New connections get this certificate from now on; those that are up stay.
    ///
    /// # Errors
    /// It is no pair; what was in use stays.
    pub fn put(&self, leaf: &Pair) -> Result<(), rustls::Error> {
        self.0.store(Some(Arc::new(certified(leaf)?)));
        Ok(())
    }
}

/// A chain and its key, ready to serve with.
///
/// # Errors
/// Either does not read, or the key is another certificate's.
pub(super) fn certified(leaf: &Pair) -> Result<CertifiedKey, rustls::Error> {
    let unreadable = |e: rustls::pki_types::pem::Error| rustls::Error::General(e.to_string());
    let chain = CertificateDer::pem_slice_iter(leaf.cert.as_bytes()).collect::<Result<_, _>>().map_err(unreadable)?;
    let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).map_err(unreadable)?;
    CertifiedKey::from_der(chain, key, &provider())
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

/// A server's configuration that speaks these protocols, such as `h2`.
///
/// # Errors
/// None of the library's protocol versions can be had.
pub fn server_config(serving: Arc<Serving>, protocols: &[&str]) -> Result<Arc<ServerConfig>, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::new(provider())).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(serving);
    config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}

pub(super) fn provider() -> CryptoProvider {
    ring::default_provider()
}
