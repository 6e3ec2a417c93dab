//! Who keeps what an answer of the Responses API left behind, where several providers speak it: its state and its encrypted
//! reasoning are of use to that one alone.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use dialect::Head;
use moka::{policy::EvictionPolicy, sync::Cache};
use policy::{
    ask::{Call, KeptBy},
    snapshot::{Api, Provider, ProviderId, SceneId, Snapshot},
};

/// Answers and reasoning that are remembered, about 100 bytes each; the least used go first.
const MOST: u64 = 50_000;

/// Names of providers by what they keep.
#[derive(Clone)]
pub struct Keepers {
    of: Cache<u64, Arc<str>>,
    hasher: RandomState,
}

/// Remembers what one answer of a provider leaves behind.
pub struct Keeper {
    keepers: Keepers,
    provider: Arc<str>,
}

impl Default for Keepers {
    fn default() -> Keepers {
        let of = Cache::builder().max_capacity(MOST).eviction_policy(EvictionPolicy::lru()).build();
        Keepers { of, hasher: RandomState::new() }
    }
}

impl Keepers {
    /// For an answer of `provider`; `None` where nobody else could be asked to go on from it.
    #[must_use]
    pub fn keeper(&self, snapshot: &Snapshot, provider: ProviderId) -> Option<Keeper> {
        let provider = snapshot.provider(provider);
        several(snapshot, provider.api).then(|| Keeper { keepers: self.clone(), provider: provider.name.clone() })
    }

    /// Who alone can serve a request: the keeper of the response or the items that it goes on from, or of the response that
    /// its path names. Of conversations and files it is not known.
    #[must_use]
    pub fn kept_by(
        &self,
        snapshot: &Snapshot,
        call: Call,
        path: &str,
        head: Option<&Head>,
        body: &[u8],
    ) -> Option<KeptBy> {
        let api = match call {
            Call::Chat | Call::Responses | Call::Through(Api::OpenAi) => Api::OpenAi,
            Call::Messages | Call::CountTokens | Call::Through(Api::Anthropic) => Api::Anthropic,
        };
        if !several(snapshot, api) {
            return None;
        }
        let known = |id: &str| self.find(snapshot, api, id.as_bytes()).map(KeptBy::Known);
        if let Call::Through(_) = call {
            let id = path.strip_prefix("/v1/responses/")?.split(['/', '?']).next()?;
            return known(id).or_else(|| position(snapshot, |p| p.keeps(api)).map(KeptBy::Known));
        }
        let head = head?;
        let unknown = KeptBy::OneOf(api);
        match call {
            Call::Responses if head.stateful => {
                let previous = dialect::read_linked(body).previous_response;
                Some(previous.and_then(|id| known(&id)).unwrap_or(unknown))
            }
            Call::Responses if head.references => {
                Some(dialect::references(body).iter().find_map(|id| known(id)).unwrap_or(unknown))
            }
            // A keeper that is not asked says so, and SDKs send the whole conversation.
            Call::Messages | Call::CountTokens if head.stateful => Some(unknown),
            _ => (head.images + head.documents > 0 && dialect::names_files(body)).then_some(unknown),
        }
    }

    /// Whether encrypted reasoning is not `provider`'s own: that of which it is not known is left to the first of the API
    /// that the scene names. `None` where there is only one.
    pub fn another<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        provider: ProviderId,
        scene: SceneId,
    ) -> Option<impl Fn(&[u8]) -> bool + 'a> {
        let api = snapshot.provider(provider).api;
        several(snapshot, api).then_some(move |sealed: &[u8]| {
            self.find(snapshot, api, sealed).or_else(|| snapshot.first_of(api, scene)) != Some(provider)
        })
    }

    fn find(&self, snapshot: &Snapshot, api: Api, kept: &[u8]) -> Option<ProviderId> {
        let name = self.of.get(&self.hasher.hash_one(kept))?;
        position(snapshot, |p| p.name == name && p.keeps(api))
    }
}

impl Keeper {
    /// Sees an answer, or the next event of one, in Responses.
    pub fn see(&self, said: &[u8]) {
        dialect::ids_of_response(said).iter().for_each(|id| self.keep(id.as_bytes()));
        dialect::sealed_in(said).for_each(|sealed| self.keep(sealed));
    }

    fn keep(&self, kept: &[u8]) {
        self.keepers.of.insert(self.keepers.hasher.hash_one(kept), self.provider.clone());
    }
}

fn position(snapshot: &Snapshot, is_it: impl Fn(&Provider) -> bool) -> Option<ProviderId> {
    u16::try_from(snapshot.providers.iter().position(is_it)?).ok().map(ProviderId)
}

fn several(snapshot: &Snapshot, api: Api) -> bool {
    snapshot.providers.iter().filter(|p| p.api == api).nth(1).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_remembered() {
        let keepers = Keepers::default();
        let keeper = Keeper { keepers: keepers.clone(), provider: "one".into() };
        for i in 0..2 * MOST {
            keeper.keep(&i.to_ne_bytes());
        }
        keepers.of.run_pending_tasks();
        assert!(keepers.of.entry_count() <= MOST);
        let newest = 2 * MOST - 1;
        assert_eq!(keepers.of.get(&keepers.hasher.hash_one(&newest.to_ne_bytes()[..])).as_deref(), Some("one"));
    }
}
