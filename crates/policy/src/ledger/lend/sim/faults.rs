//! What goes wrong, and what only happens.

use std::time::Duration;

use fastrand::Rng;

use super::{
    op::Operator,
    shape::{FAULTS, Fault},
    store::PARTS,
    world::{Event, Found, OPERATORS, World},
};
use crate::ledger::{
    rules::{Rule, on},
    sim::oracle::S,
};

impl World {
    pub(super) fn start_op(&mut self, n: usize) {
        if self.ops[n].is_alive {
            return;
        }
        let (clock, life) = (self.any_clock(), self.ops[n].life + 1);
        self.ops[n] = Operator::new(clock, life, self.now);
        self.at(self.now, Event::OpTick(n, life));
    }

    fn kill_op(&mut self, n: usize, back_after: u64) {
        let op = &mut self.ops[n];
        (op.is_alive, op.lender) = (false, None);
        if back_after < u64::MAX {
            self.at(self.now + back_after, Event::StartOp(n));
        }
    }

    pub(super) fn any_fault(&mut self) {
        let Some((mean, weights)) = self.shape.faults else { return };
        if self.now >= self.shape.lasts {
            return;
        }
        let mut pick = self.rng.u32(..weights.iter().sum::<u32>().max(1));
        let which = weights.iter().position(|w| pick.checked_sub(*w).map(|left| pick = left).is_none());
        if let Some(which) = which {
            self.fault(FAULTS[which]);
        }
        let next = self.now + self.rng.u64(1..2 * mean) * S;
        self.at(next, Event::AnyFault);
    }

