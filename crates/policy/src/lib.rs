//! The picture a sidecar runs on, and every decision made from it: pure functions from data and `now` to data.
//!
//! Nothing here reads a clock, locks, spawns, logs or touches a socket; the manifest proves it.
//! Modules stand in reading order: the picture, one request's facts, the plan, what happened, what it cost.

pub mod snapshot;

pub mod ask;
pub mod expr;
pub mod matching;

pub mod plan;

pub mod attempt;
pub mod outcome;
pub mod reason;

pub mod breaker;
pub mod minute;
pub mod retry_budget;
pub mod window;

pub mod catalogue;
pub mod ledger;
pub mod money;

mod tick;

pub use tick::Tick;
