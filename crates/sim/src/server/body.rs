//! The body of an answer: takes the steps of a wire plan one by one, and tells log and bill how it went.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use tokio::time::{Instant, Sleep};

use super::conn::Control;
use crate::fault::{Billing, Step};
use crate::log::Ended;
use crate::state::State;
use crate::vendor::Vendor;

/// How long HTTP/2 has to put the end of an answer on the wire before its connection goes.
const FLUSH: Duration = Duration::from_millis(50);

/// A request that is being answered. Dropped before its end, the caller has left.
pub(super) struct Tracker {
    state: Arc<State>,
    seq: u64,
    vendor: Vendor,
    began: Instant,
    billing: Billing,
    charged: Option<u64>,
    /// When a plain answer is made, whether somebody waits for it or not.
    made: Instant,
    ended: bool,
}

impl Tracker {
    pub(super) fn new(state: Arc<State>, seq: u64, vendor: Vendor, began: Instant) -> Tracker {
        Tracker { state, seq, vendor, began, billing: Billing::Nothing, charged: None, made: began, ended: false }
    }

    /// From now on the request costs money, whatever becomes of it.
    pub(super) fn bill(&mut self, billing: Billing, before: Duration) {
        self.billing = billing;
        self.made = Instant::now() + before;
        if matches!(self.billing, Billing::Produced(_)) {
            self.charge(0);
        }
    }

    fn charge(&mut self, tokens: u64) {
        let (Billing::Whole(charge) | Billing::Produced(charge)) = &self.billing else { return };
        if charge.is_nothing() {
            return;
        }
        let output = (self.charged.unwrap_or(0) + tokens).min(charge.output);
        if self.charged != Some(output) {
            let who = (self.seq, self.vendor);
            self.state.bill.lock().charge(who, charge, self.charged, output, self.state.now());
            self.charged = Some(output);
        }
    }

    /// The model goes on with an answer that nobody waits for, and it is charged when it is made.
    fn run_on(&mut self) {
        let handle = tokio::runtime::Handle::try_current().ok().filter(|_| self.made > Instant::now());
        let Some(handle) = handle else { return self.charge(u64::MAX / 2) };
        let (made, life) = (self.made, self.state.resets());
        let mut late = Tracker::new(self.state.clone(), self.seq, self.vendor, self.began);
        late.billing = std::mem::replace(&mut self.billing, Billing::Nothing);
        late.ended = true;
        handle.spawn(async move {
            tokio::time::sleep_until(made).await;
            if late.state.resets() == life {
                late.charge(u64::MAX / 2);
                late.state.bill.lock().close(late.seq, late.state.config.log_entries);
            }
        });
    }

    pub(super) fn status(&self, status: u16) {
        self.state.log.lock().change(self.seq, |entry| entry.status = status);
    }

    pub(super) fn end(&mut self, how: Ended) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let runs_on = self.state.config.cancelled_runs_on && how == Ended::ClientGone;
        if !runs_on && how == Ended::ClientGone && matches!(self.billing, Billing::Whole(_)) {
            self.run_on();
        } else if runs_on || matches!(self.billing, Billing::Whole(_)) {
            self.charge(u64::MAX / 2);
        }
        if self.charged.is_some() {
            self.state.bill.lock().close(self.seq, self.state.config.log_entries);
        }
        let took_ms = self.began.elapsed().as_millis() as u64;
        self.state.log.lock().change(self.seq, |entry| {
            entry.ended = Some(how);
            entry.took_ms = took_ms;
        });
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        self.end(Ended::ClientGone);
    }
}

/// What the connection does once the answer is out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    KeepAlive,
    Close,
    Stale,
}

/// The body of an answer.
pub(super) struct SimBody {
    steps: VecDeque<Step>,
    tracker: Option<Tracker>,
    control: Arc<Control>,
    after: After,
    http2: bool,
    wait: Option<Pin<Box<Sleep>>>,
    /// An event was given and not yet flushed.
    unflushed: bool,
}

impl SimBody {
    pub(super) fn new(
        steps: Vec<Step>,
        tracker: Option<Tracker>,
        control: Arc<Control>,
        after: After,
        http2: bool,
    ) -> SimBody {
        let mut body = SimBody { steps: steps.into(), tracker, control, after, http2, wait: None, unflushed: false };
        if body.steps.is_empty() {
            body.finish();
        }
        body
    }

    fn finish(&mut self) {
        if let Some(tracker) = &mut self.tracker {
            tracker.end(Ended::Done);
        }
        let (after, control) = (self.after, self.control.clone());
        let act = move || match after {
            After::KeepAlive => {}
            After::Close => control.close_when_idle(),
            After::Stale => control.make_stale(),
        };
        if !self.http2 || after == After::KeepAlive {
            return act();
        }
        // HTTP/2 reads all the time: an end of input now would take the rest of the answer with it.
        tokio::spawn(async move {
            tokio::time::sleep(FLUSH).await;
            act();
        });
    }

    fn break_off(&mut self) -> std::io::Error {
        if let Some(tracker) = &mut self.tracker {
            tracker.end(Ended::Broken);
        }
        std::io::Error::new(std::io::ErrorKind::ConnectionAborted, "broken on purpose")
    }
}

impl http_body::Body for SimBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        loop {
            // One pause after each event makes the server flush it before it asks for the next.
            if std::mem::take(&mut this.unflushed) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Some(wait) = &mut this.wait {
                ready!(wait.as_mut().poll(cx));
                this.wait = None;
            }
            match this.steps.pop_front() {
                None => return Poll::Ready(None),
                Some(Step::Wait(time)) => this.wait = Some(Box::pin(tokio::time::sleep(time))),
                Some(Step::Send(bytes, tokens)) => {
                    if tokens > 0
                        && let Some(tracker) = &mut this.tracker
                    {
                        tracker.charge(tokens);
                    }
                    // A server that has all promised bytes does not ask again, so this is the end.
                    if this.steps.is_empty() {
                        this.finish();
                    } else {
                        this.unflushed = true;
                    }
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Step::Forever(bytes, pause)) => {
                    this.steps.push_front(Step::Forever(bytes.clone(), pause));
                    this.unflushed = true;
                    if !pause.is_zero() {
                        this.wait = Some(Box::pin(tokio::time::sleep(pause)));
                    }
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Step::Stall) => {
                    this.steps.push_front(Step::Stall);
                    return Poll::Pending;
                }
                Some(Step::Cut(bytes)) => {
                    this.control.cut();
                    this.unflushed = true;
                    this.steps.push_front(Step::Reset);
                    this.after = After::Close;
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Step::Reset) => {
                    match this.after {
                        After::Close => this.control.close(),
                        _ => this.control.reset(),
                    }
                    return Poll::Ready(Some(Err(this.break_off())));
                }
            }
        }
    }
}
