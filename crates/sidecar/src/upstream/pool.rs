//! Connections to one address: checkout, reuse with bounds on idleness and age, one fresh try when a reused one died.

use std::{sync::Arc, time::Duration};

use hyper::{
    Request, Response,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use policy::{Tick, snapshot::BaseUrl};

use super::{
    ConnectLimits,
    body::{LentBody, OutBody},
    connect::{ConnectError, Network},
};
use crate::clock;

/// Idle connections kept a host.
const MAX_IDLE: usize = 64;
const MAX_IDLE_TIME: Duration = Duration::from_secs(60);
/// Connections are retired after this, so that a change in DNS is followed.
const MAX_AGE: Duration = Duration::from_secs(300);
/// Requests at once on one HTTP/2 connection before another is opened.
const MAX_STREAMS: usize = 64;
/// Longest head of an answer.
const MAX_HEAD: usize = 64 << 10;

/// Connections to one address.
pub struct Pool {
    base: BaseUrl,
    http2: bool,
    connector: Arc<Network>,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    sender: Sender,
    since: Tick,
}

/// One connection.
pub(super) struct Sender {
    kind: Kind,
    born: Tick,
}

enum Kind {
    H1(http1::SendRequest<OutBody>),
    /// The counter is shared by all clones of one connection.
    H2(http2::SendRequest<OutBody>, Arc<()>),
}

/// How far a request got on a reused connection that died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Died {
    /// No byte of it left.
    BeforeSending,
    /// It may have reached the provider.
    AfterSending,
}

/// Why no head of an answer came.
#[derive(Debug)]
pub enum SendError {
    /// The connection could not be opened.
    Connect(ConnectError),
    /// It took so long to connect that nothing may be sent any more.
    TooLate,
    /// The connection died, or what came was not HTTP.
    Lost(hyper::Error),
}

impl Pool {
    pub(super) fn new(base: BaseUrl, http2: bool, connector: Arc<Network>) -> Pool {
        Pool { base, http2, connector, idle: Mutex::default() }
    }

    /// The address.
    #[must_use]
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Sends one request and waits for the head of its answer. `build` is called right before it leaves, and again only
    /// when a reused connection died before any byte of the answer; with `None` nothing is sent.
    ///
    /// # Errors
    /// The connection could not be opened, or died, or it is too late to send.
    pub async fn send(
        self: &Arc<Self>,
        build: &mut (dyn FnMut(Option<Died>) -> Option<Request<OutBody>> + Send),
        limits: ConnectLimits,
    ) -> Result<Response<LentBody>, SendError> {
        if let Some(sender) = self.checkout() {
            let request = build(None).ok_or(SendError::TooLate)?;
            match self.send_on(sender, request).await {
                Ok(answer) => return Ok(answer),
                Err(e) => {
                    if !died_before_answering(&e) {
                        return Err(SendError::Lost(e));
                    }
                    let fresh = Box::pin(self.open(limits)).await.map_err(SendError::Connect)?;
                    let died = if e.is_canceled() { Died::BeforeSending } else { Died::AfterSending };
                    let Some(again) = build(Some(died)) else { return Err(SendError::Lost(e)) };
                    return self.send_on(fresh, again).await.map_err(SendError::Lost);
                }
            }
        }
        let fresh = Box::pin(self.open(limits)).await.map_err(SendError::Connect)?;
        let request = build(None).ok_or(SendError::TooLate)?;
        self.send_on(fresh, request).await.map_err(SendError::Lost)
    }

    async fn send_on(
        self: &Arc<Self>,
        mut sender: Sender,
        request: Request<OutBody>,
    ) -> hyper::Result<Response<LentBody>> {
        let answer = match &mut sender.kind {
            Kind::H1(s) => {
                // A connection that was put back in the very turn its last answer ended may need one more turn.
                if !s.is_ready() {
                    s.ready().await?;
                }
                s.send_request(request).await?
            }
            Kind::H2(s, _) => s.send_request(request).await?,
        };
        let (parts, body) = answer.into_parts();
        Ok(Response::from_parts(parts, LentBody::new(body, self.clone(), sender)))
    }

