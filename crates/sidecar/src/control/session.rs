//! One stream: hello, then snapshots are put in force and answered, and coins of shared caps come and go, until it ends.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use control::{
    Speaks, agree, coins,
    v1::{
        Ack, Credentials, FromOperator, FromSidecar, GoAway, Hello, Nack, Report, Snapshot, Trust, from_operator,
        from_sidecar, go_away::Reason,
    },
};
use policy::snapshot;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use super::{
    Control, connect,
    findings::{Teller, advise},
    kept::{MAX_CA, MAX_DOCUMENT},
    link::cut,
    settings::Address,
};
use crate::{
    adopt::{self, Origin, Source},
    clock,
    credentials::Keys,
    money::Addressed,
};

/// From the call to the operator's hello.
const HELLO: Duration = Duration::from_secs(10);
const REPORT: Duration = Duration::from_secs(30);
/// Circuits are looked at so often, for what the other pods are to know.
const LOOK: Duration = Duration::from_millis(200);
/// An operator that takes no message for so long is as good as gone.
const TAKEN: Duration = Duration::from_secs(10);
/// The last words may take so long to go out.
const LAST: Duration = Duration::from_secs(2);
/// Messages that may wait to be sent; an operator that takes none of so many is as good as gone.
const WAITING: usize = 16;
const MAX_ERROR: usize = 16 << 10;
const MAX_FIELDS: usize = 64;
/// This program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How a stream ended.
#[derive(Debug)]
pub(super) enum End {
    /// The process ends.
    Shutdown,
    /// The operator says whom to call instead.
    Moved(Address),
    /// It broke, or was ended; for people.
    Lost(String),
}

/// Holds one stream with the operator at `address`, to its end.
pub(super) async fn hold(control: &Control, address: &Address, shutdown: &CancellationToken) -> End {
    match talk(control, address, shutdown).await {
        Ok(None) => End::Shutdown,
        Ok(Some(away)) => {
            let why = format!("{address} ended the stream: {} ({})", away.message, away.reason().as_str_name());
            match Address::parse(&away.address) {
                Ok(leader) if away.reason() == Reason::NotLeader => End::Moved(leader),
                _ => End::Lost(why),
            }
        }
        Err(why) => End::Lost(format!("{why:#}")),
    }
}

/// The stream itself; it ends with a go-away or an error, or with the last words of a process that ends.
async fn talk(control: &Control, address: &Address, shutdown: &CancellationToken) -> anyhow::Result<Option<GoAway>> {
    let (sender, outgoing) = mpsc::channel(WAITING);
    let out = Out(sender);
    out.say(from_sidecar::Message::Hello(Speaks::HERE.hello(VERSION)))?;
    let called = async {
        let mut stream = connect::call(&control.settings, &control.kept, address, outgoing).await?;
        let hello = timeout(HELLO, next(&mut stream)).await.context("no hello within 10 s")??;
        anyhow::Ok((stream, hello))
    };
    let (mut stream, hello) = tokio::select! {
        called = called => called?,
        () = shutdown.cancelled() => return Ok(None),
    };
    let protocol = match hello {
        Some(from_operator::Message::Hello(hello)) => understood(&hello)?,
        Some(from_operator::Message::GoAway(away)) => return Ok(Some(away)),
        _ => bail!("the operator does not begin with a hello"),
    };
    control.link.up(address, protocol);
    let lends = protocol >= Speaks::LENDS;
    let money = &control.state.money;
    money.reconnected();
    let (mut teller, mut looks) = (Teller::default(), interval(LOOK));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reports = interval(REPORT);
    reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            message = next(&mut stream) => message?,
            () = money.due(), if lends => {
                out.borrow(money.reports()).await?;
                continue;
            }
            _ = looks.tick(), if lends => {
                let in_force = control.state.in_force.load_full();
                let news = in_force.and_then(|in_force| teller.news(&in_force, clock::now()));
                if let Some(news) = news {
                    out.say(from_sidecar::Message::Findings(news))?;
                }
                continue;
            }
            _ = reports.tick() => {
                out.say(from_sidecar::Message::Report(report(control)))?;
                continue;
            }
            () = shutdown.cancelled() => {
                if lends {
                    out.borrow(money.last_words()).await?;
                }
                drop(out);
                // Once they are out, the operator ends the stream.
                let _ = timeout(LAST, async { while next(&mut stream).await.is_ok() {} }).await;
                return Ok(None);
            }
        };
        match message {
            Some(from_operator::Message::Snapshot(snapshot)) => {
                out.say(answer(control, snapshot).await)?;
                reports.reset_immediately();
            }
            Some(from_operator::Message::Unselected(_)) => control.link.unselected(),
            Some(from_operator::Message::Trust(trust)) => keep_trust(control, trust).await?,
            Some(from_operator::Message::Lending(said)) => {
                let policy = format!("{}/{}", said.namespace, said.name);
                if let Some(answer) = coins::answer(said) {
                    money.take_answer(&policy, &answer);
                }
            }
            Some(from_operator::Message::Findings(said)) => advise(&control.state, &said, clock::now()),
            Some(from_operator::Message::GoAway(away)) => return Ok(Some(away)),
            Some(from_operator::Message::Hello(_)) => bail!("the operator says hello twice"),
            // Of a newer operator; the protocol says that it may be skipped.
            None => {}
        }
    }
}

