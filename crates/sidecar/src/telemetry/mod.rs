//! What the sidecar says of itself: spans, metrics, the decision record.

pub mod decision;
pub mod metrics;
mod spans;

pub use spans::{AttemptSpan, Spans, Trace};

/// JSON lines on stderr; `RUST_LOG` for our own crates only, since others would print what goes over the wire.
pub fn init_logs() {
    tracing_subscriber::fmt().json().flatten_event(true).with_writer(std::io::stderr).init();
}
