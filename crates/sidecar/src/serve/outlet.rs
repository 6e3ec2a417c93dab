//! What an app gets over one connection: heads, and bodies that are whole, streamed, or passed on.

use std::{
    future::poll_fn,
    io::{self, Write},
    pin::Pin,
    task::Poll,
};

use http_body::Body;
use hyper::{StatusCode, header};
use tokio::{io::AsyncWrite, net::tcp::OwnedWriteHalf};

use super::inlet::Inlet;
use crate::{
    clock,
    headers::{List, names_token},
    reply::{Reply, Response},
    unsent::Unsent,
};

/// A stream is not asked for more while so much of it waits to be written.
const MOST_UNSENT: usize = 64 << 10;

/// What bounds an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Its body is not sent: a HEAD was asked.
    pub(super) headless: bool,
    /// The app knows chunks.
    pub(super) chunks: bool,
    /// Another request may follow.
    pub(super) keeps: bool,
    /// The app has to be told that it may.
    pub(super) tells: bool,
}

/// A second since 1970, and its text.
#[derive(Default)]
struct Date(u64, String);

/// One connection, as far as it is written.
pub(super) struct Outlet {
    half: OwnedWriteHalf,
    unsent: Unsent,
    date: Date,
}

impl Outlet {
    pub(super) fn new(half: OwnedWriteHalf) -> Outlet {
        Outlet { half, unsent: Unsent::default(), date: Date::default() }
    }

    /// Sends an answer; whether another one may follow, and its headers, for their memory.
    ///
    /// # Errors
    /// The app is gone, or the answer broke in a way that only the end of the connection can say.
    pub(super) async fn send(
        &mut self,
        response: Response,
        terms: Terms,
        inlet: &mut Inlet,
    ) -> io::Result<(bool, List)> {
        let Response { status, headers, reply, refused: _ } = response;
        let closes = headers.get_all(&header::CONNECTION).any(|v| names_token(v, "close"));
        let bodiless = terms.headless
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || status.is_informational();
        let length = reply.size_hint().exact();
        let keeps = terms.keeps && !closes && (length.is_some() || bodiless || terms.chunks);
        let head = self.unsent.begin();
        begin_head(head, &mut self.date, status, &headers);
        match length {
            Some(length) if status != StatusCode::NO_CONTENT => {
                // Writing into memory cannot fail.
                let _ = write!(head, "content-length: {length}\r\n");
            }
            None if terms.chunks && !bodiless => head.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            _ => {}
        }
        head.extend_from_slice(match keeps {
            false => b"connection: close\r\n\r\n",
            true if terms.tells => b"connection: keep-alive\r\n\r\n",
            true => b"\r\n",
        });
        match reply {
            mut unseen if bodiless => {
                poll_fn(|cx| self.unsent.poll_write(&mut self.half, cx)).await?;
                // Its end is told by whoever reads it to there.
                poll_fn(|cx| Poll::Ready(Pin::new(&mut unseen).poll_frame(cx).is_ready())).await;
            }
            Reply::Whole(pieces, _room) => {
                pieces.into_iter().for_each(|piece| self.unsent.push(piece));
                poll_fn(|cx| self.unsent.poll_write(&mut self.half, cx)).await?;
            }
            streamed => self.stream(streamed, terms.chunks, inlet).await?,
        }
        Ok((keeps, headers))
    }

    /// Ends the connection from this side.
    pub(super) async fn finish(&mut self) {
        // Else the app is gone.
        let _ = poll_fn(|cx| Pin::new(&mut self.half).poll_shutdown(cx)).await;
    }

    /// Sends what there is of a stream, all of it that is ready at once.
    async fn stream(&mut self, mut reply: Reply, chunks: bool, inlet: &mut Inlet) -> io::Result<()> {
        let mut end = None;
        poll_fn(|cx| {
            loop {
                while end.is_none() && self.unsent.len() < MOST_UNSENT {
                    match Pin::new(&mut reply).poll_frame(cx) {
                        Poll::Pending => break,
                        Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                            Ok(data) if chunks => self.unsent.push_chunk(data),
                            Ok(data) => self.unsent.push(data),
                            Err(_) => {}
                        },
                        Poll::Ready(Some(Err(broken))) => end = Some(Err(broken)),
                        Poll::Ready(None) => {
                            if chunks {
                                self.unsent.push_last_chunk();
                            }
                            end = Some(Ok(()));
                        }
                    }
                }
                let is_all = self.unsent.len() < MOST_UNSENT;
                let waits = match self.unsent.poll_write(&mut self.half, cx)? {
                    Poll::Pending => true,
                    Poll::Ready(()) if end.is_some() => return end.take().map_or(Poll::Pending, Poll::Ready),
                    Poll::Ready(()) => is_all,
                };
                if waits {
                    return inlet.poll_gone(cx).map(|()| Err(io::ErrorKind::ConnectionAborted.into()));
                }
            }
        })
        .await
    }
}

/// The head, but for what tells where the body ends and what comes of the connection.
fn begin_head(out: &mut Vec<u8>, date: &mut Date, status: StatusCode, headers: &List) {
    let mut put = |pieces: &[&[u8]]| pieces.iter().for_each(|piece| out.extend_from_slice(piece));
    let reason = status.canonical_reason().unwrap_or("Unknown");
    put(&[b"HTTP/1.1 ", status.as_str().as_bytes(), b" ", reason.as_bytes(), b"\r\n"]);
    let mut dated = false;
    for (name, value) in headers.iter() {
        if matches!(*name, header::CONNECTION | header::CONTENT_LENGTH | header::TRANSFER_ENCODING) {
            continue;
        }
        dated |= name == header::DATE;
        put(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
    }
    if !dated {
        let now = clock::unix();
        if date.0 != now.as_secs() {
            *date = Date(now.as_secs(), clock::http_date(now));
        }
        put(&[b"date: ", date.1.as_bytes(), b"\r\n"]);
    }
}
