//! Makes the cluster show what the world means, a policy at a time, in five steps: dereference, validate, build, apply, update
//! status. Validation of a new version happens as it is seen (`observe`), so that sidecars need not wait for what is written
//! here; nothing here is on the way from an edit to a sidecar.
//!
//! Every replica does the first three, and is ready to lead; the lease holder alone writes.

mod apply;
mod build;
mod dereference;
mod update_status;
mod validate;
mod waiting;
mod work;

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

pub use build::{DOCUMENT, MANAGED_BY, MANAGER, config_map_name};
pub use validate::{Judged, Refused, validate};
use waiting::Waiting;
use work::{Todo, Work};

use crate::{
    clock,
    cluster::Cluster,
    events::Events,
    findings::Findings,
    fleet::Fleet,
    index::{Groups, index},
    lend::Lending,
    metrics::Metrics,
    push::Leader,
    status::{News, View, news, status},
    world::PolicyKey,
};

/// One call of the API server may take so long, the client's own retries included.
const CALL: Duration = Duration::from_secs(5);
/// What happens meanwhile is told together.
const TOGETHER: Duration = Duration::from_millis(100);
/// Policies that are worked on at once.
const AT_ONCE: usize = 8;
/// After an event that could not be told.
const AGAIN: Duration = Duration::from_secs(10);
/// With nothing to do, it looks again after that.
const IDLE: Duration = Duration::from_secs(60);

/// A call of the API server failed.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// It refused, or could not be reached.
    #[error("cannot {what}: {error}")]
    Api {
        /// What was to be done.
        what: &'static str,
        /// Why not.
        error: kube::Error,
    },
    /// It did not answer.
    #[error("cannot {0}: the API server does not answer")]
    Late(&'static str),
    /// Somebody else's stands in its place.
    #[error(
        "cannot write the ConfigMap {0}: there is one that this operator did not make; delete or rename it, or rename the policy"
    )]
    Taken(String),
    /// Another replica may lead by now.
    #[error("cannot {0}: this replica does not lead any more")]
    Deposed(&'static str),
    /// What it needs is not there.
    #[error("cannot {0}: there is no {1}")]
    Absent(&'static str, String),
}

impl Failed {
    /// It stays so until somebody does something; an API server that is away comes back by itself.
    pub(crate) fn is_refused(&self) -> bool {
        match self {
            // Forbidden (a quota too), not of that form, too large. Others come and go: a conflict, too many requests.
            Failed::Api { error: kube::Error::Api(status), .. } => matches!(status.code, 400 | 403 | 405 | 413 | 422),
            Failed::Taken(_) | Failed::Absent(..) => true,
            Failed::Api { .. } | Failed::Late(_) | Failed::Deposed(_) => false,
        }
    }
}

/// How the two things went that are written for a policy. Neither keeps the other from being done.
struct Went {
    /// The ConfigMap; or what was asked of it.
    kept: Result<(), Failed>,
    /// The status.
    told: Result<(), Failed>,
}

/// A call of the API server, bounded.
///
/// # Errors
/// It refuses, cannot be reached, or does not answer in time.
pub async fn call<T>(what: &'static str, request: impl Future<Output = kube::Result<T>>) -> Result<T, Failed> {
    match timeout(CALL, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Failed::Api { what, error }),
        Err(_) => Err(Failed::Late(what)),
    }
}

/// What it works on.
pub struct Reconciler {
    /// To the API server.
    pub client: Client,
    /// What is seen of it.
    pub cluster: Arc<Cluster>,
    /// What sidecars answer.
    pub fleet: Arc<Fleet>,
    /// What they found of providers.
    pub findings: Arc<Findings>,
    /// What is lent.
    pub lending: Arc<Lending>,
    /// Who leads.
    pub leader: watch::Receiver<Leader>,
    /// Tells what happened.
    pub events: Events,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

impl Reconciler {
    /// Works until it is dropped.
    pub async fn run(mut self) {
        let (mut world, mut fleet) = (self.cluster.changes(), self.fleet.changes());
        let (mut found, mut lent) = (self.findings.changes(), self.lending.changes());
        let (mut work, mut waiting) = (Work::default(), Waiting::default());
        loop {
            let due = self.round(&mut work).await.min(self.tell_pods(&mut waiting).await);
            let changed = tokio::select! {
                Ok(()) = world.changed() => true,
                Ok(()) = fleet.changed() => true,
                Ok(()) = found.changed() => true,
                Ok(()) = lent.changed() => true,
                Ok(()) = self.leader.changed() => true,
                () = sleep(due) => false,
            };
            if changed {
                sleep(TOGETHER).await;
            }
            // What came until now is looked at in the round that begins.
            world.mark_unchanged();
            fleet.mark_unchanged();
            found.mark_unchanged();
            lent.mark_unchanged();
            self.leader.mark_unchanged();
        }
    }

