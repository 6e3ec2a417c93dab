//! Which requests are kept, and which runs next: plain data, `now` (wall time since 1970) as an argument.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound::{Excluded, Unbounded},
    time::Duration,
};

use super::id::Id;

/// What bounds the queue.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests, finished ones included.
    pub requests: usize,
    /// Bytes of their bodies and answers. No request is started beyond it, so that answers exceed it by those under way
    /// at most.
    pub bytes: u64,
    /// A request that has waited so long has failed.
    pub queued_for: Duration,
    /// A finished one is kept so long.
    pub kept_for: Duration,
}

/// The shortest and the longest wait of a request that could not be run: limits may be changed at any time.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// No wait is longer: one that seems so comes of a clock that was set back.
const LONGEST: Duration = Duration::from_secs(1800);
/// The wait after the first run that may have cost something; it doubles.
const CHARGED: Duration = Duration::from_secs(60);
/// The pause before the next start grows with each start in a row that came to nothing: an outage is not answered with
/// a thousand tries.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// The kept requests.
#[derive(Debug)]
pub struct Queue {
    limits: Limits,
    rows: HashMap<Id, Row>,
    keys: HashMap<Box<str>, Id>,
    /// Those that wait, oldest first.
    waiting: BTreeMap<Place, Id>,
    bytes: u64,
    in_vain: u32,
    quiet_until: Duration,
    /// The last one whose time had run out and that could not be given its end, and when the next one is.
    not_ended: Option<(Place, Duration)>,
}

/// When it was accepted, and its random bits, so that no two are the same.
type Place = (Duration, u128);

/// One request.
#[derive(Clone, Debug)]
pub struct Row {
    /// When it was accepted.
    pub created: Duration,
    /// What it takes in the store.
    pub bytes: u64,
    /// The caller's own name for it, so that it is not made twice.
    pub key: Option<Key>,
    /// Where it stands.
    pub phase: Phase,
    /// Runs that came to nothing.
    pub runs: u32,
    /// Of these, the ones that may have cost something.
    pub charged: u32,
}

/// An `Idempotency-Key` and the body it came with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key, as it is looked up.
    pub name: Box<str>,
    /// Of the body.
    pub digest: [u8; 32],
}

/// Where a request stands. A held one belongs to one task, which alone moves it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It waits.
    Queued {
        /// Not before.
        not_before: Duration,
    },
    /// A task is about to store it, to end it or to remove it.
    Held,
    /// It runs.
    Running,
    /// It has an end.
    Ended {
        /// When.
        at: Duration,
        /// Somebody has seen it.
        fetched: bool,
    },
}

/// A request that may be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is held for the caller, who stores it; these give way to it.
    New(Vec<Id>),
    /// It was accepted before.
    Known(Id),
}

/// Why a request is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// No room.
    Full,
    /// Its key came with another body, or is being accepted at this moment.
    Conflict,
}

/// Why a run came to nothing, and the wait that somebody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Its own limits leave no room. Nobody was asked, and others may have room: it keeps none of them waiting.
    Short(Option<Duration>),
    /// There is no provider, or no room here: nor for others.
    Again(Option<Duration>),
    /// It may have cost something: the next run is not soon.
    Charged,
}

/// What to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// This one, which runs from now on.
    Run(Id),
    /// Nothing before this time.
    Wait(Duration),
    /// Nothing until something changes.
    Idle,
}

/// Whether a request may be moved on by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// There is none.
    Unknown,
    /// It is held for the caller.
    Yours,
    /// Another task has it.
    Taken,
    /// It has ended.
    Ended,
}

impl Queue {
    /// Empty.
    #[must_use]
    pub fn new(limits: Limits) -> Queue {
        Queue {
            limits,
            rows: HashMap::new(),
            keys: HashMap::new(),
            waiting: BTreeMap::new(),
            bytes: 0,
            in_vain: 0,
            quiet_until: Duration::ZERO,
            not_ended: None,
        }
    }

    /// Takes in a request as the store knows it.
    pub fn restore(&mut self, id: Id, row: Row) {
        self.bytes += row.bytes;
        if let Some(key) = &row.key {
            self.keys.insert(key.name.clone(), id);
        }
        if matches!(row.phase, Phase::Queued { .. }) {
            self.waiting.insert((row.created, id.random), id);
        }
        self.rows.insert(id, row);
    }

