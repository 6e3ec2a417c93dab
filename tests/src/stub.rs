//! A provider of bytes: answers each request with exactly what a test says, and keeps exactly what came.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A running stub.
pub struct Stub {
    addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Counts requests from 0.
    pub number: usize,
    /// Counts connections from 0.
    pub connection: usize,
    /// Request line and headers.
    pub head: String,
    /// The body, chunks joined.
    pub body: Vec<u8>,
}

/// One piece of an answer.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Written and flushed at once.
    Bytes(Vec<u8>),
    /// A pause.
    Pause(Duration),
    /// The connection closes.
    Close,
    /// Nothing more, but the connection stays open.
    Hang,
}

impl Seen {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (n, value) = line.split_once(':')?;
            n.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Stub {
    /// Answers each request with what `answer` says.
    pub async fn start(answer: impl Fn(&Seen) -> Vec<Piece> + Send + Sync + 'static) -> Stub {
        Stub::on("127.0.0.1:0", answer).await
    }

    /// The same on an address of choice.
    pub async fn on(addr: &str, answer: impl Fn(&Seen) -> Vec<Piece> + Send + Sync + 'static) -> Stub {
        let listener = TcpListener::bind(addr).await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(vec![]));
        let (log, answer) = (seen.clone(), Arc::new(answer));
        let task = tokio::spawn(async move {
            for connection in 0.. {
                let Ok((tcp, _)) = listener.accept().await else { return };
                let (log, answer) = (log.clone(), answer.clone());
                tokio::spawn(async move {
                    let _ = serve(tcp, connection, &log, &*answer).await;
                });
            }
        });
        Stub { addr, seen, task }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A whole plain answer.
pub fn json(body: impl AsRef<[u8]>) -> Vec<Piece> {
    answer("200 OK", "application/json", body)
}

/// A whole answer of any kind with its length.
pub fn answer(status: &str, content_type: &str, body: impl AsRef<[u8]>) -> Vec<Piece> {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n", body.len());
    vec![Piece::Bytes([head.as_bytes(), body].concat())]
}

/// A whole stream, written in these parts, each a chunk of its own.
pub fn stream<B: AsRef<[u8]>>(parts: impl IntoIterator<Item = B>) -> Vec<Piece> {
    let mut out = vec![Piece::Bytes(STREAM_HEAD.to_vec())];
    out.extend(parts.into_iter().map(|part| Piece::Bytes(chunk(part.as_ref()))));
    out.push(Piece::Bytes(b"0\r\n\r\n".to_vec()));
    out
}

/// The head of a chunked event stream.
pub const STREAM_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";

/// One chunk.
pub fn chunk(part: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat()
}

async fn serve(
    mut tcp: TcpStream,
    connection: usize,
    log: &Mutex<Vec<Seen>>,
    answer: &(dyn Fn(&Seen) -> Vec<Piece> + Send + Sync),
) -> std::io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut buffer = vec![];
    while let Some((head, body)) = request(&mut tcp, &mut buffer).await? {
        let seen = {
            let mut log = log.lock();
            let seen = Seen { number: log.len(), connection, head, body };
            log.push(seen.clone());
            seen
        };
        for piece in answer(&seen) {
            match piece {
                Piece::Bytes(bytes) => tcp.write_all(&bytes).await?,
                Piece::Pause(time) => tokio::time::sleep(time).await,
                Piece::Close => return tcp.shutdown().await,
                Piece::Hang => {
                    while tcp.read(&mut [0; 1024]).await? > 0 {}
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// Reads one request; `None` when the connection ends.
async fn request(tcp: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let Some(end) = until(tcp, buffer, |b| memchr::memmem::find(b, b"\r\n\r\n").map(|at| at + 4)).await? else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&buffer.drain(..end).collect::<Vec<_>>()).into_owned();
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|l| l.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    if let Some(length) = length {
        until(tcp, buffer, |b| (b.len() >= length).then_some(length)).await?;
        let body = buffer.drain(..length.min(buffer.len())).collect();
        return Ok(Some((head, body)));
    }
    let mut body = vec![];
    if lower.contains("transfer-encoding: chunked") {
        loop {
            let line = until(tcp, buffer, |b| memchr::memmem::find(b, b"\r\n").map(|at| at + 2)).await?.unwrap_or(0);
            let size = String::from_utf8_lossy(&buffer.drain(..line).collect::<Vec<_>>()).trim().to_owned();
            let size = usize::from_str_radix(size.split(';').next().unwrap_or_default(), 16).unwrap_or(0);
            until(tcp, buffer, |b| (b.len() >= size + 2).then_some(size)).await?;
            body.extend(buffer.drain(..size.min(buffer.len())));
            buffer.drain(..2.min(buffer.len()));
            if size == 0 {
                break;
            }
        }
    }
    Ok(Some((head, body)))
}

/// Reads until `find` finds what it looks for.
async fn until(
    tcp: &mut TcpStream,
    buffer: &mut Vec<u8>,
    find: impl Fn(&[u8]) -> Option<usize>,
) -> std::io::Result<Option<usize>> {
    loop {
        if let Some(found) = find(buffer) {
            return Ok(Some(found));
        }
        if tcp.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}
