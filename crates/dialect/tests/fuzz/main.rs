//! Every parser of foreign bytes, fed with mutations of real inputs: no panic, a few laws, and at least half of the
//! inputs past the first stage of parsing. `LLMROUTE_FUZZ` sets the number of inputs for each parser.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "helpers of tests")]

mod arrows;
mod bodies;
mod fixtures;
mod mutate;
#[path = "../translate/order/mod.rs"]
mod order;
mod streams;

use bytes::Bytes;
use dialect::{Context, Dialect, Signal, TargetModel, capability, read_head, translate_request};
use mutate::run;
use serde_json::{Value, json};

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

/// One test for each arrow that `judge` goes: from a caller's dialect to a provider's.
macro_rules! for_each_arrow {
    ($judge:ident: $($name:ident $caller:ident $provider:ident),+) => {
        $(#[test]
        fn $name() {
            $judge(stringify!($name), dialect::Dialect::$caller, dialect::Dialect::$provider);
        })+
    };
}
use for_each_arrow;

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

/// Ways back: of a request that takes all there is (counts, thoughts, tools of every kind, a long name), and of one whose
/// schema a tool stands in for.
fn contexts(caller: Dialect, provider: Dialect) -> Vec<Context> {
    let long = "n".repeat(70);
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let turns = json!([{"role": "user", "content": "hi"}]);
    let (mut body, path) = match caller {
        Dialect::Chat => (
            json!({"messages": turns, "stream_options": {"include_usage": true},
                "tools": [{"type": "function", "function": {"name": long}}]}),
            "response_format",
        ),
        Dialect::Responses => (
            json!({"input": "hi", "tools": [{"type": "custom", "name": "f"}, {"type": "function", "name": long},
                {"type": "namespace", "name": "space", "description": "", "tools": [{"type": "function", "name": "g"}]}]}),
            "text",
        ),
        Dialect::Messages => (
            json!({"messages": turns, "max_tokens": 9000, "thinking": {"type": "adaptive"},
                "tools": [{"name": long, "input_schema": schema}]}),
            "output_config",
        ),
    };
    let way = |body: &Value, model| {
        let body = Bytes::from(body.to_string());
        let head = read_head(caller, &body).unwrap();
        translate_request(caller, provider, &body, &head, &target(model)).unwrap().context
    };
    let plain = way(&body, "m");
    let format = json!({"type": "json_schema", "name": "n", "schema": schema});
    body[path] = match caller {
        Dialect::Chat => json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}),
        Dialect::Responses | Dialect::Messages => json!({"format": format}),
    };
    vec![plain, way(&body, "claude-3-haiku")]
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
