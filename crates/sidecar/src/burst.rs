//! Writing in bursts. Under load many requests are ready at once; where each is thought through and written before the
//! next is looked at, its peer falls asleep and is woken for every single one, which costs more than the write. So a
//! request that is about to write lets the others catch up first. Alone it loses some hundred nanoseconds.

use std::{future::poll_fn, mem::replace, task::Poll};

/// Lets all other tasks that are ready have their turn.
pub(crate) async fn behind_others() {
    let mut was_behind = false;
    poll_fn(|cx| {
        if replace(&mut was_behind, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn what_is_ready_goes_first() {
        let order = Mutex::new(vec![]);
        let step = async |name: &'static str| {
            order.lock().unwrap().push((name, "thinks"));
            behind_others().await;
            order.lock().unwrap().push((name, "writes"));
        };
        tokio::join!(step("a"), step("b"));
        let want = [("a", "thinks"), ("b", "thinks"), ("a", "writes"), ("b", "writes")];
        assert_eq!(*order.lock().unwrap(), want);
    }
}
