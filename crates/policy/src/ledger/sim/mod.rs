//! Callers, reloads, crashes and hostile providers in virtual time, by seeds; an oracle that knows the bills alone.
//!
//! Each rule of the ledger is broken once, and some world must then be judged bad.

pub(in crate::ledger) mod disk;
pub(in crate::ledger) mod oracle;
pub(in crate::ledger) mod shape;
mod world;

use std::{
    io::{self, Write},
    ops::Range,
};

use fastrand::Rng;

use self::{
    oracle::S,
    shape::{CAP, JournalShape, Shape, cap},
    world::{Report, World},
};
use super::{
    Unit,
    rules::{ALL, Rule, breaking},
};
use crate::snapshot::{Rung, Scope};

fn any(seed: u64) -> Result<Report, String> {
    let shape = Shape::any(&mut Rng::with_seed(seed));
    World::new(shape.clone(), seed).run().map_err(|fault| format!("seed {seed}: {fault}\n{shape:?}"))
}

/// Two halves, so that two threads share them.
#[test]
fn no_window_is_billed_above_its_cap() {
    judge(0..2_000);
}

#[test]
fn no_window_is_billed_above_its_cap_either() {
    judge(2_000..4_000);
}

fn judge(seeds: Range<u64>) {
    let (mut fullest, mut attempts, mut ways) = (0f64, 0, [0; 5]);
    for seed in seeds {
        let report = any(seed).unwrap_or_else(|fault| panic!("{fault}"));
        fullest = fullest.max(report.fullest);
        attempts += report.attempts;
        ways.iter_mut().zip(report.ways).for_each(|(sum, n)| *sum += n);
    }
    println!("{attempts} attempts, the fullest window is at {fullest:.3} of its cap, {ways:?} by rung");
    assert!(fullest > 0.99, "demand is above the caps, or nothing is proven: {fullest}");
    assert!(ways.iter().all(|n| *n > 1_000), "every rung is gone: {ways:?}");
}

#[test]
fn every_rule_is_needed() {
    assert!(ALL.iter().enumerate().all(|(n, rule)| *rule as usize == n));
    assert_eq!(ALL.len(), Rule::OwnHold as usize + 1, "the last rule is in the list, those of shared caps follow");
    for rule in ALL {
        let run = |seed| World::new(directed(*rule), seed).run();
        for seed in 0..5 {
            run(seed).unwrap_or_else(|fault| panic!("{rule:?} is in force, and yet with seed {seed}: {fault}"));
        }
        let fault = breaking(Some(*rule), || (0..200).find_map(|seed| run(seed).err().map(|fault| (seed, fault))));
        let (seed, fault) = fault.unwrap_or_else(|| panic!("nobody misses {rule:?}"));
        println!("{rule:?}, seed {seed}: {fault}");
    }
}

/// LEDGER: `used = c W / (c (W' + W/2N) + h d) - h/2L`, here for shapes of one pod. The rest of a cap is money that may
/// still be billed, or cools in a bucket.
#[test]
fn most_of_a_cap_is_used() {
    let cent = CAP / 200;
    let shape = |seconds: u64, hold: u64| Shape {
        callers: 40,
        asks: hold..hold + 1,
        costs_from: cent * 100 / hold,
        surprise: cent * 100 / hold,
        takes: seconds * 1_000..seconds * 1_000 + 1,
        thinks: 0..1_000,
        is_late: false,
        lasts: 100 * 60 * S,
        ..Shape::plain(60)
    };
    for (seconds, percent, least) in [(1, 110, 0.95), (5, 110, 0.88), (5, 400, 0.70)] {
        let hold = cent * percent / 100;
        let report = World::new(shape(seconds, hold), 1).run().unwrap_or_else(|fault| panic!("{fault}"));
        let (c, h, d) = (cent as f64, hold as f64, seconds as f64);
        let formula = c * 60.0 / (c * (60.25 * 1.002 + 60.0 / 256.0) + h * d) - h / 2.0 / CAP as f64;
        let figure = format!("answers of {seconds} s, hold {percent}% of the cost: {:.3} used", report.used);
        // Not by a macro, which shows it of a failure alone.
        let _ = writeln!(io::stderr().lock(), "figure: a ledger by itself, {figure}, by the formula {formula:.3}");
        assert!(report.used >= least, "{report:?}");
    }
}

