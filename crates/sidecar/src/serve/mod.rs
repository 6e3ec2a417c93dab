//! The data port: connections from apps on localhost, drained on shutdown.

mod head;
mod inlet;
mod outlet;

use std::{io, pin::pin, sync::Arc, time::Duration};

use hyper::{Method, Version};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::{
    head::{BadHead, Head},
    inlet::{BodyLost, Inlet},
};
use self::{
    inlet::Next,
    outlet::{Outlet, Terms},
};
use crate::{burst::behind_others, pipeline, state::State};

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
    let (read, write) = tcp.into_split();
    let (mut inlet, mut outlet) = (Inlet::new(read), Outlet::new(write));
    let mut stop = pin!(shutdown.cancelled());
    loop {
        let (answer, terms) = match inlet.next(stop.as_mut()).await {
            Next::Head(head) => {
                let (is_old, headless) = (head.version == Version::HTTP_10, head.method == Method::HEAD);
                let keeps = head.keeps;
                // An app that is gone needs no answer.
                let Some(answer) = pipeline::handle(&state, *head, &mut inlet).await else { return };
                let keeps = keeps && inlet.is_through() && !shutdown.is_cancelled();
                (answer, Terms { headless, chunks: !is_old, keeps, tells: is_old })
            }
            Next::Bad(BadHead::OtherVersion) | Next::Over => return,
            Next::Bad(bad) => {
                let terms = Terms { headless: false, chunks: true, keeps: false, tells: false };
                (pipeline::malformed(&state, bad), terms)
            }
        };
        behind_others().await;
        match outlet.send(answer, terms, &mut inlet).await {
            Ok((true, headers)) => inlet.reuse(headers),
            Ok((false, _)) => break,
            Err(_) => return,
        }
    }
    outlet.finish().await;
    if inlet.has_more() {
        inlet.linger().await;
    }
}
