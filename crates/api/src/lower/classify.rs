//! Classification: hint headers, rules, defaults.

use std::sync::Arc;

use policy::{
    expr::Expr,
    snapshot::{self as snap, SceneId, TierId},
};

use super::resolve;
use crate::{
    fault::Faults,
    text::{self, HeaderName, Name},
    types::{Classify, DefaultClass, HintHeaders, Rule},
    when,
};

/// The names that a policy defines.
struct Names {
    scenes: Vec<Arc<str>>,
    tiers: Vec<Arc<str>>,
}

pub(super) fn classify(
    classify: Classify,
    scenes: &[snap::Scene],
    tiers: &[snap::Tier],
    faults: &mut Faults,
) -> snap::Classify {
    let Classify { headers, trust_hints, rules, default } = classify;
    let HintHeaders { scene, tier, tenant } = headers.unwrap_or_default();
    let names = Names {
        scenes: scenes.iter().map(|s| s.name.clone()).collect(),
        tiers: tiers.iter().map(|t| t.name.clone()).collect(),
    };
    let DefaultClass { scene: default_scene, tier: default_tier } = default.unwrap_or_default();
    let default_name = names.tiers.iter().position(|t| **t == *"default").unwrap_or(0);
    snap::Classify {
        scene_headers: hints("scene", &scene, faults),
        tier_headers: hints("tier", &tier, faults),
        tenant_headers: hints("tenant", &tenant, faults),
        trust_hints: trust_hints.unwrap_or(true),
        rules: rules
            .iter()
            .enumerate()
            .map(|(i, r)| rule(r, &format!("spec.classify.rules[{i}]"), &names, faults))
            .collect(),
        default_scene: names.scene(default_scene.as_ref(), "spec.classify.default.scene", faults).unwrap_or(SceneId(0)),
        default_tier: names
            .tier(default_tier.as_ref(), "spec.classify.default.tier", faults)
            .unwrap_or(TierId(super::count(default_name))),
    }
}

impl Names {
    fn scene(&self, name: Option<&Name>, path: &str, faults: &mut Faults) -> Option<SceneId> {
        name.map(|name| SceneId(resolve(name, &self.scenes, "spec.scenes", path, faults)))
    }

    fn tier(&self, name: Option<&Name>, path: &str, faults: &mut Faults) -> Option<TierId> {
        name.map(|name| TierId(resolve(name, &self.tiers, "spec.tiers", path, faults)))
    }
}

/// Our own header first, then those of the policy.
fn hints(what: &str, further: &[HeaderName], faults: &mut Faults) -> Vec<Box<str>> {
    let mut headers: Vec<Box<str>> = vec![format!("x-llmroute-{what}").into()];
    for (i, name) in further.iter().enumerate() {
        if text::reserved_header(name) {
            let path = format!("spec.classify.headers.{what}[{i}]");
            faults.add(path, format!("{} is not for hints", &**name), "name a header of your own, such as x-tenant");
        }
        headers.push(name.to_ascii_lowercase().into());
    }
    headers
}

fn rule(rule: &Rule, path: &str, names: &Names, faults: &mut Faults) -> snap::Rule {
    let Rule { when, scene, tier } = rule;
    if scene.is_none() && tier.is_none() {
        faults.add(format!("{path}.scene"), "the rule gives neither scene nor tier", "add scene, tier or both");
    }
    let when = when::compile(when).unwrap_or_else(|message| {
        let remedy = "write a CEL condition such as request.tools > 0";
        faults.add(format!("{path}.when"), format!("does not compile: {message}"), remedy);
        Expr::Const(false)
    });
    snap::Rule {
        when,
        scene: names.scene(scene.as_ref(), &format!("{path}.scene"), faults),
        tier: names.tier(tier.as_ref(), &format!("{path}.tier"), faults),
    }
}
