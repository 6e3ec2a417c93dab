//! What a request asks of the model, whichever API it came through.

use serde_json::Value;

use crate::catalog::Model;

/// A request as the pretend model sees it.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) model: &'static Model,
    /// The name to echo.
    pub(crate) name: String,
    pub(crate) stream: bool,
    /// The last thing the user said.
    pub(crate) prompt: String,
    /// Tool results, if the conversation ends with them.
    pub(crate) results: Vec<String>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) choice: Choice,
    pub(crate) parallel: bool,
    pub(crate) format: Format,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) stop: Vec<String>,
    pub(crate) n: usize,
    pub(crate) thinking: Option<Thinking>,
    pub(crate) images: u64,
    pub(crate) input: Input,
    pub(crate) tier: Tier,
}

impl Ask {
    /// A request that says nothing yet.
    pub(crate) fn new(model: &'static Model, name: &str) -> Ask {
        Ask {
            model,
            name: name.to_owned(),
            stream: false,
            prompt: String::new(),
            results: Vec::new(),
            tools: Vec::new(),
            choice: Choice::Auto,
            parallel: true,
            format: Format::Text,
            max_tokens: None,
            stop: Vec::new(),
            n: 1,
            thinking: None,
            images: 0,
            input: Input::default(),
            tier: Tier::Standard,
        }
    }
}

/// A tool that the caller runs.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) schema: Value,
    /// Takes free text instead of JSON (Responses custom tools).
    pub(crate) custom: bool,
    /// The group it stands in (Responses namespaces).
    pub(crate) namespace: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Auto,
    None,
    Required,
    Named(String),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Format {
    Text,
    AnyObject,
    Schema(Value),
}

/// Reasoning that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Thinking {
    /// How many words of it.
    pub(crate) words: usize,
    /// Whether the caller may read them.
    pub(crate) shown: bool,
}

/// Tokens of the prompt, by the simulator's own count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Input {
    /// All of them.
    pub(crate) total: u64,
    /// Of these, read from the prompt cache.
    pub(crate) cached: u64,
    /// Of these, written to the cache with the short lifetime.
    pub(crate) write: u64,
    /// Of these, written to the cache with the long lifetime.
    pub(crate) write_long: u64,
    /// Of these, pictures.
    pub(crate) images: u64,
}

/// The service tier that is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    Standard,
    Flex,
    Priority,
    Ultrafast,
}

impl Tier {
    /// The tier as OpenAI names it in an answer.
    pub(crate) fn openai_name(self) -> &'static str {
        match self {
            Tier::Standard => "default",
            Tier::Flex => "flex",
            Tier::Priority => "priority",
            Tier::Ultrafast => "ultrafast",
        }
    }

    /// The tier that an OpenAI `service_tier` asks for.
    pub(crate) fn from_openai(name: Option<&str>) -> Tier {
        match name {
            Some("flex") => Tier::Flex,
            Some("priority" | "fast") => Tier::Priority,
            Some("ultrafast") => Tier::Ultrafast,
            _ => Tier::Standard,
        }
    }
}
