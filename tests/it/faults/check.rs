//! What is wrong with the answer that a cell got.

use std::time::Duration;

use harness::{Reply, Speech, World, speech::Heard, world::key_of};
use serde_json::{Value, json};
use sim::{Fault, Vendor};

use super::{
    Asked, CALLS, Cell,
    table::{
        Again, Fails,
        Want::{self, Cut, Endless, Fine},
    },
};

const SLACK: Duration = Duration::from_millis(1500);

impl Cell {
    pub fn check(self, world: &World, before: Asked, reply: &Reply, took: Duration, wrong: &mut Wrong) {
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

/// What the simulator says to the prompt.
fn expected() -> &'static str {
    "You said: ping pong seventeen. and so the answer goes on word by word until it is long enough and so the answer goes"
}

fn is_trace_id(id: &str) -> bool {
    let parts: Vec<&str> = id.split('_').collect();
    matches!(parts.as_slice(), ["rt", date, hex] if date.len() == 8 && hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// What is wrong with one cell.
pub struct Wrong(pub Vec<String>);

impl Wrong {
    pub fn same<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, got: T, want: T) {
        if got != want {
            self.0.push(format!("{what}: got {got:?}, want {want:?}"));
        }
    }

    pub fn among<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, got: T, want: &[T]) {
        if !want.contains(&got) {
            self.0.push(format!("{what}: got {got:?}, want one of {want:?}"));
        }
    }

    pub fn unless(&mut self, what: &str, holds: bool) {
        if !holds {
            self.0.push(format!("not so: {what}"));
        }
    }
}