    /// Does what is due; gives the time until more is.
    async fn round(&self, work: &mut Work) -> Duration {
        let (now, leads) = (clock::now(), self.leads());
        work.begin(leads, now);
        if !leads {
            self.fleet.forget_absent();
        }
        let todos = self.due(work, now);
        let done: Vec<_> = stream::iter(todos)
            .map(|todo| async move {
                let went = self.reconcile(&todo).await;
                (todo, went)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        for (todo, Went { kept, told }) in done {
            self.metrics.reconciled(kept.is_ok() && told.is_ok());
            for error in [&kept, &told].into_iter().filter_map(|result| result.as_ref().err()) {
                tracing::warn!(policy = %todo.key, %error, "a policy could not be reconciled; it is tried again");
            }
            let unkept = kept.as_ref().err().filter(|error| error.is_refused()).map(ToString::to_string);
            work.done(todo, (kept.is_ok(), told.is_ok()), unkept, clock::now());
        }
        work.next(clock::now()).unwrap_or(IDLE).min(IDLE)
    }

    fn leads(&self) -> bool {
        self.leader.borrow().leads()
    }

    fn due(&self, work: &mut Work, now: Duration) -> Vec<Todo> {
        let (leads, fleet, at) = (self.leads(), self.fleet.view(), clock::timestamp());
        self.cluster.read(|world| {
            let index = index(world);
            let groups = Groups::new(world, &index);
            let view = View { world, groups: &groups, fleet: &fleet, findings: &self.findings, lending: &self.lending };
            work.retain(world);
            let mut all = vec![];
            for (key, policy) in &world.policies {
                let before = work.told(key, policy);
                let Some(wanted) = status(key, view, work.unkept(key), before, at) else { continue };
                all.extend(wanted.sidecars.clone());
                work.look(key, policy, wanted, now);
            }
            self.metrics.sidecars(if leads { &all } else { &[] });
            work.due(now)
        })
    }

    /// One policy.
    async fn reconcile(&self, todo: &Todo) -> Went {
        if todo.recall {
            return Went { kept: self.recall(todo).await, told: Ok(()) };
        }
        Went { kept: self.keep(todo).await, told: self.tell_status(todo).await }
    }

    /// Goes on only where this replica leads: it may have been stopped for a while just now.
    fn still(&self, what: &'static str) -> Result<(), Failed> {
        if self.leads() { Ok(()) } else { Err(Failed::Deposed(what)) }
    }

    async fn recall(&self, Todo { key, policy, .. }: &Todo) -> Result<(), Failed> {
        let kept = dereference::dereference(&self.client, key, &policy.uid).await?;
        // What comes of it is a change like others, with a round of its own.
        self.cluster.change(|world| validate::recall(world, key, &policy.uid, kept.as_deref()));
        Ok(())
    }

    async fn keep(&self, Todo { policy, keep, .. }: &Todo) -> Result<(), Failed> {
        let Some(document) = keep else { return Ok(()) };
        self.still("write the ConfigMap")?;
        apply::apply(&self.client, &build::config_map(policy, document)).await
    }

    async fn tell_status(&self, Todo { key, policy, tell, before, .. }: &Todo) -> Result<(), Failed> {
        let Some(status) = tell else { return Ok(()) };
        self.still("write the status")?;
        update_status::update_status(&self.client, key, status).await?;
        self.metrics.status_written();
        self.tell(key, &policy.uid, &news(before, status)).await;
        Ok(())
    }

    /// Tells pods why their sidecar waits; gives the time until more is due.
    async fn tell_pods(&self, waiting: &mut Waiting) -> Duration {
        if !self.leads() || !self.cluster.missing().is_empty() {
            *waiting = Waiting::default();
            return IDLE;
        }
        let now = clock::now();
        let all = self.cluster.read(|world| waiting.look(world, &index(world), now));
        for (pod, news) in all {
            if !self.event(&pod, &news).await {
                return AGAIN;
            }
            waiting.told(pod.uid.as_deref().unwrap_or_default());
        }
        waiting.next(now).unwrap_or(IDLE)
    }

    async fn tell(&self, key: &PolicyKey, uid: &str, all: &[News]) {
        let about = ObjectReference {
            api_version: Some("llmroute.dev/v1alpha1".to_owned()),
            kind: Some("LLMRoutePolicy".to_owned()),
            name: Some(key.name.to_string()),
            namespace: Some(key.namespace.to_string()),
            uid: Some(uid.to_owned()),
            ..ObjectReference::default()
        };
        for news in all {
            self.event(&about, news).await;
        }
    }

    /// Events are for people: one that cannot be written holds nothing up. Whether it is worth no other try.
    async fn event(&self, about: &ObjectReference, news: &News) -> bool {
        let told = self.events.tell(about, news).await;
        if let Err(error) = &told {
            tracing::warn!(about = ?about.name, reason = news.reason, %error, "an event could not be written");
        }
        // One that is refused is refused again.
        match told {
            Err(Failed::Api { error: kube::Error::Api(status), .. }) => status.code < 500,
            told => told.is_ok(),
        }
    }
}

#[cfg(test)]
mod tests;
