//! Every fault of the simulator, in three dialects, plain and streamed, from a provider of the caller's dialect and from
//! one of the other: what the caller gets, how often each provider was asked, how long it took.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use harness::{
    Policy, Reply, Speech, World,
    caller::Ask,
    heavy,
    policy::{PATIENT, QUICK},
    speech::Heard,
    stall,
    world::{flagship, key_of},
};
use serde_json::{Value, json};
use sim::{Act, Config, Ended, Fault, Rule, Vendor};
use tokio::{sync::Semaphore, time::Instant};

/// What one fault leads to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Want {
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
struct Fails {
    /// The reason without the provider's name.
    cause: &'static str,
    /// Status when nothing is left, by the vendor that fails.
    status: (u16, u16),
    again: Again,
    next: Next,
    /// How long the failing target alone takes, in milliseconds.
    takes: u64,
}

/// Tries of the same target.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Again {
    /// As many as the tier allows.
    Yes,
    /// Only this one.
    No,
    /// So many in all when nobody else is left.
    IfLast(usize),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
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
const NO_ANSWER: Want = ours("invalid_answer", 502, Again::Yes, 0);
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

const fn rejected(status: u16) -> Want {
    fails("request_rejected", status, status, Again::No, Next::No, 0)
}

/// The table: a plain call, a stream.
fn wanted(fault: Fault) -> (Want, Want) {
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

/// One cell of the table.
#[derive(Clone, Copy, Debug)]
struct Cell {
    fault: Fault,
    speech: Speech,
    stream: bool,
    /// The failing provider speaks the other dialect.
    translated: bool,
    /// Nobody stands behind it.
    alone: bool,
}

const PROMPT: &str = "ping pong seventeen";
const SLACK: Duration = Duration::from_millis(1500);

impl Cell {
    fn vendor(self) -> Vendor {
        match (self.speech == Speech::Messages, self.translated) {
            (true, false) | (false, true) => Vendor::Anthropic,
            _ => Vendor::OpenAi,
        }
    }

    fn backup(self) -> Vendor {
        match self.vendor() {
            Vendor::OpenAi => Vendor::Anthropic,
            Vendor::Anthropic => Vendor::OpenAi,
        }
    }

    fn want(self) -> Want {
        let asks_chat = self.vendor() == Vendor::OpenAi && self.speech != Speech::Responses;
        let (plain, stream) = wanted(self.fault);
        match self.fault {
            // Without choices there is neither text nor a reason to have stopped; only a stream that we do not read
            // further than its terminator passes.
            Fault::EmptyChoices if asks_chat && (!self.stream || self.translated) => NO_ANSWER,
            // A stop that nobody explains is never dressed up: a translated stream, and a Responses stream without its
            // last event, end in an error.
            Fault::NoFinishReason if self.stream && (self.translated || self.speech == Speech::Responses) => Cut,
            // Usage is always asked of a Chat stream.
            Fault::NoStreamOptions if self.stream && asks_chat => rejected(400),
            _ if self.stream => stream,
            _ => plain,
        }
    }

    /// Faults of many megabytes, of a write a byte, or of the longest answers are given time.
    fn takes_time(self) -> bool {
        self.is_huge() || matches!(self.fault, Fault::ByteByByte | Fault::IgnoreMaxTokens)
    }

    /// Those of many megabytes get one try fewer.
    fn is_huge(self) -> bool {
        matches!(self.fault, Fault::HugeEvent | Fault::EndlessBody)
    }

    fn attempts(self) -> usize {
        if self.is_huge() { 2 } else { 3 }
    }

    /// Its preamble is fine, and is passed on when no other try is possible; what follows can only be told in the stream.
    fn begins_on_the_last_try(self) -> bool {
        self.stream && matches!(self.fault, Fault::MalformedFrame | Fault::ErrorFirst | Fault::HugeEvent)
    }

    fn moves_on(self, next: Next) -> bool {
        let larger = self.vendor() == Vendor::OpenAi && self.backup() == Vendor::Anthropic;
        !self.alone && (next == Next::Yes || (next == Next::Larger && larger))
    }

    fn policy(self, policy: Policy) -> Policy {
        let first = ("first", flagship(self.vendor()));
        let second = ("second", flagship(self.backup()));
        let targets: &[_] = if self.alone { &[first] } else { &[first, second] };
        let tier = if self.takes_time() {
            "{name: patient, timeouts: {firstByte: 20s, idle: 5s, total: 30s}, retries: {attempts: 2, base: 5ms, cap: 20ms}}"
        } else {
            QUICK
        };
        policy.scene("chat", targets).tier(tier).field(PATIENT)
    }

    /// The fault is in how tool calls are told.
    fn is_of_tools(self) -> bool {
        matches!(self.fault, Fault::InterleavedTools | Fault::ArgumentsInDone)
    }

    /// The fault is met by the next request on the same connection.
    fn is_of_the_next(self) -> bool {
        matches!(self.fault, Fault::CloseAfter | Fault::StaleConnection)
    }

    /// What the app asks: for two calls at once where the fault is in these.
    fn ask(self, world: &World) -> Ask<'_> {
        if !self.is_of_tools() {
            return world.app.say(self.speech, PROMPT, self.stream);
        }
        let mut body = self.speech.body("Use both tools", self.stream);
        body["tools"] = CALLS.iter().map(|(name, member, value)| tool(self.speech, name, member, value)).collect();
        let ask = world.app.post(self.speech.path(), body.to_string());
        if self.speech == Speech::Messages { ask.header("anthropic-version", "2023-06-01") } else { ask }
    }

    fn act(self) -> Act {
        Act {
            retry_after: matches!(self.fault, Fault::RateLimit | Fault::SlowDown).then(|| "1".to_owned()),
            ms: (self.fault == Fault::RateLimitMs).then_some(300),
            ..Act::fault(self.fault)
        }
    }

    /// Plays it and returns what is wrong.
    async fn play(self) -> Vec<String> {
        let world = World::builder()
            .provider("first", self.vendor(), Config::default())
            .provider("second", self.backup(), Config::default())
            .start(|p| self.policy(p))
            .await;
        world.script("first", vec![Rule::act(self.act())]);
        let mut wrong = Wrong(vec![]);
        if self.want() == Endless {
            self.endless(&world, &mut wrong).await;
            return wrong.0;
        }
        for _ in 0..if self.is_of_the_next() { 2 } else { 1 } {
            let before = Asked::of(&world);
            let began = Instant::now();
            let reply = self.ask(&world).send().await;
            self.check(&world, before, &reply, began.elapsed(), &mut wrong);
        }
        self.struck(&world, &mut wrong);
        wrong.0
    }

    /// The fault was there to be met.
    fn struck(self, world: &World, wrong: &mut Wrong) {
        let seen = world.seen("first");
        let struck: Vec<_> = seen.iter().map(|e| e.fault).collect();
        wrong
            .unless(&format!("the fault struck, not {struck:?}"), struck.iter().all(|f| *f == Some(self.fault.name())));
        if self.is_of_the_next() {
            wrong.unless("on two connections", seen.len() == 2 && seen[0].connection != seen[1].connection);
            // What dies when the next request comes in on it was used for that; what is closed at once was not.
            let unread = u64::from(self.fault == Fault::StaleConnection);
            wrong.same("requests on a dead connection", world.sim("first").unread(), unread);
        }
    }

    async fn endless(self, world: &World, wrong: &mut Wrong) {
        let mut stream = world.app.say(self.speech, PROMPT, true).open().await.expect("a head");
        wrong.same("http status", stream.status, 200);
        for _ in 0..500 {
            if stream.next().await.is_none() {
                wrong.0.push("the stream ended".to_owned());
                break;
            }
        }
        drop(stream);
        harness::eventually("the provider is left alone", || async {
            world.seen("first").iter().all(|e| e.ended == Some(Ended::ClientGone)).then_some(())
        })
        .await;
    }

    fn check(self, world: &World, before: Asked, reply: &Reply, took: Duration, wrong: &mut Wrong) {
        let Asked(first, second) = Asked::of(world);
        let asked = (first - before.0, second - before.1);
        let body = reply.text();
        wrong.unless("no key in the answer", !body.contains(&key_of("first")));
        wrong.unless("a trace id", is_trace_id(reply.header("x-llmroute-trace-id")));
        wrong.unless("a whole body", reply.whole);
        match self.want() {
            Fine => {
                wrong.same("tries", asked, (1, 0));
                self.answered(reply, "ok", "first", 1, wrong);
                wrong.same("reason", reply.header("x-llmroute-reason"), "");
                wrong.unless("quick", took < SLACK || self.takes_time());
            }
            Cut => {
                wrong.same("tries", asked, (1, 0));
                wrong.same("http status", reply.status, 200);
                wrong.same("status", reply.header("x-llmroute-status"), "ok");
                let heard = self.speech.listen(&reply.events());
                wrong.unless("the text so far", !heard.text.is_empty() && expected().starts_with(&heard.text));
                wrong.same("beginnings, ends, errors", (heard.beginnings, heard.ends, heard.errors.len()), (1, 0, 1));
                wrong.unless("quick", took < Duration::from_millis(700) + SLACK);
            }
            Want::Fails(fails) => self.failed(reply, fails, asked, took, wrong),
            Endless => {}
        }
    }

    fn failed(self, reply: &Reply, fails: Fails, asked: (usize, usize), took: Duration, wrong: &mut Wrong) {
        let cause = match (fails.cause, self.vendor()) {
            ("error_event", Vendor::OpenAi) => "server_error",
            ("error_event", Vendor::Anthropic) => "overloaded",
            (cause, _) => cause,
        };
        let moves = self.moves_on(fails.next);
        let tries = match (fails.again, moves) {
            (Again::Yes, true) => (self.attempts() - 1, 1),
            (Again::Yes, false) => (self.attempts(), 0),
            (Again::IfLast(tries), false) => (tries, 0),
            (_, true) => (1, 1),
            (Again::No, false) => (1, 0),
        };
        wrong.same("tries", asked, tries);
        let alone =
            Duration::from_millis(if moves && matches!(fails.again, Again::IfLast(_)) { 0 } else { fails.takes });
        let slack = if self.is_huge() { Duration::from_secs(30) } else { SLACK };
        wrong.unless(&format!("{alone:?} and little more, not {took:?}"), took >= alone && took < alone + slack);
        if moves {
            wrong.same("reason", reply.header("x-llmroute-reason"), format!("first_{cause}").as_str());
            self.answered(reply, "degraded", "second", tries.0 + tries.1, wrong);
            return;
        }
        if self.begins_on_the_last_try() {
            wrong.same("http status", reply.status, 200);
            let heard = self.speech.listen(&reply.events());
            wrong.same("text", heard.text.as_str(), "");
            wrong.same("beginnings, ends, errors", (heard.beginnings, heard.ends, heard.errors.len()), (1, 0, 1));
            return;
        }
        wrong.same("reason", reply.header("x-llmroute-reason"), format!("first_{cause}").as_str());
        let status = if self.vendor() == Vendor::OpenAi { fails.status.0 } else { fails.status.1 };
        wrong.among("http status", reply.status, &self.as_the_dialect_has_it(status));
        wrong.same("status", reply.header("x-llmroute-status"), "failed");
        wrong.same("attempts", reply.header("x-llmroute-attempts"), (tries.0 + tries.1).to_string().as_str());
        wrong.same("x-should-retry", reply.header("x-should-retry"), "false");
        wrong.unless("JSON", reply.header("content-type").starts_with("application/json"));
        wrong.unless("the dialect's error envelope", !self.speech.error(&reply.json()).is_null());
        let says_when = matches!(self.fault, Fault::RateLimit | Fault::SlowDown | Fault::RateLimitMs);
        wrong.same("retry-after", reply.header("retry-after"), if says_when { "1" } else { "" });
    }

    /// 529 is Anthropic's word for 503, 402 for OpenAI's 429 without quota. Where a provider uses the other's word towards
    /// its own dialect, both will do.
    fn as_the_dialect_has_it(self, status: u16) -> Vec<u16> {
        let own = if self.speech == Speech::Messages { 529 } else { 503 };
        match status {
            503 | 529 if self.translated => vec![own],
            503 | 529 => vec![own, status],
            402 if self.translated && self.speech != Speech::Messages => vec![429],
            other => vec![other],
        }
    }

    fn answered(self, reply: &Reply, status: &str, by: &str, attempts: usize, wrong: &mut Wrong) {
        wrong.same("http status", reply.status, 200);
        wrong.same("status", reply.header("x-llmroute-status"), status);
        wrong.same("provider", reply.header("x-llmroute-provider"), by);
        wrong.same("attempts", reply.header("x-llmroute-attempts"), attempts.to_string().as_str());
        let signals = if self.stream {
            let events = reply.events();
            let heard = self.speech.listen(&events);
            self.said(&heard.text, wrong);
            self.called_in_turns(&heard, wrong);
            self.ended_well(&heard, wrong);
            if status == "degraded" {
                let first = events.iter().find(|e| !e.data.is_empty()).map(std::slice::from_ref).unwrap_or_default();
                wrong.same("a signal in the first event", self.speech.listen(first).signals.len(), 1);
            }
            heard.signals
        } else {
            let json = reply.json();
            self.said(&self.speech.text(&json), wrong);
            self.called(self.speech.calls(&json), wrong);
            json.get("llmroute").cloned().into_iter().collect()
        };
        if status == "ok" {
            wrong.same("no signal in the body", signals.len(), 0);
            return;
        }
        let Some(signal) = signals.first() else {
            wrong.0.push("no signal in the body".to_owned());
            return;
        };
        for (member, header) in [
            ("status", "x-llmroute-status"),
            ("provider", "x-llmroute-provider"),
            ("model", "x-llmroute-model"),
            ("reason", "x-llmroute-reason"),
            ("trace_id", "x-llmroute-trace-id"),
        ] {
            wrong.same(member, signal[member].as_str().unwrap_or("missing"), reply.header(header));
        }
        wrong.same("attempts in the body", signal["attempts"].as_u64(), Some(attempts as u64));
        let cost = signals.last().is_some_and(|s| s["cost_usd"].is_string());
        wrong.unless("the cost", cost);
    }

    /// The calls arrive whole, and where the stream is passed on as it came, the fault with them.
    fn called_in_turns(self, heard: &Heard, wrong: &mut Wrong) {
        let calls = heard.calls.iter().map(|(name, arguments)| {
            (name.clone(), serde_json::from_str(arguments).unwrap_or_else(|_| Value::String(arguments.clone())))
        });
        self.called(calls.collect(), wrong);
        if self.translated || !self.is_of_tools() {
            return;
        }
        let in_turns = heard.fragments.len() > 2 && !heard.fragments.is_sorted();
        match (self.fault, self.speech) {
            (Fault::InterleavedTools, Speech::Chat) => wrong.unless("fragments come in turns", in_turns),
            (Fault::ArgumentsInDone, Speech::Responses) => wrong.unless("no fragments", heard.fragments.is_empty()),
            _ => wrong.unless("fragments, one call after the other", heard.fragments.len() > 2 && !in_turns),
        }
    }

    fn called(self, calls: Vec<(String, Value)>, wrong: &mut Wrong) {
        let want = CALLS.iter().map(|(name, member, value)| ((*name).to_owned(), json!({*member: value})));
        let want = if self.is_of_tools() { want.collect() } else { vec![] };
        wrong.same("calls", calls, want);
    }

    fn ended_well(self, heard: &Heard, wrong: &mut Wrong) {
        wrong.same("beginnings, ends, errors", (heard.beginnings, heard.ends, heard.errors.len()), self.shape());
    }

    fn shape(self) -> (usize, usize, usize) {
        let roleless = matches!(self.fault, Fault::EmptyChoices | Fault::NoRole);
        let no_role = roleless && self.speech == Speech::Chat && !self.translated;
        (usize::from(!no_role), 1, 0)
    }

    fn said(self, text: &str, wrong: &mut Wrong) {
        match self.fault {
            // What these say is theirs.
            _ if self.is_of_tools() => wrong.same("text", text, ""),
            Fault::EmptyChoices | Fault::Refusal | Fault::ContentFilter if self.want() == Fine => {}
            // It says what it would, and goes on past the limit where there is one.
            Fault::IgnoreMaxTokens => wrong.unless("more than is usual", text.starts_with(expected())),
            _ => wrong.same("text", text, expected()),
        }
    }
}

