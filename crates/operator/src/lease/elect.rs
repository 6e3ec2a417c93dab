//! Who leads, from what the Lease shows: a state machine with `now` as an argument. Times are since the machine's boot; the
//! clocks of two machines are never compared.
//!
//! Whoever holds the Lease leads for [`FENCE`] from the moment at which its last renewal was *sent*. Another one takes it
//! [`DURATION`] after it first *saw* that renewal, which is later than it was sent. So two never lead at once, while their
//! clocks run at rates that differ by less than a third.

use std::time::Duration;

use crate::push::Leader;

/// A Lease that is not renewed for so long may be taken.
pub const DURATION: Duration = Duration::from_secs(15);
/// One that could not renew for so long leads no more.
pub const FENCE: Duration = Duration::from_secs(10);
/// Between looks.
pub const RETRY: Duration = Duration::from_secs(2);

/// This process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Me {
    /// The pod's name: after a crash the next process of the pod need not wait for itself.
    pub identity: String,
    /// Random, one a process.
    pub epoch: String,
    /// Where sidecars find it, `https://HOST:PORT`.
    pub address: String,
}

/// What a Lease says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; empty where nobody does.
    pub holder: String,
    /// The holder's epoch.
    pub epoch: String,
    /// The holder's address.
    pub address: String,
    /// How long it may go without renewal.
    pub duration: Duration,
    /// `metadata.resourceVersion`: differs after each write.
    pub version: String,
    /// How often it went from one to another.
    pub transitions: i32,
}

/// One replica's view.
#[derive(Clone, Debug)]
pub struct Elector {
    me: Me,
    /// What the Lease says, and since when this is known; `None` where there is none.
    seen: Option<(Record, Duration)>,
    /// When the last renewal that held was sent.
    renewed: Option<Duration>,
}

impl Elector {
    /// One that has seen nothing.
    #[must_use]
    pub fn new(me: Me) -> Elector {
        Elector { me, seen: None, renewed: None }
    }

