//! Every parser of foreign bytes, fed with mutations of real inputs: no panic, a few laws, and at least half of the
//! inputs past the first stage of parsing. `LLMROUTE_FUZZ` sets the number of inputs for each parser.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "helpers of tests")]

mod bodies;
mod fixtures;
mod mutate;
#[path = "../translate/order/mod.rs"]
mod order;
mod streams;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use dialect::{Context, Dialect, Signal, TargetModel, capability, translate_request};
use mutate::Mutator;

/// Few enough for every save; `make fuzz` asks for a million.
const FEW: u64 = 500;

/// Runs `judge` over mutations of `seeds`; it tells whether an input came past the first stage.
fn run(parser: &str, seeds: &[&str], mut judge: impl FnMut(&[u8], &mut Mutator) -> bool) {
    let count = std::env::var("LLMROUTE_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(FEW);
    let mut mutator = Mutator::new(parser);
    let mut past = 0u64;
    for i in 0..count {
        let input = mutator.input(seeds);
        match catch_unwind(AssertUnwindSafe(|| judge(&input, &mut mutator))) {
            Ok(is_past) => past += u64::from(is_past),
            Err(panic) => {
                eprintln!("{parser}, input {i}: {}", String::from_utf8_lossy(&input).escape_debug());
                resume_unwind(panic);
            }
        }
    }
    println!("{parser}: {count} inputs, {past} past the first stage");
    assert!(past * 2 >= count, "{parser}: only {past} of {count} past the first stage");
}

/// One test for each dialect that `judge` reads.
macro_rules! for_each_dialect {
    ($judge:ident: $($name:ident $dialect:ident),+) => {
        $(#[test]
        fn $name() {
            $judge(stringify!($name), dialect::Dialect::$dialect);
        })+
    };
}
use for_each_dialect;

const SIGNAL: Signal<'static> = Signal {
    status: "degraded",
    provider: "p",
    model: "m",
    reason: None,
    trace_id: "rt_1",
    attempts: 2,
    requested_model: Some("x"),
    cost_usd: None,
};

/// The other sides of a translation.
fn others(dialect: Dialect) -> [Dialect; 2] {
    match dialect {
        Dialect::Chat => [Dialect::Responses, Dialect::Messages],
        Dialect::Responses => [Dialect::Chat, Dialect::Messages],
        Dialect::Messages => [Dialect::Chat, Dialect::Responses],
    }
}

/// The way back of a plain request that takes all there is: counts, thoughts, a tool for free text.
fn context(caller: Dialect, provider: Dialect) -> Context {
    let body: &[u8] = match caller {
        Dialect::Chat => br#"{"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}]}"#,
        Dialect::Responses => br#"{"input":"hi","tools":[{"type":"custom","name":"f"}]}"#,
        Dialect::Messages => {
            br#"{"max_tokens":9000,"thinking":{"type":"adaptive"},"messages":[{"role":"user","content":"hi"}]}"#
        }
    };
    translate_request(caller, provider, body, &target("m")).unwrap().context
}

fn target(model: &str) -> TargetModel<'_> {
    TargetModel {
        provider: "p",
        model,
        default_max_tokens: None,
        most_tokens: None,
        capability: capability(model),
        now: 1,
    }
}
