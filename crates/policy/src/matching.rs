//! Scene, tier and tenant of a request: hint, then rule, then default.

use std::sync::Arc;

use crate::{
    ask::{Facts, Headers},
    snapshot::{Classify, SceneId, Snapshot, TierId},
};

/// Longest tenant name taken from a header, in bytes; longer ones are cut at a character boundary.
const TENANT_BYTES: usize = 128;

/// What settled a scene or a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A header of the caller.
    Hint,
    /// The rule at this index.
    Rule(usize),
    /// The policy's default.
    Default,
}

/// The outcome of classification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    /// Scene in force and what settled it.
    pub scene: (SceneId, Source),
    /// Tier in force and what settled it.
    pub tier: (TierId, Source),
    /// Tenant, from a hint only.
    pub tenant: Option<Arc<str>>,
    /// Hints that named a scene or tier nobody defines; ignored, and counted by the caller.
    pub unknown_hints: u32,
    /// Rules that failed at run time; they did not match, and are counted by the caller.
    pub failed_rules: u32,
}

/// Classifies one request.
#[must_use]
pub fn classify(snapshot: &Snapshot, facts: &Facts<'_>) -> Matched {
    let Classify { scene_headers, tier_headers, tenant_headers, trust_hints, rules, default_scene, default_tier } =
        &snapshot.classify;
    let trusted = |names| if *trust_hints { names } else { &[][..] };
    let hints = |names| values(trusted(names), facts.headers);

    // A value that nobody defines is ignored, so that the next header may still speak.
    let mut unknown_hints = 0;
    let mut known = |index: Option<usize>| {
        unknown_hints += u32::from(index.is_none());
        index.and_then(|i| u16::try_from(i).ok())
    };
    let scene = hints(scene_headers).find_map(|h| known(snapshot.scenes.iter().position(|s| *s.name == *h)));
    let tier = hints(tier_headers).find_map(|h| known(snapshot.tiers.iter().position(|t| *t.name == *h)));
    let mut scene = scene.map(|i| (SceneId(i), Source::Hint));
    let mut tier = tier.map(|i| (TierId(i), Source::Hint));

    let mut failed_rules = 0;
    let open = if scene.is_none() || tier.is_none() { rules.as_slice() } else { &[] };
    for (i, rule) in open.iter().enumerate() {
        match rule.when.eval(facts) {
            // The first match wins, also where a hint has settled all that it gives.
            Ok(true) => {
                scene = scene.or(rule.scene.map(|s| (s, Source::Rule(i))));
                tier = tier.or(rule.tier.map(|t| (t, Source::Rule(i))));
                break;
            }
            Ok(false) => {}
            Err(_) => failed_rules += 1,
        }
    }
    Matched {
        scene: scene.unwrap_or((*default_scene, Source::Default)),
        tier: tier.unwrap_or((*default_tier, Source::Default)),
        tenant: hints(tenant_headers).next().map(|t| Arc::from(cut(t, TENANT_BYTES))),
        unknown_hints,
        failed_rules,
    }
}

/// Values of the headers called `names`, in that order, without the empty ones.
fn values<'a>(names: &'a [Box<str>], headers: &'a dyn Headers) -> impl Iterator<Item = &'a str> {
    names.iter().filter_map(|n| headers.get(n).map(str::trim).filter(|v| !v.is_empty()))
}

fn cut(text: &str, at: usize) -> &str {
    let mut end = text.len().min(at);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ask::tests::{Rows, facts},
        expr::{Cmp, Expr, Num},
        snapshot::{Rule, tests::snapshot},
    };

    fn tools() -> Expr {
        Expr::Int(Num::Tools, Cmp::Gt, Num::Lit(0))
    }

    #[test]
    fn hint_then_rule_then_default() {
        let mut s = snapshot();
        let with = |rows: &'static [(&'static str, &'static str)]| Facts {
            headers: Box::leak(Box::new(Rows(rows))),
            ..facts()
        };
        let default = classify(&s, &with(&[]));
        assert_eq!((default.scene, default.tier), ((SceneId(0), Source::Default), (TierId(0), Source::Default)));

        s.classify.rules = vec![
            Rule { when: Expr::Const(false), scene: Some(SceneId(0)), tier: None },
            Rule { when: tools(), scene: Some(SceneId(1)), tier: None },
            Rule { when: Expr::Const(true), scene: Some(SceneId(0)), tier: Some(TierId(1)) },
        ];
        let ruled = classify(&s, &with(&[]));
        assert_eq!(ruled.scene, (SceneId(1), Source::Rule(1)), "first match wins");
        assert_eq!(ruled.tier, (TierId(0), Source::Default), "a later rule no longer speaks");

        let hinted =
            classify(&s, &with(&[("x-llmroute-scene", "chat"), ("x-llmroute-tier", "silver"), ("x-tenant", " acme ")]));
        assert_eq!(hinted.scene, (SceneId(0), Source::Hint));
        assert_eq!(hinted.tier, (TierId(1), Source::Hint));
        assert_eq!(hinted.tenant.as_deref(), Some("acme"));

        let unknown = classify(&s, &with(&[("x-llmroute-scene", "nope")]));
        assert_eq!((unknown.scene.1, unknown.unknown_hints), (Source::Rule(1), 1));

        let half = classify(&s, &with(&[("x-llmroute-scene", "chat")]));
        assert_eq!((half.scene, half.tier.1), ((SceneId(0), Source::Hint), Source::Default), "rule 1 won all the same");

        let aliased = classify(&s, &with(&[("x-llmroute-scene", "nope"), ("x-scene", "code"), ("x-tier", "none")]));
        assert_eq!(aliased.scene, (SceneId(1), Source::Hint), "the next header speaks");
        assert_eq!((aliased.tier.1, aliased.unknown_hints), (Source::Default, 2));

        s.classify.trust_hints = false;
        let distrusted = classify(&s, &with(&[("x-llmroute-scene", "chat"), ("x-tenant", "acme")]));
        assert_eq!((distrusted.scene.1, distrusted.tenant, distrusted.unknown_hints), (Source::Rule(1), None, 0));
    }

    #[test]
    fn a_rule_that_fails_is_counted_and_does_not_match() {
        let mut s = snapshot();
        let bad = Expr::Int(Num::Div(Box::new(Num::Lit(1)), Box::new(Num::Lit(0))), Cmp::Eq, Num::Lit(0));
        s.classify.rules = vec![
            Rule { when: bad, scene: Some(SceneId(0)), tier: None },
            Rule { when: tools(), scene: Some(SceneId(1)), tier: None },
        ];
        let m = classify(&s, &facts());
        assert_eq!((m.scene.0, m.failed_rules), (SceneId(1), 1));
    }
}
