use std::{sync::Arc, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::{
    money::Usd,
    snapshot::{Budget, Limits, Ratio, Scope},
};

mod later;
mod memory;
mod settle;

const S: u64 = 1_000_000_000;
const NOW: Tick = Tick(terms::HEAD_START.as_nanos() as u64);

fn at(seconds: f64) -> Tick {
    NOW.after(Duration::from_secs_f64(seconds))
}

fn cap(unit: Unit, name: &str, scope: Scope, limit: u64) -> Cap {
    let (warn_at, degrade_at) = (Some(Ratio(7_000)), Some(Ratio(9_000)));
    let window = Duration::from_secs(60);
    Cap { unit, name: name.into(), scope, window, limit, guaranteed: 0, warn_at, degrade_at }
}

fn ledger(caps: Vec<Cap>) -> Ledger {
    let mut ledger = Ledger::new(Default::default(), false);
    ledger.configure(caps, Duration::from_secs(120), NOW);
    ledger
}

struct Names([Arc<str>; 4]);

impl Names {
    fn of(tenant: &str) -> Names {
        Names([tenant, "chat", "gold", "openai"].map(Into::into))
    }

    fn ask(&self, usd: u64, tokens: u64) -> Ask<'_> {
        let [tenant, scene, tier, provider] = &self.0;
        let model = ModelKey::new(&Default::default(), provider, "m");
        Ask {
            tenant: Some(tenant),
            scene,
            tier,
            provider,
            model,
            amounts: Amounts::request(Usd(usd), tokens),
            later: false,
        }
    }
}

#[test]
fn each_way_to_end_has_its_charge_and_its_date() {
    let (cost, more) = (Amounts::request(Usd(60), 6), Amounts::request(Usd(150), 15));
    // How, charged of 100 in money, of 10 tokens, of 1 request, estimated, debt, cooled after (from a settling at 10 s).
    let rows = [
        (How::Ended(cost), (60, 6, 1), false, 0, 70.4),
        (How::Ended(more), (150, 15, 1), false, 50, 70.4),
        (How::EndedWithoutUsage, (100, 10, 1), true, 0, 70.4),
        (How::Closed(cost), (60, 6, 1), true, 0, 70.4),
        (How::Closed(more), (100, 10, 1), true, 0, 70.4),
        // Hold, guard and horizon, the next mark of a thirty-second of that, and the window.
        (How::Unseen, (100, 10, 1), true, 0, 125.3 + 4.0 + 60.4),
        (How::Refused, (0, 0, 1), false, 0, 70.4),
        (How::Unsent, (0, 0, 0), false, 0, 0.0),
    ];
    for (how, (usd, tokens, requests), estimated, debt, cooled) in rows {
        let all =
            [(Unit::Money, "all"), (Unit::Tokens, "openai"), (Unit::Requests, "openai"), (Unit::Tokens, "claude")];
        let mut l = ledger(all.iter().map(|(unit, name)| cap(*unit, name, Scope::Policy, 1000)).collect());
        let names = Names::of("t");
        let hold = l.hold(&names.ask(100, 10), NOW).unwrap();
        assert_eq!(l.nearest(NOW).iter().map(|v| v.held).collect::<Vec<_>>(), [100, 10, 1, 0]);
        let settled = l.settle(hold, how, at(10.0));
        let charged = Amounts { usd: Usd(usd), tokens, requests };
        assert_eq!((settled.charged, settled.estimated, settled.debt.usd), (charged, estimated, Usd(debt)), "{how:?}");
        let spent = |s: f64| l.nearest(at(s)).iter().map(|v| (v.spent, v.held)).collect::<Vec<_>>();
        assert_eq!(spent(10.0), [(usd, 0), (tokens, 0), (requests, 0), (0, 0)], "{how:?}");
        assert_eq!(spent(10.0f64.max(cooled - 5.0))[0].0, usd, "{how:?}");
        assert_eq!(spent(cooled)[0].0, 0, "{how:?}");
        assert_eq!(spent(71.0)[2].0, 0, "a request is counted when it is made: {how:?}");
    }
}

