//! The shell's part: one process after the other, its policy and its disk.

use std::time::Duration;

use super::{
    super::super::{Clock, Ledger, Past, terms::HEAD_START},
    Attempt, Event, MS, S, World,
};

impl World {
    pub(super) fn start(&mut self, past: Past, clock: Clock) {
        self.ledger = Ledger::new(Default::default(), self.shape.journal.is_some());
        self.ledger.most_values = self.shape.most_values;
        self.ledger.configure(self.caps.clone(), Duration::from_nanos(self.shape.bill_horizon), self.tick());
        self.ledger.restore(past, clock, self.tick());
        self.worst = 0;
        self.is_open = false;
        for n in 0..self.attempts.len() {
            self.attempts[n] = None;
            self.waiting[n] = None;
            let first = self.now + self.rng.u64(..S);
            self.at(first, Event::Try(n));
        }
        if let Some(journal) = &self.shape.journal {
            let kill = self.now + self.rng.u64(..2 * journal.kills * S);
            let is_killed = kill < self.shape.lasts && self.life < journal.most_kills;
            self.compose(false);
            if is_killed {
                self.at(kill, Event::Kill);
            }
        }
    }

    pub(super) fn edit(&mut self) {
        let (base, mean) = (self.shape.caps.clone(), self.shape.edits.unwrap_or(1));
        let rng = &mut self.rng;
        let mut caps: Vec<_> = base.iter().filter(|_| rng.u32(..4) > 0).cloned().collect();
        for cap in &mut caps {
            cap.limit = cap.limit * rng.u64(50..200) / 100;
            if rng.bool() {
                cap.window = cap.window * rng.u32(50..200) / 100;
            }
        }
        if self.now < self.shape.lasts {
            let next = self.now + self.rng.u64(1..2 * mean) * S;
            self.at(next, Event::Edit);
        } else {
            caps = base.clone();
        }
        self.oracle.edit(&caps, self.now);
        self.caps = caps;
        self.ledger.configure(self.caps.clone(), Duration::from_nanos(self.shape.bill_horizon), self.tick());
    }

    pub(super) fn compose(&mut self, last: bool) {
        let Some(journal) = &self.shape.journal else { return };
        if self.writing.is_some() && !last {
            return;
        }
        let takes = self.rng.u64(..journal.takes * MS);
        let fails = self.rng.u32(..100) < journal.fails;
        // The write may be on disk at any moment from now on; it is known at the end.
        let checkpoint = self.ledger.checkpoint(last, self.tick());
        self.at(self.now + takes, Event::Written(checkpoint.id));
        self.writing = Some((checkpoint, fails));
    }

    pub(super) fn written(&mut self, id: u64) {
        if self.writing.as_ref().is_none_or(|(c, _)| c.id != id) {
            return;
        }
        let Some((checkpoint, fails)) = self.writing.take() else { return };
        if !fails {
            self.disk.put(checkpoint, self.clock);
            self.ledger.durable(id);
            self.is_open = true;
        } else if self.rng.bool() {
            self.disk.put(checkpoint, self.clock);
        }
        let every = self.shape.journal.as_ref().map_or(1, |j| j.every);
        let busy = self.attempts.iter().any(Option::is_some) || self.now < self.shape.lasts;
        if busy {
            let wait = self.rng.u64(..2 * every * MS);
            self.at(self.now + wait, Event::Compose);
        }
    }

    pub(super) fn kill(&mut self) {
        let Some(journal) = self.shape.journal.clone() else { return };
        let mut percent = |p: u32| self.rng.u32(..100) < p;
        let (clean, other, lost) = (percent(journal.clean), percent(journal.other_clock), percent(journal.lost));
        // The write under way may have come to the disk.
        if let Some((checkpoint, _)) = self.writing.take().filter(|_| self.rng.bool()) {
            self.disk.put(checkpoint, self.clock);
        }
        if clean {
            // Drained: some requests end, the last write has what still runs.
            for n in 0..self.attempts.len() {
                let ended = self.attempts[n].as_ref().is_some_and(|a| a.ends > 0 && a.ends <= self.now);
                if ended || self.attempts[n].as_ref().is_some_and(|a| a.ends == 0) {
                    let Some(Attempt { hold, how, .. }) = self.attempts[n].take() else { continue };
                    self.ledger.settle(hold, how, self.tick());
                }
            }
            self.disk.put(self.ledger.checkpoint(true, self.tick()), self.clock);
        }
        self.life += 1;
        self.writing = None;
        let most = [1, 30, 200][self.rng.usize(..3)];
        self.now += self.rng.u64(..most * S);
        self.disk.is_bad |= lost;
        let past = if self.disk.is_bad {
            Past::Lost
        } else {
            self.disk
                .head
                .clone()
                .map_or(Past::None, |head| Past::Kept(head, self.disk.rows.values().cloned().collect()))
        };
        if other {
            let hours = self.rng.u64(..100);
            self.origin = (self.now, HEAD_START.as_nanos() as u64 + hours * 3600 * S);
            self.clock += 1;
        }
        let clock = if self.clock == self.disk.clock { Clock::Same } else { Clock::Other };
        self.start(past, clock);
    }
}
