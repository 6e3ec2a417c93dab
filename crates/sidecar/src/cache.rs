//! Answers kept in memory by the scenes that ask for it: given again for an equal request of the same tenant, as a
//! stream where one was asked.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use dialect::{AnswerOfStream, Dialect, Usage};
use hyper::header::{HeaderName, HeaderValue};
use moka::{Expiry, sync::Cache};
use policy::{
    ask::Call,
    plan::TargetKey,
    snapshot::{ProviderId, Snapshot},
};

use crate::{exchange::Exchange, wire::Inbound};

const VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const BETA: HeaderName = HeaderName::from_static("anthropic-beta");

/// Of the memory for bodies, so much again is for kept answers.
const SHARE: usize = 8;
/// Longest answer that is kept, so that a few cannot push out the rest.
const LONGEST: usize = 1 << 20;
/// What an entry costs besides its answer.
const ENTRY: usize = 512;

/// What makes two requests equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Of the body, as the caller's dialect means it.
    body: [u8; 32],
    policy: Arc<str>,
    scene: Arc<str>,
    tenant: Option<Arc<str>>,
    /// What else of the caller shapes an Anthropic answer: its version and its betas.
    versions: Vec<HeaderValue>,
}

/// An answer from before, in the caller's dialect, plain.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The body.
    pub answer: Bytes,
    provider: Arc<str>,
    model: Arc<str>,
    ttl: Duration,
}

/// All of them, within a bound of bytes; the least used go first.
pub struct Answers(Cache<Key, Kept>);

struct ByScene;

impl Expiry<Key, Kept> for ByScene {
    fn expire_after_create(&self, _: &Key, kept: &Kept, _: Instant) -> Option<Duration> {
        Some(kept.ttl)
    }

    fn expire_after_update(&self, _: &Key, kept: &Kept, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(kept.ttl)
    }
}

impl Answers {
    /// Beside a budget of `memory` bytes for bodies.
    #[must_use]
    pub fn new(memory: usize) -> Answers {
        let weigh = |_: &Key, kept: &Kept| u32::try_from(kept.answer.len() + ENTRY).unwrap_or(u32::MAX);
        let bytes = (memory / SHARE) as u64;
        Answers(Cache::builder().max_capacity(bytes).weigher(weigh).expire_after(ByScene).build())
    }

    /// An answer to an equal request, and whose it is.
    #[must_use]
    pub fn get(&self, key: &Key, snapshot: &Snapshot) -> Option<(Kept, TargetKey)> {
        let kept = self.0.get(key)?;
        let provider = snapshot.providers.iter().position(|p| p.name == kept.provider)?;
        let target = TargetKey { provider: ProviderId(u16::try_from(provider).ok()?), model: kept.model.clone() };
        Some((kept, target))
    }

    /// Keeps a whole answer, if it is worth it.
    pub fn keep(&self, keeping: Keeping, dialect: Dialect, answer: Bytes, provider: &Arc<str>, model: &Arc<str>) {
        if answer.len() > LONGEST || !dialect::is_cacheable_answer(dialect, &answer) {
            return;
        }
        // What the provider sent shares its buffer with more.
        let answer = Bytes::copy_from_slice(&answer);
        let (provider, model) = (provider.clone(), model.clone());
        self.0.insert(keeping.key, Kept { answer, provider, model, ttl: keeping.ttl });
    }
}

/// A request whose answer may be kept.
#[derive(Clone, Debug)]
pub struct Keeping {
    /// By what it is found again.
    pub key: Key,
    /// How long it is good.
    ttl: Duration,
    /// It is looked for before anybody is asked.
    pub always: bool,
}

impl Keeping {
    /// `None` where the scene keeps no answers, or this one may depend on more than the request.
    #[must_use]
    pub fn of(x: &Exchange, snapshot: &Snapshot, inbound: &Inbound) -> Option<Keeping> {
        let ask = x.ask.as_ref()?;
        let scene = snapshot.scene(ask.scene);
        let cache = scene.cache?;
        let head =
            inbound.head.as_ref().filter(|_| matches!(ask.call, Call::Chat | Call::Responses | Call::Messages))?;
        let body = dialect::cache_key(x.dialect, head, &inbound.body)?;
        let (policy, scene, tenant) = (snapshot.name.clone(), scene.name.clone(), ask.tenant.clone());
        let named = [VERSION, BETA].into_iter().flat_map(|name| inbound.headers.get_all(&name));
        let key = Key { body, policy, scene, tenant, versions: named.cloned().collect() };
        Some(Keeping { key, ttl: cache.ttl, always: cache.always })
    }
}

