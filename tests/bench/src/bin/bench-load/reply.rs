//! Reads one HTTP/1.1 answer as its bytes come, and the server-sent events in it.

use memchr::{memchr, memmem};

use crate::body::{Expected, Format};

/// One answer in the making.
#[derive(Default)]
pub(crate) struct Reply {
    stream: bool,
    phase: Phase,
    /// A head or a line of the chunked coding that has not ended yet.
    partial: Vec<u8>,
    /// A line of the event stream that has not ended yet; the whole body of any other answer.
    payload: Vec<u8>,
    chunks: u64,
    status: u16,
    close: bool,
    terminated: bool,
}

#[derive(Default, Clone, Copy)]
enum Phase {
    #[default]
    Head,
    Sized(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailer,
    UntilClose,
}

/// Whether the answer has ended.
#[derive(Debug, PartialEq)]
pub(crate) enum Progress {
    More,
    Done,
}

/// The bytes are not an HTTP/1.1 answer.
#[derive(Debug)]
pub(crate) struct Malformed;

impl Reply {
    /// Starts over, keeping the buffers.
    pub(crate) fn reset(&mut self, stream: bool) {
        let (mut partial, mut payload) = (std::mem::take(&mut self.partial), std::mem::take(&mut self.payload));
        partial.clear();
        payload.clear();
        *self = Reply { stream, partial, payload, ..Reply::default() };
    }

    /// 0 before the head.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// Whether the connection may not be used again.
    pub(crate) fn closes(&self) -> bool {
        self.close
    }

    /// Whether the end of the connection is a proper end of this answer.
    pub(crate) fn may_end_by_close(&self) -> bool {
        matches!(self.phase, Phase::UntilClose)
    }

    /// Whether a stream said by itself that it is over; any other answer needs no such word.
    pub(crate) fn terminated(&self) -> bool {
        self.terminated || !self.stream
    }

    /// Whether what ended is a right answer.
    pub(crate) fn right(&self, expected: Expected) -> bool {
        if self.stream { self.chunks == expected.chunks } else { expected.is_plain(&self.payload) }
    }

    /// Takes the next bytes; `on_chunk` gets the time stamp of each content chunk of a stream.
    pub(crate) fn feed(
        &mut self,
        expected: Expected,
        mut data: &[u8],
        on_chunk: &mut dyn FnMut(u64),
    ) -> Result<Progress, Malformed> {
        while !data.is_empty() {
            match self.phase {
                Phase::Head => {
                    let before = self.partial.len();
                    self.partial.extend_from_slice(data);
                    let Some(length) = self.head()? else { return Ok(Progress::More) };
                    data = &data[length - before..];
                    self.partial.clear();
                    if matches!(self.phase, Phase::Sized(0)) {
                        return Ok(Progress::Done);
                    }
                }
                Phase::Sized(left) | Phase::ChunkData(left) => {
                    let (now, later) = data.split_at(data.len().min(left as usize));
                    self.take(expected.format, now, on_chunk);
                    data = later;
                    let left = left - now.len() as u64;
                    self.phase = match (self.phase, left) {
                        (Phase::Sized(_), 0) => return Ok(Progress::Done),
                        (Phase::Sized(_), _) => Phase::Sized(left),
                        (_, 0) => Phase::ChunkEnd,
                        _ => Phase::ChunkData(left),
                    };
                }
                Phase::UntilClose => {
                    self.take(expected.format, data, on_chunk);
                    return Ok(Progress::More);
                }
                Phase::ChunkSize | Phase::ChunkEnd | Phase::Trailer => {
                    let Some(end) = memchr(b'\n', data) else {
                        self.partial.extend_from_slice(data);
                        return Ok(Progress::More);
                    };
                    self.partial.extend_from_slice(&data[..end]);
                    data = &data[end + 1..];
                    let line = self.partial.trim_ascii();
                    self.phase = match self.phase {
                        Phase::Trailer if line.is_empty() => return Ok(Progress::Done),
                        Phase::Trailer => Phase::Trailer,
                        Phase::ChunkEnd => Phase::ChunkSize,
                        _ => match chunk_size(line)? {
                            0 => Phase::Trailer,
                            size => Phase::ChunkData(size),
                        },
                    };
                    self.partial.clear();
                }
            }
        }
        Ok(Progress::More)
    }

    /// Parses the head gathered so far; its length once it is whole.
    fn head(&mut self) -> Result<Option<usize>, Malformed> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(length) = head.parse(&self.partial).map_err(|_| Malformed)? else {
            return Ok(None);
        };
        self.status = head.code.unwrap_or(0);
        self.close = head.version == Some(0);
        self.phase = Phase::UntilClose;
        for header in head.headers.iter() {
            let value = str::from_utf8(header.value).unwrap_or_default().trim();
            if header.name.eq_ignore_ascii_case("content-length") {
                self.phase = Phase::Sized(value.parse().map_err(|_| Malformed)?);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked") {
                self.phase = Phase::ChunkSize;
            } else if header.name.eq_ignore_ascii_case("connection") {
                self.close = value.eq_ignore_ascii_case("close");
            }
        }
        Ok(Some(length))
    }

