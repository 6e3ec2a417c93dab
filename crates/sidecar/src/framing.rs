//! Where head and body of a message end, over HTTP/1.1 (RFC 9112 sections 2, 6 and 7), whoever sends it.

use bytes::{Buf, Bytes, BytesMut};
use hyper::header::{HeaderName, HeaderValue};

/// Longest line between chunks, with its extensions.
const MAX_LINE: usize = 4 << 10;
/// Trailers beyond this are an attack.
const MAX_TRAILERS: usize = 16 << 10;

/// What came is not HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotHttp;

/// What is still to come of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked(Chunk),
    /// All that comes until the connection closes.
    UntilClose,
    /// Nothing.
    Over,
}

/// What comes next of a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// The line with a chunk's size.
    Size,
    /// So many bytes of a chunk.
    Data(u64),
    /// The end of the line after a chunk's data.
    End,
    /// Trailers, of which so many bytes were read.
    Trailers(usize),
}

impl Framing {
    pub(crate) fn length(bytes: u64) -> Framing {
        if bytes == 0 { Framing::Over } else { Framing::Length(bytes) }
    }

    /// Takes what `read` has of the body; `None` if there is nothing more in it.
    ///
    /// # Errors
    /// What came is no chunk.
    pub(crate) fn take(&mut self, read: &mut BytesMut) -> Result<Option<Bytes>, NotHttp> {
        self.skip(read)?;
        let left = match self {
            Framing::Length(left) | Framing::Chunked(Chunk::Data(left)) => *left,
            Framing::UntilClose => u64::MAX,
            Framing::Chunked(_) | Framing::Over => 0,
        };
        let count = read.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if count == 0 {
            return Ok(None);
        }
        let data = read.split_to(count).freeze();
        let left = left - count as u64;
        match self {
            Framing::Length(_) => *self = Framing::length(left),
            Framing::Chunked(chunk) => *chunk = if left == 0 { Chunk::End } else { Chunk::Data(left) },
            Framing::UntilClose | Framing::Over => {}
        }
        // The body is known to be over as soon as its end is here. What is wrong with it is found again at the next call.
        let _ = self.skip(read);
        Ok(Some(data))
    }

    /// Skips what is between the data of chunks; stands still at a fault.
    fn skip(&mut self, read: &mut BytesMut) -> Result<(), NotHttp> {
        while let Framing::Chunked(chunk) = self {
            if let Chunk::Data(_) = chunk {
                return Ok(());
            }
            let Some(line) = line(read)? else { return Ok(()) };
            let next = match chunk {
                Chunk::Size => match size(line)? {
                    0 => Framing::Chunked(Chunk::Trailers(0)),
                    size => Framing::Chunked(Chunk::Data(size)),
                },
                Chunk::End if line.is_empty() => Framing::Chunked(Chunk::Size),
                Chunk::Trailers(_) if line.is_empty() => Framing::Over,
                Chunk::Trailers(seen) if *seen + line.len() <= MAX_TRAILERS && is_header(line) => {
                    Framing::Chunked(Chunk::Trailers(*seen + line.len()))
                }
                Chunk::End | Chunk::Trailers(_) | Chunk::Data(_) => return Err(NotHttp),
            };
            read.advance(line.len() + 2);
            *self = next;
        }
        Ok(())
    }
}

/// Where a head ends: at its first empty line, whose end and whose predecessor's may lack the CR.
pub(crate) fn end_of_head(text: &[u8]) -> Option<usize> {
    let crlf = memchr::memmem::find(text, b"\n\r\n");
    let before = crlf.map_or(text, |i| &text[..i + 1]);
    memchr::memmem::find(before, b"\n\n").or(crlf)
}

/// Skips empty lines before a head (RFC 9112 section 2.2).
pub(crate) fn skip_empty_lines(read: &mut BytesMut) {
    let empty = read.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    read.advance(empty);
}

/// The line at the beginning of `read`, once its end is there.
fn line(read: &[u8]) -> Result<Option<&[u8]>, NotHttp> {
    match memchr::memchr(b'\n', read) {
        None if read.len() > MAX_LINE => Err(NotHttp),
        None => Ok(None),
        Some(end) => read[..end].strip_suffix(b"\r").map(Some).ok_or(NotHttp),
    }
}

/// Whether a trailer is one; it is not kept.
fn is_header(line: &[u8]) -> bool {
    let Some(colon) = memchr::memchr(b':', line) else { return false };
    HeaderName::from_bytes(&line[..colon]).is_ok() && HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).is_ok()
}

