//! Many sidecars and operators in virtual time, by seeds: the state machines that ship, every fault of LEDGER, and an oracle
//! that knows the bills alone.

mod needed;
mod op;
mod pod;
mod provider;
mod shape;
mod store;
mod world;

use fastrand::Rng;

use self::{
    shape::Shape,
    world::{Outcome, World},
};

fn any(seed: u64) -> Result<Outcome, String> {
    let shape = Shape::any(&mut Rng::with_seed(seed));
    World::new(shape.clone(), seed).run().map_err(|fault| format!("seed {seed}: {fault}\n{shape:?}"))
}

#[test]
fn no_window_is_billed_above_its_cap_by_all_pods_together() {
    let seeds = std::env::var("SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(200);
    let from = std::env::var("FROM").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    let (mut fullest, mut attempts, mut takeovers, mut waits) = (0f64, 0, 0, 0);
    for seed in from..from + seeds {
        let outcome = any(seed).unwrap_or_else(|fault| panic!("{fault}"));
        fullest = fullest.max(outcome.fullest);
        attempts += outcome.attempts;
        takeovers += outcome.takeovers;
        waits += outcome.waits;
    }
    println!("{attempts} attempts, {waits} waits, {takeovers} takeovers, the fullest window is at {fullest:.3} of its cap");
    assert!(fullest > 0.99, "demand is above the caps, or nothing is proven: {fullest}");
}

#[test]
fn one_pod_uses_most_of_its_cap() {
    let outcome = World::new(Shape::plain(60), 1).run().unwrap_or_else(|fault| panic!("{fault}"));
    println!("{outcome:?}");
}
