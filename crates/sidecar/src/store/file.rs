//! The file: opened, checked, marked with its format, or set aside.

use std::{
    fmt::Display,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use redb::{Builder, Database, DatabaseError, ReadableDatabase, StorageError, TableError, backends::FileBackend};

use super::{Table, guarded};

const NAME: &str = "state.redb";
/// What the file says of itself.
const META: Table = Table::new("meta");
const FORMAT: &[u8] = b"format";
/// Counted up when an older program would misread the file.
const VERSION: &[u8] = b"llmroute 1";
/// Pages kept in memory; the library's own default is a gigabyte.
const CACHE: usize = 4 << 20;

/// What was in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing: a new database was begun.
    New,
    /// The database of an earlier run.
    Kept,
    /// A file that cannot be used, now under this name; a new database was begun.
    SetAside(PathBuf),
}

/// Why a directory cannot be used: a sentence with the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--state {dir}: {why}")]
pub struct Unusable {
    dir: String,
    why: String,
}

impl Unusable {
    pub(super) fn of(dir: &Path, why: impl Display) -> Unusable {
        Unusable { dir: dir.display().to_string(), why: why.to_string() }
    }
}

/// Why a file was not opened.
pub(super) enum Closed {
    /// Another process has it.
    Busy,
    /// It is no database of ours; why, for the log.
    NotOurs(String),
    /// The directory or the disk.
    Io(String),
}

pub(super) fn open(dir: &Path, now: Duration) -> Result<(PathBuf, Database, Found), Unusable> {
    let unusable = |why: String| Unusable::of(dir, why);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|e| unusable(format!("it cannot be made ({e}); name a directory that this user may write")))?;
    let path = dir.join(NAME);
    let is_new = fs::metadata(&path).map_or(true, |m| m.len() == 0);
    let refuse = |closed| match closed {
        Closed::Busy => unusable("another llmroute-sidecar uses it; give each a directory of its own".into()),
        Closed::NotOurs(why) => unusable(why),
        Closed::Io(why) => unusable(format!("it cannot be used ({why}); name a directory that this user may write")),
    };
    let opened = match open_file(&path) {
        Ok(db) => check(db, is_new),
        Err(closed) => Err(closed),
    };
    let (db, found) = match opened {
        Ok(db) => (db, if is_new { Found::New } else { Found::Kept }),
        Err(Closed::NotOurs(why)) => {
            let aside = set_aside(&path, now).map_err(|e| unusable(format!("{NAME} cannot be set aside ({e})")))?;
            tracing::warn!(why, aside = %aside.display(), "the state file cannot be used: it is set aside and a new one begun");
            let db = open_file(&path).and_then(|db| check(db, true)).map_err(refuse)?;
            (db, Found::SetAside(aside))
        }
        Err(closed) => return Err(refuse(closed)),
    };
    // A name is on the disk when its directory is.
    File::open(dir).and_then(|d| d.sync_all()).map_err(|e| unusable(format!("it cannot be used ({e})")))?;
    Ok((path, db, found))
}

/// Opens or begins the file, all of its pages checked: a damaged one would surface as a panic much later.
pub(super) fn open_file(path: &Path) -> Result<Database, Closed> {
    let io = |e: io::Error| Closed::Io(e.to_string());
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = file.map_err(io)?;
    // An older file may have been made by hand.
    file.set_permissions(Permissions::from_mode(0o600)).map_err(io)?;
    let opened = guarded(|| {
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
        builder.create_with_backend(FileBackend::new(file)?)
    });
    opened.unwrap_or_else(|| Err(corrupted())).map_err(closed)
}

fn corrupted() -> DatabaseError {
    DatabaseError::Storage(StorageError::Corrupted("a page is damaged".into()))
}

fn closed(e: DatabaseError) -> Closed {
    match e {
        DatabaseError::DatabaseAlreadyOpen => Closed::Busy,
        DatabaseError::Storage(StorageError::Io(e)) if is_content(e.kind()) => Closed::NotOurs(e.to_string()),
        DatabaseError::Storage(StorageError::Io(e)) => Closed::Io(e.to_string()),
        e => Closed::NotOurs(e.to_string()),
    }
}

/// Errors of what the file holds rather than of the disk.
fn is_content(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::InvalidData | ErrorKind::UnexpectedEof | ErrorKind::InvalidInput)
}

/// Marks a new database with its format, and reads the mark of an older one.
fn check(db: Database, is_new: bool) -> Result<Database, Closed> {
    let not_ours = |e: redb::Error| Closed::NotOurs(e.to_string());
    if is_new {
        let mark = || -> Result<(), redb::Error> {
            let write = db.begin_write()?;
            write.open_table(META.definition())?.insert(FORMAT, VERSION)?;
            Ok(write.commit()?)
        };
        mark().map_err(|e| Closed::Io(e.to_string()))?;
        return Ok(db);
    }
    let read = || -> Result<Option<Vec<u8>>, redb::Error> {
        match db.begin_read()?.open_table(META.definition()) {
            Ok(rows) => Ok(rows.get(FORMAT)?.map(|v| v.value().to_vec())),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(e) => Err(e.into()),
        }
    };
    let found = guarded(read).unwrap_or_else(|| Err(redb::Error::Corrupted("a page is damaged".into())));
    match found.map_err(not_ours)?.as_deref() {
        Some(VERSION) => Ok(db),
        Some(other) => Err(Closed::NotOurs(format!(
            "its format is {:?}, this program knows {:?}",
            String::from_utf8_lossy(other),
            String::from_utf8_lossy(VERSION)
        ))),
        None => Err(Closed::NotOurs("it is a database of another program".into())),
    }
}

/// Renames the file, over nothing.
fn set_aside(path: &Path, now: Duration) -> io::Result<PathBuf> {
    let mut aside = path.with_file_name(format!("{NAME}.set-aside-{}", now.as_secs()));
    for n in 1.. {
        if !aside.try_exists()? {
            break;
        }
        aside = path.with_file_name(format!("{NAME}.set-aside-{}-{n}", now.as_secs()));
    }
    fs::rename(path, &aside)?;
    Ok(aside)
}
