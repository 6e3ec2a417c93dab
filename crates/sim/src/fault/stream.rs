//! A stream and the faults that strike it, event by event.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::wire::{Head, Jitter, Opening, Reply, Step, Wire};
use super::{Act, Billing, Fault};
use crate::answer::{Answer, Event, Kind};
use crate::node::{Node, obj};
use crate::refusal::Refusal;
use crate::vendor::Vendor;

const SSE: &str = "text/event-stream; charset=utf-8";
/// More than any caller takes for one event.
const HUGE: usize = 17 * 1024 * 1024;

/// The steps of a stream; `error` is what this vendor would say.
pub(super) fn answer(
    events: &[Event],
    answer: &Answer,
    error: &Refusal,
    reply: &Reply<'_>,
    act: &Act,
    jitter: &mut Jitter,
    before: Duration,
) -> Wire {
    let head = Head { status: 200, content_type: Some(SSE), ..Head::default() };
    let billing = Billing::Produced(answer.charge.clone());
    let mut wire = Wire { before, opening: Opening::Answer(head), steps: Vec::new(), billing };
    if act.fault == Some(Fault::SlowHead) {
        wire.before += Duration::from_millis(act.ms.unwrap_or(3000));
    }
    if act.fault == Some(Fault::ResetAfterHeaders) {
        wire.steps.push(Step::Reset);
        return wire;
    }
    let strike = strikes_after(act);
    let mut contents = 0;
    for (i, event) in events.iter().enumerate() {
        let is_content = event.kind == Kind::Content;
        // A stream shorter than the fault waits for is struck at its end.
        let struck_now =
            strike.is_some_and(|at| at == contents && is_content || at >= contents && event.kind == Kind::End);
        if struck_now {
            return struck(wire, (&events[0], event), error, reply, act);
        }
        let wait = if is_content && contents == 0 { first_wait(act, jitter) } else { jitter.event() };
        if !wait.is_zero() && i > 0 {
            wire.steps.push(Step::Wait(wait));
        }
        let last = i + 1 == events.len();
        let mut text = frame(event, i, last, act);
        if act.fault == Some(Fault::HugeEvent) && is_content && contents == act.after.unwrap_or(0) {
            text = format!("{}{}\n\n", text.trim_end(), " ".repeat(HUGE));
        }
        contents += u64::from(is_content);
        wire.steps.push(Step::Send(text.into(), event.tokens));
    }
    wire
}

/// After how many content events the fault strikes, if it is one that strikes in a stream.
fn strikes_after(act: &Act) -> Option<u64> {
    let default = match act.fault? {
        Fault::StalledStream
        | Fault::StalledBody
        | Fault::CutStream
        | Fault::TruncatedBody
        | Fault::ResetStream
        | Fault::UnterminatedStream
        | Fault::ErrorLater
        | Fault::FailedEvent => 3,
        Fault::MalformedFrame | Fault::EndlessBody => 0,
        Fault::ErrorFirst | Fault::EndlessPings => return Some(0),
        _ => return None,
    };
    Some(act.after.unwrap_or(default))
}

