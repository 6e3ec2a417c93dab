//! A request of what all formats can say: made up, written in any of the three, and read again.

use dialect::Dialect::{self, Chat, Messages, Responses};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::arguments;

#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub system: Option<String>,
    pub turns: Vec<Turn>,
    pub tools: Vec<Tool>,
    pub choice: Option<Choice>,
    /// One call at a time.
    pub one_call: bool,
    pub limit: u64,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub schema: Option<Value>,
    pub stream: bool,
    /// On whose behalf.
    pub user: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Turn {
    User(Vec<Part>),
    /// Text, which may be empty where there are calls: id, name, arguments, result.
    Assistant(String, Vec<(String, String, Value, String)>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    Text(String),
    /// A URL, of data or of the web.
    Image(String),
    /// A PDF as data.
    File(String, String),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    pub name: String,
    pub description: Option<String>,
    pub schema: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    Auto,
    Any,
    None,
    Named(String),
}

const NAMES: [&str; 3] = ["get_weather", "a-b", "F2"];

fn words() -> impl Strategy<Value = String> {
    "[a-z]{1,4}( \u{e9}|\"|\\\\|, )?[a-z]{1,4}"
}

fn schema() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-c]", prop::sample::select(&["string", "integer", "boolean"][..]), 0..3).prop_map(
        |m| {
            let properties: Value = m.iter().map(|(k, t)| (k.clone(), json!({"type": t}))).collect();
            let required: Vec<&String> = m.keys().collect();
            // Of the kind that strict mode takes.
            json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
        },
    )
}

fn user() -> impl Strategy<Value = Turn> {
    let part = prop_oneof![
        3 => words().prop_map(Part::Text),
        1 => "[A-Z]{4}".prop_map(|d| Part::Image(format!("data:image/png;base64,{d}"))),
        1 => "[a-z]{1,4}".prop_map(|p| Part::Image(format!("https://x.org/{p}.jpg"))),
        1 => ("[a-z]{1,4}", "[A-Z]{4}").prop_map(|(n, d)| Part::File(format!("{n}.pdf"), d)),
    ];
    prop::collection::vec(part, 1..4).prop_map(Turn::User)
}

fn assistant() -> impl Strategy<Value = Turn> {
    let call = (prop::sample::select(&NAMES[..]), arguments(), words());
    (prop::option::of(words()), prop::collection::vec(call, 0..3)).prop_map(|(text, calls)| {
        let text = if calls.is_empty() { text.or(Some("so".into())) } else { text };
        let calls = calls.into_iter().map(|(n, a, result)| (String::new(), n.to_owned(), a, result)).collect();
        Turn::Assistant(text.unwrap_or_default(), calls)
    })
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    (user(), prop::collection::vec((assistant(), user()), 0..3)).prop_map(|(first, more)| {
        let mut turns = vec![first];
        for (a, u) in more {
            turns.push(a);
            turns.push(u);
        }
        // Each call has an id of its own.
        let calls = turns.iter_mut().filter_map(|t| if let Turn::Assistant(_, calls) = t { Some(calls) } else { None });
        calls.flatten().enumerate().for_each(|(i, c)| c.0 = format!("call_{i}"));
        turns
    })
}

pub fn asked() -> impl Strategy<Value = Asked> {
    let tools = prop::collection::vec((prop::option::of(words()), schema()), 0..3).prop_map(|all| {
        let tool = |(name, (description, schema)): (&&str, _)| Tool { name: (*name).to_owned(), description, schema };
        NAMES.iter().zip(all).map(tool).collect::<Vec<_>>()
    });
    let choice = prop::option::of(prop::sample::select(vec![
        Choice::Auto,
        Choice::Any,
        Choice::None,
        Choice::Named(NAMES[0].to_owned()),
    ]));
    let number = || prop::option::of((0u8..=10).prop_map(|n| f64::from(n) / 10.0));
    let head = (prop::option::of(words()), turns(), tools, choice, any::<bool>());
    // Responses takes no lower limit; what becomes of one is a law of `lost`.
    let user = prop::option::of("[a-z0-9_-]{1,64}");
    let tail = (16u64..100_000, number(), number(), prop::option::of(schema()), any::<bool>(), user);
    (head, tail).prop_map(
        |((system, turns, tools, choice, one_call), (limit, temperature, top_p, schema, stream, user))| {
            // What is called stands among the tools; without tools there is nothing to choose.
            let called = turns.iter().any(|t| matches!(t, Turn::Assistant(_, calls) if !calls.is_empty()));
            let mut tools = tools;
            if called {
                let known: Vec<String> = tools.iter().map(|t| t.name.clone()).collect();
                let missing = NAMES.iter().filter(|n| !known.iter().any(|k| k == *n));
                let plain = json!({"type": "object", "properties": {}, "required": [], "additionalProperties": false});
                tools.extend(missing.map(|n| Tool { name: (*n).to_owned(), description: None, schema: plain.clone() }));
            }
            let choice = choice.filter(|_| !tools.is_empty());
            // The flag lives inside the choice in Messages, and there is none beside `none`.
            let one_call = one_call && choice.as_ref().is_some_and(|c| *c != Choice::None);
            Asked { system, turns, tools, choice, one_call, limit, temperature, top_p, schema, stream, user }
        },
    )
}

