//! What admission costs: `cargo bench -p policy`. A hold and its settling, each behind the caller's lock.
#![allow(missing_docs, clippy::expect_used, reason = "a measuring tool, never shipped")]

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use policy::{
    Tick,
    ledger::{Amounts, Ask, Cap, How, Ledger, Unit, terms::HEAD_START},
    money::Usd,
    snapshot::Scope,
};

const MS: u64 = 1_000_000;

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

/// A hold and its settling by one of `tenants` after the other, after each was seen once; 1 ms between them.
fn run(c: &mut Criterion, name: &str, caps: Vec<Cap>, tenants: usize) {
    for journal in [false, true] {
        let tenants: Vec<Arc<str>> = (0..tenants).map(|n| format!("tenant-{n:08}").into()).collect();
        let names: [Arc<str>; 3] = ["chat", "gold", "openai"].map(Into::into);
        let mut ledger = Ledger::new(Default::default(), journal);
        let mut now = Tick(HEAD_START.as_nanos() as u64);
        ledger.configure(caps.clone(), Duration::from_secs(120), now);
        let first = ledger.checkpoint(false, now).id;
        ledger.durable(first);
        let model = ledger.model("openai", "gpt-6-sol");
        let mut one = |n: usize| {
            now = Tick(now.0 + MS);
            let [scene, tier, provider] = &names;
            // A stride that does not follow the order of memory.
            let tenant = Some(&tenants[n * 7_919 % tenants.len()]);
            let ask = Ask { tenant, scene, tier, provider, model, amounts: Amounts::request(Usd(1_100_000), 1_000) };
            let hold = ledger.hold(black_box(&ask), now).expect("the caps are out of reach");
            black_box(ledger.settle(hold, How::Ended(Amounts::request(Usd(1_000_000), 900)), now));
        };
        (0..tenants.len()).for_each(&mut one);
        let mut n = 0;
        c.bench_function(&format!("{name}{}", if journal { ", journal" } else { "" }), |b| {
            b.iter(|| {
                n += 1;
                one(n);
            });
        });
    }
}

fn admission(c: &mut Criterion) {
    run(c, "two budgets", vec![cap("minute", Scope::Policy, 60), cap("day", Scope::Tenant, 86_400)], 100);
    let scopes = [Scope::Policy, Scope::Tenant, Scope::Scene, Scope::Tenant, Scope::Tier];
    let ten = (0..10).map(|n| cap(&format!("b{n}"), scopes[n % 5], 60 << n)).collect();
    run(c, "ten budgets, 100,000 tenants", ten, 100_000);
}

criterion_group!(benches, admission);
criterion_main!(benches);
