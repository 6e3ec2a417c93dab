//! The `LLMRoutePolicy` resource: its types, the CRD made from them, and the one judgement of a policy (`load`, `accept`)
//! that the sidecar, the operator and the webhook share.

pub mod types;

mod crd;
mod fault;
mod form;
mod lower;
mod read;
mod text;
mod when;

/// Mutations of what others write, for the tests beside its parsers.
#[cfg(test)]
#[path = "../../dialect/tests/fuzz/mutate.rs"]
mod fuzz;
#[cfg(test)]
mod tests;

use policy::snapshot::Snapshot;
use serde_json::Value;

pub use crd::crd_yaml;
pub use fault::Fault;
pub use types::LLMRoutePolicy;

/// Reads a policy file: YAML with exactly one `LLMRoutePolicy`, the manifest that `kubectl apply` takes.
///
/// # Errors
/// All faults at once: what does not read as YAML, then those of form and of meaning together.
pub fn load(yaml: &str) -> Result<Snapshot, Vec<Fault>> {
    let value = read::policy(yaml)?;
    accept(&value).map(|(_, snapshot)| snapshot)
}

/// Judges one policy object and lowers it to the snapshot that a sidecar runs on.
///
/// # Errors
/// All faults of form and meaning, each with its path and remedy.
pub fn accept(value: &Value) -> Result<(LLMRoutePolicy, Snapshot), Vec<Fault>> {
    let mut faults = fault::Faults::default();
    let policy = form::check(value, &mut faults);
    let Some(policy) = policy else { return Err(faults.into_vec()) };
    let snapshot = lower::policy(&policy, &mut faults);
    match faults.into_vec() {
        none if none.is_empty() => Ok((policy, snapshot)),
        faults => Err(faults),
    }
}
