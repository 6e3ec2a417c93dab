//! An HTTP/1.1 connection that is driven by whoever uses it: the request's own task writes and reads, and nothing is
//! handed from task to task. Between two requests nobody drives it; what happened meanwhile is seen at the next use.

use std::{
    future::{Future, poll_fn},
    io::{self, ErrorKind},
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
};

use bytes::{Bytes, BytesMut};
use hyper::Method;
use policy::Tick;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    time::{Sleep, sleep_until},
};

use super::{
    answer::{self, AnswerHead, Head},
    connect::Io,
    request::{Outgoing, Unwritten},
};
use crate::{
    burst::behind_others,
    clock,
    framing::{Framing, NotHttp},
};

/// Bytes that are read at once, as long as no read brought so many; then twice as many,
const STEP: usize = 8 << 10;
/// up to this.
const MAX_STEP: usize = 64 << 10;

/// One connection.
pub(super) struct Link<S = Io> {
    io: S,
    /// Read and not yet taken.
    read: BytesMut,
    step: usize,
    /// Something came since the request began.
    heard: bool,
    unwritten: Unwritten,
    to_head: bool,
    /// What is to come of the answer's body.
    framing: Framing,
    /// It can take another request after this one.
    keeps: bool,
    alarm: Option<Alarm>,
}

/// Why no head of an answer came.
#[derive(Debug)]
pub(super) enum NoHead {
    /// Not in time.
    Late,
    /// The connection died, or what came was not HTTP.
    Lost(Lost),
}

/// How a connection was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// It was closed before any byte of the request left.
    #[error("the connection was closed before the request left")]
    Unsent,
    /// It was closed without a byte of an answer.
    #[error("the connection was closed without an answer")]
    Unanswered,
    /// It died within the answer.
    #[error("the connection died within the answer")]
    Cut,
    /// What came is not HTTP.
    #[error("what came is not HTTP")]
    NotHttp,
}

impl From<NotHttp> for Lost {
    fn from(NotHttp: NotHttp) -> Lost {
        Lost::NotHttp
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    /// Over an open connection.
    pub(super) fn new(io: S) -> Link<S> {
        Link {
            io,
            read: BytesMut::new(),
            step: STEP,
            heard: false,
            unwritten: Unwritten::default(),
            to_head: false,
            framing: Framing::Over,
            keeps: true,
            alarm: None,
        }
    }

    /// Sends `request`, and drives the connection until the head of the answer is here or it is `until`.
    pub(super) async fn send(&mut self, request: Outgoing<'_>, until: Tick) -> Result<AnswerHead, NoHead> {
        behind_others().await;
        if !self.is_free() {
            return Err(NoHead::Lost(Lost::Unsent));
        }
        (self.heard, self.step) = (false, STEP);
        self.to_head = *request.method == Method::HEAD;
        self.unwritten.begin(request);
        poll_fn(|cx| {
            if let Poll::Ready(head) = self.poll_head(cx) {
                return Poll::Ready(head.map_err(NoHead::Lost));
            }
            let rings = self.alarm.get_or_insert_with(|| Alarm::new(until)).poll(until, cx);
            if rings { Poll::Ready(Err(NoHead::Late)) } else { Poll::Pending }
        })
        .await
    }

    /// The next piece of the answer's body, of which [`Self::framing`] tells how much is to come.
    pub(super) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Lost>>> {
        let polled = self.poll_piece(cx);
        if let Poll::Ready(Some(Err(_))) = polled {
            (self.framing, self.keeps) = (Framing::Over, false);
        }
        polled
    }

    /// What is to come of the answer's body.
    pub(super) fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether it can take a request: its last answer is over, and the provider has not closed it. Nobody is woken by it
    /// until it is driven again.
    pub(super) fn is_free(&mut self) -> bool {
        let is_idle = self.keeps && self.framing == Framing::Over && self.unwritten.is_over() && self.read.is_empty();
        // Whatever comes now was not asked for.
        let cx = &mut Context::from_waker(Waker::noop());
        is_idle && Pin::new(&mut self.io).poll_read(cx, &mut ReadBuf::new(&mut [0])).is_pending()
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<AnswerHead, Lost>> {
        // A provider may answer and close before it has read the whole request: its answer counts, or else reading tells
        // how the connection ended.
        let broken = match self.unwritten.poll(&mut self.io, cx) {
            Poll::Ready(Err(why)) if !is_closed(why) => Some(why),
            _ => None,
        };
        loop {
            if let Some(Head { head, framing, keeps }) = answer::take_head(&mut self.read, self.to_head)? {
                if head.status.is_informational() {
                    continue;
                }
                (self.framing, self.keeps) = (framing, keeps);
                return Poll::Ready(Ok(head));
            }
            match self.poll_fill(cx) {
                Poll::Pending if broken.is_some() => return Poll::Ready(Err(self.lost(broken))),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(self.lost(None))),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(e)) => return Poll::Ready(Err(self.lost(Some(e.kind())))),
            }
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Lost>>> {
        loop {
            if let Some(data) = self.framing.take(&mut self.read)? {
                return Poll::Ready(Some(Ok(data)));
            }
            if self.framing == Framing::Over {
                return Poll::Ready(None);
            }
            // What is left of the request goes on; where it cannot, that shows when reading.
            let _ = self.unwritten.poll(&mut self.io, cx);
            match ready!(self.poll_fill(cx)) {
                Ok(0) if self.framing == Framing::UntilClose => {
                    (self.framing, self.keeps) = (Framing::Over, false);
                }
                Ok(0) | Err(_) => return Poll::Ready(Some(Err(Lost::Cut))),
                Ok(_) => {}
            }
        }
    }

    /// Reads what is there.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.read.capacity() - self.read.len() < self.step / 2 {
            self.read.reserve(self.step);
        }
        let count = ready!(pin!(self.io.read_buf(&mut self.read)).poll(cx))?;
        self.heard |= count > 0;
        if self.read.len() == self.read.capacity() {
            self.step = (2 * self.step).min(MAX_STEP);
        }
        Poll::Ready(Ok(count))
    }

