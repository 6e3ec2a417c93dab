use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use super::*;

const A: Table = Table::new("a");
const B: Table = Table::new("b");

/// A directory of its own, removed on drop.
pub(crate) struct Dir(pub(crate) PathBuf);

impl Dir {
    pub(crate) fn new() -> Dir {
        let dir = std::env::temp_dir().join(format!("llmroute-store-{}-{:x}", std::process::id(), fastrand::u64(..)));
        Dir(dir)
    }

    fn file(&self) -> PathBuf {
        self.0.join("state.redb")
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Store {
    /// Has it take nothing, as a full disk does, or again all.
    pub(crate) fn fill(&self, is_full: bool) {
        self.held.is_full.store(is_full, std::sync::atomic::Ordering::Relaxed);
    }
}

fn open(dir: &Dir) -> (Store, Found) {
    Store::open(&dir.0, Duration::from_secs(77)).unwrap()
}

/// The writer's thread lets go of the file when the last store is gone.
fn reopen(dir: &Dir) -> (Store, Found) {
    for _ in 0..50_000 {
        match Store::open(&dir.0, Duration::from_secs(77)) {
            Ok(opened) => return opened,
            Err(_) => thread::yield_now(),
        }
    }
    open(dir)
}

#[tokio::test]
async fn a_batch_is_kept_as_a_whole_and_found_again() {
    let dir = Dir::new();
    let (store, found) = open(&dir);
    assert_eq!(found, Found::New);
    assert_eq!(store.get(A, "k").await.unwrap(), None, "a table that is not there yet is empty");
    assert!(store.all(B).await.unwrap().is_empty());
    store.write(Batch::default().put(A, "k", "1").put(A, "l", "2").put(B, "k", "3")).await.unwrap();
    store.write(Batch::default().delete(A, "l").delete(A, "none").put(A, "k", "4").put(A, "c", "5")).await.unwrap();
    drop(store);
    let (store, found) = reopen(&dir);
    assert_eq!(found, Found::Kept);
    let rows = [("c", "5"), ("k", "4")].map(|(k, v)| (Bytes::from(k), Bytes::from(v)));
    assert_eq!(store.all(A).await.unwrap(), rows);
    assert_eq!(store.get(B, "k").await.unwrap().as_deref(), Some(&b"3"[..]));
}

#[tokio::test]
async fn many_writers_share_commits_and_lose_nothing() {
    let dir = Dir::new();
    let (store, _) = open(&dir);
    let writers: Vec<_> = (0..300u32)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.write(Batch::default().put(A, n.to_be_bytes().to_vec(), "x")).await })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    assert_eq!(store.all(A).await.unwrap().len(), 300);
}

#[test]
fn directory_and_file_are_their_owners_alone() {
    let dir = Dir::new();
    let _store = open(&dir);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&dir.0), mode(&dir.file())), (0o700, 0o600));
}

#[test]
fn a_second_user_is_told() {
    let dir = Dir::new();
    let (_store, _) = open(&dir);
    let why = Store::open(&dir.0, Duration::ZERO).err().unwrap().to_string();
    assert!(why.contains("another llmroute-sidecar uses it"), "{why}");
}

#[test]
fn a_directory_that_is_a_file_is_told() {
    let dir = Dir::new();
    fs::write(&dir.0, "").unwrap();
    let why = Store::open(&dir.0, Duration::ZERO).err().unwrap().to_string();
    assert!(why.starts_with("--state ") && why.contains("may write"), "{why}");
    fs::remove_file(&dir.0).unwrap();
}

/// Writes a value of some pages, then lets `damage` at the file.
async fn damaged(damage: impl FnOnce(&Path, Vec<u8>)) -> (Dir, Found) {
    let dir = Dir::new();
    let (store, _) = open(&dir);
    store.write(Batch::default().put(A, "k", vec![7; 50_000])).await.unwrap();
    drop(store);
    drop(reopen(&dir));
    let file = dir.file();
    for _ in 0..50_000 {
        if redb::Database::open(&file).is_ok() {
            break;
        }
        thread::yield_now();
    }
    let bytes = fs::read(&file).unwrap();
    damage(&file, bytes);
    let (store, found) = reopen(&dir);
    if found != Found::Kept {
        assert!(store.is_replacement().await.unwrap());
        assert_eq!(store.get(A, "k").await.unwrap(), None, "a new one is empty");
        store.write(Batch::default().put(A, "k", "again")).await.unwrap();
    }
    drop(store);
    (dir, found)
}

