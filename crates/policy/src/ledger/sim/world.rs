//! Virtual time: callers, a shell with its disk, and providers that bill as badly as they may.

mod ladder;
mod shell;

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc, time::Duration};

use fastrand::Rng;

use self::ladder::Wanted;
use super::{
    super::{
        Amounts, Cap, Checkpoint, Clock, Hold, How, Key, Ledger, Past, Unit,
        rules::{Rule, on},
        terms::{GUARD, HEAD_START, LAST_LOOK, SKEW},
    },
    disk::Disk,
    oracle::{Oracle, S},
    shape::Shape,
};
use crate::{Tick, money::Usd};

const MS: u64 = 1_000_000;
const SKEW_NS: u64 = SKEW.as_nanos() as u64;

/// What a world came to.
#[derive(Debug)]
pub(super) struct Report {
    /// The fullest window, as a share of its cap.
    pub(super) fullest: f64,
    /// Billed to the cap `all` in the second half of the time, as a share of what it allows.
    pub(super) used: f64,
    pub(super) attempts: usize,
    /// How often each rung served or refused, in the order of [`Rung`].
    pub(super) ways: [usize; 5],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Try(usize),
    Send(usize),
    End(usize),
    Compose,
    Written(u64),
    Kill,
    Edit,
}

struct Attempt {
    hold: Hold,
    ends: u64,
    how: How,
    keys: Vec<Key>,
    asked: u64,
    /// Worst ratio of cost to ask, in millionths, that had been settled when this was held.
    known: u64,
    billed: Option<Amounts>,
}

pub(super) struct World {
    shape: Shape,
    /// In force.
    caps: Vec<Cap>,
    rng: Rng,
    ledger: Ledger,
    now: u64,
    /// True time and tick at the origin of this process's clock.
    origin: (u64, u64),
    clock: u32,
    life: u32,
    /// A write of this life is durable.
    is_open: bool,
    queue: BinaryHeap<Reverse<(u64, u64, u32, Event)>>,
    serial: u64,
    attempts: Vec<Option<Attempt>>,
    /// Requests in line, by caller.
    waiting: Vec<Option<Wanted>>,
    disk: Disk,
    writing: Option<(Checkpoint, bool)>,
    oracle: Oracle,
    names: [Vec<Arc<str>>; 4],
    worst: u64,
    sent: usize,
    ways: [usize; 5],
}

impl World {
    pub(super) fn new(shape: Shape, seed: u64) -> World {
        let names = |prefix: &str, n: usize| (0..n).map(|i| format!("{prefix}{i}").into()).collect();
        let mut world = World {
            rng: Rng::with_seed(seed),
            ledger: Ledger::new(Default::default(), false),
            now: S,
            origin: (0, HEAD_START.as_nanos() as u64),
            clock: 0,
            life: 0,
            is_open: false,
            queue: BinaryHeap::new(),
            serial: 0,
            attempts: (0..shape.callers).map(|_| None).collect(),
            waiting: (0..shape.callers).map(|_| None).collect(),
            disk: Disk::default(),
            writing: None,
            oracle: Oracle::new(GUARD.as_nanos() as u64 + shape.bill_horizon),
            names: [names("t", shape.tenants), names("s", 2), names("g", 2), names("p", 2)],
            worst: 0,
            sent: 0,
            ways: [0; 5],
            caps: shape.caps.clone(),
            shape,
        };
        world.oracle.edit(&world.shape.caps, 0);
        world.start(Past::None, Clock::Same);
        if let Some(mean) = world.shape.edits {
            world.at(world.now + mean * S, Event::Edit);
        }
        world
    }

    pub(super) fn run(mut self) -> Result<Report, String> {
        while let Some(Reverse((at, _, life, event))) = self.queue.pop() {
            // An edit that came while no process ran is read by the next.
            self.now = at.max(self.now);
            if life != self.life && event != Event::Edit {
                continue;
            }
            match event {
                Event::Try(n) => self.attempt(n)?,
                Event::Send(n) => self.send(n)?,
                Event::End(n) => self.end(n)?,
                Event::Compose => self.compose(false),
                Event::Written(id) => self.written(id),
                Event::Kill => self.kill(),
                Event::Edit => self.edit(),
            }
            let most = self.shape.most_values + 1;
            if self.ledger.accounts.iter().filter(|a| a.live).count() > most * self.ledger.books.len() {
                return Err("more accounts than the tables may hold".into());
            }
        }
        let fullest = self.oracle.judge()?;
        self.is_calm()?;
        let Shape { lasts, caps, .. } = &self.shape;
        let billed = self.oracle.billed("all", lasts / 2, *lasts) as f64;
        let allowed = caps[0].limit as f64 * (lasts / 2) as f64 / caps[0].window.as_nanos() as f64;
        Ok(Report { fullest, used: billed / allowed, attempts: self.sent, ways: self.ways })
    }

    /// Once everything has cooled, nothing is left.
    fn is_calm(&mut self) -> Result<(), String> {
        let longest = self.ledger.books.iter().map(|b| b.cap.window.as_nanos() as u64).max().unwrap_or(0);
        self.now = self.now.max(self.shape.lasts) + 2 * (longest + self.oracle.horizon + 60 * S);
        if let Some(view) = self.ledger.nearest(self.tick()).iter().find(|v| v.spent > 0 || v.held > 0) {
            return Err(format!("something is left: {view:?}"));
        }
        for _ in 0..2 {
            let id = self.ledger.checkpoint(false, self.tick()).id;
            self.ledger.durable(id);
            self.ledger.tidy(self.ledger.accounts.len(), self.tick());
        }
        match self.ledger.accounts.iter().find(|a| a.live) {
            Some(account) => Err(format!("an account is left: {account:?}")),
            None => Ok(()),
        }
    }

