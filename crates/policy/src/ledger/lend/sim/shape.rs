//! The worlds that are tried.

use std::ops::Range;

use fastrand::Rng;

use super::super::super::{Cap, Unit};
use crate::{ledger::sim::oracle::S, snapshot::Scope};

/// Coins of a cap.
pub(super) const CAP: u64 = 1_000_000;

/// What a world is like. Times are in ms of true time where nothing else is said.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) caps: Vec<Cap>,
    pub(super) pods: usize,
    pub(super) callers: usize,
    pub(super) tenants: usize,
    /// Of the pods, so many ask; the others idle.
    pub(super) busy: usize,
    pub(super) asks: Range<u64>,
    /// Percent of the ask that an answer costs at least.
    pub(super) costs_from: u64,
    pub(super) takes: Range<u64>,
    pub(super) thinks: Range<u64>,
    /// After a refusal, at most.
    pub(super) backs_off: u64,
    /// Weights of the ends: ended, without usage, closed by us, unseen, refused.
    pub(super) ends: [u32; 5],
    /// Bills come as late as they may, from sends as late as they may be.
    pub(super) is_late: bool,
    /// A pod that is cut off asks for nothing before its lease is about to end, and then for all.
    pub(super) hoards: bool,
    /// Percent of the ask that a provider may bill in the end; 100 is none.
    pub(super) surprise: u64,
    /// Rates of clocks go up to this from true time, in millionths.
    pub(super) drift: u64,
    pub(super) bill_horizon: u64,
    pub(super) lasts: u64,
    pub(super) net: Net,
    pub(super) api: Net,
    /// Pods keep a journal.
    pub(super) journal: bool,
    /// Mean seconds between faults, and their weights.
    pub(super) faults: Option<(u64, Faults)>,
    /// So much of the cap is to be used in the second half of the time.
    pub(super) least_used: f64,
    /// What happens when, in seconds.
    pub(super) script: Vec<(u64, Fault)>,
}

/// How messages travel.
#[derive(Clone, Debug)]
pub(super) struct Net {
    pub(super) delay: Range<u64>,
    /// In percent of messages.
    pub(super) lost: u32,
    pub(super) doubled: u32,
    /// Delayed for up to two minutes.
    pub(super) late: u32,
}

/// What may go wrong, or only happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A pod is killed; whether the kubelet says so.
    Kill(bool),
    /// Its process is, and starts again.
    Crash,
    /// The same, with the journal lost.
    CrashAndLose,
    /// A pod is drained, and another comes.
    Drain,
    /// Another pod comes.
    Add,
    /// A pod is cut off for a minute or so.
    CutPod,
    /// A pod is stopped for some time.
    StopPod,
    /// The object of a pod that lives is deleted.
    ForceDelete,
    /// The leading operator is killed, and starts again.
    KillLeader,
    /// It is cut off from the API server.
    CutLeader,
    /// It is stopped for some time.
    StopLeader,
    /// Another takes over although it is well.
    Spurious,
    /// The ledger object is deleted.
    LoseLedger,
    /// Another limit.
    Limit,
    /// Another guaranteed part.
    Guaranteed,
    /// All operators are gone for some time.
    NoOperator,
    /// Another window.
    Window,
    /// A cap gets another name, or its old one again.
    Rename,
    /// A pod's machine is started anew.
    Reboot,
    /// A pod is drained, and its container starts again.
    Restart,
    /// The pod of this number is cut off for so many seconds.
    Cut(usize, u64),
    /// What it says is lost for so many seconds.
    Mute(usize, u64),
    /// It is stopped.
    Stop(usize, u64),
    /// It is killed, and the kubelet says so or not.
    KillOf(usize, bool),
    /// It is drained, and ends after so many seconds.
    DrainOf(usize, u64),
    /// Its container ends and starts again; whether its journal is lost.
    CrashOf(usize, bool),
    /// Its machine ends, and is back after so many seconds.
    RebootOf(usize, u64),
    /// It is drained, ends after so many seconds, and its container starts again.
    RestartOf(usize, u64),
    /// The leader is killed, and another is there after so many seconds.
    Failover(u64),
    /// All pods ask from now on, or those up to this number.
    Busy(usize),
    /// Limits and guaranteed parts, in percent of the first ones.
    Edit(u64, u64),
    /// The leader is cut off from the API server for so many seconds.
    CutApi(u64),
}

/// All that happen at random.
pub(super) const FAULTS: [Fault; 21] = [
    Fault::Kill(true),
    Fault::Kill(false),
    Fault::Crash,
    Fault::CrashAndLose,
    Fault::Drain,
    Fault::Add,
    Fault::CutPod,
    Fault::StopPod,
    Fault::ForceDelete,
    Fault::KillLeader,
    Fault::CutLeader,
    Fault::StopLeader,
    Fault::Spurious,
    Fault::LoseLedger,
    Fault::Limit,
    Fault::Guaranteed,
    Fault::NoOperator,
    Fault::Window,
    Fault::Rename,
    Fault::Reboot,
    Fault::Restart,
];