#[tokio::test]
async fn a_damaged_file_is_set_aside() {
    type Damage = fn(&Path, Vec<u8>);
    let rows: [(&str, Damage); 5] = [
        ("emptied", |file, _| fs::write(file, "").unwrap()),
        ("foreign", |file, _| fs::write(file, "my notes").unwrap()),
        ("cut", |file, bytes| fs::write(file, &bytes[..bytes.len() / 3]).unwrap()),
        ("zeroed head", |file, mut bytes| {
            bytes[..512].fill(0);
            fs::write(file, bytes).unwrap();
        }),
        ("flipped bits of a value", |file, mut bytes| {
            let at = bytes.windows(64).position(|w| w == [7; 64]).unwrap() + 1000;
            bytes[at] ^= 0xff;
            fs::write(file, bytes).unwrap();
        }),
    ];
    for (name, damage) in rows {
        let (dir, found) = damaged(damage).await;
        let aside = dir.0.join("state.redb.set-aside-77");
        assert_eq!(found, Found::SetAside(aside.clone()), "{name}");
        assert!(aside.exists(), "{name}");
    }
}

#[tokio::test]
async fn another_programs_database_and_a_newer_format_are_set_aside_each_under_its_own_name() {
    let dir = Dir::new();
    fs::create_dir(&dir.0).unwrap();
    drop(redb::Database::create(dir.file()).unwrap());
    let (store, found) = open(&dir);
    assert_eq!(found, Found::SetAside(dir.0.join("state.redb.set-aside-77")));
    store.write(Batch::default().put(Table::new("meta"), "format", "llmroute 2")).await.unwrap();
    drop(store);
    let (_, found) = reopen(&dir);
    assert_eq!(found, Found::SetAside(dir.0.join("state.redb.set-aside-77-1")));
}

#[tokio::test]
async fn after_a_failure_it_is_opened_again() {
    let dir = Dir::new();
    let (store, _) = open(&dir);
    store.write(Batch::default().put(A, "k", "1")).await.unwrap();
    let damage = store.read(|_| -> Result<(), StoreError> { panic!("a page is damaged") }).await;
    assert!(damage.unwrap_err().to_string().contains("damaged"));
    *store.held.db.write() = None;
    assert!(store.get(A, "k").await.is_err());
    store.write(Batch::default().put(A, "l", "2")).await.unwrap();
    assert_eq!(store.all(A).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_crash_while_a_bad_file_is_replaced_does_not_look_like_a_first_start() {
    let dir = Dir::new();
    let (store, found) = open(&dir);
    assert_eq!((found, store.is_replacement().await.unwrap()), (Found::New, false));
    drop(store);
    drop(reopen(&dir));
    // Before the bad file was renamed: what was begun is begun again.
    fs::write(dir.file(), "my notes").unwrap();
    fs::write(dir.0.join("state.redb.next"), "half a database").unwrap();
    let (store, found) = reopen(&dir);
    let aside = dir.0.join("state.redb.set-aside-77");
    assert_eq!((found, store.is_replacement().await.unwrap()), (Found::SetAside(aside.clone()), true));
    assert_eq!(fs::read(&aside).unwrap(), b"my notes");
    drop(store);
    drop(reopen(&dir));
    // After it, and before the new one had its name.
    fs::rename(dir.file(), dir.0.join("state.redb.next")).unwrap();
    let (store, found) = reopen(&dir);
    assert_eq!((found, store.is_replacement().await.unwrap()), (Found::Kept, true));
}

#[tokio::test]
async fn a_crash_in_the_first_start_leaves_another_first_start() {
    let dir = Dir::new();
    fs::create_dir(&dir.0).unwrap();
    fs::write(dir.0.join("state.redb.next"), "half a database").unwrap();
    let (store, found) = open(&dir);
    assert_eq!((found, store.is_replacement().await.unwrap()), (Found::New, false));
    assert!(!dir.0.join("state.redb.next").exists());
}

/// The next write opens the file again, or fails.
pub(crate) fn close(store: &Store) {
    *store.held.db.write() = None;
}
