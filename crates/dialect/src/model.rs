//! The neutral model between two formats: what both can say, in plain types. Readers make it, writers take it; no format
//! knows another.

use serde_json::{Map, Value};

use crate::usage::Usage;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// What the caller calls things, for reports.
    pub(crate) words: &'static Words,
    /// Instructions ahead of the conversation, in order.
    pub(crate) system: Vec<Text>,
    /// The conversation.
    pub(crate) turns: Vec<Turn>,
    /// What the model may call.
    pub(crate) tools: Vec<Tool>,
    /// Names of tools that the caller has for free text; here they take it as their one argument.
    pub(crate) free: Vec<String>,
    /// Tools of the caller that stand in a group, by both names as one, and the group's name.
    pub(crate) groups: Vec<(String, String)>,
    pub(crate) choice: Option<Choice>,
    /// False: one call at a time.
    pub(crate) parallel: Option<bool>,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) temperature: Option<f64>,
    pub(crate) top_p: Option<f64>,
    pub(crate) top_k: Option<u64>,
    pub(crate) stop: Vec<String>,
    pub(crate) effort: Option<String>,
    pub(crate) thinking: Option<Thinking>,
    /// Responses: members that ask for a summary of the thoughts.
    pub(crate) summary: Vec<&'static str>,
    pub(crate) schema: Option<Schema>,
    /// The answer is any JSON object; only OpenAI can be asked for it.
    pub(crate) json_object: bool,
    /// How long the answer should be, in OpenAI's words.
    pub(crate) verbosity: Option<String>,
    pub(crate) user: Option<String>,
    /// Members that both APIs of OpenAI have, under one name and meaning; [`SHARED`].
    pub(crate) shared: Map<String, Value>,
    pub(crate) stream: bool,
    /// Members that no reader kept, and what writers leave out; paths of the caller's body.
    pub(crate) dropped: Vec<String>,
}

/// Members of a caller's body by its dialect's own names; empty where it has none.
#[derive(Debug)]
pub(crate) struct Words {
    pub(crate) system: &'static str,
    pub(crate) limit: &'static str,
    pub(crate) stop: &'static str,
    pub(crate) effort: &'static str,
    pub(crate) format: &'static str,
    pub(crate) verbosity: &'static str,
    pub(crate) user: &'static str,
    /// One call at a time.
    pub(crate) parallel: &'static str,
    /// Of a tool.
    pub(crate) strict: &'static str,
    /// Of an image.
    pub(crate) detail: &'static str,
    /// Of a document.
    pub(crate) file_name: &'static str,
    /// Of a tool result.
    pub(crate) is_error: &'static str,
}

/// Members that Chat and Responses have in common (openai-python 3.57, `completion_create_params.py`,
/// `response_create_params.py`). `store` is not among them: each keeps something else.
pub(crate) const SHARED: [&str; 7] = [
    "metadata",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "user",
];

impl Request {
    pub(crate) fn new(words: &'static Words) -> Request {
        Request {
            words,
            system: vec![],
            turns: vec![],
            tools: vec![],
            free: vec![],
            groups: vec![],
            choice: None,
            parallel: None,
            max_tokens: None,
            temperature: None,
            top_p: None,
            top_k: None,
            stop: vec![],
            effort: None,
            thinking: None,
            summary: vec![],
            schema: None,
            json_object: false,
            verbosity: None,
            user: None,
            shared: Map::new(),
            stream: false,
            dropped: vec![],
        }
    }

    pub(crate) fn drop_member(&mut self, path: impl Into<String>) {
        let path = path.into();
        if !self.dropped.contains(&path) {
            self.dropped.push(path);
        }
    }

    /// Keeps a member of [`SHARED`]; one that says no more than the default is none.
    pub(crate) fn share(&mut self, name: String, value: Value) {
        match (name.as_str(), &value) {
            ("metadata", Value::Object(map)) if map.is_empty() => return,
            ("service_tier", Value::String(tier)) if tier == "auto" || tier == "default" => return,
            ("safety_identifier", Value::String(id)) => self.user = Some(id.clone()),
            ("user", Value::String(id)) if self.user.is_none() => self.user = Some(id.clone()),
            _ => {}
        }
        self.shared.insert(name, value);
    }

