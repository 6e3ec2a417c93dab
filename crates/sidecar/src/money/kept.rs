//! The journal as the store keeps it, in JSON: a head, and a row a key.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use policy::{
    Tick,
    ledger::{Checkpoint, Clock, Head, KeptShare, Key, Past, Row, Unit, message::Terms},
    snapshot::Scope,
};
use serde::{Deserialize, Serialize};

use crate::store::{Batch, Table};

pub(super) const HEAD: Table = Table::new("money");
pub(super) const HEAD_KEY: &str = "head";
pub(super) const ROWS: Table = Table::new("money_rows");

/// Counted up when this program would misread an older one's journal.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptHead {
    format: u32,
    /// Of the boot that all ticks belong to; none where the kernel did not say.
    boot: Option<String>,
    at: u64,
    clean: bool,
    lost: Option<u64>,
    crashed: Option<u64>,
    /// Of a ledger whose caps are lent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    share: Option<KeptGrant>,
}

/// A share, and whose it is.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptGrant {
    owner: Option<Owner>,
    parts: u64,
    number: u64,
    until: u64,
    term: u64,
    knows_past: bool,
    /// Unit, name, scope, guaranteed, whether its window is long.
    terms: Vec<(String, String, String, u64, bool)>,
}

/// Whose a share is: to others it is nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Owner {
    /// UID of the pod that it was granted to.
    pub(super) pod: String,
    /// `namespace/name` of the policy whose lender granted it.
    pub(super) policy: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptRow {
    window_ns: u64,
    charges: Vec<(u64, u64)>,
    open: u64,
}

/// A checkpoint as one batch, in its order, on top of `batch`. A share of nobody's is not kept.
pub(super) fn write(batch: Batch, checkpoint: &Checkpoint, boot: Option<&str>, owner: Option<&Owner>) -> Batch {
    let Checkpoint { id: _, is_news: _, head, gone, rows } = checkpoint;
    let Head { at, clean, lost, crashed, share } = head;
    let (lost, crashed) = (lost.map(|t| t.0), crashed.map(|t| t.0));
    let share = share.as_ref().map(|share| write_share(share, owner));
    let head =
        KeptHead { format: FORMAT, boot: boot.map(str::to_owned), at: at.0, clean: *clean, lost, crashed, share };
    let batch = batch.put(HEAD, HEAD_KEY, json(&head));
    let batch = gone.iter().fold(batch, |batch, key| batch.delete(ROWS, write_key(key)));
    rows.iter().fold(batch, |batch, row| {
        let Row { key, window, charges, open } = row;
        let window_ns = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        let charges = charges.iter().map(|(stamp, amount)| (stamp.0, *amount)).collect();
        batch.put(ROWS, write_key(key), json(&KeptRow { window_ns, charges, open: *open }))
    })
}

/// What earlier processes left, and what their ticks mean in this `boot`. Nothing is believed unless all of it can be read.
///
/// # Errors
/// There was something and it is lost; how, for the log.
pub(super) fn read(
    head: Option<&[u8]>,
    rows: &[(Bytes, Bytes)],
    is_replacement: bool,
    boot: Option<&str>,
    owner: Option<&Owner>,
) -> Result<(Past, Clock), &'static str> {
    let Some(head) = head else {
        return match (rows.is_empty(), is_replacement) {
            (true, false) => Ok((Past::None, Clock::Same)),
            (true, true) => Err("it was in the file that is set aside"),
            (false, _) => Err("its head is missing"),
        };
    };
    let head: KeptHead = serde_json::from_slice(head).map_err(|_| "its head cannot be read")?;
    let KeptHead { format, boot: then, at, clean, lost, crashed, share } = head;
    if format != FORMAT {
        return Err("it has another format");
    }
    let rows: Option<Vec<Row>> = rows.iter().map(|(key, row)| read_row(key, row)).collect();
    let rows = rows.ok_or("a row of it cannot be read")?;
    let share = share.map(|share| read_share(share, owner).ok_or("its share cannot be read")).transpose()?;
    let head = Head { at: Tick(at), clean, lost: lost.map(Tick), crashed: crashed.map(Tick), share };
    let is_same = boot.is_some() && then.as_deref() == boot;
    Ok((Past::Kept(head, rows), if is_same { Clock::Same } else { Clock::Other }))
}

fn write_share(share: &KeptShare, owner: Option<&Owner>) -> KeptGrant {
    let none = KeptShare::default();
    let KeptShare { parts, number, until, term: of, knows_past, terms } = if owner.is_some() { share } else { &none };
    let term =
        |t: &Terms| (t.unit.name().to_owned(), t.name.to_string(), t.scope.name().to_owned(), t.guaranteed, t.is_long);
    let terms = terms.iter().map(term).collect();
    KeptGrant {
        owner: owner.cloned(),
        parts: *parts,
        number: *number,
        until: until.0,
        term: *of,
        knows_past: *knows_past,
        terms,
    }
}

