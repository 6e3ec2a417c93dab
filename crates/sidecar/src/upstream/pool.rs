//! Connections to one address: checkout, reuse with bounds on idleness and age, one fresh try when a reused one died.

use std::{sync::Arc, time::Duration};

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use policy::{Tick, snapshot::BaseUrl};
use tokio::time::{timeout, timeout_at};

use super::{
    ConnectLimits,
    answer::AnswerHead,
    answer::MAX_HEAD,
    body::{Answered, LentBody},
    connect::{ConnectError, Network},
    link::{Link, Lost, NoHead, is_closed},
    request::{OutBody, Outgoing},
};
use crate::{clock, framing::Framing};

/// Idle connections kept a host.
const MAX_IDLE: usize = 64;
const MAX_IDLE_TIME: Duration = Duration::from_secs(60);
/// Connections are retired after this, so that a change in DNS is followed.
const MAX_AGE: Duration = Duration::from_secs(300);
/// Requests at once on one HTTP/2 connection before another is opened.
const MAX_STREAMS: usize = 64;

/// Connections to one address.
pub struct Pool {
    base: BaseUrl,
    http2: bool,
    connector: Arc<Network>,
    idle: Mutex<Vec<Idle>>,
    /// Held while an HTTP/2 connection is being opened; whether the last one failed.
    opening: tokio::sync::Mutex<bool>,
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
    H1(Box<Link>),
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
    /// Nothing came in time.
    Timeout,
    /// The connection died, or what came was not HTTP.
    Lost(Lost),
}

impl SendError {
    /// Whether no byte of the request left since it was last built.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        match self {
            SendError::Connect(_) | SendError::TooLate => true,
            SendError::Lost(lost) => *lost == Lost::Unsent,
            SendError::Timeout => false,
        }
    }
}

impl From<NoHead> for SendError {
    fn from(why: NoHead) -> SendError {
        match why {
            NoHead::Late => SendError::Timeout,
            NoHead::Lost(e) => SendError::Lost(e),
        }
    }
}

impl Pool {
    pub(super) fn new(base: BaseUrl, http2: bool, connector: Arc<Network>) -> Pool {
        Pool { base, http2, connector, idle: Mutex::default(), opening: tokio::sync::Mutex::default() }
    }

    /// The address.
    #[must_use]
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Sends one request and waits for the head of its answer, until `until` at most. `build` is called right before it
    /// leaves, and again only when a reused connection died before any byte of the answer; with `None` nothing is sent.
    ///
    /// # Errors
    /// The connection could not be opened, or died, or it is too late.
    pub async fn send<'a>(
        self: &Arc<Self>,
        build: &mut (dyn FnMut(Option<Died>) -> Option<Outgoing<'a>> + Send),
        limits: ConnectLimits,
        until: Tick,
    ) -> Result<Answered, SendError> {
        if let Some(sender) = self.checkout() {
            let request = build(None).ok_or(SendError::TooLate)?;
            let died = match self.send_on(sender, request, until).await {
                Err(NoHead::Lost(lost @ (Lost::Unsent | Lost::Unanswered))) => lost,
                sent => return sent.map_err(SendError::from),
            };
            return Box::pin(self.send_again(died, build, limits, until)).await;
        }
        let fresh = Box::pin(self.open_until(limits, until)).await?;
        let request = build(None).ok_or(SendError::TooLate)?;
        self.send_on(fresh, request, until).await.map_err(SendError::from)
    }

    /// Once more, afresh, where a reused connection died.
    async fn send_again<'a>(
        self: &Arc<Self>,
        died: Lost,
        build: &mut (dyn FnMut(Option<Died>) -> Option<Outgoing<'a>> + Send),
        limits: ConnectLimits,
        until: Tick,
    ) -> Result<Answered, SendError> {
        let (how, fresh) = match (died, self.open_until(limits, until).await) {
            (Lost::Unsent, fresh) => (Died::BeforeSending, fresh?),
            (_, Ok(fresh)) => (Died::AfterSending, fresh),
            // That the provider cannot be reached by now does not mean that the first one was not served.
            (lost, Err(_)) => return Err(SendError::Lost(lost)),
        };
        let Some(request) = build(Some(how)) else { return Err(SendError::Lost(died)) };
        self.send_on(fresh, request, until).await.map_err(SendError::from)
    }

    async fn send_on(
        self: &Arc<Self>,
        mut sender: Sender,
        request: Outgoing<'_>,
        until: Tick,
    ) -> Result<Answered, NoHead> {
        let (head, stream) = match &mut sender.kind {
            Kind::H1(link) => (link.send(request, until).await?, None),
            Kind::H2(s, _) => {
                let answer = s.send_request(request.into_request());
                let answer = Box::pin(timeout_at(clock::instant(until), answer)).await.map_err(|_| NoHead::Late)?;
                let (parts, body) = answer.map_err(|e| NoHead::Lost(e.into()))?.into_parts();
                (AnswerHead { status: parts.status, headers: (&parts.headers).into() }, Some(body))
            }
        };
        Ok(Answered { head, body: LentBody::new(stream, self.clone(), sender) })
    }

