//! A connection that can be broken on purpose: reset, cut in the middle of a chunk, closed when idle.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

// Mode 0 is an open connection that nothing is to happen to.
/// The next write loses its end.
const CUTTING: u8 = 1;
/// It did; nothing more leaves.
const CUT: u8 = 2;
const RESET: u8 = 3;
/// Closes when the answer is out.
const CLOSING: u8 = 4;
/// Dies at the next request.
const STALE: u8 = 5;

/// How many bytes of the last chunk are held back: the line end, and some of the data.
const HELD_BACK: usize = 7;

/// Breaks a connection from the outside.
#[derive(Default)]
pub(super) struct Control {
    mode: AtomicU8,
    reader: Mutex<Option<Waker>>,
    /// Counts requests that came on a stale connection.
    unread: Arc<AtomicU64>,
}

impl Control {
    /// With the simulator's count of requests that came on stale connections.
    pub(super) fn new(unread: Arc<AtomicU64>) -> Control {
        Control { unread, ..Control::default() }
    }

    /// The next write loses its end, and then the connection closes.
    pub(super) fn cut(&self) {
        self.mode.store(CUTTING, Ordering::SeqCst);
    }

    /// The connection is reset at once.
    pub(super) fn reset(&self) {
        self.set(RESET);
    }

    /// The connection is closed at once.
    pub(super) fn close(&self) {
        self.set(CUT);
    }

    /// The connection closes when the answer is out.
    pub(super) fn close_when_idle(&self) {
        self.set(CLOSING);
    }

    /// The connection dies when the next request comes in on it.
    pub(super) fn make_stale(&self) {
        self.set(STALE);
    }

    fn set(&self, mode: u8) {
        self.mode.store(mode, Ordering::SeqCst);
        if let Some(reader) = self.reader.lock().take() {
            reader.wake();
        }
    }

    fn mode(&self) -> u8 {
        self.mode.load(Ordering::SeqCst)
    }
}

/// Makes a later close a reset.
pub(super) trait ZeroLinger {
    fn zero_linger(&self);
}

impl ZeroLinger for TcpStream {
    fn zero_linger(&self) {
        let _ = self.set_zero_linger();
    }
}

impl ZeroLinger for TlsStream<TcpStream> {
    fn zero_linger(&self) {
        self.get_ref().0.zero_linger();
    }
}

/// The stream under HTTP.
pub(super) struct Conn<S: ZeroLinger> {
    pub(super) inner: S,
    pub(super) control: Arc<Control>,
}

impl<S: ZeroLinger> Drop for Conn<S> {
    fn drop(&mut self) {
        if self.control.mode() == RESET {
            self.inner.zero_linger();
        }
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "broken on purpose")
}

impl<S: ZeroLinger + AsyncRead + Unpin> AsyncRead for Conn<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        *this.control.reader.lock() = Some(cx.waker().clone());
        match this.control.mode() {
            RESET | CUT => Poll::Ready(Err(broken())),
            CLOSING => Poll::Ready(Ok(())),
            STALE => {
                let mut scratch = [0; 64];
                let mut scratch = ReadBuf::new(&mut scratch);
                std::task::ready!(Pin::new(&mut this.inner).poll_read(cx, &mut scratch))?;
                this.control.unread.fetch_add(u64::from(!scratch.filled().is_empty()), Ordering::Relaxed);
                Poll::Ready(Err(broken()))
            }
            _ => Pin::new(&mut this.inner).poll_read(cx, buf),
        }
    }
}

impl<S: ZeroLinger + AsyncWrite + Unpin> AsyncWrite for Conn<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        match this.control.mode() {
            RESET => Poll::Ready(Err(broken())),
            CUT => Poll::Ready(Ok(buf.len())),
            CUTTING => {
                let sent = buf.len().saturating_sub(HELD_BACK);
                let written = std::task::ready!(Pin::new(&mut this.inner).poll_write(cx, &buf[..sent]))?;
                if written < sent {
                    return Poll::Ready(Ok(written));
                }
                this.control.close();
                Poll::Ready(Ok(buf.len()))
            }
            _ => Pin::new(&mut this.inner).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.control.mode() {
            RESET | CUT => Poll::Ready(Ok(())),
            _ => Pin::new(&mut self.inner).poll_shutdown(cx),
        }
    }
}