    /// Asks for a place for a new request, held by the caller until [`Queue::wait`] or [`Queue::remove`].
    ///
    /// # Errors
    /// There is none, or its key is taken.
    pub fn accept(&mut self, id: Id, now: Duration, bytes: u64, key: Option<Key>) -> Result<Accepted, Unfit> {
        if let Some(key) = &key
            && let Some(known) = self.keys.get(&key.name)
            && let Some(row) = self.rows.get(known)
        {
            let same = row.key.as_ref() == Some(key) && row.phase != Phase::Held;
            return if same { Ok(Accepted::Known(*known)) } else { Err(Unfit::Conflict) };
        }
        let gone = self.make_room(bytes).ok_or(Unfit::Full)?;
        self.restore(id, Row { created: now, bytes, key, phase: Phase::Held, runs: 0, charged: 0 });
        Ok(Accepted::New(gone))
    }

    /// Removes what was fetched already, oldest first, until there is room.
    fn make_room(&mut self, bytes: u64) -> Option<Vec<Id>> {
        let mut seen: Vec<(Duration, Id)> = vec![];
        let (mut rows, mut held) = (self.rows.len() + 1, self.bytes + bytes);
        let fits = |rows: usize, held: u64| rows <= self.limits.requests && held <= self.limits.bytes;
        if !fits(rows, held) {
            seen.extend(self.rows.iter().filter_map(|(id, row)| match row.phase {
                Phase::Ended { at, fetched: true } => Some((at, *id)),
                _ => None,
            }));
            seen.sort_unstable_by_key(|(at, id)| (*at, id.random));
        }
        let mut gone = vec![];
        for (_, id) in seen {
            if fits(rows, held) {
                break;
            }
            (rows, held) = (rows - 1, held - self.rows.get(&id).map_or(0, |r| r.bytes));
            gone.push(id);
        }
        if !fits(rows, held) {
            return None;
        }
        gone.iter().for_each(|id| self.remove(*id));
        Some(gone)
    }

    /// A held or running request waits (again), not before `not_before`.
    pub fn wait(&mut self, id: Id, not_before: Duration) {
        if let Some(row) = self.rows.get_mut(&id) {
            row.phase = Phase::Queued { not_before };
            self.waiting.insert((row.created, id.random), id);
        }
    }

    /// A run came to nothing: it waits as long as somebody said, else longer each time.
    pub fn put_back(&mut self, id: Id, now: Duration, wait: Wait) {
        let Some(row) = self.rows.get_mut(&id) else { return };
        let pause = match wait {
            Wait::Short(after) | Wait::Again(after) => {
                row.runs += 1;
                after.unwrap_or(doubled(BACKOFF.0, row.runs)).clamp(BACKOFF.0, BACKOFF.1)
            }
            Wait::Charged => {
                row.charged += 1;
                doubled(CHARGED, row.charged).min(LONGEST)
            }
        };
        self.wait(id, now + pause);
        if !matches!(wait, Wait::Short(_)) {
            self.slow_down(now);
        }
    }

    fn slow_down(&mut self, now: Duration) {
        self.in_vain = (self.in_vain + 1).min(10);
        self.quiet_until = now + doubled(PAUSE.0, self.in_vain).min(PAUSE.1);
    }

    /// A held or running request has an end, and takes `bytes` from now on.
    pub fn end(&mut self, id: Id, now: Duration, bytes: u64) {
        if let Some(row) = self.rows.get_mut(&id) {
            if row.phase == Phase::Running {
                (self.in_vain, self.quiet_until) = (0, Duration::ZERO);
            }
            self.bytes = self.bytes - row.bytes + bytes;
            (row.bytes, row.phase) = (bytes, Phase::Ended { at: now, fetched: false });
        }
    }

