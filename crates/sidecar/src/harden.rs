//! Process-wide settings made once at start.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// Not dumpable, so that no core file or debugger of our own user reads keys from memory; as many file descriptors as
/// the hard limit allows, since each stream holds two. What could not be done, for the log, which comes later.
#[must_use]
pub fn harden() -> Vec<String> {
    let dumpable = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let files = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let why = [
        dumpable.err().map(|e| format!("the process stays dumpable: {e}")),
        files.err().map(|e| format!("the limit on open files stays as it is: {e}")),
    ];
    why.into_iter().flatten().collect()
}
