//! The bounds on a committed stream, to its first content and on silence between events: one timer, moved only when it
//! fires. It counts as tokio's timers do, which stand still while the machine sleeps.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use policy::Tick;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::clock;

/// Fires once nothing happened for `bound`, or the first content did not come in time.
pub(crate) struct Idle {
    bound: Duration,
    last: Instant,
    /// While the first content is awaited: when it is too late.
    content_due: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Idle {
    pub(crate) fn new(bound: Duration) -> Idle {
        Idle { bound, last: Instant::now(), content_due: None, timer: None }
    }

    /// Until the first content this moment bounds it, whatever else happens.
    pub(crate) fn until_content(self, content_due: Option<Tick>) -> Idle {
        Idle { content_due: content_due.map(clock::instant), ..self }
    }

    /// Whether the first content is still to come.
    pub(crate) fn awaits_content(&self) -> bool {
        self.content_due.is_some()
    }

    /// The first content came.
    pub(crate) fn content(&mut self) {
        self.content_due = None;
        self.touch();
    }

    /// Something happened.
    pub(crate) fn touch(&mut self) {
        self.last = Instant::now();
    }

    /// Whether it is too late; else wakes when it may be.
    pub(crate) fn poll_late(&mut self, cx: &mut Context<'_>) -> bool {
        let due = self.due();
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        loop {
            if timer.as_mut().poll(cx) == Poll::Pending {
                return false;
            }
            if Instant::now() >= due {
                return true;
            }
            timer.as_mut().reset(due);
        }
    }

    fn due(&self) -> Instant {
        self.content_due.unwrap_or_else(|| self.last + self.bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Duration = Duration::from_secs(10);

    async fn late(idle: &mut Idle) -> u64 {
        let began = Instant::now();
        std::future::poll_fn(|cx| if idle.poll_late(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
        began.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn silence_counts_from_the_last_event() {
        let mut idle = Idle::new(TEN);
        tokio::time::sleep(Duration::from_secs(4)).await;
        idle.touch();
        assert_eq!(late(&mut idle).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_content_is_due_whatever_else_happens_and_then_silence_counts() {
        let from_now = |secs| Idle { content_due: Some(Instant::now() + Duration::from_secs(secs)), ..Idle::new(TEN) };
        let mut idle = from_now(5);
        tokio::time::sleep(Duration::from_secs(4)).await;
        idle.touch();
        assert_eq!(late(&mut idle).await, 1, "an event that is no content does not put it off");
        let mut idle = from_now(15);
        tokio::time::sleep(Duration::from_secs(12)).await;
        idle.content();
        assert_eq!(late(&mut idle).await, 10);
    }
}
