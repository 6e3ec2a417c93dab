//! The resource as it stands in the cluster: wire types without behaviour, from which the CRD is generated.
//!
//! Doc comments here are what `kubectl explain` shows. Bounds stand on everything that a validation rule reaches,
//! since the API server counts a rule's worst case.

mod budget;
mod capability;
mod classify;
mod provider;
mod resilience;
mod scene;
mod spec;
mod status;
mod tier;

pub use budget::*;
pub use capability::*;
pub use classify::*;
pub use provider::*;
pub use resilience::*;
pub use scene::*;
pub use spec::*;
pub use status::*;
pub use tier::*;
