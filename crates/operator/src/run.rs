//! Puts the parts together, and takes them apart in order.

use std::{future::Future, sync::Arc, time::Duration};

use anyhow::Context;
use kube::Client;
use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    admin::Admin,
    admit::{self, Admission, Choose},
    ca::server_config,
    certificates::{Keeper, Source},
    cluster::{Cluster, Kind},
    config::Config,
    endpoints,
    events::Events,
    findings::Findings,
    fleet::Fleet,
    index::index,
    inject::{NotYet, choose},
    lease::{CatchUp, Election},
    lend::{Lenders, Lending},
    metrics::Metrics,
    publish::{Published, served},
    push::{CallsFrom, Leader, Push, serve},
    reconcile::Reconciler,
    refresh::Refresh,
    review::Reviews,
    watch::watch as watch_cluster,
    webhooks,
};

/// Changes that come so close together are published together.
const TOGETHER: Duration = Duration::from_millis(5);
/// Giving the lease back may take so long.
const RELEASE: Duration = Duration::from_secs(3);
/// Sidecars hear the last words within that.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Runs until `ends`, and then to a clean end.
///
/// # Errors
/// A port cannot be had, or the API server's address or credentials cannot be read.
pub async fn run(config: Config, client: Client, ends: impl Future<Output = ()>) -> anyhow::Result<()> {
    let control = TcpListener::bind(config.control).await.with_context(|| format!("--control {}", config.control))?;
    let webhook = TcpListener::bind(config.webhook).await.with_context(|| format!("--webhook {}", config.webhook))?;
    let admin = TcpListener::bind(config.admin).await.with_context(|| format!("--admin {}", config.admin))?;
    let port = control.local_addr()?.port();
    let metrics = Arc::new(Metrics::default());
    let (cluster, fleet, published) = (Arc::new(Cluster::default()), Arc::new(Fleet::default()), Arc::default());
    let (leader, led) = watch::channel(Leader::Unknown);
    let (secret, names, source) = (&config.tls_secret, config.names(), config.certificates());
    let keeper = Keeper::new(client.clone(), &config.namespace, secret, names, source, metrics.clone());
    let webhook_tls = server_config(keeper.serving.clone(), &["http/1.1"])?;
    let (trust, tls) = (keeper.trust.subscribe(), server_config(keeper.serving.clone(), &["h2"])?);
    let ending = CancellationToken::new();
    let (lending, findings) = (Arc::new(Lending::default()), Arc::new(Findings::default()));
    let push = Push {
        identify: Arc::new(Reviews::new(client.clone(), metrics.clone())),
        calls_from: calls_from_in(cluster.clone(), config.any_address),
        published: Arc::clone(&published),
        fleet: fleet.clone(),
        findings: findings.clone(),
        lending: lending.clone(),
        leader: led.clone(),
        trust: trust.clone(),
        ending: ending.clone(),
    };
    let refresh = Refresh::new(client.clone(), cluster.clone());
    let admission = Admission {
        settings: Arc::new(config.settings()),
        choose: choose_in(cluster.clone()),
        refresh: {
            let refresh = refresh.clone();
            Arc::new(move |namespace| {
                let refresh = refresh.clone();
                Box::pin(async move { refresh.namespace(&namespace).await })
            })
        },
        trust: trust.clone(),
        metrics: metrics.clone(),
        ending: ending.clone(),
    };
    tracing::info!(control = %control.local_addr()?, webhook = %webhook.local_addr()?, admin = %admin.local_addr()?, "started");

    // What ends by being dropped.
    let mut parts = JoinSet::new();
    let page = Admin {
        cluster: cluster.clone(),
        fleet: fleet.clone(),
        lending: lending.clone(),
        trust: trust.clone(),
        metrics: metrics.clone(),
    };
    parts.spawn(Arc::new(page).serve(admin));
    parts.spawn(watch_cluster(client.clone(), cluster.clone(), metrics.clone()));
    parts.spawn(keeper.run());
    parts.spawn(publish(cluster.clone(), published.clone(), fleet.clone()));
    // What writes as the leader, and ends before another one can lead.
    let mut writers = JoinSet::new();
    if let Source::Operator(_) = source {
        writers.spawn(webhooks::follow(client.clone(), trust.clone(), led.clone()));
    }
    writers.spawn(endpoints::follow_leader(client.clone(), config.endpoint(port), led.clone()));
    let (resigns, lends_on) = (CancellationToken::new(), CancellationToken::new());
    let lenders = Lenders {
        client: client.clone(),
        namespace: config.namespace.clone(),
        service: config.endpoint(port).service,
        cluster: cluster.clone(),
        leader: led.clone(),
        lending: lending.clone(),
    };
    let lenders = tokio::spawn(lenders.run(lends_on.clone()));
    let events = Events::new(client.clone(), config.pod_name.clone());
    let reconciler = Reconciler {
        client: client.clone(),
        cluster: cluster.clone(),
        fleet: fleet.clone(),
        findings,
        lending,
        leader: led,
        events,
        metrics: metrics.clone(),
    };
    writers.spawn(reconciler.run());
    let streams = tokio::spawn(serve(control, tls, push));
    let answers = tokio::spawn(admit::serve(webhook, webhook_tls, admission));
    let catch_up = catch_up_in(refresh, cluster.clone(), published, fleet);
    let (me, lease) = (config.me(port), &config.lease);
    let election = Election::new(client, &config.namespace, lease, me, catch_up, leader, metrics);
    let elected = tokio::spawn(stand(election, cluster, trust, resigns.clone()));

    tokio::select! {
        () = ends => {}
        // None of them ends by itself.
        ended = parts.join_next() => anyhow::bail!("a part of the operator ended: {ended:?}"),
        ended = writers.join_next() => anyhow::bail!("a part of the operator ended: {ended:?}"),
    }
    tracing::info!("ending: the lease is given back, sidecars are told");
    lends_on.cancel();
    let _ = timeout(RELEASE, lenders).await;
    writers.shutdown().await;
    // Another replica can lead when sidecars look for one.
    resigns.cancel();
    let _ = timeout(RELEASE, elected).await;
    ending.cancel();
    sleep(LAST_WORDS).await;
    streams.abort();
    answers.abort();
    Ok(())
}

