//! The head of an answer over HTTP/1.1 (RFC 9112), read from whatever a provider sends.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use httparse::{ParserConfig, Status};
use hyper::{
    StatusCode,
    header::{self, HeaderName, HeaderValue},
};

use crate::{
    framing::{Chunk, Framing, NotHttp, end_of_head, skip_empty_lines},
    headers::{List, MOST_HEADERS, names_token},
};

/// Longest head of an answer.
pub(super) const MAX_HEAD: usize = 64 << 10;
/// Most headers of an answer.
const MAX_HEADERS: usize = 100;
/// What an answer begins with.
const BEGINNING: &[u8] = b"HTTP/1.";

/// What an answer begins with.
#[derive(Clone, Debug)]
pub struct AnswerHead {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: List,
}

/// The head of an answer over HTTP/1.1.
pub(super) struct Head {
    pub(super) head: AnswerHead,
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
    let status = seen.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(NotHttp)?;
    let is_old = seen.version == Some(0);
    // With room for what we add.
    let mut headers = List::with_capacity(seen.headers.len().max(MOST_HEADERS));
    for header in seen.headers {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| NotHttp)?;
        let value = HeaderValue::from_maybe_shared(text.slice_ref(header.value)).map_err(|_| NotHttp)?;
        headers.add(name, value);
    }
    if status == StatusCode::SWITCHING_PROTOCOLS {
        // Nobody asked for that.
        return Err(NotHttp);
    }
    let head = AnswerHead { status, headers };
    let framing = framing(&head, is_old, to_head)?;
    Ok(Head { keeps: keeps(&head, is_old), head, framing })
}

/// RFC 9112 section 6.3.
fn framing(head: &AnswerHead, is_old: bool, to_head: bool) -> Result<Framing, NotHttp> {
    let none = head.status.is_informational()
        || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || to_head;
    if none {
        return Ok(Framing::Over);
    }
    if let Some(coding) = head.headers.get_all(&header::TRANSFER_ENCODING).last() {
        let last = coding.as_bytes().rsplit(|b| *b == b',').next().unwrap_or_default();
        return match last.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            _ if is_old => Err(NotHttp),
            true => Ok(Framing::Chunked(Chunk::Size)),
            false => Ok(Framing::UntilClose),
        };
    }
    let mut lengths = head.headers.get_all(&header::CONTENT_LENGTH);
    let Some(first) = lengths.next() else { return Ok(Framing::UntilClose) };
    let digits = first.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit())).ok_or(NotHttp)?;
    if lengths.any(|other| other != first) {
        return Err(NotHttp);
    }
    digits.parse().map(Framing::length).map_err(|_| NotHttp)
}

/// Whether another request may follow (RFC 9112 section 9.3). Two ways to tell where the body ends are one too many.
fn keeps(head: &AnswerHead, is_old: bool) -> bool {
    let says = |token: &str| head.headers.get_all(&header::CONNECTION).any(|v| names_token(v, token));
    let is_clear = !head.headers.has(&header::TRANSFER_ENCODING) || !head.headers.has(&header::CONTENT_LENGTH);
    is_clear && !says("close") && (!is_old || says("keep-alive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str, to_head: bool) -> Result<Option<(u16, usize, Framing, bool)>, NotHttp> {
        let mut read = BytesMut::from(text);
        let head = take_head(&mut read, to_head)?;
        Ok(head.map(|h| (h.head.status.as_u16(), h.head.headers.len(), h.framing, h.keeps)))
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
