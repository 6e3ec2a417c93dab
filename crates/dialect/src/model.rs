//! The neutral model between two formats: what both can say, in plain types. Readers make it, writers take it; no format
//! knows another.

use serde_json::Value;

use crate::usage::Usage;

/// A request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// Instructions, in order.
    pub(crate) system: Vec<Text>,
    /// The conversation.
    pub(crate) turns: Vec<Turn>,
    /// What the model may call.
    pub(crate) tools: Vec<Tool>,
    pub(crate) choice: Option<Choice>,
    /// False: one call at a time.
    pub(crate) parallel: Option<bool>,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) temperature: Option<f64>,
    pub(crate) top_p: Option<f64>,
    pub(crate) top_k: Option<u64>,
    pub(crate) stop: Vec<String>,
    pub(crate) effort: Option<String>,
    pub(crate) thinking_budget: Option<u64>,
    pub(crate) schema: Option<Schema>,
    pub(crate) user: Option<String>,
    pub(crate) stream: bool,
    /// Members that no reader kept, and what writers leave out; paths of the caller's body.
    pub(crate) dropped: Vec<String>,
}

impl Request {
    pub(crate) fn drop_member(&mut self, path: impl Into<String>) {
        let path = path.into();
        if !self.dropped.contains(&path) {
            self.dropped.push(path);
        }
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
    User,
    Assistant,
}

/// One turn.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) role: Role,
    pub(crate) parts: Vec<Part>,
}

/// A part of a turn.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    Text(Text),
    Image(Source),
    Document { source: Source, name: Option<String> },
    Call(Call),
    Result { id: String, content: Vec<Part>, is_error: bool, cache: Option<Value> },
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
}

/// A tool definition.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) schema: Value,
    pub(crate) cache: Option<Value>,
}

/// Which tool is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Auto,
    Any,
    None,
    Named(String),
}

/// A schema for the answer.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    pub(crate) name: Option<String>,
    pub(crate) schema: Value,
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    End,
    Length,
    Tools,
    Refusal,
    Sequence(Option<String>),
    /// Something this version does not know; never told as a clean end.
    Unknown,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) parts: Vec<Part>,
    pub(crate) refusal: Option<String>,
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
