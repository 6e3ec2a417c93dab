//! What a policy says that a model takes or refuses. The built-in facts stand with the formats that they are about; each
//! one said here wins over its.

/// What a policy says of one model; what is `None` is as the built-in catalogue has it, and else taken to be accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Chat: the member that limits its answer.
    pub output_limit: Option<OutputLimit>,
    /// Which sampling parameters it takes at values other than the default.
    pub sampling: Option<Sampling>,
    /// Takes stop sequences.
    pub stop: Option<bool>,
    /// Takes a forced tool choice.
    pub forced_tools: Option<bool>,
    /// Can be told to call one tool at a time.
    pub parallel_tools: Option<bool>,
    /// Chat: when it takes tools.
    pub chat_tools: Option<ChatTools>,
    /// Goes on from a last assistant turn.
    pub prefill: Option<bool>,
    /// How it is told to think.
    pub thinking: Option<Thinking>,
    /// Messages: thinks where nothing is said of it.
    pub thinks_by_default: Option<bool>,
    /// Messages: how it is told not to think.
    pub thinking_off: Option<ThinkingOff>,
    /// Messages: most tokens of a thinking budget; 0: it takes none.
    pub max_thinking_budget: Option<u64>,
    /// Levels of effort that it takes.
    pub efforts: Option<Vec<Effort>>,
    /// Takes a JSON schema for its answer.
    pub json_schema: Option<bool>,
    /// Takes documents.
    pub documents: Option<bool>,
    /// Takes audio.
    pub audio: Option<bool>,
}

/// Chat: the member that limits an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputLimit {
    /// `max_tokens`.
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
    /// Either.
    Both,
}

/// Sampling parameters at values other than the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// All.
    All,
    /// Not `temperature` together with `top_p`.
    OneOf,
    /// With the effort `none` only.
    WithoutThinking,
    /// None.
    None,
}

/// Chat: when a model takes tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChatTools {
    /// Always.
    Always,
    /// With the effort `none` only.
    WithoutThinking,
    /// Never.
    Never,
}

/// How a model is told to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thinking {
    /// Not at all.
    None,
    /// By an effort, as OpenAI has it.
    Effort,
    /// By a budget, as Anthropic had it.
    Budget,
    /// Adaptively, as Anthropic has it.
    Adaptive,
}

/// Messages: how a model is told not to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThinkingOff {
    /// `thinking: {type: disabled}`
    Disabled,
    /// `thinking: {type: between_tools}`
    BetweenTools,
    /// It always thinks.
    Never,
}

/// A level of effort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// `none`
    None,
    /// `minimal`
    Minimal,
    /// `low`
    Low,
    /// `medium`
    Medium,
    /// `high`
    High,
    /// `xhigh`
    XHigh,
    /// `max`
    Max,
}

impl Capabilities {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Capabilities::default()
    }
}
