//! Stories of the control plane at a real API server: one binary, a story a file.

mod stage;

mod manifests;

mod policies;

mod access;

mod replicas;

mod outage;