const LOSE: usize = 13;
const LIMIT: usize = 14;
const GUARANTEED: usize = 15;
const WINDOW: usize = 17;
const RENAME: usize = 18;

pub(super) type Faults = [u32; FAULTS.len()];

pub(super) fn cap(unit: Unit, name: &str, scope: Scope, window: u64, limit: u64) -> Cap {
    crate::ledger::sim::shape::cap(unit, name, scope, window, limit)
}

impl Shape {
    /// A quiet world: one cap, three busy pods, honest and quick answers, a good network.
    pub(super) fn plain(window: u64) -> Shape {
        Shape {
            caps: vec![cap(Unit::Money, "all", Scope::Policy, window, CAP)],
            pods: 3,
            callers: 4,
            tenants: 1,
            busy: usize::MAX,
            asks: CAP / 40..CAP / 40 + 1,
            costs_from: 100,
            takes: 200..2_000,
            thinks: 0..50,
            backs_off: 500,
            ends: [1, 0, 0, 0, 0],
            is_late: false,
            hoards: false,
            surprise: 100,
            drift: 0,
            bill_horizon: 20 * S,
            lasts: window * 8 * S,
            net: Net { delay: 1..5, lost: 0, doubled: 0, late: 0 },
            api: Net { delay: 2..20, lost: 0, doubled: 0, late: 0 },
            journal: false,
            faults: None,
            least_used: 0.0,
            script: vec![],
        }
    }

    /// Anything, of everything.
    pub(super) fn any(rng: &mut Rng) -> Shape {
        let window = [5, 20, 60, 60, 120, 1_000][rng.usize(..6)];
        let mut caps = vec![cap(Unit::Money, "all", Scope::Policy, window, CAP)];
        let more = [
            cap(Unit::Money, "tenant", Scope::Tenant, window * rng.u64(1..=2), CAP / 2),
            cap(Unit::Money, "long", Scope::Policy, 1_200, CAP * 3),
            cap(Unit::Money, "long tenant", Scope::Tenant, 1_000, CAP),
            cap(Unit::Requests, "p0", Scope::Policy, window, rng.u64(5..40)),
        ];
        caps.extend(more.into_iter().filter(|_| rng.u32(..4) == 0));
        for cap in &mut caps {
            cap.guaranteed = cap.limit * [0, 5, 5, 20, 50][rng.usize(..5)] / 100;
        }
        let least = rng.u64(5_000..60_000);
        let bill_horizon = rng.u64(10..60);
        let bad = rng.u32(..3) == 0;
        let net = |rng: &mut Rng, most: u64| Net {
            delay: 1..rng.u64(3..most),
            lost: if bad { rng.u32(..20) } else { 0 },
            doubled: if bad { rng.u32(..20) } else { 0 },
            late: if bad { rng.u32(..3) } else { 0 },
        };
        let mut faults: Faults = std::array::from_fn(|_| rng.u32(..3) * rng.u32(..3));
        // After a lost ledger nobody knows that there was another cap within the day before.
        if rng.bool() {
            faults[LOSE] = 0;
        } else {
            [LIMIT, GUARANTEED, WINDOW, RENAME].into_iter().for_each(|edit| faults[edit] = 0);
        }
        let long = caps.iter().map(|c| c.window.as_secs()).max().unwrap_or(0);
        Shape {
            caps,
            pods: rng.usize(1..6),
            callers: rng.usize(1..4),
            tenants: rng.usize(1..5),
            busy: if rng.u32(..3) == 0 { 1 } else { usize::MAX },
            asks: least..least * rng.u64(2..6),
            costs_from: rng.u64(20..=100),
            takes: 100..[1_000, 5_000, bill_horizon * 900][rng.usize(..3)],
            thinks: 0..[50, 500, 10_000][rng.usize(..3)],
            backs_off: [1_000, 5_000][rng.usize(..2)],
            ends: std::array::from_fn(|_| rng.u32(..4) * rng.u32(..4)),
            is_late: rng.bool(),
            hoards: rng.u32(..4) == 0,
            surprise: if rng.u32(..6) == 0 { rng.u64(101..300) } else { 100 },
            drift: [0, 0, 1_999][rng.usize(..3)],
            bill_horizon: bill_horizon * S,
            lasts: (long * 3).clamp(400, 3_000) * S,
            net: net(rng, 100),
            api: net(rng, 400),
            journal: rng.bool(),
            faults: (rng.u32(..5) > 0).then(|| (rng.u64(10..120), faults)),
            least_used: 0.0,
            script: vec![],
        }
    }
}
