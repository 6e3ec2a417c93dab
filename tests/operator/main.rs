//! Stories of the control plane at a real API server: one binary, a story a file.

mod access;
mod admission;
mod agree;
mod edits;
mod findings;
mod killed;
mod manifests;
mod outage;
mod partition;
mod policies;
mod replicas;
mod rotation;
mod shared;
mod stage;
mod strangers;
