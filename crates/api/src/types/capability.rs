//! What a model takes and what it refuses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a model takes on the wire. What is unset is the built-in catalogue's, and a model that it does not know is taken to
/// accept everything. What a model refuses is left out of requests to it and listed in `x-llmroute-dropped`; a request
/// that cannot do without goes to another target.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capabilities {
    /// The member of Chat Completions that limits its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_limit: Option<OutputLimit>,
    /// Which of `temperature`, `top_p` and the like it takes at values other than the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampling>,
    /// Takes stop sequences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<bool>,
    /// Takes a forced tool choice (`any`, `required`, a named tool).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forced_tools: Option<bool>,
    /// Can be told to call one tool at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_tools: Option<bool>,
    /// When it takes tools in Chat Completions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_tools: Option<ChatTools>,
    /// Goes on from a last assistant turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefill: Option<bool>,
    /// How it is told to think.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Thinking>,
    /// Messages: thinks where nothing is said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinks_by_default: Option<bool>,
    /// Messages: how it is told not to think.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_off: Option<ThinkingOff>,
    /// Messages: most tokens of a thinking budget. 0: it takes no budget.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_thinking_budget: Option<i64>,
    /// Levels of effort that it takes.
    #[schemars(length(max = 7), extend("x-kubernetes-list-type" = "set"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub efforts: Option<Vec<Effort>>,
    /// Takes a JSON schema for its answer. Where it does not, a tool stands in for it, between formats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_schema: Option<bool>,
    /// Takes documents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documents: Option<bool>,
    /// Takes audio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<bool>,
}

/// The member that limits an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum OutputLimit {
    /// `max_tokens`.
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
    /// Either.
    Both,
}

/// Sampling parameters at values other than the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
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

/// When a model takes tools in Chat Completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum ChatTools {
    /// Always.
    Always,
    /// With the effort `none` only.
    WithoutThinking,
    /// Never.
    Never,
}

/// How a model is told to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
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

/// How a model is told not to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum ThinkingOff {
    /// `thinking: {type: disabled}`.
    Disabled,
    /// `thinking: {type: between_tools}`.
    BetweenTools,
    /// It always thinks.
    Never,
}

/// A level of effort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Effort {
    /// `none`.
    None,
    /// `minimal`.
    Minimal,
    /// `low`.
    Low,
    /// `medium`.
    Medium,
    /// `high`.
    High,
    /// `xhigh`.
    XHigh,
    /// `max`.
    Max,
}
