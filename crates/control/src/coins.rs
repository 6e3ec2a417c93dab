//! What lender and borrowers say to each other, as messages: to them and back.

use std::time::Duration;

use policy::{
    ledger::{
        Key, Unit,
        message::{
            Answer, Cede, Incarnation, KeyLease, KeyReport, Lease, Part, Phase, Report, ShareGrant, ShareReport, Terms,
        },
    },
    snapshot::Scope,
};

use crate::v1::{self, borrowing, key_borrowed, lease, lending};

/// A report about the caps of the policy `namespace`/`name`.
#[must_use]
pub fn borrowing(namespace: &str, name: &str, report: Report) -> v1::Borrowing {
    let Report { incarnation, term, number, full, keys, share, edition, phase } = report;
    v1::Borrowing {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        incarnation: incarnation.0,
        term,
        number,
        full: full.map(|Part { number, is_last }| borrowing::Part { number, is_last }),
        keys: keys.into_iter().map(key_borrowed).collect(),
        share_number: share.number,
        share_remaining: nanos(share.remaining),
        edition,
        phase: match phase {
            Phase::Serving => borrowing::Phase::Unspecified.into(),
            Phase::Draining => borrowing::Phase::Draining.into(),
            Phase::Last => borrowing::Phase::Last.into(),
        },
    }
}

/// The report that it is; `None` where a key is none that this build knows, since a report without one of its keys says
/// something else.
#[must_use]
pub fn report(said: v1::Borrowing) -> Option<Report> {
    Some(Report {
        phase: match said.phase() {
            borrowing::Phase::Unspecified => Phase::Serving,
            borrowing::Phase::Draining => Phase::Draining,
            borrowing::Phase::Last => Phase::Last,
        },
        incarnation: Incarnation(said.incarnation),
        term: said.term,
        number: said.number,
        full: said.full.map(|borrowing::Part { number, is_last }| Part { number, is_last }),
        share: ShareReport { number: said.share_number, remaining: Duration::from_nanos(said.share_remaining) },
        edition: said.edition,
        keys: said.keys.into_iter().map(key_report).collect::<Option<_>>()?,
    })
}

/// An answer about the caps of the policy `namespace`/`name`.
#[must_use]
pub fn lending(namespace: &str, name: &str, answer: Answer) -> v1::Lending {
    let answer = match answer {
        Answer::Lease(given) => lending::Answer::Lease(lease_given(given)),
        Answer::Welcome { term } => lending::Answer::Welcome(lending::Welcome { term }),
        Answer::Void { incarnation } => lending::Answer::Void(lending::Void { incarnation: incarnation.0 }),
    };
    v1::Lending { namespace: namespace.to_owned(), name: name.to_owned(), answer: Some(answer) }
}

/// The answer that it is. A key that this build does not know is none of its own: it is passed over.
#[must_use]
pub fn answer(said: v1::Lending) -> Option<Answer> {
    Some(match said.answer? {
        lending::Answer::Lease(given) => Answer::Lease(lease_taken(given)),
        lending::Answer::Welcome(lending::Welcome { term }) => Answer::Welcome { term },
        lending::Answer::Void(lending::Void { incarnation }) => Answer::Void { incarnation: Incarnation(incarnation) },
    })
}

fn lease_given(given: Lease) -> v1::Lease {
    let Lease { term, incarnation, seq, echo, ttl, claim, horizon, keys, share, edition, terms } = given;
    v1::Lease {
        term,
        incarnation: incarnation.0,
        seq,
        echo,
        ttl: nanos(ttl),
        claim: nanos(claim),
        horizon: nanos(horizon),
        keys: keys.into_iter().map(key_lent).collect(),
        share: share.map(|ShareGrant { number, parts, is_known }| lease::Share { number, parts, is_known }),
        edition,
        terms: terms.into_iter().map(cap_terms).collect(),
    }
}

fn lease_taken(said: v1::Lease) -> Lease {
    let v1::Lease { term, incarnation, seq, echo, ttl, claim, horizon, keys, share, edition, terms } = said;
    Lease {
        term,
        incarnation: Incarnation(incarnation),
        seq,
        echo,
        ttl: Duration::from_nanos(ttl),
        claim: Duration::from_nanos(claim),
        horizon: Duration::from_nanos(horizon),
        keys: keys.into_iter().filter_map(key_lease).collect(),
        share: share.map(|lease::Share { number, parts, is_known }| ShareGrant { number, parts, is_known }),
        edition,
        terms: terms.into_iter().filter_map(terms_of).collect(),
    }
}

