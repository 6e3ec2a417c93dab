//! The world as this replica sees it, behind one lock, and a bell for those who act on it.

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::world::World;

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// LLMRoutePolicies.
    Policies,
    /// Pods.
    Pods,
    /// Namespaces.
    Namespaces,
}

impl Kind {
    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Policies => "policies",
            Kind::Pods => "pods",
            Kind::Namespaces => "namespaces",
        }
    }
}

/// The world, and who waits for it to change.
#[derive(Debug, Default)]
pub struct Cluster {
    world: Mutex<World>,
    changes: watch::Sender<u64>,
    /// By kind: all that was there at the start is known.
    listed: watch::Sender<[bool; 3]>,
}

impl Cluster {
    /// Looks at it.
    pub fn read<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.world.lock())
    }

    /// Changes it, and wakes who waits.
    pub fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        self.change_if(|world| (change(world), true))
    }

    /// The same where it may be that nothing differs: of a thousand pods somebody touches one each moment.
    pub fn change_if<T>(&self, change: impl FnOnce(&mut World) -> (T, bool)) -> T {
        let (out, differs) = change(&mut self.world.lock());
        if differs {
            self.changes.send_modify(|n| *n = n.wrapping_add(1));
        }
        out
    }

    /// Wakes at each change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// All objects of a kind are known.
    pub fn listed(&self, kind: Kind) {
        self.listed.send_modify(|all| all[kind as usize] = true);
    }

    /// Kinds of which not all objects are known yet.
    #[must_use]
    pub fn missing(&self) -> Vec<Kind> {
        let listed = *self.listed.borrow();
        [Kind::Policies, Kind::Pods, Kind::Namespaces].into_iter().filter(|kind| !listed[*kind as usize]).collect()
    }

    /// Returns when all is known.
    pub async fn known(&self) {
        // The sender is ours: this waits as long as it takes.
        let _ = self.listed.subscribe().wait_for(|all| all.iter().all(|is| *is)).await;
    }
}
