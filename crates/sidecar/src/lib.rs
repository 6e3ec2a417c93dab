//! The data plane: a sidecar that answers localhost and calls the providers.
//!
//! One request reads top to bottom in `pipeline`. Modules stand in the order in which a request meets them.

pub mod adopt;
pub mod config;
pub mod control;
pub mod reload;
pub mod state;

mod framing;
pub mod serve;

mod pipeline;

mod route;

mod intake;

mod classify;

pub mod explain;

pub mod later;

mod execute;

mod admit;
mod attempt;
mod capable;
mod enter;
mod wire;

mod headers;

pub mod upstream;

mod decode;
mod events;

mod respond;

mod reply;
mod stream;
mod unsent;

mod idle;
pub mod refusal;

mod bill;
mod burst;
mod cache;
mod items;
mod keepers;
pub mod money;
mod record;
mod usage;

mod exchange;

pub mod admin;
pub mod clock;
pub mod credentials;
mod harden;
pub mod memory;
pub mod store;
pub mod telemetry;

/// Mutations of what others send, for the tests beside its parsers.
#[cfg(test)]
#[path = "../../dialect/tests/fuzz/mutate.rs"]
mod fuzz;

pub use harden::harden;
