//! The body of an answer to the app: whole, streamed, or passed on unread.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::StatusCode;
use policy::outcome::Failure;

use crate::{
    admit::Permit,
    decode::Decoded,
    exchange::{Exchange, Told},
    headers::List,
    idle::Idle,
    later::Why,
    memory::Room,
    stream::StreamReply,
    telemetry::decision::Status,
};

/// An answer to the app.
pub struct Response {
    /// Status.
    pub status: StatusCode,
    /// All headers but those that say where the body ends.
    pub headers: List,
    /// The body.
    pub reply: Reply,
    /// Why a request by id failed, for who runs it again or not.
    pub refused: Option<Why>,
}

/// An answer's body.
pub enum Reply {
    /// Known in full.
    Whole(VecDeque<Bytes>, Option<Room>),
    /// Events as they come.
    Stream(Box<StreamReply>),
    /// Bytes as they come.
    Raw(Box<RawReply>),
}

impl Reply {
    /// Pieces in order; the memory they take is given back when the body has been sent.
    #[must_use]
    pub fn whole(pieces: Vec<Bytes>, room: Option<Room>) -> Reply {
        Reply::Whole(pieces.into(), room)
    }

    /// A whole body in one piece, with the memory it takes.
    #[must_use]
    pub fn into_whole(self) -> Option<(Bytes, Option<Room>)> {
        let Reply::Whole(mut pieces, room) = self else { return None };
        let body = match (pieces.len(), pieces.pop_front()) {
            (1, Some(only)) => only,
            (_, first) => first.into_iter().chain(pieces).collect::<Vec<_>>().concat().into(),
        };
        Some((body, room))
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Reply::Whole(pieces, _) => Poll::Ready(pieces.pop_front().map(|b| Ok(Frame::data(b)))),
            Reply::Stream(s) => s.poll_next(cx).map(|next| next.map(|b| Ok(Frame::data(b)))),
            Reply::Raw(r) => r.poll_next(cx).map(|next| next.map(|b| b.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Reply::Whole(pieces, _) if pieces.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Reply::Whole(pieces, _) => SizeHint::with_exact(pieces.iter().map(|b| b.len() as u64).sum()),
            _ => SizeHint::default(),
        }
    }
}

/// An answer that we do not read; a cut breaks the connection, since there is no other way to say it.
pub struct RawReply {
    body: Decoded,
    idle: Idle,
    open: Option<(Box<Exchange>, Told, Box<Permit>)>,
}

impl RawReply {
    pub(crate) fn new(x: Box<Exchange>, told: Told, body: Decoded, permit: Box<Permit>, idle: Duration) -> RawReply {
        RawReply { body, idle: Idle::new(idle), open: Some((x, told, permit)) }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            let cut = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.idle.touch();
                    match frame.into_data() {
                        Ok(data) => return Poll::Ready(Some(Ok(data))),
                        Err(_) => continue,
                    }
                }
                Poll::Ready(None) => {
                    if let Some((x, told, permit)) = self.open.take() {
                        permit.settle(None);
                        x.end(told);
                    }
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Err(_))) => Failure::Lost,
                Poll::Pending if self.idle.poll_late(cx) => Failure::Timeout,
                Poll::Pending => return Poll::Pending,
            };
            if let Some((x, told, permit)) = self.open.take() {
                permit.fail(cut, None);
                x.end(Told { status: Status::Failed, ..told });
            }
            return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
        }
    }
}

impl Drop for RawReply {
    fn drop(&mut self) {
        if let Some((x, told, permit)) = self.open.take() {
            drop(permit);
            x.end(Told { client_gone: true, ..told });
        }
    }
}
