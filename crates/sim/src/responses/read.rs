//! A checked Responses request as the model sees it.

use serde_json::{Value, json};

use crate::answer::Ctx;
use crate::ask::{Ask, Choice, Format, Thinking, Tier, Tool};
use crate::catalog::Model;
use crate::chat::{CACHE_FOR, CACHE_FROM, effort_words, text, tools_tokens};
use crate::check::Checked;
use crate::image;
use crate::memory::{Memory, Prefix};
use crate::refusal::Refusal;
use crate::tokens;

/// The whole conversation: what was stored, then the input.
pub(crate) fn items(body: &Value, memory: &Memory) -> Checked<Vec<Value>> {
    let mut items = match body["previous_response_id"].as_str() {
        None => Vec::new(),
        Some(id) => match memory.stored(id) {
            Some(stored) => stored.items,
            None => {
                return Err(Refusal::invalid(format!("Previous response with id '{id}' not found."))
                    .param("previous_response_id")
                    .code("previous_response_not_found"));
            }
        },
    };
    match &body["input"] {
        Value::String(text) => items.push(json!({"type": "message", "role": "user", "content": text})),
        Value::Array(more) => {
            for item in more {
                items.push(if item["type"] == "item_reference" { referred(item, memory)? } else { item.clone() });
            }
        }
        _ => {}
    }
    Ok(items)
}

/// The item that a reference names.
fn referred(reference: &Value, memory: &Memory) -> Checked<Value> {
    let id = reference["id"].as_str().unwrap_or_default();
    memory.item(id).ok_or_else(|| {
        Refusal::new(404, "invalid_request_error", format!("Item with id '{id}' not found.")).param("input")
    })
}

pub(crate) fn ask(body: &Value, items: &[Value], model: &'static Model) -> Checked<Ask> {
    let mut ask = Ask::new(model, body["model"].as_str().unwrap_or(model.id));
    ask.stream = body["stream"] == true;
    ask.parallel = body["parallel_tool_calls"] != false;
    ask.tier = Tier::from_openai(body["service_tier"].as_str());
    ask.thinking = effort_words(body["reasoning"]["effort"].as_str())
        .map(|words| Thinking { words, shown: body["reasoning"]["summary"].is_string() });
    ask.format = match body["text"]["format"]["type"].as_str() {
        Some("json_schema") => Format::Schema(body["text"]["format"]["schema"].clone()),
        Some("json_object") => Format::AnyObject,
        _ => Format::Text,
    };
    ask.tools = tools(body, items);
    ask.choice = choice(&body["tool_choice"]);
    ask.prompt = items.iter().rfind(|i| i["role"] == "user").map(|i| text(&i["content"])).unwrap_or_default();
    let results = items.iter().rev().take_while(|i| is_output(i)).count();
    ask.results = items[items.len() - results..].iter().map(|i| text(&i["output"])).collect();
    ask.input.total = input_tokens(body, items);
    ask.input.images = items.iter().flat_map(parts).map(image_tokens).sum();
    ask.images = items.iter().flat_map(parts).filter(|p| p["type"] == "input_image").count() as u64;
    if ask.input.total > model.context {
        return Err(Refusal::invalid(
            "Your input exceeds the context window of this model. Please adjust your input and try again.",
        )
        .param("input")
        .code("context_length_exceeded"));
    }
    let room = model.context - ask.input.total;
    ask.max_tokens = Some(body["max_output_tokens"].as_u64().unwrap_or(model.max_output).min(room));
    Ok(ask)
}

/// All tokens of the prompt.
pub(crate) fn input_tokens(body: &Value, items: &[Value]) -> u64 {
    let instructions = body["instructions"].as_str().map_or(0, |text| 4 + tokens::count(text));
    3 + instructions + tools_tokens(body) + items.iter().map(tokens_of).sum::<u64>()
}

/// Everything but the last item is cached when it is long enough.
pub(crate) fn warm(body: &Value, items: &[Value], ask: &mut Ask, ctx: &Ctx<'_>) {
    let Some((_, before)) = items.split_last() else { return };
    let instructions = body["instructions"].as_str().unwrap_or_default();
    let tokens = tokens::count(instructions) + tools_tokens(body) + before.iter().map(tokens_of).sum::<u64>();
    if tokens < CACHE_FROM {
        return;
    }
    let mut prefix = Prefix::default();
    prefix.add(ask.model.id);
    prefix.add(instructions);
    prefix.add(&body["tools"].to_string());
    before.iter().for_each(|item| prefix.add(&item.to_string()));
    match ctx.memory.is_warm(prefix.key(), ctx.now) {
        true => ask.input.cached = tokens,
        false => ask.input.write = tokens,
    }
    ctx.memory.warm(prefix.key(), ctx.now + CACHE_FOR);
}

fn is_output(item: &Value) -> bool {
    item["type"] == "function_call_output" || item["type"] == "custom_tool_call_output"
}

/// The tools that the caller runs: of the request and of `additional_tools` items, in namespaces or not.
fn tools(body: &Value, items: &[Value]) -> Vec<Tool> {
    let added = items.iter().filter(|item| item["type"] == "additional_tools").map(|item| &item["tools"]);
    let all = std::iter::once(&body["tools"]).chain(added).filter_map(Value::as_array).flatten();
    let mut out = Vec::new();
    for one in all {
        match one["type"] == "namespace" {
            false => out.extend(tool(one, None)),
            true => {
                let inner = one["tools"].as_array().into_iter().flatten();
                out.extend(inner.filter_map(|t| tool(t, one["name"].as_str())));
            }
        }
    }
    out
}

fn tool(tool: &Value, namespace: Option<&str>) -> Option<Tool> {
    let custom = tool["type"] == "custom";
    if !custom && tool["type"] != "function" {
        return None;
    }
    let schema = tool.get("parameters").cloned().unwrap_or_else(|| json!({"type": "object"}));
    Some(Tool { name: tool["name"].as_str()?.to_owned(), schema, custom, namespace: namespace.map(str::to_owned) })
}

fn choice(choice: &Value) -> Choice {
    match choice {
        Value::String(word) if word == "none" => Choice::None,
        Value::String(word) if word == "required" => Choice::Required,
        Value::Object(_) => match choice["name"].as_str() {
            Some(name) => Choice::Named(name.to_owned()),
            None if choice["mode"] == "required" => Choice::Required,
            None => Choice::Auto,
        },
        _ => Choice::Auto,
    }
}

fn parts(item: &Value) -> impl Iterator<Item = &Value> {
    [&item["content"], &item["output"]].into_iter().filter_map(Value::as_array).flatten()
}

fn tokens_of(item: &Value) -> u64 {
    let words: u64 = ["name", "arguments", "input"].iter().filter_map(|m| item[*m].as_str()).map(tokens::count).sum();
    let pictures: u64 = parts(item).map(image_tokens).sum();
    4 + words
        + tools_tokens(item)
        + pictures
        + tokens::count(&text(&item["content"]))
        + tokens::count(&text(&item["output"]))
}

fn image_tokens(part: &Value) -> u64 {
    match (part["type"].as_str(), part["image_url"].as_str()) {
        (Some("input_image"), url) => image::openai_tokens(url.unwrap_or_default(), part["detail"].as_str()),
        _ => 0,
    }
}
