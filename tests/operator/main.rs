//! Stories of the control plane at a real API server: one binary, a story a file.

mod manifests;
mod policies;
mod stage;
