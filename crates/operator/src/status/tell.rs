//! What each condition says.

use api::types::SidecarStatus;

use policy::ledger::{Pressure, Unit, lend::Stand};

use super::{Told, View};
use crate::{
    lend::Shown,
    world::{Policy, PolicyKey},
};

/// Names that a message lists.
const MOST: usize = 5;

/// Whether the newest version is accepted.
pub(super) fn accepted(policy: &Policy) -> Told {
    let Policy { generation, faults, accepted, .. } = policy;
    if faults.is_empty() {
        return Told::yes("Accepted", format!("generation {generation} is accepted"));
    }
    let kept = match accepted {
        Some(document) => format!("generation {} stays in force", document.generation),
        None => "no earlier version is in force".to_owned(),
    };
    Told::no("Invalid", format!("generation {generation} is refused, and {kept}:\n{}", faults.join("\n")))
}

/// Whether sidecars have the keys, by what they tell: the operator does not read Secrets.
pub(super) fn credentials(key: &PolicyKey, policy: &Policy, View { groups, fleet, .. }: View<'_>) -> Told {
    let Some(document) = &policy.accepted else {
        return Told::unknown("NotAccepted", "no version of this policy is in force, so no sidecar tells of its keys");
    };
    if !policy.needs_keys {
        return Told::yes("NotNeeded", "no provider has a credentialKey");
    }
    let secret = match &policy.secret {
        Some(name) => format!("the Secret {name}"),
        None => "spec.credentials.secretName is not set: the Secret".to_owned(),
    };
    let reports = groups.gets(key).iter().filter_map(|(uid, pod)| {
        let report = fleet.get(*uid)?.report.as_ref().filter(|r| r.hash == document.hash)?;
        Some((pod, report.credentials.as_ref()?))
    });
    let reports: Vec<_> = reports.collect();
    for (reason, gone, what) in [
        ("KeysMissing", false, "lacks, or holds no usable key for"),
        ("KeysVanished", true, "no longer has; sidecars go on with the key that they had, and new pods will lack"),
    ] {
        let of = |c: &control::v1::Credentials| if gone { c.vanished.clone() } else { c.missing.clone() };
        let pods = reports.iter().filter(|(_, c)| !of(c).is_empty()).map(|(pod, _)| pod.name.to_string()).collect();
        let mut keys: Vec<String> = reports.iter().flat_map(|(_, c)| of(c)).collect();
        keys.sort();
        keys.dedup();
        if !keys.is_empty() {
            let (keys, pods) = (list(keys), list(pods));
            return Told::no(reason, format!("{secret} {what} {keys}, as the sidecars of these pods tell: {pods}"));
        }
    }
    match reports.len() {
        0 => Told::unknown(
            "NoReport",
            format!("no sidecar has told yet whether {secret} has the keys; the operator itself does not read it"),
        ),
        n => Told::yes("KeysPresent", format!("{} every key of {secret}", has(n))),
    }
}

fn has(n: usize) -> String {
    if n == 1 { "1 sidecar has".to_owned() } else { format!("{n} sidecars have") }
}

/// How many sidecars have the version in force.
pub(super) fn programmed(
    key: &PolicyKey,
    policy: &Policy,
    sidecars: &SidecarStatus,
    View { groups, fleet, .. }: View<'_>,
) -> Told {
    let Some(document) = &policy.accepted else {
        return Told::no("NotAccepted", "no version of this policy was accepted, so no sidecar has it");
    };
    let SidecarStatus { total, in_sync, missing, rejected } = sidecars;
    let generation = document.generation;
    let count = format!("{in_sync} of {total} sidecars acknowledged generation {generation}");
    let missing = match missing {
        0 => String::new(),
        n => {
            let unfit = groups.gets(key).iter().filter(|(_, pod)| !pod.fits(policy));
            let names = list(unfit.map(|(_, pod)| pod.name.to_string()).collect());
            let pods = if *n == 1 { "1 selected pod has".to_owned() } else { format!("{n} selected pods have") };
            let other = policy.secret.as_ref().map(|s| format!(", or one without the Secret {s}")).unwrap_or_default();
            format!("; {pods} no sidecar{other} (label them llmroute.dev/inject: enabled and recreate them): {names}")
        }
    };
    if let Some(first) = rejected.first() {
        let pods = list(rejected.iter().map(|r| r.pod.clone()).collect());
        let text = &first.message;
        return Told::no("Rejected", format!("{count}; refused by the sidecars of {pods}: {text}{missing}"));
    }
    if in_sync < total {
        let waits = groups.gets(key).iter().filter(|(_, pod)| pod.fits(policy)).filter_map(|(uid, pod)| {
            let sidecar = fleet.get(*uid);
            let has = sidecar.and_then(|s| s.answer.as_ref()).is_some_and(|a| a.hash == document.hash);
            let away = if sidecar.is_some_and(|s| s.connected) { "" } else { " (not connected)" };
            (!has).then(|| format!("{}{away}", pod.name))
        });
        let waits = list(waits.collect());
        return Told::no("Pending", format!("{count}; waiting for {waits}{missing}"));
    }
    match total {
        0 => Told::yes("NoSidecars", format!("no selected pod has a sidecar{missing}")),
        _ => Told::yes("Programmed", format!("{count}{missing}")),
    }
}

