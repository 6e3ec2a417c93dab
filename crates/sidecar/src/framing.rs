//! Watches request heads as their bytes go by: ambiguous framing, and heads that take too long.
//!
//! hyper resolves `Content-Length` beside `Transfer-Encoding` by the RFC and hides the length; and its own head timeout
//! arms a timer for every request and ends idle connections. Only heads are looked at: the watch starts with a
//! connection and again when a request has been taken in, and a timer runs only while a head is incomplete.

use std::{
    io,
    pin::Pin,
    sync::atomic::{AtomicU8, Ordering},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Sleep,
};

/// Longest time from the first byte of a head to its last.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

const WATCHING: u8 = 0;
const CLEAR: u8 = 1;
const BOTH: u8 = 2;

/// What was seen of the present head; shared by the connection and its requests.
#[derive(Default)]
pub struct Heads(AtomicU8);

impl Heads {
    /// Whether the present request's framing is ambiguous, or came in a way that hid its head from the watch
    /// (pipelined behind a body). Asked only for requests with a `Transfer-Encoding`.
    #[must_use]
    pub fn are_ambiguous(&self) -> bool {
        self.0.load(Ordering::Relaxed) != CLEAR
    }

    /// The present request's body has been taken in: the next bytes are a head.
    pub fn expect_next(&self) {
        self.0.store(WATCHING, Ordering::Relaxed);
    }
}

/// A connection whose request heads are watched.
pub struct Watched {
    tcp: TcpStream,
    heads: std::sync::Arc<Heads>,
    /// The head so far, while it is incomplete.
    head: Vec<u8>,
    /// When the incomplete head is too late.
    late: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    /// Watches `tcp`.
    #[must_use]
    pub fn new(tcp: TcpStream, heads: std::sync::Arc<Heads>) -> Watched {
        Watched { tcp, heads, head: vec![], late: None }
    }

    fn look(&mut self, mut fresh: &[u8]) {
        if self.heads.0.load(Ordering::Relaxed) != WATCHING {
            return;
        }
        let whole = if self.head.is_empty() {
            fresh = begin(fresh);
            fresh
        } else {
            self.head.extend_from_slice(fresh);
            &self.head
        };
        match end_of_head(whole) {
            Some(end) => {
                let verdict = if has_both(&whole[..end]) { BOTH } else { CLEAR };
                self.heads.0.store(verdict, Ordering::Relaxed);
                self.head = vec![];
                self.late = None;
            }
            // hyper ends a head that grows beyond its limit.
            None if fresh.is_empty() => {}
            None if self.head.is_empty() => {
                self.head = fresh.to_vec();
                self.late = Some(Box::pin(tokio::time::sleep(HEAD_TIMEOUT)));
            }
            None => {}
        }
    }
}

/// Where a head begins: empty lines before it are let pass (RFC 9112 section 2.2), and do not end it.
fn begin(text: &[u8]) -> &[u8] {
    let empty = text.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    &text[empty..]
}

/// Where a head ends: at its first empty line, whose end and whose predecessor's may lack the CR.
pub(crate) fn end_of_head(text: &[u8]) -> Option<usize> {
    let crlf = memchr::memmem::find(text, b"\n\r\n");
    let before = crlf.map_or(text, |i| &text[..i + 1]);
    memchr::memmem::find(before, b"\n\n").or(crlf)
}

/// Whether a head names both headers, by line, in any case.
fn has_both(head: &[u8]) -> bool {
    let names = |name: &[u8]| {
        head.split(|b| *b == b'\n').any(|line| {
            line.get(..name.len()).is_some_and(|n| n.eq_ignore_ascii_case(name))
                && line[name.len()..].trim_ascii_start().first() == Some(&b':')
        })
    };
    // Nearly every head has no transfer coding; look for it first.
    names(b"transfer-encoding") && names(b"content-length")
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.tcp).poll_read(cx, buf);
        if polled.is_ready() && buf.filled().len() > before {
            self.look(&buf.filled()[before..]);
        }
        if polled.is_pending()
            && let Some(late) = &mut self.late
            && late.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn heads() {
        for (head, both) in [
            ("POST / HTTP/1.1\r\ncontent-length: 5\r\nTransfer-Encoding: chunked", true),
            ("POST / HTTP/1.1\r\nTRANSFER-ENCODING : chunked\r\nContent-Length:5", true),
            ("POST / HTTP/1.1\r\ncontent-length: 5\r\nx: transfer-encoding: chunked", false),
            ("POST / HTTP/1.1\r\ntransfer-encoding: chunked", false),
        ] {
            assert_eq!(has_both(head.as_bytes()), both, "{head}");
        }
    }

    /// As far as anybody can read a head at all, what is ambiguous in it is seen, in however many pieces it comes.
    #[test]
    fn fuzz_request_heads() {
        let seeds = [
            "POST /v1/messages HTTP/1.1\r\nhost: l\r\ncontent-length: 5\r\n\r\nhello",
            "POST /v1/messages HTTP/1.1\r\nhost: l\r\nTransfer-Encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\nhost: l\ncontent-length : 5\ntransfer-encoding:\n chunked\n\nx\r\n\r\n",
            "GET / HTTP/1.0\r\nx: transfer-encoding: chunked\r\ny:content-length\r\n\n",
            "\r\n\r\nPOST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        ];
        crate::fuzz::run_over(
            "request heads",
            |mutator| mutator.raw(&seeds),
            |input, mutator| {
                let head = begin(input);
                let Some(end) = end_of_head(head) else { return false };
                assert_eq!(head[end], b'\n');
                // More of the body changes nothing.
                let less = head.len() - mutator.below(head.len() - end);
                assert!(end_of_head(&head[..less]).is_none_or(|again| again == end));
                let mut space = [httparse::EMPTY_HEADER; 100];
                let mut request = httparse::Request::new(&mut space);
                if request.parse(input).is_ok_and(|parsed| parsed.is_complete()) {
                    let has = |name: &str| request.headers.iter().any(|h| h.name.eq_ignore_ascii_case(name));
                    if has("content-length") && has("transfer-encoding") {
                        assert!(has_both(&head[..end]));
                    }
                }
                true
            },
        );
    }

    proptest::proptest! {
        /// Whatever stands around them and however they are written, two headers that contradict are seen.
        #[test]
        fn both_are_found_in_any_head(before: Vec<u8>, between: Vec<u8>, upper: bool, space in "[ \t]{0,3}") {
            let lower = |name: &str| if upper { name.to_ascii_uppercase() } else { name.to_owned() };
            let line = |name| format!("\n{}{space}: x\r\n", lower(name)).into_bytes();
            let head = [before, line("content-length"), between, line("transfer-encoding")].concat();
            proptest::prop_assert!(has_both(&head));
        }
    }
}