    fn take(&mut self, format: Format, mut data: &[u8], on_chunk: &mut dyn FnMut(u64)) {
        while self.stream
            && let Some(end) = memchr(b'\n', data)
        {
            let line = if self.payload.is_empty() {
                Line::read(format, &data[..end])
            } else {
                self.payload.extend_from_slice(&data[..end]);
                let line = Line::read(format, &self.payload);
                self.payload.clear();
                line
            };
            match line {
                Line::Content(stamp) => {
                    self.chunks += 1;
                    on_chunk(stamp);
                }
                Line::End => self.terminated = true,
                Line::Other => {}
            }
            data = &data[end + 1..];
        }
        self.payload.extend_from_slice(data);
    }
}

fn chunk_size(line: &[u8]) -> Result<u64, Malformed> {
    let digits = line.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    str::from_utf8(digits).ok().and_then(|hex| u64::from_str_radix(hex, 16).ok()).ok_or(Malformed)
}

/// What a line of an event stream says.
enum Line {
    /// Content, and when it was stamped.
    Content(u64),
    /// The stream is over.
    End,
    Other,
}

impl Line {
    fn read(format: Format, line: &[u8]) -> Line {
        let Some(data) = line.strip_prefix(b"data:") else { return Line::Other };
        let has = |mark: &str| memmem::find(data, mark.as_bytes());
        match has("@t").filter(|_| has(format.content()).is_some()) {
            Some(mark) => {
                let digits = data[mark + 2..].iter().take_while(|b| b.is_ascii_digit());
                Line::Content(digits.fold(0, |n: u64, b| n.wrapping_mul(10).wrapping_add(u64::from(b - b'0'))))
            }
            None if has(format.end()).is_some() => Line::End,
            None => Line::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: Expected = Expected { format: Format::Chat, stream: true, chunks: 2 };
    const SIZED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";

    /// An event stream in the chunked coding, cut where no event ends.
    fn chunked(events: &str) -> String {
        let (a, b) = events.split_at(events.len() / 3);
        format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{a}\r\n{:x};ext=1\r\n{b}\r\n0\r\n\r\n",
            a.len(),
            b.len()
        )
    }

    fn feed(pieces: [&str; 2], expected: Expected) -> (Reply, Vec<u64>, Progress) {
        let mut reply = Reply::default();
        reply.reset(expected.stream);
        let mut stamps = Vec::new();
        let mut last = Progress::More;
        for piece in pieces {
            last = reply.feed(expected, piece.as_bytes(), &mut |stamp| stamps.push(stamp)).unwrap();
        }
        (reply, stamps, last)
    }

    #[test]
    fn reads_a_stream_split_anywhere() {
        let events = [
            "data: {\"object\":\"chat.completion.chunk\",\"x\":\"@t12;a\"}\n\ndata: \n: ping\n",
            "data: {\"object\":\"chat.completion.chunk\",\"x\":\"@t345;\"}\n\ndata: [DONE]\n\n",
        ];
        let text = chunked(&events.concat());
        for at in 0..text.len() {
            let (reply, stamps, last) = feed(text.split_at(at).into(), CHAT);
            assert_eq!((stamps, last), (vec![12, 345], Progress::Done), "split at {at}");
            assert!(reply.terminated() && !reply.closes() && reply.status() == 200 && reply.right(CHAT));
            assert!(!reply.right(Expected { chunks: 3, ..CHAT }));
        }
    }

    #[test]
    fn counts_what_the_format_has_as_content_and_end() {
        let text = |kind: &str, end: &str| {
            chunked(&format!("event: x\ndata: {{{kind},\"delta\":\"@t7;\"}}\n\nevent: y\ndata: {{{end}}}\n\n"))
        };
        let delta = text(r#""type":"content_block_delta""#, r#""type":"message_stop""#);
        let output = text(r#""type":"response.output_text.delta""#, r#""type":"response.completed""#);
        for (format, text, right) in [
            (Format::Messages, &delta, true),
            (Format::Responses, &delta, false),
            (Format::Chat, &delta, false),
            (Format::Responses, &output, true),
            (Format::Messages, &output, false),
        ] {
            let expected = Expected { format, stream: true, chunks: 1 };
            let (reply, ..) = feed([text, ""], expected);
            assert_eq!((reply.right(expected), reply.terminated()), (right, right), "{text}");
        }
    }

    #[test]
    fn a_plain_answer_must_be_the_mocks_in_the_callers_format() {
        let body = r#"{"type":"message","content":"The mock upstream answers every question with the same sentence.","stop_reason":"end_turn"}"#;
        let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        for (format, right) in [(Format::Messages, true), (Format::Chat, false), (Format::Responses, false)] {
            let expected = Expected { format, stream: false, chunks: 0 };
            let (reply, _, last) = feed(text.split_at(60).into(), expected);
            assert_eq!((reply.right(expected), last), (right, Progress::Done));
        }
    }

    #[test]
    fn reads_a_sized_answer_split_anywhere() {
        for at in 0..SIZED.len() {
            let (reply, _, last) = feed(SIZED.split_at(at).into(), Expected { stream: false, ..CHAT });
            assert_eq!(last, Progress::Done, "split at {at}");
            assert!(reply.terminated() && reply.closes());
        }
    }

    #[test]
    fn a_stream_without_its_terminator_is_not_terminated() {
        let (reply, _, last) = feed([SIZED, ""], CHAT);
        assert!(last == Progress::More && !reply.terminated());
    }

    #[test]
    fn refuses_what_is_no_answer() {
        for bytes in ["SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n"] {
            assert!(Reply::default().feed(CHAT, bytes.as_bytes(), &mut |_| {}).is_err());
        }
    }
}
