//! What an app sends over one connection: heads, and bodies that are taken in whole or streamed through.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::{
    io::AsyncReadExt,
    net::tcp::OwnedReadHalf,
    sync::oneshot,
    time::{sleep, timeout},
};
use tokio_util::sync::WaitForCancellationFuture;

use super::head::{BadHead, Head, Heads};
use crate::{
    framing::{Framing, NotHttp},
    headers::List,
    idle::Idle,
};

/// Bytes that are read at once.
const STEP: usize = 8 << 10;
/// Longest time from the first byte of a head to its last.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time of a body without a byte.
const STALL: Duration = Duration::from_secs(30);
/// What nobody wants any more is read until nothing came for so long,
const LINGER_QUIET: Duration = Duration::from_secs(2);
/// for so long at most,
const LINGER: Duration = Duration::from_secs(10);
/// and so much of it: half as much again as a body may have.
const LINGER_BYTES: usize = 48 << 20;

/// What comes next.
pub(super) enum Next {
    /// A request.
    Head(Box<Head>),
    /// What is no request.
    Bad(BadHead),
    /// Nothing more, or not in time.
    Over,
}

/// Why there is no more of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyLost {
    /// It ended early, or its chunks are none.
    Broken,
    /// No byte came for 30 s.
    Stalled,
}

/// One connection, as far as it is read.
pub(crate) struct Inlet {
    heads: Heads,
    /// `None` while a body is streamed through.
    source: Option<Source>,
    lent: Option<oneshot::Receiver<Source>>,
}

struct Source {
    half: OwnedReadHalf,
    /// Read and not yet taken.
    read: BytesMut,
    /// What is to come of the present body.
    framing: Framing,
    /// The app waits for leave to send it.
    awaits_leave: bool,
}

impl Inlet {
    pub(super) fn new(half: OwnedReadHalf) -> Inlet {
        let source = Source { half, read: BytesMut::new(), framing: Framing::Over, awaits_leave: false };
        Inlet { heads: Heads::default(), source: Some(source), lent: None }
    }

    /// Waits for the next request; until its first byte, `stop` ends that.
    pub(super) async fn next(&mut self, mut stop: Pin<&mut WaitForCancellationFuture<'_>>) -> Next {
        let Some(source) = &mut self.source else { return Next::Over };
        let mut late = None;
        loop {
            match self.heads.take(&mut source.read) {
                Ok(Some(head)) => {
                    // What is refused for its framing is not read on, whatever comes.
                    source.framing = head.framing.unwrap_or(Framing::UntilClose);
                    source.awaits_leave = head.awaits_leave;
                    return Next::Head(Box::new(head));
                }
                Ok(None) => {}
                Err(bad) => {
                    source.framing = Framing::UntilClose;
                    return Next::Bad(bad);
                }
            }
            let has_begun = !source.read.is_empty();
            let filled = poll_fn(|cx| {
                if let Poll::Ready(filled) = source.poll_fill(cx) {
                    return Poll::Ready(filled.is_ok_and(|count| count > 0));
                }
                let over = match has_begun {
                    false => stop.as_mut().poll(cx),
                    true => late.get_or_insert_with(|| Box::pin(sleep(HEAD_TIMEOUT))).as_mut().poll(cx),
                };
                over.map(|()| false)
            });
            if !filled.await {
                return Next::Over;
            }
        }
    }

    /// Takes the memory of headers that are no longer needed.
    pub(super) fn reuse(&mut self, headers: List) {
        self.heads.reuse(headers);
    }

    /// What is to come of the body.
    pub(crate) fn framing(&self) -> Framing {
        self.source.as_ref().map_or(Framing::Over, |source| source.framing)
    }

    /// The whole of a body of known length, which is read to where it stays.
    ///
    /// # Errors
    /// It does not come.
    pub(crate) async fn exactly(&mut self, length: usize) -> Result<Bytes, BodyLost> {
        let source = self.source.as_mut().ok_or(BodyLost::Broken)?;
        source.give_leave();
        if source.read.len() >= length {
            source.framing = Framing::Over;
            return Ok(source.read.split_to(length).freeze());
        }
        let mut body = BytesMut::with_capacity(length);
        body.extend_from_slice(&source.read);
        source.read.clear();
        let mut idle = Idle::new(STALL);
        while body.len() < length {
            let left = length - body.len();
            let mut rest = (&mut body).limit(left);
            let mut reading = pin!(source.half.read_buf(&mut rest));
            let count = poll_fn(|cx| match reading.as_mut().poll(cx) {
                Poll::Pending if idle.poll_late(cx) => Poll::Ready(Err(BodyLost::Stalled)),
                read => read.map_err(|_| BodyLost::Broken),
            });
            if count.await? == 0 {
                return Err(BodyLost::Broken);
            }
            idle.touch();
        }
        source.framing = Framing::Over;
        Ok(body.freeze())
    }