#[test]
fn a_refusal_says_when_to_come_back() {
    let mut l = ledger(vec![cap(Unit::Money, "all", Scope::Policy, 1000)]);
    let names = Names::of("t");
    for s in 0..10 {
        let hold = l.hold(&names.ask(100, 0), at(f64::from(s))).unwrap();
        l.settle(hold, How::Ended(Amounts::request(Usd(90), 0)), at(f64::from(s)));
    }
    // 100 are free, the next 90 each second from 60.4 s on.
    for (usd, missing, second) in [(101, 1, 0.0), (190, 90, 0.0), (191, 91, 1.0), (1000, 900, 9.0)] {
        let Err(Denied::Short { missing: short, retry_after, key }) = l.check(&names.ask(usd, 0), at(10.0)) else {
            panic!("{usd} does not fit")
        };
        assert_eq!((short, &*key.name), (missing, "all"));
        let back = at(10.0).after(retry_after);
        assert!((back.since(at(second)).as_secs_f64() - 60.37).abs() < 0.01, "{usd}: {retry_after:?}");
        assert_eq!(l.check(&names.ask(usd, 0), back), Ok(()));
        assert!(l.check(&names.ask(usd, 0), Tick(back.0 - 1)).is_err(), "{usd}");
    }
    assert_eq!(l.check(&names.ask(100, 0), at(10.0)), Ok(()));
    assert!(matches!(l.hold(&names.ask(1001, 0), at(10.0)), Err(Denied::Impossible { limit: 1000, .. })));

    // Open holds are taken for their worst.
    let hold = l.hold(&names.ask(1000, 0), at(100.0)).unwrap();
    let Err(Denied::Short { retry_after, .. }) = l.check(&names.ask(1, 0), at(100.0)) else { panic!("it fits") };
    l.settle(hold, How::Unseen, at(101.0));
    assert_eq!(l.check(&names.ask(1000, 0), at(100.0).after(retry_after)), Ok(()));
    assert!(l.check(&names.ask(1, 0), at(100.0 + 125.0 + 60.0)).is_err());
}

#[test]
fn a_refusal_of_several_caps_says_when_the_last_of_them_has_room() {
    let mut l = ledger(vec![
        cap(Unit::Money, "minute", Scope::Policy, 1000),
        Cap { window: Duration::from_secs(3_600), ..cap(Unit::Money, "hour", Scope::Tenant, 1500) },
        cap(Unit::Requests, "openai", Scope::Policy, 3),
        cap(Unit::Tokens, "openai", Scope::Policy, 100),
    ]);
    let names = Names::of("t");
    for (second, usd, tokens) in [(0, 300, 20), (0, 200, 40), (10, 400, 30)] {
        let hold = l.hold(&names.ask(usd, tokens), at(f64::from(second))).unwrap();
        l.settle(hold, How::EndedWithoutUsage, at(f64::from(second)));
    }
    // Asked at 20 s. The minutes let go of the first two at 60.4 s, of the third at 70.4 s; a tenant's hour, whose parts are
    // longer, of all at once.
    let rows = [
        (10, 5, Unit::Requests, "openai", 60.37),
        (550, 5, Unit::Money, "minute", 60.37),
        (601, 5, Unit::Money, "hour", 3617.45),
        (10, 65, Unit::Requests, "openai", 60.37),
        (10, 75, Unit::Tokens, "openai", 70.37),
        (600, 75, Unit::Tokens, "openai", 70.37),
        (601, 75, Unit::Money, "hour", 3617.45),
    ];
    for (usd, tokens, unit, name, second) in rows {
        let Err(Denied::Short { key, retry_after, .. }) = l.check(&names.ask(usd, tokens), at(20.0)) else {
            panic!("{usd} and {tokens} do not fit")
        };
        assert_eq!((key.unit, &*key.name), (unit, name), "{usd} {tokens}");
        let back = at(20.0).after(retry_after);
        assert!((back.since(NOW).as_secs_f64() - second).abs() < 0.02, "{usd} {tokens}: {retry_after:?}");
        assert_eq!(l.check(&names.ask(usd, tokens), back), Ok(()), "{usd} {tokens}");
    }
}