/// Puts a stream together as it passes, to keep its answer.
pub struct Assembly {
    keeping: Keeping,
    answer: AnswerOfStream,
}

impl Assembly {
    /// Of a stream in the caller's dialect.
    #[must_use]
    pub fn new(keeping: Keeping, dialect: Dialect) -> Assembly {
        Assembly { keeping, answer: AnswerOfStream::new(dialect, LONGEST) }
    }

    /// Bytes on their way to the app, before they are signed.
    pub fn pass(&mut self, bytes: &Bytes) {
        self.answer.bytes(bytes.clone());
    }

    /// The stream came to its regular end.
    pub fn end(self, x: &Exchange, served: &TargetKey, usage: Option<&Usage>) {
        let (Some(answer), Some(in_force)) = (self.answer.answer(usage), &x.in_force) else { return };
        let provider = &in_force.snapshot.provider(served.provider).name;
        x.state.answers.keep(self.keeping, x.dialect, answer, provider, &served.model);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"id":"a","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"CONTENT"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;

    fn keeping(body: u8, tenant: Option<&str>) -> Keeping {
        let key = Key {
            body: [body; 32],
            policy: "default/p".into(),
            scene: "chat".into(),
            tenant: tenant.map(Arc::from),
            versions: vec![],
        };
        Keeping { key, ttl: Duration::from_secs(60), always: false }
    }

    fn snapshot() -> Snapshot {
        api::load(
            "apiVersion: llmroute.dev/v1alpha1\nkind: LLMRoutePolicy\nmetadata: {name: p}\nspec:\n  podSelector: {}\n  \
             credentials: {secretName: k}\n  providers: [{name: openai, api: OpenAI}]\n  \
             scenes: [{name: chat, targets: [{provider: openai, model: gpt-6-sol}]}]\n",
        )
        .unwrap()
    }

    fn keep(answers: &Answers, keeping: Keeping, content: &str) {
        let answer = ANSWER.replace("CONTENT", content).into();
        answers.keep(keeping, Dialect::Chat, answer, &"openai".into(), &"gpt-6-sol".into());
    }

    #[test]
    fn an_equal_request_of_the_same_tenant_finds_it() {
        let (answers, snapshot) = (Answers::new(1 << 20), snapshot());
        keep(&answers, keeping(1, Some("a")), "hello");
        let (kept, target) = answers.get(&keeping(1, Some("a")).key, &snapshot).unwrap();
        assert!(kept.answer.starts_with(b"{\"id\"") && *target.model == *"gpt-6-sol");
        for other in [keeping(1, None), keeping(1, Some("b")), keeping(2, Some("a"))] {
            assert!(answers.get(&other.key, &snapshot).is_none());
        }
        let mut gone = snapshot;
        gone.providers[0].name = "renamed".into();
        assert!(answers.get(&keeping(1, Some("a")).key, &gone).is_none(), "its provider is in the policy no more");
    }

    #[test]
    fn what_is_no_whole_answer_and_what_is_too_long_is_not_kept() {
        let (answers, snapshot) = (Answers::new(64 << 20), snapshot());
        let cut = ANSWER.replace("\"stop\"", "\"length\"");
        answers.keep(keeping(1, None), Dialect::Chat, cut.into(), &"openai".into(), &"m".into());
        keep(&answers, keeping(2, None), &"x".repeat(LONGEST));
        assert!((1..=2).all(|i| answers.get(&keeping(i, None).key, &snapshot).is_none()));
    }

    #[test]
    fn the_memory_is_bounded() {
        const ROOM: usize = 1 << 20;
        let answers = Answers::new(ROOM * SHARE);
        for i in 0..=255 {
            keep(&answers, keeping(i, None), &"x".repeat(100_000));
        }
        answers.0.run_pending_tasks();
        assert!(answers.0.weighted_size() as usize <= ROOM && answers.0.entry_count() > 0);
    }
}
