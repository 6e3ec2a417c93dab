//! A Messages request, read into the model.

use serde_json::{Map, Value};

use crate::{
    model::{Call, Choice, Part, Request, Role, Schema, Source, Text, Tool, Turn},
    translate::{Untranslatable, refuse},
};

type Read<T> = Result<T, Untranslatable>;

/// Reads a request; members that have no place in the model are listed as dropped.
pub(crate) fn read_request(body: Map<String, Value>) -> Read<Request> {
    let mut r = Request::default();
    for (name, value) in body {
        if value.is_null() {
            continue;
        }
        match name.as_str() {
            "model" => {}
            "max_tokens" => r.max_tokens = value.as_u64(),
            "system" => r.system = system(&mut r, value)?,
            "messages" => messages(&mut r, value)?,
            "tools" => tools(&mut r, value)?,
            "tool_choice" => choice(&mut r, &value),
            "temperature" => r.temperature = value.as_f64(),
            "top_p" => r.top_p = value.as_f64(),
            "top_k" => r.top_k = value.as_u64(),
            "stop_sequences" => {
                let list = value.as_array().into_iter().flatten();
                r.stop = list.filter_map(|s| s.as_str().map(str::to_owned)).collect();
            }
            "stream" => r.stream = value == true,
            "thinking" => match value["type"].as_str() {
                Some("enabled") => r.thinking_budget = value["budget_tokens"].as_u64(),
                Some("adaptive") => {}
                _ => r.drop_member("thinking"),
            },
            "output_config" => config(&mut r, value),
            "output_format" => schema(&mut r, "output_format", value),
            "metadata" => {
                r.user = value["user_id"].as_str().map(str::to_owned);
            }
            "service_tier" if value == "auto" || value == "standard_only" => {}
            _ => r.drop_member(name),
        }
    }
    Ok(r)
}

fn system(r: &mut Request, value: Value) -> Read<Vec<Text>> {
    let parts = content(r, "system", value)?;
    Ok(parts.into_iter().filter_map(|p| if let Part::Text(t) = p { Some(t) } else { None }).collect())
}

fn messages(r: &mut Request, value: Value) -> Read<()> {
    let Value::Array(list) = value else { return refuse("messages", "must be an array") };
    for (i, mut message) in list.into_iter().enumerate() {
        let at = format!("messages[{i}]");
        let role = match message["role"].as_str() {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            _ => return refuse(format!("{at}.role"), "must be user or assistant"),
        };
        let parts = content(r, &format!("{at}.content"), message["content"].take())?;
        r.turns.push(Turn { role, parts });
    }
    Ok(())
}

fn content(r: &mut Request, at: &str, value: Value) -> Read<Vec<Part>> {
    match value {
        Value::Null => Ok(vec![]),
        Value::String(text) if text.is_empty() => Ok(vec![]),
        Value::String(text) => Ok(vec![Part::Text(Text { text, cache: None })]),
        Value::Array(list) => {
            let each = list.into_iter().enumerate();
            let read = each.map(|(j, block)| part(r, &format!("{at}[{j}]"), block));
            Ok(read.collect::<Read<Vec<_>>>()?.into_iter().flatten().collect())
        }
        _ => refuse(at, "must be a string or an array"),
    }
}

fn part(r: &mut Request, at: &str, mut block: Value) -> Read<Option<Part>> {
    let cache = block.get("cache_control").filter(|c| !c.is_null()).cloned();
    Ok(Some(match block["type"].as_str().unwrap_or_default() {
        "text" => {
            if block.get("citations").is_some_and(|c| c.as_array().is_some_and(|a| !a.is_empty())) {
                r.drop_member(format!("{at}.citations"));
            }
            match block["text"].as_str() {
                Some(text) if !text.is_empty() => Part::Text(Text { text: text.to_owned(), cache }),
                _ => return Ok(None),
            }
        }
        "image" => Part::Image(source(r, at, &block["source"])?),
        "document" => {
            let name = block["title"].as_str().map(str::to_owned);
            match block["source"]["type"].as_str() {
                Some("text") => {
                    let text = block["source"]["data"].as_str().unwrap_or_default().to_owned();
                    Part::Text(Text { text, cache })
                }
                _ => Part::Document { source: source(r, at, &block["source"])?, name },
            }
        }
        "tool_use" => {
            let (Some(id), Some(name)) = (block["id"].as_str(), block["name"].as_str()) else {
                return refuse(at, "a tool_use needs an id and a name");
            };
            let (id, name) = (id.to_owned(), name.to_owned());
            Part::Call(Call { id, name, arguments: block["input"].take() })
        }
        "tool_result" => {
            let Some(id) = block["tool_use_id"].as_str().map(str::to_owned) else {
                return refuse(format!("{at}.tool_use_id"), "is missing");
            };
            let is_error = block["is_error"] == true;
            let content = content(r, &format!("{at}.content"), block["content"].take())?;
            Part::Result { id, content, is_error, cache }
        }
        // Thinking is bound to the provider that signed it, other blocks to tools that only it runs.
        _ => {
            r.drop_member(at);
            return Ok(None);
        }
    }))
}

fn source(_: &mut Request, at: &str, source: &Value) -> Read<Source> {
    let text = |name: &str| source[name].as_str().map(str::to_owned);
    match (source["type"].as_str(), text("url"), text("media_type"), text("data")) {
        (Some("url"), Some(url), _, _) => Ok(Source::Url(url)),
        (Some("base64"), _, Some(media_type), Some(data)) => Ok(Source::Base64 { media_type, data }),
        (Some("file"), ..) => refuse(at, "a file held by one provider cannot be sent to another; send its data"),
        _ => refuse(at, "must have a url or a base64 source"),
    }
}

fn tools(r: &mut Request, value: Value) -> Read<()> {
    let Value::Array(list) = value else { return refuse("tools", "must be an array") };
    for (i, mut tool) in list.into_iter().enumerate() {
        let is_custom = tool.get("type").is_none_or(|t| t.is_null() || t == "custom");
        let Some(name) = tool["name"].as_str().map(str::to_owned).filter(|_| is_custom) else {
            // A tool that the provider runs itself: the conversation can go on without it.
            r.drop_member(format!("tools[{i}]"));
            continue;
        };
        r.tools.push(Tool {
            name,
            description: tool["description"].as_str().map(str::to_owned),
            schema: tool["input_schema"].take(),
            cache: tool.get("cache_control").filter(|c| !c.is_null()).cloned(),
        });
    }
    Ok(())
}

fn choice(r: &mut Request, value: &Value) {
    r.choice = match value["type"].as_str() {
        Some("auto") => Some(Choice::Auto),
        Some("any") => Some(Choice::Any),
        Some("none") => Some(Choice::None),
        Some("tool") => value["name"].as_str().map(|n| Choice::Named(n.to_owned())),
        _ => None,
    };
    if r.choice.is_none() {
        r.drop_member("tool_choice");
    }
    if value["disable_parallel_tool_use"] == true {
        r.parallel = Some(false);
    }
}

fn config(r: &mut Request, value: Value) {
    let Value::Object(map) = value else { return r.drop_member("output_config") };
    for (name, value) in map {
        match name.as_str() {
            "effort" => r.effort = value.as_str().map(str::to_owned),
            "format" => schema(r, "output_config.format", value),
            _ => r.drop_member(format!("output_config.{name}")),
        }
    }
}

fn schema(r: &mut Request, at: &str, mut value: Value) {
    if value["type"] == "json_schema" {
        r.schema = Some(Schema { name: None, schema: value["schema"].take() });
    } else if !value.is_null() {
        r.drop_member(at);
    }
}
