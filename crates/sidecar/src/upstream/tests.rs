//! Our connection to a provider: answers of all kinds, mangled and whole, are read as hyper's reads them; what is left of
//! a request that went wrong spoils no other.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty};
use hyper::{HeaderMap, Method, Request, Uri, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{
    link::{Link, Lost, NoHead},
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
    let head = link.send(request, clock::now().after(Duration::from_secs(60))).await.ok()?;
    let mut body = Some(vec![]);
    while let Some(data) = std::future::poll_fn(|cx| link.poll_body(cx)).await {
        match (data, &mut body) {
            (Ok(data), Some(body)) => body.extend_from_slice(&data),
            _ => body = None,
        }
    }
    seen(head.status.as_u16(), &head.headers.map(), body)
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

/// A body as it comes from an app: its length, if that is said, and its pieces, `None` at the end.
struct Sent(Option<u64>, mpsc::UnboundedReceiver<Option<Bytes>>);

impl Body for Sent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(match ready!(self.1.poll_recv(cx)) {
            Some(piece) => piece.map(|data| Ok(Frame::data(data))),
            None => Some(Err(io::ErrorKind::UnexpectedEof.into())),
        })
    }

    fn size_hint(&self) -> SizeHint {
        self.0.map(SizeHint::with_exact).unwrap_or_default()
    }
}

/// A body of this length, of which `hello` is here, and the app that sends the rest.
fn upload(length: Option<u64>) -> (OutBody, mpsc::UnboundedSender<Option<Bytes>>) {
    let (app, pieces) = mpsc::unbounded_channel();
    app.send(Some(Bytes::from_static(b"hello"))).unwrap();
    (OutBody::Stream(Sent(length, pieces).boxed_unsync()), app)
}

async fn post(link: &mut Link<DuplexStream>, body: OutBody) -> Result<u16, NoHead> {
    let headers = List::default();
    let request = Outgoing { method: &Method::POST, uri: &Uri::from_static("/"), headers: &headers, body };
    link.send(request, clock::now().after(Duration::from_secs(60))).await.map(|head| head.status.as_u16())
}

async fn rest_of(link: &mut Link<DuplexStream>) -> Result<Vec<u8>, Lost> {
    let mut body = vec![];
    while let Some(data) = std::future::poll_fn(|cx| link.poll_body(cx)).await {
        body.extend_from_slice(&data?);
    }
    Ok(body)
}

async fn read_until(io: &mut DuplexStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        text.push(io.read_u8().await.unwrap().into());
    }
    text
}

#[tokio::test(start_paused = true)]
async fn an_upload_goes_through_as_it_comes() {
    for (length, more, head, rest) in [
        (Some(10), "12345", "content-length: 10\r\n\r\nhello", "12345"),
        (None, "!!", "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", "2\r\n!!\r\n0\r\n\r\n"),
    ] {
        let (body, app) = upload(length);
        let (near, mut far) = duplex(1 << 16);
        let mut link = Link::new(near);
        let provider = async {
            assert!(read_until(&mut far, "hello").await.ends_with(head.trim_end_matches("\r\n")), "{head}");
            for piece in [Some(Bytes::from_static(more.as_bytes())), None] {
                app.send(piece).unwrap();
            }
            assert!(read_until(&mut far, rest).await.ends_with(rest));
            far.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        };
        let (status, ()) = tokio::join!(post(&mut link, body), provider);
        assert_eq!((status.unwrap(), rest_of(&mut link).await.unwrap()), (200, b"ok".to_vec()));
        assert!(link.is_free(), "it takes the next");
    }
}

/// The app leaves within its upload: the provider is never told that this was all of it, and the connection takes no
/// other request, whatever was answered before.
#[tokio::test(start_paused = true)]
async fn an_upload_that_ends_early_is_not_taken_for_whole() {
    for length in [Some(10), None] {
        for answers in [false, true] {
            let (body, app) = upload(length);
            let (near, mut far) = duplex(1 << 16);
            let mut link = Link::new(near);
            let provider = async {
                read_until(&mut far, "hello").await;
                if answers {
                    far.write_all(b"HTTP/1.1 413 No\r\ncontent-length: 4\r\n\r\nno").await.unwrap();
                }
                sleep(Duration::from_secs(1)).await;
                drop(app);
                sleep(Duration::from_secs(1)).await;
                if answers {
                    far.write_all(b"!!").await.unwrap();
                }
            };
            let caller = async {
                let status = post(&mut link, body).await;
                let body = rest_of(&mut link).await;
                (status, body)
            };
            let ((status, body), ()) = tokio::join!(caller, provider);
            match status {
                // Not that the provider closed it: nobody tries again.
                Err(NoHead::Lost(lost)) => assert!(!answers && lost == Lost::Cut, "{lost:?}"),
                status => assert!(answers && status.unwrap() == 413 && body.unwrap() == b"no!!"),
            }
            assert!(!link.is_free());
            drop(link);
            let mut left = String::new();
            let read = timeout(Duration::from_secs(1), far.read_to_string(&mut left)).await;
            assert!(read.is_ok() && (left.is_empty() || left == "\r\n"), "{left:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_used_again_only_when_request_and_answer_are_over() {
    let whole = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    // What the provider says, and whether another request may follow.
    for (answer, again) in [
        (whole.to_owned(), true),
        (format!("HTTP/1.1 100 Continue\r\n\r\n{whole}"), true),
        (format!("{whole}more"), false),
        (whole.replace("content-length", "connection: close\r\ncontent-length"), false),
        (whole.replace("1.1", "1.0"), false),
    ] {
        let (near, mut far) = duplex(1 << 16);
        let mut link = Link::new(near);
        let body = || OutBody::Rope([Bytes::from_static(b"{}")].into());
        let provider = async {
            read_until(&mut far, "{}").await;
            far.write_all(answer.as_bytes()).await.unwrap();
        };
        let (status, ()) = tokio::join!(post(&mut link, body()), provider);
        assert_eq!((status.unwrap(), rest_of(&mut link).await.unwrap()), (200, b"ok".to_vec()));
        assert_eq!(link.is_free(), again, "{answer:?}");
        let second = async {
            read_until(&mut far, "{}").await;
            drop(far);
        };
        match again {
            // It closes without an answer, which may be tried afresh.
            true => {
                let (lost, ()) = tokio::join!(post(&mut link, body()), second);
                assert!(matches!(lost, Err(NoHead::Lost(Lost::Unanswered))), "{lost:?}");
            }
            false => assert!(matches!(post(&mut link, body()).await, Err(NoHead::Lost(Lost::Unsent)))),
        }
    }
}