    /// The Lease was read at `now`.
    pub fn saw(&mut self, record: Option<Record>, now: Duration) {
        let Some(record) = record else {
            (self.seen, self.renewed) = (None, None);
            return;
        };
        if !self.is_mine(&record) {
            self.renewed = None;
        }
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != record) {
            self.seen = Some((record, now));
        }
    }

    /// What to write at `now`: a renewal, or what takes the Lease; nothing while another one holds it.
    #[must_use]
    pub fn wants(&self, now: Duration) -> Option<Record> {
        let (before, at) = match &self.seen {
            None => (Record::default(), now),
            Some((record, at)) => (record.clone(), *at),
        };
        let is_free = before.holder.is_empty() || now.saturating_sub(at) >= before.duration;
        if !is_free && before.holder != self.me.identity {
            return None;
        }
        let Me { identity, epoch, address } = self.me.clone();
        let changes = i32::from(!before.holder.is_empty() && before.holder != identity);
        let transitions = before.transitions.saturating_add(changes);
        Some(Record { holder: identity, epoch, address, duration: DURATION, version: before.version, transitions })
    }

    /// What was wanted is written; it was sent at `sent`, and came back as `record`.
    pub fn wrote(&mut self, record: Record, sent: Duration, now: Duration) {
        self.renewed = self.is_mine(&record).then_some(sent);
        self.seen = Some((record, now));
    }

    /// The Lease as it is given back, if it is this process's.
    #[must_use]
    pub fn release(&self) -> Option<Record> {
        let (record, _) = self.seen.as_ref().filter(|(record, _)| self.is_mine(record))?;
        Some(Record { version: record.version.clone(), transitions: record.transitions, ..Record::default() })
    }

    /// Who leads at `now`.
    #[must_use]
    pub fn leader(&self, now: Duration) -> Leader {
        if let Some(left) = self.left(now) {
            return Leader::Me(now + left);
        }
        match &self.seen {
            Some((record, _)) if !record.holder.is_empty() && record.holder != self.me.identity => {
                Leader::Other(record.address.clone())
            }
            _ => Leader::Unknown,
        }
    }

    /// How long this process leads on without a renewal, if it leads.
    #[must_use]
    pub fn left(&self, now: Duration) -> Option<Duration> {
        (self.renewed? + FENCE).checked_sub(now).filter(|left| !left.is_zero())
    }

    fn is_mine(&self, record: &Record) -> bool {
        record.holder == self.me.identity && record.epoch == self.me.epoch
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn me(name: &str, epoch: &str) -> Me {
        Me { identity: name.into(), epoch: epoch.into(), address: format!("https://{name}:8443") }
    }

    fn held(name: &str, epoch: &str, version: &str) -> Record {
        let Me { identity, epoch, address } = me(name, epoch);
        Record { holder: identity, epoch, address, duration: DURATION, version: version.into(), transitions: 3 }
    }

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn a_lease_is_taken_where_it_is_free() {
        let free = Record { version: "7".into(), transitions: 3, ..Record::default() };
        let rows = [
            // what is seen at 100 s, at what time, whether it is taken, transitions
            ("none is there", None, 100, Some(0)),
            ("given back", Some(free), 100, Some(3)),
            ("another one's", Some(held("b", "1", "7")), 114, None),
            ("another one's, not renewed", Some(held("b", "1", "7")), 115, Some(4)),
            ("of this pod's process before", Some(held("a", "0", "7")), 100, Some(3)),
            ("its own", Some(held("a", "1", "7")), 100, Some(3)),
        ];
        for (what, seen, at, want) in rows {
            let mut elector = Elector::new(me("a", "1"));
            elector.saw(seen.clone(), S(100));
            // Seen again, unchanged: its time runs on.
            elector.saw(seen.clone(), S(at));
            let wants = elector.wants(S(at));
            assert_eq!(wants.as_ref().map(|r| r.transitions), want, "{what}");
            assert!(wants.is_none_or(|r| r.version == seen.map_or(String::new(), |s| s.version)), "{what}");
        }
    }

    #[test]
    fn it_leads_from_the_write_until_the_fence_and_no_longer() {
        let mut elector = Elector::new(me("a", "1"));
        elector.saw(None, S(100));
        assert_eq!(elector.leader(S(100)), Leader::Unknown, "not before it is written");
        elector.wrote(held("a", "1", "1"), S(100), S(104));
        let rows = [(104, Leader::Me(S(110))), (109, Leader::Me(S(110))), (110, Leader::Unknown)];
        for (at, want) in rows {
            assert_eq!(elector.leader(S(at)), want, "{at}");
        }
        elector.wrote(held("a", "1", "2"), S(111), S(111));
        assert_eq!(
            (elector.leader(S(111)), elector.left(S(115))),
            (Leader::Me(S(121)), Some(S(6))),
            "a late renewal counts again"
        );
        elector.saw(Some(held("b", "9", "3")), S(112));
        assert_eq!(elector.leader(S(112)), Leader::Other("https://b:8443".into()), "another one is seen: at once");
        elector.saw(Some(held("a", "0", "4")), S(113));
        assert_eq!(elector.leader(S(113)), Leader::Unknown, "a process of this pod, but not this one");
        assert_eq!(elector.release(), None);
        elector.wrote(held("a", "1", "5"), S(114), S(114));
        let given = elector.release().unwrap();
        assert_eq!((&*given.holder, &*given.version, given.transitions), ("", "5", 3));
    }

    /// What may happen to one of three replicas.
    #[derive(Clone, Debug)]
    enum Act {
        Look(usize),
        /// A write that lands so many ms after it was sent, and is answered so long after that.
        Write(usize, u64, u64),
        Restart(usize),
    }

    fn act() -> impl Strategy<Value = (u64, Act)> {
        let act = prop_oneof![
            (0..3usize).prop_map(Act::Look),
            (0..3usize, 0..12_000u64, 0..12_000u64).prop_map(|(i, lands, answered)| Act::Write(i, lands, answered)),
            (0..3usize).prop_map(Act::Restart),
        ];
        (0..4_000u64, act)
    }

    proptest! {
        #[test]
        fn two_never_lead_at_once(acts in proptest::collection::vec(act(), 1..200)) {
            let mut all: Vec<Elector> = ["a", "b", "c"].iter().map(|n| Elector::new(me(n, "0"))).collect();
            let (mut store, mut version, mut now) = (None::<Record>, 0u64, 0u64);
            let at = Duration::from_millis;
            for (n, (pause, act)) in acts.into_iter().enumerate() {
                now += pause;
                match act {
                    Act::Look(i) => all[i].saw(store.clone(), at(now)),
                    Act::Write(i, lands, answered) => {
                        let sent = now;
                        let wants = all[i].wants(at(now));
                        now += lands;
                        let seen = store.as_ref().map_or(String::new(), |s| s.version.clone());
                        if let Some(wants) = wants.filter(|w| w.version == seen) {
                            version += 1;
                            let written = Record { version: version.to_string(), ..wants };
                            store = Some(written.clone());
                            now += answered;
                            all[i].wrote(written, at(sent), at(now));
                        }
                    }
                    // It is another process from then on, and the one before is dead.
                    Act::Restart(i) => all[i] = Elector::new(me(["a", "b", "c"][i], &n.to_string())),
                }
                let lead = all.iter().filter(|e| matches!(e.leader(at(now)), Leader::Me(_))).count();
                prop_assert!(lead <= 1, "{all:?}");
            }
        }
    }
}
