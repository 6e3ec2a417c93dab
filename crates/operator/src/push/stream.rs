//! One sidecar's stream: hello, then what selects its pod whenever that changes, and what it answers, until one of both
//! ends, the pod is gone, or another replica leads.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use bytes::Bytes;
use control::{
    Speaks, agree, coins,
    v1::{
        FromSidecar, GoAway, Hello, Trust, Unselected, from_operator::Message as Say, from_sidecar::Message as Heard,
        go_away::Reason,
    },
};
use policy::ledger::message::Phase;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};
use tonic::{Status, Streaming};

use super::{Caller, Leader, Push, visit::Running};
use crate::{fleet::Place, frame::frame, publish::Served, world::PolicyKey};

/// From the call to the sidecar's hello.
const HELLO: Duration = Duration::from_secs(10);
/// A sidecar that takes nothing for so long is gone.
const TAKEN: Duration = Duration::from_secs(10);
/// The watch of pods may be so far behind a pod's own call.
const UNKNOWN: Duration = Duration::from_secs(10);
/// This program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Why a stream ends: with these last words, or none where nobody hears them.
type End = Option<GoAway>;
type Step = ControlFlow<End>;

/// One stream.
pub(super) struct Stream {
    push: Push,
    caller: Caller,
    /// Its place on the connection.
    running: Running,
    incoming: Streaming<FromSidecar>,
    outgoing: mpsc::Sender<Bytes>,
}

impl Stream {
    pub(super) fn new(
        push: Push,
        caller: Caller,
        running: Running,
        incoming: Streaming<FromSidecar>,
        outgoing: mpsc::Sender<Bytes>,
    ) -> Stream {
        Stream { push, caller, running, incoming, outgoing }
    }

    /// Runs it to its end.
    pub(super) async fn run(mut self) {
        let ControlFlow::Break(end) = self.talk().await else { return };
        let Caller { namespace, name, .. } = &self.caller;
        tracing::debug!(%namespace, %name, why = end.as_ref().map(|away| &*away.message), "a sidecar's stream ends");
        if let Some(away) = end {
            let _ = self.say(Say::GoAway(away)).await;
        }
    }

    /// Ends with a break, always.
    async fn talk(&mut self) -> Step {
        let hello = self.hello().await?;
        self.leads()?;
        self.is_home()?;
        let Some(place) = self.push.fleet.enter(&self.caller.uid, &hello.version) else {
            return go_away(Reason::Unspecified, "this operator serves as many sidecars as it can");
        };
        self.running.is_known();
        self.say(Say::Hello(Speaks::HERE.hello(VERSION))).await?;
        // From here on answers go to this stream.
        let _seat = self.push.lending.seats.take(&self.caller.uid, self.outgoing.clone());
        self.push.findings.begins(&self.caller.uid);
        let mut trust = self.push.trust.clone();
        self.trust(&mut trust).await?;
        let mut served = self.push.published.watch(&self.caller.uid);
        self.serve(&mut served).await?;
        let (mut leader, ending) = (self.push.leader.clone(), self.push.ending.clone());
        let unknown_until = Instant::now() + UNKNOWN;
        loop {
            tokio::select! {
                heard = self.incoming.message() => {
                    if let Some(said) = self.hear(&place, heard)? {
                        self.leads()?;
                        self.share(said, &served.borrow());
                    }
                }
                changed = served.changed() => match changed {
                    Ok(()) => {
                        self.leads()?;
                        self.serve(&mut served).await?;
                    }
                    Err(_) => return ending_now(),
                },
                Ok(()) = trust.changed() => self.trust(&mut trust).await?,
                // Whoever tells it is gone: so is what makes this replica a leader.
                changed = leader.changed() => match changed {
                    Ok(()) => self.leads()?,
                    Err(_) => return ending_now(),
                },
                () = place.lost() => return go_away(Reason::Replaced, "a newer stream of this pod is there"),
                () = ending.cancelled() => return ending_now(),
                () = sleep_until(unknown_until), if *served.borrow() == Served::Unknown => {
                    return go_away(Reason::NoPod, "the cluster does not show this pod");
                }
            }
        }
    }

    /// The sidecar's hello, in a protocol that both ends speak.
    async fn hello(&mut self) -> ControlFlow<End, Hello> {
        let first = timeout(HELLO, self.incoming.message()).await;
        let Ok(Ok(Some(FromSidecar { message: Some(Heard::Hello(hello)) }))) = first else {
            return go_away(Reason::Protocol, "a stream begins with a hello");
        };
        match agree(Speaks::HERE, Speaks::from(&hello)) {
            Ok(_) => ControlFlow::Continue(hello),
            Err(why) => go_away(Reason::Protocol, why.to_string()),
        }
    }

