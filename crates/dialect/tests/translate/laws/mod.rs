//! Laws of any two formats: what both can say arrives whole, however it is cut, in the order that SDKs rely on, with every
//! count; and what cannot be carried is listed. Generators, writers and readers here share nothing with those they judge.

mod answers;
mod asked;
mod heard;
mod history;
mod lost;
mod order;
mod published;
mod read;
mod refused;
mod requests;
mod said;
mod schemas;
mod streams;

use dialect::{Context, Dialect, MODELS, TargetModel, Translated};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{cases::Arrow, pairs, plain_request, target, translate};

fn any_arrow() -> impl Strategy<Value = Arrow> {
    prop::sample::select(pairs())
}

/// One that refuses nothing, or one of the catalogue; perhaps one of short answers.
fn any_target() -> impl Strategy<Value = TargetModel<'static>> {
    let catalogued = prop::sample::select(MODELS).prop_map(|row| row.name);
    let most = prop::option::of(Just(5));
    (prop_oneof![Just("mock"), catalogued], most)
        .prop_map(|(name, most_tokens)| TargetModel { most_tokens, ..target(name) })
}

/// One that refuses nothing.
fn open() -> TargetModel<'static> {
    target("mock")
}

fn translated(caller: Dialect, provider: Dialect, body: &Value) -> Translated {
    translate(caller, provider, body, &open()).unwrap_or_else(|e| panic!("{e}: {body}"))
}

/// The way back of a plain request that asks for a stream, and for thoughts where they must be asked for.
fn context((caller, provider): Arrow) -> Context {
    let mut body = plain_request(caller);
    if caller == Dialect::Messages {
        body["thinking"] = json!({"type": "adaptive"});
    }
    translated(caller, provider, &body).context
}

const WORDS: [&str; 9] = ["a", "\u{e9}\u{1f600}", "\"\\", "\n\n", "data: x\n\n", " b", "[DONE]", "\r", "\u{2028}"];

/// A piece of text that is hard on framing or on JSON.
fn word() -> impl Strategy<Value = String> {
    prop::sample::select(&WORDS[..]).prop_map(str::to_owned)
}

/// The arguments of a call.
fn arguments() -> impl Strategy<Value = Value> {
    let one = prop_oneof![word().prop_map(Value::from), any::<i32>().prop_map(Value::from), Just(json!([{}, null]))];
    prop::collection::btree_map("[a-c]", one, 0..3).prop_map(|m| m.into_iter().collect::<Value>())
}
