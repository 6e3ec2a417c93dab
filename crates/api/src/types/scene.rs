//! Kinds of requests with the models that serve them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::{ModelName, Name, Span, Temperature};

/// A kind of request with its targets.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scene {
    /// Unique in the policy.
    pub name: Name,
    /// Models at providers, best quality first.
    #[schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub targets: Vec<Target>,
    /// Put on requests that set no limit of their own, so that a cost bound exists.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<i64>,
    /// How to make a request smaller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trim: Option<Trim>,
    /// Answers kept for later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
    /// Checks on an answer; one that fails counts as a provider's failure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["check"]))]
    pub guardrails: Vec<Guardrail>,
}

/// A model at a provider.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Target {
    /// Name of a provider of this policy.
    pub provider: Name,
    /// What goes on the wire. Unset: the model that the caller named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelName>,
}

/// How to make a request smaller.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trim {
    /// Last messages that stay, beside system text and the first user turn.
    #[schemars(range(min = 1, max = 10_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_messages: Option<i32>,
    /// Lower limit on the answer.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<i64>,
    /// Sampling temperature, where the model takes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<Temperature>,
}

/// Answers kept for later.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Cache {
    /// How long an answer is good.
    pub ttl: Span,
    /// When a kept answer is given. Unset: WhenRefused.
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    pub usage: Option<CacheUse>,
}

/// When a kept answer is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum CacheUse {
    /// At its rung of the ladder, or when no provider answers.
    WhenRefused,
    /// Whenever there is one.
    Always,
}

/// A check on an answer.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Guardrail {
    /// What is checked.
    pub check: Check,
}

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Check {
    /// There is some content.
    NotEmpty,
    /// It is valid for the schema that the request asked for.
    JsonSchema,
    /// It was not cut off by the output limit.
    NotTruncated,
}