impl Asked {
    pub fn written(&self, dialect: Dialect) -> Value {
        let mut out = json!({"model": "mock"});
        for (name, value) in [("temperature", self.temperature), ("top_p", self.top_p)] {
            if let Some(value) = value {
                out[name] = value.into();
            }
        }
        if self.stream {
            out["stream"] = true.into();
        }
        match (&self.user, dialect) {
            (Some(user), Messages) => out["metadata"] = json!({"user_id": user}),
            (Some(user), _) => out["user"] = user.clone().into(),
            (None, _) => {}
        }
        if self.one_call && dialect != Messages {
            out["parallel_tool_calls"] = false.into();
        }
        match dialect {
            Chat => self.chat(&mut out),
            Responses => self.responses(&mut out),
            Messages => self.messages(&mut out),
        }
        out
    }

    fn chat(&self, out: &mut Value) {
        out["max_completion_tokens"] = self.limit.into();
        if self.stream {
            out["stream_options"] = json!({"include_usage": true});
        }
        let mut messages: Vec<Value> = self.system.iter().map(|s| json!({"role": "system", "content": s})).collect();
        for turn in &self.turns {
            match turn {
                Turn::User(parts) => {
                    let parts: Vec<Value> = parts.iter().map(|p| match p {
                        Part::Text(t) => json!({"type": "text", "text": t}),
                        Part::Image(url) => json!({"type": "image_url", "image_url": {"url": url}}),
                        Part::File(name, data) => json!({"type": "file", "file": {"filename": name, "file_data": format!("data:application/pdf;base64,{data}")}}),
                    }).collect();
                    messages.push(json!({"role": "user", "content": parts}));
                }
                Turn::Assistant(text, calls) => {
                    let mut m = json!({"role": "assistant", "content": if text.is_empty() { Value::Null } else { text.clone().into() }});
                    if !calls.is_empty() {
                        m["tool_calls"] = calls.iter().map(|(id, name, a, _)| json!({"id": id, "type": "function", "function": {"name": name, "arguments": a.to_string()}})).collect();
                    }
                    messages.push(m);
                    messages.extend(
                        calls
                            .iter()
                            .map(|(id, _, _, result)| json!({"role": "tool", "tool_call_id": id, "content": result})),
                    );
                }
            }
        }
        out["messages"] = messages.into();
        if !self.tools.is_empty() {
            out["tools"] = self
                .tools
                .iter()
                .map(|t| {
                    let mut f = json!({"name": t.name, "parameters": t.schema});
                    if let Some(d) = &t.description {
                        f["description"] = d.clone().into();
                    }
                    json!({"type": "function", "function": f})
                })
                .collect();
        }
        if let Some(choice) = &self.choice {
            out["tool_choice"] = match choice {
                Choice::Named(name) => json!({"type": "function", "function": {"name": name}}),
                other => word(other).into(),
            };
        }
        if let Some(schema) = &self.schema {
            out["response_format"] =
                json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": true}});
        }
    }

