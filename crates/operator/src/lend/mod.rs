//! Shared caps: while this replica leads, it lends what the pods of each policy share. The protocol is
//! [`policy::ledger::lend`]; here are its clock, its streams and its object.

mod desk;
mod kept;
mod object;
mod seats;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use parking_lot::Mutex;
use policy::ledger::{lend::Stand, message::Report};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

pub use self::seats::{Seat, Seats};
use self::{
    desk::{Desk, Word},
    object::Object,
};
use crate::{
    cluster::Cluster,
    endpoints,
    push::Leader,
    world::{Caps, Policy, PolicyKey, Uid},
};

/// Reports of one policy that wait to be looked at; further ones are lost, which does no harm.
const WAITING: usize = 4096;
/// The last writes may take so long.
const LAST: Duration = Duration::from_secs(2);
/// Pods that ended, of whom it is remembered.
const MOST_ENDED: usize = 2_000;

/// What a policy says of its caps, and its status of its ledger.
#[derive(Clone, Debug, Default, PartialEq)]
struct Terms {
    caps: Arc<Caps>,
    /// The newest term of a lender that the status knows of; 0 for none.
    term: u64,
}

/// Where reports go, and how far each lender has come; shared by streams, desks and status.
#[derive(Debug, Default)]
pub struct Lending {
    /// Where answers go.
    pub seats: Arc<Seats>,
    desks: Mutex<HashMap<PolicyKey, Place>>,
    changes: watch::Sender<u64>,
}

/// A desk, from outside.
#[derive(Debug)]
struct Place {
    words: mpsc::Sender<Word>,
    shown: Option<Arc<Shown>>,
    /// Why the ledger cannot be kept, where that lasts.
    unkept: Option<String>,
}

/// How the caps of a policy stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// The lender's term.
    pub term: u64,
    /// The ledger was lost, and what it said is not waited out yet.
    pub is_lost: bool,
    /// A row a cap.
    pub stands: Vec<Stand>,
}

/// Pods that ended for sure, as the kubelet told; the newest ones.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    pods: VecDeque<Uid>,
    count: u64,
}

impl Ended {
    /// One more; whether it was not known.
    pub fn note(&mut self, pod: Uid) -> bool {
        if self.pods.contains(&pod) {
            return false;
        }
        if self.pods.len() >= MOST_ENDED {
            self.pods.pop_front();
        }
        self.pods.push_back(pod);
        self.count += 1;
        true
    }

    /// All that are remembered.
    fn all(&self) -> impl Iterator<Item = &Uid> {
        self.pods.iter()
    }

    /// Those after the first `seen`, and how many there have been.
    fn since(&self, seen: u64) -> (Vec<Uid>, u64) {
        let fresh = usize::try_from(self.count.saturating_sub(seen)).unwrap_or(usize::MAX).min(self.pods.len());
        (self.pods.iter().skip(self.pods.len() - fresh).cloned().collect(), self.count)
    }
}

impl Lending {
    /// A sidecar reports on the caps of `policy`, which is one that it may have coins of.
    pub fn hear(&self, policy: &PolicyKey, pod: &Uid, report: Report) {
        let words = self.desks.lock().get(policy).map(|place| place.words.clone());
        if let Some(words) = words {
            let _ = words.try_send(Word::Report(pod.clone(), report));
        }
    }

    /// How the caps of `policy` stand, where this replica lends.
    #[must_use]
    pub fn shown(&self, policy: &PolicyKey) -> Option<Arc<Shown>> {
        self.desks.lock().get(policy)?.shown.clone()
    }

    /// The same of all policies that this replica lends for.
    #[must_use]
    pub fn all(&self) -> Vec<(PolicyKey, Arc<Shown>)> {
        let desks = self.desks.lock();
        desks.iter().filter_map(|(key, place)| Some((key.clone(), place.shown.clone()?))).collect()
    }

    /// Why the ledger of `policy` cannot be kept, where that lasts or does not end by itself.
    #[must_use]
    pub fn unkept(&self, policy: &PolicyKey) -> Option<String> {
        self.desks.lock().get(policy)?.unkept.clone()
    }

    /// Wakes when something else is shown.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    #[cfg(test)]
    pub(crate) fn put(&self, policy: &PolicyKey, shown: Shown) {
        let place = Place { words: mpsc::channel(1).0, shown: None, unkept: None };
        self.desks.lock().insert(policy.clone(), place);
        self.show(policy, shown);
    }

    fn show(&self, policy: &PolicyKey, shown: Shown) {
        self.place(policy, |place| {
            let is_same = place.shown.as_ref().is_some_and(|before| before.but_for_time() == shown.but_for_time());
            place.shown = Some(Arc::new(shown));
            !is_same
        });
    }

    /// The ledger of `policy` cannot be kept, or it can again.
    pub(crate) fn complain(&self, policy: &PolicyKey, why: Option<String>) {
        self.place(policy, |place| std::mem::replace(&mut place.unkept, why.clone()) != why);
    }

