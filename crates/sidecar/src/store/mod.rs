//! What must survive a restart: one embedded database in the `--state` directory, tables of bytes to bytes.
//!
//! A write is a batch that is applied as a whole and is on the disk when its writer is told. One thread writes; what
//! comes while it commits goes into the next commit together. No call blocks a worker of the runtime.

mod file;

use std::{
    fmt::Display,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use bytes::Bytes;
use parking_lot::RwLock;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableError};
use tokio::sync::{mpsc, oneshot};

pub use file::{Found, Unusable};

/// Batches that may wait for the writer; further writers wait for a place.
const WAITING: usize = 256;
/// Most batches in one commit.
const TOGETHER: usize = 64;

/// A named table.
#[derive(Clone, Copy, Debug)]
pub struct Table(&'static str);

impl Table {
    /// By its name in the file.
    #[must_use]
    pub const fn new(name: &'static str) -> Table {
        Table(name)
    }

    fn definition(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(self.0)
    }
}

/// Changes that are made together or not at all, in the order they were added.
#[derive(Clone, Debug, Default)]
pub struct Batch(Vec<(Table, Bytes, Option<Bytes>)>);

impl Batch {
    /// Sets a value.
    #[must_use]
    pub fn put(mut self, table: Table, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Batch {
        self.0.push((table, key.into(), Some(value.into())));
        self
    }

    /// Removes a value, if there is one.
    #[must_use]
    pub fn delete(mut self, table: Table, key: impl Into<Bytes>) -> Batch {
        self.0.push((table, key.into(), None));
        self
    }
}

/// A read or a write that did not happen; the store may work again later.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the state directory: {0}")]
pub struct StoreError(Arc<str>);

impl StoreError {
    fn of(why: impl Display) -> StoreError {
        StoreError(why.to_string().into())
    }
}

/// The open database; clones share it.
#[derive(Clone)]
pub struct Store {
    held: Arc<Held>,
    queue: mpsc::Sender<Write>,
}

/// The database, or nothing after a failure until it could be opened again.
struct Held {
    path: PathBuf,
    db: RwLock<Option<Database>>,
    /// A test has it take nothing, as a full disk does.
    #[cfg(test)]
    is_full: std::sync::atomic::AtomicBool,
}

struct Write {
    batch: Batch,
    done: oneshot::Sender<Result<(), StoreError>>,
}

impl Store {
    /// Opens the database of `dir`, which is made if it is missing, and says what was found there. A file that is
    /// corrupt, foreign or of a newer format is set aside under a name with `now` (wall time since 1970) in it, and a
    /// new one is begun. Blocks.
    ///
    /// # Errors
    /// The directory cannot be used, or another process uses it.
    pub fn open(dir: &Path, now: Duration) -> Result<(Store, Found), Unusable> {
        let (path, db, found) = file::open(dir, now)?;
        let held = Arc::new(Held {
            path,
            db: RwLock::new(Some(db)),
            #[cfg(test)]
            is_full: Default::default(),
        });
        let (queue, waiting) = mpsc::channel(WAITING);
        let writer = held.clone();
        let thread = thread::Builder::new().name("llmroute-state".into()).spawn(move || writer.write_all(waiting));
        thread.map_err(|e| Unusable::of(dir, format!("its writer cannot start: {e}")))?;
        Ok((Store { held, queue }, found))
    }

    /// Whether this database took the place of a file that could not be used, now or before.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn is_replacement(&self) -> Result<bool, StoreError> {
        Ok(self.get(file::META, file::REPLACED).await?.is_some())
    }

    /// Makes the changes of `batch`; they are on the disk when this returns. They are made even if the caller stops
    /// waiting.
    ///
    /// # Errors
    /// None of the changes was made.
    pub async fn write(&self, batch: Batch) -> Result<(), StoreError> {
        let (done, told) = oneshot::channel();
        let stopped = |_| StoreError::of("its writer has stopped");
        self.queue.send(Write { batch, done }).await.map_err(|_| StoreError::of("its writer has stopped"))?;
        told.await.map_err(stopped)?
    }

    /// One value.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn get(&self, table: Table, key: impl Into<Bytes>) -> Result<Option<Bytes>, StoreError> {
        let key = key.into();
        self.read(move |db| {
            let read = db.begin_read().map_err(StoreError::of)?;
            match read.open_table(table.definition()) {
                Ok(rows) => Ok(rows.get(&*key).map_err(StoreError::of)?.map(|v| Bytes::copy_from_slice(v.value()))),
                Err(TableError::TableDoesNotExist(_)) => Ok(None),
                Err(e) => Err(StoreError::of(e)),
            }
        })
        .await
    }

    /// All keys and values of a table, in the order of the keys.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn all(&self, table: Table) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        self.read(move |db| {
            let read = db.begin_read().map_err(StoreError::of)?;
            let rows = match read.open_table(table.definition()) {
                Ok(rows) => rows,
                Err(TableError::TableDoesNotExist(_)) => return Ok(vec![]),
                Err(e) => return Err(StoreError::of(e)),
            };
            let mut all = vec![];
            for row in rows.iter().map_err(StoreError::of)? {
                let (key, value) = row.map_err(StoreError::of)?;
                all.push((Bytes::copy_from_slice(key.value()), Bytes::copy_from_slice(value.value())));
            }
            Ok(all)
        })
        .await
    }

    async fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Database) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let held = self.held.clone();
        let work = tokio::task::spawn_blocking(move || held.with(f));
        work.await.map_err(|_| StoreError::of("the read was abandoned"))?
    }
}

