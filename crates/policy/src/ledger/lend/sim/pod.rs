//! Pods: callers, a ledger that borrows, its journal, and the stream to whoever leads.

use std::{sync::Arc, time::Duration};

use super::{
    provider::{Fate, amounts, fate},
    world::{Clock, Event, Found, MS, World},
};
use crate::ledger::{
    self, Ask, Checkpoint, Denied, Hold, How, Key, Ledger, Past, Unit, Wait,
    message::{Answer, Incarnation, Report},
    rules::{Rule, on},
    sim::{disk::Disk, oracle::S},
    terms::{GUARD, LAST_LOOK},
};

const LEASE_WAIT: u64 = 100 * MS;

pub(super) struct Pod {
    pub(super) uid: Arc<str>,
    pub(super) is_alive: bool,
    /// The kubelet said so.
    pub(super) is_ended: bool,
    pub(super) is_busy: bool,
    pub(super) is_draining: bool,
    /// Once it has ended, its container starts again.
    pub(super) comes_back: bool,
    pub(super) life: u32,
    pub(super) clock: Clock,
    pub(super) ledger: Ledger,
    pub(super) callers: Vec<Caller>,
    pub(super) cut_until: u64,
    pub(super) stopped_until: u64,
    pub(super) mute_until: u64,
    disk: Option<Disk>,
    writing: Option<Checkpoint>,
    /// The operator that it talks to, and when that said something.
    peer: usize,
    heard: u64,
    /// When the next report is.
    due: u64,
}

#[derive(Default)]
pub(super) struct Caller {
    attempt: Option<Attempt>,
    wait: Option<Waiting>,
}

struct Waiting {
    wait: Wait,
    tenant: Arc<str>,
    asked: u64,
}

pub(super) struct Attempt {
    hold: Hold,
    keys: Vec<Key>,
    asked: u64,
    /// Its pod is about to lose its lease.
    is_last: bool,
    fate: Option<Fate>,
}

impl World {
    pub(super) fn add_pod(&mut self) -> usize {
        let n = self.pods.len();
        let clock = self.any_clock();
        let disk = self.shape.journal.then(Disk::default);
        let mut pod = Pod {
            uid: format!("pod-{n:04}").into(),
            is_alive: true,
            is_ended: false,
            is_busy: n < self.shape.busy,
            is_draining: false,
            comes_back: false,
            life: 0,
            clock,
            ledger: Ledger::new(Default::default(), false),
            callers: vec![],
            cut_until: 0,
            stopped_until: 0,
            mute_until: 0,
            disk,
            writing: None,
            peer: 0,
            heard: 0,
            due: u64::MAX,
        };
        pod.callers.resize_with(self.shape.callers, Caller::default);
        self.pods.push(pod);
        self.start_pod(n, Past::None, ledger::Clock::Same);
        n
    }

    pub(super) fn fresh(&mut self) -> Incarnation {
        self.incarnations += 1;
        Incarnation(self.incarnations)
    }

    /// A process starts.
    fn start_pod(&mut self, n: usize, past: Past, ticks: ledger::Clock) {
        self.trace(|| format!("pod {n} starts"));
        let fresh = self.fresh();
        let (peer, first) = (self.any_peer(), self.rng.u64(..S));
        let pod = &mut self.pods[n];
        let now = pod.clock.tick(self.now);
        pod.ledger = Ledger::new(Default::default(), pod.disk.is_some());
        pod.ledger.borrow(fresh);
        pod.ledger.configure(self.caps.clone(), Duration::from_nanos(self.shape.bill_horizon), now);
        pod.ledger.restore(past, ticks, now);
        (pod.peer, pod.heard, pod.writing) = (peer, self.now, None);
        pod.due = u64::MAX;
        let life = pod.life;
        if pod.disk.is_some() {
            self.checkpoint(n);
        }
        self.schedule_report(n);
        for caller in 0..self.shape.callers {
            let wait = first + self.rng.u64(..S);
            self.at(self.now + wait, Event::Try(n, life, caller));
        }
    }