    /// Changes what is seen of a desk; whether that is news.
    fn place(&self, policy: &PolicyKey, change: impl FnOnce(&mut Place) -> bool) {
        let is_news = self.desks.lock().get_mut(policy).is_some_and(change);
        if is_news {
            self.changes.send_modify(|n| *n = n.wrapping_add(1));
        }
    }
}

impl Shown {
    /// It, but for what only time changes.
    fn but_for_time(&self) -> Shown {
        let stands = self.stands.iter().map(|stand| Stand { next_free: None, ..stand.clone() });
        Shown { stands: stands.collect(), ..*self }
    }
}

/// What the lenders work with.
pub struct Lenders {
    /// To the API server.
    pub client: Client,
    /// The operator's namespace, where ledger objects are.
    pub namespace: String,
    /// Its control Service, with which they go.
    pub service: String,
    /// What is seen of the cluster.
    pub cluster: Arc<Cluster>,
    /// Who leads.
    pub leader: watch::Receiver<Leader>,
    /// Streams.
    pub lending: Arc<Lending>,
}

/// A desk, from where it was set up.
struct Manned {
    terms: watch::Sender<Terms>,
    words: mpsc::Sender<Word>,
}

impl Lenders {
    /// Lends while this replica leads, until `ending`, and then to a clean end.
    pub async fn run(mut self, ending: CancellationToken) {
        while !ending.is_cancelled() {
            tokio::select! {
                led = self.leader.wait_for(Leader::leads) => {
                    if led.is_err() {
                        return;
                    }
                }
                () = ending.cancelled() => return,
            }
            self.lead(&ending).await;
        }
    }

    /// One time of leading.
    async fn lead(&mut self, ending: &CancellationToken) {
        let (mut desks, mut tasks) = (HashMap::new(), JoinSet::new());
        let (mut changes, mut seen) = (self.cluster.changes(), 0);
        let closing = CancellationToken::new();
        let owner = endpoints::service(&self.client, &self.namespace, &self.service).await;
        let owner = owner.inspect_err(|error| tracing::warn!(%error, "ledgers will not go with the release"));
        let owner = owner.ok().flatten();
        while self.leader.borrow_and_update().leads() {
            changes.mark_unchanged();
            self.man(&mut desks, &mut tasks, &owner, &closing);
            let ended = self.cluster.read(|world| world.ended.since(seen));
            seen = ended.1;
            for pod in ended.0 {
                for Manned { words, .. } in desks.values() {
                    let _ = words.send(Word::Ended(pod.clone())).await;
                }
            }
            tokio::select! {
                Ok(()) = changes.changed() => {}
                Ok(()) = self.leader.changed() => {}
                () = ending.cancelled() => break,
                // Its policy is gone, or it found that this replica does not lead; here that is found too.
                Some(_) = tasks.join_next() => {}
            }
        }
        self.lending.desks.lock().clear();
        if ending.is_cancelled() {
            closing.cancel();
            let _ = timeout(LAST, async { while tasks.join_next().await.is_some() {} }).await;
        }
    }

    /// Sets up a desk for each policy with caps, and tells each what its policy says now.
    fn man(
        &self,
        desks: &mut HashMap<PolicyKey, Manned>,
        tasks: &mut JoinSet<()>,
        owner: &Option<OwnerReference>,
        closing: &CancellationToken,
    ) {
        let policies: Vec<(PolicyKey, Terms)> = self.cluster.read(|world| {
            let of = |(key, policy): (&PolicyKey, &Policy)| {
                let term = policy.status.ledger_term.and_then(|term| u64::try_from(term).ok()).unwrap_or(0);
                (key.clone(), Terms { caps: policy.caps.clone(), term })
            };
            world.policies.iter().map(of).collect()
        });
        desks.retain(|key, desk| !desk.words.is_closed() && policies.iter().any(|(there, _)| there == key));
        self.lending.desks.lock().retain(|key, _| desks.contains_key(key));
        for (key, now) in policies {
            if let Some(desk) = desks.get(&key) {
                desk.terms.send_if_modified(|terms| {
                    // Of its own term the desk knows first; but it waits until the status tells of a ledger.
                    let differs = terms.caps != now.caps || terms.term == 0 && now.term > 0;
                    *terms = now;
                    differs
                });
                continue;
            }
            if now.caps.all.is_empty() {
                continue;
            }
            let (terms, told) = watch::channel(now);
            let (words, heard) = mpsc::channel(WAITING);
            let object = Object::of(&key, self.client.clone(), &self.namespace, owner.clone());
            let desk = Desk::new(key.clone(), object, self.lending.clone(), self.leader.clone(), told, heard);
            tasks.spawn(desk.run(closing.clone()));
            self.lending.desks.lock().insert(key.clone(), Place { words: words.clone(), shown: None, unkept: None });
            desks.insert(key, Manned { terms, words });
        }
    }
}