    /// The oldest request that may run: none that is to be given its end, and cannot be now.
    pub fn next(&mut self, now: Duration) -> Next {
        if self.waiting.is_empty() || self.bytes >= self.limits.bytes {
            return Next::Idle;
        }
        if now < self.quiet_until && self.quiet_until <= now + PAUSE.1 {
            return Next::Wait(self.quiet_until);
        }
        let (mut soonest, ends_from) = (Duration::MAX, self.ends_from(now));
        let mut found = None;
        for (place, id) in &self.waiting {
            match self.rows.get(id).map(|row| row.phase) {
                _ if ends_from > now && self.is_late(place, now) => soonest = soonest.min(ends_from),
                Some(Phase::Queued { not_before }) if not_before > now && not_before <= now + LONGEST => {
                    soonest = soonest.min(not_before);
                }
                _ => {
                    found = Some((*place, *id));
                    break;
                }
            }
        }
        let Some((place, id)) = found else { return Next::Wait(soonest) };
        self.waiting.remove(&place);
        if let Some(row) = self.rows.get_mut(&id) {
            row.phase = Phase::Running;
        }
        Next::Run(id)
    }

    /// Holds a request that waits; with `ended`, also one that has ended.
    pub fn claim(&mut self, id: Id, ended: bool) -> Claim {
        let Some(row) = self.rows.get_mut(&id) else { return Claim::Unknown };
        match row.phase {
            Phase::Held | Phase::Running => return Claim::Taken,
            Phase::Ended { .. } if !ended => return Claim::Ended,
            Phase::Ended { .. } | Phase::Queued { .. } => {}
        }
        row.phase = Phase::Held;
        self.waiting.remove(&(row.created, id.random));
        Claim::Yours
    }

    /// Forgets a request.
    pub fn remove(&mut self, id: Id) {
        let Some(row) = self.rows.remove(&id) else { return };
        self.bytes -= row.bytes;
        self.waiting.remove(&(row.created, id.random));
        if let Some(key) = row.key.filter(|k| self.keys.get(&k.name) == Some(&id)) {
            self.keys.remove(&key.name);
        }
    }

    /// Somebody has seen the end of a request.
    pub fn fetched(&mut self, id: Id) {
        if let Some(Row { phase: Phase::Ended { fetched, .. }, .. }) = self.rows.get_mut(&id) {
            *fetched = true;
        }
    }

    /// One that has waited too long. Of several the turn goes round, so that one that cannot be ended stops none.
    #[must_use]
    pub fn late(&self, now: Duration) -> Option<Id> {
        if self.ends_from(now) > now {
            return None;
        }
        let after = self.not_ended.and_then(|(last, _)| self.waiting.range((Excluded(last), Unbounded)).next());
        let is_late = |(place, _): &(&Place, &Id)| self.is_late(place, now);
        after.filter(is_late).or(self.waiting.first_key_value().filter(is_late)).map(|(_, id)| *id)
    }

    /// A held one that waited too long could not be given its end: it waits on, and all ends pause.
    pub fn not_ended(&mut self, id: Id, now: Duration) {
        self.wait(id, now);
        self.not_ended = self.rows.get(&id).map(|row| ((row.created, id.random), now + PAUSE.1));
    }

    fn is_late(&self, (created, _): &Place, now: Duration) -> bool {
        now.saturating_sub(*created) >= self.limits.queued_for
    }

    /// When one that waited too long may be given its end.
    fn ends_from(&self, now: Duration) -> Duration {
        self.not_ended.map(|(_, from)| from).filter(|from| *from <= now + PAUSE.1).unwrap_or(now).max(now)
    }

    /// Those that were kept long enough after their end.
    #[must_use]
    pub fn old(&self, now: Duration) -> Vec<Id> {
        let is_old = |phase| matches!(phase, Phase::Ended { at, .. } if now.saturating_sub(at) >= self.limits.kept_for);
        self.rows.iter().filter(|(_, row)| is_old(row.phase)).map(|(id, _)| *id).collect()
    }

    /// One request.
    #[must_use]
    pub fn get(&self, id: Id) -> Option<&Row> {
        self.rows.get(&id)
    }

    /// How many wait and how many run.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.waiting.len(), self.rows.values().filter(|row| row.phase == Phase::Running).count())
    }

    /// What all of them take in the store.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// `first`, doubled with each further time, up to the tenth.
fn doubled(first: Duration, times: u32) -> Duration {
    first * (1 << times.clamp(1, 10).saturating_sub(1))
}

#[cfg(test)]
mod tests;
