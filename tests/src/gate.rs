//! What stands between two ends of a network: it passes bytes on, or lets them vanish without telling anybody.

use std::{
    future::pending,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::{JoinHandle, JoinSet},
};

use crate::world::loopback;

/// A port that leads elsewhere, as a Service does; closed on drop.
pub struct Gate {
    addr: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    target: Mutex<SocketAddr>,
    /// Odd while it is cut. A connection lives for one era: what was lost of it never comes.
    era: AtomicU64,
    calls: AtomicU64,
}

impl Gate {
    /// To this address.
    pub async fn to(target: SocketAddr) -> Gate {
        let listener = TcpListener::bind(loopback()).await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared { target: Mutex::new(target), era: AtomicU64::new(0), calls: AtomicU64::new(0) });
        let task = tokio::spawn(accept(listener, shared.clone()));
        Gate { addr, shared, task }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Further connections lead to another address.
    pub fn lead_to(&self, target: SocketAddr) {
        *self.shared.target.lock() = target;
    }

    /// From now on no byte passes in either direction, of connections old and new, and none of them is closed.
    pub fn cut(&self) {
        self.shared.era.fetch_or(1, Relaxed);
    }

    /// Connections that come from now on pass. Those before are as dead as they were.
    pub fn mend(&self) {
        let _ = self.shared.era.fetch_update(Relaxed, Relaxed, |era| Some(era + (era & 1)));
    }

    /// How many connections came.
    pub fn calls(&self) -> u64 {
        self.shared.calls.load(Relaxed)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        shared.calls.fetch_add(1, Relaxed);
        connections.spawn(pass(near, shared.clone()));
    }
}

async fn pass(near: TcpStream, shared: Arc<Shared>) {
    let era = shared.era.load(Relaxed);
    if era % 2 == 1 {
        // The kernel has taken the call; nobody answers it.
        let _held = near;
        return pending().await;
    }
    let target = *shared.target.lock();
    // Nobody listens there: the call is refused.
    let Ok(far) = TcpStream::connect(target).await else { return };
    for end in [&near, &far] {
        let _ = end.set_nodelay(true);
    }
    let ((near_reads, near_writes), (far_reads, far_writes)) = (near.into_split(), far.into_split());
    tokio::join!(one_way(near_reads, far_writes, &shared, era), one_way(far_reads, near_writes, &shared, era));
}

/// Until the end, which is told while it is not cut.
async fn one_way(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared, era: u64) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        let is_cut = shared.era.load(Relaxed) != era;
        match (read, is_cut) {
            // Neither closed nor read: dropped, it would be.
            (0, true) => return pending().await,
            (0, false) => return,
            (_, true) => {}
            (n, false) => {
                if to.write_all(&buffer[..n]).await.is_err() && shared.era.load(Relaxed) == era {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// Whether a byte comes back.
    async fn echoes(end: &mut TcpStream) -> Option<bool> {
        end.write_all(b"x").await.ok()?;
        let mut got = [0];
        let read = timeout(Duration::from_millis(300), end.read(&mut got)).await;
        match read {
            Ok(Ok(1)) => Some(true),
            Ok(_) => None,
            Err(_) => Some(false),
        }
    }

    #[tokio::test]
    async fn what_is_cut_is_silent_and_open_and_stays_dead() {
        let listener = TcpListener::bind(loopback()).await.unwrap();
        let gate = Gate::to(listener.local_addr().unwrap()).await;
        tokio::spawn(async move {
            while let Ok((mut end, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut reads, mut writes) = end.split();
                    tokio::io::copy(&mut reads, &mut writes).await
                });
            }
        });
        let call = async || TcpStream::connect(gate.addr()).await.unwrap();
        let mut old = call().await;
        assert_eq!(echoes(&mut old).await, Some(true));
        gate.cut();
        gate.cut();
        let mut during = call().await;
        assert_eq!((echoes(&mut old).await, echoes(&mut during).await), (Some(false), Some(false)));
        gate.mend();
        gate.mend();
        let mut fresh = call().await;
        assert_eq!(echoes(&mut fresh).await, Some(true));
        assert_eq!((echoes(&mut old).await, echoes(&mut during).await), (Some(false), Some(false)));
        assert_eq!(gate.calls(), 3);
        // One that nobody answers is refused, not silent.
        gate.lead_to(TcpListener::bind(loopback()).await.unwrap().local_addr().unwrap());
        assert_eq!(echoes(&mut call().await).await, None);
    }
}
