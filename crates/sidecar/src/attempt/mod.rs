//! One try: send, wait for the head, then for the first content of a stream or the whole of a plain answer.

mod whole;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use dialect::{Dialect, Fault, Kind, StreamTranslator, sse::Frame};
use hyper::{StatusCode, header};
use policy::{
    Tick,
    ask::{Ask, Call},
    catalogue::Tokens,
    money::Usd,
    outcome::Failure,
    plan::Candidate,
    reason::{Cause, Reason},
    snapshot::{ProviderId, Tier},
};
use tokio::time::timeout_at;
use whole::{Whole, refused, whole};

use crate::{
    admit::Permit,
    clock::instant,
    credentials::Secret,
    decode::Decoded,
    events::{EventError, Events},
    headers::{self, List},
    memory::Room,
    upstream::{AnswerHead, Answered, ConnectError, ConnectLimits, Died, Lost, OutBody, SendError},
    wire::Wire,
};

/// A preamble longer than this is sent on, whatever may follow.
const MAX_HELD: usize = 256 << 10;

/// What bounds a try.
pub struct Asked<'a> {
    /// What is asked.
    pub ask: &'a Ask,
    /// The tier in force.
    pub tier: &'a Tier,
    /// When the try began.
    pub began: Tick,
    /// When the request must be committed.
    pub deadline: Tick,
    /// Another try is possible: the preamble is held until the first content.
    pub hold_preamble: bool,
}

/// A committed answer.
pub enum Answer {
    /// Whole.
    Plain(Plain),
    /// From its first content on.
    Stream(Box<Stream>),
    /// Bytes that we do not read, such as audio, passed on as they come.
    Raw(Box<Raw>),
}

/// A whole answer; its permit is settled.
pub struct Plain {
    /// Status and headers for the app.
    pub status: StatusCode,
    /// Headers for the app.
    pub headers: List,
    /// In the caller's dialect.
    pub body: Bytes,
    /// The memory it takes.
    pub room: Room,
    /// What the provider counted.
    pub tokens: Option<Tokens>,
    /// What it cost.
    pub cost: Option<Usd>,
    /// Losses in translation.
    pub dropped: Vec<String>,
    /// What the provider spoke.
    pub spoken: Dialect,
}

/// A stream from its first content on.
pub struct Stream {
    /// Headers for the app.
    pub headers: List,
    /// Preamble and first content, or the preamble alone where no other try was possible.
    pub held: Vec<Frame>,
    /// When the first content is due, where it is still to come.
    pub content_due: Option<Tick>,
    /// The rest.
    pub events: Events,
    /// Settles with the stream's end.
    pub permit: Box<Permit>,
    /// The provider's format.
    pub dialect: Dialect,
    /// Into the caller's.
    pub translator: Option<StreamTranslator>,
    /// The usage chunk is ours, not the caller's.
    pub usage_added: bool,
    /// Between events.
    pub idle: Duration,
    /// Losses in translation.
    pub dropped: Vec<String>,
    /// The key, for scrubbing.
    pub secret: Option<Arc<Secret>>,
}

/// An answer passed on unread.
pub struct Raw {
    /// Status for the app.
    pub status: StatusCode,
    /// Headers for the app.
    pub headers: List,
    /// The bytes.
    pub body: Decoded,
    /// Settles with the body's end.
    pub permit: Box<Permit>,
    /// Between reads.
    pub idle: Duration,
}

/// A try that failed before the first content.
#[derive(Clone, Debug)]
pub struct Failed {
    /// Its row in the failure table.
    pub failure: Failure,
    /// What the header says.
    pub reason: Reason,
    /// What the provider said, if it did.
    pub told: Option<Told>,
    /// A sentence of our own where there is no provider's.
    pub message: Option<String>,
    /// It was sent, and not clearly refused: the provider may charge for it.
    pub may_cost: bool,
}

impl Failed {
    /// The circuit shut before the try.
    #[must_use]
    pub fn refused(reason: Reason) -> Failed {
        let status = reason.cause.row().status;
        Failed { failure: Failure::Rejected { status }, reason, told: None, message: None, may_cost: false }
    }

    /// The request cannot be said in the target's dialect.
    #[must_use]
    pub fn untranslatable(provider: ProviderId, why: String) -> Failed {
        let reason = Reason::of(provider, Cause::Untranslatable);
        Failed { message: Some(why), ..Failed::refused(reason) }
    }
}

