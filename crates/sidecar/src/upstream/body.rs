//! Bodies to and from a provider: a rope of byte slices out, and in a body that gives its connection back at its end.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::pool::{Pool, Sender};

/// What is sent to a provider.
pub enum OutBody {
    /// Pieces of the caller's bytes with edits between; replayable by building it again.
    Rope(VecDeque<Bytes>),
    /// Streamed through, once.
    Stream(Incoming),
}

impl Body for OutBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
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

/// A provider's answer body, which drives its connection; at its clean end that goes back to its pool, else it is closed.
pub struct LentBody {
    inner: Incoming,
    lent: Option<(Arc<Pool>, Sender)>,
}

impl LentBody {
    pub(super) fn new(inner: Incoming, pool: Arc<Pool>, sender: Sender) -> LentBody {
        let mut body = LentBody { inner, lent: Some((pool, sender)) };
        if body.inner.is_end_stream() {
            body.give_back();
        }
        body
    }

    fn give_back(&mut self) {
        if let Some((pool, sender)) = self.lent.take() {
            pool.put_back(sender);
        }
    }
}

impl Body for LentBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let LentBody { inner, lent } = self.as_mut().get_mut();
        let frame = match lent.as_mut().and_then(|(_, sender)| sender.link()) {
            None => ready!(Pin::new(inner).poll_frame(cx)),
            Some(link) => {
                let unheard = &mut Context::from_waker(Waker::noop());
                match Pin::new(&mut *inner).poll_frame(unheard) {
                    Poll::Ready(frame) => frame,
                    Poll::Pending => ready!(link.drive(cx, || Pin::new(&mut *inner).poll_frame(unheard))),
                }
            }
        };
        if frame.is_none() || self.inner.is_end_stream() {
            self.give_back();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
