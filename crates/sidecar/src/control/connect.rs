//! One call of the operator: whom it trusts, how it proves who it is.

use std::{io::Cursor, path::Path, time::Duration};

use anyhow::{Context, bail, ensure};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use control::v1::{FromOperator, FromSidecar, control_client::ControlClient};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Streaming,
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, ClientTlsConfig, Endpoint},
};

use super::{
    kept::{Kept, MAX_CA, MAX_DOCUMENT, read},
    settings::{Address, Settings},
};

/// TCP and TLS.
const CONNECT: Duration = Duration::from_secs(5);
/// From the call to the answer's head.
const ANSWER: Duration = Duration::from_secs(10);
/// A connection on which nothing answers is dead after twice that.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const MAX_TOKEN: usize = 16 << 10;
/// A document and what is around it.
const MAX_MESSAGE: usize = MAX_DOCUMENT + (4 << 10);

/// Calls the operator at `address`; what comes out of `outgoing` is said to it.
pub(super) async fn call(
    settings: &Settings,
    kept: &Kept,
    address: &Address,
    outgoing: mpsc::Receiver<FromSidecar>,
) -> anyhow::Result<Streaming<FromOperator>> {
    let (ca, token) = (trusted(settings, kept)?, token(&settings.token)?);
    // The certificate is of the operator, not of the replica that answers.
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)).domain_name(&settings.name);
    let endpoint = Endpoint::from(address.uri().clone())
        .tls_config(tls)?
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true);
    let channel = timeout(CONNECT, endpoint.connect()).await.context("no connection within 5 s")?.map_err(whole)?;
    let mut client = ControlClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
    let mut request = Request::new(ReceiverStream::new(outgoing));
    request.metadata_mut().insert("authorization", token);
    let answer = timeout(ANSWER, client.sync(request)).await.context("no answer within 10 s")?;
    Ok(answer.map_err(|status| anyhow::anyhow!("{}: {}", status.code(), status.message()))?.into_inner())
}

/// CA certificates of the file or the environment, and those that the operator sent since.
fn trusted(settings: &Settings, kept: &Kept) -> anyhow::Result<Vec<u8>> {
    let mut pem = match &settings.ca_file {
        Some(file) => read(file, MAX_CA).with_context(|| format!("--control-ca {}", file.display()))?,
        None => settings.ca.as_ref().map(|ca| ca.clone().into_bytes()),
    }
    .unwrap_or_default();
    pem.push(b'\n');
    pem.extend(kept.ca());
    ensure!(
        certificates(&pem)? > 0,
        "there is no CA certificate to know the operator by: give --control-ca or LLMROUTE_CA"
    );
    Ok(pem)
}

/// How many certificates there are in `pem`.
pub(super) fn certificates(pem: &[u8]) -> anyhow::Result<usize> {
    let each = CertificateDer::pem_reader_iter(Cursor::new(pem));
    each.map(|cert| cert.map(|_| 1)).sum::<Result<usize, _>>().context("the CA certificates are not PEM")
}

fn token(file: &Path) -> anyhow::Result<MetadataValue<Ascii>> {
    let name = || format!("--control-token {}", file.display());
    let Some(bytes) = read(file, MAX_TOKEN).with_context(name)? else { bail!("{}: there is no such file", name()) };
    let text = String::from_utf8_lossy(&bytes);
    ensure!(!text.trim().is_empty(), "{}: the file is empty", name());
    // Without the cause, which may quote the token.
    let Ok(mut value) = MetadataValue::try_from(format!("Bearer {}", text.trim())) else {
        bail!("{}: no token", name())
    };
    value.set_sensitive(true);
    Ok(value)
}

/// UID of the pod that the token in `file` is bound to, where it says so. Nobody vouches for that; it tells one pod's state
/// from another's.
///
/// Source: a bound service account token is a JWT with the private claim `kubernetes.io`.
#[must_use]
pub fn pod(file: &Path) -> Option<String> {
    let token = read(file, MAX_TOKEN).ok()??;
    let claims = token.split(|byte| *byte == b'.').nth(1)?;
    let claims: serde_json::Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    claims["kubernetes.io"]["pod"]["uid"].as_str().map(str::to_owned)
}

/// With its causes: on its own it says only "transport error".
fn whole(error: tonic::transport::Error) -> anyhow::Error {
    anyhow::anyhow!("{:#}", anyhow::Error::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_bare_and_never_shown() {
        let file = std::env::temp_dir().join(format!("llmroute-token-{}", std::process::id()));
        let shown = |content: &[u8]| {
            std::fs::write(&file, content).unwrap();
            match token(&file) {
                Ok(value) => format!("{value:?} {}", value.len()),
                Err(e) => format!("{e:#}").rsplit(": ").next().unwrap_or_default().to_owned(),
            }
        };
        assert_eq!(shown(b"  eyJhbGci \n"), "Sensitive 15");
        assert_eq!(shown(b" \n"), "the file is empty");
        assert_eq!(shown(b"eyJ\nhbGci"), "no token");
        assert_eq!(shown(&vec![b'x'; MAX_TOKEN + 1]), "it is larger than 16384 bytes");
        std::fs::remove_file(&file).unwrap();
        assert!(token(&file).is_err());
    }

    #[test]
    fn a_token_tells_its_pod() {
        let file = std::env::temp_dir().join(format!("llmroute-token-of-pod-{}", std::process::id()));
        let told = |content: &str| {
            std::fs::write(&file, content).unwrap();
            pod(&file)
        };
        let token = |claims: &str| format!("eyJhbGciOiJSUzI1NiJ9.{}.c2ln\n", BASE64_URL_SAFE_NO_PAD.encode(claims));
        let bound = token(r#"{"kubernetes.io":{"namespace":"shop","pod":{"name":"a-1","uid":"6f1c"}},"sub":"x"}"#);
        assert_eq!(told(&bound).as_deref(), Some("6f1c"));
        let unbound = token(r#"{"kubernetes.io":{"namespace":"shop"}}"#);
        for other in
            [&*unbound, "", "..", "a.b.c", "a.!.c", &token("[]"), &token(r#"{"kubernetes.io":{"pod":{"uid":7}}}"#)]
        {
            assert_eq!(told(other), None, "{other}");
        }
        std::fs::remove_file(&file).unwrap();
        assert_eq!(pod(&file), None);
    }
}
