//! Process-wide settings made once at start.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// Not dumpable, so that no core file or debugger of our own user reads keys from memory; as many file descriptors as
/// the hard limit allows, since each stream holds two.
pub fn harden() {
    if let Err(e) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(error = %e, "the process stays dumpable");
    }
    let limit = getrlimit(Resource::Nofile);
    if let Err(e) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(error = %e, "the limit on open files stays as it is");
    }
}