/// A chunk's size: hexadecimal digits, then nothing, or extensions, which mean nothing to us.
fn size(line: &[u8]) -> Result<u64, NotHttp> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let (digits, rest) = line.split_at(digits);
    if !matches!(rest.trim_ascii_start().first(), None | Some(b';')) {
        return Err(NotHttp);
    }
    let digits = str::from_utf8(digits).map_err(|_| NotHttp)?;
    u64::from_str_radix(digits, 16).map_err(|_| NotHttp)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body in `bytes`, which come so many at a time, and what is left after it.
    fn body(mut framing: Framing, bytes: &[u8], step: usize) -> Result<(Vec<u8>, Framing, Vec<u8>), NotHttp> {
        let (mut read, mut body) = (BytesMut::new(), vec![]);
        for piece in bytes.chunks(step) {
            read.extend_from_slice(piece);
            while let Some(data) = framing.take(&mut read)? {
                body.extend_from_slice(&data);
            }
        }
        Ok((body, framing, read.to_vec()))
    }

    #[test]
    fn heads_end_at_an_empty_line_however_lines_end() {
        for (text, end) in [
            ("GET / HTTP/1.1\r\nhost: l\r\n\r\nbody", Some(24)),
            ("GET / HTTP/1.1\nhost: l\n\nbody\r\n\r\n", Some(22)),
            ("GET / HTTP/1.1\nhost: l\n\r\nbody\n\n", Some(22)),
            ("GET / HTTP/1.1\r\nhost: l\r\n\n", Some(24)),
            ("GET / HTTP/1.1\r\nhost: l\r\n", None),
        ] {
            assert_eq!(end_of_head(text.as_bytes()), end, "{text:?}");
        }
    }

    #[test]
    fn bodies_by_their_framing() {
        let chunked = Framing::Chunked(Chunk::Size);
        type Row = (Framing, &'static [u8], &'static [u8], Framing, &'static [u8]);
        let rows: [Row; 8] = [
            (Framing::length(3), b"abcHTTP", b"abc", Framing::Over, b"HTTP"),
            (Framing::length(0), b"HTTP", b"", Framing::Over, b"HTTP"),
            (Framing::length(4), b"abc", b"abc", Framing::Length(1), b""),
            (Framing::UntilClose, b"abc", b"abc", Framing::UntilClose, b""),
            (chunked, b"3\r\nabc\r\n02;x=\"y\"\r\nde\r\n0\r\n\r\nHTTP", b"abcde", Framing::Over, b"HTTP"),
            (chunked, b"A \t\r\n0123456789\r\n0 ; last\r\nx: y\r\nz:\r\n\r\n", b"0123456789", Framing::Over, b""),
            (chunked, b"3\r\nab", b"ab", Framing::Chunked(Chunk::Data(1)), b""),
            (chunked, b"3\r\nabc\r\n0\r\n", b"abc", Framing::Chunked(Chunk::Trailers(0)), b""),
        ];
        for (framing, bytes, want, after, left) in rows {
            for step in 1..=bytes.len() {
                let (got, framing, rest) = body(framing, bytes, step).unwrap();
                assert_eq!((&*got, framing), (want, after), "{} by {step}", bytes.escape_ascii());
                // What comes after the body is not looked at.
                assert!(rest.starts_with(left) || step < bytes.len(), "{}", bytes.escape_ascii());
            }
        }
    }

    #[test]
    fn the_end_is_known_with_the_last_data() {
        let mut framing = Framing::Chunked(Chunk::Size);
        let mut read = BytesMut::from(&b"3\r\nabc\r\n0\r\n\r\n"[..]);
        assert_eq!(framing.take(&mut read).unwrap().as_deref(), Some(&b"abc"[..]));
        assert_eq!(framing, Framing::Over);
    }

    #[test]
    fn what_is_no_chunk() {
        let long = [b"1;".as_slice(), &[b'x'; MAX_LINE]].concat();
        let trailers = [b"0\r\n".as_slice(), &b"a: b\r\n".repeat(MAX_TRAILERS / 4 + 1)].concat();
        let rows: [&[u8]; 11] = [
            b"\r\n",
            b"0\r\nno header\r\n",
            b"0\r\nx\xdc: y\r\n",
            b"g\r\n",
            b"-1\r\n",
            b"0x1\r\n",
            b"3\nabc",
            b"3\r\nabcd\r\n",
            b"10000000000000000\r\n",
            &long,
            &trailers,
        ];
        for bytes in rows {
            for step in [1, 5, bytes.len()] {
                assert_eq!(body(Framing::Chunked(Chunk::Size), bytes, step), Err(NotHttp), "{}", bytes.escape_ascii());
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_in_any_pieces(bytes: Vec<u8>, step in 1usize..9) {
            let whole = body(Framing::Chunked(Chunk::Size), &bytes, bytes.len().max(1));
            let pieces = body(Framing::Chunked(Chunk::Size), &bytes, step);
            proptest::prop_assert_eq!(whole.map(|w| w.0), pieces.map(|p| p.0));
        }
    }
}
