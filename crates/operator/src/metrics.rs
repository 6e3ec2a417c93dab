//! All instruments, in one place: what `/metrics` shows.

use std::sync::{Arc, atomic::AtomicU64};

use api::types::SidecarStatus;
use parking_lot::Mutex;
use policy::ledger::Unit;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{cluster::Kind, lend::Shown, world::PolicyKey};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Of {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Result {
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answered {
    kind: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct State {
    state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Money {
    namespace: String,
    policy: String,
    budget: String,
    state: &'static str,
}

/// The instruments.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    leads: Gauge,
    policies: Family<State, Gauge>,
    sidecars: Family<State, Gauge>,
    connected: Gauge,
    budgets: Family<Money, Gauge<f64, AtomicU64>>,
    reconciles: Family<Result, Counter>,
    status_writes: Counter,
    watch_breaks: Family<Of, Counter>,
    token_reviews: Family<Result, Counter>,
    admissions: Family<Answered, Counter>,
    certificate_expiry: Gauge<f64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut registry = Registry::with_prefix("llmroute_operator");
        let metrics = Metrics {
            registry: Mutex::default(),
            leads: Gauge::default(),
            policies: Family::default(),
            sidecars: Family::default(),
            connected: Gauge::default(),
            budgets: Family::default(),
            reconciles: Family::default(),
            status_writes: Counter::default(),
            watch_breaks: Family::default(),
            token_reviews: Family::default(),
            admissions: Family::default(),
            certificate_expiry: Gauge::default(),
        };
        let m = &metrics;
        registry.register("leader", "1 while this replica leads", m.leads.clone());
        registry.register("policies", "Policies, by whether their newest version is accepted", m.policies.clone());
        registry.register("sidecars", "Sidecars of selected pods, as the leader counts them", m.sidecars.clone());
        registry.register("streams", "Sidecars whose stream is up", m.connected.clone());
        registry.register(
            "budget_usd",
            "Budgets that pods share, as the leader lends them, of the value nearest its limit: spent (or held), lent (and not used), unknown (waited out), debt, limit",
            m.budgets.clone(),
        );
        registry.register("reconciles", "Reconciled policies", m.reconciles.clone());
        registry.register("status_writes", "Statuses written", m.status_writes.clone());
        registry.register("watch_breaks", "Watches that broke and were begun again", m.watch_breaks.clone());
        registry.register("token_reviews", "Tokens of sidecars, by what came of them", m.token_reviews.clone());
        registry.register("admissions", "Questions of the API server, by what was said", m.admissions.clone());
        registry.register(
            "certificate_expiry_seconds",
            "When the serving certificate ends, since 1970",
            m.certificate_expiry.clone(),
        );
        *metrics.registry.lock() = registry;
        // Each series exists from the start.
        for result in ["ok", "failed"] {
            let _ = metrics.reconciles.get_or_create(&Result { result });
        }
        for result in ["known", "cached", "refused", "unavailable"] {
            let _ = metrics.token_reviews.get_or_create(&Result { result });
        }
        for kind in ["pods", "policies"] {
            for result in ["allowed", "patched", "denied", "unavailable", "failed"] {
                let _ = metrics.admissions.get_or_create(&Answered { kind, result });
            }
        }
        for kind in [Kind::Policies, Kind::Pods, Kind::Namespaces] {
            let _ = metrics.watch_breaks.get_or_create(&Of { kind: kind.name() });
        }
        metrics.sidecars(&[]);
        metrics.policies(0, 0);
        metrics
    }
}

impl Metrics {
    /// Whether this replica leads.
    pub fn leads(&self, is: bool) {
        self.leads.set(is.into());
    }

    /// How many policies there are.
    pub fn policies(&self, accepted: usize, refused: usize) {
        for (state, n) in [("accepted", accepted), ("refused", refused)] {
            self.policies.get_or_create(&State { state }).set(i64::try_from(n).unwrap_or(i64::MAX));
        }
    }

    /// How many streams are up.
    pub fn connected(&self, n: usize) {
        self.connected.set(i64::try_from(n).unwrap_or(i64::MAX));
    }

    /// How budgets stand that this replica lends.
    pub fn budgets(&self, all: &[(PolicyKey, Arc<Shown>)]) {
        self.budgets.clear();
        for (key, shown) in all {
            for stand in shown.stands.iter().filter(|s| s.key.unit == Unit::Money) {
                let rows = [
                    ("spent", stand.used),
                    ("lent", stand.idle),
                    ("unknown", stand.unknown),
                    ("debt", stand.debt),
                    ("limit", stand.limit),
                ];
                for (state, nano_usd) in rows {
                    let (namespace, policy) = (key.namespace.to_string(), key.name.to_string());
                    let of = Money { namespace, policy, budget: stand.key.name.to_string(), state };
                    self.budgets.get_or_create(&of).set(nano_usd as f64 / 1e9);
                }
            }
        }
    }

    /// The sidecars of all policies.
    pub fn sidecars(&self, all: &[SidecarStatus]) {
        let sum = |of: fn(&SidecarStatus) -> i32| all.iter().map(|s| i64::from(of(s))).sum::<i64>();
        let rejected = all.iter().map(|s| s.rejected.len()).sum::<usize>();
        for (state, n) in [
            ("all", sum(|s| s.total)),
            ("in_sync", sum(|s| s.in_sync)),
            ("missing", sum(|s| s.missing)),
            ("rejected", i64::try_from(rejected).unwrap_or(i64::MAX)),
        ] {
            self.sidecars.get_or_create(&State { state }).set(n);
        }
    }

    /// A policy was reconciled, or could not be.
    pub fn reconciled(&self, is_good: bool) {
        self.reconciles.get_or_create(&Result { result: if is_good { "ok" } else { "failed" } }).inc();
    }

    /// A status was written.
    pub fn status_written(&self) {
        self.status_writes.inc();
    }

    /// A watch broke.
    pub fn watch_broke(&self, kind: Kind) {
        self.watch_breaks.get_or_create(&Of { kind: kind.name() }).inc();
    }

    /// A token was looked at: `known`, `cached`, `refused` or `unavailable`.
    pub fn reviewed(&self, result: &'static str) {
        self.token_reviews.get_or_create(&Result { result }).inc();
    }

    /// A question of the API server about `pods` or `policies` was answered: `allowed`, `patched`, `denied`, `unavailable` where it
    /// is to ask again, or `failed` where it was no question, or could not be judged.
    pub fn admitted(&self, kind: &'static str, result: &'static str) {
        self.admissions.get_or_create(&Answered { kind, result }).inc();
    }

    /// When the serving certificate ends, seconds since 1970.
    pub fn certificate_ends(&self, unix: u64) {
        self.certificate_expiry.set(unix as f64);
    }

    /// The page.
    #[must_use]
    pub fn render(&self) -> String {
        let mut page = String::new();
        // Writing to text does not fail.
        let _ = encode(&mut page, &self.registry.lock());
        page
    }
}

#[cfg(test)]
mod tests {
    use policy::{
        ledger::{Key, Pressure, lend::Stand},
        snapshot::Scope,
    };

    use super::*;

    #[test]
    fn every_series_exists_from_the_start() {
        let metrics = Metrics::default();
        metrics.leads(true);
        metrics.policies(3, 1);
        let one = SidecarStatus { total: 3, in_sync: 2, missing: 1, rejected: vec![] };
        metrics.sidecars(&[one.clone(), one]);
        metrics.reviewed("cached");
        metrics.admitted("pods", "patched");
        let key = PolicyKey { namespace: "shop".into(), name: "p".into() };
        let stand = Stand {
            key: Key { unit: Unit::Money, name: "day".into(), scope: Scope::Policy, value: None },
            limit: 20_000_000_000,
            used: 1_500_000_000,
            idle: 500_000_000,
            unknown: 0,
            shares: 0,
            debt: 0,
            pressure: Pressure::Normal,
            next_free: None,
        };
        let rate = Stand { key: Key { unit: Unit::Requests, ..stand.key.clone() }, ..stand.clone() };
        let shown = Arc::new(Shown { term: 1, is_lost: false, stands: vec![stand, rate] });
        metrics.budgets(&[(key.clone(), shown.clone()), (key.clone(), shown.clone())]);
        metrics.budgets(&[(key, shown)]);
        let page = metrics.render();
        let samples: Vec<&str> = page.lines().filter(|line| !line.starts_with('#')).collect();
        let mut want = vec![
            "llmroute_operator_leader 1",
            "llmroute_operator_policies{state=\"accepted\"} 3",
            "llmroute_operator_policies{state=\"refused\"} 1",
            "llmroute_operator_sidecars{state=\"all\"} 6",
            "llmroute_operator_sidecars{state=\"in_sync\"} 4",
            "llmroute_operator_sidecars{state=\"missing\"} 2",
            "llmroute_operator_sidecars{state=\"rejected\"} 0",
            "llmroute_operator_streams 0",
            "llmroute_operator_budget_usd{namespace=\"shop\",policy=\"p\",budget=\"day\",state=\"spent\"} 1.5",
            "llmroute_operator_budget_usd{namespace=\"shop\",policy=\"p\",budget=\"day\",state=\"lent\"} 0.5",
            "llmroute_operator_budget_usd{namespace=\"shop\",policy=\"p\",budget=\"day\",state=\"unknown\"} 0.0",
            "llmroute_operator_budget_usd{namespace=\"shop\",policy=\"p\",budget=\"day\",state=\"debt\"} 0.0",
            "llmroute_operator_budget_usd{namespace=\"shop\",policy=\"p\",budget=\"day\",state=\"limit\"} 20.0",
            "llmroute_operator_reconciles_total{result=\"ok\"} 0",
            "llmroute_operator_reconciles_total{result=\"failed\"} 0",
            "llmroute_operator_status_writes_total 0",
            "llmroute_operator_watch_breaks_total{kind=\"policies\"} 0",
            "llmroute_operator_watch_breaks_total{kind=\"pods\"} 0",
            "llmroute_operator_watch_breaks_total{kind=\"namespaces\"} 0",
            "llmroute_operator_token_reviews_total{result=\"known\"} 0",
            "llmroute_operator_token_reviews_total{result=\"cached\"} 1",
            "llmroute_operator_token_reviews_total{result=\"refused\"} 0",
            "llmroute_operator_token_reviews_total{result=\"unavailable\"} 0",
            "llmroute_operator_certificate_expiry_seconds 0.0",
            "llmroute_operator_admissions_total{kind=\"pods\",result=\"allowed\"} 0",
            "llmroute_operator_admissions_total{kind=\"pods\",result=\"patched\"} 1",
            "llmroute_operator_admissions_total{kind=\"pods\",result=\"denied\"} 0",
            "llmroute_operator_admissions_total{kind=\"pods\",result=\"unavailable\"} 0",
            "llmroute_operator_admissions_total{kind=\"pods\",result=\"failed\"} 0",
            "llmroute_operator_admissions_total{kind=\"policies\",result=\"allowed\"} 0",
            "llmroute_operator_admissions_total{kind=\"policies\",result=\"patched\"} 0",
            "llmroute_operator_admissions_total{kind=\"policies\",result=\"denied\"} 0",
            "llmroute_operator_admissions_total{kind=\"policies\",result=\"unavailable\"} 0",
            "llmroute_operator_admissions_total{kind=\"policies\",result=\"failed\"} 0",
        ];
        let mut samples = samples;
        samples.sort_unstable();
        want.sort_unstable();
        assert_eq!(samples, want);
    }
}
