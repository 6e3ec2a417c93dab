//! What `--control` and its companions say.

use std::path::PathBuf;

use hyper::Uri;

/// Where the operator is and how the two know each other.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `https://HOST:PORT` of the operator's Service.
    pub address: Address,
    /// The name in the operator's certificate, whichever replica answers: the host of the first address.
    pub name: String,
    /// PEM of the operator's CA; read for each connect.
    pub ca_file: Option<PathBuf>,
    /// PEM of the operator's CA as text, `LLMROUTE_CA`.
    pub ca: Option<String>,
    /// The pod's token; read for each connect, since the kubelet replaces it.
    pub token: PathBuf,
    /// What must survive a restart.
    pub state: Option<PathBuf>,
    /// The policy's ConfigMap, mounted.
    pub fallback: Option<PathBuf>,
}

/// An address of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(Uri);

impl Address {
    /// Reads `https://HOST[:PORT]`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Address, String> {
        let uri: Uri = text.parse().map_err(|e| format!("{text}: {e}"))?;
        let is_bare = uri.path_and_query().is_none_or(|p| p.as_str() == "/");
        let has_user = uri.authority().is_some_and(|a| a.as_str().contains('@'));
        match (uri.scheme_str(), uri.host()) {
            (Some("https"), Some(host)) if !host.is_empty() && is_bare && !has_user => Ok(Address(uri)),
            _ => Err(format!("{text}: write https://HOST:PORT; a token goes nowhere else")),
        }
    }

    /// Its host, an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host().unwrap_or_default().trim_matches(['[', ']'])
    }

    /// As a URI.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.0
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_and_a_host() {
        let rows = [
            ("https://llmroute-control.llmroute-system:8443", Some("llmroute-control.llmroute-system")),
            ("https://10.244.0.9:8443/", Some("10.244.0.9")),
            ("https://[fd00::9]:8443", Some("fd00::9")),
            ("https://control", Some("control")),
            ("http://control:8443", None),
            ("control:8443", None),
            ("https://", None),
            ("https://control/path", None),
            ("https://control?x=1", None),
            ("https://user@control", None),
            ("", None),
            ("https://a b", None),
        ];
        for (text, want) in rows {
            assert_eq!(Address::parse(text).ok().as_ref().map(Address::host), want, "{text}");
        }
    }
}
