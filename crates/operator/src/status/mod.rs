//! What a policy's status says: a pure function of the world and of what sidecars answered. Its messages are for a person who
//! has nothing but `kubectl describe`.

mod news;
mod tell;

use std::{collections::BTreeMap, sync::Arc};

use api::types::{BudgetStatus, PolicyStatus, ProviderStatus};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

pub use news::{News, news};
use policy::{
    breaker::Finding,
    ledger::{Unit, lend::Stand},
    money::Usd,
};

use crate::{
    findings::Findings,
    fleet::{Sidecar, programmed},
    index::Groups,
    lend::{Lending, Shown},
    world::{PolicyKey, Uid, World},
};

/// Bytes of a scope's value.
const MAX_VALUE: usize = 200;
/// Bytes of a condition's message.
const MAX_MESSAGE: usize = 4 << 10;

/// What is known, for one look.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The cluster.
    pub world: &'a World,
    /// Which pods get which policy.
    pub groups: &'a Groups<'a>,
    /// What sidecars answered.
    pub fleet: &'a BTreeMap<Uid, Sidecar>,
    /// What they found of providers.
    pub findings: &'a Findings,
    /// What is lent.
    pub lending: &'a Lending,
}

/// A condition's status, reason and message.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    status: &'static str,
    reason: &'static str,
    message: String,
}

impl Told {
    fn yes(reason: &'static str, message: impl Into<String>) -> Told {
        Told { status: "True", reason, message: message.into() }
    }

    fn no(reason: &'static str, message: impl Into<String>) -> Told {
        Told { status: "False", reason, message: message.into() }
    }

    fn unknown(reason: &'static str, message: impl Into<String>) -> Told {
        Told { status: "Unknown", reason, message: message.into() }
    }

    fn is_no(&self) -> bool {
        self.status == "False"
    }
}

/// The status of a policy at `now`; `unkept` says why its ConfigMap cannot be written, if that is so. `None` where there is no such policy. A condition that says what it said before keeps the
/// time of its last transition.
#[must_use]
pub fn status(
    key: &PolicyKey,
    view: View<'_>,
    unkept: Option<&str>,
    before: &PolicyStatus,
    now: Timestamp,
) -> Option<PolicyStatus> {
    let policy = view.world.policies.get(key)?;
    let sidecars = programmed(policy, policy.accepted.as_deref(), view.groups.gets(key), view.fleet);
    let accepted = tell::accepted(policy);
    let credentials = tell::credentials(key, policy, view);
    let programmed = tell::programmed(key, policy, &sidecars, view);
    let conflict = tell::conflict(key, view);
    let (shown, unlent) = (view.lending.shown(key), view.lending.unkept(key));
    let ready = tell::ready(&accepted, conflict.as_ref(), &credentials, &programmed);
    let stalled = tell::stalled(&accepted, conflict.as_ref(), &programmed, unkept);
    let all = [
        ("Ready", ready),
        ("Stalled", stalled),
        ("Accepted", accepted),
        ("CredentialsReady", credentials),
        ("Programmed", programmed),
        ("BudgetAvailable", tell::budgets(policy, shown.as_deref(), unlent.as_deref())),
    ];
    let conditions = all.map(|(type_, told)| condition(type_, told, policy.generation, before, now)).to_vec();
    Some(PolicyStatus {
        observed_generation: Some(policy.generation),
        conditions,
        sidecars: Some(sidecars),
        providers: view.findings.providers(key).into_iter().filter_map(provider).collect(),
        budgets: shown.as_deref().map_or_else(|| before.budgets.clone(), budgets),
        ledger_term: shown.and_then(|s| i64::try_from(s.term).ok()).max(before.ledger_term),
        ..PolicyStatus::default()
    })
}

/// A provider that most sidecars which tried it lately found failing, or that asked one of them to wait; others have no row.
fn provider((name, found): (Arc<str>, Finding)) -> Option<ProviderStatus> {
    let circuit = Some("Open".to_owned()).filter(|_| found != Finding::Works)?;
    Some(ProviderStatus { name: name.to_string(), score: None, circuit: Some(circuit), phase: None })
}

