//! The names in force: only they have rows.

use std::{collections::BTreeSet, sync::Arc};

use policy::snapshot::Snapshot;

/// Stands for the models that a target without a model of its own sends on: callers name them, so they have no rows.
pub(super) const ANY_MODEL: &str = "*";

/// Of one policy; empty before the first.
#[derive(Debug, Default)]
pub(super) struct Names {
    providers: BTreeSet<Arc<str>>,
    targets: BTreeSet<(Arc<str>, Arc<str>)>,
    scenes: BTreeSet<Arc<str>>,
    tiers: BTreeSet<Arc<str>>,
}

impl Names {
    pub(super) fn of(snapshot: &Snapshot) -> Names {
        let targets = snapshot.scenes.iter().flat_map(|s| &s.targets);
        let named = targets.filter_map(|t| Some((snapshot.provider(t.provider).name.clone(), t.model.clone()?)));
        let any = snapshot.providers.iter().map(|p| (p.name.clone(), ANY_MODEL.into()));
        Names {
            providers: snapshot.providers.iter().map(|p| p.name.clone()).collect(),
            targets: named.chain(any).collect(),
            scenes: snapshot.scenes.iter().map(|s| s.name.clone()).collect(),
            tiers: snapshot.tiers.iter().map(|t| t.name.clone()).collect(),
        }
    }

    /// Models that targets of a provider name, then [`ANY_MODEL`].
    pub(super) fn models<'a>(&'a self, provider: &'a str) -> impl Iterator<Item = &'a Arc<str>> {
        let own = move |any: bool| {
            self.targets.iter().filter(move |(p, m)| **p == *provider && (**m == *ANY_MODEL) == any).map(|(_, m)| m)
        };
        own(false).chain(own(true))
    }

    pub(super) fn provider(&self, name: &str) -> bool {
        self.providers.contains(name)
    }

    pub(super) fn target(&self, provider: &str, model: &str) -> bool {
        self.targets.iter().any(|(p, m)| **p == *provider && **m == *model)
    }

    /// Also the empty name of requests that were refused before they had one.
    pub(super) fn scene(&self, name: &str) -> bool {
        name.is_empty() || self.scenes.contains(name)
    }

    /// Likewise.
    pub(super) fn tier(&self, name: &str) -> bool {
        name.is_empty() || self.tiers.contains(name)
    }
}
