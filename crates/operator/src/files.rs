//! How many files this process may have open: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For everything that is no connection of a sidecar: the API server's, other ports, files.
const OTHERS: u64 = 512;

/// Takes as many as are allowed; container runtimes leave a process 1,024 until it asks.
pub fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, "the limit on open files stays as it is");
    }
}

/// How many connections of sidecars there is room for, if no more than `most` are wanted.
#[must_use]
pub fn room(most: usize) -> usize {
    room_in(getrlimit(Resource::Nofile).current, most)
}

fn room_in(limit: Option<u64>, most: usize) -> usize {
    // At least half of few.
    let room = limit.map(|limit| limit.saturating_sub(OTHERS).max(limit / 2));
    room.map_or(most, |room| usize::try_from(room).map_or(most, |room| room.min(most)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_rest() {
        let rows =
            [(None, 20_000), (Some(1 << 20), 20_000), (Some(20_000), 19_488), (Some(1024), 512), (Some(256), 128)];
        for (limit, want) in rows {
            assert_eq!(room_in(limit, 20_000), want, "{limit:?}");
        }
    }
}