/// A provider's error.
#[derive(Clone, Debug)]
pub struct Told {
    /// The provider's status.
    pub status: u16,
    /// Headers for the app.
    pub headers: List,
    /// The body, scrubbed.
    pub body: Bytes,
    /// What it was said in.
    pub dialect: Dialect,
    /// What it says.
    pub fault: Fault,
}

/// Makes one try of `candidate`. A `body` that is streamed through is sent once.
///
/// # Errors
/// What failed before the first content; the permit is settled.
pub async fn attempt(
    asked: &Asked<'_>,
    candidate: &Candidate,
    wire: &mut Wire,
    mut body: Option<OutBody>,
    secret: Option<&Arc<Secret>>,
    mut permit: Box<Permit>,
) -> Result<Answer, Failed> {
    let timeouts = &asked.tier.timeouts;
    let first_byte = if asked.ask.stream { timeouts.first_byte } else { timeouts.first_byte_plain };
    let until = asked.began.after(first_byte).min(asked.deadline);
    let limits = ConnectLimits { connect: timeouts.connect, tls: timeouts.tls };
    let pool = permit.in_force.live(candidate.key.provider).pool.clone();
    let streamed = body.is_some();
    let mut build = |again: Option<Died>| {
        let may = match again {
            None => permit.send(),
            // Its body went with the first one.
            Some(_) if streamed => false,
            Some(died) => permit.send_again(asked.ask, died == Died::AfterSending),
        };
        match body.take() {
            _ if !may => None,
            Some(body) => Some(wire.around(body)),
            None => Some(wire.build()),
        }
    };
    let sent = pool.send(&mut build, limits, until).await;
    if let Ok(answer) = &sent {
        permit.span.answered(answer.head.status.as_u16());
    }
    let answered = match sent {
        Err(e) => {
            if e.is_unsent() {
                permit.unsent();
            }
            Err((of_send(&e), None))
        }
        Ok(answer) if !answer.head.status.is_success() => {
            permit.refused();
            Err(Box::pin(refused(asked, wire, answer, secret, &permit)).await)
        }
        Ok(answer) => {
            let Answered { head, body } = answer;
            match Decoded::new(&head.headers, body) {
                None => Err((Failure::NoAnswer, None)),
                Some(body) if is_unread(asked, &head.headers) => {
                    permit.first_content();
                    let headers = headers::answer(head.headers, secret.map(|s| &**s));
                    let raw = Raw { status: head.status, headers, body, permit, idle: timeouts.idle };
                    return Ok(Answer::Raw(Box::new(raw)));
                }
                Some(body) if asked.ask.stream => {
                    Box::pin(first_content(asked, wire, &head.headers, body, until, secret, &mut permit))
                        .await
                        .map(|begun| Committed::Stream(head, begun))
                }
                Some(body) => {
                    permit.first_content();
                    whole(asked, wire, head.status, body, secret, &permit).await.map(|w| Committed::Plain(head, w))
                }
            }
        }
    };
    match answered {
        Err((failure, told)) => {
            let reason = Reason::of(candidate.key.provider, failure.row().cause);
            let may_cost = permit.may_cost();
            permit.fail(failure.clone(), None);
            Err(Failed { failure, reason, told, message: None, may_cost })
        }
        Ok(Committed::Plain(head, Whole { body, room, usage })) => {
            let tokens = usage.as_ref().map(|u| permit.tokens(u));
            let cost = tokens.as_ref().and_then(|t| permit.cost(t));
            permit.settle(tokens);
            let headers = headers::answer(head.headers, secret.map(|s| &**s));
            Ok(Answer::Plain(Plain {
                status: head.status,
                headers,
                body,
                room,
                tokens,
                cost,
                dropped: std::mem::take(&mut wire.dropped),
                spoken: wire.dialect,
            }))
        }
        Ok(Committed::Stream(head, Begun { held, content_due, events })) => {
            if content_due.is_none() {
                permit.first_content();
            }
            Ok(Answer::Stream(Box::new(Stream {
                headers: headers::answer(head.headers, secret.map(|s| &**s)),
                held,
                content_due,
                events,
                permit,
                dialect: wire.dialect,
                translator: wire.translation.as_deref().map(StreamTranslator::new),
                usage_added: wire.usage_added,
                idle: timeouts.idle,
                dropped: std::mem::take(&mut wire.dropped),
                secret: secret.cloned(),
            })))
        }
    }
}

