use proptest::prelude::*;

use super::*;
use crate::snapshot::Ratio;

fn retries(attempts: u32) -> Retries {
    Retries { attempts, base: Duration::from_millis(200), cap: Duration::from_secs(5), budget_ratio: Ratio(2_000) }
}

/// Candidates by provider letter; contexts 1000, 2000, ... in order.
fn course(providers: &str, attempts: u32) -> Course {
    let legs = providers
        .bytes()
        .enumerate()
        .map(|(i, b)| Leg { provider: ProviderId(u16::from(b - b'a')), context_tokens: Some(1000 * (i as u64 + 1)) });
    Course::new(legs, retries(attempts))
}

fn present(repeat: &mut dyn FnMut(ProviderId) -> bool) -> Present<'_> {
    Present { now: Tick(0), deadline: Tick(12_000_000_000), random: 5_000, repeat }
}

/// The candidates tried when every try fails alike.
fn walk(providers: &str, attempts: u32, failure: &Failure, budget: bool) -> Vec<usize> {
    let mut c = course(providers, attempts);
    let mut tried = vec![];
    let mut step = c.first();
    while let Step::Try { candidate, .. } = step {
        c.begin(candidate);
        tried.push(candidate);
        step = c.after(candidate, failure, &mut present(&mut |_| budget));
    }
    tried
}

#[test]
fn the_walk_of_every_failure() {
    let server = Failure::Server { status: 500, retry_after: None };
    let limited = Failure::RateLimited { retry_after: None };
    let rows: &[(&str, u32, &Failure, &[usize])] = &[
        // a repeat while more tries are left than untried providers, then the other provider
        ("ab", 3, &server, &[0, 0, 1]),
        ("aab", 3, &server, &[0, 0, 2]),
        ("a", 3, &server, &[0, 0, 0]),
        ("abc", 3, &server, &[0, 1, 2]),
        ("ab", 1, &server, &[0]),
        ("ab", 2, &server, &[0, 1]),
        ("ab", 5, &server, &[0, 0, 0, 0, 1]),
        // a fault of the provider rules out its other models
        ("aab", 4, &Failure::Connect, &[0, 0, 0, 2]),
        ("aa", 2, &Failure::ConnectTimeout, &[0]),
        ("aab", 3, &Failure::Credential { status: 401 }, &[0, 2]),
        ("aab", 3, &Failure::OutOfCredit { status: 429 }, &[0, 2]),
        // a timeout never repeats the target; the last try goes to the untried provider
        ("aab", 3, &Failure::Timeout, &[0, 1, 2]),
        ("aaab", 3, &Failure::Timeout, &[0, 1, 3]),
        ("a", 3, &Failure::Timeout, &[0]),
        // 429: the next at once; once no other is left, the one whose hold ends first
        ("ab", 3, &limited, &[0, 1, 0]),
        ("aab", 4, &limited, &[0, 1, 2, 0]),
        ("ab", 2, &limited, &[0, 1]),
        ("a", 3, &limited, &[0, 0, 0]),
        ("aab", 4, &Failure::NotFound, &[0, 1, 2]),
        ("ab", 3, &Failure::Rejected { status: 400 }, &[0]),
        ("ab", 3, &Failure::TooLong { status: 400 }, &[0, 1]),
    ];
    for (providers, attempts, failure, want) in rows {
        assert_eq!(walk(providers, *attempts, failure, true), *want, "{providers} x{attempts} {failure:?}");
    }
}

#[test]
fn a_spent_retry_budget_forbids_repeats_but_never_the_first_try_elsewhere() {
    assert_eq!(walk("aab", 3, &Failure::Server { status: 500, retry_after: None }, false), [0, 2]);
    assert_eq!(walk("a", 3, &Failure::Server { status: 500, retry_after: None }, false), [0]);
}

#[test]
fn too_long_goes_only_to_a_larger_window() {
    let mut c = course("ab", 3);
    c.begin(1);
    assert_eq!(c.after(1, &Failure::TooLong { status: 400 }, &mut present(&mut |_| true)), Step::Stop);
}

#[test]
fn retry_after_is_obeyed_within_the_deadline_and_refused_beyond_it() {
    let limited = |s| Failure::RateLimited { retry_after: Some(Duration::from_secs(s)) };
    let mut c = course("a", 3);
    c.begin(0);
    let step = c.after(0, &limited(3), &mut present(&mut |_| true));
    assert_eq!(step, Step::Try { candidate: 0, wait: Duration::from_secs(3) });
    c.begin(0);
    assert_eq!(c.after(0, &limited(30), &mut present(&mut |_| true)), Step::Stop);
}

