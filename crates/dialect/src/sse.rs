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
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(data);
        out.extend_from_slice(b"\n\n");
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
        loop {
            let Some(i) = memchr::memchr2(b'\n', b'\r', &text[self.at..]) else {
                self.at = text.len();
                self.begun |= self.at > self.line;
                return None;
            };
            let eol = self.at + i;
            let blank = eol == self.line;
            // A CR at the very end may be half of a CRLF; the LF then opens the next frame, where blank lines are skipped.
            let next = eol + 1 + usize::from(text[eol] == b'\r' && text.get(eol + 1) == Some(&b'\n'));
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<Frame> {
        let mut s = Splitter::new(1 << 20);
        let mut out = vec![];
        for c in chunks {
            s.push(Bytes::copy_from_slice(c));
            while let Some(f) = s.next_frame().unwrap() {
                out.push(f);
            }
        }
        s.finish();
        while let Some(f) = s.next_frame().unwrap() {
            out.push(f);
        }
        out
    }

    fn datas(text: &str) -> Vec<String> {
        split(&[text.as_bytes()]).iter().map(|f| String::from_utf8_lossy(f.data()).into_owned()).collect()
    }

    #[test]
    fn fields() {
        assert_eq!(datas("data: a\n\ndata:b\r\n\r\ndata: c\r\rdata: d"), ["a", "b", "c", "d"]);
        assert_eq!(datas("data: a\ndata: b\n\n: comment\n\n"), ["a\nb", ""]);
        assert_eq!(datas("\u{feff}data: x\n\n\n\ndata:  y\n\n"), ["x", " y"]);
        let f = &split(&[b"event: message_start\nid: 7\ndata: {}\n\n"])[0];
        assert_eq!((f.event(), f.data()), (Some(&b"message_start"[..]), &b"{}"[..]));
        assert!(split(&[b"\n\n"]).is_empty());
        assert_eq!(f.with_data(b"1"), "event: message_start\ndata: 1\n\n");
    }

    #[test]
    fn a_huge_event_is_refused() {
        let mut s = Splitter::new(100);
        s.push(Bytes::from(vec![b'x'; 60]));
        assert_eq!(s.next_frame(), Ok(None));
        s.push(Bytes::from(vec![b'x'; 60]));
        assert_eq!(s.next_frame(), Err(TooLarge));
    }

    fn streams() -> impl Strategy<Value = Vec<u8>> {
        let bit = prop_oneof![
            Just("data: a\u{e9}"),
            Just("data:"),
            Just("event: e"),
            Just(": c"),
            Just("\n"),
            Just("\r\n"),
            Just("\r"),
            Just("\n\n"),
            Just("x"),
        ];
        proptest::collection::vec(bit, 0..30).prop_map(|v| v.concat().into_bytes())
    }

    proptest! {
        /// However the bytes are cut, no byte is lost and the same data comes out.
        #[test]
        fn any_split_gives_the_same_events(text in streams(), cuts in proptest::collection::vec(0usize..200, 0..6)) {
            let whole = split(&[&text]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(text.len())).collect();
            cuts.sort_unstable();
            let mut parts: Vec<&[u8]> = vec![];
            let mut from = 0;
            for c in cuts { parts.push(&text[from..c]); from = c; }
            parts.push(&text[from..]);
            let pieces = split(&parts);
            let datas = |fs: &[Frame]| fs.iter().filter(|f| !f.is_comment()).map(|f| f.data().to_vec()).collect::<Vec<_>>();
            prop_assert_eq!(datas(&whole), datas(&pieces));
            let raw: Vec<u8> = pieces.iter().flat_map(|f| f.raw.to_vec()).collect();
            prop_assert!(text.starts_with(&raw), "bytes in order");
            prop_assert!(text[raw.len()..].iter().all(|b| matches!(b, b'\r' | b'\n')), "only blank lines may stay behind");
        }
    }
}
