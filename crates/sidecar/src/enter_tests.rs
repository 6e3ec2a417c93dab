use policy::snapshot::Scope;

use super::*;

fn key(name: &str) -> Key {
    Key { unit: Unit::Money, name: name.into(), scope: Scope::Policy, value: None }
}

fn short(name: &str, seconds: u64) -> Denied {
    Denied::Short { key: key(name), missing: 1, retry_after: Duration::from_secs(seconds) }
}

fn impossible() -> Denied {
    Denied::Impossible { key: key("day"), limit: 2_500_000_000 }
}

#[test]
fn of_several_shortages_the_one_that_ends_first_is_told() {
    let told = |denied: Vec<Denied>| {
        let mut shortage = Shortage::default();
        denied.into_iter().for_each(|d| shortage.note(d));
        let refusal = shortage.refusal(false, false);
        (refusal.reason.cause, refusal.retry_after, refusal.message.into_owned())
    };
    let (cause, wait, message) = told(vec![short("day", 90), impossible(), short("minute", 7)]);
    assert_eq!((cause, wait), (Cause::BudgetExhausted, Some(Duration::from_secs(7))));
    assert_eq!(message, "the budget `minute` is spent; it has room for this request in 7 s");
    let (cause, wait, message) = told(vec![impossible()]);
    assert_eq!((cause, wait), (Cause::BudgetExhausted, None), "no wait helps");
    assert!(message.contains("the whole budget `day` of 2.5 USD"), "{message}");
    assert_eq!(told(vec![short("minute", 7), Denied::Journal]).0, Cause::StateUnavailable);

    let spared = Denied::Spared { key: key("minute"), retry_after: Duration::from_secs(3) };
    let (cause, wait, message) = told(vec![short("day", 9), spared.clone()]);
    assert_eq!((cause, wait), (Cause::BudgetNearLimit, Some(Duration::from_secs(3))));
    assert_eq!(message, "what is left of the budget `minute` is for requests that cannot wait");
    assert_eq!(told(vec![spared, short("day", 2)]).0, Cause::BudgetExhausted);
}

#[test]
fn a_rate_that_is_short_or_left_to_others_passes_the_candidate_over() {
    let wait = Duration::from_secs(5);
    for unit in [Unit::Money, Unit::Requests, Unit::Tokens] {
        let key = || Key { unit, ..key("openai") };
        for denied in [
            Denied::Short { key: key(), missing: 1, retry_after: wait },
            Denied::Spared { key: key(), retry_after: wait },
        ] {
            let told = No::Short(denied.clone(), Amounts::default()).told(false);
            let failure = Failure::RateLimited { retry_after: Some(wait) };
            let passes = matches!(&told, No::Out(failed) if failed.failure == failure);
            assert_eq!(passes, unit != Unit::Money, "{denied:?}");
        }
    }
}

#[test]
fn what_never_fits_says_of_which_part_it_is_too_much() {
    let words = |unit, by_id| {
        let key = Key { unit, ..key(if unit == Unit::Money { "day" } else { "openai" }) };
        let denied = Denied::Impossible { key, limit: 2_500_000_000 };
        match No::Short(denied, Amounts::default()).told(by_id) {
            No::Out(failed) => {
                assert_eq!(failed.failure, Failure::RateLimited { retry_after: None });
                (failed.reason.cause, failed.message.unwrap())
            }
            No::Short(denied, _) => {
                let mut shortage = Shortage::default();
                shortage.note(denied);
                let refusal = shortage.refusal(false, by_id);
                assert_eq!(refusal.retry_after, None);
                (refusal.reason.cause, refusal.message.into_owned())
            }
            No::Spared => panic!("it is no matter of sparing"),
        }
    };
    let rows = [
        (Unit::Money, false, Cause::BudgetExhausted, "the whole budget `day` of 2.5 USD; lower its output limit"),
        (
            Unit::Money,
            true,
            Cause::BudgetExhausted,
            "the 2.5 USD of the budget `day` that requests by id may use; lower",
        ),
        (Unit::Money, true, Cause::BudgetExhausted, "raise the budget or its degradeAt, or ask for the answer at once"),
        (
            Unit::Tokens,
            false,
            Cause::RateLimitExceeded,
            "the 2500000000 tokens a minute of the provider `openai`; lower",
        ),
        (Unit::Tokens, true, Cause::RateLimitExceeded, "tokens a minute of the provider `openai` that requests by id"),
        (Unit::Requests, true, Cause::RateLimitExceeded, "raise the provider's limit, or ask for the answer at once"),
    ];
    for (unit, by_id, cause, says) in rows {
        let (told, message) = words(unit, by_id);
        assert_eq!(told, cause, "{unit:?} {by_id}");
        assert!(message.contains(says), "{unit:?} {by_id}: {message}");
    }
}

#[test]
fn what_the_ladder_did() {
    let rows = [
        (0, 0, false, false, None),
        (0, 1, false, false, Some((Rung::CheaperModel, Cause::BudgetExhausted))),
        (0, 1, false, true, Some((Rung::CheaperModel, Cause::BudgetNearLimit))),
        (0, 0, true, true, Some((Rung::Trim, Cause::BudgetNearLimit))),
        (0, 1, true, false, Some((Rung::Trim, Cause::BudgetExhausted))),
    ];
    for (base, candidate, trimmed, spares, want) in rows {
        let want = want.map(|(rung, cause)| Squeeze { rung, cause });
        assert_eq!(squeeze(base, candidate, trimmed, spares), want, "{base} {candidate} {trimmed} {spares}");
    }
}
