//! A plain answer and the faults that strike it.

use std::time::Duration;

use bytes::Bytes;

use super::wire::{JSON, Opening, Reply, Step, Wire, plain_text};
use super::{Act, Billing, Fault};
use crate::answer::Answer;
use crate::refusal::Refusal;

/// More than any caller holds.
const HUGE: usize = 65 * 1024 * 1024;

/// The steps of a plain answer; `error` is what this vendor would say.
pub(super) fn answer(
    text: &str,
    answer: &Answer,
    error: &Refusal,
    reply: &Reply<'_>,
    act: &Act,
    before: Duration,
) -> Wire {
    let wait = |ms: u64| before + Duration::from_millis(act.ms.unwrap_or(ms));
    let mut wire = plain_text(200, JSON, text.to_owned(), before);
    wire.billing = Billing::Whole(answer.charge.clone());
    let half: Bytes = text.as_bytes()[..text.len() / 2].to_vec().into();
    match act.fault {
        Some(Fault::SlowHead | Fault::SlowFirstToken) => wire.before = wait(3000),
        Some(Fault::ResetAfterHeaders) => wire.steps = vec![Step::Reset],
        Some(Fault::ResetStream) => wire.steps = vec![Step::Send(half, 0), Step::Reset],
        Some(Fault::TruncatedBody | Fault::CutStream) => wire.steps = vec![Step::Cut(half)],
        Some(Fault::StalledBody | Fault::StalledStream) => wire.steps = vec![Step::Send(half, 0), Step::Stall],
        Some(Fault::EndlessPings) => wire.steps = vec![Step::Stall],
        Some(Fault::UnterminatedStream | Fault::MalformedFrame) => {
            wire = Wire { billing: wire.billing, ..plain_text(200, JSON, text[..text.len() / 2].to_owned(), before) };
        }
        Some(Fault::ErrorFirst | Fault::ErrorLater | Fault::FailedEvent) => {
            return plain_text(200, JSON, error.body(reply.vendor, reply.request_id).text(), before);
        }
        Some(Fault::HugeEvent) => {
            let long = format!("{}{}", " ".repeat(HUGE), text);
            wire = Wire { billing: wire.billing, ..plain_text(200, JSON, long, before) };
        }
        Some(Fault::EndlessBody) => {
            if let Opening::Answer(head) = &mut wire.opening {
                head.length = None;
            }
            wire.steps = vec![Step::Forever(Bytes::from(" ".repeat(256 * 1024)), Duration::ZERO)];
        }
        _ => {}
    }
    wire
}
