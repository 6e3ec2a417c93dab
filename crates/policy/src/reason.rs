//! Why an answer is not plainly `ok`: a closed set, each with its HTTP status, retry advice and body.

use crate::snapshot::{ProviderId, Snapshot};

/// What went wrong, without whose fault it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    // A provider is to blame.
    /// Connect, TLS or DNS failed.
    Unreachable,
    /// Reset, cut or truncated.
    ConnectionLost,
    /// TCP or TLS too slow.
    ConnectTimeout,
    /// First byte, idle or total timeout.
    TimeoutBudgetExceeded,
    /// A 200 that is no answer.
    InvalidAnswer,
    /// 503 or 529.
    Overloaded,
    /// Another 5xx, 408, 409, or an error event.
    ServerError,
    /// 429.
    RateLimited,
    /// Out of credit or spend.
    OutOfCredit,
    /// 401 or 403 on our key.
    CredentialRefused,
    /// No key file.
    CredentialMissing,
    /// 404.
    ModelNotFound,
    /// The prompt does not fit the context.
    ContextTooLong,
    /// 4xx on the request itself.
    RequestRejected,
    /// The breaker is open.
    CircuitOpen,
    /// The target cannot carry what the request holds (images, the API).
    CannotCarry,
    /// Something would be lost and the tier is strict.
    StrictTranslation,
    /// Nobody knows what the model costs, and a budget is hard.
    PriceUnknown,
    /// Nothing bounds what the request can cost, and a budget is hard.
    CostUnbounded,
    /// Too dear for this request.
    MaxCostExceeded,
    /// Too slow for this request.
    MaxLatencyExceeded,

    // Nobody's but ours or the caller's.
    /// A budget has no room for the request.
    BudgetExhausted,
    /// A budget is so far spent that its rest is spared.
    BudgetNearLimit,
    /// A rate limit of the policy.
    RateLimitExceeded,
    /// No memory left for another body.
    SidecarOverloaded,
    /// Shutting down.
    SidecarDraining,
    /// No policy in force yet.
    PolicyNotReady,
    /// No target of the scene can serve this request.
    NoCandidate,
    /// The request cannot be said in the target's dialect.
    Untranslatable,
    /// Not JSON, a repeated member, a wrong type.
    BadRequest,
    /// Over 32 MiB after decoding.
    BodyTooLarge,
    /// The body stalled.
    BodyTimeout,
    /// A content encoding other than identity, gzip, zstd.
    UnsupportedEncoding,
    /// A path nobody serves.
    PathNotFound,
    /// Wrong method.
    MethodNotAllowed,
    /// `Upgrade`.
    UpgradeRefused,
    /// No room for another request by id.
    QueueFull,
    /// An id of ours that names nothing.
    IdNotFound,
    /// An idempotency key with another body.
    IdempotencyConflict,
    /// A request by id that could not be run in time.
    Expired,
    /// A request by id that its caller gave up.
    Cancelled,
    /// The state directory takes nothing.
    StateUnavailable,
    /// Our own fault; the last one, by which a test counts them.
    Internal,
}

