//! Makes what `plan` says.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::OffsetDateTime;

use super::{
    keep::{Certificates, Pair, span},
    plan::{LEAF_LIFE, Lives, Step, due},
};

/// Certificates are valid from so long before they are made, for clocks that are behind: an hour, while the overlap is a week.
fn back(lives: Lives) -> u64 {
    lives.overlap.as_secs() / 168
}

/// More steps than ever are due at once.
const MOST: usize = 8;

/// A certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// By the library that makes them.
    #[error("a certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
    /// Beyond the calendar.
    #[error("{0} s since 1970 is no date")]
    Date(u64),
}

/// Does all that is due at `now`, seconds since 1970, for a server with these names. `None` where nothing is.
///
/// # Errors
/// A certificate cannot be made.
pub fn renew(held: &Certificates, names: &[String], now: u64) -> Result<Option<Certificates>, Failed> {
    renew_within(held, names, Lives::default(), now)
}

/// The same with other lives.
///
/// # Errors
/// A certificate cannot be made.
pub fn renew_within(
    held: &Certificates,
    names: &[String],
    lives: Lives,
    now: u64,
) -> Result<Option<Certificates>, Failed> {
    let mut fresh = held.clone();
    for _ in 0..MOST {
        let Some(step) = due(&fresh.dates(names), lives.overlap, now) else { break };
        tracing::info!(?step, "the operator's certificates");
        apply(&mut fresh, step, names, lives, now)?;
    }
    Ok((fresh != *held).then_some(fresh))
}

fn apply(held: &mut Certificates, step: Step, names: &[String], lives: Lives, now: u64) -> Result<(), Failed> {
    match step {
        Step::MakeIssuer => *held = Certificates { issuer: Some(authority(lives, now)?), ..Certificates::default() },
        Step::MakeNext => held.next = Some(authority(lives, now)?),
        Step::Promote => {
            held.old = held.issuer.take().map(|pair| pair.cert);
            held.issuer = held.next.take();
        }
        Step::DropOld => held.old = None,
        Step::MakeLeaf => {
            if let Some(issuer) = &held.issuer {
                held.leaf = Some(leaf(issuer, names, lives, now)?);
            }
        }
    }
    Ok(())
}