    /// The most recently used connection that is still good.
    fn checkout(&self) -> Option<Sender> {
        let now = clock::now();
        let mut idle = self.idle.lock();
        if self.http2 {
            idle.retain_mut(|i| i.sender.is_open());
            let i = idle.iter_mut().rev().find(|i| i.sender.is_young(now) && i.sender.load() < MAX_STREAMS)?;
            i.since = now;
            return i.sender.share();
        }
        while let Some(mut i) = idle.pop() {
            if i.is_good(now) {
                return Some(i.sender);
            }
        }
        None
    }

    pub(super) fn put_back(&self, mut sender: Sender) {
        let now = clock::now();
        if !sender.link().is_some_and(Link::is_free) || !sender.is_young(now) {
            return;
        }
        let mut idle = self.idle.lock();
        if idle.len() < MAX_IDLE {
            idle.push(Idle { sender, since: now });
        }
    }

    pub(super) fn sweep(&self) {
        let now = clock::now();
        self.idle.lock().retain_mut(|i| i.is_good(now));
    }

    async fn open_until(&self, limits: ConnectLimits, until: Tick) -> Result<Sender, SendError> {
        let opened = timeout_at(clock::instant(until), self.open(limits)).await;
        opened.map_err(|_| SendError::TooLate)?.map_err(SendError::Connect)
    }

    async fn open(&self, limits: ConnectLimits) -> Result<Sender, ConnectError> {
        if self.http2 {
            return self.open_shared(limits).await;
        }
        let io = self.connector.connect(&self.base, false, limits).await?;
        Ok(Sender { kind: Kind::H1(Box::new(Link::new(io))), born: clock::now() })
    }

    /// One at a time: a burst shares the connection that is being opened. Who waited in vain opens its own, in what is
    /// left of its limit, so that a dead address fails all of them at once and not one after another.
    async fn open_shared(&self, limits: ConnectLimits) -> Result<Sender, ConnectError> {
        let began = clock::now();
        loop {
            if let Ok(mut failed) = self.opening.try_lock() {
                let opened = self.open_http2(limits).await;
                *failed = opened.is_err();
                return opened;
            }
            let left = || limits.connect.saturating_sub(clock::now().since(began));
            let turn = timeout(left(), self.opening.lock()).await;
            let failed = *turn.map_err(|_| ConnectError::Timeout)?;
            if let Some(sender) = self.checkout() {
                return Ok(sender);
            }
            if failed {
                return self.open_http2(ConnectLimits { connect: left(), ..limits }).await;
            }
        }
    }

    async fn open_http2(&self, limits: ConnectLimits) -> Result<Sender, ConnectError> {
        let io = self.connector.connect(&self.base, true, limits).await?;
        let (send, conn) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_header_list_size(MAX_HEAD as u32)
            .keep_alive_interval(Duration::from_secs(20))
            .adaptive_window(true)
            .handshake(TokioIo::new(io))
            .await
            .map_err(|_| ConnectError::Refused)?;
        tokio::spawn(conn);
        let born = clock::now();
        let sender = Sender { kind: Kind::H2(send, Arc::new(())), born };
        let shared = sender.share();
        self.idle.lock().push(Idle { sender, since: born });
        shared.ok_or(ConnectError::Refused)
    }
}

impl Idle {
    fn is_good(&mut self, now: Tick) -> bool {
        // HTTP/2 connections in use stay, whatever their last checkout.
        let fresh = now.since(self.since) < MAX_IDLE_TIME || self.sender.load() > 0;
        self.sender.is_open() && self.sender.is_young(now) && fresh
    }
}

impl Sender {
    /// Whether it can take a request.
    fn is_open(&mut self) -> bool {
        match &mut self.kind {
            Kind::H1(link) => link.is_free(),
            Kind::H2(s, _) => !s.is_closed(),
        }
    }

    /// The connection, where its user drives it.
    pub(super) fn link(&mut self) -> Option<&mut Link> {
        match &mut self.kind {
            Kind::H1(link) => Some(link),
            Kind::H2(..) => None,
        }
    }

    /// What is to come of the answer over HTTP/1.1.
    pub(super) fn framing(&self) -> Framing {
        match &self.kind {
            Kind::H1(link) => link.framing(),
            Kind::H2(..) => Framing::Over,
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

impl From<hyper::Error> for Lost {
    /// As HTTP/2's library tells it.
    fn from(e: hyper::Error) -> Lost {
        match e {
            e if e.is_canceled() => Lost::Unsent,
            e if e.is_closed() || e.is_incomplete_message() || is_reset(&e) => Lost::Unanswered,
            e if e.is_parse() => Lost::NotHttp,
            _ => Lost::Cut,
        }
    }
}

fn is_reset(e: &hyper::Error) -> bool {
    use std::error::Error;
    let io = e.source().and_then(|s| s.downcast_ref::<std::io::Error>());
    io.is_some_and(|e| is_closed(e.kind()))
}
