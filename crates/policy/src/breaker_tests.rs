use proptest::prelude::*;

use super::*;
use crate::snapshot::tests::snapshot;

const BAD: Verdict = Verdict::Bad { class: Class::Server, retry_after: None };

fn at(s: u64) -> Tick {
    Tick(s * 1_000_000_000)
}

fn conf() -> snapshot::Breaker {
    snapshot().breaker
}

fn run(b: &mut Breaker, now: Tick, verdict: Verdict) {
    let t = b.enter(now, &conf(), false).unwrap();
    b.record(t, verdict, now, &conf(), 0);
}

fn opened() -> Breaker {
    let mut b = Breaker::default();
    for _ in 0..5 {
        run(&mut b, at(100), BAD);
    }
    b
}

#[test]
fn consecutive_failures_open_it_and_a_success_between_does_not_count() {
    let mut b = Breaker::default();
    for v in [BAD, BAD, BAD, BAD, Verdict::Good, BAD, BAD, BAD, BAD] {
        run(&mut b, at(100), v);
    }
    assert_eq!(b.gate(at(100), &conf()), Gate::Closed);
    run(&mut b, at(100), BAD);
    assert_eq!(b.gate(at(100), &conf()), Gate::Open { until: at(130), why: Class::Server });
}

#[test]
fn a_ratio_opens_it_once_there_are_enough_outcomes() {
    let mut b = Breaker::default();
    for i in 0..19 {
        run(&mut b, at(100), if i % 2 == 0 { BAD } else { Verdict::Good });
    }
    assert_eq!(b.gate(at(100), &conf()), Gate::Closed, "19 of 20");
    run(&mut b, at(100), BAD);
    assert!(!b.gate(at(100), &conf()).lets_in());
}

#[test]
fn failures_older_than_the_window_are_forgotten() {
    let mut b = Breaker::default();
    for i in 0..19 {
        run(&mut b, at(100), if i % 2 == 0 { BAD } else { Verdict::Good });
    }
    run(&mut b, at(140), BAD);
    assert_eq!(b.gate(at(140), &conf()), Gate::Closed);
}

#[test]
fn half_open_lets_three_in_and_closes_after_two() {
    let mut b = opened();
    assert!(b.enter(at(129), &conf(), false).is_err());
    let tickets: Vec<_> = (0..3).map(|_| b.enter(at(130), &conf(), false).unwrap()).collect();
    assert_eq!(b.enter(at(130), &conf(), false), Err(Gate::Probing));
    b.record(tickets[0], BAD, at(131), &conf(), 0);
    b.record(tickets[1], Verdict::Good, at(131), &conf(), 0);
    assert_eq!(b.gate(at(131), &conf()), Gate::Probing);
    b.record(tickets[2], Verdict::Good, at(131), &conf(), 0);
    assert_eq!(b.gate(at(131), &conf()), Gate::Closed);
    for _ in 0..4 {
        run(&mut b, at(131), BAD);
    }
    assert_eq!(b.gate(at(131), &conf()), Gate::Closed, "its window started afresh");
}

#[test]
fn a_probe_that_says_nothing_gives_its_place_back() {
    let mut b = opened();
    for _ in 0..9 {
        run(&mut b, at(130), Verdict::Neutral);
    }
    assert_eq!(b.gate(at(130), &conf()), Gate::HalfOpen);
}

#[test]
fn it_opens_longer_each_time_with_a_bound() {
    let mut b = opened();
    let mut now = at(130);
    let mut spans = vec![];
    for _ in 0..6 {
        run(&mut b, now, BAD);
        run(&mut b, now, BAD);
        let Gate::Open { until, .. } = b.gate(now, &conf()) else { panic!("open") };
        spans.push(until.since(now).as_secs());
        now = until;
    }
    assert_eq!(spans, [60, 120, 240, 480, 480, 480]);
}

#[test]
fn late_verdicts_of_an_earlier_state_are_ignored() {
    let mut b = Breaker::default();
    let old = b.enter(at(100), &conf(), false).unwrap();
    for _ in 0..5 {
        run(&mut b, at(100), BAD);
    }
    b.record(old, Verdict::Good, at(101), &conf(), 0);
    assert!(!b.gate(at(101), &conf()).lets_in());
    let probe = b.enter(at(130), &conf(), false).unwrap();
    b.record(old, BAD, at(130), &conf(), 0);
    b.record(old, BAD, at(130), &conf(), 0);
    b.record(probe, Verdict::Good, at(130), &conf(), 0);
    run(&mut b, at(130), Verdict::Good);
    assert_eq!(b.gate(at(130), &conf()), Gate::Closed);
}

#[test]
fn a_retry_after_holds_a_closed_circuit_and_extends_an_open_one() {
    let mut b = Breaker::default();
    let slow_down = Verdict::Bad { class: Class::RateLimited, retry_after: Some(Duration::from_secs(50)) };
    run(&mut b, at(100), slow_down);
    assert_eq!(b.enter(at(149), &conf(), true), Err(Gate::Held { until: at(150) }), "even when forced");
    assert_eq!(b.gate(at(150), &conf()), Gate::Closed);
    let mut b = Breaker::default();
    let tickets: Vec<_> = (0..5).map(|_| b.enter(at(100), &conf(), false).unwrap()).collect();
    for t in tickets {
        b.record(t, slow_down, at(100), &conf(), 0);
    }
    assert_eq!(b.gate(at(149), &conf()).due(), at(150));
}

