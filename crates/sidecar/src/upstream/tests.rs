//! Answers of all kinds, mangled and whole, are read by our connection as hyper's reads them.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{HeaderMap, Method, Request, Uri, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::{
    link::Link,
    request::{OutBody, Outgoing},
};
use crate::{clock, headers::List};

/// Few enough for every save; `make fuzz` asks for a million.
const FEW: u64 = 3_000;

const STATUS_LINES: [&str; 12] = [
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 503\r\n",
    "HTTP/1.0 200 OK\r\n",
    "HTTP/1.1 204 None\r\n",
    "HTTP/1.1 304 Same\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
    "HTTP/1.1 200 OK\n",
    "\r\nHTTP/1.1 200 OK\r\n",
    "HTTP/2 200 OK\r\n",
    "HTTP/1.1 2x0 OK\r\n",
];
const HEADERS: [&str; 12] = [
    "content-length: 5\r\n",
    "Content-Length: 15\r\n",
    "transfer-encoding: chunked\r\n",
    "Transfer-Encoding: Chunked\r\n",
    "connection: close\r\n",
    "x-request-id: req_1\r\n",
    "x-empty:\r\n",
    "content-type: application/json \r\n",
    "retry-after: 2\n",
    "x-bytes: \u{e9}\r\n",
    "bad header\r\n",
    "content-length: -1\r\n",
];
const BODIES: [&str; 12] = [
    "hello",
    "5\r\nhello\r\n",
    "5\r\nhello\r\n0\r\n\r\n",
    "a ;x=\"y\"\r\n0123456789\r\n",
    "0\r\n\r\n",
    "0\r\nx: y\r\n\r\n",
    "5\r\nhell",
    "\r\n",
    "5\nhello\n",
    "zz\r\n",
    "FFFFFFFFFFFFFFFFF\r\n",
    "HTTP/1.1 200 OK\r\n\r\n",
];

/// What came of an answer: status, headers, and the body, if it ended cleanly. `None` where no head could be read.
type Read = Option<(u16, Vec<(String, Vec<u8>)>, Option<Vec<u8>>)>;

fn seen(status: u16, headers: &HeaderMap, body: Option<Vec<u8>>) -> Read {
    let mut list: Vec<_> = headers.iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())).collect();
    list.sort_unstable();
    Some((status, list, body))
}

/// A provider that reads one request and sends `pieces`.
async fn provider(mut io: DuplexStream, pieces: Vec<Vec<u8>>) {
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        head.push(io.read_u8().await.unwrap());
    }
    for piece in pieces {
        // The other side may have had enough.
        let _ = io.write_all(&piece).await;
        tokio::task::yield_now().await;
    }
}

async fn by_hyper(io: DuplexStream) -> Read {
    let (mut sender, conn) = http1::handshake(TokioIo::new(io)).await.unwrap();
    let driver = tokio::spawn(conn);
    let answer = sender.send_request(Request::new(Empty::<Bytes>::new())).await;
    let read = match answer {
        Err(_) => None,
        Ok(answer) => {
            let (parts, body) = answer.into_parts();
            let body = body.collect().await.ok().map(|body| body.to_bytes().to_vec());
            seen(parts.status.as_u16(), &parts.headers, body)
        }
    };
    driver.abort();
    read
}

async fn by_us(io: DuplexStream) -> Read {
    let mut link = Link::new(io);
    let headers = List::default();
    let body = OutBody::Rope(VecDeque::new());
    let request = Outgoing { method: &Method::GET, uri: &Uri::from_static("/"), headers: &headers, body };
    let parts = link.send(request, clock::now().after(Duration::from_secs(60))).await.ok()?;
    let mut body = Some(vec![]);
    while let Some(data) = std::future::poll_fn(|cx| link.poll_body(cx)).await {
        match (data, &mut body) {
            (Ok(data), Some(body)) => body.extend_from_slice(&data),
            _ => body = None,
        }
    }
    seen(parts.status.as_u16(), &parts.headers, body)
}

/// An answer made of `random` parts, with a byte changed here and there.
fn answer(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut text = STATUS_LINES[random.usize(..STATUS_LINES.len())].as_bytes().to_vec();
    for _ in 0..random.usize(..4) {
        text.extend_from_slice(HEADERS[random.usize(..HEADERS.len())].as_bytes());
    }
    text.extend_from_slice(b"\r\n");
    for _ in 0..random.usize(..5) {
        text.extend_from_slice(BODIES[random.usize(..BODIES.len())].as_bytes());
    }
    if random.u8(..4) == 0 {
        let at = random.usize(..text.len());
        text[at] = random.u8(..);
    }
    text
}

#[tokio::test]
async fn answers_are_read_as_hyper_reads_them() {
    let count = std::env::var("LLMROUTE_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(FEW);
    let mut random = fastrand::Rng::with_seed(7);
    let mut past = 0u64;
    for _ in 0..count {
        let text = answer(&mut random);
        let step = random.usize(1..=text.len());
        let pieces: Vec<Vec<u8>> = text.chunks(step).map(<[u8]>::to_vec).collect();
        let (near, far) = duplex(1 << 16);
        let (theirs, ()) = tokio::join!(by_hyper(near), provider(far, pieces.clone()));
        let (near, far) = duplex(1 << 16);
        let (ours, ()) = tokio::join!(by_us(near), provider(far, pieces));
        past += u64::from(ours.is_some());
        assert_eq!(ours, theirs, "{} in pieces of {step}", text.escape_ascii());
    }
    println!("answers: {count} inputs, {past} past the head");
    assert!(past * 2 >= count, "only {past} of {count} past the head");
}
