//! The data plane: a sidecar that answers localhost and calls the providers.
//!
//! One request reads top to bottom in [`pipeline`]. Modules stand in the order in which a request meets them.

pub mod config;
pub mod state;

pub mod admit;
mod record;

pub mod upstream;

pub mod clock;
pub mod credentials;
pub mod memory;
pub mod telemetry;
