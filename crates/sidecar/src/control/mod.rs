//! The sidecar's end of the control plane: policies come from the operator over one stream. What is in force stays in force
//! whatever happens to the stream; a start without the operator begins with the last good policy on the disk, else with
//! the policy's ConfigMap. No request ever waits here.

mod backoff;
mod connect;
mod findings;
mod kept;
mod link;
mod session;
mod settings;

use std::{io, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    adopt::{self, Source, adopt},
    state::State,
};
pub use connect::pod;
use kept::{Kept, MAX_DOCUMENT};
pub use link::Link;
use session::End;
pub use settings::{Address, Settings};

/// How often the ConfigMap is looked for while there is no policy.
const EVERY: Duration = Duration::from_secs(1);
/// Addresses that are followed in a row before the first one is asked again.
const HOPS: u32 = 3;

/// The sidecar's end.
pub struct Control {
    state: Arc<State>,
    link: Arc<Link>,
    settings: Settings,
    kept: Arc<Kept>,
}

impl Control {
    /// With the last good policy of the disk in force, else the ConfigMap's, where there is one. Blocks.
    #[must_use]
    pub fn start(state: Arc<State>, link: Arc<Link>, settings: Settings) -> Control {
        let kept = Arc::new(Kept::open(settings.state.clone()));
        let control = Control { state, link, settings, kept };
        control.begin_with(control.kept.policy(), Source::Disk);
        if control.state.in_force.load().is_none() {
            control.begin_with(control.config_map(), Source::ConfigMap);
        }
        control
    }

    /// Follows the operator until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        // In one task, so that the ConfigMap never comes between a newer policy's judgement and its putting in force.
        tokio::join!(self.follow(&shutdown), self.await_config_map(&shutdown));
    }

    /// One stream after the other.
    async fn follow(&self, shutdown: &CancellationToken) {
        let (mut address, mut hops, mut failures) = (self.settings.address.clone(), 0, 0);
        loop {
            let began = Instant::now();
            let end = session::hold(self, &address, shutdown).await;
            if began.elapsed() >= backoff::GOOD {
                (hops, failures) = (0, 0);
            }
            match end {
                End::Shutdown => return,
                End::Moved(leader) if hops < HOPS => {
                    self.link.down(&format!("{address} does not lead; {leader} does"));
                    (address, hops) = (leader, hops + 1);
                }
                End::Moved(_) => {
                    self.link.down("the replicas do not agree who leads");
                    (address, hops, failures) = (self.settings.address.clone(), 0, failures + 1);
                }
                End::Lost(why) => {
                    self.link.down(&why);
                    (address, hops, failures) = (self.settings.address.clone(), 0, failures + 1);
                }
            }
            let wait = backoff::wait(failures, fastrand::f64());
            tokio::select! {
                () = sleep(wait) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// A ConfigMap may come, or be mended, while nothing is in force.
    async fn await_config_map(&self, shutdown: &CancellationToken) {
        let mut seen = self.config_map().ok().flatten();
        while self.state.in_force.load().is_none() {
            tokio::select! {
                () = sleep(EVERY) => {}
                () = shutdown.cancelled() => return,
            }
            let fresh = self.config_map().ok().flatten();
            if fresh != seen && self.state.in_force.load().is_none() {
                seen.clone_from(&fresh);
                self.begin_with(Ok(fresh), Source::ConfigMap);
            }
        }
    }

    fn config_map(&self) -> io::Result<Option<Vec<u8>>> {
        self.settings.fallback.as_ref().map_or(Ok(None), |file| kept::read(file, MAX_DOCUMENT))
    }

    fn begin_with(&self, document: io::Result<Option<Vec<u8>>>, source: Source) {
        let taken = match document {
            Ok(None) => return,
            Ok(Some(document)) => adopt(&self.state, &document, source),
            Err(e) => Err(vec![e.to_string()]),
        };
        if let Err(faults) = taken {
            adopt::refuse(&self.state, faults.into_iter().map(|f| format!("{source:?}: {f}")).collect());
        }
    }
}
