//! What is kept in the state directory: the last good document and whom to trust. No secret.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use parking_lot::Mutex;

use super::connect::certificates;

/// The last good document, as the operator sent it.
const POLICY: &str = "policy.json";
/// CA certificates that the operator sent.
const CA: &str = "control-ca.pem";
/// Longest document that is read or taken; etcd holds no larger object.
pub(super) const MAX_DOCUMENT: usize = 1_500_000;
/// Longest bundle of CA certificates.
pub(super) const MAX_CA: usize = 64 << 10;

/// What is kept, in the state directory where there is one. Every call but [`Kept::ca`] blocks.
#[derive(Debug)]
pub(super) struct Kept {
    dir: Option<PathBuf>,
    ca: Mutex<Vec<u8>>,
}

impl Kept {
    /// What an earlier run left.
    pub(super) fn open(dir: Option<PathBuf>) -> Kept {
        let kept = Kept { dir, ca: Mutex::default() };
        match kept.read(CA, MAX_CA) {
            // One that cannot be read must not keep those from working that are given.
            Ok(ca) => *kept.ca.lock() = ca.filter(|pem| certificates(pem).is_ok()).unwrap_or_default(),
            Err(error) => tracing::warn!(%error, "the kept CA certificates cannot be read"),
        }
        kept
    }

    /// The last good document, if there is one.
    pub(super) fn policy(&self) -> io::Result<Option<Vec<u8>>> {
        self.read(POLICY, MAX_DOCUMENT)
    }

    /// CA certificates that the operator sent; empty where it sent none.
    pub(super) fn ca(&self) -> Vec<u8> {
        self.ca.lock().clone()
    }

    /// Keeps a document in place of the one before.
    pub(super) fn keep_policy(&self, document: &[u8]) -> io::Result<()> {
        self.write(POLICY, document)
    }

    /// Keeps CA certificates in place of those before, in memory even where it fails.
    pub(super) fn keep_ca(&self, pem: &[u8]) -> io::Result<()> {
        *self.ca.lock() = pem.to_vec();
        self.write(CA, pem)
    }

    fn read(&self, name: &str, most: usize) -> io::Result<Option<Vec<u8>>> {
        self.dir.as_ref().map_or(Ok(None), |dir| read(&dir.join(name), most))
    }

    /// Whole or not at all: a file beside it takes its place once it is on the disk.
    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let Some(dir) = &self.dir else { return Ok(()) };
        let fresh = dir.join(format!(".{name}.new"));
        let mut file = File::create(&fresh)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(fresh, dir.join(name))?;
        File::open(dir)?.sync_all()
    }
}

/// A file's content, if there is such a file.
pub(super) fn read(path: &Path, most: usize) -> io::Result<Option<Vec<u8>>> {
    let size = match fs::metadata(path) {
        Ok(found) => found.len(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    if size > most as u64 {
        return Err(io::Error::other(format!("it is larger than {most} bytes")));
    }
    fs::read(path).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &[u8] = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    fn dir(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("llmroute-kept-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn the_newest_is_found_again_and_nothing_else() {
        let dir = dir("newest");
        let kept = Kept::open(Some(dir.clone()));
        assert!(kept.policy().unwrap().is_none() && kept.ca().is_empty());
        kept.keep_policy(b"{\"a\":1}").unwrap();
        kept.keep_policy(b"{}").unwrap();
        kept.keep_ca(PEM).unwrap();
        // As a crash in the midst of the next write leaves it.
        fs::write(dir.join(".policy.json.new"), b"{\"a\"").unwrap();
        let kept = Kept::open(Some(dir.clone()));
        assert_eq!((kept.policy().unwrap(), kept.ca()), (Some(b"{}".to_vec()), PEM.to_vec()));
        fs::write(dir.join(CA), "-----BEGIN CERTIFICATE-----").unwrap();
        fs::write(dir.join(POLICY), vec![b'x'; MAX_DOCUMENT + 1]).unwrap();
        let kept = Kept::open(Some(dir.clone()));
        assert!(kept.policy().is_err() && kept.ca().is_empty(), "what is not good is not used");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn without_a_directory_it_lasts_as_long_as_the_process() {
        let kept = Kept::open(None);
        kept.keep_policy(b"{}").unwrap();
        kept.keep_ca(b"pem").unwrap();
        assert_eq!((kept.policy().unwrap(), kept.ca()), (None, b"pem".to_vec()));
    }
}
