//! What a request may see: the policy in force with its live parts, keys, connections, memory; swapped, never edited.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use dialect::Dialect;
use hyper::header::{HeaderName, HeaderValue};
use parking_lot::Mutex;
use policy::{
    Tick,
    ask::Ask,
    breaker::{Breaker, Gate},
    ledger::ModelKey,
    plan::{TargetKey, View},
    retry_budget::RetryBudget,
    snapshot::{BaseUrl, Provider, ProviderId, SceneId, Snapshot, Target, TierId},
    window::{Sums, Window},
};
use tokio::sync::Notify;

use crate::{
    adopt::Origin,
    cache::Answers,
    control::Link,
    credentials::Keys,
    items::Items,
    keepers::Keepers,
    later::Later,
    memory::Memory,
    money::Money,
    telemetry::{Telemetry, metrics::Series},
    upstream::{Pool, Upstream},
    wire::Inbound,
};

/// The process's shared state.
pub struct State {
    /// The policy in force, pinned by each request at accept.
    pub in_force: ArcSwapOption<InForce>,
    /// Told whenever a policy comes into force.
    pub arrived: Notify,
    /// Why the newest version of the policy is not in force, if it is not.
    pub refused: ArcSwapOption<Refused>,
    /// How it stands with the operator, where there is one.
    pub control: Option<Arc<Link>>,
    /// Keys by file name.
    pub keys: ArcSwap<Keys>,
    /// Room for bodies.
    pub memory: Memory,
    /// Answers from before.
    pub answers: Answers,
    /// Items that callers may name by their ids.
    pub items: Items,
    keepers: Keepers,
    /// What may be spent.
    pub money: Money,
    /// Connections.
    pub upstream: Upstream,
    /// Counters, spans, records.
    pub telemetry: Telemetry,
    /// SIGTERM came: answers say `connection: close`.
    pub draining: AtomicBool,
    /// Requests by id, where there is a state directory.
    pub later: OnceLock<Arc<Later>>,
    cells: Mutex<HashMap<CellKey, Arc<Cell>>>,
    provider_cells: Mutex<HashMap<Arc<str>, Arc<ProviderCell>>>,
}

/// A target's name: it outlives any one policy.
type CellKey = (Arc<str>, Option<Arc<str>>);

/// A version of the policy that was refused.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Every fault, with field path and remedy.
    pub faults: Vec<String>,
    /// When it was seen, wall time since 1970.
    pub at: Duration,
}

/// A policy with its live parts.
pub struct InForce {
    /// The policy.
    pub snapshot: Snapshot,
    /// Where it came from.
    pub origin: Origin,
    /// By provider id.
    pub providers: Vec<LiveProvider>,
    scene_names: Vec<HeaderValue>,
    tier_names: Vec<HeaderValue>,
    /// A budget or a rate is capped.
    pub has_caps: bool,
    /// A budget is spared from some point on.
    pub has_thresholds: bool,
    /// Rows of metrics.
    pub series: Series,
    /// Who keeps what answers left behind.
    pub keepers: Keepers,
    /// When it came into force, wall time since 1970.
    pub since: Duration,
}

/// A provider's live parts.
pub struct LiveProvider {
    /// Its name.
    pub name: HeaderValue,
    /// Its `host` header.
    pub host: HeaderValue,
    /// Its fixed extra headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Connections.
    pub pool: Arc<Pool>,
    /// Circuit and counts over all its models.
    pub cell: Arc<ProviderCell>,
    /// By the models that targets name; few enough to be looked through.
    models: Vec<(Arc<str>, Arc<Cell>, ModelKey)>,
    /// Of targets without a model of their own, and of passed-through paths.
    any_model: Arc<Cell>,
}

/// What is learned of one target; survives reloads by name.
#[derive(Default)]
pub struct Cell(Mutex<Health>);

/// What is learned of one provider over all its models.
#[derive(Default)]
pub struct ProviderCell {
    health: Mutex<Health>,
    repeats: Mutex<RetryBudget>,
}

/// Circuit and windows, under one lock.
#[derive(Default)]
pub struct Health {
    /// The circuit.
    pub breaker: Breaker,
    /// Streams' last minute.
    pub streams: Window,
    /// Plain calls' last minute.
    pub plain: Window,
}

impl Health {
    /// The window of one kind of call.
    pub fn window(&mut self, stream: bool) -> &mut Window {
        if stream { &mut self.streams } else { &mut self.plain }
    }

