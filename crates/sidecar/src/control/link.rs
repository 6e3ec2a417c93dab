//! How it stands with the operator, for pages and metrics.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use control::Speaks;
use parking_lot::Mutex;
use policy::Tick;
use serde_json::{Value, json};

use super::settings::Address;
use crate::clock;

/// Longest text of somebody else that is kept.
const MAX_WHY: usize = 500;

/// How it stands with the operator.
#[derive(Debug)]
pub struct Link {
    address: Address,
    began: Tick,
    now: Mutex<Now>,
    accepted: AtomicU64,
    rejected: AtomicU64,
}

#[derive(Debug)]
struct Now {
    /// Who answers and since when, wall time since 1970.
    up: Option<(String, Duration)>,
    /// The protocol that both ends speak.
    protocol: u32,
    /// Why the last stream ended, or was not had.
    why: String,
    /// The operator said that no policy selects this pod.
    unselected: bool,
    /// Generation and hash that were acknowledged last.
    acknowledged: Option<(i64, String)>,
}

impl Link {
    /// Not connected yet.
    #[must_use]
    pub fn new(address: Address) -> Link {
        let now = Now { up: None, protocol: 0, why: "not tried yet".to_owned(), unselected: false, acknowledged: None };
        Link { address, began: clock::now(), now: Mutex::new(now), accepted: 0.into(), rejected: 0.into() }
    }

    /// Whether the stream is up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.now.lock().up.is_some()
    }

    /// Snapshots that were accepted and rejected.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.accepted.load(Relaxed), self.rejected.load(Relaxed))
    }

    /// Why there is no policy yet; for people.
    #[must_use]
    pub fn why_none(&self) -> String {
        let now = self.now.lock();
        match &now.up {
            Some(_) if now.unselected => "no policy selects this pod".to_owned(),
            Some((who, _)) => format!("{who} has sent none that is accepted"),
            None => format!("{} is not reached: {}", self.address, now.why),
        }
    }

    /// For `/config`.
    #[must_use]
    pub fn page(&self) -> Value {
        let now = self.now.lock();
        let (accepted, rejected) = self.counts();
        json!({
            "address": self.address.to_string(),
            "connected": now.up.is_some(),
            "connected_to": now.up.as_ref().map(|(who, _)| who),
            "since": now.up.as_ref().map(|(_, since)| since.as_secs()),
            "protocol": now.up.as_ref().map(|_| now.protocol),
            "why_not": if now.up.is_some() { None } else { Some(&now.why) },
            "selected": !now.unselected,
            "acknowledged": now.acknowledged.as_ref().map(|(generation, hash)| json!({"generation": generation, "hash": hash})),
            "snapshots": {"accepted": accepted, "rejected": rejected},
        })
    }

    pub(super) fn uptime(&self) -> Duration {
        clock::now().since(self.began)
    }

    pub(super) fn up(&self, who: &Address, protocol: u32) {
        let mut now = self.now.lock();
        (now.up, now.protocol) = (Some((who.to_string(), clock::unix())), protocol);
        drop(now);
        tracing::info!(address = %who, protocol, "connected to the operator");
        if protocol < Speaks::LENDS {
            tracing::warn!(
                "this operator is too old to lend what pods share of budgets and rates: nothing is spent under them; update it"
            );
        }
    }

    pub(super) fn down(&self, why: &str) {
        let why = cut(why, MAX_WHY).to_owned();
        let mut now = self.now.lock();
        let was_up = now.up.take().is_some();
        // The same failure over and over is told once.
        if was_up || now.why != why {
            tracing::warn!(%why, "not connected to the operator; what is in force stays in force");
        }
        now.why = why;
    }

    pub(super) fn accepted(&self, generation: i64, hash: &str) {
        self.accepted.fetch_add(1, Relaxed);
        let mut now = self.now.lock();
        now.acknowledged = Some((generation, hash.to_owned()));
        now.unselected = false;
    }

    pub(super) fn rejected(&self) {
        self.rejected.fetch_add(1, Relaxed);
        self.now.lock().unselected = false;
    }

    pub(super) fn unselected(&self) {
        self.now.lock().unselected = true;
        tracing::warn!("no policy selects this pod; what is in force stays in force");
    }
}

/// The first `most` bytes of `text`, or a little less: characters stay whole.
pub(super) fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        let rows =
            [("", 5, ""), ("abc", 5, "abc"), ("abc", 2, "ab"), ("a\u{20ac}b", 2, "a"), ("a\u{20ac}b", 4, "a\u{20ac}")];
        for (text, most, want) in rows {
            assert_eq!(cut(text, most), want, "{text} {most}");
        }
    }

    #[test]
    fn it_says_why_there_is_no_policy() {
        let address = Address::parse("https://control:8443").unwrap();
        let link = Link::new(address.clone());
        assert_eq!(link.why_none(), "https://control:8443/ is not reached: not tried yet");
        link.up(&address, 2);
        assert_eq!(link.why_none(), "https://control:8443/ has sent none that is accepted");
        link.unselected();
        assert_eq!((link.why_none(), link.is_up()), ("no policy selects this pod".to_owned(), true));
        link.accepted(4, "ab");
        link.rejected();
        link.down("the stream broke");
        assert_eq!(link.counts(), (1, 1));
        let page = link.page();
        assert_eq!((&page["connected"], &page["why_not"]), (&json!(false), &json!("the stream broke")));
        assert_eq!((&page["selected"], &page["acknowledged"]["generation"]), (&json!(true), &json!(4)));
    }
}
