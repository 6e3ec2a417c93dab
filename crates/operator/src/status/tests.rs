use std::sync::Arc;

use control::v1::{Credentials, Report};
use serde_json::json;

use super::*;
use crate::{
    fleet::Answer,
    index::{Groups, index},
    world::{Document, Pod, Policy},
};

fn key(name: &str) -> PolicyKey {
    PolicyKey { namespace: "shop".into(), name: name.into() }
}

/// A policy `p` of generation 4 with the pods `a`, `b`, whose sidecars have it and their keys.
struct Scene {
    world: World,
    fleet: BTreeMap<Uid, Sidecar>,
    findings: Findings,
    lending: Lending,
}

impl Scene {
    fn new() -> Scene {
        let document = Arc::new(Document::new(key("p"), 4, &json!({})));
        let selector = serde_json::from_value(json!({"matchLabels": {"app": "a"}})).unwrap();
        let policy = Policy {
            created: 1,
            selector,
            accepted: Some(document),
            secret: Some("keys".into()),
            needs_keys: true,
            generation: 4,
            ..Policy::default()
        };
        let mut scene = Scene {
            world: World::default(),
            fleet: BTreeMap::new(),
            findings: Findings::default(),
            lending: Lending::default(),
        };
        scene.world.policies.insert(key("p"), policy);
        for name in ["a", "b"] {
            scene.pod(name, true);
            scene.acks(name);
            scene.tells(name, &[], &[]);
        }
        scene
    }

    fn pod(&mut self, name: &str, sidecar: bool) {
        let labels = [("app".to_owned(), "a".to_owned())].into();
        let secret = sidecar.then(|| "keys".into());
        let pod = Pod { namespace: "shop".into(), name: name.into(), labels, sidecar, secret, ..Pod::default() };
        self.world.pods.insert(name.into(), pod);
    }

    fn policy(&mut self) -> &mut Policy {
        self.world.policies.get_mut(&key("p")).unwrap()
    }

    fn hash(&self) -> String {
        self.world.policies[&key("p")].accepted.as_ref().unwrap().hash.clone()
    }

    fn answers(&mut self, name: &str, error: Option<&str>) {
        let answer = Answer { generation: 4, hash: self.hash(), error: error.map(str::to_owned) };
        let sidecar = self.fleet.entry(name.into()).or_default();
        (sidecar.connected, sidecar.answer) = (true, Some(answer));
    }

    fn acks(&mut self, name: &str) {
        self.answers(name, None);
    }

    fn tells(&mut self, name: &str, missing: &[&str], vanished: &[&str]) {
        let names = |all: &[&str]| all.iter().map(|n| (*n).to_owned()).collect();
        let credentials = Some(Credentials { missing: names(missing), vanished: names(vanished) });
        let hash = self.hash();
        self.fleet.entry(name.into()).or_default().report = Some(Report { hash, credentials, ..Report::default() });
    }

    fn view<'a>(&'a self, groups: &'a Groups<'a>) -> View<'a> {
        let Scene { world, fleet, findings, lending } = self;
        View { world, groups, fleet, findings, lending }
    }

    fn status_of(&self, name: &str) -> PolicyStatus {
        let index = index(&self.world);
        let groups = Groups::new(&self.world, &index);
        let view = self.view(&groups);
        status(&key(name), view, None, &PolicyStatus::default(), Timestamp::from_second(1_795_665_600).unwrap())
            .unwrap()
    }

    fn status(&self) -> PolicyStatus {
        self.status_of("p")
    }
}

fn says_of(status: &PolicyStatus, type_: &str) -> String {
    let c = find(status, type_).unwrap();
    format!("{} {}: {}", c.status, c.reason, c.message)
}

#[track_caller]
fn check(status: &PolicyStatus, want: [(&str, &str); 5]) {
    for (type_, want) in want {
        assert_eq!(says_of(status, type_), want, "{type_}");
    }
}

#[test]
fn all_is_well() {
    let status = Scene::new().status();
    let count = "2 of 2 sidecars acknowledged generation 4";
    check(
        &status,
        [
            ("Ready", &format!("True Ready: {count}")),
            ("Stalled", "False NotStalled: nothing waits for a person"),
            ("Accepted", "True Accepted: generation 4 is accepted"),
            ("CredentialsReady", "True KeysPresent: 2 sidecars have every key of the Secret keys"),
            ("Programmed", &format!("True Programmed: {count}")),
        ],
    );
    assert_eq!(status.observed_generation, Some(4));
}

