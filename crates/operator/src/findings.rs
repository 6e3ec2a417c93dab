//! What sidecars find of providers, a policy at a time: each says what it knows by its own requests, and all are told what most
//! of them found, so that a new or quiet pod need not find out by requests of its own.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use control::{
    findings::{MOST_ROWS, found, row},
    v1::{self, from_operator::Message as Say},
};
use parking_lot::Mutex;
use policy::breaker::Finding;
use tokio::sync::watch;

use crate::{
    clock,
    lend::Seats,
    world::{PolicyKey, Uid},
};

/// A sidecar says all it knows each ten seconds; of one that is silent for so long nothing is known.
const SILENT: Duration = Duration::from_secs(30);
/// Providers and models of one policy that are told apart.
const MOST: usize = 2_000;
/// Bytes of a name.
const MAX_NAME: usize = 256;
/// A later end by less than this is no news.
const NEWS: Duration = Duration::from_secs(1);

/// A provider, or a model of it; the model is empty for the provider.
type Target = (Arc<str>, Arc<str>);

/// What is known, by policy.
#[derive(Debug, Default)]
pub struct Findings {
    policies: Mutex<HashMap<PolicyKey, Votes>>,
    changes: watch::Sender<u64>,
}

/// Of one policy.
#[derive(Debug, Default)]
struct Votes {
    /// Who speaks of it, and when it was heard last.
    pods: BTreeMap<Uid, Duration>,
    targets: BTreeMap<Target, Of>,
    /// When what nobody speaks of was forgotten last.
    tidied: Duration,
}

#[derive(Debug, Default)]
struct Of {
    votes: BTreeMap<Uid, Vote>,
    /// What all were told.
    told: Option<Word>,
}

#[derive(Clone, Copy, Debug)]
struct Vote {
    found: Finding,
    /// Of one that ends: when.
    until: Duration,
    heard: Duration,
}

/// What most of them found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word {
    found: Finding,
    until: Duration,
}

impl Vote {
    fn is_live(&self, now: Duration) -> bool {
        now < self.heard + SILENT && (self.found == Finding::Works || now < self.until)
    }
}

impl Of {
    /// A wait that one was asked for is everybody's; else what most of those found who tried.
    fn word(&self, now: Duration) -> Option<Word> {
        let live = || self.votes.values().filter(|v| v.is_live(now));
        let held = live().filter(|v| matches!(v.found, Finding::Held { .. })).max_by_key(|v| v.until);
        let fails = live().filter(|v| matches!(v.found, Finding::Fails { .. }));
        let works = live().filter(|v| v.found == Finding::Works).count();
        let vote = match held {
            Some(held) => Some(held),
            None if fails.clone().count() > works => fails.max_by_key(|v| v.until),
            None => live().find(|v| v.found == Finding::Works),
        };
        vote.map(|v| Word { found: v.found, until: v.until })
    }
}

impl Word {
    /// It says nothing that `told` did not.
    fn is_old(&self, told: Option<&Word>) -> bool {
        let same = |a: Finding, b: Finding| std::mem::discriminant(&a) == std::mem::discriminant(&b);
        told.is_some_and(|t| same(self.found, t.found) && self.until < t.until + NEWS)
    }

    fn left(&self, now: Duration) -> Finding {
        let left = self.until.saturating_sub(now);
        match self.found {
            Finding::Works => Finding::Works,
            Finding::Fails { why, .. } => Finding::Fails { left, why },
            Finding::Held { .. } => Finding::Held { left },
        }
    }
}

