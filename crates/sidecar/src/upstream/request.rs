//! A request on its way to a provider, and what is not written yet of one over HTTP/1.1.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Write},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::{Method, Request, Uri};
use tokio::io::AsyncWrite;

use crate::{headers::List, unsent::Unsent};

/// A body that is streamed through.
pub type Upload = UnsyncBoxBody<Bytes, io::Error>;

/// A request to a provider.
pub struct Outgoing<'a> {
    /// Method.
    pub method: &'a Method,
    /// Path and query.
    pub uri: &'a Uri,
    /// All headers but those that say where the body ends.
    pub headers: &'a List,
    /// The body.
    pub body: OutBody,
}

/// What is sent to a provider.
pub enum OutBody {
    /// Pieces of the caller's bytes with edits between; replayable by building it again.
    Rope(VecDeque<Bytes>),
    /// Streamed through, once.
    Stream(Upload),
}

impl Outgoing<'_> {
    /// As the HTTP/2 library takes it.
    pub(super) fn into_request(self) -> Request<OutBody> {
        let mut request = Request::new(self.body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.map();
        request
    }

    /// Writes the head; the body's length, `None` where it is to be chunked.
    fn write_head(&self, out: &mut Vec<u8>) -> Option<u64> {
        let mut put = |pieces: &[&[u8]]| pieces.iter().for_each(|piece| out.extend_from_slice(piece));
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        put(&[self.method.as_str().as_bytes(), b" ", path.as_bytes(), b" HTTP/1.1\r\n"]);
        for (name, value) in self.headers.iter() {
            put(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
        }
        let length = self.body.size_hint().exact();
        // RFC 9110 section 8.6: no length where the method has no use for a body.
        let tells = length != Some(0) || [Method::POST, Method::PUT, Method::PATCH].contains(self.method);
        // Writing into memory cannot fail.
        let _ = match length {
            Some(length) if tells => write!(out, "content-length: {length}\r\n\r\n"),
            Some(_) => out.write_all(b"\r\n"),
            None => out.write_all(b"transfer-encoding: chunked\r\n\r\n"),
        };
        length
    }
}

impl Body for OutBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            OutBody::Rope(pieces) => Poll::Ready(pieces.pop_front().map(|b| Ok(Frame::data(b)))),
            OutBody::Stream(s) => Pin::new(s).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            OutBody::Rope(pieces) => pieces.is_empty(),
            OutBody::Stream(s) => s.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            OutBody::Rope(pieces) => SizeHint::with_exact(pieces.iter().map(|b| b.remaining() as u64).sum()),
            OutBody::Stream(s) => s.size_hint(),
        }
    }
}

/// What is not written yet of a request.
#[derive(Default)]
pub(super) struct Unwritten {
    unsent: Unsent,
    /// Where more comes from.
    stream: Option<Upload>,
    /// What the stream still owes; `None` where it is chunked.
    owed: Option<u64>,
    progress: Progress,
}

#[derive(Clone, Copy, Default)]
enum Progress {
    /// Nothing is left.
    #[default]
    Over,
    UnderWay,
    /// No more can be written.
    Broken(ErrorKind),
}

impl Unwritten {
    /// All of `request`.
    pub(super) fn begin(&mut self, request: Outgoing<'_>) {
        self.owed = request.write_head(self.unsent.begin());
        self.progress = Progress::UnderWay;
        match request.body {
            OutBody::Rope(pieces) => {
                self.stream = None;
                pieces.into_iter().for_each(|piece| self.unsent.push(piece));
            }
            OutBody::Stream(stream) => self.stream = Some(stream),
        }
    }

