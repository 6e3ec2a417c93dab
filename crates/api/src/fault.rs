//! What is wrong with a policy, where, and what to write instead.

use std::fmt;

/// One fault of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where, such as `spec.tiers[0].sla`; empty where the whole text is meant.
    pub path: String,
    /// What is wrong, such as `"5x" is not a duration`.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { path, message, remedy } = self;
        if !path.is_empty() {
            write!(f, "{path}: ")?;
        }
        write!(f, "{message}; {remedy}")
    }
}

impl std::error::Error for Fault {}

/// Faults that are noted, and looked through for each further one: whoever mends so many sees the others next.
const MOST: usize = 1000;

/// Faults as they are found.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    found: Vec<Fault>,
    /// Paths whose value was of no use and is a blank now.
    blanks: Vec<String>,
}

impl Faults {
    /// Notes a fault, unless the same place has one already or holds a mere blank: what follows from a fault is no news.
    pub(crate) fn add(&mut self, path: impl Into<String>, message: impl Into<String>, remedy: impl Into<String>) {
        let path = path.into();
        if !self.known(&path) {
            self.found.push(Fault { path, message: message.into(), remedy: remedy.into() });
        }
    }

    /// Notes a fault of a value that is then replaced by a blank.
    pub(crate) fn add_blank(&mut self, path: &str, message: impl Into<String>, remedy: impl Into<String>) {
        if self.found.len() < MOST {
            self.add(path, message, remedy);
            self.blanks.push(path.to_owned());
        }
    }

    /// Whether `path` has a fault or lies in a blank, or nothing more is noted.
    pub(crate) fn known(&self, path: &str) -> bool {
        let inside =
            |blank: &String| path.strip_prefix(blank.as_str()).is_some_and(|rest| rest.starts_with(['.', '[']));
        self.found.len() >= MOST || self.found.iter().any(|f| f.path == path) || self.blanks.iter().any(inside)
    }

    pub(crate) fn into_vec(self) -> Vec<Fault> {
        self.found
    }
}
