//! Virtual time: pods, operators and the API server between them, and what goes wrong.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc, time::Duration};

use fastrand::Rng;

use super::{
    op::Operator,
    pod::{Caller, Pod},
    shape::{Fault, Net, Shape},
    store::{Call, Reply, Store},
};
use crate::{
    Tick,
    ledger::{
        Cap,
        message::{Answer, Report},
        sim::oracle::{Oracle, S},
        terms::HEAD_START,
    },
};

pub(super) const MS: u64 = 1_000_000;
pub(super) const OPERATORS: usize = 3;

/// A clock that goes wrong by a constant rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Ticks in a million of true ones.
    rate: u64,
    /// True time that it missed.
    pub(super) missed: u64,
}

impl Clock {
    pub(super) fn tick(&self, now: u64) -> Tick {
        let ours = u128::from(now.saturating_sub(self.missed)) * u128::from(self.rate) / 1_000_000;
        Tick(HEAD_START.as_nanos() as u64 + ours as u64)
    }

    pub(super) fn true_at(&self, tick: Tick) -> u64 {
        let ours = tick.0.saturating_sub(HEAD_START.as_nanos() as u64);
        self.true_for(Duration::from_nanos(ours)).saturating_add(self.missed)
    }

    pub(super) fn true_for(&self, ours: Duration) -> u64 {
        (ours.as_nanos() * 1_000_000 / u128::from(self.rate)) as u64 + 2
    }
}

#[derive(Debug)]
pub(super) enum Event {
    Try(usize, u32, usize),
    Waited(usize, u32, usize),
    Send(usize, u32, usize),
    End(usize, u32, usize),
    Report(usize, u32),
    Compose(usize, u32),
    Kept(usize, u32, u64),
    ToOp(usize, usize, Box<Report>),
    ToPod(usize, usize, Box<Answer>),
    OpTick(usize, u32),
    Api(usize, u32, u64, Box<Call>),
    ApiBack(usize, u32, u64, Box<Reply>),
    Fault(Fault),
    AnyFault,
    Restart(usize, u32, Found),
    LastWords(usize, u32),
    Ended(usize),
    StartOp(usize),
}

/// What a container that starts again finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Kept,
    Lost,
    /// The machine was started anew: its clock says nothing of the time away.
    Rebooted,
}

struct At(u64, u64, Event);

impl PartialEq for At {
    fn eq(&self, other: &At) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}

impl Eq for At {}

impl PartialOrd for At {
    fn partial_cmp(&self, other: &At) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for At {
    fn cmp(&self, other: &At) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

pub(super) struct World {
    pub(super) shape: Shape,
    pub(super) rng: Rng,
    pub(super) now: u64,
    queue: BinaryHeap<Reverse<At>>,
    pub(super) serial: u64,
    pub(super) pods: Vec<Pod>,
    pub(super) ops: Vec<Operator>,
    pub(super) store: Store,
    pub(super) oracle: Oracle,
    pub(super) caps: Vec<Cap>,
    pub(super) edition: u64,
    pub(super) names: Vec<Arc<str>>,
    pub(super) incarnations: u64,
    pub(super) attempts: usize,
    pub(super) waits: usize,
    pub(super) takeovers: usize,
    is_traced: bool,
}

/// What a world came to.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The fullest window, as a share of its cap.
    pub(super) fullest: f64,
    /// Billed to the cap `all` in the second half of the time, as a share of what it allows.
    pub(super) used: f64,
    pub(super) attempts: usize,
    pub(super) waits: usize,
    pub(super) takeovers: usize,
}

impl World {
    pub(super) fn new(shape: Shape, seed: u64) -> World {
        let mut world = World {
            rng: Rng::with_seed(seed),
            now: S,
            queue: BinaryHeap::new(),
            serial: 0,
            pods: vec![],
            ops: vec![],
            store: Store::default(),
            oracle: Oracle::new(0),
            caps: shape.caps.clone(),
            edition: 1,
            names: (0..shape.tenants).map(|n| format!("t{n}").into()).collect(),
            incarnations: 0,
            attempts: 0,
            waits: 0,
            takeovers: 0,
            is_traced: std::env::var_os("TRACE").is_some(),
            shape,
        };
        world.oracle = Oracle::new(world.grace());
        world.oracle.late = world.grace();
        world.oracle.edit(&world.caps, 0);
        for n in 0..OPERATORS {
            let clock = world.any_clock();
            world.ops.push(Operator::new(clock, 0, world.now));
            let first = world.now + world.rng.u64(..S);
            world.at(first, Event::OpTick(n, 0));
        }
        for _ in 0..world.shape.pods {
            world.add_pod();
        }
        for (seconds, fault) in world.shape.script.clone() {
            let at = seconds * S + world.rng.u64(..S);
            world.at(at, Event::Fault(fault));
        }
        if world.shape.faults.is_some() {
            world.at(20 * S, Event::AnyFault);
        }
        world
    }