/// The next message; `None` within is one that this build does not know.
async fn next(stream: &mut Streaming<FromOperator>) -> anyhow::Result<Option<from_operator::Message>> {
    match stream.message().await {
        Ok(Some(said)) => Ok(said.message),
        Ok(None) => bail!("the operator ended the stream"),
        Err(status) => bail!("{}: {}", status.code(), status.message()),
    }
}

/// The protocol that both ends speak.
fn understood(theirs: &Hello) -> anyhow::Result<u32> {
    let protocol = agree(Speaks::HERE, theirs.into())?;
    tracing::debug!(protocol, operator = %cut(&theirs.version, 64), "the operator says hello");
    Ok(protocol)
}

/// What is said, in a bounded queue.
struct Out(mpsc::Sender<FromSidecar>);

impl Out {
    fn say(&self, message: from_sidecar::Message) -> anyhow::Result<()> {
        self.0.try_send(FromSidecar { message: Some(message) }).context("the operator takes no messages")
    }

    /// Says what is borrowed, all of it in order: there may be more than the queue holds.
    async fn borrow(&self, reports: Vec<Addressed>) -> anyhow::Result<()> {
        for (policy, report) in reports {
            let (namespace, name) = policy.split_once('/').unwrap_or_default();
            let message = Some(from_sidecar::Message::Borrowing(coins::borrowing(namespace, name, report)));
            let sent = timeout(TAKEN, self.0.send(FromSidecar { message })).await;
            sent.ok().and_then(Result::ok).context("the operator takes no messages")?;
        }
        Ok(())
    }
}

/// Puts a snapshot in force, or says why not.
async fn answer(control: &Control, snapshot: Snapshot) -> from_sidecar::Message {
    let (generation, hash) = (snapshot.generation, snapshot.hash.clone());
    match take(control, snapshot).await {
        Ok(()) => {
            control.link.accepted(generation, &hash);
            from_sidecar::Message::Ack(Ack { generation, hash })
        }
        Err(faults) => {
            control.link.rejected();
            let error = cut(&faults.join("\n"), MAX_ERROR).to_owned();
            adopt::refuse(&control.state, faults);
            from_sidecar::Message::Nack(Nack { generation, hash, error })
        }
    }
}

async fn take(control: &Control, snapshot: Snapshot) -> Result<(), Vec<String>> {
    let Snapshot { namespace, name, generation, hash, document } = snapshot;
    if document.len() > MAX_DOCUMENT {
        return Err(vec![format!("the document has {} bytes, more than {MAX_DOCUMENT}", document.len())]);
    }
    if adopt::hash(&document) != hash {
        return Err(vec!["the document does not have the hash that came with it".to_owned()]);
    }
    // What is in force already is only confirmed.
    let source = control.state.in_force.load().as_ref().filter(|f| f.origin.hash == hash).map(|f| f.origin.source);
    if let Some(source) = source {
        control.state.refused.store(None);
        if source == Source::ConfigMap {
            keep(control, document).await;
        }
        return Ok(());
    }
    let text = document.clone();
    // Off the workers that serve requests; a panic there is a fault like others.
    let judged = tokio::task::spawn_blocking(move || adopt::judge(&text, Source::Stream)).await;
    let judged = judged.map_err(|e| vec![format!("the document could not be judged: {e}")])??;
    check(&judged, &namespace, &name, generation)?;
    adopt::put(&control.state, judged, Origin { source: Source::Stream, hash });
    // After it is in force: the answer to a later start is not what this one waits for.
    keep(control, document).await;
    Ok(())
}

