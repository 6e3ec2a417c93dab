//! Room for bodies that are on their way: bounded in all. Where it is full, the longest one has to go: questions are short, and
//! who sends much and slowly takes the place of nobody.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// The room of all.
#[derive(Debug)]
pub(super) struct Room {
    most: usize,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    bodies: HashMap<u64, (usize, CancellationToken)>,
    bytes: usize,
    next: u64,
}

/// What one body takes; given back on drop.
#[derive(Debug)]
pub(super) struct Taken {
    room: Arc<Room>,
    number: u64,
    gone: CancellationToken,
}

impl Room {
    /// Of so many bytes.
    pub(super) fn new(most: usize) -> Arc<Room> {
        Arc::new(Room { most, inside: Mutex::default() })
    }

    /// One more body, of which nothing is here yet.
    pub(super) fn enter(self: &Arc<Room>) -> Taken {
        let mut inside = self.inside.lock();
        let (number, gone) = (inside.next, CancellationToken::new());
        inside.next += 1;
        inside.bodies.insert(number, (0, gone.clone()));
        Taken { room: self.clone(), number, gone }
    }
}

impl Inside {
    fn leave(&mut self, number: u64) {
        if let Some((bytes, _)) = self.bodies.remove(&number) {
            self.bytes -= bytes;
        }
    }
}

impl Taken {
    /// So many more bytes are here. Somebody may have to go for them, this one too.
    pub(super) fn grow(&self, by: usize) {
        let mut inside = self.room.inside.lock();
        let Some((bytes, _)) = inside.bodies.get_mut(&self.number) else { return };
        *bytes += by;
        inside.bytes += by;
        while inside.bytes > self.room.most {
            let Some((number, gone)) = inside.bodies.iter().max_by_key(|(_, b)| b.0).map(|(n, b)| (*n, b.1.clone()))
            else {
                return;
            };
            gone.cancel();
            inside.leave(number);
        }
    }

    /// Cancelled when it has to go.
    pub(super) fn gone(&self) -> CancellationToken {
        self.gone.clone()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.inside.lock().leave(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_goes_where_there_is_no_room() {
        let room = Room::new(100);
        let short: Vec<Taken> = (0..10).map(|_| room.enter()).collect();
        short.iter().for_each(|s| s.grow(2));
        let (long, longer) = (room.enter(), room.enter());
        long.grow(30);
        longer.grow(50);
        assert!(!longer.gone.is_cancelled(), "there is room for all");
        long.grow(1);
        assert!(longer.gone.is_cancelled() && !long.gone.is_cancelled());
        longer.grow(1000);
        assert_eq!(room.inside.lock().bytes, 51, "who is gone takes nothing");
        long.grow(1000);
        assert!(long.gone.is_cancelled() && short.iter().all(|s| !s.gone.is_cancelled()));
        drop((short, long, longer));
        let inside = room.inside.lock();
        assert_eq!((inside.bytes, inside.bodies.len()), (0, 0), "nobody is remembered");
    }
}
