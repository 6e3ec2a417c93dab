//! What a provider reads of a request: strings and lists of parts are the same, whatever its writer chose.

use dialect::Dialect::{self, Chat, Messages, Responses};
use serde_json::Value;

use super::asked::{Asked, Choice, Part, Tool, Turn};

pub fn read(dialect: Dialect, body: &Value) -> Asked {
    let (limit, schema) = match dialect {
        Chat => (&body["max_completion_tokens"], body.pointer("/response_format/json_schema/schema")),
        Responses => (&body["max_output_tokens"], body.pointer("/text/format/schema")),
        Messages => (&body["max_tokens"], body.pointer("/output_config/format/schema")),
    };
    let choice = choice(&body["tool_choice"]);
    let mut asked = Asked {
        system: None,
        turns: vec![],
        tools: list(&body["tools"]).iter().map(tool).collect(),
        one_call: match dialect {
            Messages => body["tool_choice"]["disable_parallel_tool_use"] == true,
            Chat | Responses => body["parallel_tool_calls"] == false,
        },
        choice,
        limit: limit.as_u64().unwrap(),
        temperature: body["temperature"].as_f64(),
        top_p: body["top_p"].as_f64(),
        schema: schema.cloned(),
        stream: body["stream"] == true,
        user: body["user"].as_str().or(body["metadata"]["user_id"].as_str()).map(str::to_owned),
    };
    match dialect {
        Chat | Messages => {
            asked.system = some(texts(&body["system"]));
            list(&body["messages"]).iter().for_each(|m| message(&mut asked, m));
        }
        Responses => {
            asked.system = some(text(&body["instructions"]));
            list(&body["input"]).iter().for_each(|i| item(&mut asked, i));
        }
    }
    asked
}

fn list(v: &Value) -> &[Value] {
    v.as_array().map_or(&[], Vec::as_slice)
}

fn text(v: &Value) -> String {
    v.as_str().unwrap_or_default().to_owned()
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|t| !t.is_empty())
}

/// The text of content.
fn texts(content: &Value) -> String {
    match content {
        Value::Array(parts) => parts.iter().map(|p| text(&p["text"])).collect(),
        other => text(other),
    }
}

fn tool(t: &Value) -> Tool {
    // Chat nests.
    let f = t.get("function").unwrap_or(t);
    Tool {
        name: text(&f["name"]),
        description: f["description"].as_str().map(str::to_owned),
        schema: f.get("parameters").or(f.get("input_schema")).cloned().unwrap_or_default(),
    }
}

fn choice(v: &Value) -> Option<Choice> {
    let name = v["function"]["name"].as_str().or(v["name"].as_str());
    Some(match (v.as_str().or(v["type"].as_str())?, name) {
        ("auto", _) => Choice::Auto,
        ("required" | "any", _) => Choice::Any,
        ("none", _) => Choice::None,
        (_, Some(name)) => Choice::Named(name.to_owned()),
        _ => panic!("{v}"),
    })
}

/// A message of Chat or of Messages.
fn message(asked: &mut Asked, m: &Value) {
    let content = &m["content"];
    match m["role"].as_str() {
        Some("system" | "developer") => asked.system = some(texts(content)),
        Some("tool") => result(asked, &m["tool_call_id"], content),
        Some("assistant") => {
            let in_blocks = list(content).iter().filter(|b| b["type"] == "tool_use");
            let blocks = in_blocks.map(|b| (text(&b["id"]), text(&b["name"]), b["input"].clone(), String::new()));
            let listed = list(&m["tool_calls"]).iter().map(|c| {
                let f = &c["function"];
                (text(&c["id"]), text(&f["name"]), parsed(&f["arguments"]), String::new())
            });
            asked.turns.push(Turn::Assistant(texts(content), blocks.chain(listed).collect()));
        }
        Some("user") => {
            list(content)
                .iter()
                .filter(|b| b["type"] == "tool_result")
                .for_each(|b| result(asked, &b["tool_use_id"], &b["content"]));
            let parts = parts(content);
            if !parts.is_empty() {
                asked.turns.push(Turn::User(parts));
            }
        }
        other => panic!("{other:?}"),
    }
}

/// An item of Responses; calls belong to the turn before.
fn item(asked: &mut Asked, i: &Value) {
    match (i["type"].as_str().unwrap_or("message"), i["role"].as_str()) {
        ("message", Some("system" | "developer")) => asked.system = some(texts(&i["content"])),
        ("message", Some("user")) => asked.turns.push(Turn::User(parts(&i["content"]))),
        ("message", Some("assistant")) => asked.turns.push(Turn::Assistant(texts(&i["content"]), vec![])),
        ("function_call", _) => {
            let call = (text(&i["call_id"]), text(&i["name"]), parsed(&i["arguments"]), String::new());
            match asked.turns.last_mut() {
                Some(Turn::Assistant(_, calls)) => calls.push(call),
                _ => asked.turns.push(Turn::Assistant(String::new(), vec![call])),
            }
        }
        ("function_call_output", _) => result(asked, &i["call_id"], &i["output"]),
        other => panic!("{other:?}"),
    }
}

fn parsed(arguments: &Value) -> Value {
    serde_json::from_str(arguments.as_str().unwrap()).unwrap()
}

/// A result goes to its call.
fn result(asked: &mut Asked, id: &Value, content: &Value) {
    let Some(Turn::Assistant(_, calls)) = asked.turns.last_mut() else { panic!("a result of no call") };
    calls.iter_mut().find(|c| *id == c.0).unwrap().3 = texts(content);
}

fn parts(content: &Value) -> Vec<Part> {
    if let Some(t) = content.as_str() {
        return vec![Part::Text(t.to_owned())];
    }
    let part = |p: &Value| {
        Some(match p["type"].as_str().unwrap() {
            "text" | "input_text" => Part::Text(text(&p["text"])),
            "image_url" => Part::Image(text(&p["image_url"]["url"])),
            "input_image" => Part::Image(text(&p["image_url"])),
            "image" => {
                let s = &p["source"];
                let data = || format!("data:{};base64,{}", text(&s["media_type"]), text(&s["data"]));
                Part::Image(s["url"].as_str().map_or_else(data, str::to_owned))
            }
            "file" => file(&p["file"]),
            "input_file" => file(p),
            "document" => Part::File(text(&p["title"]), text(&p["source"]["data"])),
            "tool_result" => return None,
            other => panic!("{other}"),
        })
    };
    list(content).iter().filter_map(part).collect()
}

fn file(f: &Value) -> Part {
    let data = text(&f["file_data"]);
    Part::File(text(&f["filename"]), data.strip_prefix("data:application/pdf;base64,").unwrap().to_owned())
}
