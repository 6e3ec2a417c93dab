//! The certificates, and their form in a Secret.

use std::collections::BTreeMap;

use x509_parser::{
    certificate::X509Certificate,
    extensions::GeneralName,
    pem::{Pem, parse_x509_pem},
};

use super::{
    plan::{Dates, LeafDates, Span},
    tls::certified,
};

/// A certificate with its key, both PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub cert: String,
    /// The key.
    pub key: String,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").field("cert", &self.cert).finish_non_exhaustive()
    }
}

/// All that the operator has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificates {
    /// The CA that signs.
    pub issuer: Option<Pair>,
    /// The CA that will sign.
    pub next: Option<Pair>,
    /// The CA that signed before; its key is gone.
    pub old: Option<String>,
    /// What the operator serves with.
    pub leaf: Option<Pair>,
}

/// What ports serve with, and what is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InUse {
    /// The certificate.
    pub leaf: Pair,
    /// PEM of every CA that is to be trusted.
    pub trust: String,
    /// When the certificate ends, seconds since 1970.
    pub until: u64,
}

/// Members of the Secret; `tls.crt`, `tls.key` and `ca.crt` are where others look for them too.
pub(super) const LEAF: (&str, &str) = ("tls.crt", "tls.key");
const ISSUER: (&str, &str) = ("issuer.crt", "issuer.key");
const NEXT: (&str, &str) = ("next.crt", "next.key");
const OLD: &str = "old.crt";
pub(super) const BUNDLE: &str = "ca.crt";

impl Certificates {
    /// From a Secret's data; what is missing or not readable, or a key that is not its certificate's, is not there.
    #[must_use]
    pub fn from_data(data: &BTreeMap<String, Vec<u8>>) -> Certificates {
        let text = |name: &str| data.get(name).and_then(|bytes| String::from_utf8(bytes.clone()).ok());
        let cert = |name: &str| text(name).filter(|pem| span(pem).is_some());
        let pair = |(c, k): (&str, &str)| {
            let pair = Pair { cert: cert(c)?, key: text(k)? };
            certified(&pair).is_ok().then_some(pair)
        };
        Certificates { issuer: pair(ISSUER), next: pair(NEXT), old: cert(OLD), leaf: pair(LEAF) }
    }

    /// As a Secret's data.
    #[must_use]
    pub fn to_data(&self) -> BTreeMap<String, Vec<u8>> {
        let Certificates { issuer, next, old, leaf } = self;
        let mut data: BTreeMap<String, Vec<u8>> = [(BUNDLE.to_owned(), self.bundle().into_bytes())].into();
        for ((c, k), pair) in [(ISSUER, issuer), (NEXT, next), (LEAF, leaf)] {
            if let Some(Pair { cert, key }) = pair {
                data.insert(c.to_owned(), cert.clone().into_bytes());
                data.insert(k.to_owned(), key.clone().into_bytes());
            }
        }
        data.extend(old.iter().map(|cert| (OLD.to_owned(), cert.clone().into_bytes())));
        data
    }

    /// PEM of every CA that is to be trusted.
    #[must_use]
    pub fn bundle(&self) -> String {
        let ca = [&self.issuer, &self.next].into_iter().flatten().map(|pair| &pair.cert);
        ca.chain(&self.old).flat_map(|pem| [pem.trim_end(), "\n"]).collect()
    }

    /// What is to be used of them, if there is one to serve with.
    #[must_use]
    pub fn in_use(&self) -> Option<InUse> {
        let leaf = self.leaf.clone()?;
        Some(InUse { until: span(&leaf.cert)?.until, leaf, trust: self.bundle() })
    }

    /// What the certificates say; `names` are those that the leaf should have.
    #[must_use]
    pub fn dates(&self, names: &[String]) -> Dates {
        let of = |pair: &Option<Pair>| pair.as_ref().and_then(|pair| span(&pair.cert));
        let fits = match (&self.issuer, &self.leaf) {
            (Some(issuer), Some(leaf)) => is_signed(&leaf.cert, &issuer.cert) && has_names(&leaf.cert, names),
            _ => false,
        };
        Dates {
            issuer: of(&self.issuer),
            next: of(&self.next),
            old: self.old.as_ref().and_then(|pem| span(pem)),
            leaf: of(&self.leaf).map(|span| LeafDates { span, fits }),
        }
    }
}

/// Reads one certificate.
fn read<T>(pem: &str, look: impl FnOnce(&X509Certificate<'_>) -> Option<T>) -> Option<T> {
    let (_, pem): (_, Pem) = parse_x509_pem(pem.as_bytes()).ok()?;
    look(&pem.parse_x509().ok()?)
}

pub(super) fn span(pem: &str) -> Option<Span> {
    read(pem, |cert| {
        let at = |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp()).ok();
        Some(Span { from: at(cert.validity().not_before)?, until: at(cert.validity().not_after)? })
    })
}

fn is_signed(leaf: &str, issuer: &str) -> bool {
    let by = |issuer: &X509Certificate<'_>| {
        read(leaf, |leaf| Some(leaf.verify_signature(Some(issuer.public_key())).is_ok()))
    };
    read(issuer, by).unwrap_or(false)
}

fn has_names(leaf: &str, names: &[String]) -> bool {
    let has = |cert: &X509Certificate<'_>| {
        let all = &cert.subject_alternative_name().ok()??.value.general_names;
        let is = |name: &String| {
            all.iter().any(|g| match g {
                GeneralName::DNSName(dns) => dns == name,
                GeneralName::IPAddress(ip) => octets(name).is_some_and(|n| n == *ip),
                _ => false,
            })
        };
        Some(names.iter().all(is))
    };
    read(leaf, has).unwrap_or(false)
}

fn octets(name: &str) -> Option<Vec<u8>> {
    Some(match name.parse().ok()? {
        std::net::IpAddr::V4(ip) => ip.octets().to_vec(),
        std::net::IpAddr::V6(ip) => ip.octets().to_vec(),
    })
}
