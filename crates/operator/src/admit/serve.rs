//! The port of the webhooks: TLS, HTTP/1.1, everything bounded.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
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

use super::{
    Admission, MUTATE, VALIDATE,
    peers::Peers,
    pods::{self, Known},
    policies,
    review::Question,
    room::{Room, Taken},
};
use crate::crowd::Crowd;

/// Connections at once: an API server has one for each question, and up to 600 requests under way. A newcomer takes the place
/// of one of whoever has the most.
const MOST: usize = 1024;
/// Questions of one peer that are under way; its others wait.
const EACH: usize = 4;
/// Questions that are judged at once; others wait. What one takes is bounded by `MAX_BODY` and `review`.
const AT_ONCE: usize = 2;
/// Bytes of bodies that are on their way, or wait to be judged.
const MOST_BYTES: usize = 16 << 20;
const HANDSHAKE: Duration = Duration::from_secs(5);
const MAX_HEAD: usize = 16 << 10;
const HEAD: Duration = Duration::from_secs(30);
/// A body is here within that. The API server sends it at once.
const SENT: Duration = Duration::from_secs(2);
/// A question that is here is answered within that: the API server waits no longer.
const DEADLINE: Duration = Duration::from_secs(10);
/// An object as it would be and as it is, etcd's most (1.5 MiB) each, and what is said of them.
const MAX_BODY: usize = 4 << 20;
/// After `accept` failed, as it does where there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);
/// Questions under way may end within that.
const LAST: Duration = Duration::from_secs(2);

type Answered = Response<Full<Bytes>>;

/// What bounds all questions together.
#[derive(Clone)]
struct Bounds {
    room: Arc<Room>,
    peers: Arc<Peers>,
    judged: Arc<Semaphore>,
}

impl Default for Bounds {
    fn default() -> Bounds {
        let (peers, judged) = (Arc::new(Peers::new(EACH)), Arc::new(Semaphore::new(AT_ONCE)));
        Bounds { room: Room::new(MOST_BYTES), peers, judged }
    }
}

/// Serves until the replica ends; `tls` offers `http/1.1`.
pub async fn serve(listener: TcpListener, tls: Arc<ServerConfig>, admission: Admission) {
    let (crowd, bounds) = (Crowd::new(MOST), Bounds::default());
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
        let (acceptor, admission, bounds) = (acceptor.clone(), admission.clone(), bounds.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = connection(tcp, peer.ip(), acceptor, admission, bounds) => {}
                () = stranger.sent_away().cancelled_owned() => {}
            }
        });
    }
}

