//! An answer and a fault as the steps that put bytes on the wire. Pure: no clock, no socket.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;

use super::refuse::Refused;
use super::{Act, Delays, Fault, refused};
use crate::answer::{Answer, Body, Charge};
use crate::refusal::Refusal;
use crate::vendor::Vendor;

/// What is known before a fault is applied.
pub(crate) struct Reply<'a> {
    pub(crate) vendor: Vendor,
    pub(crate) model: &'a str,
    pub(crate) key: &'a str,
    pub(crate) request_id: &'a str,
    /// The answer to the request as it was asked, or its refusal.
    pub(crate) answer: Result<Answer, Refusal>,
    /// The same in the other form: plain for a stream, a stream for plain.
    pub(crate) other: Option<Answer>,
}

/// What happens on the connection.
#[derive(Debug)]
pub(crate) struct Wire {
    /// Before anything is sent.
    pub(crate) before: Duration,
    pub(crate) opening: Opening,
    pub(crate) steps: Vec<Step>,
    pub(crate) billing: Billing,
}

#[derive(Debug)]
pub(crate) enum Opening {
    Answer(Head),
    /// Nothing, ever.
    Silence,
    /// RST.
    Reset,
    /// FIN.
    Close,
}

#[derive(Debug, Default)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// A claimed length; without one the body is chunked.
    pub(crate) length: Option<u64>,
    pub(crate) close_after: bool,
    pub(crate) stale_after: bool,
}

#[derive(Debug)]
pub(crate) enum Step {
    Wait(Duration),
    /// Bytes, and the output tokens produced with them.
    Send(Bytes, u64),
    /// The same bytes over and over.
    Forever(Bytes, Duration),
    /// Nothing more, but the connection stays.
    Stall,
    /// Closed in the middle of a chunk, the bytes being the last that are tried.
    Cut(Bytes),
    Reset,
}

/// Whether and how a request is charged.
#[derive(Debug)]
pub(crate) enum Billing {
    Nothing,
    /// In full, also when the caller does not wait for it.
    Whole(Charge),
    /// Input, and the output that was produced.
    Produced(Charge),
}

pub(super) const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=UTF-8";

/// Puts a reply on the wire as `act` wants it.
pub(crate) fn wire(reply: Reply<'_>, act: &Act, usual: &Delays, seed: u64) -> Wire {
    let mut jitter = Jitter(fastrand::Rng::with_seed(seed), act.delays(usual));
    let before = jitter.head();
    match act.fault {
        Some(Fault::Reset) => return opened(before, Opening::Reset),
        Some(Fault::Close) => return opened(before, Opening::Close),
        Some(Fault::Silence) => return opened(before, Opening::Silence),
        _ => {}
    }
    if let Some((refused, headers)) = refused(act, reply.vendor, reply.model, reply.key) {
        return error(refused, headers, &reply, before);
    }
    let mut wire = match reply.answer {
        Err(refusal) => {
            return plain_text(refusal.status, JSON, refusal.body(reply.vendor, reply.request_id).text(), before);
        }
        Ok(ref answer) => answered(answer, reply.other.as_ref(), &reply, act, &mut jitter, before),
    };
    if let Opening::Answer(head) = &mut wire.opening {
        head.close_after |= act.fault == Some(Fault::CloseAfter);
        head.stale_after |= act.fault == Some(Fault::StaleConnection);
    }
    if act.fault == Some(Fault::ByteByByte) {
        wire.steps = wire.steps.into_iter().flat_map(split).collect();
    }
    wire
}

/// A plain JSON answer that nothing happens to.
pub(crate) fn plain(status: u16, text: String) -> (Head, Vec<Step>) {
    let head = Head { status, content_type: Some(JSON), length: Some(text.len() as u64), ..Head::default() };
    let steps = if text.is_empty() { Vec::new() } else { vec![Step::Send(text.into(), 0)] };
    (head, steps)
}

pub(super) struct Jitter(fastrand::Rng, Delays);

