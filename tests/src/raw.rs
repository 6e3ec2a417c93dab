//! A caller that writes bytes, for requests that no HTTP client would send.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

/// A connection of bytes.
pub struct Raw(TcpStream);

/// What came back.
#[derive(Debug)]
pub struct Got {
    /// Everything, as text.
    pub text: String,
    /// The other side closed the connection.
    pub closed: bool,
    /// Until the last byte, or the close.
    pub took: Duration,
}

impl Got {
    /// The status of the first answer; 0 if there was none.
    pub fn status(&self) -> u16 {
        self.text.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// How many answers came.
    pub fn answers(&self) -> usize {
        self.text.matches("HTTP/1.1 ").count()
    }
}

impl Raw {
    /// Connects.
    pub async fn connect(addr: SocketAddr) -> Raw {
        let tcp = TcpStream::connect(addr).await.expect("connects");
        tcp.set_nodelay(true).expect("TCP_NODELAY");
        Raw(tcp)
    }

    /// Writes; false if the other side no longer takes it.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Ends the writing side.
    pub async fn finish(&mut self) {
        let _ = self.0.shutdown().await;
    }

    /// Reads until the connection closes, or nothing more has come for `quiet`.
    pub async fn read(&mut self, quiet: Duration) -> Got {
        let began = Instant::now();
        let mut bytes = vec![];
        let mut took = Duration::ZERO;
        let mut buffer = vec![0; 64 << 10];
        let closed = loop {
            match timeout(quiet, self.0.read(&mut buffer)).await {
                Err(_) => break false,
                Ok(Ok(0) | Err(_)) => {
                    took = began.elapsed();
                    break true;
                }
                Ok(Ok(n)) => {
                    bytes.extend_from_slice(&buffer[..n]);
                    took = began.elapsed();
                }
            }
        };
        Got { text: String::from_utf8_lossy(&bytes).into_owned(), closed, took }
    }
}

/// Sends `bytes` on a connection of their own and reads what comes back.
pub async fn send(addr: SocketAddr, bytes: impl AsRef<[u8]>) -> Got {
    let mut raw = Raw::connect(addr).await;
    raw.write(bytes).await;
    raw.read(Duration::from_secs(2)).await
}
