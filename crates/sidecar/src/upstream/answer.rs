//! The head of an answer over HTTP/1.1 (RFC 9112), read from whatever a provider sends.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use httparse::{ParserConfig, Status};
use hyper::{
    HeaderMap, Response, StatusCode, Version,
    header::{self, HeaderName, HeaderValue},
    http::response::Parts,
};

use crate::{
    framing::{Chunk, Framing, NotHttp, end_of_head, skip_empty_lines},
    headers::{MOST_HEADERS, names_token},
};

/// Longest head of an answer.
pub(super) const MAX_HEAD: usize = 64 << 10;
/// Most headers of an answer.
const MAX_HEADERS: usize = 100;
/// What an answer begins with.
const BEGINNING: &[u8] = b"HTTP/1.";

/// The head of an answer.
pub(super) struct Head {
    pub(super) parts: Parts,
    /// What is to come of its body.
    pub(super) framing: Framing,
    /// The connection stays open after it.
    pub(super) keeps: bool,
}

/// Takes the head of an answer off `read`, once it is there whole. `to_head` says that a HEAD was asked.
///
/// # Errors
/// What came is no head, or too long a one.
pub(super) fn take_head(read: &mut BytesMut, to_head: bool) -> Result<Option<Head>, NotHttp> {
    skip_empty_lines(read);
    if !BEGINNING.starts_with(&read[..read.len().min(BEGINNING.len())]) {
        return Err(NotHttp);
    }
    // With the empty line.
    let end = end_of_head(read).map(|end| end + if read[end + 1] == b'\r' { 3 } else { 2 });
    match end {
        Some(end) if end <= MAX_HEAD => parse(&read.split_to(end).freeze(), to_head).map(Some),
        None if read.len() <= MAX_HEAD => Ok(None),
        _ => Err(NotHttp),
    }
}

fn parse(text: &Bytes, to_head: bool) -> Result<Head, NotHttp> {
    let mut slots = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut seen = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut seen, text, &mut slots);
    if parsed != Ok(Status::Complete(text.len())) {
        return Err(NotHttp);
    }
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = seen.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(NotHttp)?;
    parts.version = if seen.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    // With room for what we add.
    parts.headers = HeaderMap::with_capacity(seen.headers.len().max(MOST_HEADERS));
    for header in seen.headers {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| NotHttp)?;
        let value = HeaderValue::from_maybe_shared(text.slice_ref(header.value)).map_err(|_| NotHttp)?;
        parts.headers.append(name, value);
    }
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        // Nobody asked for that.
        return Err(NotHttp);
    }
    let framing = framing(&parts, to_head)?;
    Ok(Head { keeps: keeps(&parts), parts, framing })
}

/// RFC 9112 section 6.3.
fn framing(head: &Parts, to_head: bool) -> Result<Framing, NotHttp> {
    let none = head.status.is_informational()
        || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || to_head;
    if none {
        return Ok(Framing::Over);
    }
    if let Some(coding) = head.headers.get_all(header::TRANSFER_ENCODING).iter().next_back() {
        let last = coding.as_bytes().rsplit(|b| *b == b',').next().unwrap_or_default();
        return match last.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            _ if head.version == Version::HTTP_10 => Err(NotHttp),
            true => Ok(Framing::Chunked(Chunk::Size)),
            false => Ok(Framing::UntilClose),
        };
    }
    let mut lengths = head.headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return Ok(Framing::UntilClose) };
    let digits = first.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit())).ok_or(NotHttp)?;
    if lengths.any(|other| other != first) {
        return Err(NotHttp);
    }
    digits.parse().map(Framing::length).map_err(|_| NotHttp)
}

/// Whether another request may follow (RFC 9112 section 9.3). Two ways to tell where the body ends are one too many.
fn keeps(head: &Parts) -> bool {
    let says = |token: &str| head.headers.get_all(header::CONNECTION).iter().any(|v| names_token(v, token));
    let is_clear =
        !head.headers.contains_key(header::TRANSFER_ENCODING) || !head.headers.contains_key(header::CONTENT_LENGTH);
    is_clear && !says("close") && (head.version == Version::HTTP_11 || says("keep-alive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str, to_head: bool) -> Result<Option<(u16, usize, Framing, bool)>, NotHttp> {
        let mut read = BytesMut::from(text);
        let head = take_head(&mut read, to_head)?;
        Ok(head.map(|h| (h.parts.status.as_u16(), h.parts.headers.len(), h.framing, h.keeps)))
    }

    #[test]
    fn heads_and_what_follows_them() {
        let chunked = Framing::Chunked(Chunk::Size);
        let rows = [
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", (200, 1, Framing::Length(5), true)),
            ("\r\nHTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", (200, 1, Framing::Over, true)),
            ("HTTP/1.1 200 OK\ncontent-length: 5\nx: y\n\n", (200, 2, Framing::Length(5), true)),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n", (200, 2, Framing::Length(5), true)),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", (200, 1, chunked, true)),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n", (200, 1, chunked, true)),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 9\r\n\r\n", (200, 2, chunked, false)),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, x\r\n\r\n", (200, 1, Framing::UntilClose, true)),
            ("HTTP/1.1 500 No\r\nconnection: x, Close\r\n\r\n", (500, 1, Framing::UntilClose, false)),
            ("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n", (200, 1, Framing::Length(1), false)),
            (
                "HTTP/1.0 200 OK\r\ncontent-length: 1\r\nconnection: Keep-Alive\r\n\r\n",
                (200, 2, Framing::Length(1), true),
            ),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK", (100, 0, Framing::Over, true)),
            ("HTTP/1.1 204 None\r\ncontent-length: 3\r\n\r\n", (204, 1, Framing::Over, true)),
        ];
        for (text, want) in rows {
            assert_eq!(head(text, false), Ok(Some(want)), "{text:?}");
        }
        let to_head = head("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", true);
        assert_eq!(to_head, Ok(Some((200, 1, Framing::Over, true))));
    }

    #[test]
    fn what_is_no_head() {
        let many = "x: y\r\n".repeat(MAX_HEADERS + 1);
        let long = "y".repeat(MAX_HEAD);
        let rows = [
            "<html>",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "HTTP/1.1 099 Low\r\n\r\n",
            "HTTP/1.1 101 Switching\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx y\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx : y\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx: y\r\n z\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            &format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
            &format!("HTTP/1.1 200 OK\r\nx: {long}"),
            &format!("HTTP/1.1 200 OK\r\nx: {long}\r\n\r\n"),
        ];
        for text in rows {
            assert_eq!(head(text, false), Err(NotHttp), "{text:?}");
        }
        for beginning in ["", "H", "HTTP/1.", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nx: y\r\n"] {
            assert_eq!(head(beginning, false), Ok(None), "{beginning:?}");
        }
    }
}
