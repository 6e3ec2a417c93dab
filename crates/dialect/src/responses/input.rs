//! The input of a Responses request: a string, or items.

use serde_json::{Map, Value, json};

use super::{
    parts::parts,
    tools::{take_name, tools},
};
use crate::{
    chat::arguments,
    model::{Call, Part, Request, Role, Seal, Text, Thought, ToolResult, Turn},
    rest::{drop_rest, take_string},
    seal,
    translate::{Read, refuse},
};

type Item = Map<String, Value>;

/// Reads the input into turns; each item is one, and neighbours are joined later.
pub(super) fn input(r: &mut Request, value: Value) -> Read<()> {
    match value {
        Value::String(text) => {
            let parts = vec![Part::Text(Text { text, cache: None })];
            r.turns.push(Turn { role: Role::User, parts, at: "input".into() });
            Ok(())
        }
        Value::Array(list) => list.into_iter().enumerate().try_for_each(|(i, item)| {
            let at = format!("input[{i}]");
            let Value::Object(item) = item else { return refuse(at, "must be an object") };
            read(r, at, item)
        }),
        _ => refuse("input", "must be a string or an array"),
    }
}

fn read(r: &mut Request, at: String, mut item: Item) -> Read<()> {
    let kind = take_string(&mut item, "type");
    // What only says which item it is and how far it got.
    item.remove("status");
    let id = take_string(&mut item, "id");
    match kind.as_deref() {
        None if !item.contains_key("role") => {
            let why = "is kept by one provider and cannot be sent to another; send the item itself";
            return refuse(at, if id.is_some() { why } else { "must have a type or a role" });
        }
        None | Some("message") => message(r, &at, &mut item)?,
        Some("function_call" | "custom_tool_call") => {
            let (Some(id), Some(name)) = (take_string(&mut item, "call_id"), take_name(&mut item)) else {
                return refuse(at, "a tool call needs a call_id and a name");
            };
            let arguments = match take_string(&mut item, "input") {
                Some(text) => json!({"input": text}),
                None => arguments(&take_string(&mut item, "arguments").unwrap_or_default()),
            };
            let call = Part::Call(Call { id, name, arguments, cache: None, at: at.clone() });
            turn(r, Role::Assistant, call, &at);
        }
        Some("function_call_output" | "custom_tool_call_output") => {
            let Some(id) = take_string(&mut item, "call_id") else {
                return refuse(format!("{at}.call_id"), "is missing; send the call_id of the call that it answers");
            };
            let content = parts(r, &format!("{at}.output"), item.remove("output").unwrap_or_default())?;
            // Which tool was called, once more.
            _ = take_name(&mut item);
            let result = ToolResult { id, content, is_error: false, cache: None, at: at.clone() };
            turn(r, Role::User, Part::Result(result), &at);
        }
        Some("reasoning") => {
            let thought = thought(&mut item, &at);
            turn(r, Role::Assistant, Part::Thought(thought), &at);
        }
        Some("additional_tools") => {
            item.remove("role");
            tools(r, &format!("{at}.tools"), item.remove("tools").unwrap_or_default())?;
        }
        Some("item_reference") => {
            return refuse(at, "names an item that one provider keeps and another cannot read; send the item itself");
        }
        Some("compaction" | "compaction_summary" | "context_compaction") => {
            return refuse(at, "holds turns in a form that only their provider reads; send the turns themselves");
        }
        // Of tools that the provider runs itself: the conversation can go on without them.
        Some(_) => {
            r.drop_member(at);
            return Ok(());
        }
    }
    item.retain(|_, v| *v != json!({"type": "direct"}));
    drop_rest(r, &at, item);
    Ok(())
}

fn turn(r: &mut Request, role: Role, part: Part, at: &str) {
    r.turns.push(Turn { role, parts: vec![part], at: at.to_owned() });
}

fn message(r: &mut Request, at: &str, item: &mut Item) -> Read<()> {
    let content = parts(r, &format!("{at}.content"), item.remove("content").unwrap_or_default())?;
    let role = match take_string(item, "role").as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system" | "developer") => Role::System,
        _ => return refuse(format!("{at}.role"), "is not translated; use system, developer, user or assistant"),
    };
    if role != Role::System {
        r.turns.push(Turn { role, parts: content, at: at.to_owned() });
        return Ok(());
    }
    let mut texts = vec![];
    for part in content {
        match part {
            Part::Text(t) => texts.push(t),
            Part::Image(m) | Part::Document { media: m, .. } => r.drop_member(m.at),
            Part::Refusal(_) | Part::Thought(_) | Part::Call(_) | Part::Result(_) => {}
        }
    }
    if r.turns.is_empty() {
        r.system.extend(texts);
    } else {
        let parts = texts.into_iter().map(Part::Text).collect();
        r.turns.push(Turn { role, parts, at: at.to_owned() });
    }
    Ok(())
}

/// A thought; a seal that is not ours stays with whom it was made for.
fn thought(item: &mut Item, at: &str) -> Thought {
    let sealed = take_string(item, "encrypted_content").and_then(|s| seal::open(&s));
    let summary = item.remove("summary").unwrap_or_default();
    item.remove("content");
    let (by, seal): (Option<String>, Option<Seal>) = sealed.unzip();
    Thought { text: summary_text(&summary), seal, by: by.unwrap_or_default(), at: at.to_owned() }
}

/// The parts of a summary as one text.
pub(super) fn summary_text(parts: &Value) -> String {
    let texts = parts.as_array().into_iter().flatten().filter_map(|p| p["text"].as_str());
    texts.collect::<Vec<_>>().join("\n\n")
}
