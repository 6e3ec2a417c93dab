//! One policy's lender at work: what sidecars report goes in, leases go out, and the ledger object is written ahead of both.

use std::{collections::BTreeSet, pin::Pin, sync::Arc, time::Duration};

use control::{coins, v1::from_operator::Message as Say};
use policy::{
    Tick,
    ledger::{
        lend::{Heard, Lender},
        message::{Answer, Incarnation, Phase, Report},
    },
};
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    Ended, Lending, Shown, Terms,
    object::{Found, Object, Standing, Unwritten},
};
use crate::{
    clock,
    push::Leader,
    reconcile::Failed,
    world::{PolicyKey, Uid},
};

/// With nothing to do, it looks again after that.
const LOOK: Duration = Duration::from_millis(200);
/// After a call of the API server that failed.
const AGAIN: Duration = Duration::from_secs(1);
/// Reports that are heard before it answers.
const MOST_WORDS: usize = 500;
/// How caps stand is shown so often.
const SHOW: Duration = Duration::from_secs(2);
/// That the ledger cannot be kept is told after so long, or at once where it stays so until somebody does something.
const BEARABLE: Duration = Duration::from_secs(30);
/// Terms count takeovers; a borrower that says more tells no truth.
const MOST_TERMS: u64 = 1 << 31;

/// What comes to a desk.
pub(super) enum Word {
    /// A report of a pod.
    Report(Uid, Report),
    /// The kubelet says that all of the pod has ended.
    Ended(Uid),
}

/// How an API call about the object ended.
enum Done {
    Read(Result<Found, Failed>),
    Wrote(u64, Result<Standing, Unwritten>),
}

type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

/// One policy's lender.
pub(super) struct Desk {
    policy: PolicyKey,
    object: Arc<Object>,
    lending: Arc<Lending>,
    leader: watch::Receiver<Leader>,
    terms: watch::Receiver<Terms>,
    words: mpsc::Receiver<Word>,
    lender: Option<Lender>,
    /// The object, as it was read or written last.
    standing: Standing,
    /// This replica leads until then, as far as is known here.
    valid: Duration,
    /// A borrower knows this term, and the object knows less: it was lost or set back.
    above: Option<u64>,
    work: Option<Work>,
    /// No call before that.
    again: Duration,
    /// Calls have failed since then.
    failing: Option<Duration>,
    /// When it is looked how caps stand.
    look: Duration,
    /// Pods that ended for sure.
    ended: Ended,
    /// Whose stream took no lease; they are told again then.
    unsaid: (BTreeSet<Incarnation>, Duration),
}

impl Desk {
    pub(super) fn new(
        policy: PolicyKey,
        object: Object,
        lending: Arc<Lending>,
        leader: watch::Receiver<Leader>,
        terms: watch::Receiver<Terms>,
        words: mpsc::Receiver<Word>,
    ) -> Desk {
        Desk {
            policy,
            object: Arc::new(object),
            lending,
            leader,
            terms,
            words,
            lender: None,
            standing: Standing::default(),
            valid: Duration::ZERO,
            above: None,
            work: None,
            again: Duration::ZERO,
            failing: None,
            look: Duration::ZERO,
            ended: Ended::default(),
            unsaid: Default::default(),
        }
    }

    /// Lends while this replica leads, until `ending`: then it writes once more that nothing is lent any more.
    pub(super) async fn run(mut self, ending: CancellationToken) {
        while self.leads() {
            // What is asked for is known to the write that follows.
            self.tell();
            self.begin();
            self.show();
            tokio::select! {
                word = self.words.recv() => match word {
                    Some(word) => self.hear_all(word),
                    // Its policy is gone.
                    None => return,
                },
                done = done(&mut self.work) => {
                    self.work = None;
                    self.take(done);
                }
                Ok(()) = self.terms.changed() => self.configure(),
                () = sleep(LOOK) => {}
                () = ending.cancelled() => return self.end().await,
            }
        }
    }

