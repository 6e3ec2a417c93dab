//! The only opener of provider connections: pools of HTTP/1.1 and HTTP/2 connections over TCP, TLS or a proxy.

mod answer;
mod body;
mod connect;
mod link;
mod pool;
mod proxy;
mod request;
#[cfg(test)]
mod tests;
mod tls;

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use policy::snapshot::BaseUrl;

pub use answer::AnswerHead;
pub use body::{Answered, LentBody};
pub use connect::{ConnectError, Io, Network};
pub use link::Lost;
pub use pool::{Died, Pool, SendError};
pub use request::{OutBody, Outgoing, Upload};
pub use tls::extra_roots;

/// Bounds on opening a connection.
#[derive(Clone, Copy, Debug)]
pub struct ConnectLimits {
    /// TCP, name resolution included.
    pub connect: Duration,
    /// TLS handshake.
    pub tls: Duration,
}

/// Every provider's connections; pools are kept by address, so a reload keeps warm connections.
pub struct Upstream {
    connector: Arc<Network>,
    pools: Mutex<HashMap<(BaseUrl, bool), Arc<Pool>>>,
}

impl Upstream {
    /// Over real sockets, honouring `HTTPS_PROXY`, `NO_PROXY` and `SSL_CERT_FILE`.
    ///
    /// # Errors
    /// An unreadable extra CA file or a malformed proxy URL.
    pub fn from_env() -> anyhow::Result<Upstream> {
        let connector = Arc::new(Network::new(tls::roots()?, proxy::Proxy::from_env()?));
        Ok(Upstream { connector, pools: Mutex::default() })
    }

    /// The pool of one address.
    #[must_use]
    pub fn pool(&self, base: &BaseUrl, http2: bool) -> Arc<Pool> {
        let mut pools = self.pools.lock();
        let new = || Arc::new(Pool::new(base.clone(), http2, self.connector.clone()));
        pools.entry((base.clone(), http2)).or_insert_with(new).clone()
    }

    /// What opens connections, for those who keep their own.
    #[must_use]
    pub fn connector(&self) -> Arc<Network> {
        self.connector.clone()
    }

    /// Closes what has been idle or lived too long; called now and then.
    pub fn sweep(&self) {
        self.pools.lock().values().for_each(|p| p.sweep());
    }
}
