//! What a provider remembers between requests: warm prompts, stored responses and threads.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use parking_lot::Mutex;
use serde_json::Value;

const STORED: usize = 4096;
const WARM: usize = 65_536;

/// Bounded; the oldest are forgotten.
pub(crate) struct Memory {
    /// How encrypted reasoning of this account begins.
    seal: String,
    prompts: Mutex<HashMap<u64, u64>>,
    responses: Mutex<Kept<Stored>>,
    /// Requests of threads by the ids of their answers, those in the messages.
    threads: Mutex<Kept<Value>>,
}

struct Kept<T> {
    by_id: HashMap<String, T>,
    order: VecDeque<String>,
}

impl<T> Default for Kept<T> {
    fn default() -> Kept<T> {
        Kept { by_id: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T> Kept<T> {
    fn put(&mut self, id: String, value: T) {
        if self.order.len() >= STORED
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        self.order.push_back(id.clone());
        self.by_id.insert(id, value);
    }
}

/// A stored response.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// The response object as JSON text.
    pub(crate) text: String,
    /// Input and output items, for a request that goes on from here.
    pub(crate) items: Vec<Value>,
}

/// A running hash over the parts of a prompt.
#[derive(Clone, Default)]
pub(crate) struct Prefix(DefaultHasher);

impl Prefix {
    pub(crate) fn add(&mut self, part: &str) {
        part.hash(&mut self.0);
    }

    pub(crate) fn key(&self) -> u64 {
        self.0.finish()
    }
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::new(0)
    }
}

impl Memory {
    /// Of the account with this number.
    pub(crate) fn new(account: u64) -> Memory {
        let seal = format!("gAAAAABsim{account:04x}");
        Memory { seal, prompts: Mutex::default(), responses: Mutex::default(), threads: Mutex::default() }
    }

    /// How encrypted reasoning begins that can be read here.
    pub(crate) fn seal(&self) -> &str {
        &self.seal
    }

    /// Whether that prompt is warm at `now`.
    pub(crate) fn is_warm(&self, key: u64, now: u64) -> bool {
        self.prompts.lock().get(&key).is_some_and(|expiry| *expiry > now)
    }

    /// Keeps a prompt warm until `expiry`.
    pub(crate) fn warm(&self, key: u64, expiry: u64) {
        let mut prompts = self.prompts.lock();
        if prompts.len() >= WARM {
            prompts.clear();
        }
        prompts.insert(key, expiry);
    }

    pub(crate) fn store(&self, id: String, stored: Stored) {
        self.responses.lock().put(id, stored);
    }

    /// Keeps a thread as its newest answer, `id`, leaves it.
    pub(crate) fn keep_thread(&self, id: String, request: Value) {
        self.threads.lock().put(id, request);
    }

    pub(crate) fn thread(&self, id: &str) -> Option<Value> {
        self.threads.lock().by_id.get(id).cloned()
    }

    pub(crate) fn stored(&self, id: &str) -> Option<Stored> {
        self.responses.lock().by_id.get(id).cloned()
    }

    /// An item of a stored response.
    pub(crate) fn item(&self, id: &str) -> Option<Value> {
        let responses = self.responses.lock();
        responses.by_id.values().flat_map(|stored| &stored.items).find(|item| item["id"] == id).cloned()
    }

    pub(crate) fn delete(&self, id: &str) -> bool {
        let mut responses = self.responses.lock();
        responses.order.retain(|kept| kept != id);
        responses.by_id.remove(id).is_some()
    }

    pub(crate) fn forget(&self) {
        self.prompts.lock().clear();
        *self.responses.lock() = Kept::default();
        *self.threads.lock() = Kept::default();
    }
}