fn authority(lives: Lives, now: u64) -> Result<Pair, Failed> {
    let mut params = CertificateParams::default();
    // Its own name each time, so that a chain leads to one CA only.
    params.distinguished_name = named(&format!("llmroute CA {now}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (date(now.saturating_sub(back(lives)))?, date(now + lives.ca.as_secs())?);
    let key = KeyPair::generate()?;
    Ok(Pair { cert: params.self_signed(&key)?.pem(), key: key.serialize_pem() })
}

fn leaf(issuer: &Pair, names: &[String], lives: Lives, now: u64) -> Result<Pair, Failed> {
    let last = span(&issuer.cert).map_or(now, |span| span.until);
    let signer = Issuer::from_ca_cert_pem(&issuer.cert, KeyPair::from_pem(&issuer.key)?)?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = named("llmroute operator");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = date(now.saturating_sub(back(lives)))?;
    params.not_after = date(last.min(now + LEAF_LIFE.as_secs()))?;
    let key = KeyPair::generate()?;
    Ok(Pair { cert: params.signed_by(&key, &signer)?.pem(), key: key.serialize_pem() })
}

fn named(name: &str) -> DistinguishedName {
    let mut all = DistinguishedName::new();
    all.push(DnType::CommonName, name);
    all
}

fn date(unix: u64) -> Result<OffsetDateTime, Failed> {
    let at = i64::try_from(unix).ok().and_then(|unix| OffsetDateTime::from_unix_timestamp(unix).ok());
    at.ok_or(Failed::Date(unix))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rustls::{
        RootCertStore,
        client::{WebPkiServerVerifier, danger::ServerCertVerifier},
        pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    };

    use super::*;
    use crate::ca::OVERLAP;

    const NOW: u64 = 1_795_000_000;
    const DAY: u64 = 86_400;

    fn names() -> Vec<String> {
        ["llmroute-control.llmroute-system.svc", "10.0.0.7"].map(str::to_owned).to_vec()
    }

    fn renewed(held: &Certificates, now: u64) -> Certificates {
        renew(held, &names(), now).unwrap().unwrap_or_else(|| held.clone())
    }

    /// Whether who trusts `bundle` takes the leaf at `now`.
    fn is_trusted(bundle: &str, held: &Certificates, name: &str, now: u64) -> bool {
        let mut roots = RootCertStore::empty();
        for cert in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
            roots.add(cert.unwrap()).unwrap();
        }
        let provider = rustls::crypto::ring::default_provider().into();
        let verifier =
            WebPkiServerVerifier::builder_with_provider(std::sync::Arc::new(roots), provider).build().unwrap();
        let leaf = CertificateDer::from_pem_slice(held.leaf.as_ref().unwrap().cert.as_bytes()).unwrap();
        let (name, now) =
            (ServerName::try_from(name).unwrap(), UnixTime::since_unix_epoch(std::time::Duration::from_secs(now)));
        verifier.verify_server_cert(&leaf, &[], &name, &[], now).is_ok()
    }

    #[test]
    fn a_first_start_makes_a_ca_and_a_leaf_that_it_vouches_for() {
        let held = renewed(&Certificates::default(), NOW);
        for (name, want) in [("llmroute-control.llmroute-system.svc", true), ("10.0.0.7", true), ("other.svc", false)] {
            assert_eq!(is_trusted(&held.bundle(), &held, name, NOW), want, "{name}");
        }
        assert_eq!(renew(&held, &names(), NOW).unwrap(), None, "then nothing is due");
        let more = [names(), vec!["more.svc".to_owned()]].concat();
        let wider = renew(&held, &more, NOW).unwrap().unwrap();
        assert!(is_trusted(&held.bundle(), &wider, "more.svc", NOW), "another name needs another leaf alone");
        let other = renewed(&Certificates::default(), NOW);
        assert!(!is_trusted(&other.bundle(), &held, "10.0.0.7", NOW), "another operator's CA vouches for nothing");
    }

    #[test]
    fn through_years_whoever_heard_of_a_change_within_its_overlap_trusts_what_is_served() {
        let mut held = renewed(&Certificates::default(), NOW);
        let (mut heard, mut issuers) = (vec![(NOW, held.bundle())], vec![held.issuer.clone()]);
        for day in (1..1500).step_by(2) {
            let now = NOW + day * DAY;
            held = renewed(&held, now);
            heard.push((now, held.bundle()));
            heard.retain(|(at, _)| now - at < OVERLAP.as_secs());
            assert!(heard.iter().all(|(_, bundle)| is_trusted(bundle, &held, "10.0.0.7", now)), "day {day}");
            assert!(CertificateDer::pem_slice_iter(held.bundle().as_bytes()).count() <= 2, "day {day}");
            if issuers.last() != Some(&held.issuer) {
                issuers.push(held.issuer.clone());
            }
        }
        assert_eq!(issuers.len(), 7, "one begins each 244 days");
    }

    #[test]
    fn a_secret_gives_back_what_was_put_in_and_garbage_is_nothing() {
        let first = renewed(&Certificates::default(), NOW);
        let held =
            Certificates { next: first.issuer.clone(), old: first.issuer.as_ref().map(|p| p.cert.clone()), ..first };
        assert_eq!(Certificates::from_data(&held.to_data()), held);
        let other = renewed(&Certificates::default(), NOW);
        let mut mixed = held.to_data();
        mixed.extend(other.to_data().into_iter().filter(|(name, _)| name.ends_with(".key")));
        let left = Certificates { issuer: None, leaf: None, ..held.clone() };
        assert_eq!(Certificates::from_data(&mixed), left, "keys of other certificates");
        let mut data: BTreeMap<String, Vec<u8>> = held.to_data();
        for (name, garbage) in
            [("issuer.crt", &b"-----BEGIN"[..]), ("next.key", b"\xff"), ("old.crt", b""), ("tls.key", b"key")]
        {
            data.insert(name.to_owned(), garbage.to_vec());
        }
        assert_eq!(Certificates::from_data(&data), Certificates::default());
        assert!(!format!("{held:?}").contains("PRIVATE"), "no key in a log");
    }
}