impl Votes {
    /// Takes what a pod says; gives what is to be told to all, and whether the pod is new.
    fn hear(&mut self, pod: &Uid, rows: &[v1::Finding], now: Duration) -> (Vec<v1::Finding>, bool) {
        let is_new = self.pods.insert(pod.clone(), now).is_none();
        let mut touched = BTreeSet::new();
        for said in rows.iter().take(MOST_ROWS) {
            let target: Target = (said.provider.as_str().into(), said.model.as_str().into());
            let is_known = self.targets.contains_key(&target);
            let fits = target.0.len() <= MAX_NAME && target.1.len() <= MAX_NAME && self.targets.len() < MOST;
            match found(said) {
                Some(found) if is_known || fits => {
                    let left = match found {
                        Finding::Works => Duration::ZERO,
                        Finding::Fails { left, .. } | Finding::Held { left } => left,
                    };
                    let vote = Vote { found, until: now.saturating_add(left), heard: now };
                    self.targets.entry(target.clone()).or_default().votes.insert(pod.clone(), vote);
                }
                // That it worked lately still counts for a while, against one for whom it fails.
                None if is_known => {
                    if let Some(of) = self.targets.get_mut(&target) {
                        of.votes.retain(|by, vote| by != pod || vote.found == Finding::Works);
                    }
                }
                _ => continue,
            }
            touched.insert(target);
        }
        let mut news = vec![];
        for target in touched {
            let Some(of) = self.targets.get_mut(&target) else { continue };
            of.votes.retain(|_, vote| vote.is_live(now));
            let word = of.word(now);
            if let Some(word) = word.filter(|word| !word.is_old(of.told.as_ref())) {
                news.push(row(&target.0, &target.1, Some(word.left(now))));
            }
            of.told = word;
            if of.votes.is_empty() {
                self.targets.remove(&target);
            }
        }
        (news, is_new)
    }

    /// All that is known.
    fn all(&self, now: Duration) -> Vec<v1::Finding> {
        let row =
            |(target, of): (&Target, &Of)| of.word(now).map(|word| row(&target.0, &target.1, Some(word.left(now))));
        self.targets.iter().filter_map(row).take(MOST_ROWS).collect()
    }

    /// Forgets who is silent, and what nobody speaks of.
    fn tidy(&mut self, now: Duration) {
        self.pods.retain(|_, heard| now < *heard + SILENT);
        if now >= self.tidied + SILENT {
            self.tidied = now;
            self.targets.retain(|_, of| of.votes.values().any(|vote| vote.is_live(now)));
        }
    }
}

impl Findings {
    /// A pod says what it found of the providers of `policy`, which selects it. All of its pods are told what is new, and it
    /// alone all of it, if it is new itself.
    pub fn hear(&self, policy: &PolicyKey, pod: &Uid, rows: &[v1::Finding], seats: &Seats) {
        let now = clock::now();
        let mut policies = self.policies.lock();
        policies.values_mut().for_each(|votes| votes.tidy(now));
        let votes = policies.entry(policy.clone()).or_default();
        let (news, is_new) = votes.hear(pod, rows, now);
        let all = if is_new { votes.all(now) } else { vec![] };
        let pods: Vec<Uid> = if news.is_empty() { vec![] } else { votes.pods.keys().cloned().collect() };
        policies.retain(|_, votes| !votes.pods.is_empty());
        drop(policies);
        let said = |rows: Vec<v1::Finding>| {
            let PolicyKey { namespace, name } = policy;
            Say::Findings(v1::Findings { namespace: namespace.to_string(), name: name.to_string(), rows })
        };
        if !all.is_empty() {
            seats.say(pod, said(all));
        }
        if !news.is_empty() {
            seats.say_all(&pods, said(news));
            self.changes.send_modify(|n| *n = n.wrapping_add(1));
        }
    }

    /// Another sidecar begins in this pod: it is told all anew.
    pub fn begins(&self, pod: &Uid) {
        for votes in self.policies.lock().values_mut() {
            votes.pods.remove(pod);
        }
    }

