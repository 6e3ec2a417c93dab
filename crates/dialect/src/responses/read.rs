//! A Responses request, read into the model.

use serde_json::{Map, Value};

use super::{
    input::input,
    tools::{choice, tools},
};
use crate::{
    chat::{limit, stream_options},
    model::{Request, SHARED, Schema, Text, Words},
    rest::{drop_rest, take_object, take_string},
    translate::{Read, refuse},
};

const WORDS: Words = Words {
    system: "instructions",
    limit: "max_output_tokens",
    stop: "",
    effort: "reasoning.effort",
    format: "text.format",
    verbosity: "text.verbosity",
    user: "user",
    parallel: "parallel_tool_calls",
    strict: "strict",
    detail: "detail",
    file_name: "filename",
    is_error: "",
};

/// Reads a request; members that have no place in the model are listed as dropped.
pub(crate) fn read_request(body: Map<String, Value>) -> Read<Request> {
    let mut r = Request::new(&WORDS);
    let mut chosen = Value::Null;
    // Whoever answers in another dialect keeps nothing, and to be kept is the default.
    if body.get("store") != Some(&Value::Bool(false)) {
        r.drop_member("store");
    }
    for (name, value) in body {
        if value.is_null() {
            continue;
        }
        match name.as_str() {
            "model" | "store" => {}
            "stream_options" => stream_options(&mut r, value),
            _ if SHARED.contains(&name.as_str()) => r.share(name, value),
            "instructions" => {
                let Value::String(text) = value else { return refuse(name, "must be a string") };
                r.system.insert(0, Text { text, cache: None });
            }
            "input" => input(&mut r, value)?,
            "tools" => tools(&mut r, "tools", value)?,
            "tool_choice" => chosen = value,
            "parallel_tool_calls" if value.is_boolean() => r.parallel = value.as_bool(),
            "max_output_tokens" if limit(&value).is_some() => r.max_tokens = limit(&value),
            "temperature" if value.is_number() => r.temperature = value.as_f64(),
            "top_p" if value.is_number() => r.top_p = value.as_f64(),
            "stream" if value.is_boolean() => r.stream = value == true,
            "reasoning" => reasoning(&mut r, value),
            "text" => text(&mut r, value),
            "previous_response_id" | "conversation" => {
                return refuse(
                    name,
                    "names state that one provider keeps and another cannot read; send the earlier turns in input",
                );
            }
            "prompt" => {
                return refuse(name, "a prompt kept by one provider cannot be sent to another; send its text in input");
            }
            // What says no more than the default is no loss.
            "background" if value == false => {}
            "include" if value.as_array().is_some_and(Vec::is_empty) => {}
            "top_logprobs" if value == 0 => {}
            "truncation" if value == "disabled" => {}
            _ => r.drop_member(name),
        }
    }
    choice(&mut r, chosen);
    Ok(r)
}

fn reasoning(r: &mut Request, value: Value) {
    let Value::Object(map) = value else { return r.drop_member("reasoning") };
    for (name, value) in map {
        match name.as_str() {
            _ if value.is_null() => {}
            "effort" if value.is_string() => r.effort = value.as_str().map(str::to_owned),
            "summary" => r.summary.push("reasoning.summary"),
            "generate_summary" => r.summary.push("reasoning.generate_summary"),
            "context" if value == "auto" => {}
            "mode" if value == "standard" => {}
            _ => r.drop_member(format!("reasoning.{name}")),
        }
    }
}

fn text(r: &mut Request, value: Value) {
    let Value::Object(map) = value else { return r.drop_member("text") };
    for (name, value) in map {
        match name.as_str() {
            _ if value.is_null() => {}
            "format" => format(r, value),
            "verbosity" if value.is_string() => r.verbosity = value.as_str().map(str::to_owned),
            _ => r.drop_member(format!("text.{name}")),
        }
    }
}

fn format(r: &mut Request, value: Value) {
    let Value::Object(mut map) = value else { return r.drop_member("text.format") };
    match take_string(&mut map, "type").as_deref() {
        Some("json_schema") => {
            let Some(schema) = take_object(&mut map, "schema") else { return r.drop_member("text.format") };
            let name = take_string(&mut map, "name");
            let strict = map.remove("strict").and_then(|s| s.as_bool());
            r.schema = Some(Schema { name, schema: schema.into(), strict });
        }
        Some("json_object") => r.json_object = true,
        Some("text") => {}
        _ => return r.drop_member("text.format"),
    }
    drop_rest(r, "text.format", map);
}
