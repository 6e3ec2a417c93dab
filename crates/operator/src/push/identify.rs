//! Whose a token is.

use std::sync::Arc;

use async_trait::async_trait;
use tonic::Status;

use crate::world::Uid;

/// The pod that a token is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The pod's namespace.
    pub namespace: Arc<str>,
    /// The pod's name.
    pub name: Arc<str>,
    /// The pod's uid.
    pub uid: Uid,
}

/// Why nobody is known by a token; the texts go to the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It is no token of a pod for us, or no longer.
    #[error("{0}")]
    Refused(String),
    /// It could not be reviewed; the same token may be good.
    #[error("{0}")]
    Unavailable(String),
}

impl From<Denied> for Status {
    fn from(denied: Denied) -> Status {
        match denied {
            Denied::Refused(why) => Status::unauthenticated(why),
            Denied::Unavailable(why) => Status::unavailable(why),
        }
    }
}

/// Reviews tokens.
#[async_trait]
pub trait Identify: Send + Sync {
    /// Whose `token` is. The token is a secret: no error and no log line may hold it.
    ///
    /// # Errors
    /// It is nobody's, or cannot be reviewed now.
    async fn identify(&self, token: &str) -> Result<Caller, Denied>;
}
