//! What is to be done for which policy, and when: a policy is in it once, whatever happens to it, so it is never longer than
//! there are policies.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::types::PolicyStatus;

use crate::{
    status::{counts_on, is_progress, says, waits_for_sidecars},
    world::{Document, Policy, PolicyKey, World},
};

/// After a failure, doubling.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// So often all is written again: somebody may have changed or deleted it.
const REFRESH: Duration = Duration::from_secs(300);
/// What somebody else made of a status is put right not more often than that: it may be somebody who does the same.
const CALM: Duration = Duration::from_secs(5);
/// How far a version has come is told no oftener: of a thousand pods that are replaced one after the other each is a difference.
const PROGRESS: Duration = Duration::from_secs(1);
/// What is spent is told no oftener.
const NUMBERS: Duration = Duration::from_secs(10);
/// Sidecars of the leader before come back within that; until then their silence is no news.
const SETTLES: Duration = Duration::from_secs(20);

/// What is to be done for a policy.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Todo {
    pub key: PolicyKey,
    pub policy: Policy,
    /// Ask what was accepted before; then nothing else.
    pub recall: bool,
    /// Write the ConfigMap with this.
    pub keep: Option<Arc<Document>>,
    /// Write this status.
    pub tell: Option<PolicyStatus>,
    /// What was told before.
    pub before: PolicyStatus,
    /// Somebody else wrote over what this process wrote.
    pub repairs: bool,
}

impl Todo {
    /// The ConfigMap is to be read or written.
    fn keeps(&self) -> bool {
        self.recall || self.keep.is_some()
    }
}

/// What is known of a policy's work.
#[derive(Debug, Default)]
struct Item {
    uid: Arc<str>,
    /// Hash of the document in the ConfigMap, as this process wrote it.
    kept: Option<String>,
    /// The status that this process wrote.
    told: Option<PolicyStatus>,
    /// The watch has shown it: what it shows from then on is newer.
    shown: bool,
    /// When it wrote that.
    told_at: Duration,
    /// Progress is told then.
    progress: Option<Duration>,
    /// When both were last written, whatever they were.
    fresh: Duration,
    /// Of the ConfigMap.
    keeping: Tries,
    /// Why it cannot be written, until it is.
    unkept: Option<String>,
    /// Of the status.
    telling: Tries,
    todo: Option<Todo>,
}

/// When something may be tried again that failed.
#[derive(Debug, Default)]
struct Tries {
    failures: u32,
    /// Not before then.
    again: Duration,
}

impl Tries {
    fn went(&mut self, is_good: bool, now: Duration) {
        let pause = PAUSE.0.saturating_mul(1 << self.failures.min(10)).min(PAUSE.1);
        *self = if is_good {
            Tries { failures: 0, again: now }
        } else {
            Tries { failures: self.failures + 1, again: now + pause }
        };
    }

    /// What failed is no longer to be done: nothing waits for another try.
    fn rest(&mut self, now: Duration) {
        if self.failures > 0 {
            *self = Tries { failures: 0, again: now };
        }
    }
}

impl Item {
    /// Takes what is due at `now`; the rest is looked for again.
    fn due(&mut self, now: Duration) -> Option<Todo> {
        let todo = self.todo.as_ref()?;
        let keeps = todo.keeps() && self.keeping.again <= now;
        let tells = todo.tell.is_some() && self.telling.again <= now;
        let todo = self.todo.take_if(|_| keeps || tells)?;
        Some(Todo {
            recall: todo.recall && keeps,
            keep: todo.keep.filter(|_| keeps),
            tell: todo.tell.filter(|_| tells),
            ..todo
        })
    }

