//! One budget of bytes for all held bodies of the process, so that many large requests cannot exhaust its memory.

use std::{fs, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Where no container limit is known.
const DEFAULT_BYTES: usize = 256 << 20;
/// How long a request waits for room.
const WAIT: Duration = Duration::from_secs(1);

/// The budget.
#[derive(Clone)]
pub struct Memory {
    free: Arc<Semaphore>,
    total: usize,
}

/// Bytes held; given back on drop.
pub struct Room(OwnedSemaphorePermit);

/// No room within the wait.
#[derive(Debug)]
pub struct Full;

impl Memory {
    /// A budget of `total` bytes.
    #[must_use]
    pub fn new(total: usize) -> Memory {
        Memory { free: Arc::new(Semaphore::new(total)), total }
    }

    /// Half the container's memory limit, or 256 MiB where there is none.
    #[must_use]
    pub fn of_container() -> Memory {
        Memory::new(
            container_limit().map_or(DEFAULT_BYTES, |limit| usize::try_from(limit / 2).unwrap_or(DEFAULT_BYTES)),
        )
    }

    /// Bytes in use.
    #[must_use]
    pub fn held(&self) -> usize {
        self.total - self.free.available_permits()
    }

    /// The size of the budget.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }

    /// Room for `bytes`, waiting up to a second, first come first served.
    ///
    /// # Errors
    /// There was none in time.
    pub async fn hold(&self, bytes: usize) -> Result<Room, Full> {
        let count = self.count(bytes)?;
        if let Ok(permit) = self.free.clone().try_acquire_many_owned(count) {
            return Ok(Room(permit));
        }
        // Nearly no request waits: what waiting takes is not part of its future.
        let wait = Box::pin(timeout(WAIT, self.free.clone().acquire_many_owned(count)));
        wait.await.ok().and_then(Result::ok).map(Room).ok_or(Full)
    }

    /// Room for `bytes` now or not at all.
    ///
    /// # Errors
    /// There is none.
    pub fn try_hold(&self, bytes: usize) -> Result<Room, Full> {
        let count = self.count(bytes)?;
        self.free.clone().try_acquire_many_owned(count).map(Room).map_err(|_| Full)
    }

    fn count(&self, bytes: usize) -> Result<u32, Full> {
        if bytes > self.total { Err(Full) } else { u32::try_from(bytes).map_err(|_| Full) }
    }
}

impl Room {
    /// Joins two holds into one.
    pub fn add(&mut self, more: Room) {
        self.0.merge(more.0);
    }
}

/// The memory limit of the container by its cgroup (v2, then v1); absurdly large values mean none.
fn container_limit() -> Option<u64> {
    let read = |path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let limit = read("/sys/fs/cgroup/memory.max").or_else(|| read("/sys/fs/cgroup/memory/memory.limit_in_bytes"))?;
    (limit < 1 << 46).then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn room_is_shared_waited_for_and_given_back() {
        let memory = Memory::new(100);
        let mut a = memory.hold(60).await.unwrap();
        a.add(memory.hold(20).await.unwrap());
        assert_eq!(memory.held(), 80);
        assert!(memory.hold(30).await.is_err());
        assert!(memory.hold(101).await.is_err(), "can never fit");
        let later = memory.hold(30);
        tokio::pin!(later);
        assert!(timeout(Duration::from_millis(10), &mut later).await.is_err());
        drop(a);
        assert!(later.await.is_ok());
        assert_eq!(memory.held(), 0);
    }
}
