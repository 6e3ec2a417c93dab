//! How a request gets its scene, tier and tenant.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::{HeaderName, Name, When};

/// How a request gets its scene, tier and tenant: hint, rule, default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Classify {
    /// Further header names that give hints, beside `x-llmroute-scene`, `-tier` and `-tenant`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<HintHeaders>,
    /// False ignores every hint. Unset: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_hints: Option<bool>,
    /// Rules over facts of the request; the first match wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub rules: Vec<Rule>,
    /// Where no hint and no rule speaks. Unset: the first scene, and the tier `default` or else the first tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<DefaultClass>,
}

/// Header names by what they hint at.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct HintHeaders {
    /// For the scene.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 8),
        extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = crate::crd::rules::HINTS.json())
    )]
    pub scene: Vec<HeaderName>,
    /// For the tier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 8),
        extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = crate::crd::rules::HINTS.json())
    )]
    pub tier: Vec<HeaderName>,
    /// For the tenant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 8),
        extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = crate::crd::rules::HINTS.json())
    )]
    pub tenant: Vec<HeaderName>,
}

/// A rule: where `when` holds, it gives a scene, a tier or both.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = crate::crd::rules::RULE.json()))]
pub struct Rule {
    /// A CEL condition over `request.path`, `model`, `stream`, `tools`, `images`, `documents`, `messages`, `inputBytes`,
    /// `maxTokens`, `jsonSchema` and `headers`.
    pub when: When,
    /// The scene it gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scene: Option<Name>,
    /// The tier it gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<Name>,
}

/// Where no hint and no rule speaks.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct DefaultClass {
    /// The scene. Unset: the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scene: Option<Name>,
    /// The tier. Unset: the one named `default`, else the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<Name>,
}