    /// Wakes when most found something else.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// What most found of the providers of `policy` over all their models, by name.
    #[must_use]
    pub fn providers(&self, policy: &PolicyKey) -> Vec<(Arc<str>, Finding)> {
        let now = clock::now();
        let policies = self.policies.lock();
        let Some(votes) = policies.get(policy) else { return vec![] };
        let of = |(target, of): (&Target, &Of)| Some((target.0.clone(), of.word(now)?.left(now)));
        votes.targets.iter().filter(|(target, _)| target.1.is_empty()).filter_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use policy::outcome::Class;

    use super::*;

    const T: Duration = Duration::from_secs(1_000);

    fn fails(seconds: u64) -> Option<Finding> {
        Some(Finding::Fails { left: Duration::from_secs(seconds), why: Class::Timeout })
    }

    fn says(votes: &mut Votes, pod: &str, found: Option<Finding>, now: Duration) -> Vec<Option<Finding>> {
        let (news, _) = votes.hear(&pod.into(), &[row("openai", "", found)], now);
        news.iter().map(super::found).collect()
    }

    #[test]
    fn what_most_found_who_tried_is_told_once() {
        let mut votes = Votes::default();
        assert_eq!(says(&mut votes, "a", fails(30), T), [fails(30)], "the only one who tried");
        assert_eq!(says(&mut votes, "a", fails(29), T + NEWS), [], "it is known");
        assert_eq!(says(&mut votes, "b", Some(Finding::Works), T), [Some(Finding::Works)], "one each is not most");
        assert_eq!(says(&mut votes, "c", fails(30), T), [fails(30)]);
        assert_eq!(says(&mut votes, "c", None, T), [Some(Finding::Works)], "who knows nothing has no voice");
        assert_eq!(says(&mut votes, "b", None, T), [], "that it worked lately counts on");
        assert_eq!(says(&mut votes, "a", fails(40), T + SILENT), [fails(40)], "for a while");
    }

    #[test]
    fn a_wait_is_everybodys() {
        let mut votes = Votes::default();
        for pod in ["a", "b", "c"] {
            says(&mut votes, pod, Some(Finding::Works), T);
        }
        let held = Some(Finding::Held { left: Duration::from_secs(5) });
        assert_eq!(says(&mut votes, "d", held, T), [held]);
        assert_eq!(says(&mut votes, "d", Some(Finding::Works), T), [Some(Finding::Works)]);
    }

    #[test]
    fn voices_end_with_what_they_tell_of_and_with_silence() {
        let mut votes = Votes::default();
        says(&mut votes, "a", fails(30), T);
        assert_eq!(votes.all(T + Duration::from_secs(29)).len(), 1);
        assert!(votes.all(T + Duration::from_secs(30)).is_empty(), "a probe is due");
        says(&mut votes, "a", Some(Finding::Works), T);
        assert!(votes.all(T + SILENT).is_empty());
        votes.tidy(T + SILENT);
        assert!(votes.pods.is_empty() && votes.targets.is_empty(), "nothing is kept of it");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut votes = Votes::default();
        for part in 0..10 {
            let rows: Vec<_> = (0..MOST_ROWS + 7).map(|n| row(&format!("{part} {n}"), "", fails(9))).collect();
            votes.hear(&"a".into(), &rows, T);
        }
        votes.hear(&"a".into(), &[row(&"x".repeat(MAX_NAME + 1), "", fails(9))], T);
        assert_eq!((votes.targets.len(), votes.all(T).len()), (MOST, MOST_ROWS));
    }

    #[test]
    fn a_new_pod_is_told_all_of_it() {
        let (findings, seats) = (Findings::default(), Arc::new(Seats::default()));
        let policy = PolicyKey { namespace: "shop".into(), name: "p".into() };
        let (sender, mut heard) = tokio::sync::mpsc::channel(4);
        let _seat = seats.take(&"new".into(), sender);
        findings.hear(&policy, &"old".into(), &[row("openai", "", fails(30))], &seats);
        assert!(heard.try_recv().is_err(), "nobody knows that it is one of them");
        findings.hear(&policy, &"new".into(), &[], &seats);
        assert!(heard.try_recv().is_ok());
        findings.hear(&policy, &"new".into(), &[], &seats);
        assert!(heard.try_recv().is_err(), "once");
        findings.begins(&"new".into());
        findings.hear(&policy, &"new".into(), &[], &seats);
        assert!(heard.try_recv().is_ok(), "its next stream");
        assert_eq!(findings.providers(&policy).len(), 1);
    }
}
