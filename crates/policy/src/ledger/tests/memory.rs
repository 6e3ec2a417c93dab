//! What the ledger remembers of tenants, in bytes.

use super::*;

/// What README.md says of a tenant under one budget, in bytes: one that asks now and then, and one that asks all the time
/// and is sometimes cut off; with borrowed coins at most twice as much.
const QUIET: usize = 300;
const BUSY: usize = 1_100;

fn heap(account: &Account) -> usize {
    account.ring.heap_bytes() + account.minute.as_ref().map_or(0, |m| size_of_val(&**m))
}

/// Of the accounts' places, of the table that finds them, and of their names with two counts.
fn places(l: &Ledger) -> usize {
    let table = l.books[0].keys.capacity() * 8 / 7 * (size_of::<(Arc<str>, u32)>() + 1);
    let names: usize = l.books[0].keys.keys().map(|name| name.len().next_multiple_of(8) + 16).sum();
    l.accounts.capacity() * size_of::<Account>() + table + names
}

fn tenant(n: usize) -> Names {
    Names::of(&format!("tenant-{n:013}"))
}

/// As many tenants as there may be, which have asked once today: quiet, not idle.
fn full() -> Ledger {
    let day = Duration::from_secs(86_400);
    let mut l = ledger(vec![Cap { window: day, ..cap(Unit::Money, "each", Scope::Tenant, 1000) }]);
    for n in 0..MOST_VALUES {
        let hold = l.hold(&tenant(n).ask(5, 0), NOW).unwrap();
        l.settle(hold, How::Ended(Amounts::request(Usd(5), 0)), NOW);
    }
    l.tidy(MOST_VALUES, at(100.0));
    l
}

#[test]
fn a_quiet_tenant_costs_what_is_said() {
    let mut l = full();
    assert_eq!(l.books[0].keys.len(), MOST_VALUES);
    let each = (places(&l) + l.accounts.iter().map(heap).sum::<usize>()) / MOST_VALUES;
    assert!(each <= QUIET && each > QUIET * 9 / 10, "{each}");
    // One more shares a key with whoever comes after it.
    assert!((MOST_VALUES..MOST_VALUES + 9).all(|n| l.hold(&tenant(n).ask(5, 0), at(100.0)).is_ok()));
    assert_eq!(l.accounts.len(), MOST_VALUES + 1);

    l.tidy(2 * MOST_VALUES, at(90_000.0));
    assert!(l.books[0].keys.is_empty());
    assert_eq!(l.vacant.len(), MOST_VALUES);
}

#[test]
fn a_busy_tenant_costs_what_is_said() {
    let mut l = ledger(vec![cap(Unit::Money, "each", Scope::Tenant, 1_000_000)]);
    let busy = tenant(0);
    let mut most = 0;
    for tenths in 0..2_000u32 {
        let now = at(f64::from(tenths) / 10.0);
        let hold = l.hold(&busy.ask(5, 0), now).unwrap();
        l.settle(hold, if tenths % 10 == 0 { How::Unseen } else { How::EndedWithoutUsage }, now);
        most = most.max(heap(&l.accounts[0]));
    }
    let place = places(&full()) / MOST_VALUES;
    assert!(place + most <= BUSY && place + most > BUSY * 9 / 10, "{place} + {most}");
    assert!(size_of::<borrow::float::Float>() <= QUIET);
    let borrowed = size_of::<borrow::float::Float>() + l.accounts[0].ring.heap_bytes();
    assert!(borrowed <= BUSY, "{borrowed}");
}
