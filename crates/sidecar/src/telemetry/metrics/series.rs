//! The rows of one policy, by its ids: resolved when it comes into force, so that a request costs a few atomic adds.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use foldhash::fast::RandomState;
use parking_lot::RwLock;
use policy::{
    catalogue::Tokens,
    outcome::Class,
    reason::Reason,
    snapshot::{ProviderId, SceneId, Snapshot, TierId},
};
use prometheus_client::metrics::counter::Counter;

use super::{
    core::Answers,
    instruments::Instruments,
    names::{ANY_MODEL, Names},
    table::{Money, Seconds},
};

/// Lives with its policy; names that stay in force over a reload share their rows with the policy before.
#[derive(Debug)]
pub struct Series {
    /// By provider.
    providers: Vec<Provider>,
    /// By scene.
    pub(super) answers: Vec<Answers>,
    pub(super) requests: Cache<RequestKey, Request>,
    pub(super) fallbacks: Cache<(ProviderId, ProviderId, Reason), Counter>,
}

#[derive(Debug)]
struct Provider {
    retries: Counter,
    /// By model; the last one takes the models that no target names.
    targets: Vec<(Arc<str>, Target)>,
}

/// Rows of one target.
#[derive(Debug)]
pub(super) struct Target {
    /// By [`Class::ALL`].
    classes: [Counter; Class::ALL.len()],
    pub(super) duration: Seconds,
    pub(super) first_content: Seconds,
    /// By [`TOKENS`].
    tokens: [Counter; TOKENS.len()],
    pub(super) cost: Money,
    pub(super) estimated: Money,
    pub(super) overrun: Money,
}

/// What tells the rows of requests apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RequestKey {
    pub(super) call: &'static str,
    pub(super) classified: Option<(SceneId, TierId, bool)>,
    pub(super) status: &'static str,
    pub(super) reason: Option<Reason>,
}

/// Rows of one kind of request.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    pub(super) count: Counter,
    pub(super) duration: Seconds,
    pub(super) first_content: Seconds,
}

/// Kinds of tokens, each counted apart from the others.
const TOKENS: [&str; 5] = ["input", "cached_input", "cache_write", "cache_write_long", "output"];

impl Series {
    pub(super) fn new(snapshot: &Snapshot, names: &Names, made: &Instruments) -> Series {
        let providers = snapshot.providers.iter().map(|p| Provider {
            retries: made.retries.of([&p.name]),
            targets: names.models(&p.name).map(|m| (m.clone(), Target::new(&p.name, m, made))).collect(),
        });
        Series {
            providers: providers.collect(),
            answers: snapshot.scenes.iter().map(|s| made.answers.of([&s.name])).collect(),
            requests: Cache::default(),
            fallbacks: Cache::default(),
        }
    }

    /// An attempt after a request's first begins.
    pub fn retry(&self, provider: ProviderId) {
        self.providers[usize::from(provider.0)].retries.inc();
    }

    pub(super) fn target(&self, provider: ProviderId, model: Option<&Arc<str>>) -> Option<&Target> {
        let targets = &self.providers[usize::from(provider.0)].targets;
        let model = model.map_or(ANY_MODEL, |m| m);
        targets.iter().find(|(name, _)| **name == *model).or(targets.last()).map(|(_, target)| target)
    }
}

impl Target {
    fn new(provider: &str, model: &str, made: &Instruments) -> Target {
        Target {
            classes: Class::ALL.map(|class| made.attempts.of([provider, model, class.label()])),
            duration: made.attempt_duration.of([provider, model]),
            first_content: made.attempt_first_content.of([provider, model]),
            tokens: TOKENS.map(|kind| made.tokens.of([provider, model, kind])),
            cost: made.cost.of([provider, model]),
            estimated: made.estimated.of([provider, model]),
            overrun: made.overrun.of([provider, model]),
        }
    }

    pub(super) fn class(&self, class: Class) -> &Counter {
        &self.classes[class as usize]
    }

    pub(super) fn count(&self, tokens: &Tokens) {
        let Tokens { input, cached, cache_write, cache_write_long, output, service_percent: _ } = *tokens;
        let fresh = input.saturating_sub(cached).saturating_sub(cache_write).saturating_sub(cache_write_long);
        for (counter, n) in self.tokens.iter().zip([fresh, cached, cache_write, cache_write_long, output]) {
            counter.inc_by(n);
        }
    }
}

/// Rows met so far, by ids of closed sets, which nobody outside can make collide.
#[derive(Debug)]
pub(super) struct Cache<K, V>(RwLock<HashMap<K, V, RandomState>>);

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Cache(RwLock::default())
    }
}

impl<K: Copy + Eq + Hash, V: Clone> Cache<K, V> {
    /// Works on the row of `key`, made by `make` the first time.
    pub(super) fn with(&self, key: K, make: impl FnOnce() -> V, work: impl FnOnce(&V)) {
        if let Some(row) = self.0.read().get(&key) {
            return work(row);
        }
        let row = make();
        work(&row);
        self.0.write().entry(key).or_insert(row);
    }
}
