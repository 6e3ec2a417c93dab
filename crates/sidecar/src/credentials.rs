//! Provider keys from a directory of files: read again when they change, kept in memory when a file vanishes, and
//! never printed.

use std::{collections::BTreeMap, fmt, fs, io, path::Path, sync::Arc};

use bytes::Bytes;
use hyper::header::HeaderValue;
use memchr::memmem::Finder;

/// Longest key file that is read.
const MAX_BYTES: u64 = 64 << 10;
/// A key shorter than this is not looked for in answers: it would be found everywhere.
const LEAST_TO_SCRUB: usize = 8;
const REDACTED: &[u8] = b"[redacted]";

/// One key, in the forms in which it is sent.
pub struct Secret {
    /// `Bearer <key>`.
    pub bearer: HeaderValue,
    /// The key alone.
    pub plain: HeaderValue,
    finder: Option<Finder<'static>>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// From the content of a file, trailing white space cut.
    pub(crate) fn read(content: &[u8]) -> Option<Secret> {
        let key = content.trim_ascii_end();
        let header = |bytes: &[u8]| {
            let mut v = HeaderValue::from_bytes(bytes).ok()?;
            v.set_sensitive(true);
            Some(v)
        };
        if key.is_empty() {
            return None;
        }
        let finder = (key.len() >= LEAST_TO_SCRUB).then(|| Finder::new(key).into_owned());
        Some(Secret { bearer: header(&[b"Bearer ", key].concat())?, plain: header(key)?, finder })
    }

    /// `bytes` without the key: a provider that echoes it must not tell the app.
    #[must_use]
    pub fn scrub(&self, bytes: Bytes) -> Bytes {
        let Some(finder) = &self.finder else { return bytes };
        let Some(first) = finder.find(&bytes) else { return bytes };
        let mut out = Vec::with_capacity(bytes.len());
        let mut from = 0;
        let mut at = Some(first);
        while let Some(i) = at {
            out.extend_from_slice(&bytes[from..i]);
            out.extend_from_slice(REDACTED);
            from = i + finder.needle().len();
            at = finder.find(&bytes[from..]).map(|j| from + j);
        }
        out.extend_from_slice(&bytes[from..]);
        out.into()
    }

    /// Whether `bytes` hold the key.
    #[must_use]
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.finder.as_ref().is_some_and(|f| f.find(bytes).is_some())
    }
}

/// The keys in force, by file name.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    by_name: BTreeMap<Box<str>, Key>,
}

#[derive(Clone, Debug)]
struct Key {
    secret: Arc<Secret>,
    /// The file is gone; the key stays in use.
    vanished: bool,
}

/// What a reading of the directory found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Names whose key is new or different.
    pub changed: Vec<String>,
    /// Names whose file went away.
    pub vanished: Vec<String>,
    /// Names that hold no usable key, each with why.
    pub refused: Vec<(String, &'static str)>,
}

impl Keys {
    /// The key of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Secret>> {
        self.by_name.get(name).map(|k| &k.secret)
    }

    /// Names in force, each with whether its file is gone.
    pub fn names(&self) -> impl Iterator<Item = (&str, bool)> {
        self.by_name.iter().map(|(n, k)| (&**n, k.vanished))
    }

    /// Reads `dir` again over what is known.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn reread(&self, dir: &Path) -> io::Result<(Keys, Changes)> {
        let mut keys = self.clone();
        let mut changes = Changes::default();
        let mut seen = vec![];
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            // `..data` and its like are how a mounted Secret is swapped.
            let Ok(meta) = fs::metadata(entry.path()) else { continue };
            if name.starts_with('.') || !meta.is_file() {
                continue;
            }
            if meta.len() > MAX_BYTES {
                changes.refused.push((name, "is larger than 64 KiB"));
                continue;
            }
            let Ok(content) = fs::read(entry.path()) else {
                changes.refused.push((name, "cannot be read"));
                continue;
            };
            let Some(secret) = Secret::read(&content) else {
                changes.refused.push((name, "holds no key: it is empty or has characters that no header can carry"));
                continue;
            };
            let same = keys.by_name.get(&*name).is_some_and(|k| k.secret.plain == secret.plain && !k.vanished);
            if !same {
                changes.changed.push(name.clone());
                keys.by_name.insert(name.clone().into(), Key { secret: Arc::new(secret), vanished: false });
            }
            seen.push(name);
        }
        for (name, key) in &mut keys.by_name {
            let refused = changes.refused.iter().any(|(n, _)| **n == **name);
            if !key.vanished && !refused && !seen.iter().any(|s| **s == **name) {
                key.vanished = true;
                changes.vanished.push(name.to_string());
            }
        }
        Ok((keys, changes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(name: &str) -> std::path::PathBuf {
        let d = std::env::temp_dir().join(format!("llmroute-keys-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&d);
        fs::create_dir_all(&d).unwrap();
        d
    }

    #[test]
    fn keys_are_trimmed_rotated_and_kept_when_they_vanish() {
        let d = dir("rotate");
        fs::write(d.join("openai"), "sk-first-key \n\n").unwrap();
        fs::write(d.join("bad"), "\n").unwrap();
        fs::create_dir(d.join("..2026")).unwrap();
        let (keys, changes) = Keys::default().reread(&d).unwrap();
        assert_eq!(changes.changed, ["openai"]);
        assert_eq!(changes.refused.len(), 1);
        assert_eq!(keys.get("openai").unwrap().bearer, "Bearer sk-first-key");

        fs::write(d.join("openai"), "sk-second-key").unwrap();
        let (keys, changes) = keys.reread(&d).unwrap();
        assert_eq!((changes.changed.len(), keys.get("openai").unwrap().plain.as_bytes()), (1, &b"sk-second-key"[..]));

        fs::remove_file(d.join("openai")).unwrap();
        let (keys, changes) = keys.reread(&d).unwrap();
        assert_eq!(changes.vanished, ["openai"]);
        assert!(keys.get("openai").is_some());
        let (_, again) = keys.reread(&d).unwrap();
        assert!(again.vanished.is_empty(), "told once");
        fs::remove_dir_all(&d).unwrap();
    }

    #[test]
    fn a_key_is_scrubbed_wherever_it_stands_and_never_printed() {
        let s = Secret::read(b"sk-secret-1\n").unwrap();
        let echo = Bytes::from_static(b"bad key sk-secret-1 and sk-secret-1");
        assert_eq!(s.scrub(echo), "bad key [redacted] and [redacted]");
        assert_eq!(s.scrub(Bytes::from_static(b"fine")), "fine");
        assert!(!format!("{s:?} {:?}", s.bearer).contains("secret-1"));
    }
}
