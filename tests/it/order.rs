//! Every stream that an app gets is in the order that its SDK relies on, whoever answers and however that goes: the checks
//! are those of the translator's laws, and share nothing with what writes the events.

use dialect::Dialect;
use harness::{
    Reply, Speech, World,
    policy::{PATIENT, QUICK},
};
use hyper::StatusCode;
use serde_json::{Value, json};
use sim::{Act, Dark, Fault, Rule};

#[path = "../../crates/dialect/tests/translate/order/mod.rs"]
mod checks;

/// What providers do that is told on as a whole answer.
const WHOLE: [Option<Fault>; 13] = [
    None,
    Some(Fault::InterleavedTools),
    Some(Fault::ArgumentsInDone),
    Some(Fault::EmptyToolCalls),
    Some(Fault::NoRole),
    Some(Fault::UsageWithChoices),
    Some(Fault::NoUsage),
    Some(Fault::LeanDelta),
    Some(Fault::Refusal),
    Some(Fault::ContentFilter),
    Some(Fault::WindowFull),
    Some(Fault::OddFraming),
    Some(Fault::ByteByByte),
];

/// What breaks an answer that has begun.
const BROKEN: [Fault; 6] = [
    Fault::ErrorLater,
    Fault::FailedEvent,
    Fault::CutStream,
    Fault::ResetStream,
    Fault::UnterminatedStream,
    Fault::NoFinishReason,
];

/// A provider as its scene, its API in the policy and the model there.
const TARGETS: [(&str, &str, Speech); 3] = [
    ("local", "gpt-6-sol", Speech::Chat),
    ("openai", "gpt-6-sol", Speech::Responses),
    ("claude", "claude-opus-4-8", Speech::Messages),
];

async fn world() -> World {
    let world = World::builder().openai("local").openai("openai").claude("claude").openai("dark");
    let policy = world.policy(|mut p| {
        for (name, model, _) in TARGETS {
            p = p.scene(name, &[(name, model)]);
            p = p.scene(&format!("then-{name}"), &[("dark", "gpt-6-sol"), (name, model)]);
        }
        p.tier(QUICK).field(PATIENT)
    });
    // It has Chat Completions alone.
    let yaml = policy.yaml().replacen("name: local, api: OpenAI", "name: local, api: ChatCompletions", 1);
    let world = world.start_with(&yaml).await;
    world.sim("dark").dark(None, Dark::Refuses);
    world
}

/// Requests of an app, each with what it asks for.
fn bodies(speech: Speech) -> Vec<(&'static str, Value)> {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": false});
    let tools = ["get_weather", "get_time"].map(|name| match speech {
        Speech::Chat => {
            json!({"type": "function", "function": {"name": name, "parameters": schema, "strict": true}})
        }
        Speech::Responses => json!({"type": "function", "name": name, "parameters": schema, "strict": true}),
        Speech::Messages => json!({"name": name, "input_schema": schema}),
    });
    let mut calls = speech.body("Use both tools", true);
    calls["tools"] = json!(tools);
    let mut thinks = speech.body("ping pong", true);
    match speech {
        Speech::Chat => {
            thinks["reasoning_effort"] = "low".into();
            thinks["stream_options"] = json!({"include_usage": true});
        }
        Speech::Responses => thinks["reasoning"] = json!({"effort": "low", "summary": "auto"}),
        Speech::Messages => thinks["thinking"] = json!({"type": "adaptive"}),
    }
    vec![("text", speech.body("ping pong", true)), ("tools", calls), ("thoughts", thinks)]
}

/// Whether the stream is over, in the order of its dialect.
#[track_caller]
fn is_over(speech: Speech, body: &Value, reply: &Reply, what: &str) -> bool {
    let dialect = match speech {
        Speech::Chat => Dialect::Chat,
        Speech::Responses => Dialect::Responses,
        Speech::Messages => Dialect::Messages,
    };
    let told = reply.events().into_iter().filter(|e| !e.data.is_empty());
    let mut events: Vec<Value> =
        told.map(|e| serde_json::from_str(&e.data).unwrap_or_else(|_| e.data.clone().into())).collect();
    let counted = body["stream_options"]["include_usage"] == true;
    if speech == Speech::Chat && !counted {
        // The provider is always asked for its counts: chunks of its own say `null` until the last, which is kept back.
        let nothing = |e: &&mut Value| e.get("usage").is_some_and(Value::is_null);
        events.iter_mut().filter(nothing).filter_map(Value::as_object_mut).for_each(|e| _ = e.remove("usage"));
    }
    checks::of(dialect, &events, counted).unwrap_or_else(|why| panic!("{what}: {why}\n{}", reply.text()))
}

/// All that a world of one caller's dialect can do.
async fn each(speech: Speech) {
    let world = world().await;
    let mut checked = 0;
    let faults = WHOLE.into_iter().chain(BROKEN.map(Some));
    for (fault, (name, _, spoken)) in faults.flat_map(|fault| TARGETS.map(|target| (fault, target))) {
        let is_broken = fault.is_some_and(|f| BROKEN.contains(&f));
        // What comes in the app's own format is the provider's, byte for byte, odd or not; an end is always ours.
        let is_same = if name == "openai" { speech != Speech::Messages } else { speech == spoken };
        if is_same && fault.is_some_and(|f| !is_broken || f == Fault::NoFinishReason) {
            continue;
        }
        world.script(name, vec![Rule::act(Act { after: Some(1), ..fault.map_or_else(Act::default, Act::fault) })]);
        for (asked, body) in bodies(speech) {
            for scene in [name.to_owned(), format!("then-{name}")] {
                let what = format!("{speech:?} in {scene}, {asked}, {fault:?}");
                let ask = world.app.post(speech.path(), body.to_string()).header("x-llmroute-scene", &scene);
                let ask = if speech == Speech::Messages { ask.header("anthropic-version", "2023-06-01") } else { ask };
                let reply = ask.send().await;
                if is_broken && reply.status != 200 {
                    // It broke before there was any content: nothing has begun, and a status says so.
                    continue;
                }
                let reply = reply.expect(StatusCode::OK);
                assert!(is_over(speech, &body, &reply, &what), "{what} has no end: {}", reply.text());
                checked += 1;
            }
        }
    }
    println!("{speech:?}: {checked} streams");
    assert!(checked > 150, "{checked}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_stream_for_chat_is_in_order() {
    each(Speech::Chat).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_stream_for_responses_is_in_order() {
    each(Speech::Responses).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_stream_for_messages_is_in_order() {
    each(Speech::Messages).await;
}