    fn tick(&self) -> Tick {
        let (at, tick) = self.origin;
        Tick(tick + ((self.now - at) as u128 * self.shape.rate as u128 / 1_000_000) as u64)
    }

    /// True time that a duration of our clock takes, and a little more.
    fn true_time(&self, ours: Duration) -> u64 {
        (ours.as_nanos() * 1_000_000 / self.shape.rate as u128) as u64 + 2
    }

    fn at(&mut self, at: u64, event: Event) {
        self.serial += 1;
        self.queue.push(Reverse((at, self.serial, self.life, event)));
    }

    /// Around the guard: some holds are just young enough then, some are not.
    fn pause(&mut self) -> u64 {
        let most = [6, 6, 90][self.rng.usize(..3)];
        self.rng.u64(..most * S)
    }

    fn send(&mut self, n: usize) -> Result<(), String> {
        let tick = self.tick();
        let Some(attempt) = &mut self.attempts[n] else { return Ok(()) };
        if !attempt.hold.may_send(tick) {
            return self.end(n);
        }
        let (shape, rng) = (&self.shape, &mut self.rng);
        let guard = LAST_LOOK.as_nanos() as u64 - 1;
        let sent = self.now + if shape.is_late { rng.u64(..2) * guard } else { rng.u64(..guard) };
        let mut takes = rng.u64(shape.takes.clone()) * MS;
        let (held, asked) = (attempt.hold.held.usd.0, attempt.asked);
        let weights = shape.ends;
        let mut pick = rng.u32(..weights.iter().sum::<u32>().max(1));
        let end = weights.iter().position(|w| pick.checked_sub(*w).map(|left| pick = left).is_none()).unwrap_or(0);
        let cost = asked * rng.u64(shape.costs_from..=shape.surprise.max(shape.costs_from)) / 100;
        let in_hold = cost.min(held);
        let amounts = |n: u64| Amounts::request(Usd(n), n / 100);
        // The end as we see it, what is billed, and until when.
        let (how, billed, until) = match end {
            0 => (How::Ended(amounts(cost)), cost, sent + takes + SKEW_NS),
            1 => (How::EndedWithoutUsage, in_hold, sent + takes + SKEW_NS),
            2 => {
                let received = in_hold * rng.u64(..=100) / 100;
                let slack = held / 20;
                let told = received + if on(Rule::Slack) { slack } else { 0 };
                (How::Closed(amounts(told)), (received + slack).min(held), sent + takes + SKEW_NS)
            }
            3 if shape.runs_long => {
                takes += shape.bill_horizon * 3;
                (How::Unseen, in_hold, sent + takes)
            }
            3 => (How::Unseen, in_hold, sent + shape.bill_horizon),
            _ => (How::Refused, 0, sent),
        };
        let surprise = billed.saturating_sub(held);
        if surprise > 0 && cost * 1_000_000 / asked <= attempt.known {
            return Err(format!("a model surprised twice: {cost} for {asked}, {held} held"));
        }
        let mut parts = vec![(until, surprise, true)];
        match if shape.is_late { rng.u32(..2) * 2 } else { rng.u32(..3) } {
            0 => parts.push((sent, billed - surprise, false)),
            1 => {
                let third = (billed - surprise) / 3;
                parts.extend([(sent, third, false), (rng.u64(sent..=until), third, false)]);
                parts.push((until, billed - surprise - 2 * third, false));
            }
            _ => parts.push((until, billed - surprise, false)),
        }
        for key in &attempt.keys {
            match key.unit {
                Unit::Requests => self.oracle.bill(key, sent, 1, false),
                // The hold of tokens is in proportion; what rounding adds is no surprise.
                unit => parts.iter().for_each(|(at, n, is_surprise)| {
                    self.oracle.bill(key, *at, amounts(*n).of(unit), *is_surprise);
                }),
            }
        }
        self.sent += 1;
        attempt.how = how;
        attempt.billed = matches!(how, How::Ended(_) | How::Refused).then(|| amounts(billed));
        attempt.ends = sent + takes;
        // A caller that keeps its hold for a second try sends it twice.
        if how == How::Unseen && !on(Rule::OwnHold) {
            attempt.ends = sent + 50 * MS;
            let at = attempt.ends;
            self.at(at, Event::Send(n));
            return Ok(());
        }
        let at = attempt.ends;
        self.at(at, Event::End(n));
        Ok(())
    }

    fn end(&mut self, n: usize) -> Result<(), String> {
        let Some(Attempt { hold, how, asked, billed, .. }) = self.attempts[n].take() else { return Ok(()) };
        let settled = self.ledger.settle(hold, how, self.tick());
        if let Some(billed) = billed {
            if settled.charged != billed {
                return Err(format!("{how:?} is charged {:?}, billed {billed:?}", settled.charged));
            }
            if settled.debt.usd > Usd::ZERO {
                self.worst = self.worst.max(billed.usd.0 * 1_000_000 / asked);
            }
        }
        if self.rng.u32(..4) == 0 {
            self.ledger.tidy(3, self.tick());
        }
        let wait = self.rng.u64(self.shape.thinks.clone()) * MS + 1;
        self.at(self.now + wait, Event::Try(n));
        Ok(())
    }
}
