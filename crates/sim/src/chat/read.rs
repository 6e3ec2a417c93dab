//! A checked Chat Completions request as the model sees it.

use serde_json::{Value, json};

use crate::answer::Ctx;
use crate::ask::{Ask, Choice, Format, Thinking, Tier, Tool};
use crate::catalog::Model;
use crate::check::Checked;
use crate::image;
use crate::memory::Prefix;
use crate::refusal::Refusal;
use crate::tokens;

/// The shortest prompt that OpenAI caches, in tokens.
pub(crate) const CACHE_FROM: u64 = 1024;
/// How long it stays warm, in seconds.
pub(crate) const CACHE_FOR: u64 = 1800;

pub(crate) fn ask(body: &Value, model: &'static Model) -> Checked<Ask> {
    let mut ask = Ask::new(model, body["model"].as_str().unwrap_or(model.id));
    let turns = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    ask.stream = body["stream"] == true;
    ask.n = body["n"].as_u64().unwrap_or(1) as usize;
    ask.max_tokens = body["max_completion_tokens"].as_u64().or(body["max_tokens"].as_u64());
    ask.stop = match &body["stop"] {
        Value::String(one) => vec![one.clone()],
        Value::Array(all) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    ask.parallel = body["parallel_tool_calls"] != false;
    ask.tier = Tier::from_openai(body["service_tier"].as_str());
    ask.thinking = effort_words(body["reasoning_effort"].as_str()).map(|words| Thinking { words, shown: false });
    ask.format = match body["response_format"]["type"].as_str() {
        Some("json_schema") => Format::Schema(body["response_format"]["json_schema"]["schema"].clone()),
        Some("json_object") => Format::AnyObject,
        _ => Format::Text,
    };
    ask.tools = body["tools"].as_array().into_iter().flatten().filter_map(tool).collect();
    ask.choice = choice(&body["tool_choice"]);
    ask.prompt = turns.iter().rfind(|t| t["role"] == "user").map(|t| text(&t["content"])).unwrap_or_default();
    let results = turns.iter().rev().take_while(|t| t["role"] == "tool").count();
    ask.results = turns[turns.len() - results..].iter().map(|t| text(&t["content"])).collect();
    ask.input.total = 3 + tools_tokens(body) + turns.iter().map(tokens_of).sum::<u64>();
    ask.input.images = turns.iter().flat_map(parts).map(image_tokens).sum();
    ask.images = turns.iter().flat_map(parts).filter(|p| p["type"] == "image_url").count() as u64;
    if ask.input.total > model.context {
        return Err(Refusal::invalid(format!(
            "This model's maximum context length is {} tokens. However, your messages resulted in {} tokens. Please \
             reduce the length of the messages.",
            model.context, ask.input.total
        ))
        .param("messages")
        .code("context_length_exceeded"));
    }
    let room = model.context - ask.input.total;
    ask.max_tokens = Some(ask.max_tokens.unwrap_or(model.max_output).min(room));
    Ok(ask)
}

/// Everything but the last message is cached when it is long enough.
pub(crate) fn warm(body: &Value, ask: &mut Ask, ctx: &Ctx<'_>) {
    let Some((_, before)) = body["messages"].as_array().and_then(|turns| turns.split_last()) else { return };
    let tokens = tools_tokens(body) + before.iter().map(tokens_of).sum::<u64>();
    if tokens < CACHE_FROM {
        return;
    }
    let mut prefix = Prefix::default();
    prefix.add(ask.model.id);
    prefix.add(&body["tools"].to_string());
    before.iter().for_each(|turn| prefix.add(&turn.to_string()));
    match ctx.memory.is_warm(prefix.key(), ctx.now) {
        true => ask.input.cached = tokens,
        false => ask.input.write = tokens,
    }
    ctx.memory.warm(prefix.key(), ctx.now + CACHE_FOR);
}

/// How many words of reasoning an effort is.
pub(crate) fn effort_words(effort: Option<&str>) -> Option<usize> {
    match effort? {
        "none" => None,
        "minimal" => Some(8),
        "low" => Some(12),
        "medium" => Some(24),
        "high" => Some(48),
        _ => Some(96),
    }
}

fn tool(tool: &Value) -> Option<Tool> {
    let function = &tool["function"];
    let name = function["name"].as_str()?.to_owned();
    let schema = function.get("parameters").cloned().unwrap_or_else(|| json!({"type": "object"}));
    Some(Tool { name, schema, custom: false, namespace: None })
}

fn choice(choice: &Value) -> Choice {
    match choice {
        Value::String(word) if word == "none" => Choice::None,
        Value::String(word) if word == "required" => Choice::Required,
        Value::Object(_) => match choice["function"]["name"].as_str() {
            Some(name) => Choice::Named(name.to_owned()),
            None if choice["allowed_tools"]["mode"] == "required" => Choice::Required,
            None => Choice::Auto,
        },
        _ => Choice::Auto,
    }
}

fn parts(turn: &Value) -> impl Iterator<Item = &Value> {
    turn["content"].as_array().into_iter().flatten()
}

/// The text of a string or of text parts.
pub(crate) fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|p| p["text"].as_str()).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

fn tokens_of(turn: &Value) -> u64 {
    let calls = turn["tool_calls"].as_array().into_iter().flatten();
    let calls: u64 = calls
        .flat_map(|call| [&call["function"]["name"], &call["function"]["arguments"]])
        .filter_map(Value::as_str)
        .map(tokens::count)
        .sum();
    let pictures: u64 = parts(turn).map(image_tokens).sum();
    4 + calls + pictures + tokens::count(&text(&turn["content"]))
}

fn image_tokens(part: &Value) -> u64 {
    match part["image_url"]["url"].as_str() {
        Some(url) => image::openai_tokens(url, part["image_url"]["detail"].as_str()),
        None => 0,
    }
}

/// What the vendor adds to a prompt with tools, and around each of them, in tokens. It does not say how much; this is of
/// the size that callers see.
const TOOL_PROMPT: u64 = 20;
const TOOL_FRAME: u64 = 10;

/// The definitions, and what the vendor adds to them.
pub(crate) fn tools_tokens(body: &Value) -> u64 {
    match &body["tools"] {
        Value::Array(tools) if tools.is_empty() => 0,
        Value::Array(tools) => {
            TOOL_PROMPT + TOOL_FRAME * tools.len() as u64 + tokens::count(&body["tools"].to_string())
        }
        _ => 0,
    }
}