/// None of another's.
fn read_share(kept: KeptGrant, owner: Option<&Owner>) -> Option<KeptShare> {
    let KeptGrant { owner: whose, parts, number, until, term: of, knows_past, terms } = kept;
    if owner.is_none() || whose.as_ref() != owner {
        return Some(KeptShare::default());
    }
    let term = |(unit, name, scope, guaranteed, is_long): (String, String, String, u64, bool)| {
        let (unit, scope) = (Unit::named(&unit)?, Scope::named(&scope)?);
        Some(Terms { unit, name: name.into(), scope, guaranteed, is_long })
    };
    let terms = terms.into_iter().map(term).collect::<Option<_>>()?;
    Some(KeptShare { parts, number, until: Tick(until), term: of, knows_past, terms })
}

fn read_row(key: &[u8], row: &[u8]) -> Option<Row> {
    let (unit, name, scope, value): (String, String, String, Option<String>) = serde_json::from_slice(key).ok()?;
    let (unit, scope) = (Unit::named(&unit)?, Scope::named(&scope)?);
    let KeptRow { window_ns, charges, open } = serde_json::from_slice(row).ok()?;
    Some(Row {
        key: Key { unit, name: name.into(), scope, value: value.map(Arc::from) },
        window: Duration::from_nanos(window_ns),
        charges: charges.into_iter().map(|(stamp, amount)| (Tick(stamp), amount)).collect(),
        open,
    })
}

