//! Every request that was seen, the newest ten thousand of them.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::{Serialize, Serializer};

use crate::vendor::Vendor;

/// A request that was seen.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Counts from 1 since the start or the last reset.
    pub seq: u64,
    /// When it came, in Unix milliseconds.
    pub time_ms: u64,
    /// Whose API it asked.
    pub vendor: Vendor,
    /// The HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The body as it came, up to the configured length.
    #[serde(serialize_with = "text")]
    pub body: Bytes,
    /// The body's whole length.
    pub body_len: u64,
    /// The model asked for.
    pub model: String,
    /// Whether a stream was asked.
    pub stream: bool,
    /// The connection it came on; requests with the same number shared one.
    pub connection: u64,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub http: &'static str,
    /// The fault that struck, by name.
    pub fault: Option<&'static str>,
    /// The status that was sent, 0 for none.
    pub status: u16,
    /// How it ended; unset while it goes on.
    pub ended: Option<Ended>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Everything was sent.
    Done,
    /// The simulator broke it off, as the fault demands.
    Broken,
    /// The caller left before the end.
    ClientGone,
}

fn text<S: Serializer>(body: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(body))
}

/// Bounded: the oldest entries go first.
pub(crate) struct Log {
    entries: VecDeque<Entry>,
    most: usize,
    seen: u64,
}

impl Log {
    pub(crate) fn new(most: usize) -> Log {
        Log { entries: VecDeque::new(), most, seen: 0 }
    }

    /// Adds an entry and gives it its number.
    pub(crate) fn add(&mut self, mut entry: Entry) -> u64 {
        self.seen += 1;
        entry.seq = self.seen;
        while self.entries.len() >= self.most.max(1) {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
        self.seen
    }

    /// Changes an entry that is still kept.
    pub(crate) fn change(&mut self, seq: u64, change: impl FnOnce(&mut Entry)) {
        let Some(first) = self.entries.front().map(|entry| entry.seq) else { return };
        if let Some(entry) = seq.checked_sub(first).and_then(|at| self.entries.get_mut(at as usize)) {
            change(entry);
        }
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.entries.iter().cloned().collect()
    }

    pub(crate) fn forget(&mut self) {
        self.entries.clear();
        self.seen = 0;
    }
}
