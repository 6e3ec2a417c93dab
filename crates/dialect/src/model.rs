//! The neutral model between two formats: what both can say, in plain types. Readers make it, writers take it; no format
//! knows another.

use serde_json::Value;

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
    pub(crate) schema: Option<Schema>,
    pub(crate) user: Option<String>,
    pub(crate) stream: bool,
    /// Members that no reader kept, and what writers leave out; paths of the caller's body.
    pub(crate) dropped: Vec<String>,
}

/// Members of a caller's body by its dialect's own names.
#[derive(Debug)]
pub(crate) struct Words {
    pub(crate) stop: &'static str,
    pub(crate) effort: &'static str,
    pub(crate) is_error: &'static str,
    pub(crate) user: &'static str,
}

impl Request {
    pub(crate) fn new(words: &'static Words) -> Request {
        Request {
            words,
            system: vec![],
            turns: vec![],
            tools: vec![],
            choice: None,
            parallel: None,
            max_tokens: None,
            temperature: None,
            top_p: None,
            top_k: None,
            stop: vec![],
            effort: None,
            thinking: None,
            schema: None,
            user: None,
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
    Image(Media),
    Document { media: Media, name: Option<String> },
    Call(Call),
    Result(ToolResult),
}

/// An image or a document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Media {
    pub(crate) source: Source,
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
