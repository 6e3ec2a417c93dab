//! A paced stream of server-sent events.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use llmroute_bench::monotonic_ns;
use tokio::time::{Sleep, sleep};

use crate::{ask::Ask, words::Words};

/// The event stream of one request.
pub(crate) struct Stream {
    ask: Ask,
    words: &'static Words,
    next: u32,
    /// Set between two events.
    pause: bool,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Stream {
    pub(crate) fn new(ask: Ask, words: &'static Words) -> Self {
        Stream { ask, words, next: 0, pause: false, sleep: None }
    }

    /// Steps `0..chunks` are content, what opens the stream before the first; the one after them ends it.
    fn event(&self) -> String {
        let mut text = String::with_capacity(512);
        if self.next == 0 {
            text.push_str(self.words.opening);
        }
        // writing to a String cannot fail
        let _ = if self.next == self.ask.chunks {
            (self.words.closing)(&mut text, self.ask.chunks, self.ask.include_usage)
        } else {
            (self.words.content)(&mut text, monotonic_ns(), self.next)
        };
        text
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.next > self.ask.chunks {
            return Poll::Ready(None);
        }
        if self.pause && (self.ask.chunk_delay.is_zero() || self.next == self.ask.chunks) {
            // one pending turn makes hyper flush what it has, so that each event is its own write
            self.pause = false;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.pause {
            let delay = self.ask.chunk_delay;
            ready!(self.sleep.get_or_insert_with(|| Box::pin(sleep(delay))).as_mut().poll(cx));
            self.sleep = None;
        }
        let event = self.event();
        self.next += 1;
        self.pause = true;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(event)))))
    }
}