    /// The next piece of the body.
    ///
    /// # Errors
    /// It does not come.
    pub(crate) async fn piece(&mut self) -> Option<Result<Bytes, BodyLost>> {
        let source = self.source.as_mut()?;
        source.give_leave();
        let mut idle = None;
        poll_fn(|cx| match source.poll_piece(cx) {
            Poll::Pending if idle.get_or_insert_with(|| Idle::new(STALL)).poll_late(cx) => {
                Poll::Ready(Some(Err(BodyLost::Stalled)))
            }
            piece => piece,
        })
        .await
    }

    /// The body, to be streamed through. At its end the connection is read on from here.
    pub(crate) fn lend(&mut self) -> Upload {
        let (back, lent) = oneshot::channel();
        let mut source = self.source.take();
        if let Some(source) = &mut source {
            source.give_leave();
        }
        self.lent = Some(lent);
        Upload { lent: source.map(|source| (source, back)), idle: Idle::new(STALL) }
    }

    /// Waits until the app is gone.
    pub(crate) async fn gone(&mut self) {
        poll_fn(|cx| self.poll_gone(cx)).await;
    }

    /// Whether the app is gone; what it sends beforehand is the next request.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(lent) = &mut self.lent {
            self.source = ready!(Pin::new(lent).poll(cx)).ok();
            self.lent = None;
        }
        match &mut self.source {
            Some(source) if source.read.is_empty() && source.framing == Framing::Over => {
                match ready!(source.poll_fill(cx)) {
                    Ok(0) | Err(_) => Poll::Ready(()),
                    Ok(_) => Poll::Pending,
                }
            }
            _ => Poll::Pending,
        }
    }

    /// Whether the body is over, as far as it is here, so that another request may follow.
    pub(super) fn is_through(&mut self) -> bool {
        match self.lent.as_mut().map(oneshot::Receiver::try_recv) {
            Some(Ok(source)) => (self.source, self.lent) = (Some(source), None),
            Some(Err(oneshot::error::TryRecvError::Closed)) => self.lent = None,
            Some(Err(oneshot::error::TryRecvError::Empty)) | None => {}
        }
        let Some(source) = &mut self.source else { return false };
        while let Ok(Some(_)) = source.framing.take(&mut source.read) {}
        source.framing == Framing::Over
    }

    /// Whether something came that nobody reads any more.
    pub(super) fn has_more(&mut self) -> bool {
        !self.is_through() || self.source.as_ref().is_some_and(|source| !source.read.is_empty())
    }

    /// Reads what an app still sends that was answered already: closed under it, it might never see the answer (RFC 9112
    /// section 9.6).
    pub(super) async fn linger(&mut self) {
        let Some(source) = &mut self.source else { return };
        let discard = async {
            let mut left = LINGER_BYTES;
            while left > 0 {
                source.read.clear();
                match timeout(LINGER_QUIET, poll_fn(|cx| source.poll_fill(cx))).await {
                    Ok(Ok(count @ 1..)) => left = left.saturating_sub(count),
                    _ => break,
                }
            }
        };
        let _ = timeout(LINGER, discard).await;
    }
}

impl Source {
    /// Reads what is there.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.read.capacity() - self.read.len() < STEP / 4 {
            self.read.reserve(STEP);
        }
        pin!(self.half.read_buf(&mut self.read)).poll(cx)
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyLost>>> {
        loop {
            match self.framing.take(&mut self.read) {
                Ok(Some(data)) => return Poll::Ready(Some(Ok(data))),
                Ok(None) if self.framing == Framing::Over => return Poll::Ready(None),
                Ok(None) => {}
                Err(NotHttp) => return Poll::Ready(Some(Err(BodyLost::Broken))),
            }
            if !ready!(self.poll_fill(cx)).is_ok_and(|count| count > 0) {
                return Poll::Ready(Some(Err(BodyLost::Broken)));
            }
        }
    }

    /// Once, and where there is a body at all. An app that does not get it sends its body after a while all the same.
    fn give_leave(&mut self) {
        if std::mem::take(&mut self.awaits_leave) && self.framing != Framing::Over {
            let _ = self.half.as_ref().try_write(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }
}

/// A body that is streamed through; gives the connection back.
pub(crate) struct Upload {
    lent: Option<(Source, oneshot::Sender<Source>)>,
    idle: Idle,
}

impl Upload {
    fn give_back(&mut self) {
        if let Some((source, back)) = self.lent.take() {
            // Else the connection is gone.
            let _ = back.send(source);
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        let Some((source, _)) = &mut this.lent else { return Poll::Ready(None) };
        let piece = match source.poll_piece(cx) {
            Poll::Pending if this.idle.poll_late(cx) => Some(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => return Poll::Pending,
            Poll::Ready(piece) => {
                this.idle.touch();
                piece.map(|piece| piece.map_err(|_| io::ErrorKind::UnexpectedEof.into()))
            }
        };
        if piece.is_none() {
            this.give_back();
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.lent.as_ref().is_none_or(|(source, _)| source.framing == Framing::Over)
    }

    fn size_hint(&self) -> SizeHint {
        match self.lent.as_ref().map_or(Framing::Over, |(source, _)| source.framing) {
            Framing::Length(left) => SizeHint::with_exact(left),
            Framing::Over => SizeHint::with_exact(0),
            Framing::Chunked(_) | Framing::UntilClose => SizeHint::default(),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.give_back();
    }
}
