//! The listener and its thread.

mod body;
mod conn;
mod control;
mod handle;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use self::conn::{Conn, Control, ZeroLinger};
use crate::bill::Bill;
use crate::config::Config;
use crate::log::Entry;
use crate::script::Rule;
use crate::state::{Dark, State};
use crate::vendor::Vendor;

/// A running simulator, on a thread of its own. It stops when it is dropped.
pub struct Sim {
    addr: SocketAddr,
    secure: bool,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sim {
    /// Starts one; it answers when this returns.
    pub fn start(config: Config) -> io::Result<Sim> {
        let acceptor = config.tls.as_ref().map(|tls| tls::acceptor(tls, config.http2)).transpose()?;
        let secure = acceptor.is_some();
        let state = Arc::new(State::new(config));
        let (stop, stopped) = oneshot::channel();
        let (bound, result) = mpsc::channel();
        let shared = state.clone();
        let thread = std::thread::Builder::new().name("llmroute-sim".to_owned()).spawn(move || {
            let (runtime, listener) = match runtime(&shared.config).and_then(|rt| {
                let guard = rt.enter();
                let listener = listen(shared.config.listen)?;
                drop(guard);
                Ok((rt, listener))
            }) {
                Ok(parts) => parts,
                Err(error) => {
                    let _ = bound.send(Err(error));
                    return;
                }
            };
            let _ = bound.send(listener.local_addr());
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, acceptor, shared) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_timeout(Duration::from_millis(100));
        })?;
        let addr = result.recv().map_err(|_| io::Error::other("the simulator's thread died"))??;
        Ok(Sim { addr, secure, state, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base URL, without a path.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.addr)
    }

    /// Puts these rules in force instead of the ones before.
    pub fn script(&self, rules: Vec<Rule>) {
        self.state.set_script(rules, None);
    }

    /// One vendor, or both, go dark.
    pub fn dark(&self, vendor: Option<Vendor>, how: Dark) {
        self.state.set_dark(vendor, Some(how));
    }

    /// One vendor, or both, answer again.
    pub fn light(&self, vendor: Option<Vendor>) {
        self.state.set_dark(vendor, None);
    }

    /// Back to the state after the start.
    pub fn reset(&self) {
        self.state.reset();
    }

    /// Every request seen, oldest first.
    pub fn log(&self) -> Vec<Entry> {
        self.state.log.lock().entries()
    }

    /// How many requests came on connections that died of it, unread: they are in no log.
    pub fn unread(&self) -> u64 {
        self.state.unread.load(Ordering::Relaxed)
    }

    /// Microseconds since its start, by the clock that dates its charges.
    pub fn now_us(&self) -> u64 {
        self.state.now().us
    }

    /// What would have been charged.
    pub fn bill(&self) -> Bill {
        self.state.bill.lock().clone()
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn runtime(config: &Config) -> io::Result<tokio::runtime::Runtime> {
    let mut builder = match config.threads {
        0 | 1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.worker_threads(config.threads.max(1)).enable_all().build()
}

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(4096)
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, state: Arc<State>) {
    let numbers = AtomicU64::new(0);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: wait for some to come back.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let number = numbers.fetch_add(1, Ordering::Relaxed) + 1;
        tokio::spawn(connection(stream, acceptor.clone(), state.clone(), number));
    }
}

async fn connection(stream: TcpStream, acceptor: Option<TlsAcceptor>, state: Arc<State>, number: u64) {
    match acceptor {
        None => serve(stream, state, number).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, state, number).await;
            }
        }
    }
}

async fn serve<S>(stream: S, state: Arc<State>, number: u64)
where
    S: AsyncRead + AsyncWrite + ZeroLinger + Unpin + Send + 'static,
{
    let control = Arc::new(Control::new(state.unread.clone()));
    let io = TokioIo::new(Conn { inner: stream, control: control.clone() });
    let http2 = state.config.http2;
    let service = service_fn(move |request| handle::handle(state.clone(), control.clone(), number, request));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).max_buf_size(1024 * 1024).writev(false);
    builder.http2().timer(TokioTimer::new());
    if !http2 {
        builder = builder.http1_only();
    }
    // Errors here are the callers' and our own broken connections.
    let _ = builder.serve_connection(io, service).await;
}