/// A row a budget; rates are not money.
fn budgets(shown: &Shown) -> Vec<BudgetStatus> {
    let usd = |amount: u64| Usd(amount).to_string();
    let row = |stand: &Stand| BudgetStatus {
        name: stand.key.name.to_string(),
        spent_usd: usd(stand.used),
        limit_usd: usd(stand.limit),
        lent_usd: Some(usd(stand.idle)),
        unknown_usd: Some(usd(stand.unknown)).filter(|_| stand.unknown > 0),
        debt_usd: Some(usd(stand.debt)).filter(|_| stand.debt > 0),
        of: stand.key.value.as_ref().map(|value| crate::fleet::cut(value.to_string(), MAX_VALUE)),
        next_free_seconds: stand.next_free.and_then(|d| i64::try_from(d.as_secs()).ok()),
    };
    shown.stands.iter().filter(|s| s.key.unit == Unit::Money).map(row).collect()
}

fn condition(type_: &str, told: Told, generation: i64, before: &PolicyStatus, now: Timestamp) -> Condition {
    let Told { status, reason, message } = told;
    let same = find(before, type_).filter(|c| c.status == status).map(|c| c.last_transition_time.clone());
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: crate::fleet::cut(message, MAX_MESSAGE),
        observed_generation: Some(generation),
        last_transition_time: same.unwrap_or(Time(whole(now))),
    }
}

/// Objects have times in whole seconds: what comes back must equal what was written.
fn whole(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

fn find<'a>(status: &'a PolicyStatus, type_: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|c| c.type_ == type_)
}

/// Whether `shown` says all that `wanted` does; conditions and numbers of others do not matter.
#[must_use]
pub fn says(shown: &PolicyStatus, wanted: &PolicyStatus) -> bool {
    shown.observed_generation == wanted.observed_generation
        && shown.sidecars == wanted.sidecars
        && shown.ledger_term == wanted.ledger_term
        && shown.providers == wanted.providers
        && wanted.conditions.iter().all(|c| find(shown, &c.type_) == Some(c))
}

/// Whether nothing differs but the numbers of budgets, which change all the time and are told now and then.
#[must_use]
pub fn counts_on(before: &PolicyStatus, wanted: &PolicyStatus) -> bool {
    let but_for_time = |status: &PolicyStatus| -> Vec<BudgetStatus> {
        status.budgets.iter().map(|b| BudgetStatus { next_free_seconds: None, ..b.clone() }).collect()
    };
    says(before, wanted) && but_for_time(before) != but_for_time(wanted)
}

/// Whether `wanted` differs from `before` by nothing but how far a version has come: more or fewer sidecars have it, of more or
/// fewer.
#[must_use]
pub fn is_progress(before: &PolicyStatus, wanted: &PolicyStatus) -> bool {
    let on_the_way = |was: &Condition, is: &Condition| {
        (&*was.reason, &*is.reason) == ("Programmed", "Pending") || (&*was.reason, &*is.reason) == ("Ready", "Pending")
    };
    let same = |is: &Condition| {
        find(before, &is.type_)
            .is_some_and(|was| (&was.status, &was.reason) == (&is.status, &is.reason) || on_the_way(was, is))
    };
    before.observed_generation == wanted.observed_generation && wanted.conditions.iter().all(same)
}

/// Whether `wanted` differs from `before` by nothing but the silence of sidecars that had answered before.
#[must_use]
pub fn waits_for_sidecars(before: &PolicyStatus, wanted: &PolicyStatus) -> bool {
    let reason = |status: &'_ PolicyStatus, type_: &str| find(status, type_).map(|c| c.reason.clone());
    let is = |type_: &str, reasons: &[&str], silent: &str| {
        let had = reason(before, type_).is_some_and(|r| reasons.contains(&&*r));
        had && reason(wanted, type_).as_deref() == Some(silent)
    };
    let in_sync = |status: &'_ PolicyStatus| status.sidecars.as_ref().map_or(0, |s| s.in_sync);
    let fewer = in_sync(wanted) < in_sync(before) && is("Programmed", &["Pending"], "Pending");
    before.observed_generation == wanted.observed_generation
        && reason(before, "Accepted") == reason(wanted, "Accepted")
        && (is("Programmed", &["Programmed", "Rejected"], "Pending")
            || fewer
            || is("CredentialsReady", &["KeysPresent", "KeysMissing", "KeysVanished"], "NoReport"))
}

#[cfg(test)]
mod tests;
