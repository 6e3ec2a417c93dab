//! Budgets over real sockets: what the providers billed is the judge.

mod by_id;
mod cache;
mod cap;
mod ladder;
mod leaks;
mod overrun;
mod rates;
mod seen;
mod unpriced;

use std::time::Duration;

use harness::{Caller, Speech, caller::Ask};
use serde_json::{Value, json};

/// A breaker that stays out of the way, and a tier with time enough on a loaded machine.
pub const CALM: &str = "{name: calm, timeouts: {connect: 5s, tls: 5s, firstByte: 10s, idle: 10s, total: 30s}, \
    retries: {attempts: 3, base: 5ms, cap: 20ms}}";

/// A prompt that names its tenant, so that the provider's log tells whose request it was.
pub fn prompt(tenant: &str) -> String {
    format!("for {tenant}: go on")
}

/// Whose request a body is that has such a prompt.
pub fn tenant_of(body: &str) -> Option<&str> {
    let end = body.find(": go on")?;
    body[..end].rsplit_once("for ").map(|(_, tenant)| tenant)
}

/// A request whose answer is at most `limit` tokens.
pub fn body(speech: Speech, prompt: &str, stream: bool, limit: u64) -> Value {
    let mut body = speech.body(prompt, stream);
    body[limit_of(speech)] = limit.into();
    body
}

/// Where a dialect says the output limit.
pub fn limit_of(speech: Speech) -> &'static str {
    match speech {
        Speech::Chat => "max_completion_tokens",
        Speech::Responses => "max_output_tokens",
        Speech::Messages => "max_tokens",
    }
}

/// A body on its way.
pub fn send<'c>(app: &'c Caller, speech: Speech, body: &Value) -> Ask<'c> {
    let ask = app.post(speech.path(), body.to_string());
    if speech == Speech::Messages { ask.header("anthropic-version", "2023-06-01") } else { ask }
}

/// What the sidecar would hold for a request at its first candidate, in nano-dollars.
pub async fn worst(admin: &Caller, speech: Speech, scene: &str, body: &Value) -> u64 {
    let path = format!("/explain?path={}", speech.path());
    let mut ask = admin.post(&path, body.to_string()).header("x-llmroute-scene", scene);
    if speech == Speech::Messages {
        ask = ask.header("anthropic-version", "2023-06-01");
    }
    let told = ask.send().await.expect(hyper::StatusCode::OK).json();
    harness::bills::nano(told["candidates"][0]["worst_cost_usd"].as_str().unwrap_or_else(|| panic!("{told}")))
}

/// A long conversation: a system text, the first question, and `turns` further exchanges.
pub fn conversation(speech: Speech, tenant: &str, turns: usize, stream: bool, limit: u64) -> Value {
    let said = |role: &str, text: String| json!({"role": role, "content": text});
    let mut list = vec![said("user", prompt(tenant))];
    for turn in 0..turns {
        list.push(said("assistant", format!("answer number {turn} of a talk that has gone on for a while")));
        list.push(said("user", format!("question number {turn} of a talk that has gone on for a while")));
    }
    let mut out = body(speech, "", stream, limit);
    match speech {
        Speech::Chat => {
            list.insert(0, said("system", "be brief".to_owned()));
            out["messages"] = list.into();
        }
        Speech::Responses => {
            out["instructions"] = "be brief".into();
            out["input"] = list.into();
        }
        Speech::Messages => {
            out["system"] = "be brief".into();
            out["messages"] = list.into();
        }
    }
    out
}

/// A window of time must pass.
pub async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}
