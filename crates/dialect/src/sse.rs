//! Server-sent events, frame by frame: exact bytes kept, fields found in place, a hard cap on one event.
//!
//! Follows the event stream format of the HTML standard (section 9.2): lines end in LF, CR or CRLF, a blank line ends an
//! event, `data` lines join with LF, a BOM at the start is skipped, an event without its blank line still counts here,
//! since a provider that closes early must not lose its last words.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Exactly as received, blank line included.
    pub raw: Bytes,
    event: Option<Range<usize>>,
    data: Data,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Data {
    None,
    /// One `data` line: its place in `raw`.
    At(Range<usize>),
    /// Several, joined.
    Joined(Bytes),
}

/// The event exceeds the cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl Frame {
    /// Takes the bytes of one event apart.
    #[must_use]
    pub fn parse(raw: Bytes) -> Frame {
        let mut event = None;
        let mut data: Vec<Range<usize>> = vec![];
        let mut one: Option<Range<usize>> = None;
        let mut at = if raw.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        while at < raw.len() {
            let end = memchr::memchr2(b'\n', b'\r', &raw[at..]).map_or(raw.len(), |i| at + i);
            let line = &raw[at..end];
            let (name, value) = match memchr::memchr(b':', line) {
                Some(i) => (&line[..i], at + i + 1 + usize::from(line.get(i + 1) == Some(&b' '))..end),
                None => (line, end..end),
            };
            match name {
                b"data" if one.is_none() => one = Some(value),
                b"data" => data.push(value),
                b"event" => event = Some(value),
                _ => {}
            }
            at = end + 1;
        }
        let data = match one {
            None => Data::None,
            Some(one) if data.is_empty() => Data::At(one),
            Some(one) => {
                let lines: Vec<&[u8]> = std::iter::once(one).chain(data).map(|r| &raw[r]).collect();
                Data::Joined(lines.join(&b'\n').into())
            }
        };
        Frame { raw, event, data }
    }

    /// The `event` field.
    #[must_use]
    pub fn event(&self) -> Option<&[u8]> {
        self.event.clone().map(|r| &self.raw[r])
    }

    /// The `data` field; empty where there is none.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        match &self.data {
            Data::None => &[],
            Data::At(r) => &self.raw[r.clone()],
            Data::Joined(b) => b,
        }
    }

    /// The same, sharing the frame's memory.
    #[must_use]
    pub fn data_bytes(&self) -> Bytes {
        match &self.data {
            Data::None => Bytes::new(),
            Data::At(r) => self.raw.slice(r.clone()),
            Data::Joined(b) => b.clone(),
        }
    }

    /// Whether it carries no data: a comment, or a lone field.
    #[must_use]
    pub fn is_comment(&self) -> bool {
        self.data == Data::None
    }

    /// The frame with other data, its `event` field kept.
    #[must_use]
    pub fn with_data(&self, data: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(data.len() + 64);
        if let Some(event) = self.event() {
            out.extend_from_slice(b"event: ");
            out.extend_from_slice(event);
            out.extend_from_slice(b"\n");
        }
        for line in data.split(|b| *b == b'\n') {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(line);
            out.extend_from_slice(b"\n");
        }
        out.extend_from_slice(b"\n");
        out.freeze()
    }
}

/// Splits a stream of chunks into frames.
#[derive(Debug)]
pub struct Splitter {
    most: usize,
    /// A chunk whose frames are slices of it.
    chunk: Bytes,
    /// The beginning of a frame that no chunk held whole.
    tail: BytesMut,
    progress: Progress,
    finished: bool,
}

/// How far the search for a frame's end has come, from the frame's start.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// Start of the present line.
    line: usize,
    /// Searched up to here.
    at: usize,
    /// A line with something on it has been seen.
    begun: bool,
    /// The text so far ended in CR: an LF that comes next belongs to it.
    after_cr: bool,
}

impl Splitter {
    /// Frames of at most `most` bytes.
    #[must_use]
    pub fn new(most: usize) -> Splitter {
        Splitter { most, chunk: Bytes::new(), tail: BytesMut::new(), progress: Progress::default(), finished: false }
    }

    /// Takes the next chunk; frames of the chunk before must have been taken out.
    pub fn push(&mut self, chunk: Bytes) {
        if self.tail.is_empty() && self.chunk.is_empty() {
            self.chunk = chunk;
        } else {
            self.tail.extend_from_slice(&std::mem::take(&mut self.chunk));
            self.tail.extend_from_slice(&chunk);
        }
    }

    /// No further chunk comes: what is left is the last frame.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// The next whole frame.
    ///
    /// # Errors
    /// The event is larger than the cap; nothing more can be read.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, TooLarge> {
        let text: &[u8] = if self.tail.is_empty() { &self.chunk } else { &self.tail };
        match self.progress.find_end(text) {
            Some(end) if end > self.most => Err(TooLarge),
            Some(end) => Ok(Some(self.take(end))),
            None if text.len() > self.most => Err(TooLarge),
            None if self.finished && self.progress.begun => {
                let end = text.len();
                Ok(Some(self.take(end)))
            }
            None => {
                // The rest of the chunk waits for the next one in a buffer that grows.
                let rest = std::mem::take(&mut self.chunk);
                self.tail.extend_from_slice(&rest);
                Ok(None)
            }
        }
    }

    fn take(&mut self, end: usize) -> Frame {
        self.progress = Progress::default();
        let raw = if self.tail.is_empty() { self.chunk.split_to(end) } else { self.tail.split_to(end).freeze() };
        Frame::parse(raw)
    }
}

impl Progress {
    /// The end of the frame that begins `text`: behind the blank line that follows its first line.
    fn find_end(&mut self, text: &[u8]) -> Option<usize> {
        if self.after_cr && self.at < text.len() {
            self.after_cr = false;
            self.at += usize::from(text[self.at] == b'\n');
            self.line = self.at;
        }
        loop {
            let Some(i) = memchr::memchr2(b'\n', b'\r', &text[self.at..]) else {
                self.at = text.len();
                self.begun |= self.at > self.line;
                return None;
            };
            let eol = self.at + i;
            let blank = eol == self.line;
            // A CR at the very end may be half of a CRLF: nothing waits for the LF. Behind a blank line it opens the next
            // frame, where blank lines are skipped.
            let next = eol + 1 + usize::from(text[eol] == b'\r' && text.get(eol + 1) == Some(&b'\n'));
            self.after_cr = text[eol] == b'\r' && next == text.len() && next == eol + 1;
            self.line = next;
            self.at = next;
            if blank && self.begun {
                return Some(next);
            }
            self.begun |= !blank;
        }
    }
}

#[cfg(test)]
mod tests;