    /// Lets only the tools of these names be called; the others are offered no longer. One without a name is not the
    /// caller's, and is listed by its place in the list `at`.
    pub(crate) fn allow(&mut self, names: &[Option<&str>], at: &str) {
        self.tools.retain(|t| names.contains(&Some(t.name.as_str())));
        let unnamed = names.iter().enumerate().filter(|(_, name)| name.is_none());
        unnamed.for_each(|(i, _)| self.drop_member(format!("{at}[{i}]")));
    }
}

/// A piece of text, with the caller's cache mark.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) cache: Option<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Instructions in the midst of the conversation.
    System,
    User,
    Assistant,
}

/// One turn.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) role: Role,
    pub(crate) parts: Vec<Part>,
    /// Its path in the caller's body.
    pub(crate) at: String,
}

/// A part of a turn.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    Text(Text),
    /// The assistant declines, in words.
    Refusal(String),
    /// What the assistant thought.
    Thought(Thought),
    Image(Media),
    Document {
        media: Media,
        name: Option<String>,
    },
    Call(Call),
    Result(ToolResult),
}

/// A thought.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Thought {
    /// What may be shown of it; possibly nothing.
    pub(crate) text: String,
    pub(crate) seal: Option<Seal>,
    /// The provider whose seal it is, as the policy names it; empty where that is not known.
    pub(crate) by: String,
    /// Its path in the caller's body; empty in an answer.
    pub(crate) at: String,
}

/// A provider's proof of a thought, which only the provider itself can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seal {
    /// Of a Messages `thinking` block.
    Signature(String),
    /// The whole of a Messages `redacted_thinking` block.
    Redacted(String),
    /// Of a Responses `reasoning` item, with its id.
    Encrypted { id: String, content: String },
}

/// An image or a document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Media {
    pub(crate) source: Source,
    /// How closely to look, where the caller says so.
    pub(crate) detail: Option<String>,
    pub(crate) cache: Option<Value>,
    /// Its path in the caller's body.
    pub(crate) at: String,
}

/// Where media is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    Url(String),
    Base64 { media_type: String, data: String },
}

/// A tool call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) name: String,
    /// An object.
    pub(crate) arguments: Value,
    pub(crate) cache: Option<Value>,
    /// Its path in the caller's body; empty in an answer.
    pub(crate) at: String,
}

/// What a tool answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ToolResult {
    /// Of the call.
    pub(crate) id: String,
    pub(crate) content: Vec<Part>,
    pub(crate) is_error: bool,
    pub(crate) cache: Option<Value>,
    /// Its path in the caller's body.
    pub(crate) at: String,
}

/// A tool definition.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    /// A schema of an object.
    pub(crate) schema: Value,
    /// Whether arguments must fit the schema exactly, where the caller says so.
    pub(crate) strict: Option<bool>,
    pub(crate) cache: Option<Value>,
    /// Its path in the caller's body.
    pub(crate) at: String,
}

/// Which tool is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Auto,
    Any,
    None,
    Named(String),
}

/// Thinking, as Messages asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thinking {
    /// As much as the model likes.
    Adaptive,
    /// At most so many tokens.
    Budget(u64),
    /// Not at all, or only between tools.
    Off,
}

/// A schema for the answer.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    pub(crate) name: Option<String>,
    pub(crate) schema: Value,
    /// Whether it binds, where the caller says so; between the APIs of OpenAI alone, elsewhere it always does.
    pub(crate) strict: Option<bool>,
}

/// Why an answer ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stop {
    End,
    Length,
    Tools,
    Refusal,
    Sequence(Option<String>),
    /// Something this version does not know; never told as a clean end.
    #[default]
    Unknown,
}

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) parts: Vec<Part>,
    pub(crate) stop: Stop,
    pub(crate) usage: Option<Usage>,
}

/// A step of a streamed answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Start {
        id: String,
        model: String,
    },
    Text(String),
    Refusal(String),
    Thought(String),
    /// The thought is over.
    ThoughtEnd(Option<Seal>),
    /// A call begins; `key` tells parallel ones apart.
    CallStart {
        key: u64,
        id: String,
        name: String,
    },
    CallArguments {
        key: u64,
        text: String,
    },
    Stop(Stop),
    Usage(Usage),
    Error(Box<crate::Fault>),
    End,
}
