//! What a host that runs others too takes from us: times in which this process got no processor.

use std::{
    sync::{
        Once,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// How often it looks.
const EVERY: Duration = Duration::from_millis(5);
/// Being later than this is no longer ordinary.
const LATE: Duration = Duration::from_millis(45);

static WATCH: Once = Once::new();
static MICROS: AtomicU64 = AtomicU64::new(0);

/// How long this process has stood still in all, since it first asked; pauses below 50 ms are not counted.
fn so_far() -> Duration {
    WATCH.call_once(|| _ = thread::spawn(watch));
    Duration::from_micros(MICROS.load(Ordering::Relaxed))
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own, which blocks no worker: it is to see real time")]
fn watch() {
    let mut last = Instant::now();
    loop {
        thread::sleep(EVERY);
        let now = Instant::now();
        let late = (now - last).saturating_sub(EVERY);
        if late > LATE {
            MICROS.fetch_add(late.as_micros() as u64, Ordering::Relaxed);
        }
        last = now;
    }
}

/// Plays until what it finds wrong cannot be blamed on the machine; five times at most, and then it counts. What finds
/// nothing wrong is played once.
pub async fn fairly<W: std::fmt::Debug, F: Future<Output = Vec<W>>>(play: impl Fn() -> F) -> Vec<W> {
    for _ in 0..4 {
        let before = so_far();
        let wrong = play().await;
        if wrong.is_empty() {
            return wrong;
        }
        // A pause that has just ended is counted by then.
        sleep(2 * EVERY).await;
        let stood = so_far() - before;
        if stood.is_zero() {
            return wrong;
        }
        println!("the machine stood still for {stood:?}, so this is played again: {wrong:?}");
    }
    play().await
}
