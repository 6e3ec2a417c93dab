//! The small endpoints: models, embeddings, moderations.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::answer::{Answer, Body, Charge, Ctx};
use crate::ask::Ask;
use crate::catalog::{self, MODELS, Model};
use crate::check::{self, Checked};
use crate::clock;
use crate::fault::Fault;
use crate::ids::Ids;
use crate::node::{Node, obj};
use crate::refusal::{self, Refusal};
use crate::tokens;
use crate::vendor::Vendor;

const BORN: u64 = 1_780_000_000;
const DIMENSIONS: u64 = 1536;

/// Answers `GET /v1/models`.
pub(crate) fn models(vendor: Vendor) -> String {
    let all: Vec<&Model> = MODELS.iter().filter(|m| m.vendor == vendor).collect();
    let data: Vec<Node> = all.iter().map(|model| about(model)).collect();
    match vendor {
        Vendor::OpenAi => obj! {"object": "list", "data": data}.text(),
        Vendor::Anthropic => obj! {
            "data": data,
            "has_more": false,
            "first_id": all.first().map(|model| model.id),
            "last_id": all.last().map(|model| model.id),
        }
        .text(),
    }
}

/// Answers `GET /v1/models/{id}`.
pub(crate) fn model(vendor: Vendor, id: &str) -> Checked<String> {
    catalog::find(vendor, id).map(|model| about(model).text()).ok_or_else(|| refusal::no_model(vendor, id))
}

fn about(model: &Model) -> Node {
    match model.vendor {
        Vendor::OpenAi => obj! {"id": model.id, "object": "model", "created": BORN, "owned_by": "system"},
        Vendor::Anthropic => obj! {
            "type": "model",
            "id": model.id,
            "display_name": model.id,
            "created_at": clock::rfc3339(BORN),
            "lifecycle": "active",
            "max_input_tokens": model.context,
            "max_tokens": model.max_output,
        },
    }
}

fn texts(input: &Value) -> Vec<String> {
    match input {
        Value::String(text) => vec![text.clone()],
        Value::Array(all) if all.iter().all(Value::is_number) => vec![input.to_string()],
        Value::Array(all) => {
            all.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)).collect()
        }
        _ => Vec::new(),
    }
}

fn members(body: &Value, allowed: &[&str]) -> Checked<()> {
    let Some(map) = body.as_object() else { return Err(refusal::not_json(Vendor::OpenAi, "")) };
    match check::foreign(map, allowed) {
        Some(name) => Err(Refusal::invalid(format!("Unrecognized request argument supplied: {name}"))),
        None => Ok(()),
    }
}

/// Answers `POST /v1/embeddings`.
pub(crate) fn embeddings(body: &Value, ctx: &Ctx<'_>) -> Checked<Answer> {
    members(body, &["input", "model", "dimensions", "encoding_format", "user"])?;
    let Some(name) = body["model"].as_str() else {
        return Err(Refusal::invalid("you must provide a model parameter"));
    };
    let model = catalog::find(Vendor::OpenAi, name).ok_or_else(|| refusal::no_model(Vendor::OpenAi, name))?;
    let inputs = texts(&body["input"]);
    if inputs.is_empty() || inputs.iter().any(String::is_empty) {
        return Err(Refusal::invalid(
            "'$.input' is invalid. Please check the API reference: \
            https://platform.openai.com/docs/api-reference.",
        ));
    }
    let dimensions = body["dimensions"].as_u64().unwrap_or(DIMENSIONS).clamp(1, 3072) as usize;
    let base64 = body["encoding_format"] == "base64";
    let data: Vec<Node> = inputs
        .iter()
        .enumerate()
        .map(|(i, text)| obj! {"object": "embedding", "index": i, "embedding": vector(text, dimensions, base64)})
        .collect();
    let mut ask = Ask::new(model, name);
    ask.input.total = inputs.iter().map(|text| tokens::count(text)).sum();
    let mut out = obj! {"object": "list", "data": data, "model": name};
    if ctx.fault != Some(Fault::NoUsage) {
        out = out.with("usage", obj! {"prompt_tokens": ask.input.total, "total_tokens": ask.input.total});
    }
    Ok(Answer { body: Body::Plain(out.text()), charge: Charge::of(&ask, 0) })
}

/// A vector that is the same for the same text.
fn vector(text: &str, dimensions: usize, base64: bool) -> Node {
    let seed = text.bytes().fold(7u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut rng = fastrand::Rng::with_seed(seed);
    let values: Vec<f32> = (0..dimensions).map(|_| rng.f32() * 0.1 - 0.05).collect();
    match base64 {
        true => Node::from(STANDARD.encode(values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())),
        false => Node::List(values.iter().map(|v| Node::Raw(format!("{v:.6}"))).collect()),
    }
}

/// Answers `POST /v1/moderations`: flagged if the text says so.
pub(crate) fn moderations(body: &Value, ctx: &Ctx<'_>) -> Checked<Answer> {
    members(body, &["input", "model"])?;
    if body["input"].is_null() {
        return Err(check::missing("input"));
    }
    let name = body["model"].as_str().unwrap_or("omni-moderation-latest");
    let model = catalog::find(Vendor::OpenAi, name).ok_or_else(|| refusal::no_model(Vendor::OpenAi, name))?;
    let inputs = texts(&body["input"]);
    let results: Vec<Node> = inputs.iter().map(|text| verdict(text.contains("violence"))).collect();
    let mut ask = Ask::new(model, name);
    ask.input.total = inputs.iter().map(|text| tokens::count(text)).sum();
    let id = Ids::new(ctx.seed).alnum("modr-", 24);
    let out = obj! {"id": id, "model": name, "results": results};
    Ok(Answer { body: Body::Plain(out.text()), charge: Charge::of(&ask, 0) })
}

const CATEGORIES: [&str; 13] = [
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
];

fn verdict(flagged: bool) -> Node {
    let each = |value: &dyn Fn(bool) -> Node| {
        Node::Map(CATEGORIES.iter().map(|name| (*name, value(flagged && *name == "violence"))).collect())
    };
    obj! {
        "flagged": flagged,
        "categories": each(&Node::Bool),
        "category_scores": each(&|hit| Node::Raw(if hit { "0.97" } else { "0.0001" }.to_owned())),
        "category_applied_input_types": each(&|_| Node::List(vec![Node::from("text")])),
    }
}