#[test]
fn a_bad_edit_is_told_and_what_is_in_force_too() {
    let mut scene = Scene::new();
    (scene.policy().generation, scene.policy().faults) = (5, vec!["spec.scenes[0]: no".into(), "spec.x: no".into()]);
    let text = "Invalid: generation 5 is refused, and generation 4 stays in force:\nspec.scenes[0]: no\nspec.x: no";
    check(
        &scene.status(),
        [
            ("Ready", &format!("False {text}")),
            ("Stalled", &format!("True {text}")),
            ("Accepted", &format!("False {text}")),
            ("CredentialsReady", "True KeysPresent: 2 sidecars have every key of the Secret keys"),
            ("Programmed", "True Programmed: 2 of 2 sidecars acknowledged generation 4"),
        ],
    );
    scene.policy().accepted = None;
    let text = "Invalid: generation 5 is refused, and no earlier version is in force:\nspec.scenes[0]: no\nspec.x: no";
    check(
        &scene.status(),
        [
            ("Ready", &format!("False {text}")),
            ("Stalled", &format!("True {text}")),
            ("Accepted", &format!("False {text}")),
            (
                "CredentialsReady",
                "Unknown NotAccepted: no version of this policy is in force, so no sidecar tells of its keys",
            ),
            ("Programmed", "False NotAccepted: no version of this policy was accepted, so no sidecar has it"),
        ],
    );
}

#[test]
fn who_has_it_not_is_named() {
    let mut scene = Scene::new();
    scene.fleet.get_mut("a").unwrap().answer = None;
    scene.fleet.get_mut("b").unwrap().connected = false;
    let pending = |scene: &Scene| says_of(&scene.status(), "Programmed");
    assert_eq!(pending(&scene), "False Pending: 1 of 2 sidecars acknowledged generation 4; waiting for a");
    scene.fleet.remove("b");
    assert_eq!(
        pending(&scene),
        "False Pending: 0 of 2 sidecars acknowledged generation 4; waiting for a, b (not connected)"
    );
    assert_eq!(says_of(&scene.status(), "Ready"), pending(&scene));
    (0..9).for_each(|i| scene.pod(&format!("c{i}"), true));
    assert!(pending(&scene).ends_with("c2 (not connected) and 6 more"), "{}", pending(&scene));
}

#[test]
fn a_refusal_is_told_with_its_text() {
    let mut scene = Scene::new();
    scene.answers("b", Some("spec.hedge: unknown field"));
    let text =
        "Rejected: 1 of 2 sidecars acknowledged generation 4; refused by the sidecars of b: spec.hedge: unknown field";
    let status = scene.status();
    assert_eq!(says_of(&status, "Programmed"), format!("False {text}"));
    assert_eq!(says_of(&status, "Stalled"), format!("True {text}"));
    assert_eq!(status.sidecars.as_ref().unwrap().rejected[0].pod, "b");
}

#[test]
fn pods_without_a_sidecar_that_fits_are_counted() {
    let mut scene = Scene::new();
    scene.pod("bare", false);
    scene.pod("old", true);
    scene.world.pods.get_mut("old").unwrap().secret = Some("old-keys".into());
    let status = scene.status();
    let how = "(label them llmroute.dev/inject: enabled and recreate them): bare, old";
    let want = format!(
        "True Programmed: 2 of 2 sidecars acknowledged generation 4; 2 selected pods have no sidecar, or one without the Secret keys {how}"
    );
    assert_eq!(says_of(&status, "Programmed"), want);
    let sidecars = status.sidecars.unwrap();
    assert_eq!((sidecars.total, sidecars.in_sync, sidecars.missing), (2, 2, 2));
    scene.world.pods.clear();
    assert_eq!(says_of(&scene.status(), "Programmed"), "True NoSidecars: no selected pod has a sidecar");
}

#[test]
fn keys_are_told_by_sidecars_alone() {
    let mut scene = Scene::new();
    let keys = |scene: &Scene| says_of(&scene.status(), "CredentialsReady");
    scene.tells("b", &["openai", "claude"], &[]);
    let want = "False KeysMissing: the Secret keys lacks, or holds no usable key for claude, openai, as the sidecars of these pods tell: b";
    assert_eq!(keys(&scene), want);
    assert_eq!(says_of(&scene.status(), "Ready"), want);
    assert!(says_of(&scene.status(), "Stalled").starts_with("False"), "the Secret may come any time");
    scene.tells("b", &[], &["claude"]);
    assert!(
        keys(&scene).starts_with("False KeysVanished: the Secret keys no longer has; sidecars go on"),
        "{}",
        keys(&scene)
    );
    scene.fleet.values_mut().for_each(|s| s.report.as_mut().unwrap().hash = "older".into());
    let want = "Unknown NoReport: no sidecar has told yet whether the Secret keys has the keys; the operator itself does not read it";
    assert_eq!(keys(&scene), want);
    assert!(says_of(&scene.status(), "Ready").starts_with("True"));
    scene.policy().needs_keys = false;
    assert_eq!(keys(&scene), "True NotNeeded: no provider has a credentialKey");
}