    /// What it means that no head came, where it ended with this error or with the connection's end.
    fn lost(&self, error: Option<ErrorKind>) -> Lost {
        match self.heard || !error.is_none_or(is_closed) {
            true => Lost::Cut,
            false if self.unwritten.is_untouched() => Lost::Unsent,
            false => Lost::Unanswered,
        }
    }
}

/// Whether an error says that the other side closed the connection; TLS tells so by an unexpected end.
pub(super) fn is_closed(error: ErrorKind) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error, BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}

/// A timer that is seldom set: it stays where it is as long as what it bounds ends later, and is moved when it rings.
struct Alarm {
    timer: Pin<Box<Sleep>>,
    rings: Tick,
}

impl Alarm {
    fn new(until: Tick) -> Alarm {
        Alarm { timer: Box::pin(sleep_until(clock::instant(until))), rings: until }
    }

    /// Whether it is `until`; else wakes no later than then.
    fn poll(&mut self, until: Tick, cx: &mut Context<'_>) -> bool {
        if until < self.rings {
            self.set(until);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if until <= self.rings {
                return true;
            }
            self.set(until);
        }
        false
    }

    fn set(&mut self, until: Tick) {
        self.timer.as_mut().reset(clock::instant(until));
        self.rings = until;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Whole seconds until the alarm says that it is `until` seconds from now.
    async fn rings(alarm: &mut Alarm, until: u64) -> u64 {
        let began = tokio::time::Instant::now();
        let due = clock::now().after(Duration::from_secs(until));
        std::future::poll_fn(|cx| if alarm.poll(due, cx) { Poll::Ready(()) } else { Poll::Pending }).await;
        began.elapsed().as_secs_f64().round() as u64
    }

    #[tokio::test(start_paused = true)]
    async fn one_timer_bounds_one_wait_after_another() {
        let mut alarm = Alarm::new(clock::now().after(Duration::from_secs(1)));
        // Only the timers' clock goes on here, so what is left is the whole again when the earlier time comes.
        assert_eq!(rings(&mut alarm, 20).await, 1 + 20, "it stood earlier, and is moved on");
        assert_eq!(rings(&mut alarm, 9).await, 9, "it stood later");
        assert_eq!(rings(&mut alarm, 12).await, 12, "it has rung before");
    }
}