/// Whether there is money under every budget, over all pods. Its numbers stand in `status.budgets`: a message that counts would
/// be written all the time.
pub(super) fn budgets(policy: &Policy, shown: Option<&Shown>, unkept: Option<&str>) -> Told {
    if policy.accepted.is_none() {
        return Told::unknown("NotAccepted", "no version of this policy is in force");
    }
    if policy.caps.all.is_empty() {
        return Told::yes("NotNeeded", "the policy has no budget and no rate");
    }
    if let Some(why) = unkept {
        return Told::no(
            "LedgerNotKept",
            format!("{why}. Until then pods spend what they hold, and no pod or budget that comes is lent to"),
        );
    }
    let Some(shown) = shown else {
        return Told::unknown(
            "NotLent",
            "no replica lends yet; pods spend what they hold, then their guaranteed share",
        );
    };
    if shown.is_lost {
        return Told::no(
            "LedgerLost",
            "the ledger of this policy is gone: what pods may have borrowed is waited out before it is lent again",
        );
    }
    let at = |pressure: Pressure| {
        let is = |s: &&Stand| s.key.unit == Unit::Money && s.pressure == pressure;
        let name = |s: &Stand| match &s.key.value {
            Some(value) => format!("{} of {value}", s.key.name),
            None => s.key.name.to_string(),
        };
        let names: Vec<String> = shown.stands.iter().filter(is).map(name).collect();
        Some(names).filter(|names| !names.is_empty()).map(list)
    };
    if let Some(names) = at(Pressure::Full) {
        Told::no("Exhausted", format!("spent, as far as it may be lent: {names}; requests go down their tier's ladder"))
    } else if let Some(names) = at(Pressure::Degrade) {
        Told::yes("Degraded", format!("past degradeAt: {names}; requests go to cheaper models, or are trimmed"))
    } else if let Some(names) = at(Pressure::Warn) {
        Told::yes("Warned", format!("past warnAt: {names}"))
    } else {
        Told::yes("Available", "there is money under every budget")
    }
}

/// Pods that this policy selects and an older one has.
pub(super) fn conflict(key: &PolicyKey, View { groups, .. }: View<'_>) -> Option<Told> {
    let lost = groups.loses(key);
    let (_, winner) = lost.first()?;
    let mut winners: Vec<String> = lost.iter().map(|(_, by)| by.name.to_string()).collect();
    winners.sort();
    winners.dedup();
    let older = if winners.len() == 1 { winner.name.to_string() } else { list(winners) };
    let pods = list(lost.iter().map(|(pod, _)| pod.name.to_string()).collect());
    Some(Told::yes(
        "Conflict",
        format!(
            "the older policy {older} selects the same pods and has them; narrow one of the two podSelectors: {pods}"
        ),
    ))
}

/// What helm and `kubectl wait` read: the first thing that keeps the policy from being in force everywhere.
pub(super) fn ready(accepted: &Told, conflict: Option<&Told>, credentials: &Told, programmed: &Told) -> Told {
    let hindrance = [Some(accepted), conflict, Some(programmed), Some(credentials)];
    let hindrance = hindrance.into_iter().flatten().find(|told| told.is_no() || told.reason == "Conflict");
    match hindrance {
        Some(Told { reason, message, .. }) => Told::no(reason, message.clone()),
        None => Told::yes("Ready", programmed.message.clone()),
    }
}

/// Whether somebody must do something before it goes on.
pub(super) fn stalled(accepted: &Told, conflict: Option<&Told>, programmed: &Told, unkept: Option<&str>) -> Told {
    let unkept = unkept.map(|why| {
        Told::yes("NotKept", format!("{why}. Until then pods that start while no replica leads do not get this policy, and a restart of the operator may lose it while an edit is refused"))
    });
    let rejected = Some(programmed).filter(|told| told.reason == "Rejected");
    let refused = Some(accepted).filter(|told| told.is_no());
    match refused.or(conflict).or(rejected).or(unkept.as_ref()) {
        Some(Told { reason, message, .. }) => Told::yes(reason, message.clone()),
        None => Told::no("NotStalled", "nothing waits for a person"),
    }
}

/// The first few names, and how many more there are.
fn list(mut names: Vec<String>) -> String {
    names.sort();
    let more = names.len().saturating_sub(MOST);
    let first: Vec<String> = names.into_iter().take(MOST).collect();
    let first = first.join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}