/// One row of the table that maps a cause to what the caller sees.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// snake_case; metric label and header.
    pub label: &'static str,
    /// Whether the label is prefixed with a provider's name.
    pub provider: bool,
    /// HTTP status when we answer ourselves; a provider's failure may carry its own.
    pub status: u16,
    /// `x-should-retry`. False after our own tries and for money: our retries were the retries.
    pub should_retry: bool,
    /// OpenAI `error.type`.
    pub openai_type: &'static str,
    /// Anthropic `error.type`.
    pub anthropic_type: &'static str,
    /// A sentence for the caller; no prompt text, no secrets.
    pub message: &'static str,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Cause; 43] = [
        Cause::Unreachable,
        Cause::ConnectionLost,
        Cause::ConnectTimeout,
        Cause::TimeoutBudgetExceeded,
        Cause::InvalidAnswer,
        Cause::Overloaded,
        Cause::ServerError,
        Cause::RateLimited,
        Cause::OutOfCredit,
        Cause::CredentialRefused,
        Cause::CredentialMissing,
        Cause::ModelNotFound,
        Cause::ContextTooLong,
        Cause::RequestRejected,
        Cause::CircuitOpen,
        Cause::CannotCarry,
        Cause::StrictTranslation,
        Cause::PriceUnknown,
        Cause::CostUnbounded,
        Cause::MaxCostExceeded,
        Cause::MaxLatencyExceeded,
        Cause::BudgetExhausted,
        Cause::BudgetNearLimit,
        Cause::RateLimitExceeded,
        Cause::SidecarOverloaded,
        Cause::SidecarDraining,
        Cause::PolicyNotReady,
        Cause::NoCandidate,
        Cause::Untranslatable,
        Cause::BadRequest,
        Cause::BodyTooLarge,
        Cause::BodyTimeout,
        Cause::UnsupportedEncoding,
        Cause::PathNotFound,
        Cause::MethodNotAllowed,
        Cause::UpgradeRefused,
        Cause::QueueFull,
        Cause::IdNotFound,
        Cause::IdempotencyConflict,
        Cause::Expired,
        Cause::Cancelled,
        Cause::StateUnavailable,
        Cause::Internal,
    ];

    /// The cause's row: the one table of the contract.
    #[must_use]
    pub fn row(self) -> Row {
        const SERVER: (&str, &str) = ("server_error", "api_error");
        const BUSY: (&str, &str) = ("service_unavailable_error", "overloaded_error");
        const LIMIT: (&str, &str) = ("rate_limit_error", "rate_limit_error");
        const BAD: (&str, &str) = ("invalid_request_error", "invalid_request_error");
        const GONE: (&str, &str) = ("invalid_request_error", "not_found_error");
        const AUTH: (&str, &str) = ("authentication_error", "authentication_error");
        const LATE: (&str, &str) = ("timeout_error", "timeout_error");
        let of = |label, status, should_retry, types: (&'static str, &'static str), message| Row {
            label,
            provider: false,
            status,
            should_retry,
            openai_type: types.0,
            anthropic_type: types.1,
            message,
        };
        let by = |label, status, types, message| Row { provider: true, ..of(label, status, false, types, message) };
        match self {
            Cause::Unreachable => by("unreachable", 502, SERVER, "the provider could not be reached"),
            Cause::ConnectionLost => {
                by("connection_lost", 502, SERVER, "the provider closed the connection before its answer was whole")
            }
            Cause::ConnectTimeout => by("connect_timeout", 504, LATE, "connecting to the provider took too long"),
            Cause::TimeoutBudgetExceeded => {
                by("timeout_budget_exceeded", 504, LATE, "the provider did not answer in the time the tier allows")
            }
            Cause::InvalidAnswer => by("invalid_answer", 502, SERVER, "the provider sent something that is no answer"),
            Cause::Overloaded => by("overloaded", 503, BUSY, "the provider is overloaded"),
            Cause::ServerError => by("server_error", 502, SERVER, "the provider failed"),
            Cause::RateLimited => by("rate_limited", 429, LIMIT, "the provider's rate limit is reached"),
            Cause::OutOfCredit => by("out_of_credit", 429, LIMIT, "the provider account is out of credit"),
            Cause::CredentialRefused => by("credential_refused", 401, AUTH, "the provider refused the configured key"),
            Cause::CredentialMissing => by("credential_missing", 503, BUSY, "no key is configured for the provider"),
            Cause::ModelNotFound => by("model_not_found", 404, GONE, "the provider does not know the model"),
            Cause::ContextTooLong => by("context_too_long", 400, BAD, "the request exceeds the model's context length"),
            Cause::RequestRejected => by("request_rejected", 400, BAD, "the provider rejected the request"),
            Cause::CircuitOpen => {
                by("circuit_open", 503, BUSY, "the provider's circuit is open after repeated failures")
            }
            Cause::CannotCarry => by("cannot_carry", 400, BAD, "the target cannot carry this request"),
            Cause::StrictTranslation => {
                by("strict_translation", 400, BAD, "translation would lose something and the tier is strict")
            }
            Cause::PriceUnknown => by(
                "price_unknown",
                429,
                LIMIT,
                "the target's model has no known price, and a budget holds; the policy may give it one",
            ),
            Cause::CostUnbounded => by(
                "cost_unbounded",
                429,
                LIMIT,
                "nothing bounds what the request can cost at the target, and a budget holds; the policy may price it",
            ),
            Cause::MaxCostExceeded => Row {
                provider: true,
                ..of("max_cost_exceeded", 429, false, LIMIT, "the request could cost more than its limit")
            },
            Cause::MaxLatencyExceeded => {
                by("max_latency_exceeded", 503, BUSY, "the target is slower than the request allows")
            }
            Cause::BudgetExhausted => of("budget_exhausted", 429, false, LIMIT, "the budget is spent"),
            Cause::BudgetNearLimit => of("budget_near_limit", 429, false, LIMIT, "the budget is nearly spent"),
            Cause::RateLimitExceeded => {
                of("rate_limit_exceeded", 429, false, LIMIT, "the policy's rate limit is reached")
            }
            Cause::SidecarOverloaded => {
                of("sidecar_overloaded", 503, true, BUSY, "too many request bodies are held; try again shortly")
            }
            Cause::SidecarDraining => of("sidecar_draining", 503, true, BUSY, "the sidecar is shutting down"),
            Cause::PolicyNotReady => of("policy_not_ready", 503, true, BUSY, "no policy is in force yet"),
            Cause::NoCandidate => {
                of("no_candidate", 503, false, BUSY, "no target of the scene can serve this request now")
            }
            Cause::Untranslatable => {
                of("untranslatable", 400, false, BAD, "the request cannot be expressed for any target of the scene")
            }
            Cause::BadRequest => of("bad_request", 400, false, BAD, "the request is not valid"),
            Cause::BodyTooLarge => of(
                "body_too_large",
                413,
                false,
                ("invalid_request_error", "request_too_large"),
                "the body exceeds 32 MiB",
            ),
            Cause::BodyTimeout => of("body_timeout", 408, true, LATE, "the body stalled for 30 seconds"),
            Cause::UnsupportedEncoding => {
                of("unsupported_encoding", 415, false, BAD, "send the body as identity, gzip or zstd")
            }
            Cause::PathNotFound => {
                of("path_not_found", 404, false, GONE, "no such path; a policy may allow more with providers[].paths")
            }
            Cause::MethodNotAllowed => of("method_not_allowed", 405, false, BAD, "the path does not take this method"),
            Cause::UpgradeRefused => of("upgrade_refused", 501, false, BAD, "protocol upgrades are not supported"),
            Cause::QueueFull => of(
                "queue_full",
                503,
                true,
                BUSY,
                "too many requests by id are kept; fetch and delete finished ones, or try again later",
            ),
            Cause::IdNotFound => of("id_not_found", 404, false, GONE, "no request with this id is kept"),
            Cause::IdempotencyConflict => of(
                "idempotency_conflict",
                409,
                false,
                ("invalid_request_error", "conflict_error"),
                "the idempotency key was used with another body; use a new one",
            ),
            Cause::Expired => of("expired", 504, false, LATE, "the request could not be run within 24 hours"),
            Cause::Cancelled => of("cancelled", 410, false, GONE, "the request was cancelled"),
            Cause::StateUnavailable => {
                of("state_unavailable", 503, true, BUSY, "the state directory cannot be written or read now")
            }
            Cause::Internal => of("internal", 500, false, SERVER, "the sidecar failed; this is a defect"),
        }
    }
}