    /// Whether nothing is left.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.progress, Progress::Over)
    }

    /// Whether the connection took no byte.
    pub(super) fn is_untouched(&self) -> bool {
        !self.is_over() && self.unsent.is_untouched()
    }

    /// Writes as much as `io` takes.
    ///
    /// # Errors
    /// The connection is dead, or (`Other`) the body that is streamed through ended early; from then on always.
    pub(super) fn poll(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ErrorKind>> {
        match self.progress {
            Progress::Over => return Poll::Ready(Ok(())),
            Progress::Broken(why) => return Poll::Ready(Err(why)),
            Progress::UnderWay => {}
        }
        let written = ready!(self.poll_rest(io, cx)).map_err(|e| e.kind());
        self.progress = written.map_or_else(Progress::Broken, |()| Progress::Over);
        Poll::Ready(written)
    }

    fn poll_rest(&mut self, io: &mut (impl AsyncWrite + Unpin), cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.unsent.poll_write(io, cx))?;
            let Some(stream) = &mut self.stream else { break };
            match Pin::new(stream).poll_frame(cx) {
                Poll::Pending => {
                    // The provider gets what there is meanwhile.
                    let _ = Pin::new(io).poll_flush(cx)?;
                    return Poll::Pending;
                }
                Poll::Ready(Some(Err(e))) => return Poll::Ready(Err(io::Error::other(e))),
                Poll::Ready(Some(Ok(frame))) => frame.into_data().map_or(Ok(()), |data| self.push(data))?,
                Poll::Ready(None) => {
                    self.stream = None;
                    match self.owed {
                        None => self.unsent.push_last_chunk(),
                        Some(0) => {}
                        Some(_) => return Poll::Ready(Err(wrong_length())),
                    }
                }
            }
        }
        Pin::new(io).poll_flush(cx)
    }

    /// A piece of a body that is streamed through.
    fn push(&mut self, data: Bytes) -> io::Result<()> {
        match &mut self.owed {
            Some(owed) => {
                *owed = owed.checked_sub(data.len() as u64).ok_or_else(wrong_length)?;
                self.unsent.push(data);
            }
            None => self.unsent.push_chunk(data),
        }
        Ok(())
    }
}

fn wrong_length() -> io::Error {
    io::Error::other("the body is not as long as it was said to be")
}

#[cfg(test)]
mod tests {
    use hyper::header::{HOST, HeaderValue};

    use super::*;
    use crate::unsent::tests::Taken;

    /// What is written of a request by a connection that takes so much at a time.
    fn written(method: &Method, path: &'static str, pieces: &[&'static [u8]], step: usize) -> String {
        let mut headers = List::default();
        headers.add(HOST, HeaderValue::from_static("provider"));
        let body = OutBody::Rope(pieces.iter().map(|piece| Bytes::from_static(piece)).collect());
        let mut unwritten = Unwritten::default();
        unwritten.begin(Outgoing { method, uri: &Uri::from_static(path), headers: &headers, body });
        assert!(unwritten.is_untouched());
        let mut taken = Taken { bytes: vec![], step };
        let polled = unwritten.poll(&mut taken, &mut Context::from_waker(std::task::Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Ok(()))) && unwritten.is_over() && !unwritten.is_untouched());
        String::from_utf8(taken.bytes).unwrap()
    }

    #[test]
    fn a_request_as_it_is_written() {
        let rows: [(Method, &str, &[&[u8]], &str); 5] = [
            (Method::POST, "/v1/a?b=c", &[b"ab", b"", b"cde"], "content-length: 5\r\n\r\nabcde"),
            (Method::POST, "/", &[], "content-length: 0\r\n\r\n"),
            (Method::POST, "/", &[b""], "content-length: 0\r\n\r\n"),
            (Method::GET, "/", &[], "\r\n"),
            (Method::DELETE, "/x", &[b"y"], "content-length: 1\r\n\r\ny"),
        ];
        for (method, path, pieces, rest) in rows {
            let want = format!("{method} {path} HTTP/1.1\r\nhost: provider\r\n{rest}");
            for step in [1, 2, 7, 1000] {
                assert_eq!(written(&method, path, pieces, step), want, "{step} bytes at a time");
            }
        }
    }
}
