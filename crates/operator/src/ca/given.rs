//! Certificates that somebody else makes, cert-manager for example: taken as they are, and trusted as they say.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

use super::{
    keep::{BUNDLE, InUse, LEAF, Pair, span},
    tls::{certified, provider},
};

/// CAs that are trusted beside those of the Secret: who was told of them may not have heard of a change yet.
const BEFORE: usize = 2;
/// Longest `ca.crt`: it stands in a variable of each sidecar.
const MAX_CA: usize = 16 << 10;
const END: &str = "-----END CERTIFICATE-----";

/// Why they cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Missing, not readable, or of two different certificates.
    #[error("tls.crt and tls.key are not a certificate and its key")]
    Pair,
    /// Missing, not readable, or very long.
    #[error(
        "ca.crt is no certificate, or above 16 KiB; the issuer must be a CA that cert-manager knows, since sidecars are told to trust it"
    )]
    Ca,
    /// Sidecars or the API server would not take it.
    #[error("who trusts ca.crt would not take the certificate for {name}: {why}")]
    Untrusted {
        /// One of the names by which it is called.
        name: String,
        /// As a client says it.
        why: String,
    },
}

/// What is in the data of a Secret; `before` is what is in use.
///
/// # Errors
/// They cannot be used; what is in use stays.
pub fn given(
    data: &BTreeMap<String, Vec<u8>>,
    names: &[String],
    before: Option<&InUse>,
    now: u64,
) -> Result<InUse, Unfit> {
    let text = |name: &str| data.get(name).and_then(|bytes| String::from_utf8(bytes.clone()).ok()).unwrap_or_default();
    let leaf = Pair { cert: text(LEAF.0), key: text(LEAF.1) };
    let until = span(&leaf.cert).filter(|_| certified(&leaf).is_ok()).ok_or(Unfit::Pair)?.until;
    let ca = text(BUNDLE);
    let mut trusted: Vec<&str> = blocks(&ca).filter(|pem| span(pem).is_some()).collect();
    if trusted.is_empty() || ca.len() > MAX_CA {
        return Err(Unfit::Ca);
    }
    for name in names {
        is_taken(&leaf.cert, &trusted, name, now)
            .map_err(|why| Unfit::Untrusted { name: name.clone(), why: why.to_string() })?;
    }
    let old = before.iter().flat_map(|before| blocks(&before.trust)).filter(|pem| !trusted.contains(pem));
    let old: Vec<&str> = old.take(BEFORE).collect();
    trusted.extend(old);
    Ok(InUse { trust: trusted.iter().flat_map(|pem| [pem, "\n"]).collect(), leaf, until })
}

/// Whether a client that trusts these CAs takes a chain as `name` at `now`.
fn is_taken(chain: &str, trusted: &[&str], name: &str, now: u64) -> Result<(), rustls::Error> {
    let other = |why: String| rustls::Error::General(why);
    let mut roots = RootCertStore::empty();
    for pem in trusted {
        let ca = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|e| other(e.to_string()))?;
        roots.add(ca)?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(provider())).build();
    let verifier = verifier.map_err(|e| other(e.to_string()))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let chain = chain.map_err(|e| other(e.to_string()))?;
    let (leaf, between) = chain.split_first().ok_or_else(|| other("no certificate".to_owned()))?;
    let name = ServerName::try_from(name).map_err(|e| other(e.to_string()))?;
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
    verifier.verify_server_cert(leaf, between, &name, &[], now).map(|_| ())
}

/// The certificates of a PEM text.
fn blocks(pem: &str) -> impl Iterator<Item = &str> {
    pem.split_inclusive(END).map(str::trim).filter(|block| block.ends_with(END))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::{Certificates, renew};

    const NOW: u64 = 1_795_000_000;

    fn names() -> Vec<String> {
        vec!["llmroute-webhook.llmroute-system.svc".to_owned()]
    }

    /// As cert-manager has them in a Secret.
    fn made() -> BTreeMap<String, Vec<u8>> {
        let mut data = renew(&Certificates::default(), &names(), NOW).unwrap().unwrap().to_data();
        data.retain(|name, _| ["tls.crt", "tls.key", "ca.crt"].contains(&&**name));
        data
    }

    #[test]
    fn they_are_taken_as_they_are_and_the_cas_before_stay_trusted() {
        let (first, second, third) = (made(), made(), made());
        let ca = |data: &BTreeMap<String, Vec<u8>>| String::from_utf8(data["ca.crt"].clone()).unwrap();
        let one = given(&first, &names(), None, NOW).unwrap();
        assert_eq!((&one.trust, one.leaf.cert.as_bytes()), (&ca(&first), &*first["tls.crt"]));
        assert_eq!(given(&first, &names(), Some(&one), NOW).unwrap(), one, "nothing differs");
        let two = given(&second, &names(), Some(&one), NOW).unwrap();
        assert_eq!(two.trust, ca(&second) + &ca(&first));
        let three = given(&third, &names(), Some(&two), NOW).unwrap();
        assert_eq!(three.trust, ca(&third) + &ca(&second) + &ca(&first));
        let four = given(&first, &names(), Some(&three), NOW).unwrap();
        assert_eq!(four.trust, ca(&first) + &ca(&third) + &ca(&second), "not for ever, and none twice");
        assert!(four.until > NOW);
    }

    #[test]
    fn what_is_not_fit_is_told() {
        let (good, other) = (made(), made());
        let with = |name: &str, value: &[u8]| {
            let mut data = good.clone();
            data.insert(name.to_owned(), value.to_vec());
            data
        };
        let rows = [
            (BTreeMap::new(), NOW, "tls.crt and tls.key are not"),
            (with("tls.key", &other["tls.key"]), NOW, "tls.crt and tls.key are not"),
            (with("tls.crt", b"-----BEGIN"), NOW, "tls.crt and tls.key are not"),
            (with("ca.crt", b""), NOW, "ca.crt is no certificate"),
            (with("ca.crt", b"-----END CERTIFICATE-----"), NOW, "ca.crt is no certificate"),
            (with("ca.crt", &good["ca.crt"].repeat(100)), NOW, "ca.crt is no certificate, or above 16 KiB"),
            (with("ca.crt", &other["ca.crt"]), NOW, "llmroute-webhook.llmroute-system.svc: invalid peer certificate"),
            (good.clone(), NOW + 3650 * 86_400, "llmroute-webhook.llmroute-system.svc: invalid peer certificate"),
        ];
        for (data, now, want) in rows {
            let told = given(&data, &names(), None, now).unwrap_err().to_string();
            assert!(told.contains(want), "{told}");
        }
        let told = given(&good, &["elsewhere.svc".to_owned()], None, NOW).unwrap_err().to_string();
        assert!(told.starts_with("who trusts ca.crt would not take the certificate for elsewhere.svc"), "{told}");
    }
}
