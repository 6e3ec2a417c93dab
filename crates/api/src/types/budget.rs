//! Caps on money.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::{Name, Ratio, Span, Usd, Window};

/// A cap on money over any window of a length.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = crate::crd::rules::BUDGET.json()))]
pub struct Budget {
    /// Unique in the policy; spent money is kept under it.
    pub name: Name,
    /// Length of the sliding window, 5s to 31d.
    pub window: Window,
    /// The cap.
    pub limit_usd: Usd,
    /// What has a cap of its own. Unset: Policy, one for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Alert from this share on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warn_at: Option<Ratio>,
    /// Cheaper models and trimmed requests from this share on, even if the money fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub degrade_at: Option<Ratio>,
    /// Share of the cap that pods may spend without an operator. Unset: 0.05.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guaranteed: Option<Ratio>,
    /// Longest wait for money that other pods may hold. Unset: 100ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_wait: Option<Span>,
}

/// What has a cap of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Scope {
    /// One cap for all.
    Policy,
    /// Each tenant.
    Tenant,
    /// Each scene.
    Scene,
    /// Each tier.
    Tier,
    /// Each provider.
    Provider,
}
