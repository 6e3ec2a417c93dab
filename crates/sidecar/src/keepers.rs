//! Who keeps what an answer of the Responses API left behind, where several providers speak it: its state and its encrypted
//! reasoning are of use to that one alone.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use dialect::Head;
use moka::sync::Cache;
use policy::{
    ask::Call,
    snapshot::{Api, ProviderId, Snapshot},
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
    /// The answer's id was seen.
    is_named: bool,
}

impl Default for Keepers {
    fn default() -> Keepers {
        Keepers { of: Cache::new(MOST), hasher: RandomState::new() }
    }
}

impl Keepers {
    /// For an answer of `provider`; `None` where nobody else could be asked to go on from it.
    #[must_use]
    pub fn keeper(&self, snapshot: &Snapshot, provider: ProviderId) -> Option<Keeper> {
        let provider = snapshot.provider(provider);
        first_of_several(snapshot, provider.api)?;
        Some(Keeper { keepers: self.clone(), provider: provider.name.clone(), is_named: false })
    }

    /// The provider that alone can serve a request: the keeper of the response that it goes on from, or names in its path.
    /// What is not known (from before a restart, or of another pod), conversations and files are the first provider's of
    /// the API, where their own paths lead.
    #[must_use]
    pub fn keeper_of(
        &self,
        snapshot: &Snapshot,
        call: Call,
        path: &str,
        head: Option<&Head>,
        body: &[u8],
    ) -> Option<ProviderId> {
        let (api, id) = match call {
            Call::Through(Api::OpenAi) => {
                let id = path.strip_prefix("/v1/responses/")?.split('/').next()?;
                (Api::OpenAi, Some(id.to_owned()))
            }
            Call::Through(Api::Anthropic) => return None,
            Call::Responses if head?.stateful => (Api::OpenAi, dialect::read_linked(body).previous_response),
            _ if !has_files(head?, body) => return None,
            Call::Chat | Call::Responses => (Api::OpenAi, None),
            Call::Messages | Call::CountTokens => (Api::Anthropic, None),
        };
        let first = first_of_several(snapshot, api)?;
        Some(id.and_then(|id| self.find(snapshot, id.as_bytes())).unwrap_or(first))
    }

    /// Whether encrypted reasoning is not `provider`'s own.
    #[must_use]
    pub fn is_foreign(&self, snapshot: &Snapshot, provider: ProviderId, sealed: &[u8]) -> bool {
        let first = first_of_several(snapshot, snapshot.provider(provider).api);
        first.is_some_and(|first| self.find(snapshot, sealed).unwrap_or(first) != provider)
    }

    fn find(&self, snapshot: &Snapshot, kept: &[u8]) -> Option<ProviderId> {
        let name = self.of.get(&self.hasher.hash_one(kept))?;
        let at = snapshot.providers.iter().position(|p| p.name == name)?;
        u16::try_from(at).ok().map(ProviderId)
    }
}

impl Keeper {
    /// Sees an answer, or the next event of one, in Responses.
    pub fn see(&mut self, said: &[u8]) {
        if !self.is_named
            && let Some(id) = dialect::id_of_response(said)
        {
            self.is_named = true;
            self.keep(id.as_bytes());
        }
        dialect::sealed_in(said, |sealed| self.keep(sealed));
    }

    fn keep(&self, kept: &[u8]) {
        self.keepers.of.insert(self.keepers.hasher.hash_one(kept), self.provider.clone());
    }
}

/// The first provider of an API that several speak.
fn first_of_several(snapshot: &Snapshot, api: Api) -> Option<ProviderId> {
    let mut speakers = (0u16..).zip(&snapshot.providers).filter(|(_, p)| p.api == api).map(|(i, _)| ProviderId(i));
    let first = speakers.next()?;
    speakers.next().map(|_| first)
}

fn has_files(head: &Head, body: &[u8]) -> bool {
    head.images + head.documents > 0 && memchr::memmem::find(body, b"\"file_id\"").is_some()
}