fn key_borrowed(row: KeyReport) -> v1::KeyBorrowed {
    let KeyReport { key, granted, ceded, cedes, in_use, pend, rate, unit } = row;
    let cedes = cedes.into_iter().map(|Cede { after, amount, remaining }| key_borrowed::Cede {
        after,
        amount,
        remaining: nanos(remaining),
    });
    v1::KeyBorrowed { key: Some(key_said(key)), granted, ceded, cedes: cedes.collect(), in_use, pend, rate, unit }
}

fn key_report(said: v1::KeyBorrowed) -> Option<KeyReport> {
    let v1::KeyBorrowed { key, granted, ceded, cedes, in_use, pend, rate, unit } = said;
    let cedes = cedes.into_iter().map(|key_borrowed::Cede { after, amount, remaining }| Cede {
        after,
        amount,
        remaining: Duration::from_nanos(remaining),
    });
    Some(KeyReport { key: key_of(key?)?, granted, ceded, cedes: cedes.collect(), in_use, pend, rate, unit })
}

fn key_lent(row: KeyLease) -> v1::KeyLent {
    let KeyLease { key, granted, ceded, limit, keep, used, retry_after } = row;
    v1::KeyLent { key: Some(key_said(key)), granted, ceded, limit, keep, used, retry_after: retry_after.map(nanos) }
}

fn key_lease(said: v1::KeyLent) -> Option<KeyLease> {
    let v1::KeyLent { key, granted, ceded, limit, keep, used, retry_after } = said;
    let retry_after = retry_after.map(Duration::from_nanos);
    Some(KeyLease { key: key_of(key?)?, granted, ceded, limit, keep, used, retry_after })
}

fn key_said(key: Key) -> v1::Key {
    let (unit, scope) = (key.unit.name().to_owned(), key.scope.name().to_owned());
    v1::Key { unit, name: key.name.to_string(), scope, value: key.value.map(|v| v.to_string()) }
}

fn key_of(said: v1::Key) -> Option<Key> {
    let (unit, scope) = (Unit::named(&said.unit)?, Scope::named(&said.scope)?);
    Some(Key { unit, name: said.name.into(), scope, value: said.value.map(Into::into) })
}

fn cap_terms(terms: Terms) -> v1::CapTerms {
    let Terms { unit, name, scope, guaranteed, is_long } = terms;
    let (unit, scope) = (unit.name().to_owned(), scope.name().to_owned());
    v1::CapTerms { unit, name: name.to_string(), scope, guaranteed, is_long }
}

fn terms_of(said: v1::CapTerms) -> Option<Terms> {
    let v1::CapTerms { unit, name, scope, guaranteed, is_long } = said;
    let (unit, scope) = (Unit::named(&unit)?, Scope::named(&scope)?);
    Some(Terms { unit, name: name.into(), scope, guaranteed, is_long })
}

