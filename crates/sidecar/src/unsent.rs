//! Bytes on their way out: what was gathered, written as fast as a connection takes it.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// Pieces written at once.
const MOST_SLICES: usize = 16;
/// What is smaller is copied behind what stands before it: that costs less than a slice of its own.
const SMALL: usize = 2 << 10;
/// More memory than this is not kept for the next message.
const LARGE: usize = 16 << 10;

/// Bytes that are not written yet.
#[derive(Default)]
pub(crate) struct Unsent {
    /// A head, and small pieces behind it.
    front: Vec<u8>,
    /// Bytes of it that are written.
    at: usize,
    /// Something of the message is written.
    touched: bool,
    pieces: VecDeque<Bytes>,
}

impl Unsent {
    /// For the next message: where its head is written to. Nothing is left of the last one.
    pub(crate) fn begin(&mut self) -> &mut Vec<u8> {
        self.front.clear();
        self.front.shrink_to(LARGE);
        (self.at, self.touched) = (0, false);
        self.pieces.clear();
        &mut self.front
    }

    /// Puts a piece behind the others.
    pub(crate) fn push(&mut self, piece: Bytes) {
        if self.pieces.is_empty() && piece.len() <= SMALL {
            self.push_slice(&piece);
        } else if !piece.is_empty() {
            self.pieces.push_back(piece);
        }
    }

    /// The same of bytes that are copied.
    pub(crate) fn push_slice(&mut self, piece: &[u8]) {
        if !self.pieces.is_empty() {
            return self.pieces.push_back(Bytes::copy_from_slice(piece));
        }
        // What is written goes, at the latest when it is most of it: a slow reader's stream must not pile up behind it.
        if self.at * 2 >= self.front.len() {
            self.front.drain(..self.at);
            self.at = 0;
        }
        self.front.extend_from_slice(piece);
    }

    /// A chunk of a body without known length (RFC 9112 section 7.1); an empty one would be its end, and is left out.
    pub(crate) fn push_chunk(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        let mut line = [0; 18];
        self.push_slice(size_line(data.len(), &mut line));
        self.push(data);
        self.push_slice(b"\r\n");
    }

    /// The end of such a body.
    pub(crate) fn push_last_chunk(&mut self) {
        self.push_slice(b"0\r\n\r\n");
    }

    /// How many bytes are left.
    pub(crate) fn len(&self) -> usize {
        self.front.len() - self.at + self.pieces.iter().map(Bytes::len).sum::<usize>()
    }

    /// Whether nothing of the present message is written.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.touched
    }

    /// Writes all there is.
    ///
    /// # Errors
    /// The connection's own.
    pub(crate) fn poll_write(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let front = &self.front[self.at..];
            let written = match (front.is_empty(), self.pieces.front()) {
                (true, None) => return Poll::Ready(Ok(())),
                (false, None) => ready!(Pin::new(&mut *io).poll_write(cx, front))?,
                (_, Some(_)) => {
                    let mut slices = [IoSlice::new(&[]); MOST_SLICES];
                    let all = [front].into_iter().chain(self.pieces.iter().map(|piece| &**piece));
                    let mut count = 0;
                    for (slice, piece) in slices.iter_mut().zip(all.filter(|piece| !piece.is_empty())) {
                        *slice = IoSlice::new(piece);
                        count += 1;
                    }
                    ready!(Pin::new(&mut *io).poll_write_vectored(cx, &slices[..count]))?
                }
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written(written);
        }
    }

    fn written(&mut self, mut count: usize) {
        self.touched = true;
        let of_front = count.min(self.front.len() - self.at);
        self.at += of_front;
        count -= of_front;
        while let Some(piece) = self.pieces.front_mut() {
            if count < piece.len() {
                piece.advance(count);
                return;
            }
            count -= piece.len();
            self.pieces.pop_front();
        }
    }
}

/// The line before a chunk's data.
fn size_line(size: usize, line: &mut [u8; 18]) -> &[u8] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    line[16..].copy_from_slice(b"\r\n");
    let (mut at, mut left) = (16, size);
    loop {
        at -= 1;
        line[at] = DIGITS[left & 15];
        left >>= 4;
        if left == 0 {
            return &line[at..];
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A connection that takes so much at a time.
    pub(crate) struct Taken {
        pub(crate) bytes: Vec<u8>,
        pub(crate) step: usize,
    }

    impl AsyncWrite for Taken {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
            let count = data.len().min(self.step);
            self.bytes.extend_from_slice(&data[..count]);
            Poll::Ready(Ok(count))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn sizes_of_chunks() {
        for size in [1, 9, 10, 15, 16, 255, 4096, 65_536, usize::MAX] {
            assert_eq!(size_line(size, &mut [0; 18]), format!("{size:x}\r\n").as_bytes());
        }
    }

    /// A connection that takes some now, and nothing for a while.
    struct Slow(usize);

    impl AsyncWrite for Slow {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
            match std::mem::take(&mut self.0).min(data.len()) {
                0 => Poll::Pending,
                count => Poll::Ready(Ok(count)),
            }
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn what_a_slow_reader_has_taken_takes_no_memory() {
        let mut unsent = Unsent::default();
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        for _ in 0..10_000 {
            while unsent.len() < 8_000 {
                unsent.push_chunk(Bytes::from_static(&[b'x'; 700]));
            }
            assert!(unsent.poll_write(&mut Slow(5_000), cx).is_pending());
        }
        assert!(unsent.front.capacity() < 64 << 10, "{}", unsent.front.capacity());
        assert!(unsent.begin().capacity() <= LARGE);
    }

    proptest::proptest! {
        /// Whatever is put behind whatever, and however it is taken: all of it goes out, once, in order.
        #[test]
        fn all_goes_out_in_order(
            messages in proptest::collection::vec(
                proptest::collection::vec((0usize..3 * SMALL, proptest::prelude::any::<bool>()), 0..40), 1..4,
            ),
            step in 1usize..5_000,
            now in 0usize..5,
        ) {
            let mut unsent = Unsent::default();
            let cx = &mut Context::from_waker(std::task::Waker::noop());
            for pieces in messages {
                let mut taken = Taken { bytes: vec![], step };
                let mut want = b"head".to_vec();
                unsent.begin().extend_from_slice(b"head");
                proptest::prop_assert!(unsent.is_untouched());
                for (i, (length, chunk)) in pieces.into_iter().enumerate() {
                    let piece = Bytes::from(vec![b'a' + i as u8 % 26; length]);
                    if chunk && length > 0 {
                        want.extend_from_slice(format!("{length:x}\r\n").as_bytes());
                        want.extend_from_slice(&piece);
                        want.extend_from_slice(b"\r\n");
                    } else if !chunk {
                        want.extend_from_slice(&piece);
                    }
                    if chunk { unsent.push_chunk(piece) } else { unsent.push(piece) }
                    if i % 5 == now {
                        proptest::prop_assert!(unsent.poll_write(&mut taken, cx).is_ready());
                        proptest::prop_assert_eq!(unsent.len(), 0);
                    }
                }
                unsent.push_last_chunk();
                want.extend_from_slice(b"0\r\n\r\n");
                proptest::prop_assert_eq!(unsent.len(), want.len() - taken.bytes.len());
                proptest::prop_assert!(unsent.poll_write(&mut taken, cx).is_ready());
                proptest::prop_assert!(unsent.len() == 0 && !unsent.is_untouched());
                proptest::prop_assert_eq!(&taken.bytes, &want);
            }
        }
    }
}
