//! The one place that says what may be spent.

use super::cap::Cap;

/// What this sidecar may have spent and held in a window of `cap`. Standalone it has one share, and that is the whole cap:
/// no lease, no end.
pub(super) fn may_spend(cap: &Cap) -> u64 {
    cap.limit
}
