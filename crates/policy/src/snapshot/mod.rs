//! The validated, immutable picture of one policy: plain data with names resolved to indexes and strings to numbers.
//!
//! Made by `api::lower` only; nothing inside checks twice.

mod classify;
mod guard;
mod provider;
mod scene;
mod tier;

use std::sync::Arc;

pub use classify::*;
pub use guard::*;
pub use provider::*;
pub use scene::*;
pub use tier::*;

/// One policy in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// `namespace/name` of the resource.
    pub name: Arc<str>,
    /// `metadata.generation`, where the manifest has one.
    pub generation: Option<i64>,
    /// In the policy's order, at least one.
    pub providers: Vec<Provider>,
    /// How a request gets its scene, tier and tenant.
    pub classify: Classify,
    /// At least one.
    pub tiers: Vec<Tier>,
    /// At least one.
    pub scenes: Vec<Scene>,
    /// Caps on money.
    pub budgets: Vec<Budget>,
    /// When a circuit opens and closes.
    pub breaker: Breaker,
    /// When a target counts as unhealthy.
    pub health: Health,
    /// Fields that the policy has and this version does not act on yet; told, never silently ignored.
    pub not_in_force: Vec<NotInForce>,
}

impl Snapshot {
    /// The provider at `id`; ids come from this snapshot alone.
    #[must_use]
    pub fn provider(&self, id: ProviderId) -> &Provider {
        &self.providers[usize::from(id.0)]
    }

    /// The first provider of an API, in the policy's order, that a scene names and that keeps what apps refer to.
    #[must_use]
    pub fn first_of(&self, api: Api, scene: SceneId) -> Option<ProviderId> {
        let named = self.scene(scene).targets.iter().map(|t| t.provider);
        named.filter(|p| self.provider(*p).keeps(api)).min_by_key(|p| p.0)
    }

    /// The scene at `id`.
    #[must_use]
    pub fn scene(&self, id: SceneId) -> &Scene {
        &self.scenes[usize::from(id.0)]
    }

    /// The models that targets name at a provider, each once, in the policy's order.
    #[must_use]
    pub fn models(&self, provider: ProviderId) -> Vec<&Arc<str>> {
        let mut models = vec![];
        for target in self.scenes.iter().flat_map(|s| &s.targets).filter(|t| t.provider == provider) {
            if let Some(model) = &target.model
                && !models.contains(&model)
            {
                models.push(model);
            }
        }
        models
    }

    /// The tier at `id`.
    #[must_use]
    pub fn tier(&self, id: TierId) -> &Tier {
        &self.tiers[usize::from(id.0)]
    }
}

/// A field that was accepted and has no effect yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotInForce {
    /// Path of the field, such as `spec.tiers[0].hedge`.
    pub path: String,
    /// What does not happen, in a sentence.
    pub effect: &'static str,
}

/// Ratios as basis points (1/10,000), so that they compare and hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ratio(pub u32);

impl Ratio {
    /// 1.0.
    pub const ONE: Ratio = Ratio(10_000);

    /// Whether `part` of `whole` reaches this ratio.
    #[must_use]
    pub fn reached(self, part: u64, whole: u64) -> bool {
        u128::from(part) * 10_000 >= u128::from(whole) * u128::from(self.0)
    }
}

/// Index of a provider in [`Snapshot::providers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderId(pub u16);

/// Index of a scene in [`Snapshot::scenes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SceneId(pub u16);

/// Index of a tier in [`Snapshot::tiers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TierId(pub u16);

#[cfg(test)]
pub(crate) mod tests;
