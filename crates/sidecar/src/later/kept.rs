//! What is kept of a request and of its end: the record, in the store as JSON.

use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use super::queue::{Key, Phase, Row};
use crate::headers::List;

/// A request that is kept; its body and its answer stand beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Path and query.
    pub path: String,
    /// Of the request until it ends, then of the answer.
    pub headers: Vec<(String, String)>,
    /// When it was accepted, microseconds since 1970.
    pub created: u64,
    /// What it takes with its body and its answer.
    pub bytes: u64,
    /// `Idempotency-Key`.
    pub key: Option<KeptKey>,
    /// Runs that may have cost something.
    #[serde(default)]
    pub charged: u32,
    /// How it ended.
    pub end: Option<End>,
}

/// A key with the digest of the body it came with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptKey {
    name: String,
    digest: [u8; 32],
}

/// An end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Which.
    pub how: How,
    /// When, microseconds since 1970.
    pub at: u64,
    /// HTTP status of the answer that is kept; none without one.
    pub http: Option<u16>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// With an answer.
    Completed,
    /// With an error.
    Failed,
    /// Its caller gave it up.
    Cancelled,
    /// It could not be run in time.
    Expired,
}

impl How {
    /// Metric label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            How::Completed => "completed",
            How::Failed => "failed",
            How::Cancelled => "cancelled",
            How::Expired => "expired",
        }
    }
}

impl Record {
    /// The row of the queue that it stands for; what ran when the process died waits again.
    #[must_use]
    pub fn row(&self) -> Row {
        Row {
            created: Duration::from_micros(self.created),
            bytes: self.bytes,
            key: self.key.as_ref().map(|k| Key { name: k.name.as_str().into(), digest: k.digest }),
            phase: match self.end {
                None => Phase::Queued { not_before: Duration::ZERO },
                Some(end) => Phase::Ended { at: Duration::from_micros(end.at), fetched: false },
            },
            runs: 0,
            charged: self.charged,
        }
    }

    /// About what it takes itself.
    #[must_use]
    pub fn size(&self) -> usize {
        self.path.len() + self.headers.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>()
    }

    /// For the store.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// From the store.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Record> {
        serde_json::from_slice(text).ok()
    }

    /// Its headers as they are sent.
    #[must_use]
    pub fn header_list(&self) -> List {
        header_list(&self.headers)
    }
}

/// Headers as they are sent.
#[must_use]
pub fn header_list(headers: &[(String, String)]) -> List {
    let pair = |(n, v): &(String, String)| Some((HeaderName::try_from(n).ok()?, HeaderValue::try_from(v).ok()?));
    let mut out = List::with_capacity(headers.len());
    for (name, value) in headers.iter().filter_map(pair) {
        out.add(name, value);
    }
    out
}

impl From<&Key> for KeptKey {
    fn from(key: &Key) -> KeptKey {
        KeptKey { name: key.name.to_string(), digest: key.digest }
    }
}

/// Microseconds since 1970.
#[must_use]
pub fn micros(unix: Duration) -> u64 {
    u64::try_from(unix.as_micros()).unwrap_or(u64::MAX)
}

/// The headers of a request that a run needs: rules and hints read them, providers get them. Whatever may be a secret,
/// belongs to the connection, tells of the body as it was sent, or of the caller's patience, is left out; a hint is one
/// under whatever name.
#[must_use]
pub fn of_request(headers: &List, is_hint: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    texts(headers, |name| !is_left_out(name) && (is_hint(name) || !may_be_secret(name)))
}

/// The headers of an answer, less what belongs to the connection.
#[must_use]
pub fn of_answer(headers: &List) -> Vec<(String, String)> {
    texts(headers, |name| !matches!(name, "connection" | "content-length" | "transfer-encoding"))
}

fn texts(headers: &List, keep: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let text = |v: &HeaderValue| String::from_utf8(v.as_bytes().to_vec()).ok();
    let kept = headers.iter().filter(|(name, _)| keep(name.as_str()));
    kept.filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?))).collect()
}

