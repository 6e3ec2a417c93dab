//! The answers: a fixed JSON document, and a paced stream of server-sent events.

use std::{
    convert::Infallible,
    fmt::Write,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use llmroute_bench::monotonic_ns;
use tokio::time::{Sleep, sleep};

use crate::ask::Ask;

pub(crate) const MODELS: &str =
    r#"{"object":"list","data":[{"id":"mock","object":"model","created":1750000000,"owned_by":"mock"}]}"#;

pub(crate) const CHAT: &str = r#"{"id":"chatcmpl-mock0000000000000000000000000","object":"chat.completion","created":1750000000,"model":"mock","choices":[{"index":0,"message":{"role":"assistant","content":"The mock upstream answers every question with the same sentence, which is long enough to look like a short reply from a real model and short enough to keep the cost of the transfer small.","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":256,"completion_tokens":42,"total_tokens":298,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}},"system_fingerprint":"fp_mock"}"#;

const CHUNK: &str = r#"data: {"id":"chatcmpl-mock","object":"chat.completion.chunk","created":1750000000,"model":"mock","system_fingerprint":"fp_mock","choices":"#;

const USAGE: &str = r#"[],"usage":{"prompt_tokens":256,"completion_tokens":50,"total_tokens":306}}"#;

/// The event stream of one request.
pub(crate) struct Stream {
    ask: Ask,
    next: u32,
    /// Set between two events.
    pause: bool,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Stream {
    pub(crate) fn new(ask: Ask) -> Self {
        Stream { ask, next: 0, pause: false, sleep: None }
    }

    /// Steps `0..chunks` are content, the one after them ends the stream.
    fn event(&self) -> String {
        let mut text = String::with_capacity(512);
        if self.next == self.ask.chunks {
            if self.ask.include_usage {
                text.extend([CHUNK, USAGE, "\n\n"]);
            }
            text.push_str("data: [DONE]\n\n");
            return text;
        }
        let role = if self.next == 0 { r#""role":"assistant","# } else { "" };
        let finish = if self.next + 1 == self.ask.chunks { r#""stop""# } else { "null" };
        let now = monotonic_ns();
        // writing to a String cannot fail
        let _ = write!(
            text,
            r#"{CHUNK}[{{"index":0,"delta":{{{role}"content":"@t{now};tok "}},"logprobs":null,"finish_reason":{finish}}}]}}"#
        );
        text.push_str("\n\n");
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
