//! The data port: connections from apps on localhost, drained on shutdown.

use std::{io, sync::Arc, time::Duration};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    framing::{Heads, Watched},
    pipeline,
    state::State,
};

/// Longest head of a request.
const MAX_HEAD: usize = 64 << 10;

/// Serves until `shutdown`, then takes no new connection and returns when the last request has ended.
pub async fn serve(state: Arc<State>, listener: TcpListener, shutdown: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((tcp, _)) => {
                connections.spawn(connection(state.clone(), tcp, shutdown.clone()));
            }
            Err(e) => pause_after(&e).await,
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// An accept error belongs to one connection, or to a lack of file descriptors, which passes.
async fn pause_after(e: &io::Error) {
    tracing::warn!(error = %e, "a connection could not be accepted");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// One connection, to its end; after `shutdown` to the end of the request under way.
pub async fn connection(state: Arc<State>, tcp: TcpStream, shutdown: CancellationToken) {
    if tcp.set_nodelay(true).is_err() {
        return;
    }
    let _open = state.telemetry.metrics.connection();
    let heads = Arc::new(Heads::default());
    let io = TokioIo::new(Watched::new(tcp, heads.clone()));
    let service = service_fn(move |request: Request<Incoming>| pipeline::handle(state.clone(), request, heads.clone()));
    let serving =
        http1::Builder::new().max_header_size(MAX_HEAD).header_read_timeout(None).serve_connection(io, service);
    tokio::pin!(serving);
    tokio::select! {
        _ = serving.as_mut() => return,
        () = shutdown.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    let _ = serving.await;
}