fn is_left_out(name: &str) -> bool {
    name.starts_with("proxy-")
        || matches!(
            name,
            "authorization"
                | "x-api-key"
                | "api-key"
                | "cookie"
                | "host"
                | "content-length"
                | "content-encoding"
                | "accept-encoding"
                | "connection"
                | "keep-alive"
                | "te"
                | "trailer"
                | "transfer-encoding"
                | "upgrade"
                | "expect"
                | "prefer"
                | "idempotency-key"
                | "x-stainless-read-timeout"
                | "x-stainless-timeout"
                | "x-stainless-retry-count"
        )
}

fn may_be_secret(name: &str) -> bool {
    const WORDS: [&str; 8] = ["auth", "key", "token", "secret", "cookie", "password", "credential", "signature"];
    WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_kept() {
        let sent = [
            ("authorization", "Bearer x"),
            ("x-api-key", "x"),
            ("cookie", "x"),
            ("proxy-authorization", "x"),
            ("x-amz-security-token", "x"),
            ("x-app-secret", "x"),
            ("x-stainless-read-timeout", "5"),
            ("prefer", "respond-async"),
            ("content-encoding", "gzip"),
            ("content-type", "application/json"),
            ("anthropic-version", "2023-06-01"),
            ("x-llmroute-tenant", "Zoë"),
            ("x-team-key", "blue"),
            ("traceparent", "00-1"),
        ];
        let headers =
            sent.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_bytes(v.as_bytes()).unwrap()));
        let headers: List = headers.collect();
        let mut kept = of_request(&headers, |name| name == "x-team-key" || name == "x-api-key");
        kept.sort();
        let names: Vec<_> = kept.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["anthropic-version", "content-type", "traceparent", "x-llmroute-tenant", "x-team-key"]);
        assert_eq!(of_request(&headers, |_| false).len(), 4, "a key that no policy reads is none of ours");
    }

    #[test]
    fn fuzz_records() {
        let whole = Record {
            path: "/v1/responses?x=y".into(),
            headers: vec![
                ("x-llmroute-tenant".into(), "Zoë".into()),
                ("content-type".into(), "application/json".into()),
            ],
            created: 5,
            bytes: 9,
            key: Some(KeptKey { name: "k".into(), digest: [3; 32] }),
            charged: 2,
            end: Some(End { how: How::Failed, at: 7, http: Some(400) }),
        };
        let running = Record { key: None, end: None, ..whole.clone() };
        let texts = [whole, running].map(|record| String::from_utf8(record.write()).unwrap());
        crate::fuzz::run("records", &texts.each_ref().map(String::as_str), |input, _| {
            let Some(record) = Record::read(input) else {
                return serde_json::from_slice::<serde_json::Value>(input).is_ok();
            };
            assert_eq!(Record::read(&record.write()).as_ref(), Some(&record));
            assert!(record.header_list().len() <= record.headers.len());
            let _ = (record.row(), record.size());
            true
        });
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = Record {
            path: "/v1/messages?beta=true".into(),
            headers: vec![("x-llmroute-tenant".into(), "Zoë".into())],
            created: 5,
            bytes: 9,
            key: Some(KeptKey { name: "k".into(), digest: [3; 32] }),
            charged: 2,
            end: Some(End { how: How::Failed, at: 7, http: Some(400) }),
        };
        assert_eq!(Record::read(&record.write()), Some(record.clone()));
        assert_eq!(record.header_list().len(), 1);
        assert_eq!(record.row().phase, Phase::Ended { at: Duration::from_micros(7), fetched: false });
        let running = Record { end: None, ..record };
        assert_eq!(running.row().phase, Phase::Queued { not_before: Duration::ZERO });
        assert_eq!(running.row().charged, 2);
        let before = String::from_utf8(running.write()).unwrap().replace(",\"charged\":2", "");
        assert_eq!(Record::read(before.as_bytes()), Some(Record { charged: 0, ..running }), "of an older version");
        assert_eq!(Record::read(b"{}"), None);
    }
}