    /// Whether this replica leads, and has ever since it was asked last: in a gap another one may have lent.
    fn leads(&mut self) -> bool {
        let now = clock::now();
        let Leader::Me(until) = *self.leader.borrow() else { return false };
        if until <= now {
            return false;
        }
        if self.valid <= now {
            (self.lender, self.work) = (None, None);
        }
        self.valid = until;
        if let Some(lender) = &mut self.lender {
            lender.renewed(clock::tick(until));
        }
        true
    }

    /// Begins what is to be done with the object: reads it, or writes what is due.
    fn begin(&mut self) {
        let now = clock::now();
        if self.work.is_some() || now < self.again {
            return;
        }
        let object = self.object.clone();
        let Some(lender) = self.lender.as_mut().filter(|_| self.above.is_none()) else {
            self.work = Some(Box::pin(async move { Done::Read(object.read().await) }));
            return;
        };
        if let Some(write) = lender.tick(clock::tick(now)) {
            let standing = self.standing.clone();
            self.work =
                Some(Box::pin(async move { Done::Wrote(write.id, object.write(standing, &write.object).await) }));
        }
    }

    fn take(&mut self, done: Done) {
        let now = clock::tick(clock::now());
        match done {
            Done::Read(Ok(found)) => self.found(found, now),
            Done::Read(Err(error)) => self.failed(&error),
            Done::Wrote(id, Ok(standing)) => {
                self.standing = standing;
                if self.failing.take().is_some() {
                    self.lending.complain(&self.policy, None);
                }
                if let Some(lender) = &mut self.lender {
                    let was_open = lender.is_open();
                    lender.written(id, now);
                    if !was_open && lender.is_open() {
                        tracing::info!(policy = %self.policy, term = lender.term(), "lends what pods share of caps");
                        self.look = Duration::ZERO;
                        // What was told of pods while it was not open yet.
                        self.ended.all().for_each(|pod| lender.pod_ended(pod, now));
                    }
                }
            }
            Done::Wrote(id, Err(unwritten)) => {
                if let Some(lender) = &mut self.lender {
                    lender.unanswered(id);
                }
                if let Unwritten::Failed(error) = unwritten {
                    self.failed(&error);
                }
                // What stands there now is read before more is written.
                let object = self.object.clone();
                let pause = self.again.saturating_sub(clock::now());
                self.work = Some(Box::pin(async move {
                    sleep(pause).await;
                    Done::Read(object.read().await)
                }));
            }
        }
    }

    fn failed(&mut self, error: &Failed) {
        tracing::warn!(policy = %self.policy, %error, "the ledger cannot be kept; what needs it is not lent meanwhile");
        let now = clock::now();
        self.again = now + AGAIN;
        let since = *self.failing.get_or_insert(now);
        if is_worth_telling(error, now.saturating_sub(since)) {
            self.lending.complain(&self.policy, Some(error.to_string()));
        }
    }

    /// The object was read: it is taken over, or written on.
    fn found(&mut self, found: Found, now: Tick) {
        let term = found.object.as_ref().map_or(0, |o| o.term);
        let known = self.terms.borrow().term;
        let is_lost = known > term || found.standing.is_there() && found.object.is_none();
        let above = self.above.take().filter(|above| *above > term);
        self.standing = found.standing;
        let (base, is_lost) = match &self.lender {
            Some(lender) if is_lost || above.is_some() => (lender.term().max(term), true),
            // Another one has lent since; or the first write is still to come, and what it replaces is what was read last.
            Some(lender) if term > lender.term() || !lender.is_open() => (term, false),
            Some(_) => return,
            None => (term, is_lost || above.is_some()),
        };
        let term = base.max(known).max(term).max(above.unwrap_or(0)) + 1;
        if is_lost {
            tracing::error!(policy = %self.policy, term,
                "the ledger of this policy is lost: coins may be anywhere, and only what sidecars claim is lent until all others have been waited out");
        }
        let mut lender = Lender::take_over(term, found.object, is_lost, now);
        lender.renewed(clock::tick(self.valid));
        self.lender = Some(lender);
        self.configure();
    }

