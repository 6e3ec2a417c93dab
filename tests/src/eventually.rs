//! Patience: what must become true, asked again until it is.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep};

/// How long anything may take to become true.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Asks until `look` returns something, and panics with `what` when patience ends.
pub async fn eventually<T, F, L>(what: &str, mut look: L) -> T
where
    L: FnMut() -> F,
    F: Future<Output = Option<T>>,
{
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