/// How often the two targets were asked.
struct Asked(usize, usize);

impl Asked {
    fn of(world: &World) -> Asked {
        Asked(world.seen("first").len(), world.seen("second").len())
    }
}

/// The calls that are made where the fault is in calls: a tool, its parameter, the only value that it takes.
const CALLS: [(&str, &str, &str); 2] =
    [("get_weather", "city", "Paris on the Seine"), ("get_time", "zone", "Europe slash Paris")];

fn tool(speech: Speech, name: &str, member: &str, value: &str) -> Value {
    let schema = json!({"type": "object", "properties": {member: {"const": value}}, "required": [member]});
    match speech {
        Speech::Chat => json!({"type": "function", "function": {"name": name, "parameters": schema}}),
        Speech::Responses => json!({"type": "function", "name": name, "parameters": schema}),
        Speech::Messages => json!({"name": name, "input_schema": schema}),
    }
}

/// What the simulator says to the prompt.
fn expected() -> &'static str {
    "You said: ping pong seventeen. and so the answer goes on word by word until it is long enough and so the answer goes"
}

fn is_trace_id(id: &str) -> bool {
    let parts: Vec<&str> = id.split('_').collect();
    matches!(parts.as_slice(), ["rt", date, hex] if date.len() == 8 && hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// What is wrong with one cell.
struct Wrong(Vec<String>);

impl Wrong {
    fn same<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, got: T, want: T) {
        if got != want {
            self.0.push(format!("{what}: got {got:?}, want {want:?}"));
        }
    }

    fn among<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, got: T, want: &[T]) {
        if !want.contains(&got) {
            self.0.push(format!("{what}: got {got:?}, want one of {want:?}"));
        }
    }

    fn unless(&mut self, what: &str, holds: bool) {
        if !holds {
            self.0.push(format!("not so: {what}"));
        }
    }
}

