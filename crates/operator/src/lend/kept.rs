//! The text of the ledger object and of its parts: what must outlast a lender, in JSON.

use std::{sync::Arc, time::Duration};

use policy::{
    ledger::{
        Key, Unit,
        lend::{Lost, Written, WrittenFund, WrittenPot, WrittenShare},
        message::Incarnation,
    },
    snapshot::Scope,
};
use serde::{Deserialize, Serialize};

/// Counted up when this program would misread an older one's object.
const FORMAT: u32 = 2;

/// Durations in nanoseconds where nothing else is said, amounts in the unit of the cap.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Kept {
    format: u32,
    term: u64,
    horizon: u64,
    claim: u64,
    /// Coins, shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lost: Option<(u64, u64)>,
    /// Pod and incarnation.
    roll: Vec<(Arc<str>, u64)>,
    /// Pod, parts, remaining.
    shares: Vec<(Arc<str>, u64, Option<u64>)>,
    funds: Vec<KeptFund>,
    /// Its keys stand in so many others.
    #[serde(default, skip_serializing_if = "is_zero")]
    parts: usize,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pots: Vec<KeptPot>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KeptPart {
    format: u32,
    term: u64,
    pots: Vec<KeptPot>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// Unit, name, scope, value, out, what cools: remaining in milliseconds, and amount.
type KeptPot = (String, Arc<str>, String, Option<Arc<str>>, u64, Vec<(u64, u64)>);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KeptFund {
    unit: String,
    name: Arc<str>,
    scope: String,
    window: u64,
    is_long: bool,
    shares_hi: u64,
    float_hi: u64,
}

/// The object's text; its keys are in so many `parts`, or in it where there are none.
#[must_use]
pub fn write(object: &Written, parts: usize) -> String {
    let kept = Kept {
        format: FORMAT,
        term: object.term,
        horizon: nanos(object.horizon),
        claim: nanos(object.claim),
        lost: object.lost.map(|lost| (nanos(lost.coins), nanos(lost.shares))),
        roll: object.roll.iter().map(|(pod, incarnation)| (pod.clone(), incarnation.0)).collect(),
        shares: object.shares.iter().map(|s| (s.pod.clone(), s.parts, s.remaining.map(nanos))).collect(),
        funds: object.funds.iter().map(write_fund).collect(),
        parts,
        pots: object.pots.iter().map(write_pot).collect(),
    };
    serde_json::to_string(&kept).unwrap_or_default()
}

/// A part's text.
#[must_use]
pub fn write_part(term: u64, pots: &[WrittenPot]) -> String {
    let kept = KeptPart { format: FORMAT, term, pots: pots.iter().map(write_pot).collect() };
    serde_json::to_string(&kept).unwrap_or_default()
}

/// What an object's text says, and in how many parts its keys are. Nothing is believed unless all of it can be read.
///
/// # Errors
/// Why it cannot, for the log.
pub fn read(text: &str) -> Result<(Written, usize), String> {
    let kept: Kept = serde_json::from_str(text).map_err(|e| e.to_string())?;
    is_known(kept.format)?;
    let written = || {
        let share = |(pod, parts, remaining): (_, _, Option<u64>)| WrittenShare {
            pod,
            parts,
            remaining: remaining.map(Duration::from_nanos),
        };
        Some(Written {
            term: kept.term,
            roll: kept.roll.into_iter().map(|(pod, incarnation)| (pod, Incarnation(incarnation))).collect(),
            shares: kept.shares.into_iter().map(share).collect(),
            horizon: Duration::from_nanos(kept.horizon),
            claim: Duration::from_nanos(kept.claim),
            funds: kept.funds.into_iter().map(read_fund).collect::<Option<_>>()?,
            pots: kept.pots.into_iter().map(read_pot).collect::<Option<_>>()?,
            lost: kept.lost.map(|(coins, shares)| Lost {
                coins: Duration::from_nanos(coins),
                shares: Duration::from_nanos(shares),
            }),
        })
    };
    written().map(|written| (written, kept.parts)).ok_or_else(|| NAMES.to_owned())
}

/// What a part's text says: the term of who wrote it, and keys.
///
/// # Errors
/// As [`read`].
pub fn read_part(text: &str) -> Result<(u64, Vec<WrittenPot>), String> {
    let kept: KeptPart = serde_json::from_str(text).map_err(|e| e.to_string())?;
    is_known(kept.format)?;
    let pots: Option<_> = kept.pots.into_iter().map(read_pot).collect();
    pots.map(|pots| (kept.term, pots)).ok_or_else(|| NAMES.to_owned())
}

const NAMES: &str = "it names a unit or a scope that is none";

fn is_known(format: u32) -> Result<(), String> {
    match format {
        FORMAT => Ok(()),
        other => Err(format!("it has the format {other}, and this operator knows {FORMAT}")),
    }
}

fn write_pot(WrittenPot { key, out, cooling, .. }: &WrittenPot) -> KeptPot {
    let (unit, scope) = (key.unit.name().to_owned(), key.scope.name().to_owned());
    // Nothing is free sooner than it is.
    let millis = |d: Duration| nanos(d).div_ceil(1_000_000);
    let cooling = cooling.iter().map(|(remaining, amount)| (millis(*remaining), *amount)).collect();
    (unit, key.name.clone(), scope, key.value.clone(), *out, cooling)
}

fn read_pot((unit, name, scope, value, out, cooling): KeptPot) -> Option<WrittenPot> {
    let key = Key { unit: Unit::named(&unit)?, name, scope: Scope::named(&scope)?, value };
    let cooling = cooling.into_iter().map(|(remaining, amount)| (Duration::from_millis(remaining), amount));
    Some(WrittenPot { key, out, cooling: cooling.collect(), is_changed: false })
}

fn write_fund(fund: &WrittenFund) -> KeptFund {
    let WrittenFund { unit, name, scope, window, is_long, shares_hi, float_hi } = fund;
    KeptFund {
        unit: unit.name().to_owned(),
        name: name.clone(),
        scope: scope.name().to_owned(),
        window: nanos(*window),
        is_long: *is_long,
        shares_hi: *shares_hi,
        float_hi: *float_hi,
    }
}

fn read_fund(kept: KeptFund) -> Option<WrittenFund> {
    let KeptFund { unit, name, scope, window, is_long, shares_hi, float_hi } = kept;
    let (unit, scope, window) = (Unit::named(&unit)?, Scope::named(&scope)?, Duration::from_nanos(window));
    Some(WrittenFund { unit, name, scope, window, is_long, shares_hi, float_hi })
}

/// 584 years at most.
fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> Written {
        let name: Arc<str> = "a \"day\"".into();
        let keys = Unit::NAMED.iter().flat_map(|(unit, _)| Scope::NAMED.iter().map(|(scope, _)| (*unit, *scope)));
        let funds = keys.clone().map(|(unit, scope)| WrittenFund {
            unit,
            name: name.clone(),
            scope,
            window: Duration::from_secs(86_400),
            is_long: scope == Scope::Tenant,
            shares_hi: u64::MAX,
            float_hi: 7,
        });
        let values = [None, Some("Zoë\n".into())];
        let pots = keys.zip(values.iter().cycle()).map(|((unit, scope), value)| WrittenPot {
            key: Key { unit, name: name.clone(), scope, value: value.clone() },
            out: u64::MAX - 1,
            cooling: vec![(Duration::from_millis(3), 5), (Duration::from_secs(9), 1)],
            is_changed: false,
        });
        Written {
            term: 4,
            roll: vec![("pod".into(), Incarnation(u64::MAX))],
            shares: vec![
                WrittenShare { pod: "pod".into(), parts: 1, remaining: None },
                WrittenShare { pod: "gone".into(), parts: 2, remaining: Some(Duration::from_millis(1)) },
            ],
            horizon: Duration::from_secs(125),
            claim: Duration::from_secs(900),
            funds: funds.collect(),
            pots: pots.collect(),
            lost: Some(Lost { coins: Duration::from_secs(1), shares: Duration::ZERO }),
        }
    }

    #[test]
    fn an_object_is_read_as_it_was_written() {
        for object in [object(), Written::default(), Written { lost: None, ..object() }] {
            assert_eq!(read(&write(&object, 0)), Ok((object.clone(), 0)));
            let pots = object.pots.clone();
            let main = Written { pots: vec![], ..object };
            assert_eq!(read(&write(&main, 32)), Ok((main, 32)));
            assert_eq!(read_part(&write_part(9, &pots)), Ok((9, pots)));
        }
    }

    #[test]
    fn nothing_is_free_sooner_than_it_is() {
        let mut pot = object().pots.remove(0);
        pot.cooling = vec![(Duration::from_nanos(1_000_001), 5)];
        let (_, pots) = read_part(&write_part(9, &[pot])).unwrap();
        assert_eq!(pots[0].cooling, [(Duration::from_millis(2), 5)]);
    }

    #[test]
    fn what_cannot_be_read_is_not_believed() {
        let text = write(&object(), 0);
        let rows = [
            (text.replace("\"format\":2", "\"format\":1"), "format 1"),
            (text.replacen("\"usd\"", "\"eur\"", 1), "unit"),
            (text.replacen("\"term\":4", "\"term\":4,\"more\":1", 1), "more"),
            (text[..text.len() - 1].to_owned(), "EOF"),
            (String::new(), "EOF"),
        ];
        for (text, why) in rows {
            let read = read(&text);
            assert!(read.as_ref().is_err_and(|e| e.contains(why)), "{why}: {read:?}");
        }
        let part = write_part(9, &object().pots);
        for (text, why) in [
            (part.replace("\"format\":2", "\"format\":3"), "format 3"),
            (part.replacen("\"usd\"", "\"eur\"", 1), "unit"),
        ] {
            let read = read_part(&text);
            assert!(read.as_ref().is_err_and(|e| e.contains(why)), "{why}: {read:?}");
        }
    }
}
