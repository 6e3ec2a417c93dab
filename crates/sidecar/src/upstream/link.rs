//! An HTTP/1.1 connection that is driven by whoever uses it: the request's own task writes and reads, and nothing is
//! handed from task to task. Between two requests nobody drives it; what happened meanwhile is seen at the next use.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_util::task::AtomicWaker;
use hyper::{Request, Response, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use policy::Tick;
use tokio::time::{Sleep, sleep_until};

use super::{body::OutBody, connect::Io};
use crate::{burst::behind_others, clock};

/// Longest head of an answer.
pub(super) const MAX_HEAD: usize = 64 << 10;

/// Turns at one go, before other tasks have theirs.
const MOST_TURNS: usize = 16;

type Conn = http1::Connection<TokioIo<Io>, OutBody>;

/// One connection.
pub(super) struct Link {
    sender: http1::SendRequest<OutBody>,
    /// `None` once it has ended.
    conn: Option<Conn>,
    nudge: Arc<Nudge>,
    /// Of `nudge`.
    waker: Waker,
    alarm: Option<Alarm>,
}

/// Why no head of an answer came.
#[derive(Debug)]
pub(super) enum NoHead {
    /// Not in time.
    Late,
    /// The connection died, or what came was not HTTP.
    Lost(hyper::Error),
}

impl Link {
    /// Over an open connection.
    pub(super) async fn new(io: Io) -> hyper::Result<Link> {
        let (sender, conn) = http1::Builder::new().max_header_size(MAX_HEAD).handshake(TokioIo::new(io)).await?;
        let nudge = Arc::new(Nudge::default());
        let waker = Waker::from(nudge.clone());
        let mut link = Link { sender, conn: Some(conn), nudge, waker, alarm: None };
        // Its first turn says that it takes a request.
        link.is_free();
        Ok(link)
    }

    /// Sends `request`, and drives the connection until the head of the answer is here or it is `until`.
    pub(super) async fn send(&mut self, request: Request<OutBody>, until: Tick) -> Result<Response<Incoming>, NoHead> {
        behind_others().await;
        let mut answer = pin!(self.sender.send_request(request));
        self.nudge.note();
        std::future::poll_fn(|cx| {
            let unheard = &mut Context::from_waker(Waker::noop());
            if let Poll::Ready(head) = self.drive(cx, || answer.as_mut().poll(unheard)) {
                return Poll::Ready(head.map_err(NoHead::Lost));
            }
            let rings = self.alarm.get_or_insert_with(|| Alarm::new(until)).poll(until, cx);
            if rings { Poll::Ready(Err(NoHead::Late)) } else { Poll::Pending }
        })
        .await
    }

    /// Gives the connection turns until `done` is, or nothing moves any more; none where nothing happened since the last
    /// one. `done` may look at what belongs to the connection with a waker that nobody hears: all that changes it happens
    /// in these turns.
    pub(super) fn drive<T>(&mut self, cx: &mut Context<'_>, mut done: impl FnMut() -> Poll<T>) -> Poll<T> {
        self.nudge.task.register(cx.waker());
        for _ in 0..MOST_TURNS {
            if !self.nudge.begin() {
                return Poll::Pending;
            }
            turn(&mut self.conn, &self.waker);
            let polled = done();
            if polled.is_ready() || self.conn.is_none() {
                // The next call begins with a turn, whatever happens until then.
                self.nudge.note();
                return polled;
            }
            self.nudge.end();
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Its user is done with it: whether it can take another request. Nobody is woken by it until it is driven again.
    pub(super) fn rest(&mut self) -> bool {
        self.nudge.task.take();
        (self.conn.is_some() && self.sender.is_ready()) || self.is_free()
    }

    /// Whether it can take a request: its last answer is over, and the provider has not closed it.
    pub(super) fn is_free(&mut self) -> bool {
        turn(&mut self.conn, Waker::noop());
        self.conn.is_some() && self.sender.is_ready()
    }
}

fn turn(conn: &mut Option<Conn>, waker: &Waker) {
    let Some(running) = conn else { return };
    if Pin::new(running).poll(&mut Context::from_waker(waker)).is_ready() {
        // Who still waits for something of it is told by its drop.
        *conn = None;
    }
}

/// Wakes the task that uses a connection, but not while that task is at it: most wake-ups are then its own doing.
#[derive(Default)]
struct Nudge {
    task: AtomicWaker,
    state: AtomicU8,
}

/// The task is away, and nothing happened.
const QUIET: u8 = 0;
/// The task is at it.
const AT_IT: u8 = 1;
/// Something happened that the task has not looked at.
const NUDGED: u8 = 2;

impl Nudge {
    /// Something happened, and the task knows.
    fn note(&self) {
        self.state.store(NUDGED, Ordering::SeqCst);
    }

    /// The task is at it, if there is anything to look at.
    fn begin(&self) -> bool {
        self.state.compare_exchange(NUDGED, AT_IT, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The task goes away, unless something happened meanwhile: then there is more to look at.
    fn end(&self) {
        let _ = self.state.compare_exchange(AT_IT, QUIET, Ordering::SeqCst, Ordering::SeqCst);
    }
}

impl Wake for Nudge {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(NUDGED, Ordering::SeqCst) == QUIET {
            self.task.wake();
        }
    }
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
    use std::{sync::atomic::AtomicUsize, time::Duration};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_task_is_woken_for_what_happens_while_it_is_away() {
        let count = Arc::new(Count::default());
        let nudge = Arc::new(Nudge::default());
        nudge.task.register(&count.clone().into());
        let woken = || count.0.swap(0, Ordering::Relaxed);
        nudge.note();
        assert!(nudge.begin());
        nudge.wake_by_ref();
        nudge.end();
        assert_eq!(woken(), 0, "it is still there, and sees it at once");
        assert!(nudge.begin());
        nudge.end();
        assert!(!nudge.begin(), "nothing happened");
        nudge.wake_by_ref();
        nudge.wake_by_ref();
        assert_eq!(woken(), 1);
        assert!(nudge.begin());
    }

    /// Whole seconds until the alarm says that it is `until` seconds from now.
    async fn rings(alarm: &mut Alarm, until: u64) -> u64 {
        let began = tokio::time::Instant::now();
        let due = clock::now().after(Duration::from_secs(until));
        std::future::poll_fn(|cx| if alarm.poll(due, cx) { Poll::Ready(()) } else { Poll::Pending }).await;
        began.elapsed().as_secs_f64().round() as u64
    }

    #[tokio::test(start_paused = true)]
    async fn one_timer_bounds_one_wait_after_another() {
        let mut alarm = Alarm::new(clock::now().after(Duration::from_secs(5)));
        assert_eq!(rings(&mut alarm, 20).await, 20, "it stood earlier, and is moved on");
        assert_eq!(rings(&mut alarm, 2).await, 2);
        assert_eq!(rings(&mut alarm, 9).await, 9, "it has rung before");
    }
}
