//! What each fault leads to.

use sim::Fault;

/// What one fault leads to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Want {
    /// The first target's answer, as if nothing were.
    Fine,
    /// A failure before content.
    Fails(Fails),
    /// Content, then an error event and no clean end.
    Cut,
    /// Content without end, until the caller hangs up.
    Endless,
}
use Want::{Cut, Endless, Fine};

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fails {
    /// The reason without the provider's name.
    pub cause: &'static str,
    /// Status when nothing is left, by the vendor that fails.
    pub status: (u16, u16),
    pub again: Again,
    pub next: Next,
    /// How long the failing target alone takes, in milliseconds.
    pub takes: u64,
}

/// Tries of the same target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Again {
    /// As many as the tier allows.
    Yes,
    /// Only this one.
    No,
    /// So many in all when nobody else is left.
    IfLast(usize),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    Yes,
    No,
    /// Only a target with a larger context window.
    Larger,
}

const fn fails(cause: &'static str, openai: u16, anthropic: u16, again: Again, next: Next, takes: u64) -> Want {
    Want::Fails(Fails { cause, status: (openai, anthropic), again, next, takes })
}

/// A failure whose status is our own.
const fn ours(cause: &'static str, status: u16, again: Again, takes: u64) -> Want {
    fails(cause, status, status, again, Next::Yes, takes)
}

const LOST: Want = ours("connection_lost", 502, Again::Yes, 0);
pub const NO_ANSWER: Want = ours("invalid_answer", 502, Again::Yes, 0);
const LATE: Want = ours("timeout_budget_exceeded", 504, Again::No, 700);

const fn out_of_credit(openai: u16, anthropic: u16) -> Want {
    fails("out_of_credit", openai, anthropic, Again::No, Next::Yes, 0)
}

const fn server(cause: &'static str, status: u16) -> Want {
    fails(cause, status, status, Again::Yes, Next::Yes, 0)
}

const fn key_refused(status: u16) -> Want {
    fails("credential_refused", status, status, Again::No, Next::Yes, 0)
}

pub const fn rejected(status: u16) -> Want {
    fails("request_rejected", status, status, Again::No, Next::No, 0)
}

/// The table: a plain call, a stream.
pub fn wanted(fault: Fault) -> (Want, Want) {
    let both = |want| (want, want);
    match fault {
        // One second of waiting fits into the total of two and a half twice, and then the tries are used up.
        Fault::RateLimit | Fault::SlowDown => both(fails("rate_limited", 429, 429, Again::IfLast(3), Next::Yes, 2000)),
        Fault::RateLimitMs => both(fails("rate_limited", 429, 429, Again::IfLast(3), Next::Yes, 600)),
        Fault::RateLimitBare => both(fails("rate_limited", 429, 429, Again::IfLast(3), Next::Yes, 0)),
        Fault::InsufficientQuota
        | Fault::OrganizationUsageLimit
        | Fault::OrganizationSpendLimit
        | Fault::ProjectSpendLimit
        | Fault::EnforcedSpendLimit => both(out_of_credit(429, 429)),
        Fault::CreditBalanceExhausted => both(out_of_credit(429, 400)),
        Fault::Billing => both(out_of_credit(402, 402)),
        Fault::BadRequest => both(rejected(400)),
        Fault::TooLarge => both(rejected(413)),
        Fault::Unprocessable => both(rejected(422)),
        Fault::ContextTooLong => both(fails("context_too_long", 400, 400, Again::No, Next::Larger, 0)),
        Fault::Unauthorized | Fault::KeyEcho => both(key_refused(401)),
        Fault::Forbidden => both(key_refused(403)),
        Fault::NotFound => both(fails("model_not_found", 404, 404, Again::No, Next::Yes, 0)),
        Fault::RequestTimeout => both(server("server_error", 408)),
        Fault::Conflict => both(server("server_error", 409)),
        Fault::ServerError => both(server("server_error", 500)),
        Fault::BadGateway => both(server("server_error", 502)),
        Fault::GatewayTimeout => both(server("server_error", 504)),
        Fault::Unavailable => both(server("overloaded", 503)),
        Fault::Overloaded => both(server("overloaded", 529)),
        Fault::Reset | Fault::Close | Fault::ResetAfterHeaders => both(LOST),
        Fault::Silence | Fault::SlowHead | Fault::SlowFirstToken | Fault::EndlessPings => both(LATE),
        Fault::StalledStream | Fault::StalledBody => (LATE, Cut),
        Fault::CutStream | Fault::ResetStream | Fault::TruncatedBody => (LOST, Cut),
        Fault::UnterminatedStream => (NO_ANSWER, Cut),
        Fault::MalformedFrame => both(NO_ANSWER),
        // An error event says its status by its type: OpenAI's is a server error, Anthropic's an overload.
        Fault::ErrorFirst => (NO_ANSWER, fails("error_event", 500, 529, Again::Yes, Next::Yes, 0)),
        Fault::ErrorLater | Fault::FailedEvent => (NO_ANSWER, Cut),
        Fault::Error200 | Fault::Empty200 | Fault::Html200 | Fault::Text200 => both(NO_ANSWER),
        Fault::JsonForStream => (Fine, NO_ANSWER),
        Fault::StreamForJson => (NO_ANSWER, Fine),
        Fault::HugeEvent => both(NO_ANSWER),
        Fault::EndlessBody => (NO_ANSWER, Endless),
        Fault::Gzip
        | Fault::NoUsage
        | Fault::UsageWithChoices
        | Fault::EmptyChoices
        | Fault::ZeroUsage
        | Fault::LeanDelta
        | Fault::NoStreamOptions
        | Fault::NoRole
        | Fault::EmptyToolCalls
        | Fault::InterleavedTools
        | Fault::ArgumentsInDone
        | Fault::NoFinishReason
        | Fault::UnknownReason
        | Fault::Refusal
        | Fault::ContentFilter
        | Fault::PauseTurn
        | Fault::WindowFull
        | Fault::Odd
        | Fault::OddFraming
        | Fault::NoBlankEnd
        | Fault::ByteByByte
        | Fault::CloseAfter
        | Fault::StaleConnection
        | Fault::IgnoreMaxTokens => both(Fine),
    }
}
