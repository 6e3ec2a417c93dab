//! A provider's event stream, frame by frame.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use dialect::sse::{Frame, Splitter};
use http_body::Body;

use crate::decode::{BodyError, Decoded};

/// Longest event.
pub const MAX_EVENT: usize = 16 << 20;

/// Frames of one answer.
pub struct Events {
    body: Decoded,
    splitter: Splitter,
    ended: bool,
}

/// Why no further frame comes.
#[derive(Debug)]
pub enum EventError {
    /// The connection died, or the coding broke.
    Lost,
    /// An event exceeds 16 MiB.
    TooLarge,
}

impl Events {
    /// Over an answer's body.
    #[must_use]
    pub fn new(body: Decoded) -> Events {
        Events { body, splitter: Splitter::new(MAX_EVENT), ended: false }
    }

    /// The next frame; `None` at the end of the body.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, EventError>>> {
        loop {
            match self.splitter.next_frame() {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if self.ended => return Poll::Ready(None),
                Ok(None) => {}
                Err(_) => return Poll::Ready(Some(Err(EventError::TooLarge))),
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.splitter.push(data);
                    }
                }
                Some(Err(BodyError::Lost | BodyError::Coding)) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(EventError::Lost)));
                }
                None => {
                    self.ended = true;
                    self.splitter.finish();
                }
            }
        }
    }

    /// The next frame, awaited.
    pub async fn next(&mut self) -> Option<Result<Frame, EventError>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }
}