proptest! {
    /// Of several caps the answer is the moment when the last one has room: not a nanosecond sooner does all of it fit.
    #[test]
    fn to_come_back_is_when_all_caps_have_room(
        steps in prop::collection::vec((0u64..9_000, 1u64..300, 1u64..40, 0usize..2), 1..40),
        (usd, tokens) in (1u64..450, 1u64..90),
        later in any::<bool>(),
    ) {
        let mut l = ledger(vec![
            cap(Unit::Money, "minute", Scope::Policy, 1000),
            Cap { window: Duration::from_secs(7), ..cap(Unit::Money, "seconds", Scope::Policy, 600) },
            Cap { window: Duration::from_secs(300), degrade_at: None, ..cap(Unit::Money, "each", Scope::Tenant, 1500) },
            cap(Unit::Requests, "openai", Scope::Policy, 6),
            cap(Unit::Tokens, "openai", Scope::Policy, 200),
            cap(Unit::Tokens, "claude", Scope::Policy, 1),
        ]);
        let (mut now, names) = (NOW, ["a", "b"].map(Names::of));
        for (ms, usd, tokens, who) in steps {
            now = now.after(Duration::from_millis(ms));
            if let Ok(hold) = l.hold(&names[who].ask(usd, tokens), now) {
                l.settle(hold, How::EndedWithoutUsage, now);
            }
        }
        let ask = Ask { later, ..names[0].ask(usd, tokens) };
        let Err(denied) = l.check(&ask, now) else { return Ok(()) };
        let (key, wait) = match &denied {
            Denied::Short { key, retry_after, .. } => (key, *retry_after),
            Denied::Spared { key, retry_after } if later => (key, *retry_after),
            other => panic!("{other:?}"),
        };
        let back = now.after(wait);
        prop_assert_eq!(l.check(&ask, back), Ok(()), "{:?}", denied);
        // Until then it is the key that was named that stands in the way.
        let (Denied::Short { key: last, .. } | Denied::Spared { key: last, .. }) =
            l.check(&ask, Tick(back.0 - 1)).unwrap_err() else { panic!("it is short") };
        prop_assert_eq!(&last, key);
    }
}

#[test]
fn pressure_is_of_the_fullest_budget() {
    let all = cap(Unit::Money, "all", Scope::Policy, 1000);
    let mut l = ledger(vec![
        all,
        cap(Unit::Money, "each", Scope::Tenant, 500),
        cap(Unit::Requests, "openai", Scope::Policy, 1),
    ]);
    let names = Names::of("t");
    assert_eq!(l.pressure(&names.ask(0, 0), NOW), Pressure::Normal);
    for (usd, want) in [(349, Pressure::Normal), (1, Pressure::Warn), (100, Pressure::Degrade), (50, Pressure::Full)] {
        let hold = l.hold(&names.ask(usd, 0), NOW).unwrap();
        assert_eq!(l.pressure(&names.ask(0, 0), NOW), want);
        assert_eq!(l.pressure(&Names::of("other").ask(0, 0), NOW), Pressure::Normal);
        // The one request that is allowed is given back; the money is kept.
        let charged = l.settle(hold, How::Ended(Amounts::request(Usd(usd), 0)), NOW).charged;
        assert_eq!(charged.usd, Usd(usd));
        l.configure(
            l.books.iter().map(|b| b.cap.clone()).filter(|c| c.unit == Unit::Money).collect(),
            Duration::ZERO,
            NOW,
        );
    }
}