async fn connection(tcp: TcpStream, peer: IpAddr, acceptor: TlsAcceptor, admission: Admission, bounds: Bounds) {
    let _ = tcp.set_nodelay(true);
    let Ok(Ok(tls)) = timeout(HANDSHAKE, acceptor.accept(tcp)).await else { return };
    let ending = admission.ending.clone();
    let service = service_fn(|request| {
        let (admission, bounds) = (admission.clone(), bounds.clone());
        async move { Ok::<_, Infallible>(answer(admission, bounds, peer, request).await) }
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

async fn answer(admission: Admission, bounds: Bounds, peer: IpAddr, request: Request<Incoming>) -> Answered {
    let path = request.uri().path().to_owned();
    if path != MUTATE && path != VALIDATE {
        return text(StatusCode::NOT_FOUND, format!("{MUTATE} and {VALIDATE} are here"));
    }
    if request.method() != Method::POST {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only POST");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let (kind, metrics) = (if path == VALIDATE { "policies" } else { "pods" }, admission.metrics.clone());
    match heard(admission, bounds, peer, path, request).await {
        Ok((result, review)) => {
            metrics.admitted(kind, result);
            let mut response = text(StatusCode::OK, review.to_string());
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(refused) => {
            metrics.admitted(kind, "failed");
            refused
        }
    }
}

/// A question, read and judged: what is counted, and the review that goes back.
async fn heard(
    admission: Admission,
    bounds: Bounds,
    peer: IpAddr,
    path: String,
    request: Request<Incoming>,
) -> Result<(&'static str, Value), Answered> {
    let room = bounds.room.enter();
    let gone = room.gone();
    let answered = async {
        let sent = timeout(SENT, gather(request.into_body(), &room)).await;
        let late = |_| text(StatusCode::REQUEST_TIMEOUT, "llmroute: the question did not come in time");
        let body = sent.map_err(late)??;
        let question = Asked { admission, path, body, _room: room };
        let judged = async {
            let _turn = bounds.peers.turn(peer).await;
            judged(question, &bounds).await
        };
        match timeout(DEADLINE, judged).await {
            Ok(judged) => judged,
            Err(_) => Err(busy()),
        }
    };
    tokio::select! {
        answered = answered => answered,
        () = gone.cancelled() => Err(busy()),
    }
}

/// A question that is here.
struct Asked {
    admission: Admission,
    path: String,
    body: Bytes,
    /// Given back with it.
    _room: Taken,
}

/// The answer to it. While policies are asked for, nothing that was parsed is kept.
async fn judged(question: Asked, bounds: &Bounds) -> Result<(&'static str, Value), Answered> {
    let question = Arc::new(question);
    let namespace = match turn(&question, bounds, Known::Watched).await? {
        Turn::Answered(result, review) => return Ok((result, review)),
        Turn::Asks(namespace) => namespace,
    };
    let asked = (question.admission.refresh)(namespace).await;
    match turn(&question, bounds, if asked { Known::Asked } else { Known::Nothing }).await? {
        Turn::Answered(result, review) => Ok((result, review)),
        Turn::Asks(_) => Err(busy()),
    }
}

/// What one look at a question comes to.
enum Turn {
    Answered(&'static str, Value),
    /// For the policies of this namespace as they are now.
    Asks(String),
}

/// One look.
async fn turn(question: &Arc<Asked>, bounds: &Bounds, known: Known) -> Result<Turn, Answered> {
    let Ok(one) = bounds.judged.clone().acquire_owned().await else { return Err(busy()) };
    let question = question.clone();
    // A policy with many rules takes milliseconds. What is begun is done, and counts until then.
    let looked = spawn_blocking(move || {
        let _held = one;
        let asked = &*question;
        let mut question = Question::read(&asked.body)?;
        let answer = match &*asked.path {
            VALIDATE => Some(policies::judge(&mut question)),
            _ => pods::judge(&asked.admission, &question, known),
        };
        Ok::<_, String>(match answer {
            Some(answer) => Turn::Answered(answer.result(), question.answered(answer)),
            None => Turn::Asks(question.namespace),
        })
    });
    match looked.await {
        Ok(Ok(turn)) => Ok(turn),
        Ok(Err(why)) => Err(text(StatusCode::BAD_REQUEST, why)),
        Err(_) => Err(text(StatusCode::INTERNAL_SERVER_ERROR, "llmroute: the question could not be judged")),
    }
}

/// The whole body, or why it is not taken.
async fn gather(mut body: Incoming, room: &Taken) -> Result<Bytes, Answered> {
    let mut all = BytesMut::new();
    loop {
        match body.frame().await {
            None => return Ok(all.freeze()),
            Some(Err(error)) => {
                return Err(text(StatusCode::BAD_REQUEST, format!("the body cannot be read: {error}")));
            }
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                if all.len() + data.len() > MAX_BODY {
                    return Err(text(
                        StatusCode::PAYLOAD_TOO_LARGE,
                        format!("the body has more than {MAX_BODY} bytes"),
                    ));
                }
                room.grow(data.len());
                all.extend_from_slice(&data);
            }
        }
    }
}

fn busy() -> Answered {
    text(StatusCode::SERVICE_UNAVAILABLE, "llmroute: the question could not be judged in time; try again")
}

fn text(status: StatusCode, text: impl Into<String>) -> Answered {
    let mut response = Response::new(Full::new(Bytes::from(text.into())));
    *response.status_mut() = status;
    response
}