impl Jitter {
    fn add(&mut self, base: Duration) -> Duration {
        base + self.1.jitter.mul_f64(self.0.f64())
    }

    fn head(&mut self) -> Duration {
        self.add(self.1.head)
    }

    pub(super) fn first(&mut self) -> Duration {
        self.add(self.1.first)
    }

    pub(super) fn event(&mut self) -> Duration {
        self.add(self.1.event)
    }
}

fn opened(before: Duration, opening: Opening) -> Wire {
    Wire { before, opening, steps: Vec::new(), billing: Billing::Nothing }
}

fn error(refused: Refused, headers: Vec<(&'static str, String)>, reply: &Reply<'_>, before: Duration) -> Wire {
    let mut wire = match refused {
        Refused::Json(refusal) => {
            plain_text(refusal.status, JSON, refusal.body(reply.vendor, reply.request_id).text(), before)
        }
        Refused::Html(status, title) => plain_text(status, HTML, page(title), before),
    };
    if let Opening::Answer(head) = &mut wire.opening {
        head.headers = headers;
    }
    wire
}

fn page(title: &str) -> String {
    format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
         <hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
    )
}

pub(super) fn plain_text(status: u16, content_type: &'static str, text: String, before: Duration) -> Wire {
    let (mut head, steps) = plain(status, text);
    head.content_type = Some(content_type);
    Wire { before, opening: Opening::Answer(head), steps, billing: Billing::Nothing }
}

fn answered(
    answer: &Answer,
    other: Option<&Answer>,
    reply: &Reply<'_>,
    act: &Act,
    jitter: &mut Jitter,
    before: Duration,
) -> Wire {
    let overloaded = Refusal::new(529, "overloaded_error", "Overloaded");
    let broken = Refusal::new(500, "server_error", "The server had an error while processing your request.");
    let fault = if reply.vendor == Vendor::OpenAi { &broken } else { &overloaded };
    match act.fault {
        Some(Fault::Error200) => {
            return plain_text(200, JSON, fault.body(reply.vendor, reply.request_id).text(), before);
        }
        Some(Fault::Empty200) => return plain_text(200, JSON, String::new(), before),
        Some(Fault::Html200) => return plain_text(200, HTML, page("Welcome"), before),
        Some(Fault::Text200) => return plain_text(200, JSON, "upstream said: not json {".to_owned(), before),
        _ => {}
    }
    let swapped = matches!(
        (act.fault, &answer.body),
        (Some(Fault::JsonForStream), Body::Stream(_)) | (Some(Fault::StreamForJson), Body::Plain(_))
    );
    let answer = other.filter(|_| swapped).unwrap_or(answer);
    let mut wire = match &answer.body {
        Body::Plain(text) => super::plain::answer(text, answer, fault, reply, act, before),
        Body::Stream(events) => super::stream::answer(events, answer, fault, reply, act, jitter, before),
    };
    if act.fault == Some(Fault::Gzip) {
        gzip(&mut wire);
    }
    wire
}

fn split(step: Step) -> Vec<Step> {
    let Step::Send(bytes, tokens) = step else { return vec![step] };
    let one = |i: usize| Step::Send(bytes.slice(i..i + 1), if i == 0 { tokens } else { 0 });
    (0..bytes.len()).map(one).collect()
}

fn gzip(wire: &mut Wire) {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut steps = Vec::new();
    for step in wire.steps.drain(..) {
        match step {
            Step::Send(bytes, tokens) => {
                // Writing to memory cannot fail.
                let _ = encoder.write_all(&bytes).and_then(|()| encoder.flush());
                steps.push(Step::Send(std::mem::take(encoder.get_mut()).into(), tokens));
            }
            other => steps.push(other),
        }
    }
    steps.push(Step::Send(encoder.finish().unwrap_or_default().into(), 0));
    wire.steps = steps;
    if let Opening::Answer(head) = &mut wire.opening {
        head.length = None;
        head.headers.push(("content-encoding", "gzip".to_owned()));
    }
}
