//! Circuits, health, cutover, and decisions by hand.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Target;
use crate::text::{Instant, ModelName, Name, Ratio, Reason, Share, Span};

/// When a circuit opens and closes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = crate::crd::rules::BREAKER.json()))]
pub struct Breaker {
    /// Failures in a row that open it. Unset: 5.
    #[schemars(range(min = 1, max = 10_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_failures: Option<i32>,
    /// Share of failures that opens it. Unset: 0.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_ratio: Option<Share>,
    /// Outcomes in the window before the share speaks. Unset: 20.
    #[schemars(range(min = 1, max = 1_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_requests: Option<i32>,
    /// First time open; longer each time after. Unset: 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_for: Option<Span>,
    /// Tries let through when half-open. Unset: 3.
    #[schemars(range(min = 1, max = 100))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub half_open_probes: Option<i32>,
    /// Successes among them that close it. Unset: 2.
    #[schemars(range(min = 1, max = 100))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub close_after: Option<i32>,
}

/// When a target counts as unhealthy.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Score below which a target stands behind the healthy ones. Unset: 65.
    #[schemars(range(min = 0, max = 100))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unhealthy_below: Option<i32>,
    /// Outcomes in the window before the score speaks. Unset: 20.
    #[schemars(range(min = 1, max = 1_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_requests: Option<i32>,
}

/// Moves a scene's traffic in steps when its first target gets worse.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = crate::crd::rules::CUTOVER.json()))]
pub struct Cutover {
    /// Share that moves to the next target at first. Unset: 0.20.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft_shift: Option<Ratio>,
    /// Failure ratio from which on it moves. Unset: 0.03.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch_at: Option<Ratio>,
    /// Failure ratio from which on all of it moves. Unset: 0.12.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hard_cut_at: Option<Ratio>,
    /// How long it then stays away. Unset: 10m.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freeze: Option<Span>,
    /// Shares in which it comes back, rising to 1. Unset: 0.1, 0.3, 0.5, 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = crate::crd::rules::STEPS.json())
    )]
    pub return_steps: Vec<Ratio>,
    /// How long each step lasts. Unset: 15m.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_for: Option<Span>,
}

/// A decision by hand, for a time and with a reason.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = crate::crd::rules::OVERRIDE.json()))]
pub struct Override {
    /// Unique in the policy.
    pub name: Name,
    /// Why; shown wherever the override shows.
    pub reason: Reason,
    /// When it ends, such as `2027-01-31T18:00:00Z`.
    pub until: Instant,
    /// Sends nothing to a provider, or to one of its models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_circuit: Option<OpenCircuit>,
    /// Gives a scene this order of targets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
}

/// A circuit that is held open.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct OpenCircuit {
    /// Name of a provider of this policy.
    pub provider: Name,
    /// One of its models. Unset: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelName>,
}

/// An order of targets.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Order {
    /// Name of a scene of this policy.
    pub scene: Name,
    /// First to last.
    #[schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub targets: Vec<Target>,
}
