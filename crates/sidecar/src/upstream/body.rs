//! A provider's answer body, which gives its connection back at its end.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::{
    answer::AnswerHead,
    link::Lost,
    pool::{Pool, Sender},
};
use crate::framing::Framing;

/// A provider's answer.
pub struct Answered {
    /// Status and headers.
    pub head: AnswerHead,
    /// What follows.
    pub body: LentBody,
}

/// A provider's answer body; at its clean end its connection goes back to the pool, else it is closed.
pub struct LentBody {
    /// Over HTTP/2; else the connection itself has it.
    stream: Option<Incoming>,
    lent: Option<(Arc<Pool>, Sender)>,
}

impl LentBody {
    pub(super) fn new(stream: Option<Incoming>, pool: Arc<Pool>, sender: Sender) -> LentBody {
        let mut body = LentBody { stream, lent: Some((pool, sender)) };
        if body.is_end_stream() {
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
    type Error = Lost;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Lost>>> {
        let this = self.get_mut();
        let link = this.lent.as_mut().and_then(|(_, sender)| sender.link());
        let frame = match (&mut this.stream, link) {
            (Some(stream), _) => ready!(Pin::new(stream).poll_frame(cx)).map(|frame| frame.map_err(Lost::from)),
            (None, Some(link)) => ready!(link.poll_body(cx)).map(|data| data.map(Frame::data)),
            (None, None) => None,
        };
        if frame.is_none() || this.is_end_stream() {
            this.give_back();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match (&self.stream, &self.lent) {
            (Some(stream), _) => stream.is_end_stream(),
            (None, Some((_, sender))) => sender.framing() == Framing::Over,
            (None, None) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.stream, &self.lent) {
            (Some(stream), _) => stream.size_hint(),
            (None, Some((_, sender))) => match sender.framing() {
                Framing::Length(left) => SizeHint::with_exact(left),
                Framing::Over => SizeHint::with_exact(0),
                Framing::Chunked(_) | Framing::UntilClose => SizeHint::default(),
            },
            (None, None) => SizeHint::with_exact(0),
        }
    }
}
