//! Which ends understand each other.
//!
//! A protocol has a number. It is raised when the other end must understand something new; what may be skipped is just
//! added. Each end says the newest and the oldest number that it speaks, and both then speak the newest that they share:
//! - an old sidecar with a new operator: the operator speaks the sidecar's number, while that is not older than its oldest;
//! - a new sidecar with an old operator: the sidecar speaks the operator's, by the same rule;
//! - no number in common: the stream ends with a go-away that says who must be updated. The sidecar runs on with what it has.
//!
//! A policy with fields that an old sidecar does not know is another matter: it refuses them by name, in a nack.

use std::fmt;

use crate::v1;

/// The protocols that one end speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speaks {
    /// The newest; from 1.
    pub newest: u32,
    /// The oldest; from 1.
    pub oldest: u32,
}

impl Speaks {
    /// What this build speaks.
    pub const HERE: Speaks = Speaks { newest: 2, oldest: 1 };
    /// From here on caps are shared.
    pub const LENDS: u32 = 2;

    /// The hello of a program of this build.
    #[must_use]
    pub fn hello(self, version: &str) -> v1::Hello {
        v1::Hello { protocol: self.newest, oldest_protocol: self.oldest, version: version.to_owned() }
    }
}

impl From<&v1::Hello> for Speaks {
    fn from(hello: &v1::Hello) -> Speaks {
        // One that leaves out the oldest speaks a single protocol.
        let oldest = if hello.oldest_protocol == 0 { hello.protocol } else { hello.oldest_protocol };
        Speaks { newest: hello.protocol, oldest }
    }
}

/// Why two ends have no protocol in common; for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disagreement {
    /// The other end speaks only what is too old for us.
    TheyAreTooOld {
        /// Ours.
        ours: Speaks,
        /// Theirs.
        theirs: Speaks,
    },
    /// The other end no longer speaks what we do.
    WeAreTooOld {
        /// Ours.
        ours: Speaks,
        /// Theirs.
        theirs: Speaks,
    },
    /// The other end's hello names no protocol, or an oldest above its newest.
    Malformed,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (who, ours, theirs) = match self {
            Disagreement::TheyAreTooOld { ours, theirs } => ("the other end", ours, theirs),
            Disagreement::WeAreTooOld { ours, theirs } => ("this end", ours, theirs),
            Disagreement::Malformed => return f.write_str("the hello names no protocol"),
        };
        let (a, b, c, d) = (ours.oldest, ours.newest, theirs.oldest, theirs.newest);
        write!(f, "no protocol in common: this end speaks {a} to {b}, the other {c} to {d}; update {who}")
    }
}

impl std::error::Error for Disagreement {}

/// The protocol that both ends speak: the newest that they share.
///
/// # Errors
/// They share none.
pub fn agree(ours: Speaks, theirs: Speaks) -> Result<u32, Disagreement> {
    if theirs.oldest == 0 || theirs.oldest > theirs.newest {
        Err(Disagreement::Malformed)
    } else if theirs.newest < ours.oldest {
        Err(Disagreement::TheyAreTooOld { ours, theirs })
    } else if ours.newest < theirs.oldest {
        Err(Disagreement::WeAreTooOld { ours, theirs })
    } else {
        Ok(ours.newest.min(theirs.newest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speaks((oldest, newest): (u32, u32)) -> Speaks {
        Speaks { newest, oldest }
    }

    #[test]
    fn both_ends_speak_the_newest_protocol_that_they_share() {
        let rows = [
            // ours, theirs, what both speak
            ((1, 1), (1, 1), Ok(1)),
            ((1, 3), (1, 2), Ok(2)),
            ((1, 2), (1, 3), Ok(2)),
            ((2, 4), (1, 2), Ok(2)),
            ((1, 2), (2, 4), Ok(2)),
            ((3, 4), (1, 2), Err("this end speaks 3 to 4, the other 1 to 2; update the other end")),
            ((1, 2), (3, 4), Err("this end speaks 1 to 2, the other 3 to 4; update this end")),
            ((1, 1), (0, 0), Err("the hello names no protocol")),
            ((1, 1), (2, 1), Err("the hello names no protocol")),
        ];
        for (ours, theirs, want) in rows {
            let got = agree(speaks(ours), speaks(theirs)).map_err(|e| e.to_string());
            match want {
                Ok(n) => assert_eq!(got, Ok(n), "{ours:?} {theirs:?}"),
                Err(text) => assert!(got.as_ref().is_err_and(|e| e.contains(text)), "{ours:?} {theirs:?} {got:?}"),
            }
        }
    }

    #[test]
    fn what_one_end_finds_the_other_finds_too() {
        let all: Vec<Speaks> = (1..5).flat_map(|o| (o..5).map(move |n| speaks((o, n)))).collect();
        for (a, b) in all.iter().flat_map(|a| all.iter().map(move |b| (*a, *b))) {
            assert_eq!(agree(a, b).ok(), agree(b, a).ok(), "{a:?} {b:?}");
        }
    }

    #[test]
    fn a_hello_is_read_as_it_was_meant() {
        let old = v1::Hello { protocol: 3, ..v1::Hello::default() };
        assert_eq!(Speaks::from(&old), speaks((3, 3)), "a single protocol");
        assert_eq!(Speaks::from(&Speaks::HERE.hello("1.2.3")), Speaks::HERE);
    }
}