    /// Its process ends without a word.
    pub(super) fn kill_pod(&mut self, n: usize) {
        self.trace(|| format!("pod {n} dies"));
        for caller in 0..self.pods[n].callers.len() {
            let Caller { attempt, .. } = std::mem::take(&mut self.pods[n].callers[caller]);
            let Some(Attempt { hold, keys, fate: Some(mut fate), .. }) = attempt else { continue };
            if self.rng.bool() || self.shape.is_late {
                fate.orphaned(&self.shape, hold.held().usd.0);
            }
            self.trace(|| format!("pod {n} dies with {:?} of {:?}: {fate:?}", hold.parts, hold.held().usd));
            self.bill(&keys, &fate);
        }
        // The write under way may have come to the disk.
        let (is_put, pod) = (self.rng.bool(), &mut self.pods[n]);
        if let (Some(checkpoint), Some(disk)) = (pod.writing.take().filter(|_| is_put), &mut pod.disk) {
            disk.put(checkpoint, 0);
        }
        pod.is_alive = false;
        pod.life += 1;
    }

    pub(super) fn restart_pod(&mut self, n: usize, found: Found) {
        let pod = &mut self.pods[n];
        (pod.is_alive, pod.is_draining, pod.comes_back) = (true, false, false);
        if found == Found::Lost
            && let Some(disk) = &mut pod.disk
        {
            *disk = Disk::default();
        }
        let kept = |disk: &Disk| {
            let head = disk.head.clone()?;
            on(Rule::RestoreRing).then(|| Past::Kept(head, disk.rows.values().cloned().collect()))
        };
        let past = pod.disk.as_ref().and_then(kept).unwrap_or(Past::None);
        let ticks = if found == Found::Rebooted { ledger::Clock::Other } else { ledger::Clock::Same };
        self.start_pod(n, past, ticks);
    }

    pub(super) fn drain_pod(&mut self, n: usize) {
        let pod = &mut self.pods[n];
        pod.is_draining = true;
        pod.ledger.drain();
        self.schedule_report(n);
    }

    /// Writes for the last time, says its last and ends.
    pub(super) fn end_pod(&mut self, n: usize) {
        let fails = self.rng.u32(..4) == 0;
        let pod = &mut self.pods[n];
        let now = pod.clock.tick(self.now);
        if let Some(disk) = pod.disk.as_mut().filter(|_| !fails) {
            if let Some(before) = pod.writing.take() {
                disk.put(before, 0);
            }
            let last = pod.ledger.checkpoint(true, now);
            let id = last.id;
            disk.put(last, 0);
            pod.ledger.durable(id);
        }
        let reports = pod.ledger.end(now);
        self.send_reports(n, reports);
        self.kill_pod(n);
        let (back, life) = (self.now + self.rng.u64(..5 * S), self.pods[n].life);
        if self.pods[n].comes_back {
            self.at(back, Event::Restart(n, life, Found::Kept));
        }
    }

    fn any_peer(&mut self) -> usize {
        let other = self.rng.usize(..self.ops.len().max(1));
        if self.rng.u32(..5) > 0 { self.store.lease.holder.unwrap_or(other) } else { other }
    }

    // The stream.

    pub(super) fn schedule_report(&mut self, n: usize) {
        let pod = &mut self.pods[n];
        let Some(due) = pod.ledger.next_report() else { return };
        let at = pod.clock.true_at(due).max(self.now + MS);
        if at < pod.due || pod.due <= self.now {
            pod.due = at;
            let life = pod.life;
            self.at(at, Event::Report(n, life));
        }
    }

    pub(super) fn report(&mut self, n: usize) {
        let fresh = self.fresh();
        let (peer, is_up) = (self.any_peer(), self.is_up(self.pods[n].peer));
        let pod = &mut self.pods[n];
        let now = pod.clock.tick(self.now);
        if pod.due > self.now {
            return;
        }
        pod.due = u64::MAX;
        // The stream broke, or its other end does not lead any more.
        if self.now.saturating_sub(pod.heard) > 11 * S || self.now >= pod.cut_until && !is_up {
            pod.peer = peer;
            pod.heard = self.now.saturating_sub(8 * S);
            pod.ledger.reconnected();
        }
        if pod.ledger.next_report().is_some_and(|due| due <= now) {
            let reports = pod.ledger.report(fresh, now);
            self.send_reports(n, reports);
        }
        self.schedule_report(n);
    }

    fn is_up(&self, op: usize) -> bool {
        self.ops.get(op).is_some_and(|op| op.is_alive && op.lender.is_some())
    }

    fn send_reports(&mut self, n: usize, reports: Vec<Report>) {
        let net = self.shape.net.clone();
        let peer = self.pods[n].peer;
        if self.now < self.pods[n].mute_until {
            return;
        }
        for report in reports {
            for at in self.travel(&net) {
                self.at(at, Event::ToOp(peer, n, Box::new(report.clone())));
            }
        }
    }

