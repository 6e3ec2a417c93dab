//! What a provider sends whole: a plain answer, or an error.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use dialect::{AnswerFault, Usage};
use futures_util::FutureExt;
use http_body::Body;
use http_body_util::BodyExt;
use hyper::{
    StatusCode,
    header::{HeaderName, RETRY_AFTER},
};
use policy::{ask::Call, outcome::Failure};
use tokio::time::timeout_at;

use super::{Asked, Said, Told, failure};
use crate::{
    admit::Permit,
    clock::{self, instant},
    credentials::Secret,
    decode::{BodyError, Decoded},
    headers::{self, List},
    intake::{Gather, Gathered, Held},
    memory::Room,
    upstream::Answered,
    wire::Wire,
};

/// Longest plain answer.
const MAX_ANSWER: usize = 64 << 20;
/// Longest error body that is kept.
const MAX_ERROR: usize = 1 << 20;
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// A plain answer in the caller's dialect.
pub(super) struct Whole {
    pub(super) body: Bytes,
    pub(super) room: Room,
    pub(super) usage: Option<Usage>,
}

/// Reads a plain answer whole and checks that it is one.
pub(super) async fn whole(
    asked: &Asked<'_>,
    wire: &Wire,
    status: StatusCode,
    mut body: Decoded,
    secret: Option<&Arc<Secret>>,
    permit: &Permit,
) -> Result<Whole, Said> {
    let Held { bytes, room } = gather(asked, &mut body, MAX_ANSWER, permit).await.map_err(|f| (f, None))?;
    let bytes = secret.map_or_else(|| bytes.clone(), |s| s.scrub(bytes.clone()));
    let no_answer = |fault: AnswerFault| {
        let told = match fault {
            AnswerFault::ErrorObject(fault) => Some(Told {
                status: 502,
                headers: List::default(),
                body: bytes.clone(),
                dialect: wire.dialect,
                fault: *fault,
            }),
            _ => None,
        };
        (Failure::NoAnswer, told)
    };
    match asked.ask.call {
        Call::Through(_) if status == StatusCode::NO_CONTENT => return Ok(Whole { body: bytes, room, usage: None }),
        Call::Through(_) => {
            let usage = dialect::usage_of_answer(wire.dialect, &bytes);
            return if dialect::is_json(&bytes) {
                Ok(Whole { body: bytes, room, usage })
            } else {
                Err((Failure::NoAnswer, None))
            };
        }
        Call::CountTokens => {
            let count = dialect::read_count(wire.dialect, &bytes).map_err(no_answer)?;
            let body = if wire.translation.is_some() { dialect::write_count(count) } else { bytes };
            return Ok(Whole { body, room, usage: None });
        }
        Call::Chat | Call::Responses | Call::Messages => {}
    }
    let (body, usage) = match &wire.translation {
        None => (bytes.clone(), dialect::read_answer(wire.dialect, &bytes).map_err(no_answer)?.usage),
        Some(context) => {
            let dialect::TranslatedAnswer { body, usage } =
                dialect::translate_answer(context, &bytes).map_err(no_answer)?;
            (body, usage)
        }
    };
    Ok(Whole { body, room, usage })
}

async fn gather(asked: &Asked<'_>, body: &mut Decoded, most: usize, permit: &Permit) -> Result<Held, Failure> {
    let of = |g| match g {
        Gathered::TooLarge => Failure::NoAnswer,
        Gathered::NoRoom => Failure::Timeout,
    };
    let mut gather = Gather::new(body.size_hint().exact(), most, &permit.state.memory).await.map_err(of)?;
    loop {
        // Most answers are here at once, and need no timer.
        let next = match body.frame().now_or_never() {
            Some(next) => Ok(next),
            None => {
                let until = clock::now().after(asked.tier.timeouts.idle).min(asked.deadline);
                timeout_at(instant(until), body.frame()).await
            }
        };
        match next {
            Err(_) => return Err(Failure::Timeout),
            Ok(None) => return Ok(gather.finish()),
            Ok(Some(Err(BodyError::Lost))) => return Err(Failure::Lost),
            Ok(Some(Err(BodyError::Coding))) => return Err(Failure::NoAnswer),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    gather.push(data).await.map_err(of)?;
                }
            }
        }
    }
}

/// A status that is no success: what the provider said, and the failure it stands for.
pub(super) async fn refused(
    asked: &Asked<'_>,
    wire: &Wire,
    answer: Answered,
    secret: Option<&Arc<Secret>>,
    permit: &Permit,
) -> Said {
    let Answered { head, body } = answer;
    let body = match Decoded::new(&head.headers, body) {
        Some(mut body) => gather(asked, &mut body, MAX_ERROR, permit).await.map(|h| h.bytes).unwrap_or_default(),
        None => Bytes::new(),
    };
    let body = secret.map_or_else(|| body.clone(), |s| s.scrub(body.clone()));
    let status = head.status.as_u16();
    let fault = dialect::read_error(wire.dialect, status, &body);
    let failure = failure(wire.dialect, status, &fault, retry_after(&head.headers));
    let headers = headers::answer(head.headers, secret.map(|s| &**s));
    (failure, Some(Told { status, headers, body, dialect: wire.dialect, fault }))
}

/// `retry-after-ms`, or `Retry-After` in seconds. A date is not sent by either vendor, and is taken for none.
fn retry_after(headers: &List) -> Option<Duration> {
    let number = |name: &HeaderName| {
        headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0)
    };
    let seconds = number(&RETRY_AFTER_MS).map(|ms| ms / 1000.0).or_else(|| number(&RETRY_AFTER))?;
    Duration::try_from_secs_f64(seconds.min(86_400.0)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuzz_retry_after() {
        let seeds = ["2", "0.5", "1500", "1e300", "-1", "NaN", "inf", "+7", "Fri, 31 Dec 1999 23:59:59 GMT"];
        crate::fuzz::run_over(
            "retry-after",
            |mutator| mutator.raw(&seeds),
            |input, mutator| {
                let Ok(value) = hyper::header::HeaderValue::from_bytes(input) else { return false };
                let name = ["retry-after", "retry-after-ms"][mutator.below(2)];
                let name = hyper::header::HeaderName::from_static(name);
                let wait = retry_after(&List::from_iter([(name, value)]));
                assert!(wait.is_none_or(|wait| wait <= Duration::from_secs(86_400)));
                true
            },
        );
    }

    #[test]
    fn retry_after_in_both_units() {
        let map = |rows: &[(&'static str, &'static str)]| {
            rows.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect::<List>()
        };
        for (rows, want) in [
            (&[("retry-after", "2")][..], Some(2_000)),
            (&[("retry-after", "0.5")], Some(500)),
            (&[("retry-after-ms", "1500"), ("retry-after", "9")], Some(1_500)),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")], None),
            (&[("retry-after", "1e300")], Some(86_400_000)),
            (&[], None),
        ] {
            assert_eq!(retry_after(&map(rows)), want.map(Duration::from_millis), "{rows:?}");
        }
    }
}