fn cells() -> Vec<Cell> {
    let only = std::env::var("LLMROUTE_FAULT").ok();
    let mut cells = vec![];
    for fault in Fault::ALL.iter().copied().filter(|f| only.as_ref().is_none_or(|only| only == f.name())) {
        for speech in Speech::ALL {
            for bits in 0..8 {
                let (stream, translated, alone) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
                cells.push(Cell { fault, speech, stream, translated, alone });
            }
        }
    }
    cells
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_in_every_dialect_and_direction() {
    let _turn = heavy::turn().await;
    let room = Arc::new(Semaphore::new(16));
    let mut playing = tokio::task::JoinSet::new();
    for cell in cells() {
        let room = room.clone();
        playing.spawn(async move {
            // What is huge plays alone.
            let seats = if cell.is_huge() { 16 } else { 1 };
            let _seats = room.acquire_many(seats).await;
            (cell, stall::fairly(|| cell.play()).await)
        });
    }
    let mut wrong = BTreeMap::new();
    while let Some(played) = playing.join_next().await {
        let (cell, complaints) = played.expect("a cell that does not panic");
        if !complaints.is_empty() {
            wrong.insert(format!("{:20} {:?}", cell.fault.name(), cell), complaints);
        }
    }
    assert!(wrong.is_empty(), "{} cells are wrong:\n{wrong:#?}", wrong.len());
}