/// A world made for `rule`: without it some seed is judged bad, with it none.
fn directed(rule: Rule) -> Shape {
    let plain = Shape::plain;
    let tenants = |window| vec![cap(Unit::Money, "all", Scope::Tenant, window, CAP)];
    let small = CAP / 20..CAP / 20 + 1;
    match rule {
        Rule::StampAtSettle => Shape { takes: 100..15_000, ..plain(20) },
        Rule::Skew | Rule::Sliding | Rule::HeldCounts | Rule::Release | Rule::AllOrNone => plain(20),
        Rule::Drift => Shape { rate: 1_001_999, ..plain(300) },
        Rule::NewestInBucket => {
            Shape { caps: tenants(60), asks: small, takes: 100..300, callers: 12, is_late: false, ..plain(60) }
        }
        Rule::WholeHold | Rule::Horizon | Rule::OwnHold => Shape::unseen(20, 60),
        // A window that ends just before the next stamp on the coarse grid, which hides the drift else.
        Rule::HorizonDrift => Shape { rate: 1_001_999, ..Shape::unseen(109, 3_600) },
        Rule::HorizonOrNow => Shape { runs_long: true, ..Shape::unseen(20, 20) },
        Rule::CoarseUp => Shape::unseen(20, 300),
        Rule::SpareForOnline => Shape { later: 50, asks: small, ..plain(20) },
        Rule::PressureOfHeld | Rule::Warns | Rule::Degrades | Rule::IsFull => Shape::near(20),
        Rule::PressureOfFullest => {
            let wide = cap(Unit::Money, "wide", Scope::Policy, 20, CAP * 100);
            Shape { caps: [vec![wide], Shape::near(20).caps].concat(), ..plain(20) }
        }
        Rule::CheaperFirst => Shape { rungs: vec![Rung::CheaperModel], thinks: 0..2_000, ..Shape::near(20) },
        Rule::SendGuard => Shape { pauses: 100, ..Shape::unseen(20, 20) },
        Rule::RefusedIsFree => Shape { ends: [1, 0, 0, 0, 1], ..plain(20) },
        Rule::EveryKey => {
            let rest = cap(Unit::Money, "tenant", Scope::Tenant, 20, CAP / 2);
            Shape { caps: [plain(20).caps, vec![rest]].concat(), tenants: 3, ..plain(20) }
        }
        Rule::Debt | Rule::Raise => Shape { asks: small, surprise: 200, ..plain(20) },
        Rule::DropEmptyOnly => Shape { caps: tenants(60), tenants: 30, thinks: 0..5_000, ..plain(60) },
        Rule::Overflow => Shape { caps: tenants(20), tenants: 30, most_values: 3, ..plain(20) },
        Rule::OverflowCools => {
            let all = CAP..CAP + 1;
            let thinks = 0..40_000;
            Shape { caps: tenants(60), tenants: 6, most_values: 1, asks: all, thinks, lasts: 2_400 * S, ..plain(60) }
        }
        Rule::KeepOnReload | Rule::KeepRetired => Shape { edits: Some(10), lasts: 600 * S, ..plain(60) },
        Rule::Slack => Shape { ends: [0, 0, 1, 0, 0], ..plain(20) },
        Rule::RestoreUnlisted | Rule::UnlistedOnce | Rule::FirstWrite => {
            let seldom = crashing(Scope::Tenant, |journal| {
                let once = rule != Rule::UnlistedOnce;
                (journal.every, journal.kills, journal.most_kills) = (60_000, 5, if once { 1 } else { 2 });
                journal.is_patient = rule != Rule::FirstWrite;
            });
            Shape { tenants: 12, ..seldom }
        }
        Rule::RoomOfPending => {
            let slow = crashing(Scope::Policy, |journal| (journal.every, journal.most_kills) = (200, 1));
            Shape { thinks: 0..2_000, ..slow }
        }
        Rule::RewriteUnanswered => crashing(Scope::Policy, |journal| journal.fails = 40),
        Rule::UnknownAway => crashing(Scope::Policy, |journal| journal.other_clock = 100),
        Rule::LostIsSpent => crashing(Scope::Policy, |journal| journal.lost = 50),
        Rule::LostIsKept => crashing(Scope::Tenant, |journal| (journal.lost, journal.most_kills) = (40, 4)),
        Rule::JournalAhead | Rule::RoomWhenDurable | Rule::RestoreRing | Rule::RestoreOpen | Rule::RestoreAhead => {
            crashing(Scope::Policy, |_| ())
        }
        shared => panic!("{shared:?} is one of caps that are shared"),
    }
}

fn crashing(scope: Scope, change: impl Fn(&mut JournalShape)) -> Shape {
    let mut shape = Shape::crashing(scope);
    shape.journal.iter_mut().for_each(change);
    shape
}
