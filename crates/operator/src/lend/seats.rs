//! The streams that what is said to a pod goes out on.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use control::v1::from_operator::Message as Say;
use parking_lot::Mutex;
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::{frame::frame, world::Uid};

/// The newest stream of each pod.
#[derive(Debug, Default)]
pub struct Seats(Mutex<HashMap<Uid, mpsc::Sender<Bytes>>>);

/// One stream's seat; given up on drop.
pub struct Seat {
    seats: Arc<Seats>,
    pod: Uid,
    outgoing: mpsc::Sender<Bytes>,
}

impl Seats {
    /// Answers to `pod` go to `outgoing` from now on.
    #[must_use]
    pub fn take(self: &Arc<Self>, pod: &Uid, outgoing: mpsc::Sender<Bytes>) -> Seat {
        self.0.lock().insert(pod.clone(), outgoing.clone());
        Seat { seats: self.clone(), pod: pod.clone(), outgoing }
    }

    /// Says it to the pod, if it has a stream; false where that takes nothing now.
    pub fn say(&self, pod: &Uid, message: Say) -> bool {
        let is_full = |sent| matches!(sent, Err(TrySendError::Full(_)));
        !self.0.lock().get(pod).is_some_and(|outgoing| is_full(outgoing.try_send(frame(message))))
    }

    /// Says the same to several; it may be lost.
    pub fn say_all(&self, pods: &[Uid], message: Say) {
        let framed = frame(message);
        let seats = self.0.lock();
        for outgoing in pods.iter().filter_map(|pod| seats.get(pod)) {
            let _ = outgoing.try_send(framed.clone());
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.seats.0.lock();
        if seats.get(&self.pod).is_some_and(|newest| newest.same_channel(&self.outgoing)) {
            seats.remove(&self.pod);
        }
    }
}

#[cfg(test)]
mod tests {
    use control::v1::Unselected;

    use super::*;

    #[test]
    fn the_newest_stream_of_a_pod_gets_the_answers() {
        let seats = Arc::new(Seats::default());
        let pod: Uid = "1".into();
        let ((old, mut heard_old), (new, mut heard_new)) = (mpsc::channel(1), mpsc::channel(1));
        let first = seats.take(&pod, old);
        assert!(seats.say(&pod, Say::Unselected(Unselected {})));
        assert!(!seats.say(&pod, Say::Unselected(Unselected {})));
        assert!(heard_old.try_recv().is_ok() && heard_old.try_recv().is_err(), "a full one loses what comes");
        let second = seats.take(&pod, new);
        drop(first);
        seats.say(&pod, Say::Unselected(Unselected {}));
        assert!(heard_old.try_recv().is_err() && heard_new.try_recv().is_ok());
        drop(second);
        assert!(seats.say(&pod, Say::Unselected(Unselected {})), "nobody is there to be told again");
        assert!(seats.0.lock().is_empty());
    }
}