#[test]
fn the_younger_of_two_policies_says_so() {
    let mut scene = Scene::new();
    let mut young = scene.policy().clone();
    young.created = 2;
    young.accepted = Some(Arc::new(Document::new(key("young"), 1, &json!({}))));
    scene.world.policies.insert(key("young"), young);
    let status = scene.status_of("young");
    let text =
        "Conflict: the older policy p selects the same pods and has them; narrow one of the two podSelectors: a, b";
    assert_eq!(says_of(&status, "Ready"), format!("False {text}"));
    assert_eq!(says_of(&status, "Stalled"), format!("True {text}"));
    assert!(says_of(&status, "Accepted").starts_with("True"), "nothing is wrong with it by itself");
    assert!(says_of(&scene.status(), "Ready").starts_with("True"), "the older one has no trouble");
    let told = news(&PolicyStatus::default(), &status);
    assert_eq!(
        told.iter().map(|n| (n.warning, &*n.reason)).collect::<Vec<_>>(),
        [(false, "Accepted"), (true, "Conflict")]
    );
}

#[test]
fn times_change_with_what_is_told_and_only_then() {
    let scene = Scene::new();
    let index = index(&scene.world);
    let groups = Groups::new(&scene.world, &index);
    let view = scene.view(&groups);
    let at = |second: i64| Timestamp::new(second, 700).unwrap();
    let first = status(&key("p"), view, None, &PolicyStatus::default(), at(10)).unwrap();
    let again = status(&key("p"), view, None, &first, at(20)).unwrap();
    assert_eq!(first, again);
    let mut scene = Scene::new();
    scene.policy().faults = vec!["no".into()];
    let groups = Groups::new(&scene.world, &index);
    let view = scene.view(&groups);
    let later = status(&key("p"), view, None, &first, at(20)).unwrap();
    let times =
        ["Ready", "Accepted", "Programmed"].map(|t| find(&later, t).unwrap().last_transition_time.0.as_second());
    assert_eq!(times, [20, 20, 10]);
    // As it comes back from the API server, with a condition of somebody else.
    let text = serde_json::to_value(&later).unwrap();
    let mut shown: PolicyStatus = serde_json::from_value(text).unwrap();
    shown.conditions.push(Condition { type_: "Theirs".into(), ..shown.conditions[0].clone() });
    assert!(says(&shown, &later) && !says(&first, &later));
    assert!(status(&key("nobody"), view, None, &first, at(20)).is_none());
}

#[test]
fn what_happened_is_told_once() {
    let reasons = |before: &PolicyStatus, after: &PolicyStatus| -> Vec<String> {
        news(before, after).into_iter().map(|n| format!("{}{}", if n.warning { "!" } else { "" }, n.reason)).collect()
    };
    let none = PolicyStatus::default();
    let good = Scene::new();
    let mut bad = Scene::new();
    (bad.policy().generation, bad.policy().faults) = (5, vec!["no".into()]);
    let mut worse = Scene::new();
    (worse.policy().generation, worse.policy().faults) = (6, vec!["no".into()]);
    let mut rejected = Scene::new();
    rejected.answers("b", Some("no"));
    let mut pending = Scene::new();
    pending.fleet.clear();
    let mut keyless = Scene::new();
    keyless.tells("a", &["openai"], &[]);
    let rows = [
        (&none, &good, vec!["Accepted", "Programmed"]),
        (&good.status(), &good, vec![]),
        (&good.status(), &bad, vec!["!Invalid"]),
        (&bad.status(), &bad, vec![]),
        (&bad.status(), &worse, vec!["!Invalid"]),
        (&bad.status(), &good, vec!["Accepted"]),
        (&good.status(), &pending, vec![]),
        (&pending.status(), &good, vec!["Programmed"]),
        (&good.status(), &rejected, vec!["!Rejected"]),
        (&good.status(), &keyless, vec!["!KeysMissing"]),
        (&keyless.status(), &good, vec!["KeysPresent"]),
    ];
    for (i, (before, after, want)) in rows.into_iter().enumerate() {
        assert_eq!(reasons(before, &after.status()), want, "row {i}");
    }
}

