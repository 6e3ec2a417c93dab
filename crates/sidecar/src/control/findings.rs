//! What this pod found of providers by its own requests, for the others; and what most of them found, for its circuits.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use control::{
    findings::{MOST_ROWS, found, row},
    v1,
};
use policy::{Tick, breaker::Finding, snapshot::ProviderId};

use crate::state::{InForce, State};

/// Everything is said again so often.
const AGAIN: Duration = Duration::from_secs(10);
/// A later end by less than this is no news.
const NEWS: Duration = Duration::from_secs(1);

/// A provider, and one of its models or nothing.
type Target = (Arc<str>, Arc<str>);

/// What was told on one stream.
#[derive(Default)]
pub(super) struct Teller {
    told: BTreeMap<Target, (Finding, Tick)>,
    all: Option<Tick>,
}

impl Teller {
    /// What is to be said now; nothing where there is no news.
    pub(super) fn news(&mut self, in_force: &InForce, now: Tick) -> Option<v1::Findings> {
        let found = findings(in_force, now);
        let is_all = self.all.is_none_or(|at| now.since(at) >= AGAIN);
        let mut rows: Vec<v1::Finding> = found
            .iter()
            .filter(|(target, finding)| is_all || self.is_news(target, **finding, now))
            .map(|((provider, model), finding)| row(provider, model, Some(*finding)))
            .collect();
        let gone = self.told.keys().filter(|target| !found.contains_key(*target));
        rows.extend(gone.map(|(provider, model)| row(provider, model, None)));
        rows.truncate(MOST_ROWS);
        self.told = found.into_iter().map(|(target, finding)| (target, (finding, end(finding, now)))).collect();
        if is_all {
            self.all = Some(now);
        }
        let (namespace, name) = in_force.snapshot.name.split_once('/').unwrap_or_default();
        (is_all || !rows.is_empty()).then(|| v1::Findings {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            rows,
        })
    }

    fn is_news(&self, target: &Target, finding: Finding, now: Tick) -> bool {
        self.told.get(target).is_none_or(|(told, until)| {
            std::mem::discriminant(told) != std::mem::discriminant(&finding) || end(finding, now) >= until.after(NEWS)
        })
    }
}

fn end(finding: Finding, now: Tick) -> Tick {
    match finding {
        Finding::Works => now,
        Finding::Fails { left, .. } | Finding::Held { left } => now.after(left),
    }
}

/// All that this pod found by itself.
fn findings(in_force: &InForce, now: Tick) -> BTreeMap<Target, Finding> {
    let mut all = BTreeMap::new();
    for (i, provider) in in_force.snapshot.providers.iter().enumerate() {
        let id = ProviderId(i as u16);
        let mut note = |model: Arc<str>, finding: Option<Finding>| {
            if let Some(finding) = finding {
                all.insert((provider.name.clone(), model), finding);
            }
        };
        note(Arc::default(), in_force.live(id).cell.with(|h| h.breaker.finding(now)));
        for model in in_force.snapshot.models(id) {
            note(model.clone(), in_force.cell(id, Some(model)).with(|h| h.breaker.finding(now)));
        }
    }
    all
}

/// Takes what most pods of the policy found.
pub(super) fn advise(state: &State, said: &v1::Findings, now: Tick) {
    let in_force = state.in_force.load();
    let Some(in_force) = in_force.as_ref().filter(|f| *f.snapshot.name == format!("{}/{}", said.namespace, said.name))
    else {
        return;
    };
    let conf = &in_force.snapshot.breaker;
    for row in said.rows.iter().take(MOST_ROWS) {
        let at = in_force.snapshot.providers.iter().position(|p| *p.name == *row.provider);
        let (Some(at), Some(finding)) = (at, found(row)) else { continue };
        let id = ProviderId(at as u16);
        let take = |breaker: &mut policy::breaker::Breaker| {
            let before = breaker.gate(now, conf);
            breaker.advise(finding, now, conf);
            let after = breaker.gate(now, conf);
            if before.label() != after.label() {
                let why = after.why(now).unwrap_or_default();
                tracing::info!(
                    provider = row.provider,
                    model = row.model,
                    circuit = after.label(),
                    why,
                    "circuit changed, as other pods found"
                );
            }
        };
        if row.model.is_empty() {
            in_force.live(id).cell.with(|h| take(&mut h.breaker));
        } else if let Some(model) = in_force.snapshot.models(id).into_iter().find(|m| ***m == *row.model) {
            in_force.cell(id, Some(model)).with(|h| take(&mut h.breaker));
        }
    }
}
