//! The journal as the store keeps it, in JSON: a head, and a row a key.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use policy::{
    Tick,
    ledger::{Checkpoint, Clock, Head, Key, Past, Row, Unit},
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
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptRow {
    window_ns: u64,
    charges: Vec<(u64, u64)>,
    open: u64,
}

/// A checkpoint as one batch, in its order, on top of `batch`.
pub(super) fn write(batch: Batch, checkpoint: &Checkpoint, boot: Option<&str>) -> Batch {
    let Checkpoint { id: _, head, gone, rows } = checkpoint;
    let Head { at, clean, lost, crashed } = *head;
    let (lost, crashed) = (lost.map(|t| t.0), crashed.map(|t| t.0));
    let head = KeptHead { format: FORMAT, boot: boot.map(str::to_owned), at: at.0, clean, lost, crashed };
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
) -> Result<(Past, Clock), &'static str> {
    let Some(head) = head else {
        return match (rows.is_empty(), is_replacement) {
            (true, false) => Ok((Past::None, Clock::Same)),
            (true, true) => Err("it was in the file that is set aside"),
            (false, _) => Err("its head is missing"),
        };
    };
    let head: KeptHead = serde_json::from_slice(head).map_err(|_| "its head cannot be read")?;
    let KeptHead { format, boot: then, at, clean, lost, crashed } = head;
    if format != FORMAT {
        return Err("it has another format");
    }
    let rows: Option<Vec<Row>> = rows.iter().map(|(key, row)| read_row(key, row)).collect();
    let rows = rows.ok_or("a row of it cannot be read")?;
    let head = Head { at: Tick(at), clean, lost: lost.map(Tick), crashed: crashed.map(Tick) };
    let is_same = boot.is_some() && then.as_deref() == boot;
    Ok((Past::Kept(head, rows), if is_same { Clock::Same } else { Clock::Other }))
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
        let head = Head { at: Tick(9), clean: true, lost: Some(Tick(3)), crashed: None };
        Checkpoint { id: 7, head, gone: vec![key(Unit::Money, Scope::Tenant, Some("gone"))], rows }
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
        let batches = [before, checkpoint()].map(|c| write(Batch::default(), &c, Some("boot")));
        let (head, rows) = kept(batches.to_vec()).await;
        let read = |boot| read(head.as_deref(), &rows, true, boot).unwrap();
        let past = Past::Kept(checkpoint().head, checkpoint().rows);
        assert_eq!(read(Some("boot")), (past.clone(), Clock::Same));
        assert_eq!(read(Some("another")), (past.clone(), Clock::Other));
        assert_eq!(read(None), (past, Clock::Other), "a kernel that does not say may have been started anew");
    }

    #[tokio::test]
    async fn nothing_is_a_first_start_unless_something_was_set_aside() {
        assert_eq!(read(None, &[], false, None), Ok((Past::None, Clock::Same)));
        assert_eq!(read(None, &[], true, None), Err("it was in the file that is set aside"));
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_lost_as_a_whole() {
        let (head, rows) = kept(vec![write(Batch::default(), &checkpoint(), Some("boot"))]).await;
        let head = head.unwrap();
        assert!(read(Some(&head), &rows, false, None).is_ok());
        assert_eq!(read(None, &rows, false, None), Err("its head is missing"));
        let newer = String::from_utf8(head.to_vec()).unwrap().replace("\"format\":1", "\"format\":2");
        assert_eq!(read(Some(newer.as_bytes()), &rows, false, None), Err("it has another format"));
        for bad in [&head[..head.len() - 1], b"", b"{}", b"{\"format\":1}"] {
            assert_eq!(read(Some(bad), &rows, false, None), Err("its head cannot be read"));
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
            assert_eq!(read(Some(&head), &rows, false, None), Err("a row of it cannot be read"));
        }
    }
}
