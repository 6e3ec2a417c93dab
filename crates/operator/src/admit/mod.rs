//! What the API server asks before it stores something: may this pod be as it is (`pods`), is this a policy (`policies`). Every
//! replica answers; an answer changes nothing here, so that a dry run is like any other.

mod peers;
mod pods;
mod policies;
mod review;
mod room;
mod serve;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use serve::serve;

use crate::{
    inject::{Chosen, NotYet, Settings},
    metrics::Metrics,
    world::Pod,
};

/// Where pods are judged.
pub const MUTATE: &str = "/mutate";
/// Where policies are judged.
pub const VALIDATE: &str = "/validate";

/// Says which policy selects a pod that is to be created.
pub type Choose = dyn Fn(&Pod) -> Result<Option<Chosen>, NotYet> + Send + Sync;

/// Asks for the policies of a namespace as they are now; says whether they are known then.
pub type Refresh = dyn Fn(String) -> BoxFuture<'static, bool> + Send + Sync;

/// What the answers are made from; clones share it.
#[derive(Clone)]
pub struct Admission {
    /// How sidecars are.
    pub settings: Arc<Settings>,
    /// Which policy selects a pod.
    pub choose: Arc<Choose>,
    /// Before a pod is let through as one that no policy selects.
    pub refresh: Arc<Refresh>,
    /// PEM of the CA certificates by which sidecars know the operator; empty where they need none.
    pub trust: watch::Receiver<Arc<str>>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Cancelled when this replica ends.
    pub ending: CancellationToken,
}
