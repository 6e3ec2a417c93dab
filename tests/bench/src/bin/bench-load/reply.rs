//! Reads one HTTP/1.1 answer as its bytes come, and the server-sent events in it.

use memchr::{memchr, memmem};

/// One answer in the making.
#[derive(Default)]
pub(crate) struct Reply {
    stream: bool,
    phase: Phase,
    /// A head or a line of the chunked coding that has not ended yet.
    partial: Vec<u8>,
    /// A line of the event stream that has not ended yet.
    partial_event: Vec<u8>,
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
        let (mut partial, mut partial_event) =
            (std::mem::take(&mut self.partial), std::mem::take(&mut self.partial_event));
        partial.clear();
        partial_event.clear();
        *self = Reply { stream, partial, partial_event, ..Reply::default() };
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

    /// Takes the next bytes; `on_chunk` gets the time stamp of each content chunk of a stream.
    pub(crate) fn feed(&mut self, mut data: &[u8], on_chunk: &mut dyn FnMut(u64)) -> Result<Progress, Malformed> {
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
                    self.payload(now, on_chunk);
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
                    self.payload(data, on_chunk);
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

    fn payload(&mut self, mut data: &[u8], on_chunk: &mut dyn FnMut(u64)) {
        if !self.stream {
            return;
        }
        while let Some(end) = memchr(b'\n', data) {
            if self.partial_event.is_empty() {
                self.terminated |= event_line(&data[..end], on_chunk);
            } else {
                self.partial_event.extend_from_slice(&data[..end]);
                self.terminated |= event_line(&self.partial_event, on_chunk);
                self.partial_event.clear();
            }
            data = &data[end + 1..];
        }
        self.partial_event.extend_from_slice(data);
    }
}

fn chunk_size(line: &[u8]) -> Result<u64, Malformed> {
    let digits = line.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    str::from_utf8(digits).ok().and_then(|hex| u64::from_str_radix(hex, 16).ok()).ok_or(Malformed)
}

/// Whether the line says that the stream is over.
fn event_line(line: &[u8], on_chunk: &mut dyn FnMut(u64)) -> bool {
    let Some(data) = line.strip_prefix(b"data:") else { return false };
    let Some(mark) = memmem::find(data, b"@t") else {
        return [&b"[DONE]"[..], b"message_stop"].iter().any(|end| memmem::find(data, end).is_some());
    };
    let digits = data[mark + 2..].iter().take_while(|b| b.is_ascii_digit());
    on_chunk(digits.fold(0u64, |n, b| n.wrapping_mul(10).wrapping_add(u64::from(b - b'0'))));
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
        13\r\ndata: {\"x\":\"@t12;a\"\r\n9;ext=1\r\n}\n\ndata: \r\n1a\r\n@t345;\n\n: ping\ndata: [DONE\r\n3\r\n]\n\n\r\n0\r\n\r\n";
    const SIZED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";

    fn feed(pieces: [&str; 2], stream: bool) -> (Reply, Vec<u64>, Progress) {
        let mut reply = Reply::default();
        reply.reset(stream);
        let mut stamps = Vec::new();
        let mut last = Progress::More;
        for piece in pieces {
            last = reply.feed(piece.as_bytes(), &mut |stamp| stamps.push(stamp)).unwrap();
        }
        (reply, stamps, last)
    }

    #[test]
    fn reads_a_stream_split_anywhere() {
        for at in 0..CHUNKED.len() {
            let (reply, stamps, last) = feed(CHUNKED.split_at(at).into(), true);
            assert_eq!((stamps, last), (vec![12, 345], Progress::Done), "split at {at}");
            assert!(reply.terminated() && !reply.closes() && reply.status() == 200);
        }
    }

    #[test]
    fn reads_a_sized_answer_split_anywhere() {
        for at in 0..SIZED.len() {
            let (reply, _, last) = feed(SIZED.split_at(at).into(), false);
            assert_eq!(last, Progress::Done, "split at {at}");
            assert!(reply.terminated() && reply.closes());
        }
    }

    #[test]
    fn a_stream_without_its_terminator_is_not_terminated() {
        let (reply, _, last) = feed([SIZED, ""], true);
        assert!(last == Progress::More && !reply.terminated());
    }

    #[test]
    fn refuses_what_is_no_answer() {
        for bytes in ["SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n"] {
            assert!(Reply::default().feed(bytes.as_bytes(), &mut |_| {}).is_err());
        }
    }
}
