//! How long a connection may stay: until a sidecar is known on it for a short while, then as long as it has a stream.

use std::{future::pending, net::IpAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::watch, time::timeout};

use crate::crowd::Stranger;

/// From the connection to a sidecar's hello, its token's review included.
const STRANGER: Duration = Duration::from_secs(20);
/// After its last stream: the last words go out.
const LINGER: Duration = Duration::from_secs(1);

/// One connection.
pub(super) struct Visit {
    /// Who is at the other end.
    peer: IpAddr,
    state: watch::Sender<State>,
    /// Until a sidecar is known.
    stranger: Mutex<Option<Stranger>>,
}

#[derive(Debug, Default)]
struct State {
    known: bool,
    began: bool,
    streams: usize,
}

/// One stream of it.
pub(super) struct Running(Arc<Visit>);

impl Visit {
    pub(super) fn new(peer: IpAddr, stranger: Stranger) -> Arc<Visit> {
        Arc::new(Visit { peer, state: watch::Sender::default(), stranger: Mutex::new(Some(stranger)) })
    }

    /// A stream begins.
    pub(super) fn begins(self: &Arc<Visit>) -> Running {
        self.state.send_modify(|state| (state.began, state.streams) = (true, state.streams + 1));
        Running(self.clone())
    }

    /// Returns when the connection is to end.
    pub(super) async fn over(&self) {
        let away = self.stranger.lock().as_ref().map(Stranger::sent_away);
        let sent_away = async {
            match away {
                Some(away) => away.cancelled().await,
                None => pending().await,
            }
        };
        let (mut known, mut ended) = (self.state.subscribe(), self.state.subscribe());
        let unknown = async {
            if timeout(STRANGER, known.wait_for(|state| state.known)).await.is_ok() {
                pending::<()>().await;
            }
        };
        let unused = async {
            while ended.wait_for(|state| state.began && state.streams == 0).await.is_ok() {
                if timeout(LINGER, ended.wait_for(|state| state.streams > 0)).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = sent_away => {}
            () = unknown => {}
            () = unused => {}
        }
    }
}

impl Running {
    /// Who calls.
    pub(super) fn peer(&self) -> IpAddr {
        self.0.peer
    }

    /// A sidecar is known by this stream: its connection is a stranger's no more.
    pub(super) fn is_known(&self) {
        drop(self.0.stranger.lock().take());
        self.0.state.send_modify(|state| state.known = true);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| state.streams = state.streams.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use tokio::time::Instant;

    use super::*;
    use crate::crowd::Crowd;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// The connection ends this long after now.
    async fn ends(visit: &Visit) -> Duration {
        let now = Instant::now();
        visit.over().await;
        now.elapsed()
    }

    async fn stays(visit: &Visit) -> bool {
        timeout(STRANGER * 100, visit.over()).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_has_a_while_and_a_sidecar_stays() {
        let crowd = Crowd::new(1);
        let silent = Visit::new(PEER, crowd.enter(PEER));
        assert_eq!(ends(&silent).await, STRANGER);
        let denied = silent.begins();
        assert_eq!(ends(&silent).await, STRANGER, "one whose stream says no hello is a stranger");
        drop(denied);
        assert_eq!(ends(&silent).await, LINGER);

        let sidecar = Visit::new(PEER, crowd.enter(PEER));
        assert_eq!(ends(&silent).await, Duration::ZERO, "there is no room for two");
        let stream = sidecar.begins();
        stream.is_known();
        let newer = Visit::new(PEER, crowd.enter(PEER));
        assert!(stays(&sidecar).await, "a sidecar takes no stranger's room");
        let second = sidecar.begins();
        drop(stream);
        assert!(stays(&sidecar).await);
        drop(second);
        assert_eq!(ends(&sidecar).await, LINGER);
        assert_eq!(ends(&newer).await, STRANGER);
    }
}
