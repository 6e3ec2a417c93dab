//! The port of the webhooks: TLS, HTTP/1.1, everything bounded.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{Admission, MUTATE, VALIDATE, pods, policies, review::Question};
use crate::crowd::Crowd;

/// Connections at once; an API server keeps a few. A newcomer takes the place of one of whoever has the most.
const MOST: usize = 256;
/// Questions at once; others wait.
const AT_ONCE: usize = 16;
const HANDSHAKE: Duration = Duration::from_secs(5);
const MAX_HEAD: usize = 16 << 10;
const HEAD: Duration = Duration::from_secs(30);
/// A question and its answer: the API server waits no longer.
const DEADLINE: Duration = Duration::from_secs(10);
/// An object as it would be and as it is, etcd's most each, with room for escapes.
const MAX_BODY: usize = 8 << 20;
/// After `accept` failed, as it does where there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);
/// Questions under way may end within that.
const LAST: Duration = Duration::from_secs(2);

type Answered = Response<Full<Bytes>>;

/// Serves until the replica ends; `tls` offers `http/1.1`.
pub async fn serve(listener: TcpListener, tls: Arc<ServerConfig>, admission: Admission) {
    let (crowd, questions) = (Crowd::new(MOST), Arc::new(Semaphore::new(AT_ONCE)));
    let (acceptor, ending) = (TlsAcceptor::from(tls), admission.ending.clone());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = ending.cancelled() => return,
        };
        let Ok((tcp, peer)) = accepted else {
            sleep(PAUSE).await;
            continue;
        };
        let stranger = crowd.enter(peer.ip());
        let (acceptor, admission, questions) = (acceptor.clone(), admission.clone(), questions.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = connection(tcp, acceptor, admission, questions) => {}
                () = stranger.sent_away().cancelled_owned() => {}
            }
        });
    }
}

async fn connection(tcp: TcpStream, acceptor: TlsAcceptor, admission: Admission, questions: Arc<Semaphore>) {
    let _ = tcp.set_nodelay(true);
    let Ok(Ok(tls)) = timeout(HANDSHAKE, acceptor.accept(tcp)).await else { return };
    let ending = admission.ending.clone();
    let service = service_fn(|request| {
        let (admission, questions) = (admission.clone(), questions.clone());
        async move {
            let Ok(_one) = questions.acquire_owned().await else { return Ok(busy()) };
            Ok::<_, Infallible>(timeout(DEADLINE, answer(admission, request)).await.unwrap_or_else(|_| busy()))
        }
    });
    let builder = &mut http1::Builder::new();
    let builder = builder.timer(TokioTimer::new()).header_read_timeout(HEAD).max_header_size(MAX_HEAD);
    let mut serving = std::pin::pin!(builder.serve_connection(TokioIo::new(tls), service));
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = ending.cancelled() => {
            serving.as_mut().graceful_shutdown();
            timeout(LAST, serving).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection of the API server broke");
    }
}

async fn answer(admission: Admission, request: Request<Incoming>) -> Answered {
    let path = request.uri().path().to_owned();
    if path != MUTATE && path != VALIDATE {
        return text(StatusCode::NOT_FOUND, format!("{MUTATE} and {VALIDATE} are here"));
    }
    if request.method() != Method::POST {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only POST");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let body = match Limited::new(request.into_body(), MAX_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return text(StatusCode::PAYLOAD_TOO_LARGE, format!("the body cannot be read: {error}")),
    };
    // A policy with many rules takes milliseconds.
    match spawn_blocking(move || judged(&admission, &path, &body)).await {
        Ok(Ok(review)) => {
            let mut response = text(StatusCode::OK, review.to_string());
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Ok(Err(why)) => text(StatusCode::BAD_REQUEST, why),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "llmroute: the question could not be judged"),
    }
}

/// The answer to a body that was sent to a path.
fn judged(admission: &Admission, path: &str, body: &[u8]) -> Result<Value, String> {
    let question = Question::read(body)?;
    let answer = if path == MUTATE { pods::judge(admission, &question) } else { policies::judge(&question) };
    Ok(question.answered(answer))
}

fn busy() -> Answered {
    text(StatusCode::SERVICE_UNAVAILABLE, "llmroute: the question could not be judged in time; try again")
}

fn text(status: StatusCode, text: impl Into<String>) -> Answered {
    let mut response = Response::new(Full::new(Bytes::from(text.into())));
    *response.status_mut() = status;
    response
}
