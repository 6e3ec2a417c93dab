//! The three dialects as a caller sees them: what is sent, and where text, errors and signals stand in what comes back.

use serde_json::{Value, json};

use crate::sse::Event;

/// What a caller speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Speech {
    /// OpenAI Chat Completions.
    Chat,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Messages,
}

/// What a stream came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    /// The text, joined.
    pub text: String,
    /// How often an answer began: `message_start`, a chunk with a role, `response.created`.
    pub beginnings: usize,
    /// Terminators: `[DONE]`, `message_stop`, `response.completed` or `response.incomplete`.
    pub ends: usize,
    /// The error events.
    pub errors: Vec<Value>,
    /// Tool calls, each its name and the arguments, joined.
    pub calls: Vec<(String, String)>,
    /// Where each call stands in the answer.
    places: Vec<usize>,
    /// Whose fragment of arguments came when.
    pub fragments: Vec<usize>,
    /// Every `llmroute` member, in order.
    pub signals: Vec<Value>,
    /// What the last usage said: input and output tokens.
    pub usage: Option<(u64, u64)>,
}

impl Speech {
    /// All three.
    pub const ALL: [Speech; 3] = [Speech::Chat, Speech::Responses, Speech::Messages];

    /// Where it is sent.
    pub fn path(self) -> &'static str {
        match self {
            Speech::Chat => "/v1/chat/completions",
            Speech::Responses => "/v1/responses",
            Speech::Messages => "/v1/messages",
        }
    }

    /// A model of the vendor that invented it.
    pub fn model(self) -> &'static str {
        match self {
            Speech::Messages => "claude-sonnet-5-5",
            _ => "gpt-6-sol",
        }
    }

    /// A request with this prompt.
    pub fn body(self, prompt: &str, stream: bool) -> Value {
        let turns = json!([{"role": "user", "content": prompt}]);
        let mut body = match self {
            Speech::Chat => json!({"model": self.model(), "messages": turns}),
            Speech::Responses => json!({"model": self.model(), "input": prompt}),
            Speech::Messages => json!({"model": self.model(), "max_tokens": 256, "messages": turns}),
        };
        if stream {
            body["stream"] = true.into();
        }
        body
    }

    /// The text of a plain answer.
    pub fn text(self, answer: &Value) -> String {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        match self {
            Speech::Chat => answer["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned(),
            Speech::Responses => {
                let parts = list(&answer["output"]).into_iter().flat_map(|item| list(&item["content"]));
                parts.filter_map(|p| p["text"].as_str().map(str::to_owned)).collect()
            }
            Speech::Messages => {
                list(&answer["content"]).iter().filter_map(|b| b["text"].as_str().map(str::to_owned)).collect()
            }
        }
    }

    /// The tool calls of a plain answer, each its name and its arguments.
    pub fn calls(self, answer: &Value) -> Vec<(String, Value)> {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let parsed = |value: &Value| serde_json::from_str(value.as_str().unwrap_or_default()).unwrap_or_default();
        match self {
            Speech::Chat => {
                let calls = list(&answer["choices"][0]["message"]["tool_calls"]);
                calls.iter().map(|c| (text(&c["function"]["name"]), parsed(&c["function"]["arguments"]))).collect()
            }
            Speech::Responses => {
                let items = list(&answer["output"]);
                let calls = items.iter().filter(|i| i["type"] == "function_call");
                calls.map(|c| (text(&c["name"]), parsed(&c["arguments"]))).collect()
            }
            Speech::Messages => {
                let blocks = list(&answer["content"]);
                let calls = blocks.iter().filter(|b| b["type"] == "tool_use");
                calls.map(|c| (text(&c["name"]), c["input"].clone())).collect()
            }
        }
    }

    /// The `error` object of an error answer, `Null` if the envelope is not this dialect's.
    pub fn error(self, answer: &Value) -> Value {
        match self {
            Speech::Messages if answer["type"] != "error" => Value::Null,
            _ if !answer["error"]["message"].is_string() || !answer["error"]["type"].is_string() => Value::Null,
            _ => answer["error"].clone(),
        }
    }

    /// Listens to a stream.
    pub fn listen(self, events: &[Event]) -> Heard {
        let mut heard = Heard::default();
        let mut number = None;
        for event in events {
            let data = event.json();
            if let Some(next) = data["sequence_number"].as_u64() {
                assert_eq!(number.replace(next).map_or(next, |n| n + 1), next, "events are numbered: {}", event.data);
            }
            match self {
                Speech::Chat => chat(event, &data, &mut heard),
                Speech::Responses => responses(event, &data, &mut heard),
                Speech::Messages => messages(event, &data, &mut heard),
            }
            for place in [&data["llmroute"], &data["message"]["llmroute"], &data["response"]["llmroute"]] {
                if !place.is_null() {
                    heard.signals.push(place.clone());
                }
            }
        }
        heard
    }
}