/// 584 years at most.
fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*, sample::select};
    use prost::Message;

    use super::*;

    fn time() -> impl Strategy<Value = Duration> {
        any::<u64>().prop_map(Duration::from_nanos)
    }

    fn unit() -> impl Strategy<Value = Unit> {
        select(&Unit::NAMED[..]).prop_map(|(unit, _)| unit)
    }

    fn scope() -> impl Strategy<Value = Scope> {
        select(&Scope::NAMED[..]).prop_map(|(scope, _)| scope)
    }

    fn key() -> impl Strategy<Value = Key> {
        let of = |(unit, name, scope, value): (_, String, _, Option<String>)| Key {
            unit,
            name: name.into(),
            scope,
            value: value.map(Into::into),
        };
        (unit(), ".{0,9}", scope(), option::of(".{0,9}")).prop_map(of)
    }

    fn cede() -> impl Strategy<Value = Cede> {
        (any::<u64>(), any::<u64>(), time()).prop_map(|(after, amount, remaining)| Cede { after, amount, remaining })
    }

    fn key_reports() -> impl Strategy<Value = KeyReport> {
        (key(), any::<[u64; 6]>(), vec(cede(), 0..3)).prop_map(|(key, n, cedes)| {
            let [granted, ceded, in_use, pend, rate, unit] = n;
            KeyReport { key, granted, ceded, cedes, in_use, pend, rate, unit }
        })
    }

    fn reports() -> impl Strategy<Value = Report> {
        let phase = select(&[Phase::Serving, Phase::Draining, Phase::Last][..]);
        let full = option::of((any::<u32>(), any::<bool>()).prop_map(|(number, is_last)| Part { number, is_last }));
        (any::<[u64; 5]>(), full, vec(key_reports(), 0..3), time(), phase).prop_map(
            |(n, full, keys, remaining, phase)| {
                let [incarnation, term, number, share, edition] = n;
                let (incarnation, share) = (Incarnation(incarnation), ShareReport { number: share, remaining });
                Report { incarnation, term, number, full, keys, share, edition, phase }
            },
        )
    }

    fn key_leases() -> impl Strategy<Value = KeyLease> {
        (key(), any::<[u64; 5]>(), option::of(time())).prop_map(|(key, n, retry_after)| {
            let [granted, ceded, limit, keep, used] = n;
            KeyLease { key, granted, ceded, limit, keep, used, retry_after }
        })
    }

    fn answers() -> impl Strategy<Value = Answer> {
        let share = (any::<u64>(), any::<u64>(), any::<bool>()).prop_map(|(number, parts, is_known)| ShareGrant {
            number,
            parts,
            is_known,
        });
        let terms = (unit(), ".{0,9}", scope(), any::<u64>(), any::<bool>()).prop_map(
            |(unit, name, scope, guaranteed, is_long): (_, String, _, _, _)| Terms {
                unit,
                name: name.into(),
                scope,
                guaranteed,
                is_long,
            },
        );
        let (keys, terms) = (vec(key_leases(), 0..3), vec(terms, 0..3));
        let lease = (any::<[u64; 5]>(), [time(), time(), time()], keys, option::of(share), terms).prop_map(
            |(n, [ttl, claim, horizon], keys, share, terms)| {
                let [term, incarnation, seq, echo, edition] = n;
                let incarnation = Incarnation(incarnation);
                let lease = Lease { term, incarnation, seq, echo, ttl, claim, horizon, keys, share, edition, terms };
                Answer::Lease(lease)
            },
        );
        prop_oneof![
            lease,
            any::<u64>().prop_map(|term| Answer::Welcome { term }),
            any::<u64>().prop_map(|n| Answer::Void { incarnation: Incarnation(n) }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_said_is_what_is_heard(said in reports(), answered in answers()) {
            let message = borrowing("shop", "p", said.clone());
            let wire = v1::Borrowing::decode(&*message.encode_to_vec()).unwrap();
            prop_assert_eq!((&*wire.namespace, &*wire.name), ("shop", "p"));
            prop_assert_eq!(report(wire), Some(said));
            let message = lending("shop", "p", answered.clone());
            let wire = v1::Lending::decode(&*message.encode_to_vec()).unwrap();
            prop_assert_eq!(answer(wire), Some(answered));
        }

        #[test]
        fn foreign_bytes_are_no_panic(bytes: Vec<u8>) {
            let _ = v1::Borrowing::decode(&*bytes).ok().and_then(report);
            let _ = v1::Lending::decode(&*bytes).ok().and_then(answer);
        }
    }

    #[test]
    fn what_this_build_does_not_know_is_passed_over_in_an_answer_and_never_in_a_report() {
        let unknown = v1::Key { unit: "joules".to_owned(), scope: "policy".to_owned(), ..v1::Key::default() };
        let row = v1::KeyBorrowed { key: Some(unknown.clone()), ..v1::KeyBorrowed::default() };
        assert_eq!(report(v1::Borrowing { keys: vec![row], ..v1::Borrowing::default() }), None);
        let row = v1::KeyLent { key: Some(unknown), ..v1::KeyLent::default() };
        let lease = v1::Lease { term: 3, keys: vec![row], ..v1::Lease::default() };
        let said = v1::Lending { answer: Some(lending::Answer::Lease(lease)), ..v1::Lending::default() };
        assert_eq!(answer(said), Some(Answer::Lease(Lease { term: 3, ..Lease::default() })));
        assert_eq!(answer(v1::Lending::default()), None);
    }
}
