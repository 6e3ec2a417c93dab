//! An app: an HTTP/1.1 client with a pool, plain answers and streams.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, StatusCode, body::Incoming};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use tokio::time::timeout;

use crate::{
    speech::Speech,
    sse::{self, Event},
};

/// Longest time that a test waits for anything an answer is made of.
const STUCK: Duration = Duration::from_secs(60);

/// Sends requests to one address.
#[derive(Clone)]
pub struct Caller {
    client: Client<HttpConnector, Full<Bytes>>,
    addr: SocketAddr,
}

/// One request in the making.
pub struct Ask<'c> {
    caller: &'c Caller,
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body; what came of it if it was cut.
    pub body: Bytes,
    /// The body ended as HTTP says it should.
    pub whole: bool,
}

/// An answer that is read as it comes.
pub struct Streaming {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Ended before its end.
    pub broken: bool,
    body: Incoming,
    buffer: Vec<u8>,
    ready: std::collections::VecDeque<Event>,
    ended: bool,
}

/// A header's text, or "".
pub fn header<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

impl Caller {
    /// To a sidecar, or straight to a simulator.
    pub fn new(addr: SocketAddr) -> Caller {
        Caller { client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()), addr }
    }

    /// Where it sends.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A request of any kind.
    pub fn ask(&self, method: Method, path: &str) -> Ask<'_> {
        Ask { caller: self, method, path: path.to_owned(), headers: vec![], body: Bytes::new() }
    }

    /// `GET`.
    pub fn get(&self, path: &str) -> Ask<'_> {
        self.ask(Method::GET, path)
    }

    /// `POST` of a JSON text.
    pub fn post(&self, path: &str, body: impl Into<Bytes>) -> Ask<'_> {
        let ask = self.ask(Method::POST, path).header("content-type", "application/json");
        Ask { body: body.into(), ..ask }
    }

    /// A prompt in one of the three dialects, as an SDK sends it.
    pub fn say(&self, speech: Speech, prompt: &str, stream: bool) -> Ask<'_> {
        let ask = self.post(speech.path(), speech.body(prompt, stream).to_string());
        match speech {
            Speech::Messages => ask.header("anthropic-version", "2023-06-01"),
            _ => ask,
        }
    }
}

impl Ask<'_> {
    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends, and returns with the head of the answer.
    pub async fn open(self) -> Result<Streaming, String> {
        let mut request =
            Request::builder().method(self.method).uri(format!("http://{}{}", self.caller.addr, self.path));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(self.body)).map_err(|e| e.to_string())?;
        let answer =
            timeout(STUCK, self.caller.client.request(request)).await.map_err(|_| "no head came".to_owned())?;
        let (head, body) = answer.map_err(|e| format!("{e:?}"))?.into_parts();
        Ok(Streaming {
            status: head.status.as_u16(),
            headers: head.headers,
            broken: false,
            body,
            buffer: vec![],
            ready: Default::default(),
            ended: false,
        })
    }

    /// Sends, and reads the whole answer.
    pub async fn try_send(self) -> Result<Reply, String> {
        Ok(self.open().await?.whole().await)
    }

    /// The same; no answer at all fails the test.
    pub async fn send(self) -> Reply {
        self.try_send().await.expect("an answer")
    }
}

impl Reply {
    /// A header's text, or "".
    pub fn header(&self, name: &str) -> &str {
        header(&self.headers, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; `Null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as events.
    pub fn events(&self) -> Vec<Event> {
        sse::all(&self.body)
    }

    /// Fails the test unless the status is this.
    #[track_caller]
    pub fn expect(self, status: StatusCode) -> Reply {
        assert_eq!(self.status, status.as_u16(), "{:?}\n{}", self.headers, self.text());
        self
    }
}

impl Streaming {
    /// A header's text, or "".
    pub fn header(&self, name: &str) -> &str {
        header(&self.headers, name)
    }

    /// The next event; `None` when the body ends or breaks.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            match self.chunk().await {
                Some(bytes) => {
                    self.buffer.extend_from_slice(&bytes);
                    self.ready.extend(sse::take(&mut self.buffer));
                }
                None => self.ready.extend(sse::all(&std::mem::take(&mut self.buffer))),
            }
        }
    }

    /// All events to the end.
    pub async fn rest(&mut self) -> Vec<Event> {
        let mut out = vec![];
        while let Some(event) = self.next().await {
            out.push(event);
        }
        out
    }

    /// The next bytes.
    pub async fn chunk(&mut self) -> Option<Bytes> {
        while !self.ended {
            let frame = timeout(STUCK, self.body.frame()).await.expect("a stuck body");
            match frame {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(data);
                    }
                }
                Some(Err(_)) => (self.ended, self.broken) = (true, true),
                None => self.ended = true,
            }
        }
        None
    }

    /// Reads the rest as bytes.
    pub async fn whole(mut self) -> Reply {
        let mut body = std::mem::take(&mut self.buffer);
        while let Some(bytes) = self.chunk().await {
            body.extend_from_slice(&bytes);
        }
        Reply { status: self.status, headers: self.headers, body: body.into(), whole: !self.broken }
    }
}
