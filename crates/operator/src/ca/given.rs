//! Certificates that somebody else makes, cert-manager for example: taken as they are, and trusted as they say.

use std::collections::BTreeMap;

use super::{
    keep::{BUNDLE, InUse, LEAF, Pair, lacks, span},
    tls::certified,
};

/// CAs that are trusted beside those of the Secret: who was told of them may not have heard of a change yet.
const BEFORE: usize = 2;
const END: &str = "-----END CERTIFICATE-----";

/// Why they cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Missing, not readable, or of two different certificates.
    #[error("tls.crt and tls.key are not a certificate and its key")]
    Pair,
    /// Missing or not readable.
    #[error(
        "ca.crt is no certificate; the issuer must be a CA that cert-manager knows, since sidecars are told to trust it"
    )]
    Ca,
    /// Sidecars or the API server would not take it.
    #[error("the certificate has not the name {0}; add it to dnsNames")]
    Name(String),
}

/// What is in the data of a Secret; `before` is what is in use.
///
/// # Errors
/// They cannot be used; what is in use stays.
pub fn given(data: &BTreeMap<String, Vec<u8>>, names: &[String], before: Option<&InUse>) -> Result<InUse, Unfit> {
    let text = |name: &str| data.get(name).and_then(|bytes| String::from_utf8(bytes.clone()).ok()).unwrap_or_default();
    let leaf = Pair { cert: text(LEAF.0), key: text(LEAF.1) };
    let until = span(&leaf.cert).filter(|_| certified(&leaf).is_ok()).ok_or(Unfit::Pair)?.until;
    if let Some(name) = lacks(&leaf.cert, names) {
        return Err(Unfit::Name(name));
    }
    let ca = text(BUNDLE);
    let mut trusted: Vec<&str> = blocks(&ca).filter(|pem| span(pem).is_some()).collect();
    if trusted.is_empty() {
        return Err(Unfit::Ca);
    }
    let old = before.iter().flat_map(|before| blocks(&before.trust)).filter(|pem| !trusted.contains(pem));
    let old: Vec<&str> = old.take(BEFORE).collect();
    trusted.extend(old);
    Ok(InUse { trust: trusted.iter().flat_map(|pem| [pem, "\n"]).collect(), leaf, until })
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
        let one = given(&first, &names(), None).unwrap();
        assert_eq!((&one.trust, one.leaf.cert.as_bytes()), (&ca(&first), &*first["tls.crt"]));
        assert_eq!(given(&first, &names(), Some(&one)).unwrap(), one, "nothing differs");
        let two = given(&second, &names(), Some(&one)).unwrap();
        assert_eq!(two.trust, ca(&second) + &ca(&first));
        let three = given(&third, &names(), Some(&two)).unwrap();
        assert_eq!(three.trust, ca(&third) + &ca(&second) + &ca(&first));
        let four = given(&first, &names(), Some(&three)).unwrap();
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
        let wrong = ["elsewhere.svc".to_owned()];
        let rows = [
            (BTreeMap::new(), names(), Unfit::Pair),
            (with("tls.key", &other["tls.key"]), names(), Unfit::Pair),
            (with("tls.crt", b"-----BEGIN"), names(), Unfit::Pair),
            (with("ca.crt", b""), names(), Unfit::Ca),
            (with("ca.crt", b"-----END CERTIFICATE-----"), names(), Unfit::Ca),
            (good.clone(), wrong.to_vec(), Unfit::Name("elsewhere.svc".into())),
        ];
        for (data, names, want) in rows {
            assert_eq!(given(&data, &names, None), Err(want));
        }
    }
}
