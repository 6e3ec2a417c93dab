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

/// All kept bodies together; above it the oldest entries lose theirs.
const BODIES: usize = 256 * 1024 * 1024;

/// Bounded: the oldest entries go first.
pub(crate) struct Log {
    entries: VecDeque<Entry>,
    most: usize,
    seen: u64,
    /// Bytes of all kept bodies.
    held: usize,
    /// The first entry that still has its body.
    bodied: u64,
}

impl Log {
    pub(crate) fn new(most: usize) -> Log {
        Log { entries: VecDeque::new(), most, seen: 0, held: 0, bodied: 1 }
    }

    /// Adds an entry and gives it its number.
    pub(crate) fn add(&mut self, mut entry: Entry) -> u64 {
        self.seen += 1;
        entry.seq = self.seen;
        while self.entries.len() >= self.most.max(1) {
            self.held -= self.entries.pop_front().map_or(0, |oldest| oldest.body.len());
        }
        self.held += entry.body.len();
        self.entries.push_back(entry);
        while self.held > BODIES && self.bodied < self.seen {
            let mut freed = 0;
            self.change(self.bodied, |entry| freed = std::mem::take(&mut entry.body).len());
            self.held -= freed;
            self.bodied += 1;
        }
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
        *self = Log::new(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(body: usize) -> Entry {
        Entry {
            seq: 0,
            time_ms: 0,
            vendor: Vendor::OpenAi,
            method: String::new(),
            path: String::new(),
            headers: Vec::new(),
            body: vec![b'x'; body].into(),
            body_len: body as u64,
            model: String::new(),
            stream: false,
            connection: 1,
            http: "HTTP/1.1",
            fault: None,
            status: 0,
            ended: None,
            took_ms: 0,
        }
    }

    #[test]
    fn entries_and_their_bodies_are_bounded() {
        let mut log = Log::new(3);
        for _ in 0..5 {
            log.add(entry(1));
        }
        assert_eq!(log.entries().iter().map(|e| e.seq).collect::<Vec<_>>(), [3, 4, 5]);
        log.change(1, |_| panic!("it is gone"));
        log.change(4, |entry| entry.status = 200);
        assert_eq!(log.entries()[1].status, 200);
        log.add(entry(BODIES));
        assert_eq!(log.entries().iter().map(|e| e.body.len()).collect::<Vec<_>>(), [0, 0, BODIES]);
        assert_eq!(log.held, BODIES);
    }
}
