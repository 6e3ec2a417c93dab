//! A checked Messages request as the model sees it.

use serde_json::Value;

use crate::ask::{Ask, Choice, Format, Thinking, Tier, Tool};
use crate::catalog::Model;
use crate::chat::text;
use crate::check::Checked;
use crate::image;
use crate::refusal::Refusal;
use crate::tokens;

/// What the vendor adds to a prompt with tools, in tokens; less when a tool is forced.
const TOOL_PROMPT: u64 = 346;
const FORCED_TOOL_PROMPT: u64 = 313;

pub(crate) fn ask(body: &Value, model: &'static Model) -> Checked<Ask> {
    let mut ask = Ask::new(model, body["model"].as_str().unwrap_or(model.id));
    let turns = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    ask.stream = body["stream"] == true;
    ask.stop =
        body["stop_sequences"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    ask.parallel = body["tool_choice"]["disable_parallel_tool_use"] != true;
    ask.tier = Tier::Standard;
    ask.thinking = thinking(body);
    let format =
        [&body["output_config"]["format"], &body["output_format"]].into_iter().find(|f| f["type"] == "json_schema");
    ask.format = format.map_or(Format::Text, |format| Format::Schema(format["schema"].clone()));
    ask.tools = body["tools"].as_array().into_iter().flatten().filter_map(tool).collect();
    ask.choice = match body["tool_choice"]["type"].as_str() {
        Some("none") => Choice::None,
        Some("any") => Choice::Required,
        Some("tool") => Choice::Named(body["tool_choice"]["name"].as_str().unwrap_or_default().to_owned()),
        _ => Choice::Auto,
    };
    ask.prompt = turns.iter().rfind(|t| said(t)).map(|t| text(&t["content"])).unwrap_or_default();
    ask.results = results(turns);
    ask.images = turns.iter().flat_map(blocks).filter(|b| b["type"] == "image").count() as u64;
    ask.input.total = input_tokens(body, model);
    if ask.input.total > model.context {
        return Err(Refusal::invalid(format!(
            "prompt is too long: {} tokens > {} maximum",
            ask.input.total, model.context
        )));
    }
    ask.max_tokens = body["max_tokens"].as_u64().map(|max| max.min(model.context - ask.input.total));
    Ok(ask)
}

fn thinking(body: &Value) -> Option<Thinking> {
    let shown = body["thinking"]["display"] != "omitted";
    let words = match body["output_config"]["effort"].as_str() {
        Some("low") => 8,
        Some("high") => 48,
        Some("xhigh" | "max") => 96,
        _ => 16,
    };
    let asked = matches!(body["thinking"]["type"].as_str(), Some("enabled" | "adaptive"));
    asked.then_some(Thinking { words, shown })
}

fn tool(tool: &Value) -> Option<Tool> {
    let schema = tool.get("input_schema")?.clone();
    Some(Tool { name: tool["name"].as_str()?.to_owned(), schema, custom: false, namespace: None })
}

fn blocks(turn: &Value) -> impl Iterator<Item = &Value> {
    turn["content"].as_array().into_iter().flatten()
}

/// A user turn that says something besides giving results.
fn said(turn: &Value) -> bool {
    turn["role"] == "user" && (turn["content"].is_string() || blocks(turn).any(|b| b["type"] == "text"))
}

/// The results that the conversation ends with.
fn results(turns: &[Value]) -> Vec<String> {
    let asked = turns.iter().rposition(|turn| turn["role"] == "assistant").map_or(0, |at| at + 1);
    let since = turns[asked..].iter().flat_map(blocks);
    since.filter(|b| b["type"] == "tool_result").map(|b| text(&b["content"])).collect()
}

/// All tokens of the prompt.
pub(crate) fn input_tokens(body: &Value, _model: &Model) -> u64 {
    let tools = body["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
    let frame = match (tools.is_empty(), body["tool_choice"]["type"].as_str()) {
        (true, _) => 0,
        (false, Some("any" | "tool")) => FORCED_TOOL_PROMPT,
        (false, _) => TOOL_PROMPT,
    };
    let turns = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let said: u64 = turns
        .iter()
        .map(|turn| {
            let text = turn["content"].as_str().map_or(0, tokens::count);
            4 + text + blocks(turn).map(part_tokens).sum::<u64>()
        })
        .sum();
    let system = match &body["system"] {
        Value::Array(parts) => parts.iter().map(part_tokens).sum(),
        text => text.as_str().map_or(0, tokens::count),
    };
    3 + frame + system + said + tools.iter().map(part_tokens).sum::<u64>()
}

/// The tokens of a block, a tool or a plain text.
pub(crate) fn part_tokens(part: &Value) -> u64 {
    match part["type"].as_str() {
        _ if part.is_string() => tokens::count(part.as_str().unwrap_or_default()),
        Some("text") => tokens::count(part["text"].as_str().unwrap_or_default()),
        Some("image") => image::anthropic_tokens(part["source"]["data"].as_str()),
        Some("tool_result") => match &part["content"] {
            Value::Array(parts) => 2 + parts.iter().map(part_tokens).sum::<u64>(),
            content => 2 + content.as_str().map_or(0, tokens::count),
        },
        Some("thinking") => tokens::count(part["thinking"].as_str().unwrap_or_default()),
        _ => {
            let mut plain = part.clone();
            if let Some(map) = plain.as_object_mut() {
                map.remove("cache_control");
            }
            tokens::count(&plain.to_string())
        }
    }
}