    pub(super) fn any_clock(&mut self) -> Clock {
        let drift = self.shape.drift;
        let rate = [1_000_000 - drift, 1_000_000, 1_000_000 + drift][self.rng.usize(..3)];
        Clock { rate, missed: 0 }
    }

    pub(super) fn at(&mut self, at: u64, event: Event) {
        self.serial += 1;
        self.queue.push(Reverse(At(at, self.serial, event)));
    }

    /// When a message arrives that leaves now: never, once or twice.
    pub(super) fn travel(&mut self, net: &Net) -> Vec<u64> {
        let rng = &mut self.rng;
        let copies = if rng.u32(..100) < net.lost { 0 } else { 1 + usize::from(rng.u32(..100) < net.doubled) };
        let late = net.late;
        let one = |rng: &mut Rng| {
            let most = if rng.u32(..100) < late { 0..120_000 } else { net.delay.clone() };
            self.now + rng.u64(most) * MS + rng.u64(..MS)
        };
        (0..copies).map(|_| one(rng)).collect()
    }

    pub(super) fn run(mut self) -> Result<Outcome, String> {
        let claim = 15 * 60 * S;
        let long = self.caps.iter().map(|c| 2 * c.window.as_nanos() as u64).max().unwrap_or(0);
        let calm = self.shape.lasts + 2 * (self.grace() + claim + long) + 200 * S;
        let mut is_healed = false;
        while let Some(Reverse(At(at, _, event))) = self.queue.pop() {
            self.now = at.max(self.now);
            if self.now > self.shape.lasts && !is_healed {
                is_healed = true;
                // What was billed by now is bad for good.
                self.oracle.judge()?;
                self.heal();
            }
            if self.now > calm {
                break;
            }
            self.handle(event)?;
        }
        let fullest = self.oracle.judge()?;
        self.is_calm()?;
        let Shape { lasts, caps, .. } = &self.shape;
        let billed = self.oracle.billed("all", lasts / 2, *lasts) as f64;
        let allowed = caps[0].limit as f64 * (lasts / 2) as f64 / caps[0].window.as_nanos() as f64;
        if billed / allowed < self.shape.least_used {
            return Err(format!("no more than {:.3} is used", billed / allowed));
        }
        let (attempts, waits, takeovers) = (self.attempts, self.waits, self.takeovers);
        Ok(Outcome { fullest, used: billed / allowed, attempts, waits, takeovers })
    }

    /// With `TRACE` set, tells what happens.
    pub(super) fn trace(&self, what: impl FnOnce() -> String) {
        if self.is_traced {
            println!("{:10.3} {}", self.now as f64 / 1e9, what());
        }
    }

    fn handle(&mut self, event: Event) -> Result<(), String> {
        if let Some((stopped, event)) = self.stopped(event)? {
            self.at(stopped, event);
        }
        Ok(())
    }