    fn any_pod(&mut self) -> Option<usize> {
        let alive: Vec<usize> = (0..self.pods.len()).filter(|n| self.pods[*n].is_alive).collect();
        (!alive.is_empty()).then(|| alive[self.rng.usize(..alive.len())])
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        self.trace(|| format!("{fault:?}"));
        let rng_pause = |rng: &mut Rng| {
            let most = [2, 30, 150][rng.usize(..3)];
            rng.u64(..most * S)
        };
        match fault {
            Fault::Kill(told) => {
                if let Some(n) = self.any_pod() {
                    self.lose_pod(n, told);
                    if self.living() < self.shape.pods {
                        self.add_pod();
                    }
                }
            }
            Fault::Crash | Fault::CrashAndLose | Fault::Reboot => {
                if let Some(n) = self.any_pod() {
                    let after = self.rng.u64(..5 * S);
                    let found = match fault {
                        Fault::Crash => Found::Kept,
                        Fault::CrashAndLose => Found::Lost,
                        _ => Found::Rebooted,
                    };
                    self.crash_pod(n, found, after);
                }
            }
            Fault::Restart => {
                if let Some(n) = self.any_pod().filter(|n| !self.pods[*n].is_draining) {
                    let grace = self.rng.u64(..30);
                    self.fault(Fault::RestartOf(n, grace));
                }
            }
            Fault::Drain => {
                if let Some(n) = self.any_pod().filter(|n| !self.pods[*n].is_draining) {
                    self.drain_pod(n);
                    let (life, grace) = (self.pods[n].life, self.now + self.rng.u64(..30 * S));
                    self.at(grace, Event::LastWords(n, life));
                    if self.living() <= self.shape.pods {
                        self.add_pod();
                    }
                }
            }
            Fault::Add => {
                if self.living() < self.shape.pods + 3 {
                    self.add_pod();
                }
            }
            Fault::CutPod => {
                if let Some(n) = self.any_pod() {
                    self.pods[n].cut_until = self.now + rng_pause(&mut self.rng);
                }
            }
            Fault::StopPod => {
                if let Some(n) = self.any_pod() {
                    let until = self.now + rng_pause(&mut self.rng);
                    self.stop_pod(n, until);
                }
            }
            Fault::ForceDelete => {
                if let Some(n) = self.any_pod().filter(|_| !on(Rule::VanishedIsNotEnded)) {
                    self.pods[n].is_ended = true;
                }
            }
            Fault::KillLeader => {
                if let Some(n) = self.leader() {
                    self.trace(|| format!("operator {n} dies"));
                    let back = rng_pause(&mut self.rng);
                    self.kill_op(n, back);
                }
            }
            Fault::CutLeader => {
                if let Some(n) = self.leader() {
                    self.ops[n].cut_until = self.now + rng_pause(&mut self.rng);
                }
            }
            Fault::StopLeader => {
                if let Some(n) = self.leader() {
                    self.ops[n].stopped_until = self.now + rng_pause(&mut self.rng);
                }
            }
            Fault::Spurious => {
                let leader = self.leader();
                let other = (0..OPERATORS).find(|n| Some(*n) != leader && self.ops[*n].is_alive);
                if let Some(n) = other {
                    self.ops[n].patience = Duration::ZERO;
                }
            }
            Fault::LoseLedger => {
                let part = self.rng.usize(..=PARTS);
                self.store.lose(part);
            }
            Fault::Limit => {
                for n in 0..self.caps.len() {
                    let base = self.shape.caps[n].limit;
                    self.caps[n].limit = base * self.rng.u64(80..160) / 100;
                }
                self.edited();
            }
            Fault::Guaranteed => {
                for n in 0..self.caps.len() {
                    let base = self.shape.caps[n].limit;
                    self.caps[n].guaranteed = base * self.rng.u64(0..40) / 100;
                }
                self.edited();
            }
            Fault::Window => {
                for n in 0..self.caps.len() {
                    self.caps[n].window = self.shape.caps[n].window * self.rng.u32(50..200) / 100;
                }
                self.edited();
            }
            Fault::Rename => {
                let n = self.rng.usize(..self.caps.len());
                let first = &self.shape.caps[n].name;
                let other = format!("{first} anew").into();
                self.caps[n].name = if self.caps[n].name == *first { other } else { first.clone() };
                self.edited();
            }
            Fault::NoOperator => {
                let back = self.now + self.rng.u64(..200 * S);
                for n in 0..OPERATORS {
                    self.kill_op(n, u64::MAX);
                    self.at(back, Event::StartOp(n));
                }
            }
            Fault::Cut(n, seconds) => self.pods[n].cut_until = self.now + seconds * S,
            Fault::Mute(n, seconds) => self.pods[n].mute_until = self.now + seconds * S,
            Fault::Stop(n, seconds) => self.stop_pod(n, self.now + seconds * S),
            Fault::KillOf(n, told) => self.lose_pod(n, told),
            Fault::DrainOf(n, seconds) => {
                self.drain_pod(n);
                let life = self.pods[n].life;
                self.at(self.now + seconds * S, Event::LastWords(n, life));
            }
            Fault::CrashOf(n, lose) => self.crash_pod(n, if lose { Found::Lost } else { Found::Kept }, S),
            Fault::RebootOf(n, seconds) => self.crash_pod(n, Found::Rebooted, seconds * S),
            Fault::RestartOf(n, seconds) => {
                self.pods[n].comes_back = true;
                self.fault(Fault::DrainOf(n, seconds));
            }
            Fault::Failover(seconds) => {
                if let Some(n) = self.leader() {
                    self.kill_op(n, seconds * S);
                    let patience = Duration::from_secs(seconds);
                    self.ops.iter_mut().for_each(|op| op.patience = patience);
                }
            }
            Fault::Busy(pods) => {
                for n in 0..self.pods.len() {
                    let was = std::mem::replace(&mut self.pods[n].is_busy, n < pods);
                    for caller in 0..self.shape.callers {
                        if n < pods && !was && self.pods[n].is_alive {
                            let life = self.pods[n].life;
                            self.at(self.now, Event::Try(n, life, caller));
                        }
                    }
                }
            }
            Fault::Edit(limit, guaranteed) => {
                for n in 0..self.caps.len() {
                    let base = self.shape.caps[n].clone();
                    self.caps[n].limit = base.limit * limit / 100;
                    self.caps[n].guaranteed = base.guaranteed * guaranteed / 100;
                }
                self.edited();
            }
            Fault::CutApi(seconds) => {
                if let Some(n) = self.leader() {
                    self.ops[n].cut_until = self.now + seconds * S;
                }
            }
        }
    }

    fn lose_pod(&mut self, n: usize, told: bool) {
        self.kill_pod(n);
        if told {
            let later = self.now + self.rng.u64(..5 * S);
            self.at(later, Event::Ended(n));
        }
    }

    fn crash_pod(&mut self, n: usize, found: Found, after: u64) {
        self.kill_pod(n);
        let (life, back) = (self.pods[n].life, self.now + after);
        self.at(back, Event::Restart(n, life, found));
        if !on(Rule::SuccessorIsNotEnd) {
            self.at(back + 3 * S, Event::Ended(n));
        }
    }

    fn stop_pod(&mut self, n: usize, until: u64) {
        let pod = &mut self.pods[n];
        if !on(Rule::AsleepCounts) {
            pod.clock.missed += until.saturating_sub(pod.stopped_until.max(self.now));
        }
        pod.stopped_until = pod.stopped_until.max(until);
    }

    fn edited(&mut self) {
        self.edition += 1;
        self.oracle.edit(&self.caps, self.now);
        let horizon = Duration::from_nanos(self.shape.bill_horizon);
        for pod in self.pods.iter_mut().filter(|p| p.is_alive) {
            pod.ledger.configure(self.caps.clone(), horizon, pod.clock.tick(self.now));
        }
    }

    pub(super) fn living(&self) -> usize {
        self.pods.iter().filter(|p| p.is_alive && !p.is_draining).count()
    }
}
