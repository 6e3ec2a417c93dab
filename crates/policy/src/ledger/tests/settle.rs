//! What a settlement leaves behind, but for the charge itself.

use super::{later::lend, *};

fn journalled(shared: bool) -> Ledger {
    let mut l = Ledger::new(Default::default(), true);
    if shared {
        l.borrow(message::Incarnation(1));
    }
    l.configure(vec![cap(Unit::Money, "all", Scope::Policy, 1000)], Duration::from_secs(120), NOW);
    l.restore(Past::None, Clock::Same, NOW);
    write(&mut l);
    l
}

/// Rows of the next write, which is durable at once.
fn write(l: &mut Ledger) -> usize {
    let checkpoint = l.checkpoint(false, NOW);
    l.durable(checkpoint.id);
    checkpoint.rows.len()
}

#[test]
fn what_the_pod_spent_of_its_own_is_written_and_borrowed_coins_are_the_lenders_to_remember() {
    let names = Names::of("t");
    for (shared, how, rows) in [
        (false, How::EndedWithoutUsage, 1),
        (false, How::Unsent, 1),
        (true, How::EndedWithoutUsage, 0),
        (true, How::Unsent, 0),
        // More than was borrowed.
        (true, How::Ended(Amounts::request(Usd(60), 0)), 1),
    ] {
        let mut l = journalled(shared);
        if shared {
            lend(&mut l, 50, 50);
        }
        let hold = l.hold(&names.ask(50, 0), NOW).unwrap();
        write(&mut l);
        l.settle(hold, how, NOW);
        assert_eq!(write(&mut l), rows, "shared: {shared}, {how:?}");
    }
}

#[test]
fn borrowed_coins_come_back_to_be_held_again() {
    let mut l = Ledger::new(Default::default(), false);
    l.borrow(message::Incarnation(1));
    l.configure(vec![cap(Unit::Money, "all", Scope::Policy, 1000)], Duration::from_secs(120), NOW);
    lend(&mut l, 100, 0);
    let names = Names::of("t");
    for _ in 0..3 {
        let hold = l.hold(&names.ask(100, 0), NOW).unwrap();
        assert!(l.check(&names.ask(1, 0), NOW).is_err());
        l.settle(hold, How::Unsent, NOW);
    }
}