    /// What both kinds came to in the last minute.
    #[must_use]
    pub fn sums(&self, now: Tick) -> Sums {
        self.streams.sums(now).plus(self.plain.sums(now))
    }

    /// The slower kind's p95, from `least` readings on.
    #[must_use]
    pub fn p95(&self, now: Tick, least: u64) -> Option<Duration> {
        self.streams.p95(now, least).max(self.plain.p95(now, least))
    }
}

impl Cell {
    /// Works on it under its lock; never held across an await.
    pub fn with<T>(&self, f: impl FnOnce(&mut Health) -> T) -> T {
        f(&mut self.0.lock())
    }
}

impl ProviderCell {
    /// Works on it under its lock.
    pub fn with<T>(&self, f: impl FnOnce(&mut Health) -> T) -> T {
        f(&mut self.health.lock())
    }

    /// Works on the retry budget under its lock.
    pub fn repeats<T>(&self, f: impl FnOnce(&mut RetryBudget) -> T) -> T {
        f(&mut self.repeats.lock())
    }
}

impl State {
    /// Nothing in force yet.
    #[must_use]
    pub fn new(upstream: Upstream, memory: Memory, telemetry: Telemetry) -> State {
        State {
            in_force: ArcSwapOption::empty(),
            arrived: Notify::new(),
            refused: ArcSwapOption::empty(),
            control: None,
            keys: ArcSwap::default(),
            answers: Answers::new(memory.total()),
            items: Items::new(&memory),
            keepers: Keepers::default(),
            memory,
            money: Money::default(),
            upstream,
            telemetry,
            draining: AtomicBool::new(false),
            later: OnceLock::new(),
            cells: Mutex::default(),
            provider_cells: Mutex::default(),
        }
    }

    /// Puts `snapshot` in force; circuits and windows of names that stay are kept.
    pub fn put_in_force(&self, snapshot: Snapshot, origin: Origin) {
        let mut cells = self.cells.lock();
        let mut provider_cells = self.provider_cells.lock();
        let mut cell = |p: &Provider, model| cells.entry((p.name.clone(), model)).or_default().clone();
        let live = |(i, p): (usize, &Provider)| LiveProvider {
            name: header_value(&p.name),
            host: host(&p.base),
            headers: fixed_headers(p),
            pool: self.upstream.pool(&p.base, p.http2),
            cell: provider_cells.entry(p.name.clone()).or_default().clone(),
            models: snapshot
                .models(ProviderId(i as u16))
                .into_iter()
                .map(|m| (m.clone(), cell(p, Some(m.clone())), self.money.model(&p.name, m)))
                .collect(),
            any_model: cell(p, None),
        };
        let providers = snapshot.providers.iter().enumerate().map(live).collect();
        // What no policy in force names is forgotten, so that names cannot pile up.
        cells.retain(|_, c| Arc::strong_count(c) > 1);
        provider_cells.retain(|_, c| Arc::strong_count(c) > 1);
        self.money.configure(&snapshot);
        let series = self.telemetry.metrics.policy_in_force(&snapshot);
        let in_force = InForce {
            scene_names: snapshot.scenes.iter().map(|s| header_value(&s.name)).collect(),
            tier_names: snapshot.tiers.iter().map(|t| header_value(&t.name)).collect(),
            has_caps: !policy::ledger::caps(&snapshot).is_empty(),
            has_thresholds: snapshot.budgets.iter().any(|b| b.degrade_at.is_some()),
            snapshot,
            origin,
            providers,
            series,
            keepers: self.keepers.clone(),
            since: crate::clock::unix(),
        };
        self.in_force.store(Some(Arc::new(in_force)));
        self.refused.store(None);
        self.arrived.notify_waiters();
    }

    /// Waits until a policy is in force.
    pub async fn first_policy(&self) {
        loop {
            let arrived = self.arrived.notified();
            if self.in_force.load().is_some() {
                return;
            }
            arrived.await;
        }
    }

    /// New keys are in force: what was learned with the old ones no longer keeps callers off.
    pub fn forgive(&self, keys: &[String]) {
        let Some(in_force) = self.in_force.load_full() else { return };
        for (provider, live) in in_force.snapshot.providers.iter().zip(&in_force.providers) {
            if provider.credential_key.as_deref().is_some_and(|k| keys.iter().any(|c| c == k)) {
                live.cell.with(|h| h.breaker = Breaker::default());
            }
        }
    }

