//! Kinds of requests with the models that serve them.

use std::{sync::Arc, time::Duration};

use super::ProviderId;
use crate::catalogue::{ModelFacts, Price};

/// A kind of request with its targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// Unique in the policy.
    pub name: Arc<str>,
    /// Best quality first, at least one.
    pub targets: Vec<Target>,
    /// Put on requests that set no limit of their own.
    pub max_output_tokens: Option<u64>,
    /// How to make a request smaller.
    pub trim: Option<Trim>,
    /// Answers kept.
    pub cache: Option<Cache>,
    /// Checks on an answer.
    pub guardrails: Vec<Guardrail>,
}

/// A model at a provider.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Whose.
    pub provider: ProviderId,
    /// What goes on the wire; `None` sends the caller's.
    pub model: Option<Arc<str>>,
    /// What is known of `model`, from the policy or the catalogue; `None` for an unknown model or none named.
    pub facts: Option<Arc<ModelFacts>>,
}

impl Target {
    /// Price of the target's own model, where known.
    #[must_use]
    pub fn price(&self) -> Option<&Price> {
        self.facts.as_ref().and_then(|f| f.price.as_ref())
    }
}

/// The Trim rung.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trim {
    /// Last messages kept.
    pub keep_messages: Option<u32>,
    /// Lower output limit.
    pub max_output_tokens: Option<u64>,
    /// Lower temperature, in thousandths.
    pub temperature_milli: Option<u32>,
}

/// The answer cache of a scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cache {
    /// How long an answer is good.
    pub ttl: Duration,
    /// Always, rather than only when the request would be refused.
    pub always: bool,
}

/// A check on an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guardrail {
    /// Some content.
    NotEmpty,
    /// Valid for the schema the request asked for.
    JsonSchema,
    /// Not cut off by the output limit.
    NotTruncated,
}