#[test]
fn the_key_nearest_its_limit_is_shown() {
    let mut l = ledger(vec![cap(Unit::Money, "each", Scope::Tenant, 1000)]);
    for (tenant, usd) in [("a", 100), ("b", 300), ("c", 200)] {
        let hold = l.hold(&Names::of(tenant).ask(usd, 0), at(1.0)).unwrap();
        l.settle(hold, How::Ended(Amounts::request(Usd(usd), 0)), at(1.0));
    }
    let view = l.nearest(at(2.0)).remove(0);
    assert_eq!((view.key.value.as_deref(), view.spent, view.limit, view.last_minute), (Some("b"), 300, 1000, 300));
    assert!(view.next_free.is_some_and(|d| (d.as_secs_f64() - 59.37).abs() < 0.01));
    let names = Names::of("a");
    let mut spent = vec![];
    l.standing(&names.ask(1, 0), at(2.0), |s| spent.push(s.spent.0));
    assert_eq!(spent, [100]);
}

#[test]
fn a_hold_is_sent_within_the_guard() {
    let mut l = ledger(vec![]);
    let hold = l.hold(&Names::of("t").ask(1, 0), NOW).unwrap();
    assert!(hold.may_send(at(4.0)) && !hold.may_send(Tick(at(4.0).0 + 1)));
    l.settle(hold, How::Unsent, at(5.0));
}

#[test]
fn tenants_beyond_the_table_share_one_cap() {
    let mut l = ledger(vec![cap(Unit::Money, "each", Scope::Tenant, 100)]);
    l.most_values = 2;
    let fits = |l: &mut Ledger, tenant: &str| l.hold(&Names::of(tenant).ask(60, 0), NOW).is_ok();
    assert!(["a", "b", "c"].iter().all(|t| fits(&mut l, t)));
    assert!(["a", "b", "c", "d"].iter().all(|t| !fits(&mut l, t)));
    assert_eq!(l.accounts.len(), 3);
    let Err(Denied::Short { key, .. }) = l.check(&Names::of("d").ask(60, 0), NOW) else {
        panic!("the shared key has no room for so much")
    };
    assert_eq!(key.value, None);
}

#[test]
fn a_clean_restart_loses_nothing_and_spends_nothing() {
    let caps = || vec![cap(Unit::Money, "all", Scope::Policy, 1000), cap(Unit::Money, "each", Scope::Tenant, 500)];
    let start = |past, clock, now| {
        let mut l = Ledger::new(Default::default(), true);
        l.configure(caps(), Duration::from_secs(120), now);
        l.restore(past, clock, now);
        l
    };
    let write = |l: &mut Ledger, last, now| {
        let checkpoint = l.checkpoint(last, now);
        l.durable(checkpoint.id);
        checkpoint
    };
    let names = Names::of("t");
    let mut l = start(Past::None, Clock::Same, NOW);
    assert_eq!(l.hold(&names.ask(10, 0), NOW).unwrap_err(), Denied::Journal, "nothing is on disk yet");
    write(&mut l, false, NOW);
    // A tenth of the cap; then as much as was wanted last, and again.
    let hold = l.hold(&names.ask(50, 0), NOW).unwrap();
    l.settle(hold, How::EndedWithoutUsage, at(1.0));
    assert_eq!(l.hold(&names.ask(200, 0), at(1.0)).unwrap_err(), Denied::Journal);
    assert!(l.wants_checkpoint());
    write(&mut l, false, at(1.0));
    let hold = l.hold(&names.ask(200, 0), at(1.0)).unwrap();
    l.settle(hold, How::EndedWithoutUsage, at(2.0));
    let last = write(&mut l, true, at(20.0));
    assert!(last.head.clean);
    assert_eq!(l.hold(&names.ask(1, 0), at(20.0)).unwrap_err(), Denied::Journal, "it was the last");

    let spent = |l: &Ledger, now| l.nearest(now).iter().map(|v| v.spent).collect::<Vec<_>>();
    let kept = || Past::Kept(last.head.clone(), last.rows.clone());
    let same = start(kept(), Clock::Same, at(30.0));
    assert_eq!([61.2, 61.5, 62.5].map(|s| spent(&same, at(s))[0]), [250, 200, 0]);
    // On another clock the time away does not count: 42.4 s were left to cool.
    let other = start(kept(), Clock::Other, at(1_000_000.0));
    assert_eq!([41.2, 41.5, 42.5].map(|s| spent(&other, at(1_000_000.0 + s))[0]), [250, 200, 0]);
    // As after a crash: the tenant that no row names has spent its part too.
    let crash = start(Past::Kept(Head { clean: false, ..last.head.clone() }, vec![]), Clock::Same, at(30.0));
    assert_eq!(spent(&crash, at(30.0)), [50, 25]);
    let lost = start(Past::Lost, Clock::Same, at(30.0));
    assert_eq!([spent(&lost, at(30.0 + 125.0 + 60.0)), spent(&lost, at(30.0 + 145.0 + 61.0))], [[1000, 500], [0, 0]]);
}