/// Whether a call can be a pod's, by where the cluster says that it is; `any` where nothing can be told by that.
fn calls_from_in(cluster: Arc<Cluster>, any: bool) -> Arc<CallsFrom> {
    Arc::new(move |uid, peer| any || cluster.read(|world| world.pods.get(uid).is_none_or(|pod| pod.calls_from(peer))))
}

/// Which policy selects a pod, in this replica's world; one that does not know all of it must not say that none does.
fn choose_in(cluster: Arc<Cluster>) -> Arc<Choose> {
    Arc::new(move |pod| {
        let knows = !cluster.missing().contains(&Kind::Policies);
        if knows { cluster.read(|world| choose(world, pod)) } else { Err(NotYet) }
    })
}

/// What a leader before has sent is known, and published, before this one sends anything.
///
/// Pods are not asked for: they are many, and one whose labels were changed meanwhile gets for a moment what it had.
fn catch_up_in(refresh: Refresh, cluster: Arc<Cluster>, published: Arc<Published>, fleet: Arc<Fleet>) -> Box<CatchUp> {
    Box::new(move || {
        let (refresh, cluster, published, fleet) = (refresh.clone(), cluster.clone(), published.clone(), fleet.clone());
        Box::pin(async move {
            refresh.all().await?;
            publish_now(&cluster, &published, &fleet);
            Ok(())
        })
    })
}

/// Stands for election once it knows what it would lead: a leader that knows nothing would send every sidecar away.
async fn stand(
    election: Election,
    cluster: Arc<Cluster>,
    mut trust: watch::Receiver<Arc<str>>,
    resigns: CancellationToken,
) {
    let ready = async {
        cluster.known().await;
        trust.wait_for(|pem| !pem.is_empty()).await.is_ok()
    };
    tokio::select! {
        ready = ready => if ready { election.run(resigns).await },
        () = resigns.cancelled() => {}
    }
}

/// Compares what each pod is served with what it was, and wakes who waits for a difference, at each change of the world.
async fn publish(cluster: Arc<Cluster>, published: Arc<Published>, fleet: Arc<Fleet>) {
    let mut changes = cluster.changes();
    // A pod that is not seen yet is not gone.
    cluster.known().await;
    loop {
        changes.mark_unchanged();
        publish_now(&cluster, &published, &fleet);
        if changes.changed().await.is_err() {
            return;
        }
        sleep(TOGETHER).await;
    }
}

/// The world stays as it is meanwhile: nothing older is published after it.
fn publish_now(cluster: &Cluster, published: &Published, fleet: &Fleet) {
    cluster.read(|world| {
        let index = index(world);
        published.publish(served(world, &index));
        fleet.retain(&index);
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{publish::Served, scripted::Api as Scripted, world::Pod};

    #[tokio::test(start_paused = true)]
    async fn what_was_caught_up_with_is_served_from_the_first_moment() {
        let (client, mut api) = Scripted::new();
        let (cluster, published, fleet) = (Arc::new(Cluster::default()), Arc::default(), Arc::default());
        let pod = Pod { namespace: "shop".into(), sidecar: true, ..Pod::default() };
        cluster.change(|world| world.pods.insert("1".into(), pod));
        publish_now(&cluster, &published, &fleet);
        let served = published.watch(&"1".into());
        assert_eq!(*served.borrow(), Served::Unselected);

        let catch_up = catch_up_in(Refresh::new(client, cluster.clone()), cluster, published, fleet);
        let caught_up = catch_up();
        let policy = json!({"apiVersion": "llmroute.dev/v1alpha1", "kind": "LLMRoutePolicy",
            "metadata": {"namespace": "shop", "name": "p", "uid": "p", "generation": 4},
            "spec": {"providers": [{"name": "openai", "api": "OpenAI"}],
                "scenes": [{"name": "chat", "targets": [{"provider": "openai"}]}]}});
        let list = json!({"apiVersion": "llmroute.dev/v1alpha1", "kind": "LLMRoutePolicyList", "metadata": {}, "items": [policy]});
        let (caught_up, _) = tokio::join!(caught_up, api.answer(200, list));
        caught_up.unwrap();
        assert!(matches!(&*served.borrow(), Served::Policy(document) if document.generation == 4), "{served:?}");
    }
}
