use policy::{
    ledger::{
        self, Cap, Denied, Hold, How, Unit,
        lend::{Heard, Lender},
        message::Phase,
    },
    money::Usd,
    snapshot::Scope,
};
use tokio::time::timeout;

use super::*;

const LIMIT: u64 = 1_000_000;
const SOON: Duration = Duration::from_secs(5);

fn cap(guaranteed: u64) -> Cap {
    Cap {
        unit: Unit::Money,
        name: "minute".into(),
        scope: Scope::Policy,
        window: Duration::from_secs(60),
        limit: LIMIT,
        guaranteed,
        warn_at: None,
        degrade_at: None,
    }
}

fn names() -> [Arc<str>; 4] {
    ["a", "scene", "tier", "openai"].map(Arc::from)
}

fn ask<'a>(money: &Money, [tenant, scene, tier, provider]: &'a [Arc<str>; 4], amount: u64) -> ledger::Ask<'a> {
    let (model, amounts) = (money.model("openai", "m"), Amounts::request(Usd(amount), 0));
    ledger::Ask { tenant: Some(tenant), scene, tier, provider, model, amounts, later: false }
}

fn hold(money: &Money, amount: u64) -> Result<Hold, Denied> {
    let names = names();
    let ask = ask(money, &names, amount);
    money.ledger.lock().hold(&ask, clock::now())
}

/// A sidecar's money under a policy, and a lender that has begun.
fn scene(policy: &str, guaranteed: u64) -> (Money, Lender) {
    let money = Money::new(false, true);
    follow(&money, policy, guaranteed);
    let now = clock::now();
    let mut lender = Lender::take_over(1, None, false, now);
    lender.renewed(now.after(Duration::from_secs(3_600)));
    lender.configure(vec![cap(guaranteed)], Duration::from_secs(120));
    writes(&mut lender);
    (money, lender)
}

/// As a policy's coming into force does.
fn follow(money: &Money, policy: &str, guaranteed: u64) {
    let mut ledger = money.ledger.lock();
    let borrowing = money.borrowing.as_ref().unwrap();
    borrowing.follows(&policy.into(), || ledger.move_on(incarnation(), clock::now()));
    ledger.configure(vec![cap(guaranteed)], Duration::from_secs(120), clock::now());
}

/// Whatever is to be written is.
fn writes(lender: &mut Lender) {
    while let Some(write) = lender.tick(clock::now()) {
        lender.written(write.id, clock::now());
    }
}

/// What is due goes to the lender, and its answers come back.
fn talk(money: &Money, lender: &mut Lender, policy: &str) {
    for (to, report) in money.reports() {
        assert_eq!(&*to, policy);
        if let Heard::Answer(answer) = lender.hear(&"pod".into(), &report, clock::now()) {
            money.take_answer(policy, &answer);
        }
    }
    writes(lender);
    for (_, answer) in lender.answers(clock::now()) {
        money.take_answer(policy, &answer);
    }
}

#[tokio::test]
async fn nothing_is_spent_before_a_lender_was_heard_and_then_what_it_lends() {
    let (money, mut lender) = scene("shop/p", 0);
    assert!(matches!(hold(&money, 10), Err(Denied::Short { .. })));
    assert_eq!(money.lease().map(|lease| (lease.term, lease.ends, lease.share)), Some((0, None, 0)));
    timeout(SOON, money.due()).await.expect("a report is due at once");
    talk(&money, &mut lender, "shop/p");
    talk(&money, &mut lender, "shop/p");
    assert_eq!(money.lease().map(|lease| (lease.term, lease.ends.is_some())), Some((1, true)));

    let names = names();
    let half = ask(&money, &names, LIMIT / 2);
    let wait = money.ledger.lock().wait(&half, clock::now()).expect("others may have it");
    let asked = Asked { money: &money, borrowing: money.borrowing.as_ref().unwrap(), wait: Some(wait) };
    assert!(!asked.answered(Duration::from_millis(1)).await, "nobody answers yet");
    let answered = async {
        timeout(SOON, money.due()).await.expect("a report is due for it");
        talk(&money, &mut lender, "shop/p");
    };
    assert!(tokio::join!(asked.answered(SOON), answered).0);
    drop(asked);
    let Waits { all, answered, waited } = money.waits().unwrap();
    assert_eq!((all, answered), (2, 1));
    assert!(waited >= Duration::from_millis(1));
    let held = hold(&money, LIMIT / 2).expect("it was lent");
    money.settle(held, How::Unsent, clock::now());
}

#[tokio::test]
async fn answers_of_another_policys_lender_change_nothing() {
    let (money, mut lender) = scene("shop/p", 0);
    let (_, report) = money.reports().remove(0);
    let Heard::Answer(answer) = lender.hear(&"pod".into(), &report, clock::now()) else { panic!("a welcome") };
    money.take_answer("shop/q", &answer);
    assert_eq!(money.lease().map(|lease| lease.term), Some(0));
    money.take_answer("shop/p", &answer);
    assert_eq!(money.lease().map(|lease| lease.term), Some(1));
}

#[tokio::test]
async fn under_another_policy_the_coins_go_back_and_nothing_is_left_to_spend() {
    let (money, mut lender) = scene("shop/p", LIMIT / 10);
    for _ in 0..3 {
        talk(&money, &mut lender, "shop/p");
    }
    let held = hold(&money, 1_000).expect("it has coins");
    follow(&money, "shop/q", LIMIT / 10);
    assert!(matches!(hold(&money, 1), Err(Denied::Short { .. })), "nothing is lent by the other one");
    timeout(SOON, money.due()).await.expect("last words are due");
    let said = money.reports();
    let to = |policy: &str| said.iter().filter(|(to, _)| **to == *policy).map(|(_, r)| r).collect::<Vec<_>>();
    let (last, first) = (to("shop/p"), to("shop/q"));
    assert_eq!((last.len(), last[0].phase), (1, Phase::Last));
    assert!(last[0].keys.iter().all(|key| key.granted - key.ceded <= 1_000), "but for what is held: {last:?}");
    assert_eq!((first[0].phase, first[0].term), (Phase::Serving, 0));
    assert_ne!(first[0].incarnation, last[0].incarnation);
    money.settle(held, How::EndedWithoutUsage, clock::now());
    assert!(money.last_words().iter().all(|(to, report)| **to == *"shop/q" && report.phase == Phase::Last));
    assert!(money.reports().is_empty(), "nothing follows");
}

#[tokio::test]
async fn a_sidecar_alone_has_no_lender() {
    let money = Money::default();
    assert!(timeout(Duration::from_millis(20), money.due()).await.is_err());
    assert!(money.reports().is_empty() && money.last_words().is_empty());
    assert_eq!((money.lease(), money.waits()), (None, None));
}
