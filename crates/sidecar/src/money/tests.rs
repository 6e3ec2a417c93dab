//! The line of those who wait for money.

use std::{cell::Cell, time::Duration};

use parking_lot::Mutex;
use policy::{ledger::Unit, snapshot::Scope};
use tokio::task::yield_now;

use super::*;

const LONG: Duration = Duration::from_secs(3_600);

fn key(tenant: &str) -> Key {
    Key { unit: Unit::Money, name: "mine".into(), scope: Scope::Tenant, value: Some(tenant.into()) }
}

fn short(retry_after: Duration) -> Denied {
    Denied::Short { key: key("a"), missing: 1, retry_after }
}

/// Everybody who can go on has.
async fn settle_down() {
    for _ in 0..100 {
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_came_first_is_served_first() {
    let money = Money::default();
    let (coins, served) = (Cell::new(0), Mutex::new(vec![]));
    let until = clock::now().after(LONG);
    let one = |nth: usize| {
        let (money, coins, served) = (&money, &coins, &served);
        async move {
            // Each comes once the one before stands in line.
            while money.waiting() < nth {
                yield_now().await;
            }
            let turn = money.turn(&key("a"), until).await.unwrap();
            let fits = || if coins.replace(0) > 0 { Ok(()) } else { Err(short(LONG)) };
            turn.wait(until, fits).await.unwrap();
            served.lock().push(nth);
        }
    };
    let line = futures_util::future::join_all((0..6).map(one));
    let money_comes = async {
        while money.waiting() < 6 {
            yield_now().await;
        }
        for nth in 0..6 {
            settle_down().await;
            assert_eq!(*served.lock(), (0..nth).collect::<Vec<_>>(), "one coin serves one");
            coins.set(1);
            money.freed.notify_waiters();
        }
    };
    tokio::join!(line, money_comes);
    assert_eq!((served.into_inner(), money.waiting()), ((0..6).collect(), 0));
}

#[tokio::test(start_paused = true)]
async fn the_line_is_bounded_and_each_key_has_its_own() {
    let money = Money::default();
    let until = clock::now().after(LONG);
    let mut turns = vec![];
    for n in 0..MOST_WAITING {
        turns.push(money.turn(&key(&format!("tenant-{n}")), until).await.unwrap());
    }
    assert!(money.turn(&key("one more"), until).await.is_none(), "at once, whatever it waits for");
    assert_eq!(money.waiting(), MOST_WAITING);
    turns.pop();
    assert!(money.turn(&key("one more"), until).await.is_some());
    drop(turns);
    assert_eq!(money.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_waited_long_enough_goes_without() {
    let money = Money::default();
    let now = clock::now();
    let first = money.turn(&key("a"), now.after(LONG)).await.unwrap();
    assert!(money.turn(&key("a"), now).await.is_none(), "behind the first");
    assert_eq!(money.waiting(), 1, "and leaves its place");

    let tried = Cell::new(0);
    let never = |denied: Denied| {
        tried.set(tried.get() + 1);
        Err::<(), _>(denied)
    };
    assert_eq!(first.wait(now, || never(short(LONG))).await, None, "the head of the line");
    assert_eq!(tried.replace(0), 1);
    let impossible = Denied::Impossible { key: key("a"), limit: 1 };
    assert_eq!(first.wait(now.after(LONG), || never(impossible.clone())).await, None, "no wait helps");
    assert_eq!(tried.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_head_of_the_line_tries_when_it_was_promised_and_when_coins_come_back() {
    let money = Money::default();
    let until = clock::now().after(LONG);
    let turn = money.turn(&key("a"), until).await.unwrap();
    // The timer alone wakes it.
    let tried = Cell::new(0);
    let third = || match tried.replace(tried.get() + 1) {
        2 => Ok(()),
        _ => Err(short(Duration::from_secs(10))),
    };
    let began = tokio::time::Instant::now();
    assert_eq!(turn.wait(until, third).await, Some(()));
    let waited = began.elapsed().as_secs_f64();
    assert!((19.9..20.2).contains(&waited), "{waited}");
    // Coins come back sooner.
    tried.set(0);
    let second = || match tried.replace(tried.get() + 1) {
        1 => Ok(()),
        _ => Err(short(LONG)),
    };
    let began = tokio::time::Instant::now();
    let (done, ()) = tokio::join!(turn.wait(until, second), async {
        settle_down().await;
        money.freed.notify_waiters();
    });
    assert_eq!((done, began.elapsed() < Duration::from_secs(1)), (Some(()), true));
}