/// The fault instead of the next event.
fn struck(mut wire: Wire, (first, event): (&Event, &Event), error: &Refusal, reply: &Reply<'_>, act: &Act) -> Wire {
    let half = || {
        let text = event.text();
        Bytes::from(text.as_bytes()[..text.len() * 2 / 3].to_vec())
    };
    match act.fault {
        Some(Fault::CutStream | Fault::TruncatedBody) => wire.steps.push(Step::Cut(half())),
        Some(Fault::ResetStream) => wire.steps.push(Step::Reset),
        Some(Fault::StalledStream | Fault::StalledBody) => wire.steps.push(Step::Stall),
        Some(Fault::ErrorFirst | Fault::ErrorLater) => {
            wire.steps.push(Step::Send(error_event(event, error, reply).into(), 0));
        }
        Some(Fault::FailedEvent) => {
            wire.steps.push(Step::Send(failed_event(first, event, error, reply).into(), 0));
        }
        Some(Fault::MalformedFrame) => {
            let name = event.name.map_or(String::new(), |name| format!("event: {name}\n"));
            let data = &event.data.get(..event.data.len() / 2).unwrap_or("{");
            wire.steps.push(Step::Send(format!("{name}data: {data}\n\n").into(), 0));
        }
        Some(Fault::EndlessBody) => {
            wire.steps.push(Step::Forever(event.text().into(), Duration::ZERO));
        }
        Some(Fault::EndlessPings) => {
            let ping = match reply.vendor {
                Vendor::OpenAi => ": ping\n\n",
                Vendor::Anthropic => "event: ping\ndata: {\"type\": \"ping\"}\n\n",
            };
            wire.steps.push(Step::Forever(ping.into(), Duration::from_millis(act.ms.unwrap_or(100))));
        }
        _ => {}
    }
    wire
}

fn first_wait(act: &Act, jitter: &mut Jitter) -> Duration {
    match act.fault {
        Some(Fault::SlowFirstToken) => Duration::from_millis(act.ms.unwrap_or(3000)),
        _ => jitter.first(),
    }
}

/// An error in the middle of a stream, as each API says it.
fn error_event(event: &Event, error: &Refusal, reply: &Reply<'_>) -> String {
    match (reply.vendor, event.name) {
        (Vendor::Anthropic, _) => {
            format!("event: error\ndata: {}\n\n", error.body(reply.vendor, reply.request_id).text())
        }
        (Vendor::OpenAi, Some(_)) => {
            let data = obj! {
                "type": "error",
                "sequence_number": number(event),
                "code": "server_error",
                "message": &error.message,
                "param": Node::Null,
            };
            format!("event: error\ndata: {}\n\n", data.text())
        }
        (Vendor::OpenAi, None) => format!("data: {}\n\n", error.body(reply.vendor, reply.request_id).text()),
    }
}

/// The response object of the first event, failed; other APIs have no such event.
fn failed_event(first: &Event, event: &Event, error: &Refusal, reply: &Reply<'_>) -> String {
    let Ok(mut begun) = serde_json::from_str::<Value>(&first.data) else { return error_event(event, error, reply) };
    if begun["type"] != "response.created" {
        return error_event(event, error, reply);
    }
    let response = &mut begun["response"];
    response["status"] = json!("failed");
    response["error"] = json!({"code": "server_error", "message": error.message});
    let data = obj! {"type": "response.failed", "sequence_number": number(event), "response": &*response};
    format!("event: response.failed\ndata: {}\n\n", data.text())
}

fn number(event: &Event) -> u64 {
    serde_json::from_str::<Value>(&event.data).ok().and_then(|data| data["sequence_number"].as_u64()).unwrap_or(0)
}

fn frame(event: &Event, i: usize, last: bool, act: &Act) -> String {
    let text = event.text();
    match act.fault {
        Some(Fault::NoBlankEnd) if last => text.trim_end_matches('\n').to_owned(),
        Some(Fault::OddFraming) => odd_framing(event, i),
        _ => text,
    }
}

/// The same event in framing that the format allows and nobody expects.
fn odd_framing(event: &Event, i: usize) -> String {
    let name = |eol: &str| event.name.map_or(String::new(), |name| format!("event:{name}{eol}"));
    match i % 4 {
        0 => format!(": comment\r\n{}data: {}\r\n\r\n", name("\r\n"), event.data),
        1 => format!("{}data:{}\n\n", name("\n"), event.data),
        2 => format!("id: {i}\nretry: 3000\n{}data: {}\n\n", name("\n"), event.data),
        // A line break in JSON may only stand between tokens: after the first brace.
        _ => match event.data.strip_prefix('{') {
            Some(rest) => format!("{}data: {{\ndata: {rest}\n\n", name("\n")),
            None => format!("{}data: {}\n\n", name("\n"), event.data),
        },
    }
}
