//! The serving end of the control stream: who calls, what it is served, what it says.

mod call;
mod identify;
mod serve;
mod stream;
mod visit;

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use control::v1::FromSidecar;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming, metadata::MetadataMap};

use crate::{clock, findings::Findings, fleet::Fleet, lend::Lending, publish::Published, world::Uid};
pub use identify::{Caller, Denied, Identify};
pub use serve::serve;
use stream::Stream;
use visit::Visit;

/// A token's review may take so long.
const REVIEW: Duration = Duration::from_secs(10);
/// Longest token that is looked at.
const MAX_TOKEN: usize = 16 << 10;
/// Messages that wait to be sent on one stream.
const WAITING: usize = 16;

/// Who leads, as a replica sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leader {
    /// This replica, until then, since the machine's boot, unless it is told of more time.
    Me(Duration),
    /// Another one, at `https://HOST:PORT`.
    Other(String),
    /// Nobody, or nobody knows.
    Unknown,
}

impl Leader {
    /// Whether this replica leads at this moment. Whoever acts as the leader asks right before: a process that was stopped for a
    /// while finds here what was true before.
    #[must_use]
    pub fn leads(&self) -> bool {
        matches!(self, Leader::Me(until) if clock::now() < *until)
    }
}

/// Says whether a call from an address can be a pod's.
pub type CallsFrom = dyn Fn(&Uid, IpAddr) -> bool + Send + Sync;

/// What the streams of this replica work on; clones share it.
#[derive(Clone)]
pub struct Push {
    /// Says whose a token is.
    pub identify: Arc<dyn Identify>,
    /// Whether a token comes from its own pod.
    pub calls_from: Arc<CallsFrom>,
    /// What each pod is served.
    pub published: Arc<Published>,
    /// What sidecars answer.
    pub fleet: Arc<Fleet>,
    /// What they found of providers.
    pub findings: Arc<Findings>,
    /// What they borrow.
    pub lending: Arc<Lending>,
    /// Who leads.
    pub leader: watch::Receiver<Leader>,
    /// PEM of the CA certificates to trust from now on; empty where they are not this operator's business.
    pub trust: watch::Receiver<Arc<str>>,
    /// Cancelled when this replica ends.
    pub ending: CancellationToken,
}

impl Push {
    /// The call: its stream runs until one of both ends it; what is to be said comes out of the receiver, in frames.
    async fn sync(
        &self,
        metadata: &MetadataMap,
        visit: &Arc<Visit>,
        incoming: Streaming<FromSidecar>,
    ) -> Result<mpsc::Receiver<Bytes>, Status> {
        let review = timeout(REVIEW, self.identify.identify(token(metadata)?)).await;
        let caller = review.map_err(|_| Status::unavailable("the token could not be reviewed in time"))??;
        let (sender, outgoing) = mpsc::channel(WAITING);
        tokio::spawn(Stream::new(self.clone(), caller, visit.begins(), incoming, sender).run());
        Ok(outgoing)
    }
}

/// The token of `authorization: Bearer TOKEN`.
fn token(metadata: &MetadataMap) -> Result<&str, Status> {
    let mut all = metadata.get_all("authorization").iter();
    let token = match (all.next(), all.next()) {
        (Some(one), None) => one.to_str().ok().and_then(|text| text.strip_prefix("Bearer ")),
        _ => None,
    };
    let fits = token.filter(|token| !token.is_empty() && token.len() <= MAX_TOKEN);
    fits.ok_or_else(|| Status::unauthenticated("a pod's token is needed: authorization: Bearer TOKEN"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bearer_token_is_needed() {
        let long = format!("Bearer {}", "x".repeat(MAX_TOKEN + 1));
        let rows: [(&[&str], Option<&str>); 8] = [
            (&["Bearer eyJ.a"], Some("eyJ.a")),
            (&[], None),
            (&[""], None),
            (&["Bearer "], None),
            (&["Basic eyJ"], None),
            (&["bearer"], None),
            (&["Bearer a", "Bearer b"], None),
            (&[&long], None),
        ];
        for (headers, want) in rows {
            let mut metadata = MetadataMap::new();
            for header in headers {
                metadata.append("authorization", header.parse().unwrap());
            }
            assert_eq!(token(&metadata).ok(), want, "{headers:?}");
        }
    }
}
