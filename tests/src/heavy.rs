//! Stories that load the machine, or measure it, take turns.

use tokio::sync::{Mutex, MutexGuard};

static TURN: Mutex<()> = Mutex::const_new(());

/// Waits until no other heavy story runs.
pub async fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}
