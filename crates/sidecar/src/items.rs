//! Items of Responses answers that the caller asked to be stored and whose provider stores none, for requests that name them
//! by id later instead of sending them.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use moka::{policy::EvictionPolicy, sync::Cache};

use crate::memory::Memory;

/// All of them together, in bytes; of little memory for bodies, this share at most. The least used go first.
const MOST: usize = 8 << 20;
const SHARE: usize = 16;
/// Longest time that one is kept after it was last used.
const IDLE: Duration = Duration::from_secs(3600);
/// What an entry costs besides its item.
const ENTRY: usize = 256;

/// By their ids, which are made of the provider's own and cannot be guessed.
pub struct Items {
    kept: Cache<Arc<str>, Bytes>,
    most: usize,
}

impl Items {
    /// Beside a budget of `memory` bytes for bodies.
    #[must_use]
    pub fn new(memory: &Memory) -> Items {
        let weigh = |_: &Arc<str>, item: &Bytes| u32::try_from(item.len() + ENTRY).unwrap_or(u32::MAX);
        let most = MOST.min(memory.total() / SHARE);
        Items {
            kept: Cache::builder()
                .max_capacity(most as u64)
                .weigher(weigh)
                .time_to_idle(IDLE)
                .eviction_policy(EvictionPolicy::lru())
                .build(),
            most,
        }
    }

    /// Keeps what an answer said.
    pub fn keep(&self, items: Vec<dialect::Item>) {
        items.into_iter().for_each(|(id, item)| self.kept.insert(id.into(), item));
    }

    /// The body with the items that it names, if they are here.
    #[must_use]
    pub fn put_into(&self, body: &[u8]) -> Option<Bytes> {
        dialect::put_items(body, self.most, |id| self.kept.get(id))
    }
}
