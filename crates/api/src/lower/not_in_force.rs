//! Fields that are accepted and have no effect yet, each with what does not happen.

use policy::snapshot::NotInForce;

use crate::types::{LLMRoutePolicySpec, Provider, Scene, Tier};

/// One entry a field that the policy has.
pub(super) fn list(spec: &LLMRoutePolicySpec) -> Vec<NotInForce> {
    let mut found = Found(Vec::new());
    for (i, provider) in spec.providers.iter().enumerate() {
        found.provider(&format!("spec.providers[{i}]"), provider);
    }
    for (i, tier) in spec.tiers.iter().enumerate() {
        found.tier(&format!("spec.tiers[{i}]"), tier);
    }
    for (i, scene) in spec.scenes.iter().enumerate() {
        found.scene(&format!("spec.scenes[{i}]"), scene);
    }
    found.note(spec.health.is_some(), "spec.health", "no health score orders targets; circuits do their part");
    found.note(spec.cutover.is_some(), "spec.cutover", "traffic does not move in steps");
    found.note(!spec.overrides.is_empty(), "spec.overrides", "decisions by hand are not obeyed");
    found.0
}

struct Found(Vec<NotInForce>);

impl Found {
    fn note(&mut self, present: bool, path: impl Into<String>, effect: &'static str) {
        if present {
            self.0.push(NotInForce { path: path.into(), effect });
        }
    }

    fn provider(&mut self, path: &str, provider: &Provider) {
        let bounded = provider.limits.as_ref().is_some_and(|l| l.concurrency.is_some());
        let effect = "the number of requests in flight is not limited";
        self.note(bounded, format!("{path}.limits.concurrency"), effect);
        self.note(provider.probe.is_some(), format!("{path}.probe"), "the provider is judged by real traffic alone");
    }

    fn tier(&mut self, path: &str, tier: &Tier) {
        self.note(tier.hedge.is_some(), format!("{path}.hedge"), "no second try starts before the first has failed");
        self.note(tier.slo.is_some(), format!("{path}.slo"), "no error budget is kept");
    }

    fn scene(&mut self, path: &str, scene: &Scene) {
        self.note(!scene.guardrails.is_empty(), format!("{path}.guardrails"), "answers are not checked");
    }
}
