//! How a request gets its scene, tier and tenant.

use super::{SceneId, TierId};
use crate::expr::Expr;

/// How a request gets its scene, tier and tenant: hint, rule, default.
#[derive(Clone, Debug, PartialEq)]
pub struct Classify {
    /// Header names (lower case) for the scene, `x-llmroute-scene` first; likewise below.
    pub scene_headers: Vec<Box<str>>,
    /// Header names for the tier.
    pub tier_headers: Vec<Box<str>>,
    /// Header names for the tenant.
    pub tenant_headers: Vec<Box<str>>,
    /// False ignores every hint.
    pub trust_hints: bool,
    /// First match wins.
    pub rules: Vec<Rule>,
    /// Where no hint and no rule speaks.
    pub default_scene: SceneId,
    /// Likewise.
    pub default_tier: TierId,
}

/// One `classify` rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// When it applies.
    pub when: Expr,
    /// The scene it gives, if any.
    pub scene: Option<SceneId>,
    /// The tier it gives, if any.
    pub tier: Option<TierId>,
}
