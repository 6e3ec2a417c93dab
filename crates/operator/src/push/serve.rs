//! Connections of sidecars: TLS, HTTP/2, kept alive from this end too.

use std::{convert::Infallible, sync::Arc, time::Duration};

use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{Push, call::answer, visit::Visit};
use crate::{crowd::Crowd, files};

/// Connections at once, where there are files for so many; further ones wait to be accepted.
const MOST: usize = 22_000;
/// Those on which no sidecar is known yet.
const STRANGERS: usize = 1024;
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A connection on which nothing answers is dead after twice that.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A head with its token.
const MAX_HEAD: u32 = 32 << 10;
/// After `accept` failed, as it does where there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);
/// Last words may take so long to go out.
const LAST: Duration = Duration::from_secs(2);

/// Serves until the replica ends; `tls` offers `h2`.
pub async fn serve(listener: TcpListener, tls: Arc<ServerConfig>, push: Push) {
    let most = files::room(MOST);
    let (room, crowd) = (Arc::new(Semaphore::new(most)), Crowd::new(STRANGERS.min(most / 2)));
    let (acceptor, ending) = (TlsAcceptor::from(tls), push.ending.clone());
    let push = Arc::new(push);
    loop {
        let accepted = tokio::select! {
            accepted = async { (room.clone().acquire_owned().await, listener.accept().await) } => accepted,
            () = ending.cancelled() => return,
        };
        let (Ok(place), Ok((tcp, peer))) = accepted else {
            sleep(PAUSE).await;
            continue;
        };
        let visit = Visit::new(peer.ip(), crowd.enter(peer.ip()));
        let (acceptor, push, ending) = (acceptor.clone(), push.clone(), ending.clone());
        tokio::spawn(async move {
            let _place = place;
            let serving = connection(tcp, acceptor, push, &visit);
            let ended = async {
                ending.cancelled().await;
                sleep(LAST).await;
            };
            tokio::select! {
                () = serving => {}
                () = visit.over() => {}
                () = ended => {}
            }
        });
    }
}

async fn connection(tcp: TcpStream, acceptor: TlsAcceptor, push: Arc<Push>, visit: &Arc<Visit>) {
    let _ = tcp.set_nodelay(true);
    let Ok(Ok(tls)) = timeout(HANDSHAKE, acceptor.accept(tcp)).await else { return };
    let service = service_fn(|request| {
        let (push, visit) = (push.clone(), visit.clone());
        async move { Ok::<_, Infallible>(answer(&push, &visit, request).await) }
    });
    let serving = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .max_concurrent_streams(2)
        .max_header_list_size(MAX_HEAD)
        .initial_stream_window_size(MAX_HEAD)
        .initial_connection_window_size(MAX_HEAD * 2)
        .serve_connection(TokioIo::new(tls), service);
    if let Err(error) = serving.await {
        tracing::debug!(%error, "a sidecar's connection broke");
    }
}