    pub(super) fn pod_hears(&mut self, n: usize, from: usize, answer: &Answer) -> Result<(), String> {
        let fresh = self.fresh();
        self.trace(|| format!("pod {n} hears {from}: {answer:?}"));
        let pod = &mut self.pods[n];
        if !pod.is_alive || self.now < pod.cut_until {
            return Ok(());
        }
        let now = pod.clock.tick(self.now);
        if from == pod.peer {
            pod.heard = self.now;
        }
        pod.ledger.take_answer(answer, fresh, now);
        self.schedule_report(n);
        for caller in 0..self.shape.callers {
            let pod = &self.pods[n];
            let waits = pod.callers[caller].wait.as_ref();
            if waits.is_some_and(|w| pod.ledger.is_answered(&w.wait)) {
                self.stop_waiting(n, caller)?;
            }
        }
        Ok(())
    }

    // Callers.

    pub(super) fn attempt(&mut self, n: usize, caller: usize) -> Result<(), String> {
        let may_try = !self.pods[n].is_draining && self.pods[n].is_busy && self.now < self.shape.lasts;
        if !may_try {
            return Ok(());
        }
        if self.hoards(n) {
            let life = self.pods[n].life;
            self.at(self.now + 20 * MS, Event::Try(n, life, caller));
            return Ok(());
        }
        let pick = self.rng.usize(..self.shape.tenants);
        let tenant = self.names[pick].clone();
        let asked = self.rng.u64(self.shape.asks.clone());
        self.ask(n, caller, tenant, asked, true)
    }

    /// It saves all it has for the last moment.
    fn hoards(&self, n: usize) -> bool {
        let pod = &self.pods[n];
        let now = pod.clock.tick(self.now);
        let has_lease = pod.ledger.lease_ends_within(Duration::MAX, now);
        let ends = pod.ledger.lease_ends_within(Duration::from_millis(300), now);
        self.shape.hoards && self.now < pod.cut_until && has_lease && !ends
    }

    fn ask(&mut self, n: usize, caller: usize, tenant: Arc<str>, asked: u64, may_wait: bool) -> Result<(), String> {
        let pod = &mut self.pods[n];
        let now = pod.clock.tick(self.now);
        let [scene, tier, provider] = ["s", "t", "p0"].map(Arc::<str>::from);
        let model = pod.ledger.model("p0", "model");
        let tenant_is = Some(&tenant);
        let (amounts, later) = (amounts(asked), false);
        let ask = Ask { tenant: tenant_is, scene: &scene, tier: &tier, provider: &provider, model, amounts, later };
        let wait = match pod.ledger.hold(&ask, now) {
            Ok(hold) => {
                let in_force = self.caps.iter().filter(|c| c.unit == Unit::Money || *c.name == *provider);
                let key = |c: &crate::ledger::Cap| {
                    let value = (c.scope != crate::snapshot::Scope::Policy).then(|| tenant.clone());
                    Key { unit: c.unit, name: c.name.clone(), scope: c.scope, value }
                };
                let keys = in_force.map(key).collect();
                let is_last = self.shape.is_late && pod.ledger.lease_ends_within(Duration::from_secs(1), now);
                pod.callers[caller].attempt = Some(Attempt { hold, keys, asked, is_last, fate: None });
                let life = pod.life;
                let late = self.shape.is_late && self.rng.bool() || is_last;
                let wait = if late { pod_true(&self.pods[n], GUARD - LAST_LOOK) - 4 } else { self.rng.u64(..20 * MS) };
                self.at(self.now + wait, Event::Send(n, life, caller));
                self.schedule_report(n);
                return Ok(());
            }
            Err(Denied::Short { .. }) if may_wait => {
                if let Some(wait) = pod.ledger.wait(&ask, now) {
                    let life = pod.life;
                    pod.callers[caller].wait = Some(Waiting { wait, tenant, asked });
                    self.waits += 1;
                    self.at(self.now + LEASE_WAIT, Event::Waited(n, life, caller));
                    self.schedule_report(n);
                    return Ok(());
                }
                self.rng.u64(..self.shape.backs_off * MS)
            }
            Err(Denied::Journal) => {
                self.checkpoint(n);
                self.rng.u64(..200 * MS)
            }
            Err(_) => self.rng.u64(..self.shape.backs_off * MS),
        };
        let life = self.pods[n].life;
        self.at(self.now + wait, Event::Try(n, life, caller));
        Ok(())
    }