enum Committed {
    Plain(AnswerHead, Whole),
    Stream(AnswerHead, Begun),
}

/// A stream that has begun; see [`Stream`].
struct Begun {
    held: Vec<Frame>,
    content_due: Option<Tick>,
    events: Events,
}

/// A failure with what the provider said of it.
type Said = (Failure, Option<Told>);

/// Answers to passed-through paths that are not JSON are not read.
fn is_unread(asked: &Asked<'_>, headers: &List) -> bool {
    matches!(asked.ask.call, Call::Through(_)) && !has_type(headers, "application/json")
}

fn has_type(headers: &List, want: &str) -> bool {
    let value = headers.get(&header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(want)
}

fn of_send(e: &SendError) -> Failure {
    match e {
        SendError::Connect(ConnectError::Dns) => Failure::Dns,
        SendError::Connect(ConnectError::Refused) => Failure::Connect,
        SendError::Connect(ConnectError::Timeout) => Failure::ConnectTimeout,
        SendError::Connect(ConnectError::Tls) => Failure::Tls,
        SendError::TooLate => Failure::ConnectTimeout,
        SendError::Timeout => Failure::Timeout,
        SendError::Lost(Lost::NotHttp) => Failure::NoAnswer,
        SendError::Lost(_) => Failure::Lost,
    }
}

/// What a provider's error stands for, whether it has a status of its own or is an event.
fn failure(spoken: Dialect, status: u16, fault: &Fault, retry_after: Option<Duration>) -> Failure {
    if spoken == Dialect::Messages && status < 500 && fault.is_of_thread() {
        return Failure::Rejected { status };
    }
    Failure::of_status(status, fault.out_of_credit, fault.too_long, retry_after)
}

/// Reads frames up to the first content.
async fn first_content(
    asked: &Asked<'_>,
    wire: &Wire,
    head: &List,
    body: Decoded,
    until: Tick,
    secret: Option<&Arc<Secret>>,
    permit: &mut Permit,
) -> Result<Begun, Said> {
    if !has_type(head, "text/event-stream") {
        return Err((Failure::NoAnswer, None));
    }
    let (dialect, translated) = (wire.dialect, wire.translation.is_some());
    let mut events = Events::new(body);
    let mut held: Vec<Frame> = vec![];
    let mut bytes = 0;
    loop {
        let frame = match timeout_at(instant(until), events.next()).await {
            Err(_) => return Err((Failure::Timeout, None)),
            Ok(None) if held.is_empty() => return Err((Failure::NoAnswer, None)),
            Ok(None | Some(Err(EventError::Lost))) => return Err((Failure::Lost, None)),
            Ok(Some(Err(EventError::TooLarge))) => return Err((Failure::NoAnswer, None)),
            Ok(Some(Ok(frame))) => frame,
        };
        let seen = dialect::classify(dialect, &frame);
        bytes += frame.raw.len();
        permit.received(frame.raw.len());
        // Whether to commit, and then when the first content is due if this is not it.
        let committed = match seen.kind {
            Kind::Malformed => return Err((Failure::NoAnswer, None)),
            Kind::Error => {
                let fault = seen.error.unwrap_or_default();
                let status = fault.status.unwrap_or(500);
                let failure = failure(dialect, status, &fault, None);
                let body = secret.map_or_else(|| frame.data_bytes(), |s| s.scrub(frame.data_bytes()));
                return Err((failure, Some(Told { status, headers: List::default(), body, dialect, fault: *fault })));
            }
            // A stream that ends without ever having begun is no answer; nor is one whose end cannot be translated, since it
            // holds neither content nor a reason to have stopped.
            Kind::End if held.is_empty() || translated => return Err((Failure::NoAnswer, None)),
            Kind::Content | Kind::End => Some(None),
            Kind::Preamble if !asked.hold_preamble => Some(Some(until)),
            Kind::Preamble | Kind::Ping | Kind::Other => (bytes > MAX_HELD).then_some(Some(until)),
        };
        held.push(frame);
        if let Some(content_due) = committed {
            return Ok(Begun { held, content_due, events });
        }
    }
}
