//! Each rule of shared caps, in a world that misses it.

use super::{
    shape::{CAP, Fault::*, Net, Shape, cap},
    world::World,
};
use crate::{
    ledger::{
        Unit,
        rules::{Rule, SHARED, breaking},
        sim::oracle::S,
    },
    snapshot::Scope,
};

#[test]
fn every_rule_of_shared_caps_is_needed() {
    assert_eq!(SHARED.first().map(|r| *r as usize), Some(Rule::OwnHold as usize + 1), "those of one sidecar go before");
    assert!(SHARED.iter().zip(SHARED.iter().skip(1)).all(|(a, b)| *a as usize + 1 == *b as usize));
    assert_eq!(SHARED.last(), Some(&Rule::HolderGivesBack), "the last rule is in the list");
    let mut missed = vec![];
    for rule in SHARED {
        let run = |seed| World::new(directed(*rule), seed).run();
        for seed in 0..5 {
            if let Err(fault) = run(seed) {
                println!("{rule:?} is in force, and yet with seed {seed}: {fault}");
                missed.push(*rule);
                break;
            }
        }
        let fault = breaking(Some(*rule), || (0..50).find_map(|seed| run(seed).err().map(|fault| (seed, fault))));
        match fault {
            Some((seed, fault)) => println!("{rule:?}, seed {seed}: {}", fault.chars().take(150).collect::<String>()),
            None => {
                println!("nobody misses {rule:?}");
                missed.push(*rule);
            }
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}

/// All of the cap is lent, and every pod wants all of it: requests end quickly, or their end is not seen and their bill
/// comes as late as it may.
fn wanted(window: u64) -> Shape {
    let mut caps = vec![cap(Unit::Money, "all", Scope::Policy, window, CAP)];
    caps[0].guaranteed = 0;
    Shape {
        caps,
        asks: CAP / 5..CAP / 5 + 1,
        takes: 100..300,
        thinks: 0..20,
        backs_off: 40,
        ends: [1, 0, 0, 1, 0],
        is_late: true,
        bill_horizon: 10 * S,
        lasts: 300 * S,
        ..Shape::plain(window)
    }
}

/// As much again as what is lent is guaranteed.
fn shared(window: u64) -> Shape {
    let mut shape = wanted(window);
    shape.caps[0].guaranteed = CAP / 2;
    shape.asks = CAP / 20..CAP / 20 + 1;
    shape
}

/// Windows of which checkpoints are written, and which are spent slowly.
fn long() -> Shape {
    let (ends, asks, lasts) = ([1, 0, 0, 0, 0], CAP / 50..CAP / 50 + 1, 2_500 * S);
    Shape { ends, asks, callers: 2, thinks: 20_000..60_000, backs_off: 20_000, is_late: false, lasts, ..wanted(1_000) }
}

/// A world made for `rule`: without it some seed is judged bad, with it none.
fn directed(rule: Rule) -> Shape {
    let script = |base: Shape, script: &[_]| Shape { script: script.to_vec(), ..base };
    let lossy = || Net { delay: 1..200, lost: 15, doubled: 15, late: 0 };
    match rule {
        Rule::ShareEnds => {
            let slow = Shape { thinks: 20_000..60_000, backs_off: 60_000, callers: 2, pods: 2, ..shared(300) };
            script(Shape { lasts: 95_000 * S, ..slow }, &[(60, Cut(0, 94_000)), (100, Add), (88_000, Add)])
        }
        Rule::LostShareIsSpent => {
            script(Shape { pods: 2, ..shared(300) }, &[(60, CrashOf(0, true)), (120, CrashOf(0, true))])
        }
        Rule::LeaseEnds => script(Shape { lasts: 400 * S, ..wanted(20) }, &[(20, Cut(0, 350)), (20, Cut(1, 350))]),
        Rule::LeaseFromSending => {
            let late = Net { delay: 1..5, lost: 0, doubled: 0, late: 30 };
            let base = Shape { net: late, lasts: 800 * S, ..wanted(10) };
            script(base, &[(100, Mute(0, 200)), (400, Mute(1, 200))])
        }
        Rule::VoidAfterClaim => {
            script(Shape { lasts: 400 * S, ..wanted(20) }, &[(20, Cut(0, 135)), (20, Cut(1, 135)), (130, Failover(20))])
        }
        Rule::CumulativeCredit => Shape { net: Net { doubled: 30, ..lossy() }, lasts: 60 * S, ..wanted(20) },
        Rule::CedeIsFinal => {
            let base = Shape {
                net: Net { lost: 40, ..lossy() },
                pods: 6,
                callers: 2,
                thinks: 0..1_500,
                lasts: 900 * S,
                ..wanted(20)
            };
            let script_: Vec<_> = (1..120).map(|n| (7 * n, Failover(1))).collect();
            script(base, &script_)
        }
        Rule::CoolingGoesWithItsTime => wanted(60),
        Rule::Fence => {
            let base = Shape { lasts: 600 * S, ..wanted(20) };
            script(
                base,
                &[(30, CutApi(300)), (31, Cut(0, 100)), (60, Cut(1, 60)), (150, Cut(2, 60)), (400, StopLeader)],
            )
        }
        Rule::CloseWaitsHorizon | Rule::CloseWaitsWindow => script(
            wanted(20),
            &[
                (30, KillOf(0, true)),
                (30, Add),
                (90, KillOf(1, true)),
                (90, Add),
                (150, KillOf(2, true)),
                (200, Cut(3, 90)),
            ],
        ),
        Rule::ClaimsInTime => {
            script(Shape { lasts: 700 * S, ..wanted(20) }, &[(20, Cut(0, 400)), (21, Failover(5)), (418, Busy(1))])
        }
        Rule::LendToTheRoll => {
            let api = Net { delay: 1..3_000, lost: 20, doubled: 0, late: 0 };
            let base = Shape { api, pods: 1, lasts: 600 * S, ..wanted(20) };
            script(
                base,
                &[
                    (60, Add),
                    (61, Failover(1)),
                    (120, Add),
                    (121, Failover(1)),
                    (180, Add),
                    (181, Failover(1)),
                    (240, Add),
                    (241, Failover(1)),
                ],
            )
        }
        Rule::RollOutlastsAccounts => {
            let base = Shape { takes: 8_000..9_900, lasts: 400 * S, ..wanted(60) };
            script(
                base,
                &[
                    (60, DrainOf(0, 3)),
                    (63, Add),
                    (66, Failover(1)),
                    (160, DrainOf(1, 3)),
                    (163, Add),
                    (166, Failover(1)),
                ],
            )
        }
        Rule::UnheardIsUnknown => {
            script(wanted(20), &[(30, Cut(0, 40)), (31, Failover(1)), (120, Cut(1, 40)), (121, Failover(1))])
        }
        Rule::TakeoverWaitsLease => {
            let base = Shape { lasts: 500 * S, ..wanted(5) };
            script(base, &[(30, Cut(0, 150)), (31, Failover(0)), (250, Cut(1, 150)), (251, Spurious)])
        }
        Rule::TakeoverWaitsValid => {
            let base = Shape { hoards: true, lasts: 500 * S, ..wanted(5) };
            script(base, &[(30, CutApi(60)), (30, Spurious), (39, Cut(0, 150)), (39, Cut(1, 150))])
        }
        Rule::LongOutlastsRollCall => {
            let script_: Vec<_> = (2..80).map(|n| (30 * n, Failover(1))).collect();
            script(long(), &script_)
        }
        Rule::LostLedgerIsUnknown => script(wanted(60), &[(60, LoseLedger), (61, Failover(1)), (61, Cut(0, 60))]),
        Rule::Checkpoints | Rule::LendWithinCheckpoint => {
            let script_: Vec<_> = (1..80).map(|n| (30 * n, Failover(1))).collect();
            script(long(), &script_)
        }
        Rule::UnlistedIsUnknown => {
            let mut base = Shape { tenants: 3, thinks: 500..2_000, backs_off: 2_000, ..long() };
            base.caps[0].scope = Scope::Tenant;
            script(base, &[(3, Failover(1)), (6, Failover(1)), (9, Failover(1)), (12, Failover(1))])
        }
        Rule::SharesOutlastLenders => script(
            Shape { pods: 2, lasts: 400 * S, ..shared(60) },
            &[(30, Cut(0, 350)), (60, Failover(1)), (80, Add), (90, Add)],
        ),
        Rule::SharesOutlastPods => {
            let base = Shape { pods: 2, lasts: 900 * S, ..shared(300) };
            script(
                base,
                &[
                    (60, KillOf(0, true)),
                    (62, Add),
                    (120, KillOf(1, true)),
                    (122, Add),
                    (180, KillOf(2, true)),
                    (182, Add),
                ],
            )
        }
        Rule::ShrunkWhenAgreed => script(
            Shape { pods: 1, lasts: 500 * S, ..shared(300) },
            &[(60, Cut(0, 400)), (70, Add), (80, Add), (90, Add)],
        ),
        Rule::HighestFloat => {
            let base = Shape { lasts: 500 * S, ..wanted(60) };
            script(
                base,
                &[(30, Edit(20, 20)), (31, Cut(0, 120)), (33, Failover(1)), (50, Edit(100, 100)), (80, Cut(1, 60))],
            )
        }
        Rule::HighestShares => {
            let base = Shape { pods: 2, lasts: 500 * S, ..shared(60) };
            script(base, &[(30, Cut(0, 400)), (40, Edit(100, 0))])
        }
        Rule::RaiseWhenWritten => {
            let api = Net { delay: 1..3_000, lost: 30, doubled: 0, late: 0 };
            let base = Shape { api, lasts: 500 * S, ..wanted(60) };
            let mut base = base;
            base.asks = CAP / 50..CAP / 50 + 1;
            script(
                base,
                &[(20, Edit(50, 50)), (200, Edit(100, 100)), (201, Cut(0, 60)), (201, Failover(1)), (202, Cut(1, 60))],
            )
        }
        Rule::CedeToTheLiving => {
            let base = Shape {
                lasts: 110 * S,
                least_used: 0.8,
                ends: [1, 0, 0, 0, 0],
                asks: CAP / 50..CAP / 50 + 1,
                ..wanted(20)
            };
            script(base, &[(56, Failover(10_000))])
        }
        Rule::Contention => {
            let asks = CAP / 40..CAP / 40 + 1;
            let base = Shape { pods: 60, callers: 1, thinks: 20_000..30_000, takes: 1_000..1_001, ..Shape::plain(60) };
            // Who is refused comes back with his next request: coins that lie about are not asked for.
            Shape { asks, backs_off: 25_000, costs_from: 91, surprise: 91, lasts: 120 * S, least_used: 0.8, ..base }
        }
        Rule::Cas => {
            let api = Net { delay: 1..50, lost: 0, doubled: 0, late: 25 };
            let base = Shape { api, pods: 2, lasts: 900 * S, ..wanted(20) };
            let mut all = vec![];
            for (n, at) in (2..12).map(|n| (n, 70 * n as u64 - 80)) {
                all.extend([(at, Spurious), (at + 15, Add), (at + 20, Cut(n, 60)), (at + 25, Failover(1))]);
                all.push((at + 26, KillOf(n - 1, true)));
            }
            script(base, &all)
        }
        Rule::VanishedIsNotEnded => script(wanted(20), &[(60, ForceDelete), (120, ForceDelete)]),
        Rule::SuccessorIsNotEnd => script(wanted(20), &[(60, CrashOf(0, false)), (120, CrashOf(1, false))]),
        Rule::AsleepCounts => script(
            Shape { lasts: 500 * S, ..wanted(20) },
            &[(30, Stop(0, 150)), (31, Stop(1, 150)), (250, Stop(0, 100))],
        ),
        Rule::NewestLease => {
            let late = Net { delay: 1..5, lost: 0, doubled: 0, late: 30 };
            let base = Shape { pods: 1, callers: 12, is_late: false, ends: [1, 0, 0, 0, 0], ..shared(60) };
            script(Shape { net: late, asks: CAP / 50..CAP / 50 + 1, ..base }, &[(60, Add), (61, Add)])
        }
        Rule::NewestTerm => {
            let late = Net { delay: 1..5, lost: 0, doubled: 0, late: 30 };
            let base = Shape { net: late, callers: 2, thinks: 0..3_000, lasts: 900 * S, ..wanted(20) };
            let script_: Vec<_> = (1..20).map(|n| (40 * n, Failover(1))).collect();
            script(base, &script_)
        }
        Rule::WaitsDrift => {
            let slow = Shape { thinks: 20_000..40_000, backs_off: 20_000, callers: 6, pods: 2, ..shared(300) };
            let base = Shape { drift: 1_999, lasts: 87_200 * S, asks: CAP / 100..CAP / 100 + 1, ..slow };
            script(base, &[(60, Cut(0, 87_100)), (100, Add), (86_606, Add), (86_607, Add)])
        }
        Rule::AllowanceIsOut | Rule::UnlistedOverTerms => {
            script(long(), &[(5, Failover(1)), (10, Failover(1)), (15, Failover(1)), (20, Failover(1))])
        }
        Rule::UnansweredGivesNothing => {
            let base = Shape { thinks: 3_000..8_000, backs_off: 8_000, ..long() };
            script(base, &[(8, CutApi(20)), (21, Failover(1)), (34, CutApi(20)), (47, Failover(1))])
        }
        Rule::ShareWhenWritten => {
            let quick = Shape { is_late: false, ends: [1, 0, 0, 0, 0], asks: CAP / 50..CAP / 50 + 1, ..shared(60) };
            let base = Shape { pods: 4, lasts: 300 * S, ..quick };
            let drained = [(20, DrainOf(1, 1)), (21, DrainOf(2, 1)), (160, CutApi(30)), (160, DrainOf(3, 1))];
            let then = [(169, Failover(1)), (170, Add), (170, Add), (171, Add)];
            script(base, &[&drained[..], &then].concat())
        }
        Rule::AgreedWhenDurable => {
            let base = Shape { pods: 1, busy: 0, journal: true, lasts: 500 * S, ..shared(60) };
            let then = [(32, CrashOf(0, false)), (32, Cut(0, 300)), (34, Add), (35, Add), (40, Busy(9))];
            script(base, &[&[(30, Add), (31, Add)][..], &then].concat())
        }
        Rule::ShareLeavesTheDisk => {
            let base = Shape { journal: true, pods: 2, lasts: 500 * S, ..shared(60) };
            script(base, &[(60, RestartOf(0, 1)), (61, Cut(0, 300)), (62, Add), (62, Add), (63, Add)])
        }
        Rule::ShareOfThisBoot => {
            let slow = Shape { thinks: 20_000..40_000, backs_off: 20_000, callers: 6, pods: 2, ..shared(300) };
            let base = Shape { journal: true, lasts: 88_300 * S, asks: CAP / 100..CAP / 100 + 1, ..slow };
            script(
                base,
                &[(60, RebootOf(0, 87_300)), (100, Add), (87_200, Add), (87_201, Add), (87_300, Cut(0, 1_000))],
            )
        }
        Rule::LostOutlivesRows => {
            let base = Shape { journal: true, pods: 2, lasts: 500 * S, ..shared(300) };
            script(base, &[(60, CrashOf(0, true)), (66, Mute(0, 4)), (67, RestartOf(0, 1))])
        }
        Rule::HolderGivesBack => {
            let late = Net { delay: 1..5, lost: 0, doubled: 0, late: 30 };
            let base = Shape { net: late, pods: 2, lasts: 900 * S, ..shared(60) };
            let all = [(60, RestartOf(0, 1)), (120, RestartOf(1, 1)), (180, RestartOf(0, 1)), (240, RestartOf(1, 1))];
            script(base, &[&all[..], &[(300, Add), (301, Add), (302, Add)]].concat())
        }
        other => panic!("{other:?} is one of a single sidecar"),
    }
}
