//! Stories of the control plane at a real API server: one binary, a story a file.

mod access;
mod admission;
mod agree;
mod manifests;
mod outage;
mod policies;
mod replicas;
mod stage;