impl Held {
    /// Works on the database; a panic inside it, as a damaged page may provoke, is an error.
    fn with<T>(&self, f: impl FnOnce(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match &*self.db.read() {
            Some(db) => guarded(|| f(db)).unwrap_or_else(|| Err(StoreError::of("the database is damaged"))),
            None => Err(StoreError::of("the database is closed after a failure")),
        }
    }

    /// The writer's thread: ends with the last store.
    fn write_all(&self, mut waiting: mpsc::Receiver<Write>) {
        while let Some(first) = waiting.blocking_recv() {
            let mut writes = vec![first];
            while writes.len() < TOGETHER
                && let Ok(next) = waiting.try_recv()
            {
                writes.push(next);
            }
            if self.db.read().is_none() {
                self.reopen();
            }
            #[cfg(test)]
            if self.is_full.load(std::sync::atomic::Ordering::Relaxed) {
                writes.into_iter().for_each(|write| _ = write.done.send(Err(StoreError::of("it is full"))));
                continue;
            }
            let done = self.with(|db| commit(db, writes.iter().map(|w| &w.batch)).map_err(StoreError::of));
            if let Err(why) = &done {
                tracing::error!(error = %why, "a write to the state directory failed");
                self.reopen();
            }
            for write in writes {
                let _ = write.done.send(done.clone());
            }
        }
    }

    /// After a failed write the database takes no more; opened afresh it goes on from its last commit.
    fn reopen(&self) {
        let mut db = self.db.write();
        let failed = db.take();
        guarded(move || drop(failed));
        *db = guarded(|| file::open_file(&self.path).ok()).flatten();
    }
}

fn commit<'a>(db: &Database, batches: impl Iterator<Item = &'a Batch>) -> Result<(), redb::Error> {
    let write = db.begin_write()?;
    for (table, key, value) in batches.flat_map(|b| &b.0) {
        let mut rows = write.open_table(table.definition())?;
        match value {
            Some(value) => rows.insert(&**key, &**value)?,
            None => rows.remove(&**key)?,
        };
    }
    Ok(write.commit()?)
}

/// `None` when `f` panicked.
fn guarded<T>(f: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(f)).ok()
}

#[cfg(test)]
pub(crate) mod tests;
