//! What classes of callers are promised, all of it resolved.

use std::{sync::Arc, time::Duration};

use super::Ratio;
use crate::money::Usd;

/// What a tier optimises once uptime is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// The scene's own order.
    Quality,
    /// Cheapest first.
    Cost,
    /// Fastest first, by observed p95.
    Latency,
}

/// What a class of callers is promised.
#[derive(Clone, Debug, PartialEq)]
pub struct Tier {
    /// Unique in the policy.
    pub name: Arc<str>,
    /// Order of candidates.
    pub objective: Objective,
    /// The five bounds on time, all resolved.
    pub timeouts: Timeouts,
    /// How often and how fast to try again.
    pub retries: Retries,
    /// A second try before the first has failed.
    pub hedge: Option<Hedge>,
    /// Cap on one request.
    pub max_cost: Option<Usd>,
    /// Leave out a target that would lose something in translation.
    pub strict_translation: bool,
    /// Ladder when a budget is spent, top to bottom, never empty.
    pub over_budget: Vec<Rung>,
    /// What is promised over a month.
    pub slo: Option<Slo>,
}

/// Bounds on time of one request (DESIGN: "Timeouts").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP.
    pub connect: Duration,
    /// TLS handshake.
    pub tls: Duration,
    /// To the first content of a stream.
    pub first_byte: Duration,
    /// To the headers of a plain answer.
    pub first_byte_plain: Duration,
    /// Between events or body reads from then on.
    pub idle: Duration,
    /// To the commit.
    pub total: Duration,
}

/// Tries and pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// Every try of one request, the first included; at least 1.
    pub attempts: u32,
    /// Base of the full-jitter backoff.
    pub base: Duration,
    /// Its cap.
    pub cap: Duration,
    /// Repeats on the same provider as a share of its successes.
    pub budget_ratio: Ratio,
}

/// Hedging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hedge {
    /// Without content after this long, a second try starts.
    pub after: Duration,
    /// At most this much for the second try.
    pub max_cost: Option<Usd>,
    /// At most this share of requests.
    pub max_share: Option<Ratio>,
}

/// A rung of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    /// The scene's cheaper targets.
    CheaperModel,
    /// A smaller request.
    Trim,
    /// An answer from before.
    Cache,
    /// Wait in line for the money.
    Queue,
    /// A clear no.
    Reject,
}

/// Service level objective of a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slo {
    /// Share of requests that must succeed.
    pub success_rate: Ratio,
    /// Bound on the 95th percentile.
    pub p95: Option<Duration>,
    /// Over this long.
    pub window: Duration,
}
