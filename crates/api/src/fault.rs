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

/// Faults as they are found.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    /// Notes a fault, unless the same place has one already: what follows from a known fault is no news.
    pub(crate) fn add(&mut self, path: impl Into<String>, message: impl Into<String>, remedy: impl Into<String>) {
        let path = path.into();
        if !self.at_or_above(&path) {
            self.0.push(Fault { path, message: message.into(), remedy: remedy.into() });
        }
    }

    /// Whether `path` or something that holds it has a fault.
    pub(crate) fn at_or_above(&self, path: &str) -> bool {
        self.0.iter().any(|f| path.strip_prefix(f.path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '['])))
    }

    pub(crate) fn into_vec(self) -> Vec<Fault> {
        self.0
    }
}