    pub(super) fn stop_waiting(&mut self, n: usize, caller: usize) -> Result<(), String> {
        let pod = &mut self.pods[n];
        let Some(Waiting { wait, tenant, asked }) = pod.callers[caller].wait.take() else { return Ok(()) };
        pod.ledger.leave(wait);
        self.ask(n, caller, tenant, asked, false)
    }

    pub(super) fn send(&mut self, n: usize, caller: usize) -> Result<(), String> {
        let life = self.pods[n].life;
        let now = self.pods[n].clock.tick(self.now);
        let Some(attempt) = &mut self.pods[n].callers[caller].attempt else { return Ok(()) };
        if !attempt.hold.may_send(now) {
            return self.end(n, caller);
        }
        let held = attempt.hold.held().usd.0;
        let fate = if attempt.is_last {
            Fate::last(&self.shape, self.now, held)
        } else {
            fate(&self.shape, &mut self.rng, self.now, attempt.asked, held)
        };
        let ends = fate.ends;
        self.attempts += 1;
        // A caller that keeps its hold for a second try sends it twice.
        if fate.how == How::Unseen && !on(Rule::OwnHold) && attempt.fate.is_none() {
            let keys = attempt.keys.clone();
            attempt.fate = Some(fate.clone());
            self.bill(&keys, &fate);
            self.at(fate.sent + 50 * MS, Event::Send(n, life, caller));
            return Ok(());
        }
        attempt.fate = Some(fate);
        self.at(ends, Event::End(n, life, caller));
        Ok(())
    }

    pub(super) fn end(&mut self, n: usize, caller: usize) -> Result<(), String> {
        let Some(Attempt { hold, keys, fate, .. }) = self.pods[n].callers[caller].attempt.take() else { return Ok(()) };
        if let Some(fate) = &fate {
            self.trace(|| format!("pod {n} settles {:?} of {:?}: {fate:?}", hold.parts, hold.held().usd));
            self.bill(&keys, fate);
        }
        let pod = &mut self.pods[n];
        let (now, life) = (pod.clock.tick(self.now), pod.life);
        pod.ledger.settle(hold, fate.map_or(How::Unsent, |f| f.how), now);
        if self.rng.u32(..4) == 0 {
            pod.ledger.tidy(3, now);
        }
        self.schedule_report(n);
        let wait = self.rng.u64(self.shape.thinks.clone()) * MS + 1;
        self.at(self.now + wait, Event::Try(n, life, caller));
        Ok(())
    }

    fn bill(&mut self, keys: &[Key], fate: &Fate) {
        let parts = fate.bill(&self.shape, &mut self.rng);
        for key in keys {
            match key.unit {
                Unit::Requests => self.oracle.bill(key, fate.sent, 1, false),
                unit => parts.iter().for_each(|(at, n, is_surprise)| {
                    self.oracle.bill(key, *at, amounts(*n).of(unit), *is_surprise);
                }),
            }
        }
    }

    // The journal.

    pub(super) fn checkpoint(&mut self, n: usize) {
        let takes = self.rng.u64(..200 * MS);
        let pod = &mut self.pods[n];
        if pod.disk.is_none() || pod.writing.is_some() {
            return;
        }
        let checkpoint = pod.ledger.checkpoint(false, pod.clock.tick(self.now));
        let (id, life) = (checkpoint.id, pod.life);
        pod.writing = Some(checkpoint);
        self.at(self.now + takes, Event::Kept(n, life, id));
    }

    pub(super) fn kept(&mut self, n: usize, id: u64) {
        let (fails, is_put) = (self.rng.u32(..8) == 0, self.rng.bool());
        let pod = &mut self.pods[n];
        if let (Some(checkpoint), Some(disk)) = (pod.writing.take_if(|c| c.id == id), &mut pod.disk) {
            if !fails || is_put {
                disk.put(checkpoint, 0);
            }
            if !fails {
                pod.ledger.durable(id);
            }
        }
        self.schedule_report(n);
        let life = self.pods[n].life;
        self.at(self.now + 2 * S, Event::Compose(n, life));
    }
}

impl Caller {
    pub(super) fn is_busy(&self) -> bool {
        self.attempt.is_some()
    }
}

/// True time that a duration of the pod's clock takes, and a little more.
fn pod_true(pod: &Pod, ours: Duration) -> u64 {
    pod.clock.true_for(ours)
}

impl std::fmt::Debug for Pod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} alive {} life {}", self.uid, self.is_alive, self.life)
    }
}
