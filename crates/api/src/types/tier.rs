//! What classes of callers are promised.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::{Name, Percent, Ratio, Span, Usd, Window};

/// What a class of callers is promised.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tier {
    /// Unique in the policy.
    pub name: Name,
    /// What orders the candidates. Unset: Quality.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective: Option<Objective>,
    /// What the caller is promised; unset timeouts derive from it. Unset: 5m.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sla: Option<Span>,
    /// Bounds on time; each is taken as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Timeouts>,
    /// How often and how fast to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<Retries>,
    /// A second try before the first has failed; only where set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedge: Option<Hedge>,
    /// Cap on one request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost_usd: Option<Usd>,
    /// True leaves out a target that would lose something in translation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict_translation: Option<bool>,
    /// What happens when a budget is spent, top to bottom. Unset: Reject.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 5),
        extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = crate::crd::rules::LADDER.json())
    )]
    pub over_budget: Vec<Rung>,
    /// What is promised over a month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slo: Option<Slo>,
}

/// What orders the candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Objective {
    /// The scene's own order.
    Quality,
    /// Cheapest first.
    Cost,
    /// Fastest first.
    Latency,
}

/// Bounds on time of one request.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// TCP. Unset: 2s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<Span>,
    /// TLS handshake. Unset: 2s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Span>,
    /// To the first content of a stream, or the headers of a plain answer. Unset: 20% of `sla`; plain calls half of `total`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<Span>,
    /// Between events or reads from then on. Unset: half of `sla`, at most 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<Span>,
    /// To the first content of a stream, or the last byte of a plain answer. Unset: 60% of `sla`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<Span>,
}

/// How often and how fast to try again.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = crate::crd::rules::RETRIES.json()))]
pub struct Retries {
    /// Every try of one request, the first included. Unset: 3.
    #[schemars(range(min = 1, max = 20))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i32>,
    /// Base of the full-jitter backoff. Unset: 200ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Span>,
    /// Longest backoff. Unset: 5s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cap: Option<Span>,
    /// Repeats on the same provider as a share of its successes. Unset: 0.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_ratio: Option<Ratio>,
}

/// A second try before the first has failed.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hedge {
    /// Without content after this long, a second try starts.
    pub after: Span,
    /// At most this much for the second try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost_usd: Option<Usd>,
    /// At most this share of requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_share: Option<Ratio>,
}

/// A rung of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Rung {
    /// The scene's cheaper targets.
    CheaperModel,
    /// A smaller request, as the scene's `trim` says.
    Trim,
    /// An answer from before, as the scene's `cache` says.
    Cache,
    /// Wait in line for the money.
    Queue,
    /// A clear no.
    Reject,
}

/// Service level objective.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Slo {
    /// Percentage of requests that succeed.
    pub success_rate: Percent,
    /// Bound on the 95th percentile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p95: Option<Span>,
    /// Over this long. Unset: 30d.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
}