#[test]
fn a_policys_caps() {
    let mut snapshot = crate::snapshot::tests::snapshot();
    snapshot.budgets = vec![Budget {
        name: "minute".into(),
        window: Duration::from_secs(60),
        limit: Usd(2 * S),
        scope: Scope::Tenant,
        warn_at: Some(Ratio(7_000)),
        degrade_at: None,
        guaranteed: None,
        lease_wait: Duration::ZERO,
    }];
    snapshot.providers[1].limits = Limits { tokens_per_minute: Some(5), ..Limits::default() };
    let rows: Vec<_> = caps(&snapshot).into_iter().map(|c| (c.unit, c.name.to_string(), c.scope, c.limit)).collect();
    let tokens = (Unit::Tokens, "claude".to_owned(), Scope::Policy, 5);
    assert_eq!(rows, [(Unit::Money, "minute".to_owned(), Scope::Tenant, 2 * S), tokens]);
    assert_eq!(bill_horizon(&snapshot), Duration::from_secs(120));
    snapshot.tiers[0].timeouts.total = Duration::from_secs(100);
    assert_eq!(bill_horizon(&snapshot), Duration::from_secs(160));
}

#[test]
fn who_knows_nothing_of_processes_before_it_gives_their_share_back_late() {
    let mut l = Ledger::new(Default::default(), false);
    l.borrow(message::Incarnation(1));
    l.configure(vec![cap(Unit::Money, "all", Scope::Policy, 1_000)], Duration::from_secs(120), NOW);
    let words = l.end(at(10.0));
    // Guard and horizon, the next mark of a hundred-and-twenty-eighth of that, and the window.
    let remaining = words[0].share.remaining.as_secs_f64();
    assert!((125.0 + 60.0..125.3 + 1.0 + 60.4).contains(&remaining), "{remaining}");
    assert_eq!(l.end(at(11.0)), [], "it said its last");
}

#[test]
fn a_cap_that_the_lenders_terms_leave_out_has_no_guaranteed_part() {
    let mut l = Ledger::new(Default::default(), false);
    l.borrow(message::Incarnation(1));
    let caps = ["kept", "gone"].map(|name| cap(Unit::Money, name, Scope::Policy, 1_000));
    l.configure(caps.to_vec(), Duration::from_secs(120), NOW);
    let terms = |name: &str| {
        let (unit, scope) = (Unit::Money, Scope::Policy);
        message::Terms { unit, name: name.into(), scope, guaranteed: 50, is_long: false }
    };
    let guaranteed = |l: &Ledger| l.books.iter().map(|b| b.guaranteed).collect::<Vec<_>>();
    let rows = [(vec![terms("kept"), terms("gone")], [50, 50]), (vec![], [50, 50]), (vec![terms("kept")], [50, 0])];
    for (seq, (terms, want)) in (1..).zip(rows) {
        let lease = message::Lease { incarnation: message::Incarnation(1), seq, terms, ..Default::default() };
        l.take_answer(&message::Answer::Lease(lease), message::Incarnation(2), NOW);
        assert_eq!(guaranteed(&l), want);
    }
}
