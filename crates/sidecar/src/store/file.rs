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
/// One that takes the place of a bad file, until it does.
const NEXT: &str = "state.redb.next";
/// What the file says of itself.
pub(super) const META: Table = Table::new("meta");
const FORMAT: &[u8] = b"format";
/// The name under which the file was set aside that this one took the place of.
pub(super) const REPLACED: &[u8] = b"replaced";
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
    let refuse = |closed| match closed {
        Closed::Busy => unusable("another llmroute-sidecar uses it; give each a directory of its own".into()),
        Closed::NotOurs(why) => unusable(why),
        Closed::Io(why) => unusable(format!("it cannot be used ({why}); name a directory that this user may write")),
    };
    let opened = match fs::metadata(&path) {
        Ok(file) if file.len() == 0 => Err(Closed::NotOurs("it is empty".into())),
        Ok(_) => open_file(&path).and_then(check).map(|db| (db, Found::Kept)),
        Err(e) if e.kind() == ErrorKind::NotFound => first(&path),
        Err(e) => Err(Closed::Io(e.to_string())),
    };
    let (db, found) = match opened {
        Ok(opened) => opened,
        Err(Closed::NotOurs(why)) => {
            let aside = aside(&path, now).map_err(|e| unusable(format!("{NAME} cannot be set aside ({e})")))?;
            let db = begin(&path, Some(&aside)).map_err(refuse)?;
            tracing::warn!(why, aside = %aside.display(), "the state file cannot be used: it is set aside and a new one begun");
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

/// Where there is no file: the one that a crash kept from its name, or a new one.
fn first(path: &Path) -> Result<(Database, Found), Closed> {
    let next = path.with_file_name(NEXT);
    if next.exists() {
        match open_file(&next).and_then(check) {
            Ok(db) => {
                fs::rename(&next, path).map_err(|e| Closed::Io(e.to_string()))?;
                return Ok((db, Found::Kept));
            }
            Err(Closed::NotOurs(_)) => {}
            Err(closed) => return Err(closed),
        }
    }
    Ok((begin(path, None)?, Found::New))
}

/// Begins a database, which has its name once it is on the disk: an empty file is never one of ours. A bad file that it
/// replaces, kept as `aside`, stays where it is until then: a crash in between must not look like a first start.
fn begin(path: &Path, aside: Option<&Path>) -> Result<Database, Closed> {
    let io = |e: io::Error| Closed::Io(e.to_string());
    let next = path.with_file_name(NEXT);
    match fs::remove_file(&next) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(io(e)),
        _ => {}
    }
    let db = mark(open_file(&next)?, aside)?;
    if let Some(dir) = path.parent() {
        File::open(dir).and_then(|d| d.sync_all()).map_err(io)?;
    }
    if let Some(aside) = aside {
        fs::rename(path, aside).map_err(io)?;
    }
    fs::rename(&next, path).map_err(io)?;
    Ok(db)
}

/// Marks a new database with its format, and with the file that it replaces.
fn mark(db: Database, replaced: Option<&Path>) -> Result<Database, Closed> {
    let mark = || -> Result<(), redb::Error> {
        let write = db.begin_write()?;
        {
            let mut meta = write.open_table(META.definition())?;
            meta.insert(FORMAT, VERSION)?;
            if let Some(name) = replaced.and_then(Path::file_name) {
                meta.insert(REPLACED, name.as_encoded_bytes())?;
            }
        }
        Ok(write.commit()?)
    };
    mark().map_err(|e| Closed::Io(e.to_string()))?;
    Ok(db)
}

/// Reads the mark of an older database.
fn check(db: Database) -> Result<Database, Closed> {
    let not_ours = |e: redb::Error| Closed::NotOurs(e.to_string());
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

/// A name beside the file that nothing has yet.
fn aside(path: &Path, now: Duration) -> io::Result<PathBuf> {
    let mut aside = path.with_file_name(format!("{NAME}.set-aside-{}", now.as_secs()));
    for n in 1.. {
        if !aside.try_exists()? {
            break;
        }
        aside = path.with_file_name(format!("{NAME}.set-aside-{}-{n}", now.as_secs()));
    }
    Ok(aside)
}
