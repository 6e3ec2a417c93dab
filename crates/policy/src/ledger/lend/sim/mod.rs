//! Many sidecars and operators in virtual time, by seeds: the state machines that ship, every fault of LEDGER, and an oracle
//! that knows the bills alone.

mod faults;
mod needed;
mod op;
mod pod;
mod provider;
mod shape;
mod store;
mod world;

use fastrand::Rng;

use self::{
    shape::{CAP, Fault, Shape, cap},
    world::{Outcome, World},
};
use super::super::{Unit, sim::oracle::S};
use crate::snapshot::Scope;

fn any(seed: u64) -> Result<Outcome, String> {
    let shape = Shape::any(&mut Rng::with_seed(seed));
    World::new(shape.clone(), seed).run().map_err(|fault| format!("seed {seed}: {fault}\n{shape:?}"))
}

/// Seeds of `make test`, or those that `LLMROUTE_SEEDS=FROM..TO` names.
fn seeds() -> std::ops::Range<u64> {
    let Ok(named) = std::env::var("LLMROUTE_SEEDS") else { return 0..2_000 };
    let range = named.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    range.unwrap_or_else(|| panic!("LLMROUTE_SEEDS={named} is not FROM..TO"))
}

#[test]
fn no_window_is_billed_above_its_cap_by_all_pods_together() {
    let (mut fullest, mut attempts, mut takeovers, mut waits) = (0f64, 0, 0, 0);
    for seed in seeds() {
        let outcome = any(seed).unwrap_or_else(|fault| panic!("{fault}"));
        fullest = fullest.max(outcome.fullest);
        attempts += outcome.attempts;
        takeovers += outcome.takeovers;
        waits += outcome.waits;
    }
    println!(
        "{attempts} attempts, {waits} waits, {takeovers} takeovers, the fullest window is at {fullest:.3} of its cap"
    );
    assert!(fullest > 0.99, "demand is above the caps, or nothing is proven: {fullest}");
}

/// Requests that hold a two-hundredth of a minute's cap for a second and cost a tenth less, three times as many as fit; a
/// twentieth is guaranteed.
fn busy(pods: usize, callers: usize, thinks: std::ops::Range<u64>) -> Shape {
    let shape = Shape {
        pods,
        callers,
        thinks,
        takes: 1_000..1_001,
        costs_from: 91,
        surprise: 91,
        lasts: 360 * S,
        ..Shape::plain(60)
    };
    holding(200, shape)
}

/// `shape`, with holds of a `part`th of the cap.
fn holding(part: u64, shape: Shape) -> Shape {
    Shape { asks: CAP / part..CAP / part + 1, ..shape }
}

/// LEDGER, section 6: what is used of a cap, demand above it.
#[test]
fn most_of_a_cap_is_used() {
    let scripted = |shape: Shape, every: u64, faults: &dyn Fn(u64) -> Vec<Fault>| {
        let rounds = 1..shape.lasts / S / every;
        let script = rounds.flat_map(|n| faults(n).into_iter().map(move |fault| (n * every, fault))).collect();
        Shape { script, ..shape }
    };
    let slow = Shape { takes: 5_000..5_001, lasts: 3 * 3_600 * S, ..busy(1, 55, 0..1) };
    let slow_and_dear = holding(50, Shape { costs_from: 25, surprise: 25, ..slow.clone() });
    let replaced = |end: fn(usize) -> Fault| {
        scripted(busy(20, 1, 1_000..1_200), 15, &move |n| vec![end(n as usize - 1), Fault::Add])
    };
    let fourth_is_killed = |pod| if pod % 4 == 3 { Fault::KillOf(pod, true) } else { Fault::DrainOf(pod, 3) };
    let alone = Shape { script: vec![(60, Fault::Failover(10_000))], lasts: 720 * S, ..busy(20, 1, 200..400) };
    let turns_busy = Shape { busy: 0, lasts: 22 * S, script: vec![(11, Fault::Busy(1))], ..busy(100, 22, 0..1) };
    let long = |pods| Shape {
        caps: vec![cap(Unit::Money, "all", Scope::Policy, 3_600, CAP)],
        busy: 1,
        backs_off: 3_000,
        lasts: 4 * 3_600 * S,
        ..holding(2_000, busy(pods, 2, 200..400))
    };
    let rows: [(&str, f64, Shape); 14] = [
        ("one pod", 0.945, Shape { lasts: 3_600 * S, ..busy(1, 11, 0..1) }),
        ("one pod, five seconds a request", 0.896, slow),
        ("one pod, five seconds a request, holds of four times the cost", 0.723, slow_and_dear),
        ("100 pods, one busy", 0.917, Shape { busy: 1, ..busy(100, 11, 0..1) }),
        ("100 idle pods, one turns busy: nine tenths within 11 s", 0.9 * 60.0 / 11.0, turns_busy),
        ("1,000 pods, one busy", 0.92, Shape { busy: 1, lasts: 240 * S, ..busy(1_000, 11, 0..1) }),
        ("100 pods, a hold is half of a fair part", 0.901, busy(100, 1, 8_000..10_000)),
        ("100 pods, a hold is more than two fair parts", 0.859, holding(40, busy(100, 1, 40_000..50_000))),
        ("20 pods, one drained and replaced each quarter of a minute", 0.911, replaced(|pod| Fault::DrainOf(pod, 3))),
        ("20 pods, the same, and every fourth is killed instead", 0.794, replaced(fourth_is_killed)),
        (
            "20 pods, a new leader each minute",
            0.911,
            scripted(busy(20, 1, 1_000..1_200), 60, &|_| vec![Fault::Failover(1)]),
        ),
        ("20 pods, no operator for good: of the guaranteed parts", 0.036, holding(2_000, alone)),
        ("an hour, one pod", 0.988, long(1)),
        ("an hour, 20 pods, one busy", 0.934, long(20)),
    ];
    are_used(&rows);
}

/// The same of a thousand pods at once.
#[test]
#[ignore = "it takes minutes: `make soak`"]
fn most_of_a_cap_is_used_by_a_thousand_pods() {
    let shape = holding(2_000, Shape { lasts: 240 * S, ..busy(1_000, 1, 8_000..10_000) });
    are_used(&[("1,000 pods, a hold is half of a fair part", 0.92, shape)]);
}

fn are_used(rows: &[(&str, f64, Shape)]) {
    let mut short = vec![];
    for (what, least, shape) in rows {
        let outcome = World::new(shape.clone(), 1).run().unwrap_or_else(|fault| panic!("{what}: {fault}"));
        println!("{what}: {:.3} of {least}, {} attempts, {} waits", outcome.used, outcome.attempts, outcome.waits);
        if outcome.used < *least {
            short.push((*what, outcome.used, *least));
        }
    }
    assert!(short.is_empty(), "{short:?}");
}
