//! Every way in which the simulator can fail, and what one request is to suffer.

mod act;
mod plain;
mod refuse;
mod stream;
#[cfg(test)]
mod tests;
mod wire;

pub use act::{Act, Delays};
pub(crate) use refuse::refused;
pub(crate) use wire::{Billing, Head, Opening, Reply, Step, Wire, plain, wire};

/// Declares the faults with their script names and the sentence that `--help` prints.
macro_rules! faults {
    ($($fault:ident $name:literal $help:literal;)*) => {
        /// A way to fail. [`Fault::name`] is its name in scripts, markers and headers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Fault {
            $(#[doc = $help] $fault,)*
        }

        impl Fault {
            /// All faults, in the order of `--help`.
            pub const ALL: &'static [Fault] = &[$(Fault::$fault,)*];

            /// The name in scripts, markers and headers.
            pub fn name(self) -> &'static str {
                match self { $(Fault::$fault => $name,)* }
            }

            /// What it does, in one sentence.
            pub fn help(self) -> &'static str {
                match self { $(Fault::$fault => $help,)* }
            }
        }
    };
}

faults! {
    RateLimit "rate_limit" "429 with retry-after (retry_after=SECONDS, default 2).";
    RateLimitMs "rate_limit_ms" "429 with retry-after-ms (ms=N, default 500).";
    RateLimitBare "rate_limit_bare" "429 without a word on when to come back.";
    SlowDown "slow_down" "429 slow_down: the traffic grew too fast (Anthropic: ramp_limit_exceeded).";
    InsufficientQuota "insufficient_quota" "429 insufficient_quota: never worth a retry.";
    CreditBalanceExhausted "credit_balance_exhausted" "429 credit_balance_exhausted (Anthropic: 400, credit balance is too low).";
    OrganizationUsageLimit "organization_usage_limit_exceeded" "429 by the organisation's usage limit.";
    OrganizationSpendLimit "organization_spend_limit_exceeded" "429 by the organisation's spend limit.";
    ProjectSpendLimit "project_spend_limit_exceeded" "429 by the project's spend limit.";
    EnforcedSpendLimit "enforced_spend_limit_reached" "429 enforced_spend_limit_reached, Anthropic's never-retry kind.";
    BadRequest "bad_request" "400 that blames the request.";
    ContextTooLong "context_too_long" "400 in each vendor's words for a prompt that is too long.";
    Unauthorized "unauthorized" "401: the key is not accepted.";
    KeyEcho "key_echo" "401 whose message repeats the whole key that was sent.";
    Billing "billing" "402 billing_error.";
    Forbidden "forbidden" "403: the key may not do this.";
    NotFound "not_found" "404: no such model.";
    RequestTimeout "request_timeout" "408.";
    Conflict "conflict" "409.";
    TooLarge "too_large" "413 with an HTML page, as the CDN sends it.";
    Unprocessable "unprocessable" "422.";
    ServerError "server_error" "500 server_error (Anthropic: api_error).";
    BadGateway "bad_gateway" "502 with an HTML page.";
    Unavailable "unavailable" "503 server_is_overloaded (retry_after=SECONDS adds the header, here and to any status).";
    GatewayTimeout "gateway_timeout" "504 timeout_error.";
    Overloaded "overloaded" "529 overloaded_error.";
    Reset "reset" "The connection is reset (RST) before any answer.";
    Close "close" "The connection is closed (FIN) before any answer.";
    ResetAfterHeaders "reset_after_headers" "The head of a 200, then a reset.";
    Silence "silence" "Nothing, ever; the connection stays open.";
    SlowHead "slow_head" "The answer starts late (ms=N, default 3000).";
    SlowFirstToken "slow_first_token" "The preamble at once, the first content late (ms=N, default 3000).";
    EndlessPings "endless_pings" "The preamble, then pings for ever (ms=N between them, default 100).";
    StalledStream "stalled_stream" "The stream stops after N content events (after=N, default 3) and stays open.";
    CutStream "cut_stream" "The connection closes in the middle of a chunk after N content events (after=N, default 3).";
    ResetStream "reset_stream" "The connection is reset after N content events (after=N, default 3).";
    UnterminatedStream "unterminated_stream" "The stream ends cleanly after N content events, without its terminator.";
    TruncatedBody "truncated_body" "A plain answer closes before its content-length is reached.";
    StalledBody "stalled_body" "A plain answer stops half way and stays open.";
    MalformedFrame "malformed_frame" "Broken JSON in a frame after N content events (after=N, default 0).";
    ErrorFirst "error_first" "An error event in the stream before any content.";
    ErrorLater "error_later" "An error event in the stream after N content events (after=N, default 3).";
    FailedEvent "failed_event" "Responses streams: response.failed after N content events (after=N, default 3); else as error_later.";
    Error200 "error_200" "A 200 whose body is an error object.";
    Empty200 "empty_200" "A 200 with no body at all.";
    Html200 "html_200" "A 200 with an HTML page.";
    Text200 "text_200" "A 200 that claims to be JSON and is not.";
    JsonForStream "json_for_stream" "A plain JSON answer where a stream was asked.";
    StreamForJson "stream_for_json" "A stream where a plain answer was asked.";
    Gzip "gzip" "The answer is gzip-encoded, asked or not.";
    HugeEvent "huge_event" "One stream event of 17 MiB after N content events (after=N, default 0); a plain answer of 65 MiB.";
    EndlessBody "endless_body" "An answer that never ends, past any limit.";
    NoUsage "no_usage" "A whole answer without usage.";
    UsageWithChoices "usage_with_choices" "Chat streams: usage on the chunk that still has choices.";
    EmptyChoices "empty_choices" "A 200 with no choices, output or content blocks.";
    ZeroUsage "zero_usage" "Usage that is there and says 0.";
    LeanDelta "lean_delta" "Messages streams: the usage of message_delta has output_tokens alone.";
    NoStreamOptions "no_stream_options" "400 to a Chat request with stream_options, as some servers answer.";
    NoRole "no_role" "Chat streams: no role chunk, the first chunk is content already.";
    EmptyToolCalls "empty_tool_calls" "Chat streams: every text delta has an empty list of tool calls.";
    InterleavedTools "interleaved_tools" "Chat streams: the fragments of parallel tool calls come in turns.";
    ArgumentsInDone "arguments_in_done" "Responses streams: arguments only in the done event, without deltas.";
    NoFinishReason "no_finish_reason" "A stream that ends without saying why (Responses: without its last event).";
    UnknownReason "unknown_reason" "A finish reason that nobody knows.";
    Refusal "refusal" "The model refuses, in each API's form.";
    ContentFilter "content_filter" "A filter stops the answer (Messages: refusal).";
    PauseTurn "pause_turn" "Messages: stop_reason pause_turn.";
    WindowFull "window_full" "Messages: stop_reason model_context_window_exceeded (elsewhere a length stop).";
    Odd "odd" "Unknown members and events in odd forms (1.0e2, big integers, double spaces, escapes).";
    OddFraming "odd_framing" "Legal but rare event framing: CRLF, comments, no space after the colon, data in several lines.";
    NoBlankEnd "no_blank_end" "The last event is not followed by a blank line.";
    ByteByByte "byte_by_byte" "Every byte is a write of its own.";
    CloseAfter "close_after" "A good answer, then the kept-alive connection is closed at once.";
    StaleConnection "stale_connection" "A good answer, then the connection dies when the next request comes in on it.";
    IgnoreMaxTokens "ignore_max_tokens" "A text answer half as long again as the request allowed (for limits up to 16384), and charged so.";
}

impl Fault {
    /// The fault of that name.
    pub fn by_name(name: &str) -> Option<Fault> {
        Fault::ALL.iter().copied().find(|fault| fault.name() == name)
    }
}
