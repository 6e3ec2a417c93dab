//! The bound on silence between events: one timer a stream, moved only when it fires.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use policy::Tick;
use tokio::time::{Sleep, sleep_until};

use crate::clock::{self, instant};

/// Fires once nothing happened for `bound`.
pub(crate) struct Idle {
    bound: Duration,
    last: Tick,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Idle {
    pub(crate) fn new(bound: Duration) -> Idle {
        Idle { bound, last: clock::now(), timer: None }
    }

    /// Something happened.
    pub(crate) fn touch(&mut self) {
        self.last = clock::now();
    }

    /// Whether it is too late; else wakes when it may be.
    pub(crate) fn poll_late(&mut self, cx: &mut Context<'_>) -> bool {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(instant(self.last.after(self.bound)))));
        loop {
            if timer.as_mut().poll(cx) == Poll::Pending {
                return false;
            }
            let due = self.last.after(self.bound);
            if clock::now() >= due {
                return true;
            }
            timer.as_mut().reset(instant(due));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_counts_from_the_last_event() {
        let mut idle = Idle::new(Duration::from_secs(10));
        let mut late = async |idle: &mut Idle| {
            let began = clock::now();
            std::future::poll_fn(|cx| if idle.poll_late(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
            clock::now().since(began).as_secs()
        };
        tokio::time::sleep(Duration::from_secs(4)).await;
        idle.touch();
        assert_eq!(late(&mut idle).await, 10);
    }
}
