//! Operators: an election that may elect two, the calls to the API server, and a lender each that leads.

use std::{sync::Arc, time::Duration};

use super::{
    store::{Call, Election, PARTS, Put, Reply, Versions},
    world::{Clock, Event, MS, World},
};
use crate::{
    Tick,
    ledger::{
        lend::{Heard, Lender, Said, VALID},
        message::{Answer, Report},
        sim::oracle::S,
        terms::nanos,
    },
};

const RENEW: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(4);

#[derive(Debug)]
pub(super) struct Operator {
    pub(super) life: u32,
    pub(super) is_alive: bool,
    pub(super) clock: Clock,
    pub(super) lender: Option<Lender>,
    seen: Election,
    seen_at: Tick,
    /// How long a holder may be silent.
    pub(super) patience: Duration,
    pub(super) cut_until: u64,
    pub(super) stopped_until: u64,
    renewing: Option<(u64, Tick)>,
    renewed: Option<Tick>,
    /// The call about the object, and the write that it is.
    working: Option<(u64, Tick, Option<u64>)>,
    valid: Tick,
    versions: Versions,
    said: [Option<Said>; PARTS],
    /// To be taken over anew, above this term, as lost.
    lost_above: Option<u64>,
    edition: u64,
}

impl Operator {
    pub(super) fn new(clock: Clock, life: u32, now: u64) -> Operator {
        Operator {
            life,
            is_alive: true,
            clock,
            lender: None,
            seen: Election::default(),
            seen_at: clock.tick(now),
            patience: Duration::from_secs(20),
            cut_until: 0,
            stopped_until: 0,
            renewing: None,
            renewed: None,
            working: None,
            valid: Tick(0),
            versions: Versions::default(),
            said: [None; PARTS],
            lost_above: None,
            edition: 0,
        }
    }
}

impl World {
    pub(super) fn op_tick(&mut self, n: usize) {
        let op = &mut self.ops[n];
        let now = op.clock.tick(self.now);
        let is_holder = op.seen.holder == Some(n);
        // A watch tells of the Lease.
        if self.now >= op.cut_until && !is_holder && self.store.lease != op.seen {
            (op.seen, op.seen_at) = (self.store.lease, now);
        }
        if op.renewing.is_some_and(|(_, sent)| now.since(sent) > TIMEOUT) {
            op.renewing = None;
        }
        let due = if is_holder {
            op.renewed.is_none_or(|at| now.since(at) >= RENEW)
        } else {
            op.seen.holder.is_none() || now.since(op.seen_at) >= op.patience
        };
        if due && op.renewing.is_none() {
            op.renewed = Some(now);
            let seen = op.seen;
            let id = self.call(n, Call::Renew(n, seen));
            self.ops[n].renewing = Some((id, now));
        }
        if let Some((_, sent, write)) = self.ops[n].working
            && now.since(sent) > TIMEOUT
        {
            if let (Some(write), Some(lender)) = (write, &mut self.ops[n].lender) {
                lender.unanswered(write);
            }
            self.read(n);
        }
        self.configure_op(n);
        self.tell_of_ends(n);
        self.write(n);
        self.answer(n);
        let wait = if self.ops[n].lender.is_some() { 200 * MS } else { S };
        let life = self.ops[n].life;
        self.at(self.now + wait, Event::OpTick(n, life));
    }

    fn configure_op(&mut self, n: usize) {
        let op = &mut self.ops[n];
        if self.now >= op.cut_until
            && op.edition != self.edition
            && let Some(lender) = &mut op.lender
        {
            op.edition = self.edition;
            lender.configure(self.caps.clone(), Duration::from_nanos(self.shape.bill_horizon));
        }
    }

    fn tell_of_ends(&mut self, n: usize) {
        let op = &mut self.ops[n];
        let now = op.clock.tick(self.now);
        let Some(lender) = op.lender.as_mut().filter(|_| self.now >= op.cut_until) else { return };
        for pod in self.pods.iter().filter(|p| p.is_ended) {
            lender.pod_ended(&pod.uid, now);
        }
    }

    fn write(&mut self, n: usize) {
        let op = &mut self.ops[n];
        let now = op.clock.tick(self.now);
        if op.working.is_some() {
            return;
        }
        let Some(write) = op.lender.as_mut().and_then(|l| l.tick(now)) else { return };
        let (versions, said) = (op.versions, op.said);
        let is_torn = self.rng.u32(..100) < self.shape.api.lost;
        let most = if is_torn { self.rng.usize(..=PARTS) } else { usize::MAX };
        let id = self.call(n, Call::Put(Box::new(Put { versions, said, object: write.object, most })));
        self.ops[n].working = Some((id, now, Some(write.id)));
    }

    /// Sends what is due.
    pub(super) fn answer(&mut self, n: usize) {
        let op = &mut self.ops[n];
        let now = op.clock.tick(self.now);
        let Some(lender) = &mut op.lender else { return };
        for (pod, answer) in lender.answers(now) {
            self.send_answer(n, &pod, answer);
        }
    }

    fn send_answer(&mut self, from: usize, uid: &Arc<str>, answer: Answer) {
        let Some(pod) = self.pods.iter().position(|p| p.uid == *uid) else { return };
        let net = self.shape.net.clone();
        for at in self.travel(&net) {
            self.at(at, Event::ToPod(pod, from, Box::new(answer.clone())));
        }
    }

