//! What requests that can wait leave to those that cannot.

use super::*;

#[test]
fn who_can_wait_leaves_the_rest_to_those_who_cannot() {
    let at = |n: u32| Some(Ratio(n));
    // Limit, `degradeAt`, spent, need of a request that can wait; whether it fits, and one that cannot wait.
    let rows = [
        (1000, at(9_000), 0, 899, true, true),
        (1000, at(9_000), 0, 900, false, true),
        (1000, at(9_000), 800, 99, true, true),
        (1000, at(9_000), 800, 100, false, true),
        (1000, at(9_000), 950, 0, true, true),
        (1000, at(0), 0, 1, false, true),
        (1000, at(10_000), 0, 1000, false, true),
        (1000, None, 0, 500, true, true),
        (1000, None, 1, 500, false, true),
        (1000, None, 600, 1, false, true),
        (1000, None, 600, 401, false, false),
        (3, None, 0, 2, true, true),
        (1, None, 0, 1, true, true),
    ];
    for (limit, degrade_at, spent, need, later_fits, fits) in rows {
        for unit in [Unit::Money, Unit::Tokens] {
            let mut l = ledger(vec![Cap { degrade_at, warn_at: None, ..cap(unit, "openai", Scope::Policy, limit) }]);
            let names = Names::of("t");
            let ask = |amount, later| Ask { later, ..names.ask(amount, amount) };
            let hold = l.hold(&ask(spent, false), NOW).unwrap();
            let what = format!("{limit} {degrade_at:?} {spent} {need} {unit:?}");
            assert_eq!(l.check(&ask(need, true), NOW).is_ok(), later_fits, "{what}");
            assert_eq!(l.check(&ask(need, false), NOW).is_ok(), fits, "{what}");
            let spared = matches!(l.check(&ask(need, true), NOW), Err(Denied::Spared { .. }));
            assert_eq!(spared, !later_fits && fits && need <= l.books[0].cap.for_later(), "{what}");
            l.settle(hold, How::EndedWithoutUsage, NOW);
            assert_eq!(l.check(&ask(need, true), NOW).is_ok(), later_fits, "spent as held: {what}");
        }
    }
}

/// Where a cap is shared, coins are borrowed for one that can wait only where these let it fit within its part.
#[test]
fn nothing_is_borrowed_for_who_can_wait_that_it_may_not_use() {
    // `degradeAt`, lent here, used by anybody, need; whether one that can wait has the lender asked, and what it is told; the
    // same of one that cannot.
    let nine = Some(Ratio(9_000));
    let rows = [
        (nine, 0, 0, 100, true, "short", true),
        (nine, 0, 799, 100, true, "short", true),
        (nine, 0, 800, 100, false, "spared", true),
        (nine, 50, 800, 100, false, "spared", true),
        (nine, 100, 799, 100, false, "fits", false),
        (nine, 100, 800, 100, false, "spared", false),
        (nine, 0, 950, 100, false, "short", true),
        (None, 0, 400, 100, true, "short", true),
        (None, 0, 401, 100, false, "spared", true),
        (nine, 0, 0, 900, false, "impossible", true),
    ];
    for (degrade_at, lent, used, need, asks, told, asks_online) in rows {
        let what = format!("{degrade_at:?} {lent} {used} {need}");
        let mut l = Ledger::new(Default::default(), false);
        l.borrow(message::Incarnation(1));
        let cap = Cap { degrade_at, ..cap(Unit::Money, "all", Scope::Policy, 1000) };
        l.configure(vec![cap], Duration::from_secs(120), NOW);
        lend(&mut l, lent, used);
        let names = Names::of("t");
        let later = Ask { later: true, ..names.ask(need, 0) };
        let denied = match l.check(&later, NOW) {
            Ok(()) => "fits",
            Err(Denied::Short { .. }) => "short",
            Err(Denied::Spared { .. }) => "spared",
            Err(Denied::Impossible { .. }) => "impossible",
            Err(Denied::Journal) => "journal",
        };
        assert_eq!(denied, told, "{what}");
        for (ask, asks) in [(later, asks), (names.ask(need, 0), asks_online)] {
            let wait = l.wait(&ask, NOW);
            assert_eq!(wait.is_some(), asks, "{what}, later: {}", ask.later);
            let pend: Vec<u64> =
                l.report(message::Incarnation(2), NOW).iter().flat_map(|r| &r.keys).map(|k| k.pend).collect();
            assert_eq!(pend.iter().sum::<u64>(), if asks { need } else { 0 }, "{what}, later: {}", ask.later);
            wait.into_iter().for_each(|wait| l.leave(wait));
        }
    }
}

/// One key has room, if it is lent some, and another has none left for one that can wait: nothing is asked of either.
#[test]
fn nothing_is_borrowed_of_one_cap_for_who_may_not_use_another() {
    let mut l = Ledger::new(Default::default(), false);
    l.borrow(message::Incarnation(1));
    let caps = ["all", "other"].map(|name| cap(Unit::Money, name, Scope::Policy, 1000));
    l.configure(caps.to_vec(), Duration::from_secs(120), NOW);
    lend(&mut l, 0, 850);
    let names = Names::of("t");
    let later = Ask { later: true, ..names.ask(100, 0) };
    assert!(matches!(l.check(&later, NOW), Err(Denied::Short { .. })));
    assert!(l.wait(&later, NOW).is_none());
    assert!(l.wait(&names.ask(100, 0), NOW).is_some());
}

/// What was lent of the cap `all`, and how much of it is used by anybody.
pub(super) fn lend(l: &mut Ledger, granted: u64, used: u64) {
    let reports = l.report(message::Incarnation(2), NOW);
    let key = Key { unit: Unit::Money, name: "all".into(), scope: Scope::Policy, value: None };
    let (limit, keep) = (u64::MAX, u64::MAX);
    let row = message::KeyLease { key, granted, ceded: 0, limit, keep, used, retry_after: None };
    let lease = message::Lease {
        incarnation: message::Incarnation(1),
        seq: 1,
        echo: reports[0].number,
        ttl: Duration::from_secs(60),
        horizon: Duration::from_secs(600),
        keys: vec![row],
        ..Default::default()
    };
    l.take_answer(&message::Answer::Lease(lease), message::Incarnation(2), NOW);
}