    /// Whether SIGTERM came.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

impl InForce {
    /// A scene's name as a header value.
    #[must_use]
    pub fn scene_name(&self, id: SceneId) -> HeaderValue {
        self.scene_names[usize::from(id.0)].clone()
    }

    /// A tier's name as a header value.
    #[must_use]
    pub fn tier_name(&self, id: TierId) -> HeaderValue {
        self.tier_names[usize::from(id.0)].clone()
    }

    /// A provider's live parts.
    #[must_use]
    pub fn live(&self, id: ProviderId) -> &LiveProvider {
        &self.providers[usize::from(id.0)]
    }

    /// A target's cell; every target of the snapshot has one.
    #[must_use]
    pub fn cell(&self, provider: ProviderId, model: Option<&Arc<str>>) -> &Arc<Cell> {
        let live = self.live(provider);
        let own = model.and_then(|model| live.models.iter().find(|(m, ..)| m == model));
        own.map_or(&live.any_model, |(_, cell, _)| cell)
    }

    /// How the ledger knows a model that a target names.
    #[must_use]
    pub fn model_key(&self, target: &TargetKey) -> Option<ModelKey> {
        let models = &self.live(target.provider).models;
        models.iter().find(|(m, ..)| *m == target.model).map(|(_, _, key)| *key)
    }
}

/// Validated names are header values already.
fn header_value(name: &str) -> HeaderValue {
    HeaderValue::try_from(name).unwrap_or(HeaderValue::from_static("invalid"))
}

fn host(base: &BaseUrl) -> HeaderValue {
    let host = if base.host.contains(':') { format!("[{}]", base.host) } else { base.host.to_string() };
    let default = if base.tls { 443 } else { 80 };
    let text = if base.port == default { host } else { format!("{host}:{}", base.port) };
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("localhost"))
}

fn fixed_headers(provider: &Provider) -> Vec<(HeaderName, HeaderValue)> {
    let parsed =
        |(n, v): &(Box<str>, Box<str>)| Some((HeaderName::try_from(&**n).ok()?, HeaderValue::try_from(&**v).ok()?));
    provider.headers.iter().filter_map(parsed).collect()
}

/// The present, as a plan sees it.
pub struct Present<'a> {
    /// The policy in force.
    pub in_force: &'a InForce,
    /// Keys in force.
    pub keys: &'a Keys,
    /// Now.
    pub now: Tick,
    /// What is asked, as it came.
    pub inbound: &'a Inbound,
    /// What is asked, classified.
    pub ask: &'a Ask,
    /// What the caller speaks.
    pub caller: Dialect,
}

impl View for Present<'_> {
    fn gate(&self, t: &Target) -> Gate {
        let conf = &self.in_force.snapshot.breaker;
        let provider = self.in_force.live(t.provider).cell.with(|h| h.breaker.gate(self.now, conf));
        let target = self.in_force.cell(t.provider, t.model.as_ref()).with(|h| h.breaker.gate(self.now, conf));
        provider.and(target)
    }

    fn p95(&self, t: &Target, stream: bool, least: u64) -> Option<Duration> {
        self.in_force.cell(t.provider, t.model.as_ref()).with(|h| h.window(stream).p95(self.now, least))
    }

    fn has_credential(&self, provider: ProviderId) -> bool {
        let key = &self.in_force.snapshot.provider(provider).credential_key;
        key.as_ref().is_none_or(|k| self.keys.get(k).is_some())
    }

    fn hinders(&self, t: &Target, model: &str) -> Option<&'static str> {
        let provider = self.in_force.snapshot.provider(t.provider);
        self.inbound.hindered(self.ask.call, self.caller, provider, model, t.facts.as_deref())
    }

    fn out_of_reach(&self, t: &Target, model: &str) -> Option<&'static str> {
        let provider = self.in_force.snapshot.provider(t.provider);
        self.inbound.kept_elsewhere(self.ask.call, self.caller, provider, model, t.facts.as_deref())
    }

    fn loses(&self, t: &Target, model: &str) -> Option<String> {
        let InForce { snapshot, keepers, .. } = self.in_force;
        self.inbound.loses((snapshot, keepers), self.ask, self.caller, t, model)
    }
}
