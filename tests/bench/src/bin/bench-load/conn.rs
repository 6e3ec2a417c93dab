//! One keep-alive connection: sends the request bytes, reads the answer as it comes.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
};

use llmroute_bench::monotonic_ns;

use crate::{
    body::Expected,
    reply::{Progress, Reply},
};

/// How one request went. Times are `CLOCK_MONOTONIC` nanoseconds, 0 for what never happened.
#[derive(Clone, Copy, Default)]
pub(crate) struct Exchange {
    pub(crate) due: u64,
    pub(crate) first_byte: u64,
    pub(crate) first_chunk: u64,
    pub(crate) end: u64,
    pub(crate) status: u16,
    pub(crate) complete: bool,
    /// It is what was asked for, in the format that was asked in.
    pub(crate) right: bool,
}

/// What reading brought.
pub(crate) struct Ready {
    pub(crate) finished: Option<Exchange>,
    /// The socket is of no more use.
    pub(crate) spent: bool,
}

pub(crate) struct Conn {
    addr: SocketAddr,
    pub(crate) socket: TcpStream,
    expected: Expected,
    written: usize,
    current: Option<Exchange>,
    reply: Reply,
}

impl Conn {
    pub(crate) fn connect(addr: SocketAddr, expected: Expected) -> io::Result<Self> {
        Ok(Conn { addr, socket: dial(addr)?, expected, written: 0, current: None, reply: Reply::default() })
    }

    /// Replaces a spent socket; the caller registers the new one.
    pub(crate) fn reconnect(&mut self) -> io::Result<()> {
        self.socket = dial(self.addr)?;
        self.current = None;
        Ok(())
    }

    pub(crate) fn start(&mut self, request: &[u8], due: u64) -> io::Result<()> {
        self.current = Some(Exchange { due, ..Exchange::default() });
        self.reply.reset(self.expected.stream);
        self.written = 0;
        self.write(request)
    }

    /// Writes as much of the request as the socket takes.
    pub(crate) fn write(&mut self, request: &[u8]) -> io::Result<()> {
        while self.current.is_some() && self.written < request.len() {
            match self.socket.write(&request[self.written..]) {
                Ok(n) => self.written += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Reads all there is. `on_chunk` gets the time a chunk was read and the time it was stamped with.
    pub(crate) fn read(&mut self, scratch: &mut [u8], on_chunk: &mut dyn FnMut(u64, u64)) -> Ready {
        loop {
            let length = match self.socket.read(scratch) {
                Ok(0) => return self.finish(self.reply.may_end_by_close(), true),
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ready { finished: None, spent: false },
                Err(_) => return self.finish(false, true),
            };
            let at = monotonic_ns();
            let Some(current) = &mut self.current else {
                return Ready { finished: None, spent: true }; // bytes that nobody asked for
            };
            if current.first_byte == 0 {
                current.first_byte = at;
            }
            let progress = self.reply.feed(self.expected, &scratch[..length], &mut |stamp| {
                if current.first_chunk == 0 {
                    current.first_chunk = at;
                }
                on_chunk(at, stamp);
            });
            match progress {
                Ok(Progress::Done) => return self.finish(true, self.reply.closes()),
                Ok(Progress::More) if length < scratch.len() => return Ready { finished: None, spent: false },
                Ok(Progress::More) => {}
                Err(_) => return self.finish(false, true),
            }
        }
    }

    fn finish(&mut self, whole: bool, spent: bool) -> Ready {
        let finished = self.current.take().map(|exchange| Exchange {
            end: monotonic_ns(),
            status: self.reply.status(),
            complete: whole && self.reply.terminated(),
            right: self.reply.right(self.expected),
            ..exchange
        });
        Ready { finished, spent }
    }
}

fn dial(addr: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(addr)?;
    socket.set_nodelay(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