    /// The most recently used connection that is still good.
    fn checkout(&self) -> Option<Sender> {
        let now = clock::now();
        let mut idle = self.idle.lock();
        if self.http2 {
            idle.retain(|i| i.sender.is_open());
            let i = idle.iter_mut().find(|i| i.sender.is_young(now) && i.sender.load() < MAX_STREAMS)?;
            i.since = now;
            return i.sender.share();
        }
        while let Some(i) = idle.pop() {
            if i.is_good(now) {
                return Some(i.sender);
            }
        }
        None
    }

    pub(super) fn put_back(&self, sender: Sender) {
        let now = clock::now();
        if self.http2 || !sender.is_open() || !sender.is_young(now) {
            return;
        }
        let mut idle = self.idle.lock();
        if idle.len() < MAX_IDLE {
            idle.push(Idle { sender, since: now });
        }
    }

    pub(super) fn sweep(&self) {
        let now = clock::now();
        self.idle.lock().retain(|i| i.is_good(now));
    }

    async fn open(&self, limits: ConnectLimits) -> Result<Sender, ConnectError> {
        let io = TokioIo::new(self.connector.connect(&self.base, self.http2, limits).await?);
        let born = clock::now();
        if !self.http2 {
            let (send, conn) = http1::Builder::new()
                .max_header_size(MAX_HEAD)
                .handshake(io)
                .await
                .map_err(|_| ConnectError::Refused)?;
            tokio::spawn(conn);
            return Ok(Sender { kind: Kind::H1(send), born });
        }
        let (send, conn) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_header_list_size(MAX_HEAD as u32)
            .keep_alive_interval(Duration::from_secs(20))
            .adaptive_window(true)
            .handshake(io)
            .await
            .map_err(|_| ConnectError::Refused)?;
        tokio::spawn(conn);
        let sender = Sender { kind: Kind::H2(send, Arc::new(())), born };
        let shared = sender.share();
        self.idle.lock().push(Idle { sender, since: born });
        shared.ok_or(ConnectError::Refused)
    }
}

impl Idle {
    fn is_good(&self, now: Tick) -> bool {
        // HTTP/2 connections in use stay, whatever their last checkout.
        let fresh = now.since(self.since) < MAX_IDLE_TIME || self.sender.load() > 0;
        self.sender.is_open() && self.sender.is_young(now) && fresh
    }
}

impl Sender {
    fn is_open(&self) -> bool {
        match &self.kind {
            Kind::H1(s) => !s.is_closed(),
            Kind::H2(s, _) => !s.is_closed(),
        }
    }

    fn is_young(&self, now: Tick) -> bool {
        now.since(self.born) < MAX_AGE
    }

    /// Requests under way on an HTTP/2 connection.
    fn load(&self) -> usize {
        match &self.kind {
            Kind::H1(_) => 0,
            Kind::H2(_, users) => Arc::strong_count(users) - 1,
        }
    }

    fn share(&self) -> Option<Sender> {
        match &self.kind {
            Kind::H1(_) => None,
            Kind::H2(s, users) => Some(Sender { kind: Kind::H2(s.clone(), users.clone()), born: self.born }),
        }
    }
}

/// Whether the connection closed with no byte of the answer read: the server had given up an idle connection.
fn died_before_answering(e: &hyper::Error) -> bool {
    e.is_canceled() || e.is_closed() || e.is_incomplete_message() || is_reset(e)
}

fn is_reset(e: &hyper::Error) -> bool {
    use std::{error::Error, io::ErrorKind};
    let io = e.source().and_then(|s| s.downcast_ref::<std::io::Error>());
    io.is_some_and(|e| {
        matches!(
            e.kind(),
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted | ErrorKind::NotConnected
        )
    })
}