async fn keep(control: &Control, document: Bytes) {
    let kept = control.kept.clone();
    let written = tokio::task::spawn_blocking(move || kept.keep_policy(&document)).await;
    if let Err(error) = written.map_err(std::io::Error::other).flatten() {
        tracing::warn!(%error, "the policy is in force, but cannot be kept for the next start");
    }
}

/// What is acknowledged is what the document says.
fn check(judged: &snapshot::Snapshot, namespace: &str, name: &str, generation: i64) -> Result<(), Vec<String>> {
    let named = format!("{namespace}/{name}");
    if *judged.name != *named || judged.generation != Some(generation) {
        let (is, at) = (&judged.name, judged.generation.unwrap_or(0));
        return Err(vec![format!(
            "the document is {is} of generation {at}, sent as {named} of generation {generation}"
        )]);
    }
    Ok(())
}

async fn keep_trust(control: &Control, Trust { ca }: Trust) -> anyhow::Result<()> {
    ensure!(ca.len() <= MAX_CA, "the operator's CA certificates have {} bytes", ca.len());
    let known = connect::certificates(ca.as_bytes()).context("as sent by the operator")?;
    ensure!(known > 0, "the operator sent no CA certificate to trust");
    let kept = control.kept.clone();
    if kept.ca() != ca.as_bytes() {
        if let Err(error) = tokio::task::spawn_blocking(move || kept.keep_ca(ca.as_bytes())).await? {
            tracing::warn!(%error, "the operator's CA certificates cannot be kept for the next start");
        }
        tracing::info!(certificates = known, "CA certificates of the operator in force");
    }
    Ok(())
}

fn report(control: &Control) -> Report {
    let in_force = control.state.in_force.load();
    let in_force: Option<&Arc<_>> = in_force.as_ref();
    Report {
        generation: in_force.and_then(|f| f.snapshot.generation).unwrap_or(0),
        hash: in_force.map(|f| f.origin.hash.clone()).unwrap_or_default(),
        version: VERSION.to_owned(),
        not_in_force: in_force
            .into_iter()
            .flat_map(|f| f.snapshot.not_in_force.iter().take(MAX_FIELDS).map(|n| n.path.to_string()))
            .collect(),
        uptime_seconds: control.link.uptime().as_secs(),
        credentials: in_force.map(|f| credentials(&f.snapshot, &control.state.keys.load())),
    }
}

/// How the keys are that a policy names.
fn credentials(policy: &snapshot::Snapshot, keys: &Keys) -> Credentials {
    let names: BTreeSet<&str> = policy.providers.iter().filter_map(|p| p.credential_key.as_deref()).collect();
    let gone: BTreeSet<&str> = keys.names().filter(|(_, gone)| *gone).map(|(name, _)| name).collect();
    let which = |is: &dyn Fn(&str) -> bool| {
        names.iter().filter(|name| is(name)).take(MAX_FIELDS).map(|name| (*name).to_owned()).collect()
    };
    Credentials { missing: which(&|name| keys.get(name).is_none()), vanished: which(&|name| gone.contains(name)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adopt::judge;

    #[test]
    fn a_document_sent_under_another_name_is_refused() {
        let document = br#"{"apiVersion":"llmroute.dev/v1alpha1","kind":"LLMRoutePolicy","metadata":{"namespace":"shop","name":"p","generation":3},
            "spec":{"providers":[{"name":"openai","api":"OpenAI"}],"scenes":[{"name":"chat","targets":[{"provider":"openai"}]}]}}"#;
        let judged = judge(document, Source::Stream).unwrap();
        let rows = [("shop", "p", 3, true), ("shop", "q", 3, false), ("other", "p", 3, false), ("shop", "p", 4, false)];
        for (namespace, name, generation, want) in rows {
            assert_eq!(check(&judged, namespace, name, generation).is_ok(), want, "{namespace}/{name} {generation}");
        }
    }
}
