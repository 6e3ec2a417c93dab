//! A disk that keeps what was written, whole.

use std::collections::BTreeMap;

use super::super::{Checkpoint, Head, Key, Row};

#[derive(Debug, Default)]
pub(in crate::ledger) struct Disk {
    pub(in crate::ledger) head: Option<Head>,
    pub(in crate::ledger) rows: BTreeMap<Key, Row>,
    /// It could not be read, and was not replaced yet.
    pub(in crate::ledger) is_bad: bool,
    /// Of which clock the ticks are.
    pub(in crate::ledger) clock: u32,
}

impl Disk {
    pub(in crate::ledger) fn put(&mut self, checkpoint: Checkpoint, clock: u32) {
        if !checkpoint.is_news {
            return;
        }
        self.clock = clock;
        if std::mem::take(&mut self.is_bad) {
            self.rows.clear();
        }
        self.head = Some(checkpoint.head);
        for key in &checkpoint.gone {
            self.rows.remove(key);
        }
        self.rows.extend(checkpoint.rows.into_iter().map(|row| (row.key.clone(), row)));
    }
}
