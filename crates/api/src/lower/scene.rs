//! Scenes: targets with what is known of their models.

use std::sync::Arc;

use policy::snapshot::{self as snap, ProviderId};

use super::{count, resolve, span};
use crate::{
    fault::Faults,
    text,
    types::{Cache, CacheUse, Check, Guardrail, Scene, Target, Trim},
};

pub(super) fn all(scenes: &[Scene], providers: &[snap::Provider], faults: &mut Faults) -> Vec<snap::Scene> {
    let names: Vec<Arc<str>> = providers.iter().map(|p| p.name.clone()).collect();
    let one = |(i, s)| scene(s, &format!("spec.scenes[{i}]"), providers, &names, faults);
    scenes.iter().enumerate().map(one).collect()
}

fn scene(
    scene: &Scene,
    path: &str,
    providers: &[snap::Provider],
    names: &[Arc<str>],
    faults: &mut Faults,
) -> snap::Scene {
    let Scene { name, targets, max_output_tokens, trim, cache, guardrails } = scene;
    let target = |(i, target): (usize, &Target)| {
        let id = resolve(&target.provider, names, "spec.providers", &format!("{path}.targets[{i}].provider"), faults);
        let owner = providers.get(usize::from(id));
        snap::Target {
            provider: ProviderId(id),
            model: target.model.as_deref().map(Into::into),
            facts: owner.zip(target.model.as_deref()).and_then(|(owner, model)| owner.facts(model)).map(Arc::new),
        }
    };
    snap::Scene {
        name: (**name).into(),
        targets: targets.iter().enumerate().map(target).collect(),
        max_output_tokens: max_output_tokens.map(count),
        trim: trim.as_ref().map(self::trim),
        cache: cache.as_ref().map(self::cache),
        guardrails: guardrails.iter().map(guardrail).collect(),
    }
}

fn trim(trim: &Trim) -> snap::Trim {
    let Trim { keep_messages, max_output_tokens, temperature } = trim;
    snap::Trim {
        keep_messages: keep_messages.map(count),
        max_output_tokens: max_output_tokens.map(count),
        temperature_milli: temperature.as_deref().and_then(text::temperature_milli),
    }
}

fn cache(cache: &Cache) -> snap::Cache {
    let Cache { ttl, usage } = cache;
    snap::Cache { ttl: span(ttl), always: matches!(usage, Some(CacheUse::Always)) }
}

fn guardrail(guardrail: &Guardrail) -> snap::Guardrail {
    match guardrail.check {
        Check::NotEmpty => snap::Guardrail::NotEmpty,
        Check::JsonSchema => snap::Guardrail::JsonSchema,
        Check::NotTruncated => snap::Guardrail::NotTruncated,
    }
}