#[test]
fn a_rate_limit_is_waited_out_only_when_nobody_else_is_left() {
    let limited = |s| Failure::RateLimited { retry_after: Some(Duration::from_secs(s)) };
    let once = |c: &mut Course, candidate, failure: &Failure, now| {
        c.begin(candidate);
        c.after(candidate, failure, &mut Present { now, ..present(&mut |_| true) })
    };
    let at = |s: u64| Tick(s * 1_000_000_000);
    let wait = |candidate, s| Step::Try { candidate, wait: Duration::from_secs(s) };
    let mut c = course("ab", 4);
    assert_eq!(once(&mut c, 0, &limited(5), at(0)), wait(1, 0));
    assert_eq!(once(&mut c, 1, &limited(60), at(1)), wait(0, 4), "the hold of a ends first, within the deadline");
    assert_eq!(once(&mut c, 0, &limited(60), at(5)), Step::Stop);

    let mut c = course("ab", 4);
    assert_eq!(once(&mut c, 0, &limited(5), at(0)), wait(1, 0));
    assert_eq!(once(&mut c, 1, &Failure::Timeout, at(2)), wait(0, 3), "b is out, so a is waited for");

    let mut c = course("ab", 5);
    assert!(matches!(once(&mut c, 0, &Failure::Connect, at(0)), Step::Try { candidate: 0, .. }));
    assert_eq!(once(&mut c, 0, &limited(1), at(1)), wait(1, 0));
    assert_eq!(once(&mut c, 1, &Failure::Timeout, at(2)), Step::Stop, "a fault of its provider ruled a out");

    let mut c = course("ab", 4);
    assert_eq!(once(&mut c, 0, &limited(5), at(0)), wait(1, 0));
    assert_eq!(once(&mut c, 1, &Failure::Rejected { status: 400 }, at(1)), Step::Stop, "the request is at fault");
}

#[test]
fn a_retry_after_of_a_failing_server_is_obeyed_too() {
    let busy = |s| Failure::Server { status: 503, retry_after: Some(Duration::from_secs(s)) };
    let mut c = course("ab", 3);
    c.begin(0);
    let step = c.after(0, &busy(2), &mut present(&mut |_| true));
    assert_eq!(step, Step::Try { candidate: 0, wait: Duration::from_secs(2) });
    let mut c = course("ab", 3);
    c.begin(0);
    let step = c.after(0, &busy(20), &mut present(&mut |_| true));
    assert_eq!(step, Step::Try { candidate: 1, wait: Duration::ZERO }, "beyond the deadline");
}

#[test]
fn a_shut_candidate_costs_no_try() {
    let mut c = course("ab", 1);
    assert_eq!(c.skip(0, &mut present(&mut |_| true)), Step::Try { candidate: 1, wait: Duration::ZERO });
    c.begin(1);
    assert_eq!(c.made(), 1);
}

fn failures() -> impl Strategy<Value = Failure> {
    prop_oneof![
        Just(Failure::Connect),
        Just(Failure::Lost),
        Just(Failure::ConnectTimeout),
        Just(Failure::Timeout),
        Just(Failure::NoAnswer),
        Just(Failure::Server { status: 503, retry_after: None }),
        Just(Failure::RateLimited { retry_after: None }),
        Just(Failure::RateLimited { retry_after: Some(Duration::from_secs(3)) }),
        Just(Failure::OutOfCredit { status: 429 }),
        Just(Failure::Credential { status: 401 }),
        Just(Failure::NotFound),
        Just(Failure::Rejected { status: 400 }),
    ]
}

proptest! {
    #[test]
    fn tries_stay_within_bounds(
        providers in "[a-c]{1,5}", attempts in 1u32..6, fs in proptest::collection::vec(failures(), 8), random in 0u32..10_000,
    ) {
        let mut c = course(&providers, attempts);
        let mut step = c.first();
        let mut blamed: Vec<u8> = vec![];
        let mut last: Option<usize> = None;
        let mut n = 0;
        while let Step::Try { candidate, wait } = step {
            let p = providers.as_bytes()[candidate];
            prop_assert!(wait <= Duration::from_secs(5));
            prop_assert!(!blamed.contains(&p) || last == Some(candidate), "a blamed provider's sibling was tried");
            c.begin(candidate);
            n += 1;
            prop_assert!(n <= attempts);
            let f = &fs[(n as usize - 1) % fs.len()];
            if f.row().blame == Blame::Provider { blamed.push(p) }
            last = Some(candidate);
            step = c.after(candidate, f, &mut Present { now: Tick(0), deadline: Tick(u64::MAX), random, repeat: &mut |_| true });
        }
    }
}