    fn configure(&mut self) {
        let terms = self.terms.borrow_and_update().clone();
        if let Some(lender) = &mut self.lender {
            lender.configure(terms.caps.all.clone(), terms.caps.bill_horizon);
        }
    }

    /// Takes what has come, so much of it that it still leads when it answers.
    fn hear_all(&mut self, first: Word) {
        self.hear(first);
        for _ in 1..MOST_WORDS {
            let Ok(word) = self.words.try_recv() else { return };
            self.hear(word);
        }
    }

    fn hear(&mut self, word: Word) {
        let now = clock::tick(clock::now());
        if let Word::Ended(pod) = &word {
            self.ended.note(pod.clone());
        }
        let Some(lender) = &mut self.lender else { return };
        match word {
            Word::Ended(pod) => lender.pod_ended(&pod, now),
            Word::Report(pod, report) if report.term >= MOST_TERMS && report.term > lender.term() => {
                tracing::warn!(policy = %self.policy, %pod, term = report.term, "a sidecar names a term that none had");
            }
            Word::Report(pod, report) => match lender.hear(&pod, &report, now) {
                Heard::Nothing => {}
                Heard::Answer(answer) => self.send(&pod, answer),
                // Last words may be of a pod that another policy selects by now.
                Heard::HigherTerm(_) if report.phase == Phase::Last => {}
                Heard::HigherTerm(term) => self.above = self.above.max(Some(term)),
            },
        }
    }

    /// Sends what is due.
    fn tell(&mut self) {
        let now = clock::now();
        let Some(lender) = &mut self.lender else { return };
        // Once there are coins out, the status must tell of a ledger: else its loss would be taken for a first start.
        if self.terms.borrow().term == 0 {
            return;
        }
        let (unsaid, again) = &mut self.unsaid;
        if *again <= now {
            *again = now + LOOK;
            std::mem::take(unsaid).into_iter().for_each(|incarnation| lender.unsaid(incarnation));
        }
        for (pod, answer) in lender.answers(clock::tick(now)) {
            self.send(&pod, answer);
        }
    }

    /// Shows how caps stand, now and then.
    fn show(&mut self) {
        let now = clock::now();
        if let Some(lender) = self.lender.as_ref().filter(|l| l.is_open() && now >= self.look) {
            self.look = now + SHOW;
            let shown =
                Shown { term: lender.term(), is_lost: lender.is_lost(), stands: lender.stands(clock::tick(now)) };
            self.lending.show(&self.policy, shown);
        }
    }

    /// A stream that takes nothing now is told again a little later.
    fn send(&mut self, pod: &Uid, answer: Answer) {
        let is_of = if let Answer::Lease(lease) = &answer { Some(lease.incarnation) } else { None };
        let said = coins::lending(&self.policy.namespace, &self.policy.name, answer);
        let is_taken = self.lending.seats.say(pod, Say::Lending(said));
        if let Some(incarnation) = is_of.filter(|_| !is_taken) {
            self.unsaid.0.insert(incarnation);
        }
    }

    /// Writes that nothing is lent any more.
    async fn end(mut self) {
        if let Some(work) = self.work.take() {
            let done = work.await;
            self.take(done);
        }
        let write = self.lender.as_mut().and_then(|lender| lender.last_write(clock::tick(clock::now())));
        self.lender = None;
        let Some(write) = write else { return };
        if let Err(unwritten) = self.object.write(self.standing, &write.object).await {
            tracing::warn!(policy = %self.policy, ?unwritten, "the last state of the ledger could not be written");
        }
    }
}

/// What ends by itself is told once it has lasted.
fn is_worth_telling(error: &Failed, lasts: Duration) -> bool {
    error.is_refused() || lasts >= BEARABLE
}

/// The end of the work under way; never where there is none.
async fn done(work: &mut Option<Work>) -> Done {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