    /// When something is to be done that is not yet due.
    fn waits(&self) -> impl Iterator<Item = Duration> {
        let keeps = self.keeping.failures > 0 || self.todo.as_ref().is_some_and(Todo::keeps);
        let tells = self.telling.failures > 0 || self.todo.as_ref().is_some_and(|todo| todo.tell.is_some());
        [(keeps, self.keeping.again), (tells, self.telling.again)].into_iter().filter_map(|(is, at)| is.then_some(at))
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Work {
    items: BTreeMap<PolicyKey, Item>,
    /// Since when this process leads, if it does.
    leads: Option<Duration>,
    /// Something is not told before all has settled.
    holds: bool,
}

impl Work {
    /// Begins a round, as the leader or not.
    pub(super) fn begin(&mut self, leads: bool, now: Duration) {
        self.holds = false;
        if leads {
            self.leads.get_or_insert(now);
            return;
        }
        self.leads = None;
        // Another one writes from now on: what this process wrote is no longer what is there.
        for item in self.items.values_mut() {
            (item.kept, item.told, item.shown, item.unkept) = (None, None, false, None);
        }
    }

    /// Forgets policies that are gone.
    pub(super) fn retain(&mut self, world: &World) {
        self.items.retain(|key, item| world.policies.get(key).is_some_and(|policy| policy.uid == item.uid));
    }

    /// What is told of a policy: what this process wrote, until the watch shows it, else what the cluster shows.
    pub(super) fn told<'a>(&'a self, key: &PolicyKey, policy: &'a Policy) -> &'a PolicyStatus {
        let unseen = self.items.get(key).filter(|item| !item.shown).and_then(|item| item.told.as_ref());
        unseen.unwrap_or(&policy.status)
    }

    /// Notes what is to be done for a policy whose status is `wanted`.
    pub(super) fn look(&mut self, key: &PolicyKey, policy: &Policy, wanted: PolicyStatus, now: Duration) {
        let before = self.told(key, policy).clone();
        let leads = self.leads.is_some();
        let settles = self.leads.is_some_and(|since| now.saturating_sub(since) < SETTLES);
        let holds = settles && waits_for_sidecars(&before, &wanted);
        self.holds |= holds;
        let item = self.items.entry(key.clone()).or_insert_with(|| Item { uid: policy.uid.clone(), ..Item::default() });
        let is_shown = item.told.as_ref().is_some_and(|told| says(&policy.status, told));
        let repairs = item.shown && item.told.is_some() && !is_shown;
        item.shown |= is_shown;
        // What is known may be older than what stands there: that is asked first.
        let writes = leads && !policy.recall;
        let keep = policy.accepted.clone().filter(|d| writes && item.kept.as_ref() != Some(&d.hash));
        let counts_on = counts_on(&before, &wanted);
        let differs = counts_on || !says(&before, &wanted);
        let again = item.told_at + if counts_on { NUMBERS } else { PROGRESS };
        item.progress = Some(again).filter(|again| now < *again && differs && is_progress(&before, &wanted));
        let holds = holds || item.progress.is_some();
        // What is not known yet is not told: it may be in force.
        let tell = Some(wanted).filter(|_| writes && !holds && differs);
        let todo =
            Todo { key: key.clone(), policy: policy.clone(), recall: policy.recall, keep, tell, before, repairs };
        if !todo.keeps() {
            item.keeping.rest(now);
        }
        if todo.tell.is_none() {
            item.telling.rest(now);
        }
        item.todo = Some(todo).filter(|todo| todo.keeps() || todo.tell.is_some());
    }

    /// Takes what is due at `now`.
    pub(super) fn due(&mut self, now: Duration) -> Vec<Todo> {
        for item in self.items.values_mut().filter(|item| now.saturating_sub(item.fresh) >= REFRESH) {
            (item.kept, item.shown, item.fresh) = (None, true, now);
        }
        self.items.values_mut().filter_map(|item| item.due(now)).collect()
    }

    /// Why the ConfigMap of a policy cannot be written, if somebody must do something about it.
    pub(super) fn unkept(&self, key: &PolicyKey) -> Option<&str> {
        self.items.get(key)?.unkept.as_deref()
    }

    /// Notes how it went with the ConfigMap and with the status; `unkept` says why the first was refused, if it was.
    pub(super) fn done(&mut self, todo: Todo, (kept, told): (bool, bool), unkept: Option<String>, now: Duration) {
        let Some(item) = self.items.get_mut(&todo.key).filter(|item| item.uid == todo.policy.uid) else { return };
        if todo.keeps() {
            item.keeping.went(kept, now);
            if kept || unkept.is_some() {
                item.unkept = unkept;
            }
        }
        if todo.tell.is_some() {
            item.telling.went(told, now);
        }
        if let Some(document) = todo.keep.filter(|_| kept) {
            (item.kept, item.fresh) = (Some(document.hash.clone()), now);
        }
        if told && todo.tell.is_some() {
            (item.told, item.shown, item.told_at) = (todo.tell, false, now);
            if todo.repairs {
                item.telling.again = now + CALM;
            }
        }
    }

    /// Until the next one that failed, or that waits, may be tried, or what is held back is told.
    pub(super) fn next(&self, now: Duration) -> Option<Duration> {
        let settled = self.leads.filter(|_| self.holds).map(|since| since + SETTLES);
        let waits = self.items.values().flat_map(Item::waits);
        let progress = self.items.values().filter_map(|item| item.progress);
        waits.chain(settled).chain(progress).map(|at| at.saturating_sub(now)).min()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key() -> PolicyKey {
        PolicyKey { namespace: "shop".into(), name: "p".into() }
    }

    fn policy(generation: i64) -> Policy {
        let accepted = Some(Arc::new(Document::new(key(), generation, &json!({}))));
        Policy { uid: "u".into(), generation, accepted, ..Policy::default() }
    }

    fn status(generation: i64) -> PolicyStatus {
        PolicyStatus { observed_generation: Some(generation), ..PolicyStatus::default() }
    }

    const NOW: Duration = Duration::from_secs(1000);

    /// Whether the ConfigMap, and whether the status is to be written.
    fn due(work: &mut Work, policy: &Policy, wanted: i64, leads: bool, now: Duration) -> Option<(bool, bool, Todo)> {
        work.begin(leads, now);
        work.look(&key(), policy, status(wanted), now);
        work.due(now).pop().map(|todo| (todo.keep.is_some(), todo.tell.is_some(), todo))
    }

    #[test]
    fn only_a_difference_is_written_and_only_by_the_leader() {
        let mut work = Work::default();
        assert!(due(&mut work, &policy(1), 1, false, NOW).is_none(), "not the leader");
        let (keep, tell, todo) = due(&mut work, &policy(1), 1, true, NOW).unwrap();
        assert!(keep && tell);
        work.done(todo, (true, true), None, NOW);
        assert!(due(&mut work, &policy(1), 1, true, NOW).is_none(), "though the watch shows the old status still");
        let (keep, tell, todo) = due(&mut work, &policy(1), 2, true, NOW).unwrap();
        assert!(!keep && tell && todo.before == status(1));
        work.done(todo, (true, true), None, NOW);
        let (keep, tell, todo) = due(&mut work, &policy(2), 2, true, NOW).unwrap();
        assert!(keep && !tell);
        work.done(todo, (true, true), None, NOW);
        assert!(due(&mut work, &policy(2), 2, false, NOW).is_none(), "another one leads");
        let shown = Policy { status: status(7), ..policy(2) };
        let (keep, tell, _) = due(&mut work, &shown, 7, true, NOW).unwrap();
        assert!(keep && !tell, "the status is as the one who led before left it");
    }

    #[test]
    fn what_somebody_else_writes_over_a_status_is_put_right_now_and_then() {
        let mut work = Work::default();
        let shows = |generation: i64| Policy { status: status(generation), ..policy(1) };
        let (.., todo) = due(&mut work, &policy(1), 1, true, NOW).unwrap();
        work.done(todo, (true, true), None, NOW);
        assert!(due(&mut work, &shows(0), 1, true, NOW).is_none(), "the watch is behind");
        assert!(due(&mut work, &shows(1), 1, true, NOW).is_none());
        let (keep, tell, todo) = due(&mut work, &shows(7), 1, true, NOW).unwrap();
        assert!(!keep && tell && todo.before == status(7), "somebody else wrote");
        work.done(todo, (true, true), None, NOW);
        assert!(due(&mut work, &shows(7), 1, true, NOW).is_none(), "the watch is behind");
        assert!(due(&mut work, &shows(1), 1, true, NOW).is_none());
        assert!(due(&mut work, &shows(7), 1, true, NOW).is_none(), "and again: it is not fought over");
        assert_eq!(work.next(NOW), Some(CALM));
        assert!(due(&mut work, &shows(7), 1, true, NOW + CALM).is_some());
    }

    #[test]
    fn a_failure_is_tried_again_later_and_later() {
        let mut work = Work::default();
        let mut now = NOW;
        let mut pauses = vec![];
        for _ in 0..9 {
            let (.., todo) = due(&mut work, &policy(1), 1, true, now).unwrap();
            work.done(todo, (false, false), None, now);
            assert!(due(&mut work, &policy(1), 1, true, now).is_none());
            let pause = work.next(now).unwrap();
            pauses.push(pause.as_millis());
            now += pause;
        }
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
        let (.., todo) = due(&mut work, &policy(1), 1, true, now).unwrap();
        work.done(todo, (true, true), None, now);
        assert_eq!(work.next(now), None);
    }

    #[test]
    fn what_failed_and_is_no_longer_to_be_done_is_waited_for_no_more() {
        let (mut work, later) = (Work::default(), NOW + PAUSE.1);
        let (.., todo) = due(&mut work, &policy(1), 1, true, NOW).unwrap();
        work.done(todo, (false, false), None, NOW);
        assert!(due(&mut work, &policy(1), 1, false, later).is_none(), "another one leads");
        assert_eq!(work.next(later), None);

        let refused = Policy { accepted: None, recall: true, ..policy(2) };
        let (.., todo) = due(&mut work, &refused, 2, false, later).unwrap();
        work.done(todo, (false, false), None, later);
        assert!(due(&mut work, &policy(3), 3, false, later).is_none(), "a good version came");
        assert_eq!(work.next(later), None);
        assert!(due(&mut work, &policy(3), 3, true, later).is_some(), "and is not late for what failed before");
    }

    #[test]
    fn one_that_fails_does_not_hold_up_the_other() {
        let mut work = Work::default();
        let (.., todo) = due(&mut work, &policy(1), 1, true, NOW).unwrap();
        work.done(todo, (false, true), None, NOW);
        assert_eq!(work.next(NOW), Some(PAUSE.0));
        let (keep, tell, todo) = due(&mut work, &policy(1), 2, true, NOW).unwrap();
        assert!(!keep && tell, "the status is another, and the ConfigMap has to wait");
        work.done(todo, (true, false), None, NOW);
        let (keep, tell, todo) = due(&mut work, &policy(1), 2, true, NOW + PAUSE.0).unwrap();
        assert!(keep && tell);
        work.done(todo, (true, true), None, NOW + PAUSE.0);
        assert_eq!(work.next(NOW + PAUSE.0), None);
    }

    #[test]
    fn what_was_before_is_asked_first_by_every_replica() {
        let mut work = Work::default();
        let refused = Policy { accepted: None, recall: true, ..policy(2) };
        let (keep, tell, todo) = due(&mut work, &refused, 2, false, NOW).unwrap();
        assert!(todo.recall && !keep && !tell);
        let (_, tell, todo) = due(&mut work, &refused, 2, true, NOW).unwrap();
        assert!(todo.recall && !tell, "what may be in force is not told to be not");
        work.done(todo, (true, true), None, NOW);

        // One was accepted, and perhaps another one since.
        let behind = Policy { recall: true, ..policy(1) };
        let (keep, tell, todo) = due(&mut work, &behind, 3, true, NOW).unwrap();
        assert!(todo.recall && !keep && !tell, "the older one is not written over the newer one");
        work.done(todo, (true, true), None, NOW);
        let (keep, tell, _) = due(&mut work, &policy(1), 3, true, NOW).unwrap();
        assert!(keep && tell, "nothing counts as written that was only asked");
    }

    #[test]
    fn the_config_map_is_written_again_now_and_then() {
        let mut work = Work::default();
        let (.., todo) = due(&mut work, &policy(1), 1, true, NOW).unwrap();
        work.done(todo, (true, true), None, NOW);
        let shown = Policy { status: status(1), ..policy(1) };
        assert!(due(&mut work, &shown, 1, true, NOW + REFRESH / 2).is_none());
        let _ = due(&mut work, &shown, 1, true, NOW + REFRESH);
        let (keep, tell, _) = due(&mut work, &shown, 1, true, NOW + REFRESH).unwrap();
        assert!(keep && !tell);
    }

    #[test]
    fn sidecars_have_time_to_come_back_to_a_new_leader() {
        let told = |reason: &str, generation: i64| {
            let c = json!({"type": "Programmed", "status": if reason == "Programmed" { "True" } else { "False" }, "reason": reason,
                "message": "", "lastTransitionTime": "2026-11-26T04:00:00Z"});
            serde_json::from_value::<PolicyStatus>(json!({"observedGeneration": generation, "conditions": [c]}))
                .unwrap()
        };
        let (programmed, pending) = (told("Programmed", 1), told("Pending", 1));
        let shown = Policy { status: programmed.clone(), ..policy(1) };
        let mut work = Work::default();
        let mut tells = |wanted: &PolicyStatus, now: Duration| {
            work.begin(true, now);
            work.look(&key(), &shown, wanted.clone(), now);
            let tells = work.due(now).pop().is_some_and(|todo| todo.tell.is_some());
            (tells, work.next(now).is_some())
        };
        let rows = [
            ("they are not back yet", &pending, NOW, (false, true)),
            ("they are", &programmed, NOW + SETTLES / 4, (false, false)),
            ("one refuses", &told("Rejected", 1), NOW + SETTLES / 2, (true, false)),
            ("an edit is news", &told("Pending", 2), NOW + SETTLES / 2, (true, false)),
            ("they do not come back", &pending, NOW + SETTLES, (true, false)),
        ];
        for (what, wanted, now, want) in rows {
            assert_eq!(tells(wanted, now), want, "{what}");
        }
    }

    #[test]
    fn how_far_a_version_has_come_is_told_now_and_then_and_its_end_at_once() {
        let told = |reason: &str, message: &str, generation: i64| {
            let c = json!({"type": "Programmed", "status": if reason == "Programmed" { "True" } else { "False" }, "reason": reason,
                "message": message, "lastTransitionTime": "2026-11-26T04:00:00Z"});
            serde_json::from_value::<PolicyStatus>(json!({"observedGeneration": generation, "conditions": [c]}))
                .unwrap()
        };
        let mut work = Work::default();
        let start = NOW + SETTLES;
        work.begin(true, NOW);
        let mut tells = |wanted: &PolicyStatus, millis: u64| {
            let now = start + Duration::from_millis(millis);
            work.begin(true, now);
            work.look(&key(), &policy(1), wanted.clone(), now);
            let todo = work.due(now).pop();
            let tells = todo.as_ref().is_some_and(|todo| todo.tell.is_some());
            todo.into_iter().for_each(|todo| work.done(todo, (true, true), None, now));
            (tells, work.next(now).map(|wait| wait.as_millis()))
        };
        let rows = [
            ("an edit", told("Pending", "0 of 3", 1), 0, (true, None)),
            ("one has it", told("Pending", "1 of 3", 1), 100, (false, Some(900))),
            ("two have it", told("Pending", "2 of 3", 1), 200, (false, Some(800))),
            ("all have it", told("Programmed", "3 of 3", 1), 300, (true, None)),
            ("one comes", told("Pending", "3 of 4", 1), 400, (false, Some(900))),
            ("it has it", told("Programmed", "4 of 4", 1), 500, (false, Some(800))),
            ("later", told("Programmed", "4 of 4", 1), 1300, (true, None)),
            ("one refuses", told("Rejected", "1", 1), 1400, (true, None)),
            ("another edit", told("Pending", "0 of 4", 2), 1500, (true, None)),
            ("it was so told", told("Pending", "0 of 4", 2), 1600, (false, None)),
        ];
        for (what, wanted, millis, want) in rows {
            assert_eq!(tells(&wanted, millis), want, "{what}");
        }
    }

    #[test]
    fn another_policy_of_the_same_name_begins_anew() {
        let mut work = Work::default();
        let (.., todo) = due(&mut work, &policy(1), 1, true, NOW).unwrap();
        work.done(todo, (true, true), None, NOW);
        let other = Policy { uid: "v".into(), ..policy(1) };
        let world = World { policies: [(key(), other.clone())].into(), ..World::default() };
        work.retain(&world);
        let (keep, tell, _) = due(&mut work, &other, 1, true, NOW).unwrap();
        assert!(keep && tell);
    }
}
