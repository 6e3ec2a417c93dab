//! Connections of strangers: bounded in number, and a newcomer always gets in. Where there are too many, the peer that has the
//! most loses one of its own, whichever: who opens thousands drives out itself, and of many who come at once through one
//! address each has a chance.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// All of them.
#[derive(Debug)]
pub struct Crowd {
    most: usize,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    peers: HashMap<IpAddr, Vec<(u64, CancellationToken)>>,
    count: usize,
    next: u64,
}

/// One of them; it leaves on drop.
#[derive(Debug)]
pub struct Stranger {
    crowd: Arc<Crowd>,
    peer: IpAddr,
    number: u64,
    sent_away: CancellationToken,
}

impl Crowd {
    /// Of at most so many.
    #[must_use]
    pub fn new(most: usize) -> Arc<Crowd> {
        Arc::new(Crowd { most, inside: Mutex::default() })
    }

    /// One more of this peer.
    #[must_use]
    pub fn enter(self: &Arc<Crowd>, peer: IpAddr) -> Stranger {
        let mut inside = self.inside.lock();
        let (number, sent_away) = (inside.next, CancellationToken::new());
        if inside.count >= self.most {
            inside.lose_one();
        }
        inside.next += 1;
        inside.count += 1;
        inside.peers.entry(peer).or_default().push((number, sent_away.clone()));
        Stranger { crowd: self.clone(), peer, number, sent_away }
    }
}

impl Inside {
    fn lose_one(&mut self) {
        let Some((peer, its)) = self.peers.iter().max_by_key(|(_, its)| its.len()) else { return };
        let (peer, which) = (*peer, fastrand::usize(..its.len().max(1)));
        if let Some((number, sent_away)) = its.get(which).cloned() {
            sent_away.cancel();
            self.leave(peer, number);
        }
    }

    fn leave(&mut self, peer: IpAddr, number: u64) {
        let Some(its) = self.peers.get_mut(&peer) else { return };
        let before = its.len();
        its.retain(|(n, _)| *n != number);
        self.count -= before - its.len();
        if its.is_empty() {
            self.peers.remove(&peer);
        }
    }
}

impl Stranger {
    /// Cancelled when it must go.
    #[must_use]
    pub fn sent_away(&self) -> CancellationToken {
        self.sent_away.clone()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.crowd.inside.lock().leave(self.peer, self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    fn inside(all: &[Stranger]) -> usize {
        all.iter().filter(|s| !s.sent_away.is_cancelled()).count()
    }

    #[test]
    fn who_opens_many_drives_out_its_own() {
        let crowd = Crowd::new(10);
        let few: Vec<_> = (1..4).map(|n| crowd.enter(peer(n))).collect();
        let many: Vec<_> = (0..100).map(|_| crowd.enter(peer(9))).collect();
        assert_eq!((inside(&few), inside(&many)), (3, 7));
        let late: Vec<_> = (4..8).map(|n| crowd.enter(peer(n))).collect();
        assert_eq!((inside(&few), inside(&late), inside(&many)), (3, 4, 3), "a newcomer gets in");
        drop(many);
        assert_eq!(crowd.inside.lock().count, 7);
        drop((few, late));
        let inside = crowd.inside.lock();
        assert_eq!((inside.count, inside.peers.len()), (0, 0), "nobody is remembered");
    }

    #[test]
    fn of_one_peer_each_has_a_chance() {
        let crowd = Crowd::new(100);
        let all: Vec<_> = (0..1000).map(|_| crowd.enter(peer(1))).collect();
        let kept: Vec<usize> = (0..1000).filter(|i| !all[*i].sent_away.is_cancelled()).collect();
        assert_eq!(kept.len(), 100);
        assert!(kept[0] < 990, "not the newest alone: {kept:?}");
        assert!(kept.iter().any(|i| *i >= 900), "not the oldest alone: {kept:?}");
    }
}