    fn responses(&self, out: &mut Value) {
        out["max_output_tokens"] = self.limit.into();
        out["store"] = false.into();
        if let Some(s) = &self.system {
            out["instructions"] = s.clone().into();
        }
        let mut items = vec![];
        for turn in &self.turns {
            match turn {
                Turn::User(parts) => {
                    let parts: Vec<Value> = parts.iter().map(|p| match p {
                        Part::Text(t) => json!({"type": "input_text", "text": t}),
                        Part::Image(url) => json!({"type": "input_image", "image_url": url, "detail": "auto"}),
                        Part::File(name, data) => json!({"type": "input_file", "filename": name, "file_data": format!("data:application/pdf;base64,{data}")}),
                    }).collect();
                    items.push(json!({"type": "message", "role": "user", "content": parts}));
                }
                Turn::Assistant(text, calls) => {
                    if !text.is_empty() {
                        items.push(json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text, "annotations": []}]}));
                    }
                    items.extend(calls.iter().map(|(id, name, a, _)| json!({"type": "function_call", "call_id": id, "name": name, "arguments": a.to_string()})));
                    items.extend(calls.iter().map(
                        |(id, _, _, result)| json!({"type": "function_call_output", "call_id": id, "output": result}),
                    ));
                }
            }
        }
        out["input"] = items.into();
        if !self.tools.is_empty() {
            out["tools"] = self
                .tools
                .iter()
                .map(|t| {
                    let mut tool = json!({"type": "function", "name": t.name, "parameters": t.schema, "strict": false});
                    if let Some(d) = &t.description {
                        tool["description"] = d.clone().into();
                    }
                    tool
                })
                .collect();
        }
        if let Some(choice) = &self.choice {
            out["tool_choice"] = match choice {
                Choice::Named(name) => json!({"type": "function", "name": name}),
                other => word(other).into(),
            };
        }
        if let Some(schema) = &self.schema {
            out["text"] =
                json!({"format": {"type": "json_schema", "name": "answer", "schema": schema, "strict": true}});
        }
    }

    fn messages(&self, out: &mut Value) {
        out["max_tokens"] = self.limit.into();
        if let Some(s) = &self.system {
            out["system"] = s.clone().into();
        }
        let mut messages: Vec<Value> = vec![];
        // Results stand at the head of the turn behind their calls.
        let mut results: Vec<Value> = vec![];
        for turn in &self.turns {
            match turn {
                Turn::User(parts) => {
                    let mut content = std::mem::take(&mut results);
                    content.extend(parts.iter().map(|p| match p {
                        Part::Text(t) => json!({"type": "text", "text": t}),
                        Part::Image(url) => match url.strip_prefix("data:image/png;base64,") {
                            Some(data) => json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}),
                            None => json!({"type": "image", "source": {"type": "url", "url": url}}),
                        },
                        Part::File(name, data) => json!({"type": "document", "title": name, "source": {"type": "base64", "media_type": "application/pdf", "data": data}}),
                    }));
                    messages.push(json!({"role": "user", "content": content}));
                }
                Turn::Assistant(text, calls) => {
                    let mut content = vec![];
                    if !text.is_empty() {
                        content.push(json!({"type": "text", "text": text}));
                    }
                    content.extend(
                        calls
                            .iter()
                            .map(|(id, name, a, _)| json!({"type": "tool_use", "id": id, "name": name, "input": a})),
                    );
                    results = calls
                        .iter()
                        .map(|(id, _, _, result)| json!({"type": "tool_result", "tool_use_id": id, "content": result}))
                        .collect();
                    messages.push(json!({"role": "assistant", "content": content}));
                }
            }
        }
        out["messages"] = messages.into();
        if !self.tools.is_empty() {
            out["tools"] = self
                .tools
                .iter()
                .map(|t| {
                    let mut tool = json!({"name": t.name, "input_schema": t.schema});
                    if let Some(d) = &t.description {
                        tool["description"] = d.clone().into();
                    }
                    tool
                })
                .collect();
        }
        if let Some(choice) = &self.choice {
            let mut chosen = match choice {
                Choice::Auto => json!({"type": "auto"}),
                Choice::Any => json!({"type": "any"}),
                Choice::None => json!({"type": "none"}),
                Choice::Named(name) => json!({"type": "tool", "name": name}),
            };
            if self.one_call {
                chosen["disable_parallel_tool_use"] = true.into();
            }
            out["tool_choice"] = chosen;
        }
        if let Some(schema) = &self.schema {
            out["output_config"] = json!({"format": {"type": "json_schema", "schema": schema}});
        }
    }
}

fn word(choice: &Choice) -> &'static str {
    match choice {
        Choice::Auto => "auto",
        Choice::Any => "required",
        Choice::None => "none",
        Choice::Named(_) => panic!("a name is no word"),
    }
}
