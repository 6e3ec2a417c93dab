//! The policy file and the credentials directory, looked at each second: in force within two, refused with a reason.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    state::{Refused, State},
};

const EVERY: Duration = Duration::from_secs(1);
/// Longest policy file that is read.
const MAX_POLICY: u64 = 4 << 20;

/// Reads the policy for the first time.
///
/// # Errors
/// Every fault of the policy, each with its field path.
pub fn first_policy(state: &State, file: &Path) -> Result<Vec<u8>, Vec<String>> {
    let text = read(file).map_err(|e| vec![format!("{}: {e}", file.display())])?;
    put(state, &text).map(|()| text)
}

/// Reads the credentials for the first time; a missing directory is told, not fatal.
pub fn credentials(state: &State, dir: &Path) {
    match state.keys.load().reread(dir) {
        Ok((keys, changes)) => {
            for name in &changes.changed {
                tracing::info!(key = %name, "credential in force");
            }
            for name in &changes.vanished {
                tracing::warn!(key = %name, "the credential's file is gone; the key in memory stays in use");
            }
            for (name, why) in &changes.refused {
                tracing::warn!(key = %name, "the credential's file {why}; what was in force stays");
            }
            if !changes.changed.is_empty() || !changes.vanished.is_empty() {
                state.keys.store(Arc::new(keys));
                state.forgive(&changes.changed);
            }
        }
        Err(e) => tracing::warn!(dir = %dir.display(), error = %e, "the credentials directory cannot be read"),
    }
}

/// Follows both until `shutdown`. `text` is the policy in force.
pub async fn follow(
    state: Arc<State>,
    file: PathBuf,
    mut text: Vec<u8>,
    dir: Option<PathBuf>,
    shutdown: CancellationToken,
) {
    let mut gone = false;
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shutdown.cancelled() => return,
        }
        state.upstream.sweep();
        state.money.tidy();
        if let Some(dir) = &dir {
            credentials(&state, dir);
        }
        match read(&file) {
            Ok(fresh) if fresh == text && !gone => {}
            Ok(fresh) => {
                gone = false;
                text = fresh;
                match put(&state, &text) {
                    Ok(()) => tracing::info!(file = %file.display(), "policy in force"),
                    Err(faults) => refuse(&state, faults),
                }
            }
            Err(e) if !gone => {
                gone = true;
                refuse(&state, vec![format!("{}: {e}", file.display())]);
            }
            Err(_) => {}
        }
    }
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(file)?.len() > MAX_POLICY {
        return Err(io::Error::other("the file is larger than 4 MiB; a policy is not"));
    }
    fs::read(file)
}

fn put(state: &State, text: &[u8]) -> Result<(), Vec<String>> {
    let text = std::str::from_utf8(text).map_err(|e| vec![format!("the file is not UTF-8: {e}")])?;
    let snapshot = api::load(text).map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    for field in &snapshot.not_in_force {
        tracing::warn!(field = %field.path, "not yet in force: {}", field.effect);
    }
    state.put_in_force(snapshot);
    Ok(())
}

fn refuse(state: &State, faults: Vec<String>) {
    for fault in &faults {
        tracing::error!(%fault, "policy refused; the last good one stays in force");
    }
    state.refused.store(Some(Arc::new(Refused { faults, at: clock::unix() })));
}