fn caps() -> Arc<crate::world::Caps> {
    use policy::{ledger::Cap, snapshot::Scope};
    let cap = |name: &str| Cap {
        unit: Unit::Money,
        name: name.into(),
        scope: Scope::Policy,
        window: std::time::Duration::from_secs(60),
        limit: 2_000_000_000,
        guaranteed: 0,
        warn_at: None,
        degrade_at: None,
    };
    Arc::new(crate::world::Caps { all: vec![cap("minute"), cap("hour")], bill_horizon: std::time::Duration::ZERO })
}

fn shown(pressures: [Pressure; 2]) -> Shown {
    let stand = |(name, pressure): (&str, Pressure)| Stand {
        key: Key { unit: Unit::Money, name: name.into(), scope: Scope::Policy, value: None },
        limit: 2_000_000_000,
        used: 1_500_000_000,
        idle: 250_000_000,
        unknown: 0,
        shares: 100_000_000,
        debt: 0,
        pressure,
        next_free: Some(std::time::Duration::from_millis(1_900)),
    };
    Shown { term: 7, is_lost: false, stands: ["minute", "hour"].into_iter().zip(pressures).map(stand).collect() }
}

use policy::{
    ledger::{Key, Pressure},
    snapshot::Scope,
};

#[test]
fn budgets_are_told_as_their_lender_shows_them() {
    use Pressure::{Degrade, Full, Normal, Warn};
    let mut scene = Scene::new();
    assert_eq!(says_of(&scene.status(), "BudgetAvailable"), "True NotNeeded: the policy has no budget and no rate");
    scene.policy().caps = caps();
    assert!(says_of(&scene.status(), "BudgetAvailable").starts_with("Unknown NotLent: no replica lends yet"));
    let rows = [
        ([Normal, Normal], "True Available: there is money under every budget"),
        ([Warn, Normal], "True Warned: past warnAt: minute"),
        ([Warn, Degrade], "True Degraded: past degradeAt: hour; requests go to cheaper models, or are trimmed"),
        (
            [Full, Full],
            "False Exhausted: spent, as far as it may be lent: hour, minute; requests go down their tier's ladder",
        ),
    ];
    for (pressures, want) in rows {
        scene.lending.put(&key("p"), shown(pressures));
        assert_eq!(says_of(&scene.status(), "BudgetAvailable"), want);
    }
    let status = scene.status();
    assert_eq!((status.ledger_term, status.budgets.len()), (Some(7), 2));
    let row = serde_json::to_value(&status.budgets[0]).unwrap();
    let want = json!({"name": "minute", "spentUsd": "1.5", "limitUsd": "2", "lentUsd": "0.25", "nextFreeSeconds": 1});
    assert_eq!(row, want);
    scene.lending.put(&key("p"), Shown { is_lost: true, ..shown([Normal, Normal]) });
    assert!(
        says_of(&scene.status(), "BudgetAvailable").starts_with("False LedgerLost: the ledger of this policy is gone")
    );
    scene.lending.complain(&key("p"), Some("cannot write the ledger: no".to_owned()));
    assert!(
        says_of(&scene.status(), "BudgetAvailable")
            .starts_with("False LedgerNotKept: cannot write the ledger: no. Until then")
    );
}

#[test]
fn that_there_was_a_ledger_is_never_forgotten() {
    let mut scene = Scene::new();
    scene.policy().caps = caps();
    let index = index(&scene.world);
    let before = PolicyStatus { ledger_term: Some(9), ..PolicyStatus::default() };
    let groups = Groups::new(&scene.world, &index);
    let at = Timestamp::from_second(10).unwrap();
    let told = |scene: &Scene| status(&key("p"), scene.view(&groups), None, &before, at).unwrap();
    assert_eq!(told(&scene).ledger_term, Some(9), "nobody lends yet");
    scene.lending.put(&key("p"), shown([Pressure::Normal; 2]));
    assert_eq!(told(&scene).ledger_term, Some(9), "an older lender");
    scene.lending.put(&key("p"), Shown { term: 10, ..shown([Pressure::Normal; 2]) });
    assert_eq!(told(&scene).ledger_term, Some(10));
}

#[test]
fn what_is_spent_counts_on_and_is_no_other_status() {
    let mut scene = Scene::new();
    scene.policy().caps = caps();
    scene.lending.put(&key("p"), shown([Pressure::Normal; 2]));
    let before = scene.status();
    let mut more = shown([Pressure::Normal; 2]);
    more.stands[0].used += 1;
    scene.lending.put(&key("p"), more);
    let wanted = scene.status();
    assert!(says(&before, &wanted) && counts_on(&before, &wanted) && !counts_on(&before, &before));
    scene.lending.put(&key("p"), shown([Pressure::Full; 2]));
    assert!(!says(&before, &scene.status()));
}
