//! What the operator tells about a policy.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator tells about a policy.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStatus {
    /// The generation that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Stalled, Accepted, CredentialsReady, Programmed, BudgetAvailable, SloMet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Sidecars of the selected pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sidecars: Option<SidecarStatus>,
    /// Providers that most sidecars found failing which tried them lately, or that asked one to wait.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub providers: Vec<ProviderStatus>,
    /// Money spent in the present window.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub budgets: Vec<BudgetStatus>,
    /// How often the ledger of caps that pods share went to a new lender. With it, a ledger that is gone is known to be lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger_term: Option<i64>,
    /// What is left of each tier's error budget.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["tier"]))]
    pub error_budgets: Vec<ErrorBudgetStatus>,
}

/// Sidecars of the selected pods.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SidecarStatus {
    /// All.
    pub total: i32,
    /// Those that run the observed generation.
    pub in_sync: i32,
    /// Selected pods that have no sidecar, or one that does not fit this policy.
    pub missing: i32,
    /// Those that refused the observed generation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["pod"]))]
    pub rejected: Vec<Rejection>,
}

/// A sidecar that refused a policy.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Rejection {
    /// Its pod.
    pub pod: String,
    /// Why.
    pub message: String,
}

/// Health of a provider.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct ProviderStatus {
    /// Its name.
    pub name: String,
    /// 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<i32>,
    /// Closed, Open or HalfOpen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circuit: Option<String>,
    /// Normal, SoftShift, HardCut or Return.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
}

/// Money of a budget.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetStatus {
    /// Its name.
    pub name: String,
    /// Spent in the present window, or held by requests under way, over all pods; of a scoped budget, by the value nearest its
    /// limit. What pods drew of their guaranteed shares is not in it.
    pub spent_usd: String,
    /// The cap.
    pub limit_usd: String,
    /// Lent to pods and not used now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lent_usd: Option<String>,
    /// Held by nobody knows whom, and waited out: of pods that fell silent, or of a lender before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown_usd: Option<String>,
    /// Above the cap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debt_usd: Option<String>,
    /// Of a scoped budget: which value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Until the next part of what is spent leaves the window, as far as the lender knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_free_seconds: Option<i64>,
}

/// Error budget of a tier.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct ErrorBudgetStatus {
    /// The tier.
    pub tier: String,
    /// Share that is left, such as `0.82`.
    pub remaining: String,
}
