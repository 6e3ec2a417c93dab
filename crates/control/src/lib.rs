//! The contract of operator and sidecar: the messages of one stream, what they mean to the state machines of `policy`, and which
//! versions understand each other.

pub mod coins;
pub mod findings;
pub mod version;

/// Messages, client and server of `proto/control.proto`; written by `make gen`, held by `tests/generated.rs`.
pub mod v1 {
    #![allow(missing_docs, clippy::all, reason = "generated")]
    include!("generated/llmroute.control.v1.rs");
}

pub use version::{Disagreement, Speaks, agree};