    /// Goes on only where the token comes from its own pod: whoever else has it gets nothing.
    fn is_home(&self) -> Step {
        if (self.push.calls_from)(&self.caller.uid, self.running.peer()) {
            return ControlFlow::Continue(());
        }
        let Caller { namespace, name, .. } = &self.caller;
        tracing::warn!(%namespace, %name, peer = %self.running.peer(), "somebody else calls with the token of this pod");
        go_away(Reason::NoPod, "the token is another pod's: this call does not come from its address")
    }

    /// Goes on only where this replica leads.
    fn leads(&self) -> Step {
        let (address, message) = match &*self.push.leader.borrow() {
            leader if leader.leads() => return ControlFlow::Continue(()),
            Leader::Other(address) => (address.clone(), "another replica leads"),
            Leader::Me(_) | Leader::Unknown => (String::new(), "no replica leads yet"),
        };
        let reason = Reason::NotLeader.into();
        ControlFlow::Break(Some(GoAway { reason, message: message.to_owned(), address }))
    }

    /// Notes what the sidecar says of itself; gives what is for others.
    fn hear(&self, place: &Place, heard: Result<Option<FromSidecar>, Status>) -> ControlFlow<End, Option<Heard>> {
        let Ok(Some(FromSidecar { message })) = heard else { return ControlFlow::Break(None) };
        match message {
            Some(Heard::Ack(ack)) => place.answered(ack.into()),
            Some(Heard::Nack(nack)) => place.answered(nack.into()),
            Some(Heard::Report(report)) => place.told(report),
            Some(said @ (Heard::Borrowing(_) | Heard::Findings(_))) => return ControlFlow::Continue(Some(said)),
            Some(Heard::Hello(_)) => return go_away(Reason::Protocol, "a stream has one hello"),
            // Of a newer sidecar; the protocol says that it may be skipped.
            None => {}
        }
        ControlFlow::Continue(None)
    }

    /// What the sidecar borrows goes to the lender of the policy that selects its pod, what it found to the other pods of that
    /// policy. To another lender of its namespace go its last words alone.
    fn share(&self, said: Heard, served: &Served) {
        let Caller { namespace, uid, .. } = &self.caller;
        let (of, name) = match &said {
            Heard::Borrowing(said) => (&said.namespace, &said.name),
            Heard::Findings(said) => (&said.namespace, &said.name),
            _ => return,
        };
        if **of != **namespace {
            return;
        }
        let policy = PolicyKey { namespace: namespace.clone(), name: name.as_str().into() };
        let selects = matches!(served, Served::Policy(document) if document.policy == policy);
        match said {
            Heard::Borrowing(said) => {
                if let Some(report) = coins::report(said).filter(|report| selects || report.phase == Phase::Last) {
                    self.push.lending.hear(&policy, uid, report);
                }
            }
            Heard::Findings(said) if selects => {
                self.push.findings.hear(&policy, uid, &said.rows, &self.push.lending.seats);
            }
            _ => {}
        }
    }

    /// Says what the pod is served now.
    async fn serve(&mut self, served: &mut watch::Receiver<Served>) -> Step {
        let now = served.borrow_and_update().clone();
        self.is_home()?;
        match now {
            Served::Unknown | Served::Awaited => ControlFlow::Continue(()),
            Served::Gone => go_away(Reason::NoPod, "the pod is gone"),
            Served::Unselected => self.say(Say::Unselected(Unselected {})).await,
            // The same bytes for all who get it.
            Served::Policy(document) => self.send(document.framed.clone()).await,
        }
    }

    async fn trust(&mut self, trust: &mut watch::Receiver<Arc<str>>) -> Step {
        let ca = trust.borrow_and_update().to_string();
        if ca.is_empty() { ControlFlow::Continue(()) } else { self.say(Say::Trust(Trust { ca })).await }
    }

    async fn say(&mut self, message: Say) -> Step {
        self.send(frame(message)).await
    }

    async fn send(&mut self, framed: Bytes) -> Step {
        let sent = timeout(TAKEN, self.outgoing.send(framed)).await;
        if matches!(sent, Ok(Ok(()))) { ControlFlow::Continue(()) } else { ControlFlow::Break(None) }
    }
}

fn go_away<T>(reason: Reason, message: impl Into<String>) -> ControlFlow<End, T> {
    ControlFlow::Break(Some(GoAway { reason: reason.into(), message: message.into(), address: String::new() }))
}

fn ending_now() -> Step {
    go_away(Reason::Ending, "this replica ends")
}
