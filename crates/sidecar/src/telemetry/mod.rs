//! What the sidecar says of itself: spans, metrics, the decision record.

pub mod decision;
pub mod metrics;
mod spans;

pub use spans::{AttemptSpan, Spans, Trace};
