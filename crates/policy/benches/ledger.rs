//! What admission costs: `make bench-ledger`. A hold and its settling, each behind the caller's lock. Criterion tells how
//! the figures spread; those that the bars are for are measured beside it, and above one of them the run fails.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a measuring tool, never shipped: it reads a clock"
)]

use std::{
    hint::black_box,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::Criterion;
use policy::{
    Tick,
    ledger::{Amounts, Ask, Cap, How, Ledger, Unit, terms::HEAD_START},
    money::Usd,
    snapshot::Scope,
};

const MS: u64 = 1_000_000;

/// A load, and what it may cost at the median.
struct Load {
    name: &'static str,
    caps: Vec<Cap>,
    tenants: usize,
    bar: Duration,
}

fn cap(name: &str, scope: Scope, seconds: u64) -> Cap {
    let window = Duration::from_secs(seconds);
    Cap {
        unit: Unit::Money,
        name: name.into(),
        scope,
        window,
        limit: u64::MAX / 4,
        guaranteed: 0,
        warn_at: None,
        degrade_at: None,
    }
}

/// A hold and its settling by one of the tenants after the other, after each was seen once; 1 ms between them. True if the
/// median is within the bar.
fn run(c: &mut Criterion, load: &Load, journal: bool) -> bool {
    let tenants: Vec<Arc<str>> = (0..load.tenants).map(|n| format!("tenant-{n:08}").into()).collect();
    let names: [Arc<str>; 3] = ["chat", "gold", "openai"].map(Into::into);
    let mut ledger = Ledger::new(Default::default(), journal);
    let mut now = Tick(HEAD_START.as_nanos() as u64);
    ledger.configure(load.caps.clone(), Duration::from_secs(120), now);
    let first = ledger.checkpoint(false, now).id;
    ledger.durable(first);
    let model = ledger.model("openai", "gpt-6-sol");
    let mut n = 0;
    let mut one = || {
        n += 1;
        now = Tick(now.0 + MS);
        let [scene, tier, provider] = &names;
        // A stride that does not follow the order of memory.
        let tenant = Some(&tenants[n * 7_919 % tenants.len()]);
        let amounts = Amounts::request(Usd(1_100_000), 1_000);
        let ask = Ask { tenant, scene, tier, provider, model, amounts, later: false };
        let hold = ledger.hold(black_box(&ask), now).expect("the caps are out of reach");
        black_box(ledger.settle(hold, How::Ended(Amounts::request(Usd(1_000_000), 900)), now));
    };
    (0..load.tenants).for_each(|_| one());
    let name = format!("{}{}", load.name, if journal { ", journal" } else { "" });
    c.bench_function(&name, |b| b.iter(&mut one));
    let median = median(one);
    println!("figure: {name}: {median:?} at the median, at most {:?}\n", load.bar);
    median <= load.bar
}

/// Of a thousand runs of 64, each as long as one of them.
fn median(mut one: impl FnMut()) -> Duration {
    const RUNS: usize = 1_001;
    const EACH: u32 = 64;
    let mut took: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let began = Instant::now();
            (0..EACH).for_each(|_| one());
            began.elapsed() / EACH
        })
        .collect();
    took.sort_unstable();
    took[RUNS / 2]
}

fn main() -> ExitCode {
    let two = vec![cap("minute", Scope::Policy, 60), cap("day", Scope::Tenant, 86_400)];
    let scopes = [Scope::Policy, Scope::Tenant, Scope::Scene, Scope::Tenant, Scope::Tier];
    let ten = (0..10).map(|n| cap(&format!("b{n}"), scopes[n % 5], 60 << n)).collect();
    let loads = [
        Load { name: "two budgets", caps: two, tenants: 100, bar: Duration::from_micros(2) },
        Load { name: "ten budgets, 100,000 tenants", caps: ten, tenants: 100_000, bar: Duration::from_micros(5) },
    ];
    let mut criterion = Criterion::default().configure_from_args();
    let mut within = true;
    for load in &loads {
        for journal in [false, true] {
            within &= run(&mut criterion, load, journal);
        }
    }
    criterion.final_summary();
    if within { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