#[test]
fn of_two_circuits_the_worse_speaks() {
    let open = |s| Gate::Open { until: at(s), why: Class::Server };
    let held = |s| Gate::Held { until: at(s) };
    let rising = [Gate::Closed, Gate::HalfOpen, Gate::Probing, open(1), open(2), held(1), held(2)];
    for (i, worse) in rising.iter().enumerate() {
        for better in &rising[..=i] {
            assert_eq!((better.and(*worse), worse.and(*better)), (*worse, *worse));
        }
    }
}

#[test]
fn a_forced_try_that_works_lets_probes_in() {
    let mut b = opened();
    let t = b.enter(at(101), &conf(), true).unwrap();
    b.record(t, Verdict::Good, at(102), &conf(), 0);
    assert_eq!(b.gate(at(102), &conf()), Gate::HalfOpen);
}

proptest! {
    /// Whatever happens in whatever order: never more than the bound of probes at once, and the circuit is never
    /// stuck: with every ticket given back and time passing, a try gets in.
    #[test]
    fn probes_are_bounded_and_it_always_recovers(steps in proptest::collection::vec((0u8..4, 0u64..40), 1..300)) {
        let conf = conf();
        let mut b = Breaker::default();
        let mut now = at(1000);
        let mut out: Vec<Ticket> = vec![];
        for (what, secs) in steps {
            match what {
                0 => if let Ok(t) = b.enter(now, &conf, false) { out.push(t) },
                1 => if let Some(t) = out.pop() { b.record(t, BAD, now, &conf, 5_000) },
                2 => if let Some(t) = out.pop() { b.record(t, Verdict::Good, now, &conf, 5_000) },
                _ => now = now.after(Duration::from_secs(secs)),
            }
            let probes = out.iter().filter(|t| t.probe && t.epoch == b.epoch).count();
            prop_assert!(probes <= conf.half_open_probes as usize);
        }
        for t in out { b.record(t, Verdict::Neutral, now, &conf, 0) }
        let now = now.after(Duration::from_secs(3600));
        prop_assert!(b.enter(now, &conf, false).is_ok());
    }
}

#[test]
fn a_quiet_pod_goes_by_what_others_find_and_one_with_answers_does_not() {
    let fails = Finding::Fails { left: Duration::from_secs(20), why: Class::Timeout };
    let mut quiet = Breaker::default();
    assert_eq!(quiet.finding(at(100)), None, "it knows nothing");
    quiet.advise(fails, at(100), &conf());
    assert_eq!(quiet.gate(at(119), &conf()), Gate::Open { until: at(120), why: Class::Timeout });
    assert_eq!(quiet.finding(at(100)), None, "what it was told it does not tell");
    quiet.advise(fails, at(110), &conf());
    assert!(!quiet.gate(at(129), &conf()).lets_in(), "the newest word counts");
    quiet.advise(Finding::Works, at(115), &conf());
    assert_eq!(quiet.gate(at(115), &conf()), Gate::HalfOpen, "it finds out by itself");

    let mut busy = Breaker::default();
    run(&mut busy, at(100), Verdict::Good);
    assert_eq!(busy.finding(at(109)), Some(Finding::Works));
    busy.advise(fails, at(109), &conf());
    assert_eq!(busy.gate(at(109), &conf()), Gate::Closed);
    busy.advise(fails, at(110), &conf());
    assert!(!busy.gate(at(110), &conf()).lets_in(), "its own answer is old by now");
}

#[test]
fn what_a_pod_found_by_itself_stands() {
    let mut b = opened();
    let own = Finding::Fails { left: Duration::from_secs(30), why: Class::Server };
    assert_eq!(b.finding(at(100)), Some(own));
    b.advise(Finding::Works, at(101), &conf());
    b.advise(Finding::Fails { left: Duration::from_secs(500), why: Class::Timeout }, at(101), &conf());
    assert_eq!(b.gate(at(101), &conf()), Gate::Open { until: at(130), why: Class::Server });
}

#[test]
fn a_wait_that_one_pod_was_asked_for_is_kept_by_all_and_is_bounded() {
    let mut b = Breaker::default();
    run(&mut b, at(100), Verdict::Good);
    b.advise(Finding::Held { left: Duration::from_secs(7) }, at(100), &conf());
    assert_eq!(b.gate(at(106), &conf()), Gate::Held { until: at(107) });
    assert_eq!(b.finding(at(106)), Some(Finding::Works), "it was not asked itself");
    assert_eq!(b.gate(at(107), &conf()), Gate::Closed);
    b.advise(Finding::Held { left: Duration::MAX }, at(107), &conf());
    assert_eq!(b.gate(at(107), &conf()), Gate::Held { until: at(707) });
    let mut b = Breaker::default();
    let asked = Verdict::Bad { class: Class::RateLimited, retry_after: Some(Duration::from_secs(5)) };
    run(&mut b, at(100), asked);
    assert_eq!(b.finding(at(101)), Some(Finding::Held { left: Duration::from_secs(4) }));
}