    /// Handles an event, or gives it back with the time at which its process goes on.
    fn stopped(&mut self, event: Event) -> Result<Option<(u64, Event)>, String> {
        let pod = match &event {
            Event::Try(n, life, _)
            | Event::Waited(n, life, _)
            | Event::Send(n, life, _)
            | Event::End(n, life, _)
            | Event::Report(n, life)
            | Event::Compose(n, life)
            | Event::LastWords(n, life)
            | Event::Kept(n, life, _) => {
                let pod = &self.pods[*n];
                if !pod.is_alive || pod.life != *life {
                    return Ok(None);
                }
                Some(*n)
            }
            Event::ToPod(n, ..) => Some(*n),
            _ => None,
        };
        if let Some(until) = pod.map(|n| self.pods[n].stopped_until).filter(|until| *until > self.now) {
            return Ok(Some((until, event)));
        }
        let op = match &event {
            Event::OpTick(n, life) | Event::ApiBack(n, life, ..) => {
                if !self.ops[*n].is_alive || self.ops[*n].life != *life {
                    return Ok(None);
                }
                Some(*n)
            }
            Event::ToOp(n, ..) => {
                if !self.ops[*n].is_alive {
                    return Ok(None);
                }
                Some(*n)
            }
            _ => None,
        };
        if let Some(until) = op.map(|n| self.ops[n].stopped_until).filter(|until| *until > self.now) {
            return Ok(Some((until, event)));
        }
        match event {
            Event::Try(n, _, caller) => self.attempt(n, caller)?,
            Event::Waited(n, _, caller) => self.stop_waiting(n, caller)?,
            Event::Send(n, _, caller) => self.send(n, caller)?,
            Event::End(n, _, caller) => self.end(n, caller)?,
            Event::Report(n, _) => self.report(n),
            Event::Compose(n, _) => self.checkpoint(n),
            Event::Kept(n, _, id) => self.kept(n, id),
            Event::ToOp(op, pod, report) => {
                if self.now >= self.pods[pod].cut_until {
                    self.op_hears(op, pod, &report);
                }
            }
            Event::ToPod(n, from, answer) => self.pod_hears(n, from, &answer)?,
            Event::OpTick(n, _) => self.op_tick(n),
            Event::Api(n, life, id, call) => self.api(n, life, id, *call),
            Event::ApiBack(n, _, id, reply) => self.api_back(n, id, *reply),
            Event::Fault(fault) => self.fault(fault),
            Event::AnyFault => self.any_fault(),
            Event::Restart(n, life, found) => {
                if self.pods[n].life == life && !self.pods[n].is_ended {
                    self.restart_pod(n, found);
                }
            }
            Event::LastWords(n, _) => self.end_pod(n),
            Event::Ended(n) => self.pods[n].is_ended = true,
            Event::StartOp(n) => self.start_op(n),
        }
        Ok(None)
    }

    /// Nothing goes wrong any more, and nobody asks.
    fn heal(&mut self) {
        for n in 0..OPERATORS {
            (self.ops[n].cut_until, self.ops[n].stopped_until) = (0, 0);
            self.start_op(n);
        }
        for pod in &mut self.pods {
            (pod.cut_until, pod.stopped_until) = (0, 0);
        }
        for net in [&mut self.shape.net, &mut self.shape.api] {
            *net = Net { delay: 1..20, lost: 0, doubled: 0, late: 0 };
        }
    }

    /// Nothing is left: no hold, no unknown coin, nobody on the roll but who lives.
    fn is_calm(&mut self) -> Result<(), String> {
        for pod in self.pods.iter().filter(|p| p.is_alive) {
            if pod.callers.iter().any(Caller::is_busy) {
                return Err(format!("{pod:?} still has a request"));
            }
            let tick = pod.clock.tick(self.now);
            if let Some(view) = pod.ledger.nearest(tick).iter().find(|v| v.spent > 0 || v.held > 0) {
                return Err(format!("something is left at {pod:?}: {view:?}"));
            }
        }
        let Some(n) = self.leader() else { return Err("nobody leads".into()) };
        let op = &self.ops[n];
        let Some(lender) = &op.lender else { return Err("nobody lends".into()) };
        lender.is_calm(op.clock.tick(self.now))?;
        let living = self.pods.iter().filter(|p| p.is_alive).count();
        if self.store.roll() != living {
            return Err(format!("{} on the roll, {living} live", self.store.roll()));
        }
        Ok(())
    }
}
