//! The resource itself.

#![allow(clippy::duplicated_attributes, reason = "printer columns of one type are no duplicates")]

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Breaker, Budget, Classify, Cutover, Health, Override, PolicyStatus, Provider, Scene, Tier};
use crate::text::{LabelKey, LabelValue, ObjectName};

/// How a set of pods reaches model providers: accounts, classes of requests and callers, caps on money.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "llmroute.dev",
    version = "v1alpha1",
    kind = "LLMRoutePolicy",
    plural = "llmroutepolicies",
    singular = "llmroutepolicy",
    shortname = "lrp",
    category = "llmroute",
    namespaced,
    status = "PolicyStatus",
    derive = "PartialEq",
    doc = "Routes the model calls of selected pods: providers, scenes, tiers, budgets.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Accepted", type_ = "string", json_path = ".status.conditions[?(@.type=='Accepted')].status"),
    printcolumn(name = "In-Sync", type_ = "integer", json_path = ".status.sidecars.inSync"),
    printcolumn(name = "Sidecars", type_ = "integer", json_path = ".status.sidecars.total"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = "1"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = crate::crd::rules::SPEC.json()))]
pub struct LLMRoutePolicySpec {
    /// Pods of the namespace that get this policy; an empty selector means all that are opted in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<PodSelector>,
    /// Where the providers' keys are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// Provider accounts.
    #[schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub providers: Vec<Provider>,
    /// How a request gets its scene, tier and tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classify: Option<Classify>,
    /// What classes of callers are promised. None at all: one named `default`, objective Quality.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub tiers: Vec<Tier>,
    /// Kinds of requests with the models that serve them.
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub scenes: Vec<Scene>,
    /// Caps on money over sliding windows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub budgets: Vec<Budget>,
    /// When a circuit opens and closes; always on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Breaker>,
    /// When a target counts as unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Moves a scene's traffic in steps when its first target gets worse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cutover: Option<Cutover>,
    /// Decisions by hand, for a time and with a reason; written by `kubectl llmroute` under its own field manager.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub overrides: Vec<Override>,
}

/// Labels that a pod must have.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodSelector {
    /// Labels and their values, all of which must match.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "x-kubernetes-validations" = crate::crd::rules::LABELS.json()))]
    pub match_labels: BTreeMap<String, LabelValue>,
    /// Further requirements, all of which must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub match_expressions: Vec<SelectorRequirement>,
}

/// A requirement on one label.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = crate::crd::rules::SELECTOR.json()))]
pub struct SelectorRequirement {
    /// The label.
    pub key: LabelKey,
    /// How it is compared with `values`.
    pub operator: SelectorOperator,
    /// Values for In and NotIn; none for Exists and DoesNotExist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub values: Vec<LabelValue>,
}

/// Comparison of a label with values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum SelectorOperator {
    /// The label has one of the values.
    In,
    /// The label is absent or has another value.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
}

/// Where the providers' keys are.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// A Secret of the policy's namespace; its keys are files in the sidecar only.
    pub secret_name: ObjectName,
}
