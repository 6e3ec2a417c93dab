//! The policy file and the credentials directory, looked at each second: in force within two, refused with a reason.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::{
    adopt::{Source, adopt, refuse},
    state::State,
};

const EVERY: Duration = Duration::from_secs(1);
/// Longest policy file that is read.
const MAX_POLICY: u64 = 4 << 20;

/// Reads the policy for the first time.
///
/// # Errors
/// Every fault of the policy, each with its field path.
pub fn first_policy(state: &State, file: &Path) -> Result<Followed, Vec<String>> {
    let text = read(file).map_err(|e| vec![format!("{}: {e}", file.display())])?;
    adopt(state, &text, Source::File)?;
    Ok(Followed { file: file.to_owned(), text, gone: false })
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

/// A policy file that is followed.
#[derive(Debug)]
pub struct Followed {
    /// Where it is.
    pub file: PathBuf,
    /// What it held when it was last read.
    pub text: Vec<u8>,
    /// It was not there when it was last looked for.
    pub gone: bool,
}

/// Follows both until `shutdown`.
pub async fn follow(
    state: Arc<State>,
    mut policy: Option<Followed>,
    dir: Option<PathBuf>,
    shutdown: CancellationToken,
) {
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
        if let Some(policy) = &mut policy {
            policy.look(&state);
        }
    }
}

impl Followed {
    fn look(&mut self, state: &State) {
        match read(&self.file) {
            Ok(fresh) if fresh == self.text && !self.gone => {}
            Ok(fresh) => {
                (self.gone, self.text) = (false, fresh);
                if let Err(faults) = adopt(state, &self.text, Source::File) {
                    refuse(state, faults);
                }
            }
            Err(e) if !self.gone => {
                self.gone = true;
                refuse(state, vec![format!("{}: {e}", self.file.display())]);
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
