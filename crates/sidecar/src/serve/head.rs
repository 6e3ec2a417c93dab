//! The head of a request over HTTP/1.1 (RFC 9112), read from whatever an app sends.

use std::{mem::MaybeUninit, ops::Range};

use bytes::BytesMut;
use httparse::{ParserConfig, Status};
use hyper::{
    Method, Uri, Version,
    header::{self, HeaderName, HeaderValue},
};

use crate::{
    framing::{Chunk, Framing, end_of_head, skip_empty_lines},
    headers::{List, names_token},
};

/// Longest head of a request.
const MAX_HEAD: usize = 64 << 10;
/// Most headers of a request.
const MAX_HEADERS: usize = 100;

/// The head of a request.
pub(crate) struct Head {
    /// Method.
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) uri: Uri,
    /// 1.1 or 1.0.
    pub(crate) version: Version,
    /// Headers.
    pub(crate) headers: List,
    /// What is to come of its body, or why nobody can tell.
    pub(crate) framing: Result<Framing, &'static str>,
    /// The app takes another answer on this connection.
    pub(crate) keeps: bool,
    /// The app waits for leave to send its body.
    pub(crate) awaits_leave: bool,
}

/// What came is no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadHead {
    /// It is not HTTP/1, and why.
    NotHttp(&'static str),
    /// It has too many bytes or headers.
    TooLarge,
    /// It is the beginning of another version, in which we have no word.
    OtherVersion,
}

/// Reads one head after another.
#[derive(Default)]
pub(super) struct Heads {
    /// So many bytes do not hold the end of the present one.
    seen: usize,
    /// Names, and where their values stand.
    lines: Vec<(HeaderName, Range<usize>)>,
    /// An empty list, for its memory.
    spare: List,
}

impl Heads {
    /// Takes a head off `read`, once it is there whole.
    ///
    /// # Errors
    /// What came is no head, or too long a one.
    pub(super) fn take(&mut self, read: &mut BytesMut) -> Result<Option<Head>, BadHead> {
        if self.seen == 0 {
            skip_empty_lines(read);
        }
        // Most are here at once. Of others only what is new is looked at, until it may be the end.
        let fresh = &read[self.seen.saturating_sub(3)..];
        if read.is_empty() || (self.seen > 0 && end_of_head(fresh).is_none()) {
            return self.wait(read);
        }
        let mut slots = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut seen = httparse::Request::new(&mut []);
        let end = match ParserConfig::default().parse_request_with_uninit_headers(&mut seen, read, &mut slots) {
            Ok(Status::Complete(end)) if end <= MAX_HEAD => end,
            Ok(Status::Partial) => return self.wait(read),
            Ok(Status::Complete(_)) | Err(httparse::Error::TooManyHeaders) => return Err(BadHead::TooLarge),
            Err(httparse::Error::Version) if read.starts_with(b"PRI * HTTP/2.0") => return Err(BadHead::OtherVersion),
            Err(_) => return Err(BadHead::NotHttp("the head of the request is not HTTP/1.1")),
        };
        let method = seen.method.and_then(|method| Method::from_bytes(method.as_bytes()).ok());
        // A copy: it outlives the request in its record, and would hold all that came with it.
        let uri = seen.path.and_then(|path| Uri::try_from(path).ok());
        let (Some(method), Some(uri)) = (method, uri) else {
            return Err(BadHead::NotHttp("the method or the path of the request cannot be read"));
        };
        let version = if seen.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
        self.lines.clear();
        for header in seen.headers.iter() {
            let Ok(name) = HeaderName::from_bytes(header.name.as_bytes()) else {
                return Err(BadHead::NotHttp("the name of a header cannot be read"));
            };
            let start = header.value.as_ptr() as usize - read.as_ptr() as usize;
            self.lines.push((name, start..start + header.value.len()));
        }
        let text = read.split_to(end).freeze();
        self.seen = 0;
        let mut headers = std::mem::take(&mut self.spare);
        for (name, value) in self.lines.drain(..) {
            let Ok(value) = HeaderValue::from_maybe_shared(text.slice(value)) else {
                return Err(BadHead::NotHttp("the value of a header cannot be read"));
            };
            headers.add(name, value);
        }
        let framing = framing(version, &headers);
        let (keeps, awaits_leave) = (keeps(version, &headers), awaits_leave(version, &headers));
        Ok(Some(Head { method, uri, version, headers, framing, keeps, awaits_leave }))
    }

    /// More is to come.
    fn wait(&mut self, read: &BytesMut) -> Result<Option<Head>, BadHead> {
        self.seen = read.len();
        if self.seen > MAX_HEAD { Err(BadHead::TooLarge) } else { Ok(None) }
    }

    /// Takes headers that are no longer needed, for their memory.
    pub(super) fn reuse(&mut self, mut headers: List) {
        headers.clear();
        self.spare = headers;
    }
}

/// RFC 9112 section 6.3, and less: what two readers might take for two requests is refused.
fn framing(version: Version, headers: &List) -> Result<Framing, &'static str> {
    let length = headers.get(&header::CONTENT_LENGTH);
    if headers.has(&header::TRANSFER_ENCODING) {
        if length.is_some() {
            return Err("the request has both Content-Length and Transfer-Encoding; send one");
        }
        if version == Version::HTTP_10 {
            return Err("HTTP/1.0 has no Transfer-Encoding; send Content-Length");
        }
        let mut codings = headers.get_all(&header::TRANSFER_ENCODING);
        let first = codings.next().is_some_and(|v| v.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"));
        if !first || codings.next().is_some() {
            return Err("of transfer codings only chunked is undone, and once; compress with Content-Encoding");
        }
        return Ok(Framing::Chunked(Chunk::Size));
    }
    let Some(length) = length else { return Ok(Framing::Over) };
    if headers.get_all(&header::CONTENT_LENGTH).any(|other| other != length) {
        return Err("the request has several Content-Length headers that differ; send one");
    }
    let digits = length.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let bytes = digits.and_then(|text| text.parse().ok()).ok_or("Content-Length is no number of bytes")?;
    Ok(Framing::length(bytes))
}

/// RFC 9112 section 9.3.
fn keeps(version: Version, headers: &List) -> bool {
    let says = |token: &str| headers.get_all(&header::CONNECTION).any(|v| names_token(v, token));
    !says("close") && (version == Version::HTTP_11 || says("keep-alive"))
}

/// RFC 9110 section 10.1.1. Of other expectations nobody knows.
fn awaits_leave(version: Version, headers: &List) -> bool {
    version == Version::HTTP_11
        && headers.get(&header::EXPECT).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
