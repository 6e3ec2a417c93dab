//! Our own no: a reason, its status, and the body in the caller's dialect. The only place that picks status codes.

use std::{borrow::Cow, time::Duration};

use policy::reason::{Cause, Reason};

/// A request that is refused, or whose providers all failed without an error of their own to pass on.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// HTTP status; the reason's own unless a failure brought another.
    pub status: u16,
    /// A sentence; no prompt text, no secrets.
    pub message: Cow<'static, str>,
    /// What the body calls it where SDKs look for a vendor's own name; the reason's else.
    pub code: Option<&'static str>,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// The connection cannot be used again.
    pub close: bool,
}

impl Refusal {
    /// For a reason that blames no provider.
    #[must_use]
    pub fn own(cause: Cause) -> Refusal {
        Refusal::of(Reason::own(cause))
    }

    /// With the reason's own status and message.
    #[must_use]
    pub fn of(reason: Reason) -> Refusal {
        let row = reason.cause.row();
        Refusal { reason, status: row.status, message: row.message.into(), code: None, retry_after: None, close: false }
    }

    /// A more exact sentence.
    #[must_use]
    pub fn because(mut self, message: impl Into<Cow<'static, str>>) -> Refusal {
        self.message = message.into();
        self
    }

    /// A vendor's own name of it.
    #[must_use]
    pub fn called(mut self, code: &'static str) -> Refusal {
        self.code = Some(code);
        self
    }

    /// The failure's own status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Refusal {
        self.status = status;
        self
    }

    /// When to come back.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Refusal {
        self.retry_after = Some(wait);
        self
    }

    /// The connection is closed behind it.
    #[must_use]
    pub fn closing(mut self) -> Refusal {
        self.close = true;
        self
    }
}
