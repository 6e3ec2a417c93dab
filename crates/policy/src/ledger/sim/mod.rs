//! Callers, reloads, crashes and hostile providers in virtual time, by seeds; an oracle that knows the bills alone.
//!
//! Each rule of the ledger is broken once, and some world must then be judged bad.

mod oracle;
mod shape;
mod world;

use fastrand::Rng;

use self::{
    shape::Shape,
    world::{Report, World},
};

fn any(seed: u64) -> Result<Report, String> {
    let shape = Shape::any(&mut Rng::with_seed(seed));
    World::new(shape.clone(), seed).run().map_err(|fault| format!("seed {seed}: {fault}\n{shape:?}"))
}

#[test]
fn no_window_is_billed_above_its_cap() {
    let (mut fullest, mut attempts) = (0f64, 0);
    for seed in 0..3_000 {
        let report = any(seed).unwrap_or_else(|fault| panic!("{fault}"));
        fullest = fullest.max(report.fullest);
        attempts += report.attempts;
    }
    println!("{attempts} attempts, the fullest window is at {fullest:.3} of its cap");
    assert!(fullest > 0.99, "demand is above the caps, or nothing is proven: {fullest}");
}
#[test]
fn scan() {
    let mut n = 0;
    for seed in 0..300 {
        if let Err(e) = any(seed) {
            n += 1;
            let (a, b) = e.split_once('\n').unwrap();
            let pick = |k: &str| b[b.find(k).unwrap()..].chars().take(30).collect::<String>();
            if n < 30 {
                println!(
                    "{} | {} | {} | {} | {}",
                    &a[..a.len().min(160)],
                    pick("surprise:"),
                    pick("is_late"),
                    pick("edits"),
                    pick("journal")
                )
            }
        }
    }
    println!("{n} bad");
}

#[test]
fn one() {
    if let Err(e) = any(std::env::var("TR").map_or(0, |s| s.parse().unwrap())) {
        println!("{e}")
    }
}
