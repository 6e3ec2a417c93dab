//! What sidecars answered and told, by pod: bounded, newest stream wins; and what a policy's status says of it.

use std::{collections::BTreeMap, sync::Arc};

use api::types::{Rejection, SidecarStatus};
use control::v1::{Ack, Credentials, Nack, Report};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    index::Index,
    world::{Document, Pod, Policy, Uid},
};

/// More sidecars than this are served by no operator; further ones are sent away.
const MOST: usize = 20_000;
/// Rejections that stand in a status.
const MOST_REJECTIONS: usize = 10;
/// Bytes of a rejection's text that are kept.
const MAX_ERROR: usize = 1 << 10;
/// Paths of a report that are kept, each of so many bytes.
const MAX_FIELDS: (usize, usize) = (64, 200);
/// Bytes of a version that are kept.
const MAX_VERSION: usize = 64;
/// Bytes of a document's hash.
const MAX_HASH: usize = 64;

/// A pod's sidecar.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sidecar {
    /// Its stream is up.
    pub connected: bool,
    /// Its program's version.
    pub version: String,
    /// What it said of the newest policy it got.
    pub answer: Option<Answer>,
    /// What it told last.
    pub report: Option<Report>,
}

/// What a sidecar said of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Of the document.
    pub generation: i64,
    /// Of the document.
    pub hash: String,
    /// Why it was refused, if it was.
    pub error: Option<String>,
}

impl From<Ack> for Answer {
    fn from(Ack { generation, hash }: Ack) -> Answer {
        Answer { generation, hash: cut(hash, MAX_HASH), error: None }
    }
}