impl Heard {
    /// A call begins by its name, or goes on.
    fn call(&mut self, place: usize, name: Option<&str>, fragment: &Value) {
        if let Some(name) = name {
            self.places.push(place);
            self.calls.push((name.to_owned(), String::new()));
        }
        let call = self.places.iter().position(|p| *p == place).expect("a call that began");
        let fragment = fragment.as_str().unwrap_or_default();
        if !fragment.is_empty() {
            self.calls[call].1.push_str(fragment);
            self.fragments.push(call);
        }
    }
}

/// Where an event says it belongs.
fn place(data: &Value, member: &str) -> usize {
    data[member].as_u64().unwrap_or_default() as usize
}

fn chat(event: &Event, data: &Value, heard: &mut Heard) {
    if event.data == "[DONE]" {
        heard.ends += 1;
    }
    if !data["error"].is_null() {
        heard.errors.push(data["error"].clone());
    }
    let delta = &data["choices"][0]["delta"];
    heard.beginnings += usize::from(delta["role"].is_string());
    heard.text.push_str(delta["content"].as_str().unwrap_or_default());
    for call in delta["tool_calls"].as_array().into_iter().flatten() {
        let at = call["index"].as_u64().unwrap_or_default() as usize;
        heard.call(at, call["function"]["name"].as_str(), &call["function"]["arguments"]);
    }
    if let (Some(i), Some(o)) = (data["usage"]["prompt_tokens"].as_u64(), data["usage"]["completion_tokens"].as_u64()) {
        heard.usage = Some((i, o));
    }
}

fn responses(event: &Event, data: &Value, heard: &mut Heard) {
    assert_eq!(event.name.as_deref(), data["type"].as_str(), "the event's name is its type: {}", event.data);
    match data["type"].as_str().unwrap_or_default() {
        "response.created" => heard.beginnings += 1,
        "response.output_text.delta" => heard.text.push_str(data["delta"].as_str().unwrap_or_default()),
        "response.completed" | "response.incomplete" => heard.ends += 1,
        "response.output_item.added" if data["item"]["type"] == "function_call" => {
            heard.call(place(data, "output_index"), data["item"]["name"].as_str(), &Value::Null);
        }
        "response.function_call_arguments.delta" => {
            heard.call(place(data, "output_index"), None, &data["delta"]);
        }
        "response.function_call_arguments.done" => {
            let whole = data["arguments"].as_str().unwrap_or_default();
            let call = heard.places.iter().position(|p| *p == place(data, "output_index")).expect("a call that began");
            let joined = &mut heard.calls[call].1;
            assert!(joined.is_empty() || joined == whole, "{joined:?} is {whole:?}");
            *joined = whole.to_owned();
        }
        "error" => heard.errors.push(data.clone()),
        "response.failed" => heard.errors.push(data["response"]["error"].clone()),
        _ => {}
    }
    let usage = &data["response"]["usage"];
    if let (Some(i), Some(o)) = (usage["input_tokens"].as_u64(), usage["output_tokens"].as_u64()) {
        heard.usage = Some((i, o));
    }
}

fn messages(event: &Event, data: &Value, heard: &mut Heard) {
    if data.is_null() {
        return;
    }
    assert_eq!(event.name.as_deref(), data["type"].as_str(), "the event's name is its type: {}", event.data);
    match data["type"].as_str().unwrap_or_default() {
        "message_start" => heard.beginnings += 1,
        "content_block_start" if data["content_block"]["type"] == "tool_use" => {
            heard.call(place(data, "index"), data["content_block"]["name"].as_str(), &Value::Null);
        }
        "content_block_delta" if data["delta"]["type"] == "input_json_delta" => {
            heard.call(place(data, "index"), None, &data["delta"]["partial_json"]);
        }
        "content_block_delta" => heard.text.push_str(data["delta"]["text"].as_str().unwrap_or_default()),
        "message_stop" => heard.ends += 1,
        "error" => heard.errors.push(data["error"].clone()),
        "message_delta" => {
            if let (Some(i), Some(o)) =
                (data["usage"]["input_tokens"].as_u64(), data["usage"]["output_tokens"].as_u64())
            {
                heard.usage = Some((i, o));
            }
        }
        _ => {}
    }
}
