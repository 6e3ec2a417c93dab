//! Prompt caching by `cache_control` breakpoints.

use serde_json::Value;

use super::read;
use crate::answer::Ctx;
use crate::ask::Ask;
use crate::memory::Prefix;

/// The shortest prompt that is cached, in tokens.
const FROM: u64 = 1024;

/// A place up to which the prompt is kept warm.
struct Breakpoint {
    key: u64,
    tokens: u64,
    long: bool,
}

/// How many blocks have `cache_control`.
pub(crate) fn breakpoints(body: &Value) -> usize {
    parts(body).filter(|part| !part["cache_control"].is_null()).count() + usize::from(!body["cache_control"].is_null())
}

/// Everything in the order in which it is cached: tools, system, messages.
fn parts(body: &Value) -> impl Iterator<Item = &Value> {
    let list = |value: &'static str| body[value].as_array().into_iter().flatten();
    let nested = |block: &'_ Value| block["type"] == "tool_result";
    let turns = list("messages").flat_map(move |turn| match &turn["content"] {
        Value::Array(blocks) => blocks
            .iter()
            .flat_map(move |block| {
                let inner = block["content"].as_array().filter(|_| nested(block)).into_iter().flatten();
                std::iter::once(block).chain(inner.filter(|part| !part["cache_control"].is_null()))
            })
            .collect::<Vec<_>>(),
        text => vec![text],
    });
    let system = body["system"].as_str().map(|_| &body["system"]).into_iter();
    list("tools").chain(system).chain(list("system")).chain(turns)
}

/// Tells what of the prompt is read from the cache and what is written to it.
pub(crate) fn warm(body: &Value, ask: &mut Ask, ctx: &Ctx<'_>) {
    let mut prefix = Prefix::default();
    prefix.add(ask.model.id);
    let mut tokens = 0;
    let mut found = Vec::new();
    let all: Vec<&Value> = parts(body).collect();
    for (i, part) in all.iter().enumerate() {
        tokens += read::part_tokens(part);
        let mut plain = (*part).clone();
        let control = plain.as_object_mut().and_then(|map| map.remove("cache_control"));
        prefix.add(&plain.to_string());
        let automatic = (i + 1 == all.len()).then(|| &body["cache_control"]).filter(|control| !control.is_null());
        if let Some(control) = control.as_ref().or(automatic) {
            found.push(Breakpoint { key: prefix.key(), tokens, long: control["ttl"] == "1h" });
        }
    }
    let Some(last) = found.last().filter(|last| last.tokens >= FROM) else { return };
    let cached = found.iter().rev().find(|at| ctx.memory.is_warm(at.key, ctx.now)).map_or(0, |at| at.tokens);
    ask.input.cached = cached.min(ask.input.total);
    let written = last.tokens.min(ask.input.total) - ask.input.cached;
    match last.long {
        true => ask.input.write_long = written,
        false => ask.input.write = written,
    }
    for at in &found {
        ctx.memory.warm(at.key, ctx.now + if at.long { 3600 } else { 300 });
    }
}
