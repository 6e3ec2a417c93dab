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
    let (mut fullest, mut attempts, mut takeovers, mut waits) = (0f64, 0, 0, 0);
    for seed in 0..400 {
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

/// LEDGER's first row: 0.955 of what is lent, of which a twentieth is guaranteed here.
#[test]
fn a_few_pods_use_most_of_a_cap() {
    let outcome = World::new(Shape::plain(60), 1).run().unwrap_or_else(|fault| panic!("{fault}"));
    println!("{outcome:?}");
    assert!(outcome.used > 0.9, "{outcome:?}");
}
