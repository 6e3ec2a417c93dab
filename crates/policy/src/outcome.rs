//! What happened to one attempt, as the failure table sees it (DESIGN section 4, rule 2).

use std::time::Duration;

use crate::{catalogue::Tokens, reason::Cause, snapshot::ProviderId};

/// Why an attempt gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// TCP connect refused or unreachable.
    Connect,
    /// TLS handshake failed.
    Tls,
    /// The name did not resolve.
    Dns,
    /// The connection was reset or closed before the answer was whole, or the answer was cut or truncated.
    Lost,
    /// TCP or TLS took longer than its timeout.
    ConnectTimeout,
    /// No first content, no next byte, or no commit in time.
    Timeout,
    /// A 200 that is no answer: empty, not JSON, an error object, no event stream when one was asked, a malformed frame.
    NoAnswer,
    /// 408, 409, 5xx, 529, or an error event before content.
    Server {
        /// The provider's status; for an error event the status its type stands for.
        status: u16,
        /// Before that the same target is not tried again.
        retry_after: Option<Duration>,
    },
    /// 429.
    RateLimited {
        /// From `Retry-After` or `retry-after-ms`.
        retry_after: Option<Duration>,
    },
    /// Out of credit or spend, by code.
    OutOfCredit {
        /// The provider's status.
        status: u16,
    },
    /// 401 or 403: our key.
    Credential {
        /// The provider's status.
        status: u16,
    },
    /// 404.
    NotFound,
    /// The prompt exceeds the model's context.
    TooLong {
        /// The provider's status.
        status: u16,
    },
    /// 400, 413, 422 and every other 4xx.
    Rejected {
        /// The provider's status.
        status: u16,
    },
}

/// Who is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Every model of the provider.
    Provider,
    /// This provider and model.
    Target,
    /// The request itself.
    Nobody,
}

/// One row of the failure table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// May the same target be tried again.
    pub same: Same,
    /// May the next candidate be tried.
    pub next: Next,
    /// Who is to blame.
    pub blame: Blame,
    /// Status for the caller if nothing is left.
    pub status: u16,
    /// The reason's cause.
    pub cause: Cause,
}

/// Whether the same target is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Same {
    /// After a backoff.
    Yes,
    /// Only when no other candidate is left, after Retry-After or a backoff.
    IfLast,
    /// Never.
    No,
}

/// Whether the next candidate is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// At once.
    Yes,
    /// Only one with a larger context window.
    LargerContext,
    /// Never.
    No,
}

impl Failure {
    /// The failure's row in the table.
    #[must_use]
    pub fn row(&self) -> Row {
        use Blame::{Nobody, Provider, Target};
        let row = |same, next, blame, status, cause| Row { same, next, blame, status, cause };
        match *self {
            Failure::Connect | Failure::Tls | Failure::Dns => {
                row(Same::Yes, Next::Yes, Provider, 502, Cause::Unreachable)
            }
            Failure::Lost => row(Same::Yes, Next::Yes, Provider, 502, Cause::ConnectionLost),
            Failure::ConnectTimeout => row(Same::No, Next::Yes, Provider, 504, Cause::ConnectTimeout),
            Failure::Timeout => row(Same::No, Next::Yes, Target, 504, Cause::TimeoutBudgetExceeded),
            Failure::NoAnswer => row(Same::Yes, Next::Yes, Target, 502, Cause::InvalidAnswer),
            Failure::Server { status, .. } if status == 503 || status == 529 => {
                row(Same::Yes, Next::Yes, Target, status, Cause::Overloaded)
            }
            Failure::Server { status, .. } => row(Same::Yes, Next::Yes, Target, status, Cause::ServerError),
            Failure::RateLimited { .. } => row(Same::IfLast, Next::Yes, Target, 429, Cause::RateLimited),
            Failure::OutOfCredit { status } => row(Same::No, Next::Yes, Provider, status, Cause::OutOfCredit),
            Failure::Credential { status } => row(Same::No, Next::Yes, Provider, status, Cause::CredentialRefused),
            Failure::NotFound => row(Same::No, Next::Yes, Nobody, 404, Cause::ModelNotFound),
            Failure::TooLong { status } => row(Same::No, Next::LargerContext, Nobody, status, Cause::ContextTooLong),
            Failure::Rejected { status } => row(Same::No, Next::No, Nobody, status, Cause::RequestRejected),
        }
    }

    /// The failure that a provider's error status stands for, given what its body says.
    #[must_use]
    pub fn of_status(status: u16, out_of_credit: bool, too_long: bool, retry_after: Option<Duration>) -> Failure {
        match status {
            _ if out_of_credit => Failure::OutOfCredit { status },
            429 => Failure::RateLimited { retry_after },
            402 => Failure::OutOfCredit { status },
            401 | 403 => Failure::Credential { status },
            404 => Failure::NotFound,
            408 | 409 | 500.. => Failure::Server { status, retry_after },
            400..500 if too_long => Failure::TooLong { status },
            400..500 => Failure::Rejected { status },
            _ => Failure::NoAnswer,
        }
    }