fn write_key(key: &Key) -> Vec<u8> {
    json(&(key.unit.name(), &*key.name, key.scope.name(), key.value.as_deref()))
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::store::tests::Dir;

    fn key(unit: Unit, scope: Scope, value: Option<&str>) -> Key {
        Key { unit, name: "a \"b\"".into(), scope, value: value.map(Arc::from) }
    }

    fn checkpoint() -> Checkpoint {
        let row = |key| Row {
            key,
            window: Duration::from_secs(31 * 86_400),
            charges: vec![(Tick(5), 1), (Tick(u64::MAX), u64::MAX)],
            open: u64::MAX,
        };
        let values = [None, Some(""), Some("Zoë\n")];
        let keys = Unit::NAMED.iter().flat_map(|(unit, _)| Scope::NAMED.iter().map(|(scope, _)| (*unit, *scope)));
        let keys = keys.flat_map(|(unit, scope)| values.map(|value| key(unit, scope, value)));
        let mut rows: Vec<Row> = keys.map(row).collect();
        rows.sort_by_key(|row| write_key(&row.key));
        let long =
            Terms { unit: Unit::Tokens, name: "a".into(), scope: Scope::Scene, guaranteed: u64::MAX, is_long: true };
        let share = KeptShare {
            parts: 3,
            number: 1 << 33,
            until: Tick(u64::MAX),
            term: 2,
            knows_past: true,
            terms: vec![long],
        };
        let head = Head { at: Tick(9), clean: true, lost: Some(Tick(3)), crashed: None, share: Some(share) };
        Checkpoint { id: 7, is_news: true, head, gone: vec![key(Unit::Money, Scope::Tenant, Some("gone"))], rows }
    }

    fn owner(pod: &str, policy: &str) -> Owner {
        Owner { pod: pod.into(), policy: policy.into() }
    }

    /// What the store has after `batches`.
    async fn kept(batches: Vec<Batch>) -> (Option<Bytes>, Vec<(Bytes, Bytes)>) {
        let dir = Dir::new();
        let (store, _) = Store::open(&dir.0, Duration::ZERO).unwrap();
        for batch in batches {
            store.write(batch).await.unwrap();
        }
        (store.get(HEAD, HEAD_KEY).await.unwrap(), store.all(ROWS).await.unwrap())
    }

    #[tokio::test]
    async fn a_checkpoint_is_read_as_it_was_written() {
        let gone = Row { key: checkpoint().gone.remove(0), ..checkpoint().rows.remove(0) };
        let before = Checkpoint { gone: vec![], rows: vec![gone], ..checkpoint() };
        let batches = [before, checkpoint()].map(|c| write(Batch::default(), &c, Some("boot"), Some(&owner("u", "p"))));
        let (head, rows) = kept(batches.to_vec()).await;
        let read = |boot| read(head.as_deref(), &rows, true, boot, Some(&owner("u", "p"))).unwrap();
        let past = Past::Kept(checkpoint().head, checkpoint().rows);
        assert_eq!(read(Some("boot")), (past.clone(), Clock::Same));
        assert_eq!(read(Some("another")), (past.clone(), Clock::Other));
        assert_eq!(read(None), (past, Clock::Other), "a kernel that does not say may have been started anew");
    }

    /// What stands in the file may be anybody's: all of it is believed or nothing.
    #[tokio::test]
    async fn fuzz_journal() {
        let (head, rows) = kept(vec![write(Batch::default(), &checkpoint(), None, Some(&owner("u", "p")))]).await;
        let head = head.unwrap();
        let texts: Vec<String> = std::iter::once(&head)
            .chain(rows.iter().take(4).flat_map(|(key, row)| [key, row]))
            .map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
            .collect();
        let seeds: Vec<&str> = texts.iter().map(String::as_str).collect();
        crate::fuzz::run("journal", &seeds, |input, _| {
            let ours = owner("u", "p");
            let as_head = read(Some(input), &rows, false, Some("b"), Some(&ours));
            let input = Bytes::copy_from_slice(input);
            for (key, row) in [(&input, &rows[0].1), (&rows[0].0, &input)] {
                let read = read(Some(&head), &[(key.clone(), row.clone())], false, Some("b"), Some(&ours));
                if let Ok((Past::Kept(_, read), _)) = read {
                    assert_eq!(read.len(), 1);
                    // What is read is written as it is read.
                    let again = read_row(&write_key(&read[0].key), row);
                    assert_eq!(again.as_ref(), read.first());
                }
            }
            as_head.is_ok() || serde_json::from_slice::<serde_json::Value>(&input).is_ok()
        });
    }

    #[tokio::test]
    async fn a_share_is_nothing_to_others() {
        let read = |head: &[u8], owner: Option<&Owner>| match read(Some(head), &[], false, None, owner).unwrap() {
            (Past::Kept(head, _), _) => head.share.map(|share| share.parts),
            past => panic!("{past:?}"),
        };
        let (ours, other) = (owner("u", "p"), [owner("v", "p"), owner("u", "q")]);
        let (head, _) = kept(vec![write(Batch::default(), &checkpoint(), None, Some(&ours))]).await;
        let head = head.unwrap();
        assert_eq!(read(&head, Some(&ours)), Some(3));
        for other in [None, Some(&other[0]), Some(&other[1])] {
            assert_eq!(read(&head, other), Some(0), "{other:?}");
        }
        let (nobodys, _) = kept(vec![write(Batch::default(), &checkpoint(), None, None)]).await;
        assert_eq!(read(&nobodys.unwrap(), None), Some(0));
        let mut alone = checkpoint();
        alone.head.share = None;
        let (alone, _) = kept(vec![write(Batch::default(), &alone, None, None)]).await;
        assert_eq!(read(&alone.unwrap(), None), None);
        let bad = String::from_utf8(head.to_vec()).unwrap().replace("\"tokens\"", "\"tons\"");
        let bad = super::read(Some(bad.as_bytes()), &[], false, None, Some(&ours));
        assert_eq!(bad, Err("its share cannot be read"));
    }

    #[tokio::test]
    async fn nothing_is_a_first_start_unless_something_was_set_aside() {
        assert_eq!(read(None, &[], false, None, None), Ok((Past::None, Clock::Same)));
        assert_eq!(read(None, &[], true, None, None), Err("it was in the file that is set aside"));
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_lost_as_a_whole() {
        let (head, rows) = kept(vec![write(Batch::default(), &checkpoint(), Some("boot"), None)]).await;
        let head = head.unwrap();
        assert!(read(Some(&head), &rows, false, None, None).is_ok());
        assert_eq!(read(None, &rows, false, None, None), Err("its head is missing"));
        let newer = String::from_utf8(head.to_vec()).unwrap().replace("\"format\":1", "\"format\":2");
        assert_eq!(read(Some(newer.as_bytes()), &rows, false, None, None), Err("it has another format"));
        for bad in [&head[..head.len() - 1], b"", b"{}", b"{\"format\":1}"] {
            assert_eq!(read(Some(bad), &rows, false, None, None), Err("its head cannot be read"));
        }
        let bad: [(&[u8], &[u8]); 5] = [
            (b"[\"usd\",\"a\",\"policy\"]", b"{\"window_ns\":1,\"charges\":[],\"open\":0}"),
            (b"[\"eur\",\"a\",\"policy\",null]", b"{\"window_ns\":1,\"charges\":[],\"open\":0}"),
            (b"[\"usd\",\"a\",\"pod\",null]", b"{\"window_ns\":1,\"charges\":[],\"open\":0}"),
            (b"[\"usd\",\"a\",\"policy\",null]", b"{\"window_ns\":1,\"charges\":[[1]],\"open\":0}"),
            (b"[\"usd\",\"a\",\"policy\",null]", b"{\"window_ns\":1,\"charges\":[],\"open\":-1}"),
        ];
        for (key, row) in bad {
            let rows = [&rows[..], &[(Bytes::from(key), Bytes::from(row))]].concat();
            assert_eq!(read(Some(&head), &rows, false, None, None), Err("a row of it cannot be read"));
        }
    }
}