/// A cause with the provider it is told of, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reason {
    /// What.
    pub cause: Cause,
    /// Whose, for causes that blame one.
    pub provider: Option<ProviderId>,
}

impl Reason {
    /// A provider's.
    #[must_use]
    pub fn of(provider: ProviderId, cause: Cause) -> Reason {
        Reason { cause, provider: Some(provider) }
    }

    /// Nobody's.
    #[must_use]
    pub fn own(cause: Cause) -> Reason {
        Reason { cause, provider: None }
    }

    /// The text of the header and of labels: `openai_circuit_open`, `budget_exhausted`. Capitals in a provider's name
    /// become small, a `-` or `.` becomes `_`, so that the whole is snake_case.
    #[must_use]
    pub fn text(self, snapshot: &Snapshot) -> String {
        let row = self.cause.row();
        match self.provider {
            Some(p) if row.provider => {
                let name = snapshot.provider(p).name.replace(['-', '.'], "_").to_ascii_lowercase();
                format!("{name}_{}", row.label)
            }
            _ => row.label.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::tests::snapshot;

    #[test]
    fn every_cause_has_a_sound_row_of_its_own() {
        assert_eq!(Cause::ALL.len(), Cause::Internal as usize + 1);
        assert!(Cause::ALL.iter().enumerate().all(|(i, c)| *c as usize == i), "each once, in order");
        let mut labels: Vec<_> = Cause::ALL.iter().map(|c| c.row().label).collect();
        for c in Cause::ALL {
            let r = c.row();
            assert!(r.label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{c:?}");
            assert!((400..600).contains(&r.status), "{c:?}");
            assert!(!(r.provider && r.should_retry), "{c:?}: after our tries the SDK must not add its own");
            assert!(!r.message.is_empty() && !r.openai_type.is_empty() && !r.anthropic_type.is_empty());
        }
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Cause::ALL.len());
    }

    #[test]
    fn a_reason_names_the_provider_to_blame() {
        let mut s = snapshot();
        assert_eq!(Reason::of(ProviderId(0), Cause::CircuitOpen).text(&s), "openai_circuit_open");
        assert_eq!(Reason::own(Cause::BudgetExhausted).text(&s), "budget_exhausted");
        s.providers[0].name = "OpenAI-eu.2".into();
        assert_eq!(Reason::of(ProviderId(0), Cause::CircuitOpen).text(&s), "openai_eu_2_circuit_open");
    }
}