impl From<Nack> for Answer {
    fn from(Nack { generation, hash, error }: Nack) -> Answer {
        Answer { generation, hash: cut(hash, MAX_HASH), error: Some(cut(error, MAX_ERROR)) }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Fleet {
    members: Mutex<BTreeMap<Uid, Member>>,
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct Member {
    sidecar: Sidecar,
    /// Cancelled when a newer stream takes the place.
    stream: CancellationToken,
}

/// One stream's place among them; given back on drop.
pub struct Place {
    fleet: Arc<Fleet>,
    pod: Uid,
    stream: CancellationToken,
}

impl Fleet {
    /// A stream of `pod` begins; an older one of the same pod is told to end. `None` where there are too many pods.
    #[must_use]
    pub fn enter(self: &Arc<Self>, pod: &Uid, version: &str) -> Option<Place> {
        let mut members = self.members.lock();
        if members.len() >= MOST && !members.contains_key(pod) {
            return None;
        }
        let stream = CancellationToken::new();
        let answered = members.remove(pod).map(|older| {
            older.stream.cancel();
            older.sidecar
        });
        let version = cut(version.to_owned(), MAX_VERSION);
        let sidecar = Sidecar { connected: true, version, ..answered.unwrap_or_default() };
        members.insert(pod.clone(), Member { sidecar, stream: stream.clone() });
        drop(members);
        self.changed();
        Some(Place { fleet: self.clone(), pod: pod.clone(), stream })
    }

    /// Forgets pods that are gone.
    pub fn retain(&self, index: &Index) {
        self.members.lock().retain(|pod, member| member.sidecar.connected || index.contains_key(pod));
    }

    /// Forgets what sidecars said that are not connected: of what they say to another leader, nothing is heard here.
    pub fn forget_absent(&self) {
        self.members.lock().retain(|_, member| member.sidecar.connected);
    }

    /// Reads it.
    pub fn view(&self) -> BTreeMap<Uid, Sidecar> {
        self.members.lock().iter().map(|(uid, member)| (uid.clone(), member.sidecar.clone())).collect()
    }

    /// How many streams are up.
    pub fn connected(&self) -> usize {
        self.members.lock().values().filter(|member| member.sidecar.connected).count()
    }

    /// Wakes when an answer came, a stream began or ended, or keys came or went; not for other reports.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn changed(&self) {
        self.changes.send_modify(|n| *n = n.wrapping_add(1));
    }
}

impl Place {
    /// Notes what the sidecar said of a policy.
    pub fn answered(&self, answer: Answer) {
        self.note(|sidecar| sidecar.answer = Some(answer));
        self.fleet.changed();
    }

    /// Notes what the sidecar told, bounded.
    pub fn told(&self, mut report: Report) {
        report.not_in_force.truncate(MAX_FIELDS.0);
        report.not_in_force = report.not_in_force.into_iter().map(|path| cut(path, MAX_FIELDS.1)).collect();
        report.version = cut(report.version, MAX_VERSION);
        report.hash = cut(report.hash, MAX_HASH);
        if let Some(Credentials { missing, vanished }) = &mut report.credentials {
            for names in [missing, vanished] {
                names.truncate(MAX_FIELDS.0);
                names.iter_mut().for_each(|name| *name = cut(std::mem::take(name), MAX_FIELDS.1));
            }
        }
        let mut differs = false;
        self.note(|sidecar| {
            let keys = |report: &Option<Report>| report.as_ref().map(|r| (r.hash.clone(), r.credentials.clone()));
            let before = keys(&sidecar.report);
            sidecar.report = Some(report);
            differs = before != keys(&sidecar.report);
        });
        if differs {
            self.fleet.changed();
        }
    }

    /// Returns when a newer stream of the same pod has taken the place.
    pub async fn lost(&self) {
        self.stream.cancelled().await;
    }

    fn note(&self, change: impl FnOnce(&mut Sidecar)) {
        let mut members = self.fleet.members.lock();
        let member = members.get_mut(&self.pod).filter(|_| !self.stream.is_cancelled());
        if let Some(member) = member {
            change(&mut member.sidecar);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.note(|sidecar| sidecar.connected = false);
        self.fleet.changed();
    }
}

pub(crate) fn cut(mut text: String, most: usize) -> String {
    let end = (0..=most.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    text.truncate(end);
    text
}

/// What a policy's status says of its `pods`: how many sidecars there are, have `document` in force, are missing, refused it.
#[must_use]
pub fn programmed(
    policy: &Policy,
    document: Option<&Document>,
    pods: &[(&Uid, &Pod)],
    fleet: &BTreeMap<Uid, Sidecar>,
) -> SidecarStatus {
    let mut status = SidecarStatus::default();
    for (uid, pod) in pods {
        if !pod.fits(policy) {
            status.missing += 1;
            continue;
        }
        status.total += 1;
        let answer = fleet.get(*uid).and_then(|s| s.answer.as_ref());
        let answer = answer.filter(|answer| document.is_some_and(|document| answer.hash == document.hash));
        match answer.map(|a| &a.error) {
            Some(None) => status.in_sync += 1,
            Some(Some(error)) if status.rejected.len() < MOST_REJECTIONS => {
                status.rejected.push(Rejection { pod: pod.name.to_string(), message: error.clone() });
            }
            Some(Some(_)) | None => {}
        }
    }
    status
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        index::{Groups, index},
        world::{PolicyKey, World},
    };

    fn ack(generation: i64) -> Answer {
        Answer { generation, hash: format!("h{generation}"), error: None }
    }

    #[test]
    fn the_newest_stream_of_a_pod_speaks_for_it() {
        let fleet = Arc::new(Fleet::default());
        let pod: Uid = "1".into();
        let mut changes = fleet.changes();
        let old = fleet.enter(&pod, "1.0.0").unwrap();
        old.answered(ack(1));
        assert!(changes.has_changed().unwrap() && !old.stream.is_cancelled());
        let new = fleet.enter(&pod, "1.1.0").unwrap();
        assert!(old.stream.is_cancelled() && !new.stream.is_cancelled());
        old.answered(ack(2));
        drop(old);
        let seen = fleet.view()[&pod].clone();
        let want = Sidecar { connected: true, version: "1.1.0".into(), answer: Some(ack(1)), report: None };
        assert_eq!(seen, want, "what it answered before holds; the old stream changes nothing");
        let missing = |missing: &[&str]| {
            let missing = missing.iter().map(|name| (*name).to_owned()).collect();
            Some(Credentials { missing, vanished: vec![] })
        };
        for (credentials, wakes) in [(missing(&["openai"]), true), (missing(&["openai"]), false), (missing(&[]), true)]
        {
            changes.mark_unchanged();
            new.told(Report { uptime_seconds: 3, credentials, ..Report::default() });
            assert_eq!(changes.has_changed().unwrap(), wakes, "only news of keys wakes");
        }
        drop(new);
        assert!(changes.has_changed().unwrap() && !fleet.view()[&pod].connected);
        fleet.retain(&Index::new());
        assert!(fleet.view().is_empty());
        let (here, away) = (fleet.enter(&pod, "1").unwrap(), fleet.enter(&"2".into(), "1").unwrap());
        drop(away);
        fleet.forget_absent();
        assert_eq!(fleet.view().into_keys().collect::<Vec<_>>(), [pod]);
        drop(here);
    }

    #[test]
    fn what_is_kept_of_a_sidecar_is_bounded() {
        let fleet = Arc::new(Fleet::default());
        let place = fleet.enter(&"1".into(), &"v".repeat(1000)).unwrap();
        let long = |n: usize| "\u{20ac}".repeat(n);
        assert_eq!(Answer::from(Ack { generation: 1, hash: long(1000) }).hash.len(), 63);
        place.answered(Nack { generation: 1, hash: long(1000), error: long(10_000) }.into());
        place.told(Report {
            not_in_force: vec![long(1000); 1000],
            version: long(1000),
            hash: long(1000),
            ..Report::default()
        });
        let view = fleet.view();
        let Sidecar { version, answer, report, .. } = &view[&Uid::from("1")];
        let (answer, report) = (answer.as_ref().unwrap(), report.as_ref().unwrap());
        assert_eq!((answer.hash.len(), answer.error.as_ref().unwrap().len()), (63, 1023));
        assert_eq!((version.len(), report.not_in_force.len()), (64, 64));
        assert_eq!((report.not_in_force[0].len(), report.version.len(), report.hash.len()), (198, 63, 63));
    }

    #[test]
    fn a_fleet_that_is_full_takes_no_new_pod() {
        let fleet = Arc::new(Fleet::default());
        let places: Vec<_> = (0..MOST).map(|i| fleet.enter(&format!("{i}").into(), "").unwrap()).collect();
        assert!(fleet.enter(&"new".into(), "").is_none());
        assert!(fleet.enter(&"7".into(), "").is_some(), "a pod that is there may come again");
        drop(places);
        fleet.retain(&Index::new());
        assert!(fleet.enter(&"new".into(), "").is_some());
    }

    #[test]
    fn a_policy_is_programmed_where_its_very_document_was_acknowledged() {
        let key = PolicyKey { namespace: "shop".into(), name: "p".into() };
        let document = Document::new(key.clone(), 2, &json!({}));
        let said = |hash: &str, error: Option<&str>| Sidecar {
            answer: Some(Answer { generation: 2, hash: hash.into(), error: error.map(str::to_owned) }),
            ..Sidecar::default()
        };
        let rows = [
            ("acknowledged", true, Some(said(&document.hash, None))),
            ("away", true, Some(Sidecar { connected: false, ..said(&document.hash, None) })),
            ("older", true, Some(said("an older one", None))),
            ("older refused", true, Some(said("an older one", Some("old")))),
            ("refused", true, Some(said(&document.hash, Some("spec.scenes: no")))),
            ("never seen", true, None),
            ("without sidecar", false, None),
            ("other keys", true, Some(said(&document.hash, None))),
            ("ending", true, None),
        ];
        let mut world = World::default();
        let selector = serde_json::from_value(json!({"matchLabels": {"a": "b"}})).unwrap();
        let policy = Policy { created: 1, selector, secret: Some("keys".into()), ..Policy::default() };
        world.policies.insert(key.clone(), policy);
        let mut fleet = BTreeMap::new();
        for (name, sidecar, said) in rows {
            let labels = [("a".to_owned(), "b".to_owned())].into();
            let secret = Some(if name == "other keys" { "old".into() } else { "keys".into() });
            let ending = name == "ending";
            let pod =
                Pod { namespace: "shop".into(), name: name.into(), labels, sidecar, secret, ending, ..Pod::default() };
            world.pods.insert(name.into(), pod);
            fleet.extend(said.map(|said| (Uid::from(name), said)));
        }
        world.pods.insert("not selected".into(), Pod { namespace: "shop".into(), sidecar: true, ..Pod::default() });
        fleet.insert("not selected".into(), said(&document.hash, None));
        let rejected = vec![Rejection { pod: "refused".into(), message: "spec.scenes: no".into() }];
        let want = SidecarStatus { total: 6, in_sync: 2, missing: 2, rejected };
        let index = index(&world);
        let (policy, groups) = (&world.policies[&key], Groups::new(&world, &index));
        assert_eq!(programmed(policy, Some(&document), groups.gets(&key), &fleet), want);
        let none = SidecarStatus { total: 6, missing: 2, ..SidecarStatus::default() };
        assert_eq!(programmed(policy, None, groups.gets(&key), &fleet), none, "nothing was accepted");
    }
}