    pub(super) fn op_hears(&mut self, n: usize, pod: usize, report: &Report) {
        let uid = self.pods[pod].uid.clone();
        let op = &mut self.ops[n];
        let now = op.clock.tick(self.now);
        let Some(lender) = &mut op.lender else { return };
        match lender.hear(&uid, report, now) {
            Heard::Nothing => {}
            Heard::Answer(answer) => self.send_answer(n, &uid, answer),
            Heard::HigherTerm(term) => {
                op.lost_above = Some(term);
                if op.working.is_none() {
                    self.read(n);
                }
            }
        }
        self.answer(n);
        self.write(n);
    }

    fn read(&mut self, n: usize) {
        let now = self.ops[n].clock.tick(self.now);
        let id = self.call(n, Call::Get);
        self.ops[n].working = Some((id, now, None));
    }

    fn call(&mut self, n: usize, call: Call) -> u64 {
        self.serial += 1;
        let (id, life) = (self.serial, self.ops[n].life);
        let net = self.shape.api.clone();
        if self.now >= self.ops[n].cut_until {
            // Over one connection nothing is doubled.
            if let Some(at) = self.travel(&net).into_iter().next() {
                self.at(at, Event::Api(n, life, id, Box::new(call)));
            }
        }
        id
    }

    pub(super) fn api(&mut self, n: usize, life: u32, id: u64, call: Call) {
        let reply = self.store.serve(call);
        let net = self.shape.api.clone();
        // What arrived is done, whoever hears of it.
        if self.now >= self.ops[n].cut_until
            && !matches!(reply, Reply::Lost)
            && let Some(at) = self.travel(&net).into_iter().next()
        {
            self.at(at, Event::ApiBack(n, life, id, Box::new(reply)));
        }
    }

    pub(super) fn api_back(&mut self, n: usize, id: u64, reply: Reply) {
        let op = &mut self.ops[n];
        let now = op.clock.tick(self.now);
        match reply {
            Reply::Lease(won, lease) => {
                let Some((_, sent)) = op.renewing.take_if(|(call, _)| *call == id) else { return };
                (op.seen, op.seen_at) = (lease, now);
                op.patience = Duration::from_secs(20);
                if !won {
                    op.lender = None;
                    return;
                }
                op.valid = sent.after(VALID);
                match &mut op.lender {
                    Some(lender) => lender.renewed(op.valid),
                    None if op.working.is_none() => self.read(n),
                    None => {}
                }
            }
            Reply::Lost => {}
            Reply::Object { versions, object, is_known } => {
                if op.working.take_if(|(call, ..)| *call == id).is_none() {
                    return;
                }
                (op.versions, op.said) = (versions, [None; PARTS]);
                let found = object.as_ref().map_or(0, |o| o.term);
                let above = op.lost_above.take().filter(|term| *term > found);
                let (anew, lost) = match &op.lender {
                    // A newer lender is there.
                    Some(lender) if found > lender.term() => {
                        op.lender = None;
                        return;
                    }
                    Some(lender) if object.is_none() && is_known => (lender.term(), true),
                    Some(lender) if above.is_some() => (lender.term(), true),
                    // The first write is still to come: what it replaces is what was read last.
                    Some(lender) if !lender.is_open() => (found, object.is_none() && is_known),
                    Some(_) => {
                        self.write(n);
                        return;
                    }
                    None => (found, object.is_none() && is_known || above.is_some()),
                };
                let term = anew.max(found).max(above.unwrap_or(0)) + 1;
                self.takeovers += 1;
                self.trace(|| format!("operator {n} takes over, term {term}, lost {lost}, {object:?}"));
                let op = &mut self.ops[n];
                let mut lender = Lender::take_over(term, object.map(|o| *o), lost, now);
                lender.renewed(op.valid);
                op.lender = Some(lender);
                op.edition = u64::MAX;
                self.configure_op(n);
                self.write(n);
            }
            Reply::Put(result) => {
                let Some((_, _, write)) = op.working.take_if(|(call, ..)| *call == id) else { return };
                match (result, &mut op.lender, write) {
                    (Ok((versions, said)), Some(lender), Some(write)) => {
                        (op.versions, op.said) = (versions, said);
                        lender.written(write, now);
                        self.answer(n);
                    }
                    (Err(()), Some(lender), Some(write)) => {
                        lender.unanswered(write);
                        self.read(n);
                    }
                    _ => {}
                }
            }
        }
    }

    /// The operator that leads, as far as anybody knows.
    pub(super) fn leader(&self) -> Option<usize> {
        let is = |n: &usize| {
            let op = &self.ops[*n];
            op.lender.as_ref().is_some_and(|l| l.is_open() && l.is_valid(op.clock.tick(self.now)))
        };
        (0..self.ops.len()).filter(is).max_by_key(|n| self.ops[*n].lender.as_ref().map(Lender::term))
    }

    /// The longest that a lease of an old lender may matter.
    pub(super) fn grace(&self) -> u64 {
        let horizon = self.shape.bill_horizon + nanos(super::super::super::terms::GUARD);
        nanos(VALID) + nanos(super::super::super::terms::TTL) + horizon
    }
}