    /// When the provider wants to be asked again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Failure::RateLimited { retry_after } | Failure::Server { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// How breaker, windows and metrics count it.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Failure::Connect | Failure::Tls | Failure::Dns | Failure::Lost => Class::Transport,
            Failure::ConnectTimeout | Failure::Timeout => Class::Timeout,
            Failure::NoAnswer => Class::Invalid,
            Failure::Server { .. } => Class::Server,
            Failure::RateLimited { .. } => Class::RateLimited,
            Failure::OutOfCredit { .. } | Failure::Credential { .. } => Class::Account,
            Failure::NotFound | Failure::TooLong { .. } | Failure::Rejected { .. } => Class::Caller,
        }
    }
}

/// How an attempt counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Class {
    /// An answer.
    #[default]
    Success,
    /// 429.
    RateLimited,
    /// 5xx, 529, 408, 409, an error event.
    Server,
    /// Any of the timeouts.
    Timeout,
    /// Connect, TLS, DNS, reset, cut.
    Transport,
    /// A 200 that is no answer.
    Invalid,
    /// Our key or our credit.
    Account,
    /// The request's own fault.
    Caller,
    /// The caller left, or we gave up for a reason of our own.
    Cancelled,
}

impl Class {
    /// All, in the order of their index.
    pub const ALL: [Class; 9] = [
        Class::Success,
        Class::RateLimited,
        Class::Server,
        Class::Timeout,
        Class::Transport,
        Class::Invalid,
        Class::Account,
        Class::Caller,
        Class::Cancelled,
    ];

    /// The one with this label.
    #[must_use]
    pub fn labelled(label: &str) -> Option<Class> {
        Class::ALL.into_iter().find(|class| class.label() == label)
    }

    /// Metric label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Class::Success => "success",
            Class::RateLimited => "rate_limited",
            Class::Server => "server_error",
            Class::Timeout => "timeout",
            Class::Transport => "transport",
            Class::Invalid => "invalid_answer",
            Class::Account => "account",
            Class::Caller => "caller_error",
            Class::Cancelled => "cancelled",
        }
    }
}

/// The end of one attempt; made once, passed once to `record`.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Whose.
    pub provider: ProviderId,
    /// How it counts.
    pub class: Class,
    /// What failed, if anything did.
    pub failure: Option<Failure>,
    /// From the send to the first content of a stream or the head of a plain answer.
    pub first_content: Option<Duration>,
    /// From the send to the end.
    pub duration: Duration,
    /// A stream was asked.
    pub stream: bool,
    /// What the provider says it counted.
    pub tokens: Option<Tokens>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_map_to_rows_of_the_failure_table() {
        let s = Some(Duration::from_secs(3));
        let rows: &[(u16, bool, bool, Failure)] = &[
            (408, false, false, Failure::Server { status: 408, retry_after: s }),
            (409, false, false, Failure::Server { status: 409, retry_after: s }),
            (500, false, false, Failure::Server { status: 500, retry_after: s }),
            (529, false, false, Failure::Server { status: 529, retry_after: s }),
            (429, false, false, Failure::RateLimited { retry_after: s }),
            (429, true, false, Failure::OutOfCredit { status: 429 }),
            (400, true, false, Failure::OutOfCredit { status: 400 }),
            (402, false, false, Failure::OutOfCredit { status: 402 }),
            (401, false, false, Failure::Credential { status: 401 }),
            (403, false, false, Failure::Credential { status: 403 }),
            (404, false, false, Failure::NotFound),
            (400, false, true, Failure::TooLong { status: 400 }),
            (413, false, true, Failure::TooLong { status: 413 }),
            (413, false, false, Failure::Rejected { status: 413 }),
            (422, false, false, Failure::Rejected { status: 422 }),
            (418, false, false, Failure::Rejected { status: 418 }),
            (302, false, false, Failure::NoAnswer),
        ];
        for (status, credit, long, want) in rows {
            assert_eq!(Failure::of_status(*status, *credit, *long, s), *want, "{status}");
        }
    }

    #[test]
    fn the_table() {
        use Blame::*;
        let rows: &[(Failure, Same, Next, Blame, u16)] = &[
            (Failure::Connect, Same::Yes, Next::Yes, Provider, 502),
            (Failure::Tls, Same::Yes, Next::Yes, Provider, 502),
            (Failure::Dns, Same::Yes, Next::Yes, Provider, 502),
            (Failure::Lost, Same::Yes, Next::Yes, Provider, 502),
            (Failure::ConnectTimeout, Same::No, Next::Yes, Provider, 504),
            (Failure::Timeout, Same::No, Next::Yes, Target, 504),
            (Failure::NoAnswer, Same::Yes, Next::Yes, Target, 502),
            (Failure::Server { status: 500, retry_after: None }, Same::Yes, Next::Yes, Target, 500),
            (Failure::Server { status: 529, retry_after: None }, Same::Yes, Next::Yes, Target, 529),
            (Failure::RateLimited { retry_after: None }, Same::IfLast, Next::Yes, Target, 429),
            (Failure::OutOfCredit { status: 429 }, Same::No, Next::Yes, Provider, 429),
            (Failure::Credential { status: 401 }, Same::No, Next::Yes, Provider, 401),
            (Failure::NotFound, Same::No, Next::Yes, Nobody, 404),
            (Failure::TooLong { status: 400 }, Same::No, Next::LargerContext, Nobody, 400),
            (Failure::Rejected { status: 422 }, Same::No, Next::No, Nobody, 422),
        ];
        for (failure, same, next, blame, status) in rows {
            let r = failure.row();
            assert_eq!((r.same, r.next, r.blame, r.status), (*same, *next, *blame, *status), "{failure:?}");
        }
    }
}
