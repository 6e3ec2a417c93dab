//! One structured record a request: facts and reasons, no text.

use std::{sync::Arc, time::Duration};

use policy::{
    ask::Ask,
    catalogue::Tokens,
    money::Usd,
    plan::{Plan, TargetKey},
    reason::Reason,
};

use crate::state::InForce;

/// What became of a request, as the status header says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// The first target answered the request as sent.
    Ok,
    /// Any other target, a cheaper model, or a trimmed request.
    Degraded,
    /// A provider's error passed on, or a stream that was cut after its first content.
    Failed,
    /// Our own no.
    Refused,
}

impl Status {
    /// Header value and metric label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Degraded => "degraded",
            Status::Failed => "failed",
            Status::Refused => "refused",
        }
    }
}

/// The end of one request, told once to metrics, span and decision record.
pub struct Ending {
    /// The policy pinned by the request; `None` before one was in force.
    pub in_force: Option<Arc<InForce>>,
    /// The path, one of a closed set of labels (`chat`, `responses`, `messages`, `count_tokens`, `models`, `through`, `none`).
    pub call: &'static str,
    /// What was asked; `None` if the request was refused before it was understood.
    pub ask: Option<Ask>,
    /// Candidates and those left out.
    pub plan: Option<Plan>,
    /// What became of it.
    pub status: Status,
    /// HTTP status sent.
    pub http: u16,
    /// Why, where it is not plainly ok.
    pub reason: Option<Reason>,
    /// Who answered.
    pub served: Option<TargetKey>,
    /// Each try in order: target, class label, its duration.
    pub tries: Vec<(TargetKey, &'static str, Duration)>,
    /// Tokens of the answer given.
    pub tokens: Option<Tokens>,
    /// What that answer cost.
    pub cost: Option<Usd>,
    /// Losses in translation.
    pub dropped: Vec<String>,
    /// From accept to first content or whole answer.
    pub first_content: Option<Duration>,
    /// From accept to the end.
    pub duration: Duration,
    /// The caller went away before the end.
    pub client_gone: bool,
}
