//! Every fault of the simulator, in three dialects, plain and streamed, from a provider of the caller's dialect and from
//! one of the other: what the caller gets, how often each provider was asked, how long it took.

mod check;
mod table;

use std::{collections::BTreeMap, sync::Arc};

use harness::{
    Policy, Speech, World,
    caller::Ask,
    heavy,
    policy::{PATIENT, QUICK},
    stall,
    world::flagship,
};
use serde_json::{Value, json};
use sim::{Act, Config, Ended, Fault, Rule, Vendor};
use tokio::{sync::Semaphore, time::Instant};

use check::Wrong;
use table::{
    NO_ANSWER, Next,
    Want::{self, Cut, Endless},
    rejected, wanted,
};

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
