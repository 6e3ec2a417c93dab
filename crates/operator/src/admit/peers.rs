//! Turns of those who ask: each peer has a few questions under way, its others wait behind them. So whoever asks much, or what
//! takes long, makes nobody wait but itself.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// All peers.
#[derive(Debug)]
pub(super) struct Peers {
    each: usize,
    asking: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
}

impl Peers {
    /// With so many questions of each under way.
    pub(super) fn new(each: usize) -> Peers {
        Peers { each, asking: Mutex::default() }
    }

    /// Waits for a turn of this peer's, which lasts until it is dropped.
    pub(super) async fn turn(&self, peer: IpAddr) -> Option<OwnedSemaphorePermit> {
        self.turns(peer).acquire_owned().await.ok()
    }

    fn turns(&self, peer: IpAddr) -> Arc<Semaphore> {
        let mut asking = self.asking.lock();
        if let Some(turns) = asking.get(&peer).and_then(Weak::upgrade) {
            return turns;
        }
        asking.retain(|_, turns| turns.strong_count() > 0);
        let turns = Arc::new(Semaphore::new(self.each));
        asking.insert(peer, Arc::downgrade(&turns));
        turns
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn who_asks_much_waits_behind_itself() {
        let peers = Peers::new(2);
        let peer = |n| IpAddr::from([10, 0, 0, n]);
        let ask = |n| peers.turn(peer(n)).now_or_never().flatten();
        let (first, second) = (ask(1), ask(1));
        assert!(first.is_some() && second.is_some() && ask(1).is_none());
        let other = ask(2);
        assert!(other.is_some(), "another peer has turns of its own");
        drop(first);
        let third = ask(1);
        assert!(third.is_some() && ask(1).is_none());
        drop((second, third, other));
        assert!(ask(3).is_some());
        assert_eq!(peers.asking.lock().len(), 1, "nobody is remembered");
    }
}
